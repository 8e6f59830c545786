/* SPDX-License-Identifier: MIT */
/*
 * The error object: what failed, why, and what the user can do. The layer that knows the operation fills it; those above
 * pass it on; main.c prints it, once. A status is 0 or a negative PFC_E... of include/profcore/status.h.
 */
#ifndef CORE_BASE_ERROR_H
#define CORE_BASE_ERROR_H

#include <profcore/status.h>

/** A failure. All zero means "none". Texts are cut, never overrun. */
struct pfc_error {
	int status;
	char what[256]; /* "open configs/x.ini" */
	char why[512];  /* "No such file or directory" */
	char hint[512]; /* "check the path"; may be empty */
};

/** Fill err (may be NULL) and return status, so that `return error_set(...)` reads well. `what` may be a format. */
int error_set(struct pfc_error *err, int status, const char *why, const char *what_format, ...)
	__attribute__((format(printf, 4, 5)));

/** Fill err from an errno value, mapped to the nearest status; returns that status. */
int error_errno(struct pfc_error *err, int errnum, const char *what_format, ...) __attribute__((format(printf, 3, 4)));

/** Out of memory. */
int error_nomem(struct pfc_error *err);

/** Add or replace the hint; returns err->status (PFC_EINVAL when err is NULL). */
int error_hint(struct pfc_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** The status that an errno value stands for. */
int error_status_of(int errnum);

/** Name of a status, "PFC_EIO"; for messages and JSON. */
const char *error_status_name(int status);

#endif

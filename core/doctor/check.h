/* SPDX-License-Identifier: MIT */
/*
 * What the doctor finds: a list of checks, each {area, check, verdict, found, remedy}. Kept as JSON, as the processes that
 * try things out hand them over so, and `--json` prints them so.
 */
#ifndef CORE_DOCTOR_CHECK_H
#define CORE_DOCTOR_CHECK_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum verdict {
	VERDICT_WORKS = 0,
	VERDICT_DEGRADED, /* something less is measured, or in a dearer way */
	VERDICT_FAILS,
};

/** Add one. remedy: the one command that mends it, "" when nothing needs to be mended or nothing can be done. */
void check_add(json_t *checks, const char *area, const char *name, enum verdict verdict, const char *remedy,
	       const char *found_format, ...) __attribute__((format(printf, 6, 7)));

/** Whether an object is a check as check_add makes them; those of another process are asked. */
bool check_is_sound(const json_t *check);

/** The worst verdict; VERDICT_WORKS of an empty list. */
enum verdict check_worst(const json_t *checks);
size_t check_count(const json_t *checks, enum verdict verdict);

const char *verdict_name(enum verdict verdict);

/** As a table, an area after the other: what works in a line each, what does not with its remedy below. */
void check_print(const json_t *checks, FILE *to, bool has_color);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Status codes: what every call that can fail returns. 0 is success, every failure is negative.
 * A value is never reused and never changes its meaning.
 */
#ifndef PROFCORE_STATUS_H
#define PROFCORE_STATUS_H

enum pfc_status {
	PFC_OK = 0,
	PFC_EINVAL = -1,    /* an argument, option or file breaks its contract */
	PFC_ENOMEM = -2,    /* memory ran out */
	PFC_EIO = -3,       /* reading or writing failed */
	PFC_ENOSPC = -4,    /* the disk, the quota or a stated limit is full */
	PFC_EPERM = -5,     /* a privilege is missing: the hint names it */
	PFC_ENOTSUP = -6,   /* this kernel, machine or build lacks it */
	PFC_ENOENT = -7,    /* no such option, port, column, file, extension */
	PFC_ETARGET = -8,   /* the target is not there, or has gone */
	PFC_ENODATA = -9,   /* nothing was observed */
	PFC_ETIMEDOUT = -10, /* a deadline passed */
	PFC_ECANCELED = -11, /* asked to stop */
	PFC_ECORRUPT = -12, /* bytes that do not check: truncated, garbled, hostile */
	PFC_EPROTO = -13,   /* the other side of an interface broke its rules */
	PFC_EAGAIN = -14,   /* not now: call again */
	PFC_ELOST = -15,    /* data was observed and could not be kept */
};

#endif

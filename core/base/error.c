/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_text(char *to, size_t to_bytes, const char *from)
{
	snprintf(to, to_bytes, "%s", from != NULL ? from : "");
}

int error_set(struct pfc_error *err, int status, const char *why, const char *what_format, ...)
{
	va_list args;

	if (err == NULL) {
		return status;
	}
	memset(err, 0, sizeof(*err));
	err->status = status;
	copy_text(err->why, sizeof(err->why), why);
	va_start(args, what_format);
	vsnprintf(err->what, sizeof(err->what), what_format, args);
	va_end(args);
	return status;
}

int error_status_of(int errnum)
{
	switch (errnum) {
	case 0:
		return PFC_OK;
	case ENOMEM:
		return PFC_ENOMEM;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return PFC_ENOSPC;
	case EPERM:
	case EACCES:
		return PFC_EPERM;
	case ENOENT:
	case ENOTDIR:
		return PFC_ENOENT;
	case ENOSYS:
	case EOPNOTSUPP:
	case ENODEV:
		return PFC_ENOTSUP;
	case ESRCH:
		return PFC_ETARGET;
	case ETIMEDOUT:
		return PFC_ETIMEDOUT;
	case ECANCELED:
		return PFC_ECANCELED;
	case EAGAIN:
		return PFC_EAGAIN;
	case EINVAL:
		return PFC_EINVAL;
	default:
		return PFC_EIO;
	}
}

int error_errno(struct pfc_error *err, int errnum, const char *what_format, ...)
{
	int status = error_status_of(errnum);
	va_list args;

	if (err == NULL) {
		return status;
	}
	memset(err, 0, sizeof(*err));
	err->status = status;
	copy_text(err->why, sizeof(err->why), strerror(errnum));
	va_start(args, what_format);
	vsnprintf(err->what, sizeof(err->what), what_format, args);
	va_end(args);
	return status;
}

int error_nomem(struct pfc_error *err)
{
	return error_set(err, PFC_ENOMEM, "out of memory", "allocate");
}

int error_hint(struct pfc_error *err, const char *format, ...)
{
	va_list args;

	if (err == NULL) {
		return PFC_EINVAL;
	}
	va_start(args, format);
	vsnprintf(err->hint, sizeof(err->hint), format, args);
	va_end(args);
	return err->status;
}

const char *error_status_name(int status)
{
	static const char *const names[] = {
		"PFC_OK",       "PFC_EINVAL",  "PFC_ENOMEM",    "PFC_EIO",       "PFC_ENOSPC",   "PFC_EPERM",
		"PFC_ENOTSUP",  "PFC_ENOENT",  "PFC_ETARGET",   "PFC_ENODATA",   "PFC_ETIMEDOUT", "PFC_ECANCELED",
		"PFC_ECORRUPT", "PFC_EPROTO",  "PFC_EAGAIN",    "PFC_ELOST",
	};
	int count = (int)(sizeof(names) / sizeof(names[0]));

	return status <= 0 && status > -count ? names[-status] : "PFC_E?";
}

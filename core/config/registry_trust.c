/* SPDX-License-Identifier: MIT */
/* Whether a plugin's file and the folders above it can have been changed by nobody whom we do not trust (registry.h). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/registry.h"

void registry_trust_init(struct registry_trust *ret)
{
	bool secure = getauxval(AT_SECURE) != 0;
	struct stat program;

	memset(ret, 0, sizeof(*ret));
	ret->privileged = geteuid() == 0 || secure;
	ret->uids[ret->count++] = 0;
	if (secure) {
		return;
	}
	ret->uids[ret->count++] = geteuid();
	if (stat("/proc/self/exe", &program) == 0) {
		ret->uids[ret->count++] = program.st_uid;
	}
}

static bool owner_is_trusted(const struct registry_trust *trust, uid_t uid)
{
	for (size_t i = 0; i < trust->count; i++) {
		if (trust->uids[i] == uid) {
			return true;
		}
	}
	return false;
}

static int check_one(const struct registry_trust *trust, const char *path, bool is_last, bool is_searched,
		     struct pfc_error *err)
{
	struct stat stat_buf;
	bool sticky_is_fine;

	if (lstat(path, &stat_buf) < 0) {
		return error_errno(err, errno, "plugin path %s", path);
	}
	if (!owner_is_trusted(trust, stat_buf.st_uid)) {
		error_set(err, PFC_EPERM, "", "plugin path %s", path);
		if (err != NULL) {
			snprintf(err->why, sizeof(err->why),
				 "refused with privileges: it belongs to user %u, who could change it",
				 (unsigned)stat_buf.st_uid);
		}
		error_hint(err, "chown root %s", path);
		return PFC_EPERM;
	}
	sticky_is_fine =
		S_ISDIR(stat_buf.st_mode) && (stat_buf.st_mode & S_ISVTX) != 0 && !(is_last && is_searched);
	if ((stat_buf.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_is_fine) {
		error_set(err, PFC_EPERM,
			  (stat_buf.st_mode & S_IWOTH) != 0
				  ? "refused with privileges: everybody may write there"
				  : "refused with privileges: its group may write there",
			  "plugin path %s", path);
		error_hint(err, "chmod go-w %s", path);
		return PFC_EPERM;
	}
	return 0;
}

int registry_trust_check(const struct registry_trust *trust, const char *path, bool is_searched,
			 struct pfc_error *err)
{
	char prefix[PATH_MAX];
	size_t bytes = strlen(path);
	int rc;

	if (!trust->privileged) {
		return 0;
	}
	if (path[0] != '/' || bytes >= sizeof(prefix)) {
		return error_set(err, PFC_EINVAL, "no canonical path", "plugin path %s", path);
	}
	rc = check_one(trust, "/", bytes == 1, is_searched, err);
	for (size_t i = 1; rc == 0 && i <= bytes && bytes > 1; i++) {
		if (path[i] == '/' || path[i] == '\0') {
			memcpy(prefix, path, i);
			prefix[i] = '\0';
			rc = check_one(trust, prefix, i == bytes, is_searched, err);
		}
	}
	return rc;
}

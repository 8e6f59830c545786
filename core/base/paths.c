/* SPDX-License-Identifier: MIT */
#include "base/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

/* <dir> of /proc/self/exe; the program is <build>/core/profcore or <prefix>/bin/profcore. */
static char *program_folder(void)
{
	char path[PATH_MAX];
	ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (bytes <= 0) {
		return NULL;
	}
	path[bytes] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL) {
		return NULL;
	}
	*slash = '\0';
	return strdup(path);
}

char *paths_find(const char *in_build, const char *installed, const char *name, const char *suffix)
{
	char *folder = program_folder();
	char *path = NULL;

	if (folder == NULL) {
		return NULL;
	}
	path = str_ends(folder, "/core") ? str_printf("%s/../%s/%s%s", folder, in_build, name, suffix) :
					   str_printf("%s/../%s/%s%s", folder, installed, name, suffix);
	free(folder);
	if (path != NULL && access(path, R_OK) < 0) {
		free(path);
		path = NULL;
	}
	return path;
}

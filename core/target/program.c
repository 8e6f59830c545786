/* SPDX-License-Identifier: MIT */
#include "target/program.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define NAMES_MAX    65536 /* looked at for a hint */

static bool is_program(const char *path)
{
	struct stat stat_of;

	return stat(path, &stat_of) == 0 && S_ISREG(stat_of.st_mode) && access(path, X_OK) == 0;
}

/* The next folder of PATH into `to`; returns where to go on, or NULL at the end. */
static const char *next_folder(const char *from, char *to, size_t to_bytes)
{
	size_t bytes;

	if (*from == '\0') {
		return NULL;
	}
	bytes = strcspn(from, ":");
	snprintf(to, to_bytes, "%.*s", bytes > 0 ? (int)bytes : 1, bytes > 0 ? from : ".");
	return from[bytes] == ':' ? from + bytes + 1 : from + bytes;
}

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path != NULL && path[0] != '\0' ? path : DEFAULT_PATH;
}

static void look_in_folder(const char *folder, const char *name, char nearest[256], unsigned *distance)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	for (int i = 0; dir != NULL && i < NAMES_MAX && (entry = readdir(dir)) != NULL; i++) {
		unsigned edits = str_distance(name, entry->d_name);

		if (entry->d_name[0] != '.' && edits < *distance) {
			*distance = edits;
			snprintf(nearest, 256, "%s", entry->d_name);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

void program_hint(const char *name, struct pfc_error *err)
{
	char folder[4096];
	char nearest[256] = "";
	unsigned distance = strlen(name) > 4 ? 3 : 2; /* more edits than that are another word */
	const char *at = search_path();

	if (strchr(name, '/') != NULL) {
		error_hint(err, "check the path; a script needs its #! interpreter installed");
		return;
	}
	while ((at = next_folder(at, folder, sizeof(folder))) != NULL) {
		look_in_folder(folder, name, nearest, &distance);
	}
	if (nearest[0] != '\0') {
		error_hint(err, "did you mean `%s`?", nearest);
	} else {
		error_hint(err, "give its path, or add its folder to PATH");
	}
}

static int not_found(const char *name, struct pfc_error *err)
{
	error_set(err, PFC_ETARGET, strchr(name, '/') != NULL ? "there is no such executable file" : "no such program on PATH",
		  "run %s", name);
	program_hint(name, err);
	return PFC_ETARGET;
}

int program_find(const char *name, const char *directory, char **ret, struct pfc_error *err)
{
	const char *at = search_path();
	char folder[4096];
	bool found;
	char *path;

	if (strchr(name, '/') != NULL) {
		char *place = name[0] == '/' || directory == NULL ? strdup(name) : str_printf("%s/%s", directory, name);

		found = place != NULL && is_program(place);
		free(place);
		if (!found) {
			return not_found(name, err);
		}
		*ret = strdup(name); /* the child stands in the folder when it executes it */
		return *ret != NULL ? PFC_OK : error_nomem(err);
	}
	while ((at = next_folder(at, folder, sizeof(folder))) != NULL) {
		path = str_printf("%s/%s", folder, name);
		if (path == NULL) {
			return error_nomem(err);
		}
		if (is_program(path)) {
			*ret = path;
			return PFC_OK;
		}
		free(path);
	}
	return not_found(name, err);
}

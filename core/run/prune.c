/* SPDX-License-Identifier: MIT */
#include "run/prune.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "plan/stored.h"
#include "run/remove.h"
#include "stage/protocol.h"

struct old_run {
	char *id;
	struct timespec written; /* its manifest, the last time */
};

static int newest_first(const void *a, const void *b)
{
	const struct old_run *left = a;
	const struct old_run *right = b;

	if (left->written.tv_sec != right->written.tv_sec) {
		return left->written.tv_sec > right->written.tv_sec ? -1 : 1;
	}
	return left->written.tv_nsec != right->written.tv_nsec
		       ? (left->written.tv_nsec > right->written.tv_nsec ? -1 : 1)
		       : strcmp(right->id, left->id);
}

/* Its manifest says that it is this run, of a series of that name. */
static bool is_ours(const char *output, const char *id, const char *name, struct timespec *ret_written)
{
	char *folder = str_printf("%s/%s", output, id);
	char *path = str_printf("%s/%s/manifest.json", output, id);
	json_t *manifest = NULL;
	struct stat st;
	bool is = folder != NULL && path != NULL && lstat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
		  lstat(path, &st) == 0 && stored_manifest(folder, &manifest, NULL) == 0 &&
		  str_equal(protocol_text(manifest, "run"), id) &&
		  str_equal(protocol_text(manifest, "name"), name) &&
		  json_is_object(json_object_get(manifest, "series"));

	if (is) {
		*ret_written = st.st_mtim;
	}
	json_decref(manifest);
	free(folder);
	free(path);
	return is;
}

static size_t list_runs(const char *output, const char *name, struct old_run **ret)
{
	DIR *folder = opendir(output);
	struct old_run *runs = NULL;
	struct dirent *entry;
	size_t count = 0;
	size_t room = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		struct timespec written;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    !is_ours(output, entry->d_name, name, &written)) {
			continue;
		}
		if (count == room) {
			struct old_run *grown = realloc(runs, (room * 2 + 16) * sizeof(*runs));

			if (grown == NULL) {
				break;
			}
			runs = grown;
			room = room * 2 + 16;
		}
		runs[count] = (struct old_run){ strdup(entry->d_name), written };
		count += runs[count].id != NULL;
	}
	if (folder != NULL) {
		closedir(folder);
	}
	if (count > 0) {
		qsort(runs, count, sizeof(*runs), newest_first);
	}
	*ret = runs;
	return count;
}

size_t prune_runs(const char *output, const char *name, uint64_t keep, struct pfc_error *err)
{
	struct old_run *runs = NULL;
	size_t count = list_runs(output, name, &runs);
	int fd = open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t removed = 0;

	if (err != NULL) {
		err->status = 0;
	}
	for (size_t i = 0; i < count; i++) {
		int rc = i >= keep && fd >= 0 ? run_remove_at(fd, runs[i].id) : 0;

		if (rc < 0) {
			error_errno(err, -rc, "remove the old run %s/%s", output, runs[i].id);
		} else if (i >= keep && fd >= 0) {
			run_remove_links(fd, runs[i].id);
			removed++;
		}
		free(runs[i].id);
	}
	free(runs);
	if (fd >= 0) {
		close(fd);
	}
	return removed;
}

/* SPDX-License-Identifier: MIT */
#include "plan/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

#define MANIFEST_BYTES_MAX (16u << 20)
#define MANIFEST_FORMAT    1
#define NAME_BYTES_MAX     120
#define NAME_LETTERS       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

static bool has_manifest(const char *folder)
{
	char *path = str_printf("%s/manifest.json", folder);
	bool has = path != NULL && access(path, R_OK) == 0;

	free(path);
	return has;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

static int complain_no_run(const char *run, const char *output, struct pfc_error *err)
{
	struct dirent **entries = NULL;
	struct str newest = { 0 };
	int count = scandir(output, &entries, NULL, by_name);
	int shown = 0;
	int rc;

	for (int i = 0; i < count; i++) {
		char *folder = str_printf("%s/%s", output, entries[i]->d_name);

		if (folder != NULL && entries[i]->d_type == DT_DIR && shown < 5 && has_manifest(folder)) {
			str_format(&newest, "%s%s", shown++ > 0 ? ", " : "", entries[i]->d_name);
		}
		free(folder);
		free(entries[i]);
	}
	free(entries);
	rc = error_set(err, PFC_ENOENT, "no such run", "run '%s'", run);
	if (shown > 0) {
		error_hint(err, "one of %s, or the path of a run folder", str_text(&newest));
	} else {
		error_hint(err, "the path of a run folder; there is no run in '%s'", output);
	}
	str_finish(&newest);
	return rc;
}

/* "profiling/latest" becomes the run that it means now: by the next read it may mean another. [moved] folder. */
static char *follow_link(char *folder)
{
	char to[PATH_MAX];
	ssize_t bytes = folder != NULL ? readlink(folder, to, sizeof(to) - 1) : -1;
	const char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
	char *followed;

	if (bytes <= 0 || memchr(to, '/', (size_t)bytes) != NULL) {
		return folder;
	}
	followed =
		str_printf("%.*s%.*s", slash != NULL ? (int)(slash - folder) + 1 : 0, folder, (int)bytes, to);
	free(folder);
	return followed;
}

int stored_find_run(const char *run, const char *output, char **ret_folder, struct pfc_error *err)
{
	char *folder;

	if (has_manifest(run)) {
		folder = strdup(run);
	} else {
		folder = str_printf("%s/%s", output, run);
		if (folder != NULL && (strchr(run, '/') != NULL || run[0] == '\0' || !has_manifest(folder))) {
			free(folder);
			return complain_no_run(run, output, err);
		}
	}
	folder = follow_link(folder);
	if (folder == NULL) {
		return error_nomem(err);
	}
	*ret_folder = folder;
	return 0;
}

int stored_manifest(const char *folder, json_t **ret, struct pfc_error *err)
{
	char *path = str_printf("%s/manifest.json", folder);
	json_error_t why;
	struct stat st;
	json_t *manifest;
	int rc = 0;

	if (path == NULL) {
		return error_nomem(err);
	}
	if (stat(path, &st) < 0) {
		rc = error_errno(err, errno, "read %s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > MANIFEST_BYTES_MAX) {
		rc = error_set(err, PFC_ECORRUPT, "not a manifest of a run (no plain file, or too large)",
			       "read %s", path);
		goto out;
	}
	manifest = json_load_file(path, 0, &why);
	if (manifest == NULL) {
		rc = error_set(err, PFC_ECORRUPT, why.text, "read %s:%d", path, why.line);
		goto out;
	}
	if (json_integer_value(json_object_get(manifest, "format")) != MANIFEST_FORMAT) {
		rc = error_set(err, PFC_ENOTSUP, "written in a format that this version does not know",
			       "read %s", path);
		error_hint(err, "a profcore of the version named in it: %s",
			   json_string_value(json_object_get(manifest, "profcore")) != NULL
				   ? json_string_value(json_object_get(manifest, "profcore"))
				   : "unknown");
		json_decref(manifest);
		goto out;
	}
	*ret = manifest;
out:
	free(path);
	return rc;
}

/* A path from a manifest is only followed below its run folder. */
static bool path_is_inside(const char *path)
{
	return path != NULL && path[0] != '\0' && path[0] != '/' && strstr(path, "..") == NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

/*
 * Names and signals become parts of file names in the run that reads them, and words of messages: plain characters only. A
 * stage's name may hold those of others: "flamegraph[perf-cpu.stacks]".
 */
static bool is_plain(const char *name, const char *letters)
{
	size_t bytes = strlen(name);

	return bytes <= NAME_BYTES_MAX && strspn(name, letters) == bytes && name[0] != '.';
}

static bool has_plain_names(const json_t *stage, const json_t *artifact)
{
	return is_plain(text_of(stage, "name"), NAME_LETTERS ".[]") &&
	       is_plain(text_of(artifact, "port"), NAME_LETTERS) &&
	       is_plain(text_of(artifact, "signal"), NAME_LETTERS) &&
	       strlen(text_of(artifact, "type")) <= NAME_BYTES_MAX;
}

static int add_stored(const json_t *stage, const json_t *artifact, const char *run, struct plan_stored **list,
		      struct pfc_error *err)
{
	const char *state = text_of(artifact, "state");
	struct plan_stored *stored;

	if (text_of(artifact, "path")[0] == '\0' || str_equal(state, "failed") ||
	    str_equal(state, "missing") || str_equal(state, "planned") || str_equal(state, "absent")) {
		return 0;
	}
	if (!path_is_inside(text_of(artifact, "path")) || !has_plain_names(stage, artifact)) {
		return error_set(err, PFC_ECORRUPT,
				 "its manifest has names or paths that profcore never writes",
				 "read run '%s'", run);
	}
	stored = calloc(1, sizeof(*stored));
	if (stored == NULL) {
		return error_nomem(err);
	}
	stored->run = strdup(run);
	stored->producer = strdup(text_of(stage, "name"));
	stored->port = strdup(text_of(artifact, "port"));
	stored->type = strdup(text_of(artifact, "type"));
	stored->signal = strdup(text_of(artifact, "signal"));
	stored->path = strdup(text_of(artifact, "path"));
	stored->partial = !str_equal(state, "complete");
	stored->next = *list;
	*list = stored;
	return stored->run != NULL && stored->producer != NULL && stored->port != NULL &&
			       stored->type != NULL && stored->signal != NULL && stored->path != NULL
		       ? 0
		       : error_nomem(err);
}

int stored_open(const char *folder, const char *path, int *ret_fd, struct pfc_error *err)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC, /* not to wait for the other end of a pipe */
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir >= 0 ? (int)syscall(SYS_openat2, dir, path, &how, sizeof(how)) : -1;
	int errnum = errno;
	struct stat st;

	if (dir >= 0) {
		close(dir);
	}
	if (fd < 0) {
		return error_errno(err, errnum, "open %s/%s", folder, path);
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, PFC_ECORRUPT, "not a plain file", "open %s/%s", folder, path);
	}
	*ret_fd = fd;
	return 0;
}

int stored_from_run(const char *folder, const char *run, bool measuring_only, struct plan_stored **ret,
		    struct pfc_error *err)
{
	struct plan_stored *list = NULL;
	json_t *manifest = NULL;
	json_t *stage;
	json_t *artifact;
	size_t i;
	size_t j;
	int rc = stored_manifest(folder, &manifest, err);

	if (rc < 0) {
		return rc;
	}
	json_array_foreach(json_object_get(manifest, "stages"), i, stage)
	{
		const char *kind = text_of(stage, "kind");

		if (measuring_only && !str_equal(kind, "driver") && !str_equal(kind, "collector")) {
			continue;
		}
		json_array_foreach(json_object_get(stage, "artifacts"), j, artifact)
		{
			rc = add_stored(stage, artifact, run, &list, err);
			if (rc < 0) {
				goto out;
			}
		}
	}
	*ret = list;
	list = NULL;
out:
	plan_stored_destroy(list);
	json_decref(manifest);
	return rc;
}

static bool is_loaded(const struct plan_stored *list, const char *run)
{
	for (; list != NULL; list = list->next) {
		if (str_equal(list->run, run)) {
			return true;
		}
	}
	return false;
}

static int add_run(const char *run, const char *output, const struct config_value *value,
		   struct diag_list *diags, struct plan_stored **list, struct pfc_error *err)
{
	struct plan_stored *more = NULL;
	struct pfc_error why = { 0 };
	char *folder = NULL;
	int rc = stored_find_run(run, output, &folder, &why);

	if (rc == 0) {
		rc = stored_from_run(folder, run, false, &more, &why);
	}
	if (rc == PFC_ENOMEM) {
		free(folder);
		return error_nomem(err);
	}
	if (rc < 0) {
		diag_add(diags, DIAG_ERROR, &value->origin, "%s: %s%s%s", why.what, why.why,
			 why.hint[0] != '\0' ? "; try " : "", why.hint);
		free(folder);
		return 0;
	}
	while (more != NULL) {
		struct plan_stored *next = more->next;

		more->next = *list;
		*list = more;
		more->folder = strdup(folder);
		if (more->folder == NULL) {
			plan_stored_destroy(next);
			free(folder);
			return error_nomem(err);
		}
		more = next;
	}
	free(folder);
	return 0;
}

int stored_from_config(const struct config *config, const char *output, struct diag_list *diags,
		       struct plan_stored **list, struct pfc_error *err)
{
	int rc = 0;

	for (const struct config_section *s = config->sections; rc == 0 && s != NULL; s = s->next) {
		for (const struct config_value *v = s->values; rc == 0 && v != NULL; v = v->next) {
			const char *at = str_starts(v->key, "input.") ? v->text : "";

			while (rc == 0 && *at != '\0') {
				size_t bytes;
				const char *colon;
				char *run;

				at += strspn(at, ", \t");
				bytes = strcspn(at, ",");
				colon = memrchr(at, ':', bytes);
				run = colon != NULL ? strndup(at, (size_t)(colon - at)) : NULL;
				if (run != NULL && !is_loaded(*list, run)) {
					rc = add_run(run, output, v, diags, list, err);
				}
				free(run);
				at += bytes;
			}
		}
	}
	return rc;
}

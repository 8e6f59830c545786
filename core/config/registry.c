/* SPDX-License-Identifier: MIT */
/* The plugins that can be used: folders are listed in a fixed order, each file's manifest is read, nothing is loaded. */
#include "config/registry.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "config/paths.h"

#define FILES_MAX   1024 /* in one folder */
#define FOLDERS_MAX 32
#define NEAR_MAX    256

/* From the program's folder to the plugins: in the build tree, and as installed (meson computes it). */
#define FOLDER_BUILD     "../plugins"
#define FOLDER_INSTALLED PROFCORE_PLUGIN_DIR_RELATIVE

struct registry {
	struct registry_trust trust;
	char *folders[FOLDERS_MAX + 1];
	size_t folder_count;
	struct manifest **plugins; /* ordered by id once the scan is over */
	size_t count;
	struct manifest **files; /* read for registry_use by path */
	size_t file_count;
	struct registry_reject *rejects;
	size_t reject_count;
};

/* [moved] manifest, on success. */
static int keep(struct manifest ***list, size_t *count, struct manifest *manifest, struct pfc_error *err)
{
	struct manifest **items = realloc(*list, (*count + 1) * sizeof(struct manifest *));

	if (items == NULL) {
		return error_nomem(err);
	}
	items[(*count)++] = manifest;
	*list = items;
	return 0;
}

static int reject(struct registry *registry, const char *path, const struct pfc_error *why,
		  struct pfc_error *err)
{
	struct registry_reject *items =
		realloc(registry->rejects, (registry->reject_count + 1) * sizeof(*registry->rejects));
	char *copy = strdup(path);

	if (items != NULL) {
		registry->rejects = items;
	}
	if (items == NULL || copy == NULL) {
		free(copy);
		return error_nomem(err);
	}
	items[registry->reject_count].path = copy;
	items[registry->reject_count++].error = *why;
	return 0;
}

/* Found in this folder: a second file of one id is a reject there, but hidden quietly by an earlier folder. */
static int add(struct registry *registry, struct manifest *manifest, size_t folder_start,
	       struct pfc_error *err)
{
	struct pfc_error why;
	int rc;

	for (size_t i = 0; i < registry->count; i++) {
		if (!str_equal(registry->plugins[i]->id, manifest->id)) {
			continue;
		}
		if (i < folder_start) {
			log_debug("plugin %s: hidden by %s", manifest->path, registry->plugins[i]->path);
			manifest_destroy(manifest);
			return 0;
		}
		error_set(&why, PFC_EINVAL, "", "plugin %s", manifest->path);
		snprintf(why.why, sizeof(why.why), "its id \"%s\" is taken by %s", manifest->id,
			 registry->plugins[i]->path);
		rc = reject(registry, manifest->path, &why, err);
		manifest_destroy(manifest);
		return rc;
	}
	if (keep(&registry->plugins, &registry->count, manifest, err) < 0) {
		manifest_destroy(manifest);
		return PFC_ENOMEM;
	}
	return 0;
}

static int add_file(struct registry *registry, const char *folder, const char *name, size_t folder_start,
		    struct pfc_error *err)
{
	struct manifest *manifest = NULL;
	char *path = str_printf("%s/%s", folder, name);
	char real[PATH_MAX];
	struct pfc_error why;
	int rc;

	if (path == NULL) {
		return error_nomem(err);
	}
	if (realpath(path, real) == NULL) {
		rc = error_errno(&why, errno, "plugin %s", path);
	} else {
		rc = registry_trust_check(&registry->trust, real, false, &why);
		rc = rc == 0 ? manifest_read(real, &manifest, &why) : rc;
	}
	if (rc == PFC_ENOMEM) {
		error_nomem(err);
	} else if (rc < 0) {
		rc = reject(registry, path, &why, err);
	} else {
		rc = add(registry, manifest, folder_start, err);
	}
	free(path);
	return rc;
}

static int is_plugin_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && str_ends(entry->d_name, ".so");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* is_asked: somebody named the folder, so its absence is worth a word. */
static int scan_folder(struct registry *registry, const char *folder, bool is_asked, struct pfc_error *err)
{
	size_t folder_start = registry->count;
	struct dirent **entries = NULL;
	char real[PATH_MAX];
	struct pfc_error why;
	int count = 0;
	int rc = 0;

	if (realpath(folder, real) == NULL ||
	    (count = scandir(real, &entries, is_plugin_file, by_bytes)) < 0) {
		if (!is_asked && (errno == ENOENT || errno == ENOTDIR)) {
			return 0;
		}
		error_errno(&why, errno, "plugin folder %s", folder);
		return reject(registry, folder, &why, err);
	}
	for (size_t i = 0; i < registry->folder_count; i++) {
		if (str_equal(registry->folders[i], real)) {
			goto out; /* named twice */
		}
	}
	if (registry->folder_count < FOLDERS_MAX) {
		registry->folders[registry->folder_count] = strdup(real);
		if (registry->folders[registry->folder_count] == NULL) {
			rc = error_nomem(err);
			goto out;
		}
		registry->folder_count++;
	}
	if (count > 0 && registry_trust_check(&registry->trust, real, true, &why) < 0) {
		rc = reject(registry, folder, &why, err);
		goto out;
	}
	if (count > FILES_MAX) {
		error_set(&why, PFC_ENOSPC, "more than 1024 plugins, the rest is ignored", "plugin folder %s",
			  folder);
		rc = reject(registry, folder, &why, err);
	}
	for (int i = 0; rc == 0 && i < count && i < FILES_MAX; i++) {
		rc = add_file(registry, real, entries[i]->d_name, folder_start, err);
	}
out:
	for (int i = 0; i < count; i++) {
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int scan_environment(struct registry *registry, struct pfc_error *err)
{
	const char *list = getenv("PROFCORE_PLUGIN_PATH");
	int rc = 0;

	if (list == NULL || list[0] == '\0') {
		return 0;
	}
	if (getauxval(AT_SECURE) != 0) {
		log_warning("this program runs with file capabilities or set-user-id, ignoring "
			    "PROFCORE_PLUGIN_PATH");
		return 0;
	}
	while (rc == 0 && *list != '\0') {
		size_t bytes = strcspn(list, ":");
		char *folder = strndup(list, bytes);

		rc = folder == NULL ? error_nomem(err)
		     : bytes > 0    ? scan_folder(registry, folder, true, err)
				    : 0;
		free(folder);
		list += bytes + (list[bytes] == ':');
	}
	return rc;
}

static int scan_beside_program(struct registry *registry, const char *relative, struct pfc_error *err)
{
	char path[PATH_MAX];
	ssize_t bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;
	char *folder;
	int rc;

	if (bytes < 0) {
		return 0; /* no /proc: only PROFCORE_PLUGIN_PATH is left */
	}
	path[bytes] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL) {
		return 0;
	}
	slash[1] = '\0';
	folder = str_printf("%s%s", relative[0] == '/' ? "" : path, relative);
	rc = folder == NULL ? error_nomem(err) : scan_folder(registry, folder, false, err);
	free(folder);
	return rc;
}

static int by_id(const void *a, const void *b)
{
	const struct manifest *left = *(const struct manifest *const *)a;
	const struct manifest *right = *(const struct manifest *const *)b;

	return strcmp(left->id, right->id);
}

int registry_open(struct registry **ret, struct pfc_error *err)
{
	struct registry *registry = calloc(1, sizeof(*registry));
	int rc;

	if (registry == NULL) {
		return error_nomem(err);
	}
	registry_trust_init(&registry->trust);
	rc = scan_environment(registry, err);
	rc = rc == 0 ? scan_beside_program(registry, FOLDER_BUILD, err) : rc;
	rc = rc == 0 ? scan_beside_program(registry, FOLDER_INSTALLED, err) : rc;
	if (rc < 0) {
		registry_close(registry);
		return rc;
	}
	if (registry->count > 0) {
		qsort(registry->plugins, registry->count, sizeof(struct manifest *), by_id);
	}
	*ret = registry;
	return 0;
}

size_t registry_count(const struct registry *registry)
{
	return registry->count;
}

const struct manifest *registry_at(const struct registry *registry, size_t index)
{
	return index < registry->count ? registry->plugins[index] : NULL;
}

const struct manifest *registry_find(const struct registry *registry, const char *id)
{
	for (size_t i = 0; i < registry->count; i++) {
		if (str_equal(registry->plugins[i]->id, id)) {
			return registry->plugins[i];
		}
	}
	return NULL;
}

const char *registry_folder_at(const struct registry *registry, size_t index)
{
	return index < registry->folder_count ? registry->folders[index] : NULL;
}

static int use_file(struct registry *registry, const char *path, const struct manifest **ret,
		    struct pfc_error *err)
{
	struct manifest *manifest = NULL;
	char real[PATH_MAX];
	int rc;

	if (getauxval(AT_SECURE) != 0) {
		error_set(err, PFC_EPERM, "refused: this program runs with file capabilities or set-user-id",
			  "use = %s", path);
		return error_hint(err, "install the plugin and use its id");
	}
	if (realpath(path, real) == NULL) {
		return error_errno(err, errno, "plugin %s", path);
	}
	for (size_t i = 0; i < registry->file_count; i++) {
		if (str_equal(registry->files[i]->path, real)) {
			*ret = registry->files[i];
			return 0;
		}
	}
	rc = registry_trust_check(&registry->trust, real, false, err);
	rc = rc == 0 ? manifest_read(real, &manifest, err) : rc;
	if (rc < 0) {
		return rc;
	}
	rc = keep(&registry->files, &registry->file_count, manifest, err);
	if (rc < 0) {
		manifest_destroy(manifest);
		return rc;
	}
	*ret = manifest;
	return 0;
}

/* A file whose name says that it is this plugin, and which was rejected. */
static const struct registry_reject *find_reject(const struct registry *registry, const char *id)
{
	for (size_t i = 0; i < registry->reject_count; i++) {
		const char *slash = strrchr(registry->rejects[i].path, '/');
		const char *base = slash != NULL ? slash + 1 : registry->rejects[i].path;

		if (str_starts(base, id) && str_equal(base + strlen(id), ".so")) {
			return &registry->rejects[i];
		}
	}
	return NULL;
}

static void hint_folders(const struct registry *registry, struct pfc_error *err)
{
	struct str folders = { 0 };

	for (size_t i = 0; i < registry->folder_count; i++) {
		str_format(&folders, "%s%s", i > 0 ? ", " : "", registry->folders[i]);
	}
	if (folders.bytes > 0) {
		error_hint(err, "see profcore plugin list (searched: %s), or give a path with a slash",
			   str_text(&folders));
	} else {
		error_hint(err, "set PROFCORE_PLUGIN_PATH: no folder of plugins was found");
	}
	str_finish(&folders);
}

int registry_use(struct registry *registry, const char *use, const struct manifest **ret,
		 struct pfc_error *err)
{
	const struct manifest *found = registry_find(registry, use);
	const struct registry_reject *rejected;
	const char *ids[NEAR_MAX];
	const char *near;
	size_t count = 0;

	if (strchr(use, '/') != NULL) {
		return use_file(registry, use, ret, err);
	}
	if (found != NULL) {
		*ret = found;
		return 0;
	}
	rejected = find_reject(registry, use);
	if (rejected != NULL) {
		error_set(err, PFC_ENOENT, rejected->error.why, "plugin \"%s\": %s", use,
			  rejected->error.what);
		error_hint(err, "%s", rejected->error.hint);
		return PFC_ENOENT;
	}
	for (; count < registry->count && count < NEAR_MAX; count++) {
		ids[count] = registry->plugins[count]->id;
	}
	near = str_nearest(use, ids, count);
	error_set(err, PFC_ENOENT, "there is no such plugin", "plugin \"%s\"", use);
	if (near != NULL && err != NULL) {
		snprintf(err->why, sizeof(err->why), "there is no such plugin; did you mean \"%s\"?", near);
	}
	hint_folders(registry, err);
	return PFC_ENOENT;
}

size_t registry_reject_count(const struct registry *registry)
{
	return registry->reject_count;
}

const struct registry_reject *registry_reject_at(const struct registry *registry, size_t index)
{
	return index < registry->reject_count ? &registry->rejects[index] : NULL;
}

void registry_close(struct registry *registry)
{
	if (registry == NULL) {
		return;
	}
	for (size_t i = 0; i < registry->count; i++) {
		manifest_destroy(registry->plugins[i]);
	}
	for (size_t i = 0; i < registry->file_count; i++) {
		manifest_destroy(registry->files[i]);
	}
	for (size_t i = 0; i < registry->reject_count; i++) {
		free(registry->rejects[i].path);
	}
	for (size_t i = 0; i < registry->folder_count; i++) {
		free(registry->folders[i]);
	}
	free(registry->plugins);
	free(registry->files);
	free(registry->rejects);
	free(registry);
}

/* SPDX-License-Identifier: MIT */
/* Config files: read with a limit, sections checked and named, includes followed before the file's own values. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ini.h"
#include "base/str.h"
#include "config/model.h"

#define INCLUDE_DEPTH_MAX 8
#define INCLUDE_FILES_MAX 64 /* in all: a file that includes itself twice at each depth stays bounded */

struct loader {
	struct config *config;
	struct diag_list *diags;
	size_t files;
};

/* The files that are being read now, innermost first, to see cycles. */
struct frame {
	const struct frame *outer;
	const char *path;
	dev_t device;
	ino_t inode;
	unsigned depth;
};

/* Read at most INI_TEXT_MAX + 1 bytes. Returns a status; the text is the caller's. */
static int read_all(int fd, char **ret_text, size_t *ret_bytes, struct pfc_error *err)
{
	size_t room = INI_TEXT_MAX + 1;
	char *text = malloc(room);
	size_t bytes = 0;

	if (text == NULL) {
		return error_nomem(err);
	}
	while (bytes < room) {
		ssize_t got = read(fd, text + bytes, room - bytes);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			free(text);
			return error_errno(err, errno, "read");
		}
		if (got == 0) {
			break;
		}
		bytes += (size_t)got;
	}
	*ret_text = text;
	*ret_bytes = bytes;
	return 0;
}

/* Open and parse; a fault of the file goes to diags at `from` (the include line) and leaves *ret_found false. */
static int read_doc(struct loader *loader, const char *path, const struct origin *from, struct frame *frame,
		    struct ini_doc *ret, bool *ret_found, struct pfc_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct pfc_error why;
	struct stat stat_buf;
	char *text = NULL;
	size_t bytes = 0;
	int rc;

	*ret_found = false;
	if (fd < 0 || fstat(fd, &stat_buf) < 0) {
		rc = error_errno(&why, errno, "open");
	} else if (S_ISDIR(stat_buf.st_mode)) {
		rc = error_set(&why, PFC_EINVAL, "is a folder, not a file", "open");
	} else if (S_ISREG(stat_buf.st_mode) && stat_buf.st_size > INI_TEXT_MAX) {
		rc = error_set(&why, PFC_ENOSPC, "larger than 1 MiB, which no configuration needs", "read");
	} else {
		rc = read_all(fd, &text, &bytes, &why);
		frame->device = stat_buf.st_dev;
		frame->inode = stat_buf.st_ino;
	}
	if (rc == 0) {
		rc = ini_doc_parse(text, bytes, ret, &why);
	}
	if (fd >= 0) {
		close(fd);
	}
	free(text);
	*ret_found = rc == 0;
	if (rc == PFC_ENOMEM) {
		return error_nomem(err);
	}
	if (rc < 0 && from->line > 0) {
		diag_add(loader->diags, DIAG_ERROR, from, "include %s: %s", path, why.why);
	} else if (rc < 0) {
		diag_add(loader->diags, DIAG_ERROR, from, "%s", why.why);
	}
	return 0;
}

/* Say what is wrong with a section's name and what was probably meant. */
static void explain_section(struct loader *loader, const struct origin *origin, const char *name)
{
	static const char *const words[] = { "run", "target", "recipe", "plugin" };
	const char *colon = strchr(name, ':');
	char *head = strndup(name, colon != NULL ? (size_t)(colon - name) : strlen(name));
	const char *near = head != NULL ? str_nearest(head, words, colon != NULL ? 4 : 3) : NULL;

	if (colon != NULL && head != NULL && str_equal(head, "plugin")) {
		diag_add(loader->diags, DIAG_ERROR, origin,
			 "\"%s\" cannot name a stage: use letters, digits, - and _, at most %d, and no "
			 "reserved word",
			 colon + 1, CONFIG_NAME_MAX);
	} else if (colon != NULL && near != NULL && str_equal(near, "plugin")) {
		diag_add(loader->diags, DIAG_ERROR, origin, "unknown section [%s]; did you mean [plugin%s]?",
			 name, colon);
	} else if (near != NULL) {
		diag_add(loader->diags, DIAG_ERROR, origin, "unknown section [%s]; did you mean [%s]?", name,
			 near);
	} else if (config_is_stage_name(name)) {
		diag_add(loader->diags, DIAG_ERROR, origin, "unknown section [%s]; did you mean [plugin:%s]?",
			 name, name);
	} else {
		diag_add(loader->diags, DIAG_ERROR, origin,
			 "unknown section [%s]; sections are [run], [target] and [plugin:NAME]", name);
	}
	free(head);
}

/* The section's place in the config; *ret is NULL, with a remark, when its name is not understood. */
static int place_section(struct loader *loader, const struct ini_section *section,
			 const struct origin *origin, struct config_section **ret, struct pfc_error *err)
{
	const char *name = section->name;

	if (str_equal(name, "run") || str_equal(name, "target") || str_equal(name, "recipe")) {
		*ret = config_section_add(loader->config, name, NULL, origin);
	} else if (str_starts(name, "plugin:") && config_is_stage_name(name + strlen("plugin:"))) {
		*ret = config_section_add(loader->config, "plugin", name + strlen("plugin:"), origin);
	} else {
		explain_section(loader, origin, name);
		*ret = NULL;
		return 0;
	}
	return *ret != NULL ? 0 : error_nomem(err);
}

static int merge(struct loader *loader, const struct ini_doc *doc, const char *file, struct pfc_error *err)
{
	for (const struct ini_section *from = doc->sections; from != NULL; from = from->next) {
		struct origin origin = { .file = file, .line = from->line };
		struct config_section *section;
		int rc = place_section(loader, from, &origin, &section, err);

		for (const struct ini_entry *entry = from->entries;
		     rc == 0 && section != NULL && entry != NULL; entry = entry->next) {
			origin.line = entry->line;
			if (!str_equal(from->name, "run") || !str_equal(entry->key, "include")) {
				rc = config_put(section, entry->key, entry->value, &origin, err);
			}
		}
		if (rc < 0) {
			return rc;
		}
	}
	return 0;
}

static bool is_cycle(struct loader *loader, const struct frame *frame, const struct origin *from)
{
	for (const struct frame *outer = frame->outer; outer != NULL; outer = outer->outer) {
		if (outer->device == frame->device && outer->inode == frame->inode) {
			diag_add(loader->diags, DIAG_ERROR, from,
				 "include %s: it is being included already (as %s)", frame->path,
				 outer->path);
			return true;
		}
	}
	return false;
}

static int load(struct loader *loader, const char *path, const struct origin *from, const struct frame *outer,
		struct pfc_error *err);

/* One path of an include list, relative to the file that names it. */
static int include(struct loader *loader, const char *name, size_t bytes, const struct origin *from,
		   const struct frame *outer, struct pfc_error *err)
{
	const char *slash = strrchr(outer->path, '/');
	int dir_bytes = slash != NULL && name[0] != '/' ? (int)(slash + 1 - outer->path) : 0;
	char *path = str_printf("%.*s%.*s", dir_bytes, outer->path, (int)bytes, name);
	int rc = 0;

	if (path == NULL) {
		return error_nomem(err);
	}
	if (outer->depth >= INCLUDE_DEPTH_MAX) {
		diag_add(loader->diags, DIAG_ERROR, from, "include %s: more than %d files deep", path,
			 INCLUDE_DEPTH_MAX);
	} else if (loader->files >= INCLUDE_FILES_MAX) {
		diag_add(loader->diags, DIAG_ERROR, from, "include %s: more than %d files in all", path,
			 INCLUDE_FILES_MAX);
	} else {
		rc = load(loader, path, from, outer, err);
	}
	free(path);
	return rc;
}

static int include_all(struct loader *loader, const struct ini_doc *doc, const char *file,
		       const struct frame *frame, struct pfc_error *err)
{
	const struct ini_section *run = ini_section_find(doc, "run");
	const struct ini_entry *entry = run != NULL ? ini_entry_find(run, "include") : NULL;
	struct origin from = { .file = file, .line = entry != NULL ? entry->line : 0 };
	const char *at = entry != NULL ? entry->value : "";
	int rc = 0;

	while (rc == 0 && *at != '\0') {
		size_t bytes;

		at += strspn(at, " \t,");
		bytes = strcspn(at, ",");
		while (bytes > 0 && (at[bytes - 1] == ' ' || at[bytes - 1] == '\t')) {
			bytes--;
		}
		if (bytes > 0) {
			rc = include(loader, at, bytes, &from, frame, err);
		}
		at += strcspn(at, ",");
	}
	return rc;
}

static int load(struct loader *loader, const char *path, const struct origin *from, const struct frame *outer,
		struct pfc_error *err)
{
	struct frame frame = { .outer = outer, .path = path, .depth = outer != NULL ? outer->depth + 1 : 0 };
	const char *file = config_intern(loader->config, path);
	struct ini_doc doc = { 0 };
	bool found;
	int rc;

	if (file == NULL) {
		return error_nomem(err);
	}
	loader->files++;
	rc = read_doc(loader, path, from, &frame, &doc, &found, err);
	if (rc < 0 || !found) {
		return rc;
	}
	for (const struct ini_fault *fault = doc.faults; fault != NULL; fault = fault->next) {
		struct origin origin = { .file = file, .line = fault->line };

		diag_add(loader->diags, DIAG_ERROR, &origin, "%s", fault->text);
	}
	if (!is_cycle(loader, &frame, from)) {
		rc = include_all(loader, &doc, file, &frame, err);
		rc = rc == 0 ? merge(loader, &doc, file, err) : rc;
	}
	ini_doc_finish(&doc);
	return rc;
}

int config_file_load(struct config *config, const char *path, struct diag_list *diags, struct pfc_error *err)
{
	struct loader loader = { .config = config, .diags = diags };
	struct origin from = { .file = path };

	return load(&loader, path, &from, NULL, err);
}

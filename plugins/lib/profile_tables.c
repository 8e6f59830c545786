/* SPDX-License-Identifier: MIT */
/* Reading a profile: modules, locations and the stack tree, into flat arrays. */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "cols.h"

/* The values of modules.kind in the schema. */
enum module_kind {
	MODULE_UNKNOWN,
	MODULE_FILE,
	MODULE_KERNEL,
	MODULE_KERNEL_MODULE,
	MODULE_VDSO,
	MODULE_ANONYMOUS
};

/* Base name; a bracketed pseudo path ("[kernel.kallsyms]") loses its brackets and what follows its first word. */
static int base_name(struct profile *profile, const char *path, unsigned kind, uint32_t *ret)
{
	const char *slash = strrchr(path, '/');

	if (kind == MODULE_KERNEL) {
		return names_clean(&profile->names, "kernel", ret);
	}
	if (slash && slash[1]) {
		path = slash + 1;
	} else if (kind == MODULE_ANONYMOUS) {
		path = strcmp(path, "[jit]") == 0 ? "jit" : *path ? path : "[anon]";
	}
	return names_clean(&profile->names, path, ret);
}

/* What a program was started as, where its file has another name: the fact has lines "PATH as NAME". */
static int other_name(struct profile *profile, const char *started_as, const char *path, uint32_t *ret)
{
	size_t length = strlen(path);
	const char *line = *path ? started_as : "";

	while (*line) {
		const char *end = strchrnul(line, '\n');

		if ((size_t)(end - line) > length + 4 && strncmp(line, path, length) == 0 &&
		    strncmp(line + length, " as ", 4) == 0) {
			const char *name = line + length + 4;

			return names_raw(&profile->names, (struct pfc_string){ name, (uint64_t)(end - name) },
					 ret);
		}
		line = *end ? end + 1 : end;
	}
	return PFC_OK;
}

static bool is_shared_object(const char *base)
{
	const char *so = strstr(base, ".so");

	while (so && so[3] != '\0' && so[3] != '.') {
		so = strstr(so + 3, ".so");
	}
	return so != NULL;
}

static uint8_t kind_of(unsigned kind, const char *base)
{
	switch (kind) {
	case MODULE_KERNEL:
	case MODULE_KERNEL_MODULE:
		return PROFILE_KERNEL;
	case MODULE_VDSO:
		return PROFILE_LIBRARY;
	case MODULE_ANONYMOUS:
		return PROFILE_APP;
	case MODULE_FILE:
		return is_shared_object(base) ? PROFILE_LIBRARY : PROFILE_APP;
	default:
		return *base && *base != '[' ? is_shared_object(base) ? PROFILE_LIBRARY : PROFILE_APP
					     : PROFILE_UNKNOWN;
	}
}

static int read_module(struct profile *profile, const struct cols *cols, uint64_t row, struct pairmap *paths,
		       const char *started_as)
{
	uint32_t id = (uint32_t)(cols->first_row + row);
	struct profile_module *module = &profile->modules[id];
	unsigned kind = (unsigned)cols_int(cols, 2, row, MODULE_UNKNOWN);
	uint32_t *same;
	int status;

	status = profile_string(profile, cols_id(cols, 0, row), &module->path);
	if (status == PFC_OK) {
		status = profile_string(profile, cols_id(cols, 1, row), &module->build_id);
	}
	if (status == PFC_OK) {
		status = base_name(profile, names_text(&profile->names, module->path), kind, &module->name);
	}
	if (status == PFC_OK && kind == MODULE_FILE) {
		status = other_name(profile, started_as, names_text(&profile->names, module->path),
				    &module->name);
	}
	if (status != PFC_OK) {
		return status;
	}
	module->kind = kind_of(kind, names_text(&profile->names, module->name));
	same = pairmap_at(paths, pairmap_key(module->kind, module->path), id, NULL);
	if (!same) {
		return PFC_ENOMEM;
	}
	module->same = *same;
	return PFC_OK;
}

int profile_read_modules(struct profile *profile, const struct pfc_reader *reader)
{
	static const char *const columns[] = { "path", "build_id", "kind" };
	const char *started_as = NULL;
	struct pairmap paths = { 0 };
	struct cols cols;
	uint64_t row;
	int status = PFC_OK;

	if (reader->fact(reader->ctx, "started_as", NULL, &started_as) != PFC_OK || !started_as) {
		started_as = "";
	}
	cols_begin(&cols, reader, "modules", columns, 3);
	profile->module_count = profile_rows(profile, cols.table.row_count);
	profile->modules = calloc(profile->module_count, sizeof(*profile->modules));
	if (!profile->modules) {
		return PFC_ENOMEM;
	}
	profile->modules[0].kind = PROFILE_UNKNOWN;
	while (status == PFC_OK && cols_next(&cols)) {
		for (row = 0;
		     status == PFC_OK && row < cols.rows && cols.first_row + row < profile->module_count;
		     row++) {
			if (cols.first_row + row > 0) {
				status = read_module(profile, &cols, row, &paths, started_as);
			}
		}
	}
	profile->cut |= cols.cut;
	pairmap_finish(&paths);
	return status;
}

static int read_locations(struct profile *profile, const struct pfc_reader *reader)
{
	static const char *const columns[] = { "module", "address" };
	struct cols cols;
	uint64_t row, id;

	cols_begin(&cols, reader, "locations", columns, 2);
	profile->location_count = profile_rows(profile, cols.table.row_count);
	profile->location_module = calloc(profile->location_count, sizeof(*profile->location_module));
	profile->location_address = calloc(profile->location_count, sizeof(*profile->location_address));
	if (!profile->location_module || !profile->location_address) {
		return PFC_ENOMEM;
	}
	while (cols_next(&cols)) {
		for (row = 0; row < cols.rows; row++) {
			id = cols.first_row + row;
			if (id > 0 && id < profile->location_count) {
				profile->location_module[id] =
					profile_id(profile, cols_id(&cols, 0, row), profile->module_count);
				profile->location_address[id] = (uint64_t)cols_int(&cols, 1, row, 0);
			}
		}
	}
	profile->cut |= cols.cut;
	return PFC_OK;
}

int profile_read_stacks(struct profile *profile, const struct pfc_reader *reader)
{
	static const char *const columns[] = { "parent", "location" };
	struct cols cols;
	uint64_t row, id;
	int status = read_locations(profile, reader);

	if (status != PFC_OK) {
		return status;
	}
	status = cols_begin(&cols, reader, "stacks", columns, 2);
	if (status != PFC_OK) {
		return status;
	}
	profile->stack_count = profile_rows(profile, cols.table.row_count);
	profile->parent = calloc(profile->stack_count, sizeof(*profile->parent));
	profile->stack_location = calloc(profile->stack_count, sizeof(*profile->stack_location));
	if (!profile->parent || !profile->stack_location) {
		return PFC_ENOMEM;
	}
	while (cols_next(&cols)) {
		for (row = 0; row < cols.rows; row++) {
			id = cols.first_row + row;
			if (id > 0 && id < profile->stack_count) {
				profile->parent[id] =
					profile_id(profile, cols_id(&cols, 0, row), (uint32_t)id);
				profile->stack_location[id] =
					profile_id(profile, cols_id(&cols, 1, row), profile->location_count);
			}
		}
	}
	profile->cut |= cols.cut;
	return PFC_OK;
}

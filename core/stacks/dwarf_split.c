/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_split.h"

#include <dwarf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/dwarf_entry.h"

/* The base of a list without one: behind the header of its section, which DWARF 4 did not have. */
static void set_bases(const struct dwarf_unit *skeleton, struct dwarf_unit *unit)
{
	uint64_t length = unit->offset_bytes == 8 ? 12 : 4;

	unit->addr_base = skeleton->addr_base;
	unit->low_pc = skeleton->low_pc;
	unit->ranges_base = skeleton->ranges_base;
	if (unit->version >= 5) {
		unit->str_offsets_base = unit->str_offsets_base != 0 ? unit->str_offsets_base : length + 4;
		unit->rnglists_base = unit->rnglists_base != 0 ? unit->rnglists_base : length + 8;
	}
	unit->has_root = true;
}

static int find_unit(struct dwarf_split *split, const struct dwarf_unit *skeleton)
{
	for (uint32_t i = 0; i < split->file.unit_count; i++) {
		struct dwarf_unit *unit = &split->file.units[i];
		struct dwarf_entry root;

		if (unit->type != DW_UT_split_compile && unit->type != DW_UT_compile) {
			continue;
		}
		if (dwarf_unit_root(&split->file, unit, &root) != 0 || unit->split_id != skeleton->split_id) {
			continue;
		}
		set_bases(skeleton, unit);
		split->unit = unit;
		return 0;
	}
	return PFC_ENOENT;
}

static int open_one(struct dwarf_file *main, const struct dwarf_unit *skeleton, int fd,
		    struct dwarf_split *split)
{
	struct stat stat;
	int status;

	split->image = (struct elf_image){ .fd = fd };
	if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
		return PFC_ENOENT;
	}
	split->image.bytes = (uint64_t)stat.st_size;
	status = dwarf_file_open_split(&split->image, main, skeleton->split_id, &split->file);
	return status == 0 ? find_unit(split, skeleton) : status;
}

int dwarf_split_open(const struct dwarf_request *request, struct dwarf_file *main,
		     struct dwarf_unit *skeleton, struct dwarf_split *ret)
{
	struct dwarf_entry root;
	const char *name;
	int status = dwarf_unit_root(main, skeleton, &root);

	memset(ret, 0, sizeof(*ret));
	ret->image.fd = -1;
	name = status == 0 ? dwarf_value_text(main, skeleton, &root.split_name) : NULL;
	if (name == NULL || request->open_split == NULL) {
		return status == 0 ? PFC_ENOENT : status;
	}
	/* The program's own collection first: it has them all. */
	for (int pass = 0; pass < 2; pass++) {
		int fd = request->open_split(request->ctx, pass == 0 ? NULL : name);

		if (fd < 0) {
			status = PFC_ENOENT;
			continue;
		}
		status = open_one(main, skeleton, fd, ret);
		if (status == 0 || status == PFC_ENOMEM) {
			return status;
		}
		dwarf_split_close(ret);
	}
	return status;
}

void dwarf_split_close(struct dwarf_split *split)
{
	dwarf_file_finish(&split->file);
	if (split->image.fd >= 0) {
		close(split->image.fd);
	}
	split->image.fd = -1;
}

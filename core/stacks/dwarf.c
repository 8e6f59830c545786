/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <profcore/status.h>

#include "base/str.h"
#include "stacks/hash.h"

#define DEBUG_BYTES_MAX (2ULL << 30) /* all debug sections, unpacked */
#define DEPTH_MAX       256          /* nesting of scopes; the deepest seen in real programs is about 60 */
#define SCOPES_MAX      (1U << 22)
#define CHECK_EVERY     1024 /* entries between looks at the clock */

/** A function that holds addresses of the unit: concrete or inlined. */
struct scope {
	Dwarf_Die die;
	uint32_t parent; /* 0: none */
	bool is_inlined;
};

/** Where one address lies. */
struct place {
	uint32_t unit;  /* index in units; UINT32_MAX: none */
	uint32_t scope; /* deepest found; 0: none */
	uint32_t depth;
	uint32_t next; /* address of the same unit; UINT32_MAX: the last */
};

/** A compilation unit that holds addresses. */
struct unit {
	Dwarf_Die die;
	uint32_t first; /* of its addresses */
};

struct batch {
	const struct dwarf_request *request;
	Dwarf *dwarf;
	struct place *places; /* one an address */
	struct unit *units;
	uint32_t unit_count, unit_room;
	struct scope *scopes; /* of the unit at hand; 0 is none */
	uint32_t scope_count, scope_room;
	uint32_t unit;         /* at hand */
	const char *directory; /* of that unit; NULL: not known */
	uint64_t entries;
	int status;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static bool is_late(struct batch *batch)
{
	if (batch->status == 0 && ++batch->entries % CHECK_EVERY == 0 &&
	    now_ns() > batch->request->deadline_ns) {
		batch->status = PFC_ETIMEDOUT;
	}
	return batch->status != 0;
}

/* The first address >= value. */
static uint32_t lower_bound(const struct dwarf_request *request, uint64_t value)
{
	uint32_t low = 0;
	uint32_t high = request->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (request->addresses[middle] < value) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Give the next unit every address of its ranges that no unit has yet. False: there was none. */
static bool claim_addresses(struct batch *batch, struct unit *unit)
{
	const struct dwarf_request *request = batch->request;
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;

	unit->first = UINT32_MAX;
	while (!is_late(batch) && (offset = dwarf_ranges(&unit->die, offset, &base, &start, &end)) > 0) {
		for (uint32_t i = lower_bound(request, start);
		     i < request->count && request->addresses[i] < end; i++) {
			if (batch->places[i].unit == UINT32_MAX) {
				batch->places[i].unit = batch->unit_count;
				batch->places[i].next = unit->first;
				unit->first = i;
			}
		}
	}
	return unit->first != UINT32_MAX;
}

static void find_units(struct batch *batch)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Half version;
	uint8_t type;
	struct unit found;

	while (!is_late(batch) &&
	       dwarf_get_units(batch->dwarf, unit, &unit, &version, &type, &found.die, NULL) == 0) {
		if (type == DW_UT_type || type == DW_UT_split_type || !claim_addresses(batch, &found)) {
			continue;
		}
		if (array_reserve(&batch->units, &batch->unit_room, (uint64_t)batch->unit_count + 1,
				  sizeof(*batch->units)) != 0) {
			batch->status = PFC_ENOMEM;
			return;
		}
		batch->units[batch->unit_count++] = found;
	}
}

/* A new scope when addresses of this unit lie in the entry's ranges; 0 when none do. */
static uint32_t claim_scope(struct batch *batch, Dwarf_Die *die, uint32_t parent, uint32_t depth,
			    bool is_block)
{
	const struct dwarf_request *request = batch->request;
	uint32_t scope = is_block ? parent : batch->scope_count;
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;
	bool any = false;

	while (!is_late(batch) && (offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
		for (uint32_t i = lower_bound(request, start);
		     i < request->count && request->addresses[i] < end; i++) {
			struct place *place = &batch->places[i];

			if (place->unit != batch->unit) {
				continue;
			}
			any = true;
			if (!is_block && depth >= place->depth) {
				place->scope = scope;
				place->depth = depth;
			}
		}
	}
	if (!any || is_block) {
		return any ? scope : 0;
	}
	if (batch->scope_count >= SCOPES_MAX ||
	    array_reserve(&batch->scopes, &batch->scope_room, (uint64_t)batch->scope_count + 1,
			  sizeof(*batch->scopes)) != 0) {
		batch->status = PFC_ENOMEM;
		return 0;
	}
	batch->scopes[batch->scope_count].die = *die;
	batch->scopes[batch->scope_count].parent = parent;
	batch->scopes[batch->scope_count].is_inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
	return batch->scope_count++;
}

/* Descend where addresses lie; with `everywhere` also into functions that hold none (local classes and lambdas are there). */
static void walk(struct batch *batch, Dwarf_Die *parent_die, uint32_t parent, uint32_t depth, bool everywhere)
{
	Dwarf_Die die;
	uint32_t scope;

	if (depth >= DEPTH_MAX || dwarf_child(parent_die, &die) != 0) {
		return;
	}
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_interface_type:
		case DW_TAG_enumeration_type: /* Rust hangs methods below them */
			walk(batch, &die, parent, depth + 1, everywhere);
			break;
		case DW_TAG_subprogram:
		case DW_TAG_inlined_subroutine:
			scope = claim_scope(batch, &die, parent, depth, false);
			if (scope != 0 || everywhere) {
				walk(batch, &die, scope, depth + 1, everywhere);
			}
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_try_block:
		case DW_TAG_catch_block:
			if (claim_scope(batch, &die, parent, depth, true) || everywhere) {
				walk(batch, &die, parent, depth + 1, everywhere);
			}
			break;
		default:
			break;
		}
	} while (!is_late(batch) && dwarf_siblingof(&die, &die) == 0);
}

static void take_names(Dwarf_Die *die, struct dwarf_frame *frame)
{
	Dwarf_Attribute attribute;

	frame->linkage_name = NULL;
	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) != NULL) {
		frame->linkage_name = dwarf_formstring(&attribute);
	}
	frame->name = dwarf_diename(die);
}

static void take_call_site(Dwarf_Die *unit, Dwarf_Die *die, struct dwarf_frame *caller)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	Dwarf_Files *files;
	size_t file_count;

	caller->file = NULL;
	caller->line = 0;
	if (dwarf_attr(die, DW_AT_call_line, &attribute) != NULL &&
	    dwarf_formudata(&attribute, &value) == 0) {
		caller->line = value <= UINT32_MAX ? (uint32_t)value : 0;
	}
	if (dwarf_attr(die, DW_AT_call_file, &attribute) != NULL &&
	    dwarf_formudata(&attribute, &value) == 0 && dwarf_getsrcfiles(unit, &files, &file_count) == 0 &&
	    value < file_count) {
		caller->file = dwarf_filesrc(files, value, NULL, NULL);
	}
}

static void take_line(Dwarf_Die *unit, uint64_t address, struct dwarf_frame *frame)
{
	Dwarf_Line *row = dwarf_getsrc_die(unit, address);
	int line = 0;

	frame->file = NULL;
	frame->line = 0;
	if (row != NULL && dwarf_lineno(row, &line) == 0 && line >= 0) {
		/* Line 0: code that the compiler made for no line in particular; the file is still right. */
		frame->file = dwarf_linesrc(row, NULL, NULL);
		frame->line = (uint32_t)line;
	}
}

/* Build the chain of one address, innermost first, then turn it round. */
static int report(struct batch *batch, uint32_t index)
{
	struct dwarf_frame inner_first[DWARF_CHAIN_MAX];
	struct dwarf_frame frames[DWARF_CHAIN_MAX];
	Dwarf_Die *unit = &batch->units[batch->unit].die;
	uint32_t scope = batch->places[index].scope;
	uint32_t count = 0;

	memset(inner_first, 0, sizeof(inner_first[0]));
	take_line(unit, batch->request->addresses[index], &inner_first[0]);
	while (scope != 0 && count < DWARF_CHAIN_MAX) {
		struct scope *at = &batch->scopes[scope];

		take_names(&at->die, &inner_first[count++]);
		if (!at->is_inlined || count == DWARF_CHAIN_MAX) {
			break;
		}
		take_call_site(unit, &at->die, &inner_first[count]);
		scope = at->parent;
	}
	if (count == 0 && inner_first[0].file == NULL) {
		return 0;
	}
	count = count > 0 ? count : 1;
	for (uint32_t i = 0; i < count; i++) {
		frames[i] = inner_first[count - 1 - i];
		frames[i].directory = batch->directory;
	}
	return batch->request->on_chain(batch->request->ctx, index, frames, count);
}

static const char *unit_directory(Dwarf_Die *unit)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(unit, DW_AT_comp_dir, &attribute) != NULL ? dwarf_formstring(&attribute) : NULL;
}

static bool lacks_scope(const struct batch *batch)
{
	uint32_t i = batch->units[batch->unit].first;

	while (i != UINT32_MAX && batch->places[i].scope != 0) {
		i = batch->places[i].next;
	}
	return i != UINT32_MAX;
}

static void walk_units(struct batch *batch)
{
	struct scope none = { .parent = 0 };

	for (batch->unit = 0; batch->unit < batch->unit_count && batch->status == 0; batch->unit++) {
		if (array_reserve(&batch->scopes, &batch->scope_room, 1, sizeof(none)) != 0) {
			batch->status = PFC_ENOMEM;
			return;
		}
		batch->directory = unit_directory(&batch->units[batch->unit].die);
		batch->scopes[0] = none;
		batch->scope_count = 1;
		walk(batch, &batch->units[batch->unit].die, 0, 1, false);
		if (lacks_scope(batch)) {
			walk(batch, &batch->units[batch->unit].die, 0, 1, true);
		}
		for (uint32_t i = batch->units[batch->unit].first; i != UINT32_MAX && !is_late(batch);
		     i = batch->places[i].next) {
			batch->status = report(batch, i);
		}
	}
}

/* Whether there is DWARF, readable and within bounds; before libdw allocates for it. */
static int check_sections(Elf *elf)
{
	Elf_Scn *section = NULL;
	size_t names = 0;
	uint64_t total = 0;
	bool any = false;

	if (elf_getshdrstrndx(elf, &names) != 0) {
		return PFC_ENOENT;
	}
	while ((section = elf_nextscn(elf, section)) != NULL) {
		GElf_Shdr header;
		GElf_Chdr packed;
		const char *name;

		if (gelf_getshdr(section, &header) == NULL || header.sh_type == SHT_NOBITS ||
		    (name = elf_strptr(elf, names, header.sh_name)) == NULL ||
		    (!str_starts(name, ".debug_") && !str_starts(name, ".zdebug_"))) {
			continue;
		}
		any = any || str_equal(name, ".debug_info") || str_equal(name, ".zdebug_info");
		if ((header.sh_flags & SHF_COMPRESSED) != 0 && gelf_getchdr(section, &packed) != NULL) {
			if (packed.ch_type != ELFCOMPRESS_ZLIB) {
				return PFC_ENOTSUP;
			}
			header.sh_size = packed.ch_size;
		}
		total += header.sh_size;
		if (header.sh_size > DEBUG_BYTES_MAX || total > DEBUG_BYTES_MAX) {
			return PFC_ENOSPC;
		}
	}
	return any ? 0 : PFC_ENOENT;
}

static int resolve(struct batch *batch)
{
	const struct dwarf_request *request = batch->request;

	batch->places = calloc(request->count > 0 ? request->count : 1, sizeof(*batch->places));
	if (batch->places == NULL) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < request->count; i++) {
		batch->places[i].unit = UINT32_MAX;
	}
	find_units(batch);
	walk_units(batch);
	return batch->status;
}

/* libelf reads files with pread, never by mmap: one that shrinks while it is read must be an error, not SIGBUS. */
static Elf *open_image(const struct elf_image *image)
{
	if (image->fd >= 0) {
		return elf_begin(image->fd, ELF_C_READ, NULL);
	}
	return elf_memory((char *)(uintptr_t)image->memory, image->bytes);
}

/** The file that .gnu_debugaltlink means. */
struct common {
	int fd;
	Elf *elf;
	Dwarf *dwarf;
};

static void close_common(struct common *common)
{
	dwarf_end(common->dwarf);
	elf_end(common->elf);
	if (common->fd >= 0) {
		close(common->fd);
	}
}

/* 0, also when none is needed; PFC_ENOTSUP. */
static int set_common(struct batch *batch, struct common *common)
{
	const struct dwarf_request *request = batch->request;
	char text[ELF_BUILD_ID_TEXT];
	const char *name;
	const void *build_id;
	ssize_t bytes = dwelf_dwarf_gnu_debugaltlink(batch->dwarf, &name, &build_id);

	if (bytes <= 0) {
		return bytes < 0 ? PFC_ECORRUPT : 0;
	}
	if (bytes > (ELF_BUILD_ID_TEXT - 1) / 2 || request->open_common == NULL) {
		return PFC_ENOTSUP;
	}
	for (ssize_t i = 0; i < bytes; i++) {
		snprintf(text + (size_t)2 * (size_t)i, 3, "%02x", ((const uint8_t *)build_id)[i]);
	}
	common->fd = request->open_common(request->ctx, text);
	common->elf = common->fd >= 0 ? elf_begin(common->fd, ELF_C_READ, NULL) : NULL;
	if (common->elf == NULL || check_sections(common->elf) != 0) {
		return PFC_ENOTSUP;
	}
	common->dwarf = dwarf_begin_elf(common->elf, DWARF_C_READ, NULL);
	if (common->dwarf == NULL) {
		return PFC_ENOTSUP;
	}
	dwarf_setalt(batch->dwarf, common->dwarf);
	return 0;
}

int dwarf_resolve(const struct dwarf_request *request)
{
	struct batch batch = { .request = request };
	struct common common = { .fd = -1 };
	Elf *elf;
	int status;

	elf_version(EV_CURRENT);
	elf = open_image(&request->image);
	if (elf == NULL) {
		return PFC_ECORRUPT;
	}
	status = check_sections(elf);
	if (status == 0) {
		batch.dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
		status = batch.dwarf != NULL ? set_common(&batch, &common) : PFC_ECORRUPT;
	}
	if (status == 0) {
		status = resolve(&batch);
	}
	free(batch.places);
	free(batch.units);
	free(batch.scopes);
	dwarf_end(batch.dwarf);
	close_common(&common);
	elf_end(elf);
	return status;
}

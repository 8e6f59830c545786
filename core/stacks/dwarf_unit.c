/* SPDX-License-Identifier: MIT */
/* Compilation units and what the codes of their entries mean. */
#include "stacks/dwarf_file.h"

#include <dwarf.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "stacks/hash.h"

#define UNITS_MAX      (1U << 20)
#define CODES_MAX      65536U
#define UNIT_BYTES_MAX (2ULL << 30)

/* The header at the cursor, which starts at `at`. */
static int read_header(struct dwarf_cursor *cursor, uint64_t at, struct dwarf_unit *ret)
{
	struct dwarf_unit unit = { .at = at, .offset_bytes = 4, .type = DW_UT_compile };
	const uint8_t *start = cursor->at;
	uint64_t bytes = cursor_number(cursor, 4);
	uint64_t address_bytes;

	if (bytes == 0xffffffff) {
		unit.offset_bytes = 8;
		bytes = cursor_number(cursor, 8);
	}
	if (cursor->is_bad || bytes > UNIT_BYTES_MAX) {
		return PFC_ECORRUPT;
	}
	unit.end = at + (uint64_t)(cursor->at - start) + bytes;
	unit.version = (uint8_t)cursor_number(cursor, 2);
	if (unit.version >= 5) {
		unit.type = (uint8_t)cursor_number(cursor, 1);
		address_bytes = cursor_number(cursor, 1);
		unit.abbrev_at = cursor_number(cursor, unit.offset_bytes);
		if (unit.type == DW_UT_skeleton || unit.type == DW_UT_split_compile) {
			unit.split_id = cursor_number(cursor, 8);
		}
		unit.is_skeleton = unit.type == DW_UT_skeleton;
		cursor_skip(cursor, unit.type == DW_UT_type || unit.type == DW_UT_split_type
					    ? 8U + unit.offset_bytes
					    : 0);
	} else {
		unit.abbrev_at = cursor_number(cursor, unit.offset_bytes);
		address_bytes = cursor_number(cursor, 1);
	}
	if (cursor->is_bad) {
		return PFC_ECORRUPT;
	}
	if (unit.version < 2 || unit.version > 5 || address_bytes != 8) {
		return PFC_ENOTSUP;
	}
	unit.header_bytes = (uint32_t)(cursor->at - start);
	*ret = unit;
	return unit.end >= at + unit.header_bytes ? 0 : PFC_ECORRUPT;
}

int dwarf_units_list(struct dwarf_file *file)
{
	struct dwarf_bytes *info = &file->parts[DWARF_INFO];
	uint8_t header[64];
	int status = 0;

	dwarf_file_load(file, info);
	if (info->has_failed) {
		return PFC_ECORRUPT;
	}
	for (uint64_t at = 0; at < info->bytes && status == 0;) {
		uint64_t bytes = info->bytes - at < sizeof(header) ? info->bytes - at : sizeof(header);
		const uint8_t *data = info->data != NULL ? info->data + at : header;
		struct dwarf_cursor cursor = { .at = data, .end = data + bytes };
		struct dwarf_unit unit;

		if (info->data == NULL && elf_read(file->image, info->offset + at, header, bytes) != 0) {
			return PFC_ECORRUPT;
		}
		status = read_header(&cursor, at, &unit);
		if (status == 0 && (unit.end > info->bytes || file->unit_count >= UNITS_MAX)) {
			status = PFC_ECORRUPT;
		}
		if (status == 0) {
			status = array_reserve(&file->units, &file->unit_room, (uint64_t)file->unit_count + 1,
					       sizeof(unit));
		}
		if (status == 0) {
			file->units[file->unit_count++] = unit;
			at = unit.end;
		}
	}
	return status;
}

struct dwarf_unit *dwarf_file_unit(struct dwarf_file *file, uint64_t offset)
{
	uint32_t low = 0;
	uint32_t high = file->unit_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (file->units[middle].end <= offset) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < file->unit_count && file->units[low].at <= offset ? &file->units[low] : NULL;
}

int dwarf_form_bytes(const struct dwarf_unit *unit, uint16_t form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_addr:
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return unit->offset_bytes;
	case DW_FORM_ref_addr:
		return unit->version == 2 ? 8 : unit->offset_bytes;
	case DW_FORM_block1:
	case DW_FORM_block2:
	case DW_FORM_block4:
	case DW_FORM_block:
	case DW_FORM_exprloc:
	case DW_FORM_string:
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		return -1;
	default:
		return -2; /* DW_FORM_indirect too: nobody writes it */
	}
}

/* The attributes of one code, up to the pair of zeros. */
static int read_attributes(struct dwarf_cursor *cursor, const struct dwarf_unit *unit,
			   struct dwarf_abbrevs *abbrevs, struct dwarf_abbrev *abbrev)
{
	abbrev->first = abbrevs->attribute_count;
	abbrev->is_fixed = true;
	for (;;) {
		struct dwarf_attribute attribute = { .value = 0 };
		uint64_t name = cursor_uleb(cursor);
		uint64_t form = cursor_uleb(cursor);
		int bytes;

		if (cursor->is_bad) {
			return PFC_ECORRUPT;
		}
		if (name == 0 && form == 0) {
			return 0;
		}
		if (form > UINT16_MAX || (bytes = dwarf_form_bytes(unit, (uint16_t)form)) == -2) {
			return PFC_ENOTSUP;
		}
		attribute.name = name <= UINT16_MAX ? (uint16_t)name : 0;
		attribute.form = (uint16_t)form;
		attribute.bytes = (int8_t)bytes;
		attribute.value = form == DW_FORM_implicit_const ? cursor_sleb(cursor) : 0;
		abbrev->is_fixed = abbrev->is_fixed && bytes >= 0;
		abbrev->fixed_bytes += bytes >= 0 ? (uint32_t)bytes : 0;
		if (array_reserve(&abbrevs->attributes, &abbrevs->attribute_room,
				  (uint64_t)abbrevs->attribute_count + 1, sizeof(attribute)) != 0) {
			return PFC_ENOMEM;
		}
		abbrevs->attributes[abbrevs->attribute_count++] = attribute;
		abbrev->count++;
	}
}

static int set_row(struct dwarf_abbrevs *abbrevs, uint64_t code, const struct dwarf_abbrev *abbrev)
{
	uint32_t before = abbrevs->room;

	if (code >= CODES_MAX) {
		return PFC_ENOTSUP;
	}
	if (array_reserve(&abbrevs->rows, &abbrevs->room, code + 1, sizeof(*abbrevs->rows)) != 0) {
		return PFC_ENOMEM;
	}
	memset(abbrevs->rows + before, 0, (abbrevs->room - before) * sizeof(*abbrevs->rows));
	abbrevs->rows[code] = *abbrev;
	abbrevs->count = abbrevs->count > code ? abbrevs->count : (uint32_t)code + 1;
	return 0;
}

static int read_abbrevs(struct dwarf_file *file, const struct dwarf_unit *unit, struct dwarf_abbrevs *abbrevs)
{
	struct dwarf_bytes *part = &file->parts[DWARF_ABBREV];
	const uint8_t *data = dwarf_file_bytes(file, DWARF_ABBREV, 0, part->bytes);
	struct dwarf_cursor cursor;
	int status = 0;

	if (data == NULL || unit->abbrev_at >= part->bytes) {
		return PFC_ECORRUPT;
	}
	cursor = (struct dwarf_cursor){ .at = data + unit->abbrev_at, .end = data + part->bytes };
	while (status == 0) {
		struct dwarf_abbrev abbrev = { .tag = 0 };
		uint64_t code = cursor_uleb(&cursor);
		uint64_t tag;

		if (cursor.is_bad || code == 0) {
			return cursor.is_bad ? PFC_ECORRUPT : 0;
		}
		tag = cursor_uleb(&cursor);
		abbrev.tag = tag > 0 && tag <= UINT16_MAX ? (uint16_t)tag : UINT16_MAX;
		abbrev.has_children = cursor_number(&cursor, 1) != 0;
		status = read_attributes(&cursor, unit, abbrevs, &abbrev);
		status = status == 0 ? set_row(abbrevs, code, &abbrev) : status;
	}
	return status;
}

int dwarf_unit_abbrevs(struct dwarf_file *file, struct dwarf_unit *unit)
{
	struct dwarf_abbrevs *abbrevs = file->abbrevs;
	int status;

	if (unit->abbrevs != NULL) {
		return 0;
	}
	/* The newest come first: units in a row that share a table find it at once. */
	for (int i = 0; abbrevs != NULL && i < 64; i++) {
		if (abbrevs->at == unit->abbrev_at && abbrevs->version == unit->version &&
		    abbrevs->offset_bytes == unit->offset_bytes) {
			unit->abbrevs = abbrevs;
			return 0;
		}
		abbrevs = abbrevs->next;
	}
	abbrevs = calloc(1, sizeof(*abbrevs));
	if (abbrevs == NULL) {
		return PFC_ENOMEM;
	}
	abbrevs->at = unit->abbrev_at;
	abbrevs->version = unit->version;
	abbrevs->offset_bytes = unit->offset_bytes;
	abbrevs->next = file->abbrevs;
	file->abbrevs = abbrevs;
	status = read_abbrevs(file, unit, abbrevs);
	if (status == 0) {
		unit->abbrevs = abbrevs;
	} else {
		abbrevs->at = UINT64_MAX;
	}
	return status;
}

int dwarf_unit_load(struct dwarf_file *file, struct dwarf_unit *unit)
{
	int status = dwarf_unit_abbrevs(file, unit);

	if (status != 0) {
		return status;
	}
	if (unit->data == NULL) {
		unit->data = dwarf_file_bytes(file, DWARF_INFO, unit->at, unit->end - unit->at);
	}
	return unit->data != NULL ? 0 : PFC_ECORRUPT;
}

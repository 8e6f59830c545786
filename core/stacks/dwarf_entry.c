/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_entry.h"

#include <dwarf.h>

#include <profcore/status.h>

#define ROOT_BYTES  512 /* that the first entry of a unit fits in, as a rule */
#define ORIGINS_MAX 16

void dwarf_value_read(const struct dwarf_unit *unit, const struct dwarf_attribute *attribute,
		      struct dwarf_cursor *cursor, struct dwarf_value *ret)
{
	ret->kind = DWARF_NO_VALUE;
	ret->number = attribute->bytes > 0 && attribute->bytes <= 8
			      ? cursor_number(cursor, (unsigned)attribute->bytes)
			      : 0;
	switch (attribute->form) {
	case DW_FORM_addr:
		ret->kind = DWARF_ADDRESS;
		return;
	case DW_FORM_addrx:
	case DW_FORM_GNU_addr_index:
		ret->number = cursor_uleb(cursor);
		ret->kind = DWARF_ADDRESS_INDEX;
		return;
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
		ret->kind = DWARF_ADDRESS_INDEX;
		return;
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4:
	case DW_FORM_data8:
	case DW_FORM_flag:
		ret->kind = DWARF_CONSTANT;
		return;
	case DW_FORM_udata:
		ret->number = cursor_uleb(cursor);
		ret->kind = DWARF_CONSTANT;
		return;
	case DW_FORM_sdata:
		ret->number = (uint64_t)cursor_sleb(cursor);
		ret->kind = DWARF_CONSTANT;
		return;
	case DW_FORM_implicit_const:
		ret->number = (uint64_t)attribute->value;
		ret->kind = DWARF_CONSTANT;
		return;
	case DW_FORM_sec_offset:
		ret->kind = DWARF_OFFSET;
		return;
	case DW_FORM_rnglistx:
		ret->number = cursor_uleb(cursor);
		ret->kind = DWARF_LIST_INDEX;
		return;
	case DW_FORM_ref_udata:
		ret->number = unit->at + cursor_uleb(cursor);
		ret->kind = DWARF_REFERENCE;
		return;
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
		ret->number += unit->at;
		ret->kind = DWARF_REFERENCE;
		return;
	case DW_FORM_ref_addr:
		ret->kind = DWARF_REFERENCE;
		return;
	case DW_FORM_string:
		ret->text = cursor_text(cursor);
		ret->kind = DWARF_TEXT;
		return;
	case DW_FORM_strp:
		ret->kind = DWARF_TEXT_OFFSET;
		return;
	case DW_FORM_line_strp:
		ret->kind = DWARF_LINE_TEXT_OFFSET;
		return;
	case DW_FORM_strx:
	case DW_FORM_GNU_str_index:
		ret->number = cursor_uleb(cursor);
		ret->kind = DWARF_TEXT_INDEX;
		return;
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
		ret->kind = DWARF_TEXT_INDEX;
		return;
	case DW_FORM_block1:
		cursor_skip(cursor, cursor_number(cursor, 1));
		return;
	case DW_FORM_block2:
		cursor_skip(cursor, cursor_number(cursor, 2));
		return;
	case DW_FORM_block4:
		cursor_skip(cursor, cursor_number(cursor, 4));
		return;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		cursor_skip(cursor, cursor_uleb(cursor));
		return;
	case DW_FORM_loclistx:
		cursor_uleb(cursor);
		return;
	case DW_FORM_data16:
		cursor_skip(cursor, 16);
		return;
	default:
		return;
	}
}

void dwarf_entry_skip(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
		      struct dwarf_cursor *cursor)
{
	const struct dwarf_attribute *attributes = unit->abbrevs->attributes + abbrev->first;
	struct dwarf_value ignored;

	if (abbrev->is_fixed) {
		cursor_skip(cursor, abbrev->fixed_bytes);
		return;
	}
	for (uint32_t i = 0; i < abbrev->count; i++) {
		if (attributes[i].bytes >= 0) {
			cursor_skip(cursor, (uint64_t)attributes[i].bytes);
		} else {
			dwarf_value_read(unit, &attributes[i], cursor, &ignored);
		}
	}
}

void dwarf_entry_read(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
		      struct dwarf_cursor *cursor, struct dwarf_entry *ret)
{
	const struct dwarf_attribute *attributes = unit->abbrevs->attributes + abbrev->first;

	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < abbrev->count; i++) {
		struct dwarf_value value = { .kind = DWARF_NO_VALUE };

		dwarf_value_read(unit, &attributes[i], cursor, &value);
		switch (attributes[i].name) {
		case DW_AT_low_pc:
			ret->low_pc = value;
			break;
		case DW_AT_high_pc:
			ret->high_pc = value;
			break;
		case DW_AT_ranges:
			ret->ranges = value;
			break;
		case DW_AT_name:
			ret->name = value;
			break;
		case DW_AT_linkage_name:
		case DW_AT_MIPS_linkage_name:
			ret->linkage_name = value;
			break;
		case DW_AT_comp_dir:
			ret->directory = value;
			break;
		case DW_AT_stmt_list:
			ret->lines = value;
			break;
		case DW_AT_addr_base:
		case DW_AT_GNU_addr_base:
			ret->addr_base = value;
			break;
		case DW_AT_str_offsets_base:
			ret->str_offsets_base = value;
			break;
		case DW_AT_GNU_ranges_base:
			ret->ranges_base = value;
			break;
		case DW_AT_dwo_name:
		case DW_AT_GNU_dwo_name:
			ret->split_name = value;
			break;
		case DW_AT_GNU_dwo_id:
			ret->split_id = value;
			break;
		case DW_AT_rnglists_base:
			ret->rnglists_base = value;
			break;
		case DW_AT_abstract_origin:
			ret->origin = value.kind == DWARF_REFERENCE ? value.number : 0;
			break;
		case DW_AT_specification:
			if (ret->origin == 0 && value.kind == DWARF_REFERENCE) {
				ret->origin = value.number;
			}
			break;
		case DW_AT_call_file:
			ret->call_file = value.kind == DWARF_CONSTANT ? value.number : 0;
			break;
		case DW_AT_call_line:
			ret->call_line = value.kind == DWARF_CONSTANT ? value.number : 0;
			break;
		default:
			break;
		}
	}
}

/* A number of `bytes` bytes in a section. */
bool dwarf_number_at(struct dwarf_file *file, enum dwarf_part part, uint64_t offset, unsigned bytes,
		     uint64_t *ret)
{
	const uint8_t *data = dwarf_file_bytes(file, part, offset, bytes);

	*ret = 0;
	if (data != NULL) {
		memcpy(ret, data, bytes);
	}
	return data != NULL;
}

bool dwarf_value_address(struct dwarf_file *file, const struct dwarf_unit *unit,
			 const struct dwarf_value *value, uint64_t *ret)
{
	*ret = value->number;
	if (value->kind == DWARF_ADDRESS_INDEX) {
		return value->number < UINT32_MAX &&
		       dwarf_number_at(file->main != NULL ? file->main : file, DWARF_ADDR,
				       unit->addr_base + value->number * 8, 8, ret);
	}
	return value->kind == DWARF_ADDRESS;
}

const char *dwarf_value_text(struct dwarf_file *file, const struct dwarf_unit *unit,
			     const struct dwarf_value *value)
{
	uint64_t offset;

	switch (value->kind) {
	case DWARF_TEXT:
		return value->text;
	case DWARF_TEXT_OFFSET:
		return dwarf_file_text(file, DWARF_STR, value->number);
	case DWARF_LINE_TEXT_OFFSET:
		return dwarf_file_text(file, DWARF_LINE_STR, value->number);
	case DWARF_TEXT_INDEX:
		return value->number < UINT32_MAX &&
				       dwarf_number_at(file, DWARF_STR_OFFSETS,
						       unit->str_offsets_base +
							       value->number * unit->offset_bytes,
						       unit->offset_bytes, &offset)
			       ? dwarf_file_text(file, DWARF_STR, offset)
			       : NULL;
	default:
		return NULL;
	}
}

/* Read the first entry from the bytes of its unit, as many as there are. */
static int read_root(const struct dwarf_unit *unit, const uint8_t *data, uint64_t bytes,
		     struct dwarf_entry *ret)
{
	struct dwarf_cursor cursor = { .at = data, .end = data + bytes };
	uint64_t code;

	cursor_skip(&cursor, unit->header_bytes);
	code = cursor_uleb(&cursor);
	if (cursor.is_bad || code == 0 || code >= unit->abbrevs->count ||
	    unit->abbrevs->rows[code].tag == 0) {
		return PFC_ECORRUPT;
	}
	dwarf_entry_read(unit, &unit->abbrevs->rows[code], &cursor, ret);
	return cursor.is_bad ? PFC_ECORRUPT : 0;
}

static void keep_root(struct dwarf_file *file, struct dwarf_unit *unit, const struct dwarf_entry *root)
{
	/* Without a base, GCC and clang mean the first list behind the header of the section. */
	unit->addr_base = root->addr_base.number;
	unit->str_offsets_base = root->str_offsets_base.number;
	unit->rnglists_base = root->rnglists_base.number;
	unit->ranges_base = root->ranges_base.number;
	if (unit->version < 5 && root->split_id.kind == DWARF_CONSTANT) {
		unit->split_id = root->split_id.number;
		unit->is_skeleton = root->split_name.kind != DWARF_NO_VALUE && file->main == NULL;
	}
	unit->has_lines = root->lines.kind != DWARF_NO_VALUE;
	unit->lines_at = root->lines.number;
	if (!dwarf_value_address(file, unit, &root->low_pc, &unit->low_pc)) {
		unit->low_pc = 0;
	}
}

int dwarf_unit_root(struct dwarf_file *file, struct dwarf_unit *unit, struct dwarf_entry *ret)
{
	const struct dwarf_bytes *info = &file->parts[DWARF_INFO];
	uint64_t bytes = unit->end - unit->at < ROOT_BYTES ? unit->end - unit->at : ROOT_BYTES;
	uint8_t piece[ROOT_BYTES];
	int status = dwarf_unit_abbrevs(file, unit);

	if (status != 0) {
		return status;
	}
	status = PFC_ECORRUPT;
	/* Its texts would be those of the piece: only a unit that is read whole keeps them. */
	if (unit->data == NULL && info->data == NULL &&
	    elf_read(file->image, info->offset + unit->at, piece, bytes) == 0) {
		status = read_root(unit, piece, bytes, ret);
		ret->directory.kind = DWARF_NO_VALUE;
		ret->name.kind = DWARF_NO_VALUE;
		ret->split_name.kind =
			ret->split_name.kind != DWARF_NO_VALUE ? DWARF_CONSTANT : DWARF_NO_VALUE;
	}
	if (status != 0) {
		status = dwarf_unit_load(file, unit);
		status = status == 0 ? read_root(unit, unit->data, unit->end - unit->at, ret) : status;
	}
	if (status == 0) {
		keep_root(file, unit, ret);
	}
	return status;
}

/* The entry at an offset of .debug_info. */
static bool read_entry(struct dwarf_file *file, uint64_t at, struct dwarf_unit **ret_unit,
		       struct dwarf_entry *ret)
{
	struct dwarf_unit *unit = dwarf_file_unit(file, at);
	struct dwarf_entry root;
	struct dwarf_cursor cursor;
	uint64_t code;

	if (unit == NULL || at < unit->at + unit->header_bytes || dwarf_unit_load(file, unit) != 0) {
		return false;
	}
	if (!unit->has_root) {
		unit->has_root = dwarf_unit_root(file, unit, &root) == 0;
	}
	cursor = (struct dwarf_cursor){ .at = unit->data + (at - unit->at),
					.end = unit->data + (unit->end - unit->at) };
	code = cursor_uleb(&cursor);
	if (cursor.is_bad || code >= unit->abbrevs->count || unit->abbrevs->rows[code].tag == 0) {
		return false;
	}
	dwarf_entry_read(unit, &unit->abbrevs->rows[code], &cursor, ret);
	*ret_unit = unit;
	return !cursor.is_bad;
}

void dwarf_entry_names(struct dwarf_file *file, uint64_t at, const char **ret_linkage_name,
		       const char **ret_name)
{
	struct dwarf_entry entry;
	struct dwarf_unit *unit;

	*ret_linkage_name = NULL;
	*ret_name = NULL;
	for (int i = 0; i < ORIGINS_MAX && at != 0; i++) {
		if (!read_entry(file, at, &unit, &entry)) {
			return;
		}
		if (*ret_linkage_name == NULL) {
			*ret_linkage_name = dwarf_value_text(file, unit, &entry.linkage_name);
		}
		if (*ret_name == NULL) {
			*ret_name = dwarf_value_text(file, unit, &entry.name);
		}
		at = entry.origin;
	}
}

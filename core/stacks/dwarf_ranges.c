/* SPDX-License-Identifier: MIT */
/* Where the code of an entry is: one range, or a list of them, as each version of DWARF writes it. */
#include "stacks/dwarf_entry.h"

#include <dwarf.h>

#define RANGES_MAX 1000000U

/* Pairs of addresses from the base; DWARF 2 to 4. */
static void old_ranges(struct dwarf_file *file, const struct dwarf_unit *unit, uint64_t offset,
		       dwarf_range_fn on_range, void *ctx)
{
	uint64_t bytes;
	uint64_t base = unit->low_pc;
	uint64_t start, end;

	if (file->main != NULL) { /* split off: the lists stayed with the program */
		file = file->main;
		offset += unit->ranges_base;
	}
	bytes = file->parts[DWARF_RANGES].bytes;

	for (uint32_t i = 0; i < RANGES_MAX && offset + 16 <= bytes && offset + 16 > offset;
	     i++, offset += 16) {
		if (!dwarf_number_at(file, DWARF_RANGES, offset, 8, &start) ||
		    !dwarf_number_at(file, DWARF_RANGES, offset + 8, 8, &end) || (start == 0 && end == 0)) {
			return;
		}
		if (start == UINT64_MAX) {
			base = end;
		} else if (base + start != 0 && start < end && !on_range(ctx, base + start, base + end)) {
			return;
		}
	}
}

/* One entry of a list. False: it was the last. */
static bool next_range(struct dwarf_file *file, const struct dwarf_unit *unit, struct dwarf_cursor *cursor,
		       uint64_t *base, uint64_t *ret_start, uint64_t *ret_end)
{
	struct dwarf_value first = { .kind = DWARF_ADDRESS_INDEX };
	struct dwarf_value second = { .kind = DWARF_ADDRESS_INDEX };

	*ret_start = *ret_end = 0;
	switch (cursor_number(cursor, 1)) {
	case DW_RLE_base_addressx:
		first.number = cursor_uleb(cursor);
		return dwarf_value_address(file, unit, &first, base);
	case DW_RLE_startx_endx:
		first.number = cursor_uleb(cursor);
		second.number = cursor_uleb(cursor);
		return dwarf_value_address(file, unit, &first, ret_start) &&
		       dwarf_value_address(file, unit, &second, ret_end);
	case DW_RLE_startx_length:
		first.number = cursor_uleb(cursor);
		if (!dwarf_value_address(file, unit, &first, ret_start)) {
			return false;
		}
		*ret_end = *ret_start + cursor_uleb(cursor);
		return true;
	case DW_RLE_offset_pair:
		*ret_start = *base + cursor_uleb(cursor);
		*ret_end = *base + cursor_uleb(cursor);
		return true;
	case DW_RLE_base_address:
		*base = cursor_number(cursor, 8);
		return true;
	case DW_RLE_start_end:
		*ret_start = cursor_number(cursor, 8);
		*ret_end = cursor_number(cursor, 8);
		return true;
	case DW_RLE_start_length:
		*ret_start = cursor_number(cursor, 8);
		*ret_end = *ret_start + cursor_uleb(cursor);
		return true;
	default:
		return false;
	}
}

static void new_ranges(struct dwarf_file *file, const struct dwarf_unit *unit, uint64_t offset,
		       dwarf_range_fn on_range, void *ctx)
{
	uint64_t bytes = file->parts[DWARF_RNGLISTS].bytes;
	const uint8_t *data = offset < bytes ? dwarf_file_bytes(file, DWARF_RNGLISTS, 0, bytes) : NULL;
	struct dwarf_cursor cursor;
	uint64_t base = unit->low_pc;
	uint64_t start, end;

	if (data == NULL) {
		return;
	}
	cursor =
		(struct dwarf_cursor){ .at = data + offset, .end = data + file->parts[DWARF_RNGLISTS].bytes };
	for (uint32_t i = 0; i < RANGES_MAX; i++) {
		if (!next_range(file, unit, &cursor, &base, &start, &end) || cursor.is_bad) {
			return;
		}
		if (start != 0 && start < end && !on_range(ctx, start, end)) {
			return;
		}
	}
}

void dwarf_entry_ranges(struct dwarf_file *file, const struct dwarf_unit *unit,
			const struct dwarf_entry *entry, dwarf_range_fn on_range, void *ctx)
{
	uint64_t start, end, offset = entry->ranges.number;

	if (entry->ranges.kind == DWARF_NO_VALUE) {
		if (!dwarf_value_address(file, unit, &entry->low_pc, &start) || start == 0) {
			return;
		}
		if (entry->high_pc.kind == DWARF_CONSTANT) {
			end = start + entry->high_pc.number;
		} else if (!dwarf_value_address(file, unit, &entry->high_pc, &end)) {
			return;
		}
		if (start < end) {
			on_range(ctx, start, end);
		}
		return;
	}
	if (unit->version < 5) {
		old_ranges(file, unit, offset, on_range, ctx);
		return;
	}
	if (entry->ranges.kind == DWARF_LIST_INDEX) {
		if (offset >= UINT32_MAX ||
		    !dwarf_number_at(file, DWARF_RNGLISTS, unit->rnglists_base + offset * unit->offset_bytes,
				     unit->offset_bytes, &offset)) {
			return;
		}
		offset += unit->rnglists_base;
	}
	new_ranges(file, unit, offset, on_range, ctx);
}

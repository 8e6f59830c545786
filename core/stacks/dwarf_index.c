/* SPDX-License-Identifier: MIT */
/* The index of a .dwp: a hash table of units' numbers, then which piece of each section is whose. Versions 5 and 2 (GNU's). */
#include <profcore/status.h>

#include "stacks/dwarf_split.h"

#define SECTIONS_MAX 16
#define UNITS_MAX    (1U << 20)
#define HEADER_BYTES 16

/* Which of our parts the columns of each version are about; 0: DWARF_INFO, by coincidence with its number; -1: none. */
static int part_of(uint32_t version, uint32_t column)
{
	switch (column) {
	case 1:
		return DWARF_INFO;
	case 3:
		return DWARF_ABBREV;
	case 4:
		return DWARF_LINE;
	case 6:
		return DWARF_STR_OFFSETS;
	case 8:
		return version == 5 ? DWARF_RNGLISTS : -1;
	default:
		return -1;
	}
}

static uint64_t number_at(const uint8_t *data, uint64_t at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, data + at, bytes);
	return value;
}

/* The row of a unit, from 1; 0: there is none. The table is probed as its makers fill it. */
static uint32_t find_row(const uint8_t *data, uint32_t slots, uint64_t id)
{
	uint32_t mask = slots - 1;
	uint32_t at = (uint32_t)id & mask;
	uint32_t step = ((uint32_t)(id >> 32) & mask) | 1;

	for (uint32_t i = 0; i < slots; i++, at = (at + step) & mask) {
		uint32_t row = (uint32_t)number_at(data, HEADER_BYTES + 8ULL * slots + 4ULL * at, 4);

		if (row == 0) {
			return 0;
		}
		if (number_at(data, HEADER_BYTES + 8ULL * at, 8) == id) {
			return row;
		}
	}
	return 0;
}

static bool narrow(struct dwarf_bytes *part, uint64_t offset, uint64_t bytes)
{
	if (part->is_packed || offset > part->bytes || bytes > part->bytes - offset) {
		return false;
	}
	part->offset += offset;
	part->bytes = bytes;
	return true;
}

static int narrow_all(struct dwarf_file *file, const uint8_t *data, uint64_t id)
{
	uint32_t version = (uint32_t)number_at(data, 0, 2);
	uint32_t sections = (uint32_t)number_at(data, 4, 4);
	uint32_t units = (uint32_t)number_at(data, 8, 4);
	uint32_t slots = (uint32_t)number_at(data, 12, 4);
	uint64_t table = HEADER_BYTES + 12ULL * slots;
	uint32_t row = find_row(data, slots, id);

	if (row == 0 || row > units) {
		return PFC_ENOENT;
	}
	for (uint32_t i = 0; i < sections; i++) {
		int part = part_of(version, (uint32_t)number_at(data, table + 4ULL * i, 4));
		uint64_t offsets = table + 4ULL * sections * row + 4ULL * i;
		uint64_t sizes = offsets + 4ULL * sections * units;

		if (part >= 0 &&
		    !narrow(&file->parts[part], number_at(data, offsets, 4), number_at(data, sizes, 4))) {
			return PFC_ECORRUPT;
		}
	}
	return 0;
}

int dwarf_index_narrow(struct dwarf_file *file, const struct dwarf_bytes *index, uint64_t id)
{
	uint8_t *data = index->bytes >= HEADER_BYTES && !index->is_packed
				? dwarf_file_room(file, index->bytes)
				: NULL;
	uint64_t version, sections, units, slots;

	if (data == NULL || elf_read(file->image, index->offset, data, index->bytes) != 0) {
		return PFC_ECORRUPT;
	}
	version = number_at(data, 0, 2);
	sections = number_at(data, 4, 4);
	units = number_at(data, 8, 4);
	slots = number_at(data, 12, 4);
	if ((version != 5 && version != 2) || sections > SECTIONS_MAX || units > UNITS_MAX || slots == 0 ||
	    slots > 4 * UNITS_MAX || (slots & (slots - 1)) != 0 ||
	    HEADER_BYTES + 12 * slots + 4 * sections * (1 + 2 * units) > index->bytes) {
		return PFC_ECORRUPT;
	}
	return narrow_all(file, data, id);
}

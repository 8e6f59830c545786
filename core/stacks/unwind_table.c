/* SPDX-License-Identifier: MIT */
#include "stacks/unwind_table.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

void unwind_table_finish(struct unwind_table *table)
{
	free(table->owned);
	free(table->pages);
	free(table->lines);
	free(table->rules);
	free(table->entries);
	hash_finish(&table->rule_index);
	memset(table, 0, sizeof(*table));
}

const struct unwind_rule *unwind_table_find(const struct unwind_table *table, uint64_t address)
{
	uint64_t distance = address - table->base;
	uint16_t at = (uint16_t)(distance % UNWIND_PAGE);
	uint32_t low, high;

	if (address < table->base || distance / UNWIND_PAGE >= table->page_count) {
		return &table->rules[0];
	}
	low = table->pages[distance / UNWIND_PAGE];
	high = table->pages[distance / UNWIND_PAGE + 1];
	/* The number of lines at or before the address: those of earlier pages count too. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->lines[middle].at <= at) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0 ? &table->rules[table->lines[low - 1].rule] : &table->rules[0];
}

static int compare_index(const void *a, const void *b)
{
	const struct unwind_index *left = a;
	const struct unwind_index *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

static int index_entries(struct unwind_table *table)
{
	struct cfi_common common = { .offset = UINT64_MAX };
	uint64_t offset = 0;
	int status = 0;

	while (status >= 0) {
		uint64_t at = offset;
		struct cfi_entry entry;

		status = cfi_next(&table->section, &offset, &common, &entry);
		if (status != 1) {
			continue;
		}
		if (table->entry_count >= UNWIND_ENTRIES_MAX ||
		    array_reserve(&table->entries, &table->entry_room, (uint64_t)table->entry_count + 1,
				  sizeof(*table->entries)) != 0) {
			return PFC_ENOMEM;
		}
		table->entries[table->entry_count].start = entry.start;
		table->entries[table->entry_count++].offset = at;
	}
	if (table->entry_count > 1) {
		qsort(table->entries, table->entry_count, sizeof(*table->entries), compare_index);
	}
	table->has_entries = true;
	return 0;
}

static int find_entry(struct unwind_table *table, uint64_t address, struct cfi_common *common,
		      struct cfi_entry *ret)
{
	uint32_t low = 0;
	uint32_t high;
	uint64_t offset;
	int status = table->has_entries ? 0 : index_entries(table);

	if (status != 0) {
		return status;
	}
	for (high = table->entry_count; low < high;) {
		uint32_t middle = low + (high - low) / 2;

		if (table->entries[middle].start <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == 0) {
		return PFC_ENOENT;
	}
	offset = table->entries[low - 1].offset;
	status = cfi_next(&table->section, &offset, common, ret);
	return status == 1 ? 0 : status == 0 ? PFC_ECORRUPT : status;
}

int unwind_table_row(struct unwind_table *table, uint64_t address, struct cfi_row *ret)
{
	struct cfi_common common = { .offset = UINT64_MAX };
	struct cfi_entry entry;
	int status = find_entry(table, address, &common, &entry);

	if (status == 0 && address >= entry.end && address < entry.end + UNWIND_GAP) {
		address = entry.end - 1;
	}
	return status == 0 ? cfi_find(&table->section, &entry, &common, address, ret) : status;
}

bool unwind_table_function(struct unwind_table *table, uint64_t address, uint64_t *ret_start,
			   uint64_t *ret_end)
{
	struct cfi_common common = { .offset = UINT64_MAX };
	struct cfi_entry entry;

	if (find_entry(table, address, &common, &entry) != 0 || address >= entry.end) {
		return false;
	}
	*ret_start = entry.start;
	*ret_end = entry.end;
	return true;
}

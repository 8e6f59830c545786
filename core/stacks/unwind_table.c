/* SPDX-License-Identifier: MIT */
#include "stacks/unwind_table.h"

#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/elf_section.h"

#define SECTION_BYTES_MAX (256ULL << 20)
#define ENTRIES_MAX       (1U << 24)
#define SPAN_MAX          (4ULL << 30) /* of the code that one table covers */
#define PAGE              4096ULL
#define GAP_FILLED                                                                                           \
	15 /* bytes between functions that belong to the one before: padding, and calls that do not return */
#define RULE_ESCAPE 1

struct compile {
	struct unwind_table *table;
	struct cfi_entry *entries;
	uint32_t entry_count, entry_room;
	uint64_t limit;        /* the next entry's start: rows are cut there */
	uint64_t next_address; /* where the last row ended */
	uint32_t page_at;
	int last_rule; /* of the last line; -1: none */
};

static int compare_entries(const void *a, const void *b)
{
	const struct cfi_entry *left = a;
	const struct cfi_entry *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

static int list_entries(struct compile *compile)
{
	struct cfi_common common = { .offset = UINT64_MAX };
	uint64_t offset = 0;
	bool sorted = true;
	int status;

	for (;;) {
		struct cfi_entry entry;

		status = cfi_next(&compile->table->section, &offset, &common, &entry);
		if (status < 0) {
			break; /* the end, or nonsense: what came before is used */
		}
		if (status == 0) {
			continue;
		}
		if (compile->entry_count >= ENTRIES_MAX ||
		    array_reserve(&compile->entries, &compile->entry_room, (uint64_t)compile->entry_count + 1,
				  sizeof(entry)) != 0) {
			return PFC_ENOMEM;
		}
		sorted = sorted && (compile->entry_count == 0 ||
				    compile->entries[compile->entry_count - 1].start <= entry.start);
		compile->entries[compile->entry_count++] = entry;
	}
	if (!sorted) {
		qsort(compile->entries, compile->entry_count, sizeof(*compile->entries), compare_entries);
	}
	return compile->entry_count > 0 ? 0 : PFC_ENOENT;
}

/* The expression of PLT entries, whose push comes 6, 10 or 11 bytes in: returns that number, 0 for any other expression. */
static uint8_t plt_push(const struct cfi_section *section, uint64_t place)
{
	static const uint8_t before[] = { 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and };
	static const uint8_t after[] = { DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus };
	const uint8_t *at = section->data + place;

	if (section->bytes - place < sizeof(before) + 1 + sizeof(after) ||
	    memcmp(at, before, sizeof(before)) != 0 ||
	    memcmp(at + sizeof(before) + 1, after, sizeof(after)) != 0 || at[sizeof(before)] <= DW_OP_lit0 ||
	    at[sizeof(before)] > DW_OP_lit15) {
		return 0;
	}
	return at[sizeof(before)] - DW_OP_lit0;
}

/* What a row says of rip, rsp and rbp; an escape when the plain kinds cannot say it. */
static struct unwind_rule rule_of(const struct cfi_section *section, const struct cfi_row *row)
{
	const struct cfi_rule *rip = &row->rules[CFI_RIP];
	const struct cfi_rule *rbp = &row->rules[CFI_RBP];
	struct unwind_rule rule = { .cfa = UNWIND_ESCAPE };

	if (rip->how == CFI_UNDEFINED) {
		rule.cfa = UNWIND_ROOT;
		return rule;
	}
	if (rip->how != CFI_AT || rip->offset != -8 || row->is_signal_frame ||
	    row->rules[CFI_RSP].how > CFI_SAME) {
		return rule;
	}
	if (row->has_cfa_expression) {
		rule.cfa_offset = rbp->how <= CFI_SAME ? plt_push(section, (uint32_t)row->cfa_offset) : 0;
		rule.cfa = rule.cfa_offset > 0 ? UNWIND_PLT : UNWIND_ESCAPE;
		return rule;
	}
	if (row->cfa_register != CFI_RSP && row->cfa_register != CFI_RBP) {
		return rule;
	}
	if (rbp->how == CFI_AT) {
		rule.rbp = UNWIND_RBP_SAVED;
		rule.rbp_offset = rbp->offset;
	} else if (rbp->how == CFI_UNDEFINED) {
		rule.rbp = UNWIND_RBP_GONE;
	} else if (rbp->how > CFI_SAME) {
		return rule;
	}
	rule.cfa = row->cfa_register == CFI_RSP ? UNWIND_RSP : UNWIND_RBP;
	rule.cfa_offset = row->cfa_offset;
	return rule;
}

static int intern_rule(struct unwind_table *table, const struct unwind_rule *rule, uint16_t *ret)
{
	uint32_t value = hash_mix((uint64_t)(uint32_t)rule->cfa_offset << 32 ^ (uint32_t)rule->rbp_offset ^
				  (uint64_t)rule->cfa << 60 ^ (uint64_t)rule->rbp << 56);
	uint32_t at, row;

	if (hash_reserve(&table->rule_index) != 0) {
		return PFC_ENOMEM;
	}
	for (at = hash_first(&table->rule_index, value);; at = hash_next(&table->rule_index, at)) {
		row = hash_row(&table->rule_index, at);
		if (row == HASH_NONE) {
			break;
		}
		if (memcmp(&table->rules[row], rule, sizeof(*rule)) == 0) {
			*ret = (uint16_t)row;
			return 0;
		}
	}
	if (table->rule_count > UINT16_MAX) {
		*ret = RULE_ESCAPE; /* more kinds than numbers: slower, still right */
		return 0;
	}
	if (array_reserve(&table->rules, &table->rule_room, (uint64_t)table->rule_count + 1, sizeof(*rule)) !=
	    0) {
		return PFC_ENOMEM;
	}
	table->rules[table->rule_count] = *rule;
	hash_take(&table->rule_index, at, value, table->rule_count);
	*ret = (uint16_t)table->rule_count++;
	return 0;
}

static int add_line(struct compile *compile, uint64_t address, uint16_t rule)
{
	struct unwind_table *table = compile->table;
	uint32_t page = (uint32_t)((address - table->base) / PAGE);

	if (compile->last_rule == rule) {
		return 0;
	}
	if (array_reserve(&table->lines, &table->line_room, (uint64_t)table->line_count + 1,
			  sizeof(*table->lines)) != 0) {
		return PFC_ENOMEM;
	}
	while (compile->page_at <= page) {
		table->pages[compile->page_at++] = table->line_count;
	}
	table->lines[table->line_count].at = (uint16_t)((address - table->base) % PAGE);
	table->lines[table->line_count++].rule = rule;
	compile->last_rule = rule;
	return 0;
}

static int take_row(void *ctx, const struct cfi_row *row)
{
	struct compile *compile = ctx;
	struct unwind_rule rule;
	uint64_t start = row->start > compile->next_address ? row->start : compile->next_address;
	uint64_t end = row->end < compile->limit ? row->end : compile->limit;
	uint16_t number;
	int status;

	if (start >= end) {
		return 0;
	}
	rule = rule_of(&compile->table->section, row);
	status = intern_rule(compile->table, &rule, &number);
	if (status == 0) {
		status = add_line(compile, start, number);
	}
	compile->next_address = end;
	return status;
}

static int compile_entries(struct compile *compile)
{
	struct cfi_common common = { .offset = UINT64_MAX };
	int status = 0;

	for (uint32_t i = 0; i < compile->entry_count && status == 0; i++) {
		const struct cfi_entry *entry = &compile->entries[i];

		compile->limit = i + 1 < compile->entry_count ? compile->entries[i + 1].start : UINT64_MAX;
		if (entry->start > compile->next_address + GAP_FILLED && compile->table->line_count > 0) {
			status = add_line(compile, compile->next_address, 0);
		}
		if (status == 0) {
			status = cfi_run(&compile->table->section, entry, &common, take_row, compile);
			status = status == PFC_ECORRUPT ? 0 : status;
		}
	}
	return status == 0 ? add_line(compile, compile->next_address, 0) : status;
}

/* Entries of discarded code lie at 0 and would stretch the table: those too far below the last are left out. */
static void drop_far(struct compile *compile)
{
	uint64_t last = compile->entries[compile->entry_count - 1].start;
	uint32_t first = 0;

	while (last - compile->entries[first].start > SPAN_MAX - (PAGE << 8)) {
		first++;
	}
	compile->entry_count -= first;
	memmove(compile->entries, compile->entries + first, compile->entry_count * sizeof(*compile->entries));
}

static int make_pages(struct compile *compile)
{
	struct unwind_table *table = compile->table;
	uint64_t end = 0;

	drop_far(compile);
	for (uint32_t i = 0; i < compile->entry_count; i++) {
		end = compile->entries[i].end > end ? compile->entries[i].end : end;
	}
	table->base = compile->entries[0].start & ~(PAGE - 1);
	if (end - table->base > SPAN_MAX) {
		return PFC_ENOSPC;
	}
	table->page_count = (uint32_t)((end - table->base) / PAGE + 1);
	table->pages = malloc(((size_t)table->page_count + 1) * sizeof(*table->pages));
	return table->pages != NULL ? 0 : PFC_ENOMEM;
}

static int fixed_rules(struct unwind_table *table)
{
	struct unwind_rule none = { .cfa = UNWIND_NONE };
	struct unwind_rule escape = { .cfa = UNWIND_ESCAPE };
	uint16_t number;
	int status = intern_rule(table, &none, &number);

	return status == 0 ? intern_rule(table, &escape, &number) : status;
}

int unwind_table_compile(const struct cfi_section *section, void *owned, struct unwind_table *ret)
{
	struct unwind_table table = { .section = *section, .owned = owned };
	struct compile compile = { .table = &table, .last_rule = -1 };
	int status = fixed_rules(&table);

	if (status == 0) {
		status = list_entries(&compile);
	}
	if (status == 0) {
		status = make_pages(&compile);
	}
	if (status == 0) {
		compile.next_address = table.base;
		status = compile_entries(&compile);
	}
	free(compile.entries);
	if (status != 0) {
		unwind_table_finish(&table);
		return status;
	}
	while (compile.page_at <= table.page_count) {
		table.pages[compile.page_at++] = table.line_count;
	}
	*ret = table;
	return 0;
}

/* By the section headers. */
static int find_section(const struct elf_image *image, const struct elf_headers *headers, const char *name,
			struct elf_section *ret)
{
	struct elf_sections sections;
	const struct elf_section *found;
	int status = elf_sections_read(image, headers, &sections);

	if (status != 0) {
		return status;
	}
	found = elf_sections_find(&sections, name);
	if (found != NULL && (found->flags & SHF_COMPRESSED) == 0) {
		*ret = *found;
	} else {
		status = PFC_ENOENT;
	}
	elf_sections_finish(&sections);
	return status;
}

/* A file without section headers: by what the loader itself goes by, .eh_frame_hdr; up to the end of that segment. */
static int find_by_segment(const struct elf_image *image, const struct elf_headers *headers,
			   struct elf_section *ret)
{
	uint8_t hdr[8];
	uint64_t offset;
	int32_t distance;

	if (headers->eh_frame_hdr_bytes < sizeof(hdr) ||
	    !elf_offset_of_vaddr(headers, headers->eh_frame_hdr_vaddr, sizeof(hdr), &offset) ||
	    elf_read(image, offset, hdr, sizeof(hdr)) != 0 || hdr[0] != 1 ||
	    hdr[1] != (DW_EH_PE_pcrel | DW_EH_PE_sdata4)) {
		return PFC_ENOENT;
	}
	memcpy(&distance, hdr + 4, sizeof(distance));
	memset(ret, 0, sizeof(*ret));
	ret->vaddr = headers->eh_frame_hdr_vaddr + 4 + (uint64_t)(int64_t)distance;
	for (uint32_t i = 0; i < headers->segment_count; i++) {
		const struct elf_segment *segment = &headers->segments[i];
		uint64_t within = ret->vaddr - segment->vaddr;

		if (ret->vaddr >= segment->vaddr && within < segment->file_bytes) {
			ret->offset = segment->offset + within;
			ret->bytes = segment->file_bytes - within;
			return 0;
		}
	}
	return PFC_ENOENT;
}

/* .eh_frame is what runs by; .debug_frame has all there is in files made without it. */
int unwind_table_read(const struct elf_image *image, const struct elf_headers *headers,
		      struct unwind_table *ret)
{
	struct cfi_section section = { 0 };
	struct elf_section found;
	uint8_t *data;
	int status;

	if (headers->machine != EM_X86_64) {
		return PFC_ENOTSUP;
	}
	status = find_section(image, headers, ".eh_frame", &found);
	if (status == PFC_ENOENT && headers->section_count == 0) {
		status = find_by_segment(image, headers, &found);
	} else if (status == PFC_ENOENT) {
		status = find_section(image, headers, ".debug_frame", &found);
		section.is_debug_frame = true;
	}
	if (status == 0) {
		status = elf_section_bytes(image, &found, SECTION_BYTES_MAX, &data);
	}
	if (status != 0) {
		return status;
	}
	section.data = data;
	section.bytes = found.bytes;
	section.vaddr = section.is_debug_frame ? 0 : found.vaddr;
	return unwind_table_compile(&section, data, ret);
}

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
	uint16_t at = (uint16_t)(distance % PAGE);
	uint32_t low, high;

	if (address < table->base || distance / PAGE >= table->page_count) {
		return &table->rules[0];
	}
	low = table->pages[distance / PAGE];
	high = table->pages[distance / PAGE + 1];
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
		if (table->entry_count >= ENTRIES_MAX ||
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

	if (status == 0 && address >= entry.end && address < entry.end + GAP_FILLED) {
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

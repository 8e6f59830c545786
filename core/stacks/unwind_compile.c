/* SPDX-License-Identifier: MIT */
/* Call frame information compiled to a table: entries in order, rows cut where the next begins, each rule once. */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/unwind_table.h"

#define SPAN_MAX    (4ULL << 30) /* of the code that one table covers */
#define RULE_ESCAPE 1
#define RECENT      256 /* rules found without the index */
#define COMMONS     8   /* common entries kept while functions are compiled: those of C++ come in turns */

struct compile {
	struct unwind_table *table;
	struct cfi_entry *entries;
	uint32_t entry_count, entry_room;
	uint64_t limit;        /* the next entry's start: rows are cut there */
	uint64_t next_address; /* where the last row ended */
	uint32_t page_at;
	int last_rule; /* of the last line; -1: none */
	uint16_t recent[RECENT];
	struct cfi_common commons[COMMONS];
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
		if (compile->entry_count >= UNWIND_ENTRIES_MAX ||
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

static inline bool same_rule(const struct unwind_rule *a, const struct unwind_rule *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
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
		if (same_rule(&table->rules[row], rule)) {
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

/* Most functions say the same few things. The number kept in a slot may be any rule's: it counts only if that rule is the same. */
static int number_rule(struct compile *compile, const struct unwind_rule *rule, uint16_t *ret)
{
	uint32_t mixed = (uint32_t)rule->cfa_offset / 8 + (uint32_t)rule->rbp_offset * 2 + rule->cfa * 64U;
	uint16_t *recent = &compile->recent[mixed % RECENT];
	int status = 0;

	if (!same_rule(&compile->table->rules[*recent], rule)) {
		status = intern_rule(compile->table, rule, recent);
	}
	*ret = *recent;
	return status;
}

static int add_line(struct compile *compile, uint64_t address, uint16_t rule)
{
	struct unwind_table *table = compile->table;
	uint32_t page = (uint32_t)((address - table->base) / UNWIND_PAGE);

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
	table->lines[table->line_count].at = (uint16_t)((address - table->base) % UNWIND_PAGE);
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
	compile->next_address = end;
	if (compile->last_rule >= 0 && same_rule(&compile->table->rules[compile->last_rule], &rule)) {
		return 0;
	}
	status = number_rule(compile, &rule, &number);
	return status == 0 ? add_line(compile, start, number) : status;
}

static int compile_entries(struct compile *compile)
{
	int status = 0;

	for (int i = 0; i < COMMONS; i++) {
		compile->commons[i].offset = UINT64_MAX;
	}
	for (uint32_t i = 0; i < compile->entry_count && status == 0; i++) {
		const struct cfi_entry *entry = &compile->entries[i];
		struct cfi_common *common = &compile->commons[entry->common / 8 % COMMONS];

		compile->limit = i + 1 < compile->entry_count ? compile->entries[i + 1].start : UINT64_MAX;
		if (entry->start > compile->next_address + UNWIND_GAP && compile->table->line_count > 0) {
			status = add_line(compile, compile->next_address, 0);
		}
		if (status == 0) {
			status = cfi_run(&compile->table->section, entry, common, take_row, compile);
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

	while (last - compile->entries[first].start > SPAN_MAX - (UNWIND_PAGE << 8)) {
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
	table->base = compile->entries[0].start & ~(UNWIND_PAGE - 1);
	if (end - table->base > SPAN_MAX) {
		return PFC_ENOSPC;
	}
	table->page_count = (uint32_t)((end - table->base) / UNWIND_PAGE + 1);
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

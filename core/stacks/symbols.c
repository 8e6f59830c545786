/* SPDX-License-Identifier: MIT */
#include "stacks/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* The largest programs known have some 10 million symbols; more is an attack. */
#define SYMBOL_BYTES_MAX (512ULL << 20)
#define NAME_BYTES_MAX   (1ULL << 30)
#define LOOK_BACK        64
#define LAST_BYTES       4096 /* of the last symbol, if it has no size and no next one: a BPF program, often */

static uint8_t rank_of(const Elf64_Sym *symbol, const char *name)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);
	unsigned binding = ELF64_ST_BIND(symbol->st_info);
	uint8_t rank = 0;

	rank += type != STT_NOTYPE ? 16 : 0;
	rank += symbol->st_size > 0 ? 8 : 0;
	rank += binding == STB_GLOBAL ? 4 : binding == STB_WEAK ? 2 : 0;
	/* Of aliases the one that people write: fewer leading underscores. */
	rank += name[0] != '_' ? 1 : 0;
	return rank;
}

static bool is_code(const Elf64_Sym *symbol, const struct elf_sections *sections)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0) {
		return false;
	}
	if (type == STT_FUNC || type == STT_GNU_IFUNC) {
		return true;
	}
	return type == STT_NOTYPE && symbol->st_shndx < sections->count &&
	       (sections->rows[symbol->st_shndx].flags & SHF_EXECINSTR) != 0;
}

static int compare_symbols(const void *a, const void *b)
{
	const struct symbol *left = a;
	const struct symbol *right = b;

	if (left->address != right->address) {
		return left->address < right->address ? -1 : 1;
	}
	if (left->rank != right->rank) {
		return left->rank > right->rank ? -1 : 1;
	}
	return left->name < right->name ? -1 : left->name > right->name;
}

void symbols_sort(struct symbols *symbols)
{
	uint32_t kept = 0;

	if (symbols->count == 0) {
		return;
	}
	qsort(symbols->rows, symbols->count, sizeof(*symbols->rows), compare_symbols);
	for (uint32_t i = 1; i < symbols->count; i++) {
		if (symbols->rows[i].address != symbols->rows[kept].address) {
			symbols->rows[++kept] = symbols->rows[i];
		}
	}
	symbols->count = kept + 1;
}

/* names_at: where the table's names begin in symbols->names; names_end: one past their last. */
static void take_symbols(struct symbols *symbols, const Elf64_Sym *table, uint64_t count,
			 const struct elf_sections *sections, uint64_t names_at, uint64_t names_end)
{
	for (uint64_t i = 0; i < count; i++) {
		const Elf64_Sym *from = &table[i];
		struct symbol *to = &symbols->rows[symbols->count];
		const char *name;

		if (!is_code(from, sections) || from->st_name >= names_end - names_at) {
			continue;
		}
		name = symbols->names + names_at + from->st_name;
		/* Mapping symbols ($x) and assembler labels (.L) name no function. */
		if (name[0] == '\0' || name[0] == '$' || (name[0] == '.' && name[1] == 'L')) {
			continue;
		}
		to->address = from->st_value;
		to->bytes = from->st_size;
		to->limit = from->st_shndx < sections->count ? sections->rows[from->st_shndx].vaddr +
								       sections->rows[from->st_shndx].bytes
							     : 0;
		to->name = (uint32_t)(names_at + from->st_name);
		to->rank = rank_of(from, name);
		symbols->count++;
	}
}

/* Room for more rows and more names behind those that are there. */
static int grow(struct symbols *symbols, uint64_t rows, uint64_t name_bytes)
{
	struct symbol *larger;
	char *names;

	if (symbols->count + rows > SYMBOL_BYTES_MAX / sizeof(Elf64_Sym) ||
	    symbols->name_bytes + name_bytes > NAME_BYTES_MAX) {
		return PFC_ENOSPC;
	}
	larger = realloc(symbols->rows, (symbols->count + rows + 1) * sizeof(*symbols->rows));
	if (larger == NULL) {
		return PFC_ENOMEM;
	}
	symbols->rows = larger;
	names = realloc(symbols->names, symbols->name_bytes + name_bytes + 1);
	if (names == NULL) {
		return PFC_ENOMEM;
	}
	symbols->names = names;
	return 0;
}

static int add_table(const struct elf_image *image, const struct elf_sections *sections,
		     const struct elf_section *section, struct symbols *symbols)
{
	const struct elf_section *names = &sections->rows[section->link];
	uint64_t count = section->bytes / sizeof(Elf64_Sym);
	uint64_t names_at = symbols->name_bytes;
	uint8_t *table;
	int status = elf_section_bytes(image, section, SYMBOL_BYTES_MAX, &table);

	if (status != 0) {
		return status;
	}
	status = names->bytes <= image->bytes ? grow(symbols, count, names->bytes + 1) : PFC_ECORRUPT;
	if (status == 0) {
		status = elf_read(image, names->offset, symbols->names + names_at, names->bytes);
	}
	if (status == 0) {
		symbols->name_bytes += names->bytes + 1;
		symbols->names[symbols->name_bytes - 1] = '\0';
		take_symbols(symbols, (const Elf64_Sym *)(void *)table, count, sections, names_at,
			     names_at + names->bytes);
		symbols_sort(symbols);
	}
	free(table);
	return status == 0 && symbols->count == 0 ? PFC_ENOENT : status;
}

int symbols_add(const struct elf_image *image, const struct elf_sections *sections, uint32_t table_type,
		struct symbols *symbols)
{
	for (uint32_t i = 0; i < sections->count; i++) {
		const struct elf_section *section = &sections->rows[i];

		if (section->type == table_type) {
			return section->link < sections->count ? add_table(image, sections, section, symbols)
							       : PFC_ECORRUPT;
		}
	}
	return PFC_ENOENT;
}

void symbols_finish(struct symbols *symbols)
{
	free(symbols->rows);
	free(symbols->names);
	memset(symbols, 0, sizeof(*symbols));
}

/* How many symbols start at or below an address. */
static uint32_t count_up_to(const struct symbols *symbols, uint64_t address)
{
	uint32_t low = 0;
	uint32_t high = symbols->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (symbols->rows[middle].address <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* One without size goes up to the next symbol, but not out of its section: what follows .init is no part of _init. */
static bool is_near(const struct symbols *symbols, uint32_t row, uint64_t address)
{
	const struct symbol *symbol = &symbols->rows[row];

	if (symbol->bytes != 0 || (symbol->limit != 0 && address >= symbol->limit)) {
		return false;
	}
	return row + 1 < symbols->count || address - symbol->address < LAST_BYTES;
}

const struct symbol *symbols_find(const struct symbols *symbols, uint64_t address)
{
	uint32_t below = count_up_to(symbols, address);

	/* A label without size inside a function must not hide it: the nearest sized symbol that covers the address wins. */
	for (uint32_t back = 1; back <= below && back <= LOOK_BACK; back++) {
		const struct symbol *symbol = &symbols->rows[below - back];

		if (symbol->bytes > address - symbol->address) {
			return symbol;
		}
	}
	return below > 0 && is_near(symbols, below - 1, address) ? &symbols->rows[below - 1] : NULL;
}

const char *symbols_name(const struct symbols *symbols, const struct symbol *symbol)
{
	return symbols->names + symbol->name;
}

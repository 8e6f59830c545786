/* SPDX-License-Identifier: MIT */
#include "stacks/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* The largest programs known have some 10 million symbols; more is an attack. */
#define SYMBOL_BYTES_MAX (512ULL << 20)
#define NAME_BYTES_MAX   (1ULL << 30)
#define SECTIONS_MAX     100000U
#define LOOK_BACK        64

/* A section's bytes, or NULL. */
static void *read_section(const struct elf_image *image, const Elf64_Shdr *section, size_t more)
{
	char *bytes;

	if (section->sh_size > image->bytes) {
		return NULL;
	}
	bytes = malloc(section->sh_size + more);
	if (bytes != NULL && elf_read(image, section->sh_offset, bytes, section->sh_size) != 0) {
		free(bytes);
		return NULL;
	}
	return bytes;
}

static Elf64_Shdr *read_sections(const struct elf_image *image, const struct elf_headers *headers)
{
	uint64_t bytes = (uint64_t)headers->section_count * sizeof(Elf64_Shdr);
	Elf64_Shdr *sections;

	if (headers->section_count == 0 || headers->section_count > SECTIONS_MAX || bytes > image->bytes) {
		return NULL;
	}
	sections = malloc(bytes);
	if (sections != NULL && elf_read(image, headers->section_offset, sections, bytes) != 0) {
		free(sections);
		return NULL;
	}
	return sections;
}

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

static bool is_code(const Elf64_Sym *symbol, const Elf64_Shdr *sections, uint32_t section_count)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0) {
		return false;
	}
	if (type == STT_FUNC || type == STT_GNU_IFUNC) {
		return true;
	}
	return type == STT_NOTYPE && symbol->st_shndx < section_count &&
	       (sections[symbol->st_shndx].sh_flags & SHF_EXECINSTR) != 0;
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

static void take_symbols(struct symbols *symbols, const Elf64_Sym *table, uint64_t count,
			 const Elf64_Shdr *sections, uint32_t section_count)
{
	for (uint64_t i = 0; i < count; i++) {
		const Elf64_Sym *from = &table[i];
		struct symbol *to = &symbols->rows[symbols->count];
		const char *name;

		if (!is_code(from, sections, section_count) || from->st_name >= symbols->name_bytes) {
			continue;
		}
		name = symbols->names + from->st_name;
		/* Mapping symbols ($x) and assembler labels (.L) name no function. */
		if (name[0] == '\0' || name[0] == '$' || (name[0] == '.' && name[1] == 'L')) {
			continue;
		}
		to->address = from->st_value;
		to->bytes = from->st_size;
		to->name = from->st_name;
		to->rank = rank_of(from, name);
		symbols->count++;
	}
}

static int read_table(const struct elf_image *image, const Elf64_Shdr *sections, uint32_t section_count,
		      const Elf64_Shdr *section, struct symbols *ret)
{
	struct symbols symbols = { 0 };
	uint64_t count = section->sh_size / sizeof(Elf64_Sym);
	Elf64_Sym *table = NULL;
	int status = PFC_ECORRUPT;

	if (section->sh_link >= section_count) {
		return PFC_ECORRUPT;
	}
	if (section->sh_size > SYMBOL_BYTES_MAX || sections[section->sh_link].sh_size > NAME_BYTES_MAX) {
		return PFC_ENOSPC;
	}
	table = read_section(image, section, 0);
	symbols.names = read_section(image, &sections[section->sh_link], 1);
	if (table == NULL || symbols.names == NULL) {
		goto out;
	}
	symbols.name_bytes = sections[section->sh_link].sh_size;
	symbols.names[symbols.name_bytes] = '\0';
	symbols.rows = malloc((count > 0 ? count : 1) * sizeof(*symbols.rows));
	if (symbols.rows == NULL) {
		status = PFC_ENOMEM;
		goto out;
	}
	take_symbols(&symbols, table, count, sections, section_count);
	symbols_sort(&symbols);
	*ret = symbols;
	memset(&symbols, 0, sizeof(symbols));
	status = 0;
out:
	free(table);
	symbols_finish(&symbols);
	return status;
}

int symbols_read(const struct elf_image *image, const struct elf_headers *headers, struct symbols *ret)
{
	static const uint32_t wanted[] = { SHT_SYMTAB, SHT_DYNSYM };
	Elf64_Shdr *sections = read_sections(image, headers);
	int status = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t pass = 0; sections != NULL && pass < 2 && ret->count == 0; pass++) {
		for (uint32_t i = 0; i < headers->section_count; i++) {
			if (sections[i].sh_type == wanted[pass]) {
				symbols_finish(ret);
				status = read_table(image, sections, headers->section_count, &sections[i],
						    ret);
				break;
			}
		}
	}
	free(sections);
	return ret->count > 0 ? 0 : status;
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
	if (below > 0 && symbols->rows[below - 1].bytes == 0 && below < symbols->count) {
		return &symbols->rows[below - 1];
	}
	return NULL;
}

const char *symbols_name(const struct symbols *symbols, const struct symbol *symbol)
{
	return symbols->names + symbol->name;
}

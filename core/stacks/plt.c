/* SPDX-License-Identifier: MIT */
#include "stacks/plt.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "base/str.h"
#include "stacks/hash.h"

#define TABLE_BYTES_MAX (64ULL << 20)
#define NAME_BYTES      4096
#define STEP            8 /* entries are of 8 or 16 bytes */

/** Where the loader puts the address of a function. */
struct slot {
	uint64_t address;
	uint32_t symbol;
};

struct plt {
	const struct elf_image *image;
	const struct elf_sections *sections;
	struct symbols *symbols;
	uint32_t row_room;
	uint32_t name_room;
	struct slot *slots; /* ascending */
	uint32_t slot_count, slot_room;
	const Elf64_Sym *table;
	uint64_t table_count;
	const char *names;
	uint64_t name_bytes;
};

static int compare_slots(const void *a, const void *b)
{
	const struct slot *left = a;
	const struct slot *right = b;

	return left->address < right->address ? -1 : left->address > right->address;
}

static int add_slots(struct plt *plt, const struct elf_section *section)
{
	uint8_t *bytes;
	int status = elf_section_bytes(plt->image, section, TABLE_BYTES_MAX, &bytes);

	if (status != 0) {
		return status == PFC_ENOMEM ? status : 0;
	}
	for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= section->bytes && status == 0;
	     at += sizeof(Elf64_Rela)) {
		Elf64_Rela row;

		memcpy(&row, bytes + at, sizeof(row));
		if (ELF64_R_TYPE(row.r_info) != R_X86_64_JUMP_SLOT &&
		    ELF64_R_TYPE(row.r_info) != R_X86_64_GLOB_DAT) {
			continue;
		}
		status = array_reserve(&plt->slots, &plt->slot_room, (uint64_t)plt->slot_count + 1,
				       sizeof(*plt->slots));
		if (status == 0) {
			plt->slots[plt->slot_count++] =
				(struct slot){ row.r_offset, (uint32_t)ELF64_R_SYM(row.r_info) };
		}
	}
	free(bytes);
	return status;
}

static const char *name_of_slot(const struct plt *plt, uint64_t address)
{
	struct slot key = { .address = address };
	const struct slot *slot =
		plt->slot_count > 0 ? bsearch(&key, plt->slots, plt->slot_count, sizeof(key), compare_slots)
				    : NULL;
	uint64_t name;

	if (slot == NULL || slot->symbol >= plt->table_count) {
		return NULL;
	}
	name = plt->table[slot->symbol].st_name;
	return name > 0 && name < plt->name_bytes ? plt->names + name : NULL;
}

/* An entry jumps to where a slot of the table says: [endbr64] [bnd] jmp *disp(%rip). False: these bytes are none. */
static bool slot_of_entry(const uint8_t *code, uint64_t bytes, uint64_t vaddr, uint64_t *ret)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	uint64_t at = bytes >= 4 && memcmp(code, endbr64, 4) == 0 ? 4 : 0;
	int32_t distance;

	at += at < bytes && code[at] == 0xf2;
	if (at + 6 > bytes || code[at] != 0xff || code[at + 1] != 0x25) {
		return false;
	}
	memcpy(&distance, code + at + 2, sizeof(distance));
	*ret = vaddr + at + 6 + (uint64_t)(int64_t)distance;
	return true;
}

static int add_entry(struct plt *plt, const char *name, uint64_t address, uint64_t bytes)
{
	struct symbols *symbols = plt->symbols;
	char text[NAME_BYTES];
	int length = snprintf(text, sizeof(text), "%s@plt", name);
	int status;

	if (length < 0 || length >= (int)sizeof(text) || symbols->name_bytes > UINT32_MAX - sizeof(text)) {
		return 0;
	}
	status = array_reserve(&symbols->rows, &plt->row_room, (uint64_t)symbols->count + 1,
			       sizeof(*symbols->rows));
	if (status == 0) {
		status = array_reserve(&symbols->names, &plt->name_room,
				       symbols->name_bytes + (uint64_t)length + 1, 1);
	}
	if (status == 0) {
		memcpy(symbols->names + symbols->name_bytes, text, (size_t)length + 1);
		symbols->rows[symbols->count++] = (struct symbol){ .address = address,
								   .bytes = bytes,
								   .name = (uint32_t)symbols->name_bytes };
		symbols->name_bytes += (uint64_t)length + 1;
	}
	return status;
}

static int add_entries(struct plt *plt, const struct elf_section *section)
{
	uint8_t *code;
	int status = elf_section_bytes(plt->image, section, TABLE_BYTES_MAX, &code);

	if (status != 0) {
		return status == PFC_ENOMEM ? status : 0;
	}
	for (uint64_t at = 0; at + STEP <= section->bytes && status == 0; at += STEP) {
		uint64_t slot, next;
		const char *name = slot_of_entry(code + at, section->bytes - at, section->vaddr + at, &slot)
					   ? name_of_slot(plt, slot)
					   : NULL;
		bool is_short = at % 16 != 0 || (at + 2 * STEP <= section->bytes &&
						 slot_of_entry(code + at + STEP, section->bytes - at - STEP,
							       section->vaddr + at + STEP, &next));

		if (name != NULL) {
			status = add_entry(plt, name, section->vaddr + at, is_short ? STEP : 2 * STEP);
		}
	}
	free(code);
	return status;
}

static int add_all(struct plt *plt)
{
	int status = 0;

	for (uint32_t i = 0; i < plt->sections->count && status == 0; i++) {
		if (plt->sections->rows[i].type == SHT_RELA) {
			status = add_slots(plt, &plt->sections->rows[i]);
		}
	}
	if (plt->slot_count > 0) {
		qsort(plt->slots, plt->slot_count, sizeof(*plt->slots), compare_slots);
	}
	for (uint32_t i = 0; i < plt->sections->count && status == 0; i++) {
		const struct elf_section *section = &plt->sections->rows[i];

		if (section->type == SHT_PROGBITS && str_starts(section->name, ".plt") &&
		    (section->flags & SHF_EXECINSTR) != 0) {
			status = add_entries(plt, section);
		}
	}
	return status;
}

int plt_add(const struct elf_image *image, const struct elf_headers *headers,
	    const struct elf_sections *sections, struct symbols *symbols)
{
	const struct elf_section *table = elf_sections_find(sections, ".dynsym");
	struct plt plt = { .image = image, .sections = sections, .symbols = symbols };
	uint8_t *rows = NULL;
	uint8_t *names = NULL;
	int status = 0;

	if (headers->machine != EM_X86_64 || table == NULL || table->link >= sections->count) {
		return 0;
	}
	status = elf_section_bytes(image, table, TABLE_BYTES_MAX, &rows);
	if (status == 0) {
		status = elf_section_bytes(image, &sections->rows[table->link], TABLE_BYTES_MAX, &names);
	}
	if (status == 0) {
		plt.table = (const Elf64_Sym *)(void *)rows;
		plt.table_count = table->bytes / sizeof(Elf64_Sym);
		plt.names = (const char *)names;
		plt.name_bytes = sections->rows[table->link].bytes;
		status = add_all(&plt);
		symbols_sort(symbols);
	}
	free(plt.slots);
	free(rows);
	free(names);
	return status == PFC_ENOMEM ? status : 0;
}

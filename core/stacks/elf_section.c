/* SPDX-License-Identifier: MIT */
#include "stacks/elf_section.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "base/str.h"

#define SECTIONS_MAX   100000U
#define NAME_TABLE_MAX (16ULL << 20)

static void take_section(const Elf64_Shdr *from, const char *names, uint64_t name_bytes,
			 struct elf_section *to)
{
	memset(to, 0, sizeof(*to));
	to->type = from->sh_type;
	to->flags = from->sh_flags;
	to->offset = from->sh_offset;
	to->bytes = from->sh_size;
	to->vaddr = from->sh_addr;
	to->link = from->sh_link;
	if (from->sh_name < name_bytes) {
		uint64_t room = name_bytes - from->sh_name;
		size_t bytes =
			strnlen(names + from->sh_name, room < sizeof(to->name) ? room : sizeof(to->name) - 1);

		memcpy(to->name, names + from->sh_name,
		       bytes < sizeof(to->name) ? bytes : sizeof(to->name) - 1);
	}
}

/* The names; the image may have none. */
static int read_names(const struct elf_image *image, const Elf64_Shdr *headers, uint32_t count, char **ret,
		      uint64_t *ret_bytes)
{
	Elf64_Ehdr header;
	uint32_t number;
	struct elf_section section = { 0 };
	uint8_t *names;
	int status = elf_read(image, 0, &header, sizeof(header));

	if (status != 0) {
		return status;
	}
	number = header.e_shstrndx == SHN_XINDEX ? headers[0].sh_link : header.e_shstrndx;
	if (number >= count || headers[number].sh_type == SHT_NOBITS) {
		return PFC_ENOENT;
	}
	section.offset = headers[number].sh_offset;
	section.bytes = headers[number].sh_size;
	status = elf_section_bytes(image, &section, NAME_TABLE_MAX, &names);
	if (status == 0) {
		*ret = (char *)names;
		*ret_bytes = section.bytes;
	}
	return status;
}

int elf_sections_read(const struct elf_image *image, const struct elf_headers *headers,
		      struct elf_sections *ret)
{
	struct elf_section table = { .offset = headers->section_offset,
				     .bytes = (uint64_t)headers->section_count * sizeof(Elf64_Shdr) };
	struct elf_sections sections = { .count = headers->section_count };
	uint8_t *rows = NULL;
	char *names = NULL;
	uint64_t name_bytes = 0;
	int status;

	if (headers->section_count == 0) {
		return PFC_ENOENT;
	}
	status = elf_section_bytes(image, &table, SECTIONS_MAX * sizeof(Elf64_Shdr), &rows);
	if (status == 0) {
		status = read_names(image, (const Elf64_Shdr *)(void *)rows, sections.count, &names,
				    &name_bytes);
	}
	if (status == 0) {
		sections.rows = calloc(sections.count, sizeof(*sections.rows));
		status = sections.rows != NULL ? 0 : PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < sections.count && status == 0; i++) {
		Elf64_Shdr header;

		memcpy(&header, rows + (size_t)i * sizeof(header), sizeof(header));
		take_section(&header, names, name_bytes, &sections.rows[i]);
	}
	free(rows);
	free(names);
	if (status == 0) {
		*ret = sections;
	}
	return status;
}

void elf_sections_finish(struct elf_sections *sections)
{
	free(sections->rows);
	memset(sections, 0, sizeof(*sections));
}

const struct elf_section *elf_sections_find(const struct elf_sections *sections, const char *name)
{
	for (uint32_t i = 0; i < sections->count; i++) {
		if (sections->rows[i].type != SHT_NOBITS && str_equal(sections->rows[i].name, name)) {
			return &sections->rows[i];
		}
	}
	return NULL;
}

int elf_section_bytes(const struct elf_image *image, const struct elf_section *section, uint64_t most,
		      uint8_t **ret)
{
	uint8_t *bytes;
	int status;

	if (section->bytes > image->bytes || section->offset > image->bytes - section->bytes) {
		return PFC_ECORRUPT;
	}
	if (section->bytes > most) {
		return PFC_ENOSPC;
	}
	bytes = malloc(section->bytes + 1);
	if (bytes == NULL) {
		return PFC_ENOMEM;
	}
	status = elf_read(image, section->offset, bytes, section->bytes);
	if (status != 0) {
		free(bytes);
		return status;
	}
	bytes[section->bytes] = '\0';
	*ret = bytes;
	return 0;
}

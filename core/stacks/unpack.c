/* SPDX-License-Identifier: MIT */
#include "stacks/unpack.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "base/str.h"
#include "stacks/hash.h"

#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

/* DWARF packs to a fifth or so; a section that claims a hundredth is a bomb. */
#define RATIO_MAX  100
#define COPIED_MAX 64

/** The file in the making: header, sections' bytes, names, table of sections. */
struct copy {
	uint8_t *bytes;
	uint64_t count, room, most;
	Elf64_Shdr headers[COPIED_MAX + 2]; /* none, the copied ones, the names */
	uint32_t header_count;
	char names[COPIED_MAX * sizeof(((struct elf_section *)0)->name) + 16];
	uint32_t name_bytes;
};

static bool is_wanted(const struct elf_section *section)
{
	return section->type != SHT_NOBITS &&
	       (str_starts(section->name, ".debug_") || str_equal(section->name, ".gnu_debugaltlink"));
}

static int read_packed_header(const struct elf_image *image, const struct elf_section *section,
			      Elf64_Chdr *ret)
{
	return section->bytes >= sizeof(*ret) ? elf_read(image, section->offset, ret, sizeof(*ret))
					      : PFC_ECORRUPT;
}

bool unpack_is_needed(const struct elf_image *image, const struct elf_sections *sections)
{
	for (uint32_t i = 0; i < sections->count; i++) {
		Elf64_Chdr packed;

		if (is_wanted(&sections->rows[i]) && (sections->rows[i].flags & SHF_COMPRESSED) != 0 &&
		    read_packed_header(image, &sections->rows[i], &packed) == 0 &&
		    packed.ch_type != ELFCOMPRESS_ZLIB) {
			return true;
		}
	}
	return false;
}

/* Room for more bytes at the end, at a multiple of eight. */
static int reserve(struct copy *copy, uint64_t bytes)
{
	uint64_t start = (copy->count + 7) & ~7ULL;
	uint64_t need = start + bytes;
	uint64_t room = copy->room;
	uint8_t *larger;

	if (need < start || need > copy->most) {
		return PFC_ENOSPC;
	}
	if (need > room) {
		room = need > room * 2 ? need : room * 2;
		larger = realloc(copy->bytes, room);
		if (larger == NULL) {
			return PFC_ENOMEM;
		}
		copy->bytes = larger;
		copy->room = room;
	}
	memset(copy->bytes + copy->count, 0, start - copy->count);
	copy->count = start;
	return 0;
}

static int unzstd(const struct elf_image *image, const struct elf_section *section, uint8_t *to,
		  uint64_t bytes)
{
#ifdef HAVE_ZSTD
	struct elf_section packed = *section;
	uint8_t *from;
	size_t got;
	int status;

	packed.offset += sizeof(Elf64_Chdr);
	packed.bytes -= sizeof(Elf64_Chdr);
	status = elf_section_bytes(image, &packed, packed.bytes, &from);
	if (status != 0) {
		return status;
	}
	got = ZSTD_decompress(to, bytes, from, packed.bytes);
	free(from);
	return !ZSTD_isError(got) && got == bytes ? 0 : PFC_ECORRUPT;
#else
	return PFC_ENOTSUP;
#endif
}

/* One section: unpacked if it is packed by zstd, as it is else (libelf reads zlib). */
static int add_section(struct copy *copy, const struct elf_image *image, const struct elf_section *section)
{
	Elf64_Shdr *header = &copy->headers[copy->header_count];
	Elf64_Chdr packed = { 0 };
	uint64_t bytes = section->bytes;
	bool is_packed = (section->flags & SHF_COMPRESSED) != 0;
	int status = is_packed ? read_packed_header(image, section, &packed) : 0;

	if (status != 0 || copy->header_count > COPIED_MAX) {
		return status != 0 ? status : PFC_ENOSPC;
	}
	if (is_packed && packed.ch_type == ELFCOMPRESS_ZLIB) {
		is_packed = false;
	} else if (is_packed && packed.ch_type != ELFCOMPRESS_ZSTD) {
		return PFC_ENOTSUP;
	}
	if (is_packed) {
		if (packed.ch_size / RATIO_MAX > section->bytes) {
			return PFC_ENOSPC;
		}
		bytes = packed.ch_size;
	}
	status = reserve(copy, bytes);
	if (status == 0) {
		status = is_packed ? unzstd(image, section, copy->bytes + copy->count, bytes)
				   : elf_read(image, section->offset, copy->bytes + copy->count, bytes);
	}
	if (status != 0) {
		return status;
	}
	header->sh_name = copy->name_bytes;
	header->sh_type = SHT_PROGBITS;
	header->sh_flags = is_packed ? section->flags & ~(uint64_t)SHF_COMPRESSED : section->flags;
	header->sh_offset = copy->count;
	header->sh_size = bytes;
	header->sh_addralign = 1;
	memcpy(copy->names + copy->name_bytes, section->name, strlen(section->name) + 1);
	copy->name_bytes += (uint32_t)strlen(section->name) + 1;
	copy->header_count++;
	copy->count += bytes;
	return 0;
}

/* Names, table of sections, and the header, which is the file's own with other places. */
static int close_copy(struct copy *copy, const struct elf_image *image)
{
	Elf64_Shdr *names = &copy->headers[copy->header_count];
	Elf64_Ehdr header;
	int status = elf_read(image, 0, &header, sizeof(header));

	status = status == 0 ? reserve(copy, copy->name_bytes) : status;
	if (status != 0) {
		return status;
	}
	names->sh_name = 0;
	names->sh_type = SHT_STRTAB;
	names->sh_offset = copy->count;
	names->sh_size = copy->name_bytes;
	names->sh_addralign = 1;
	memcpy(copy->bytes + copy->count, copy->names, copy->name_bytes);
	copy->count += copy->name_bytes;
	copy->header_count++;
	status = reserve(copy, copy->header_count * sizeof(*copy->headers));
	if (status != 0) {
		return status;
	}
	header.e_shoff = copy->count;
	header.e_shnum = (uint16_t)copy->header_count;
	header.e_shstrndx = (uint16_t)(copy->header_count - 1);
	header.e_shentsize = sizeof(Elf64_Shdr);
	header.e_phoff = 0;
	header.e_phnum = 0;
	memcpy(copy->bytes, &header, sizeof(header));
	memcpy(copy->bytes + copy->count, copy->headers, copy->header_count * sizeof(*copy->headers));
	copy->count += copy->header_count * sizeof(*copy->headers);
	return 0;
}

int unpack_debug(const struct elf_image *image, const struct elf_sections *sections, uint64_t most,
		 struct elf_image *ret)
{
	struct copy *copy = calloc(1, sizeof(*copy));
	int status;

	if (copy == NULL) {
		return PFC_ENOMEM;
	}
	copy->most = most;
	copy->header_count = 1;
	copy->name_bytes = 1;
	status = reserve(copy, sizeof(Elf64_Ehdr));
	copy->count = sizeof(Elf64_Ehdr);
	for (uint32_t i = 0; i < sections->count && status == 0; i++) {
		if (is_wanted(&sections->rows[i])) {
			status = add_section(copy, image, &sections->rows[i]);
		}
	}
	if (status == 0) {
		status = close_copy(copy, image);
	}
	if (status == 0) {
		*ret = (struct elf_image){ .fd = -1, .memory = copy->bytes, .bytes = copy->count };
	} else {
		free(copy->bytes);
	}
	free(copy);
	return status;
}

/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_file.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <profcore/status.h>

#include "base/str.h"
#include "stacks/dwarf_split.h"
#include "stacks/hash.h"

#define TEXT_BYTES_MAX   16384U
#define TEXT_BYTES_SHORT 256U
#define MEMORY_MAX       (1ULL << 30) /* of all pieces */
#define PART_BYTES_MAX   (2ULL << 30)
#define WHOLE_BYTES_MAX  (512U << 10) /* up to here a section is read at once */
#define SMALL_BYTES      (64U << 10)
#define RATIO_MAX        100 /* as in unpack.c: more is a bomb */

static const char *const names[DWARF_PARTS] = { ".debug_info",     ".debug_abbrev",   ".debug_line",
						".debug_str",      ".debug_line_str", ".debug_ranges",
						".debug_rnglists", ".debug_addr",     ".debug_str_offsets" };

static void *take_block(struct dwarf_file *file, uint64_t bytes)
{
	struct dwarf_block *block;

	if (bytes > MEMORY_MAX - file->block_bytes) {
		return NULL;
	}
	block = malloc(sizeof(*block) + bytes);
	if (block == NULL) {
		return NULL;
	}
	block->next = file->blocks;
	file->blocks = block;
	file->block_bytes += bytes;
	return block->data;
}

void *dwarf_file_room(struct dwarf_file *file, uint64_t bytes)
{
	uint64_t rounded = (bytes + 7) & ~7ULL;
	uint8_t *at;

	if (rounded > SMALL_BYTES / 4) {
		return take_block(file, bytes);
	}
	if (file->small_left < rounded) {
		file->small = take_block(file, SMALL_BYTES);
		file->small_left = file->small != NULL ? SMALL_BYTES : 0;
		if (file->small == NULL) {
			return NULL;
		}
	}
	at = file->small;
	file->small += rounded;
	file->small_left -= rounded;
	return at;
}

/* A section that zlib packed, whole; *part then is of the unpacked bytes. */
static int inflate_part(struct dwarf_file *file, struct dwarf_bytes *part)
{
	Elf64_Chdr header;
	uint64_t packed_bytes = part->bytes - sizeof(header);
	uint8_t *packed = malloc(packed_bytes > 0 ? packed_bytes : 1);
	uint8_t *data = NULL;
	uLongf got;
	int status =
		packed != NULL ? elf_read(file->image, part->offset, &header, sizeof(header)) : PFC_ENOMEM;

	if (status == 0 && (header.ch_size > PART_BYTES_MAX || header.ch_size / RATIO_MAX > packed_bytes)) {
		status = PFC_ENOSPC;
	}
	if (status == 0) {
		status = elf_read(file->image, part->offset + sizeof(header), packed, packed_bytes);
	}
	if (status == 0) {
		data = take_block(file, header.ch_size + 1);
		status = data != NULL ? 0 : PFC_ENOMEM;
	}
	if (status == 0) {
		got = header.ch_size;
		status = uncompress(data, &got, packed, packed_bytes) == Z_OK && got == header.ch_size
				 ? 0
				 : PFC_ECORRUPT;
	}
	if (status == 0) {
		part->bytes = header.ch_size;
		part->data = data;
	}
	free(packed);
	return status;
}

/* Units, line programs and texts are read one by one; of the others most is wanted, in pieces of a few bytes. */
static bool is_read_whole(const struct dwarf_file *file, const struct dwarf_bytes *part)
{
	enum dwarf_part number = (enum dwarf_part)(part - file->parts);

	return part->bytes <= WHOLE_BYTES_MAX || (number != DWARF_INFO && number != DWARF_LINE &&
						  number != DWARF_STR && number != DWARF_LINE_STR);
}

void dwarf_file_load(struct dwarf_file *file, struct dwarf_bytes *part)
{
	uint8_t *data;

	if (part->data != NULL || part->has_failed) {
		return;
	}
	if (part->is_packed) {
		part->has_failed = inflate_part(file, part) != 0;
	} else if (file->image->fd < 0) {
		part->data = file->image->memory + part->offset;
	} else if (is_read_whole(file, part)) {
		data = take_block(file, part->bytes);
		if (data != NULL && elf_read(file->image, part->offset, data, part->bytes) == 0) {
			part->data = data;
		} else {
			part->has_failed = true;
		}
	}
}

const uint8_t *dwarf_file_bytes(struct dwarf_file *file, enum dwarf_part number, uint64_t offset,
				uint64_t bytes)
{
	struct dwarf_bytes *part = &file->parts[number];
	uint8_t *data;

	dwarf_file_load(file, part);
	if (part->has_failed || offset > part->bytes || bytes > part->bytes - offset) {
		return NULL;
	}
	if (part->data != NULL) {
		return part->data + offset;
	}
	data = dwarf_file_room(file, bytes);
	return data != NULL && elf_read(file->image, part->offset + offset, data, bytes) == 0 ? data : NULL;
}

/* A text read from the disk: most are short. */
static const char *read_text(struct dwarf_file *file, const struct dwarf_bytes *part, uint64_t offset)
{
	uint64_t left = part->bytes - offset < TEXT_BYTES_MAX ? part->bytes - offset : TEXT_BYTES_MAX;
	char piece[TEXT_BYTES_MAX];
	uint64_t bytes = left < TEXT_BYTES_SHORT ? left : TEXT_BYTES_SHORT;
	char *text = NULL;

	if (elf_read(file->image, part->offset + offset, piece, bytes) != 0) {
		return NULL;
	}
	if (memchr(piece, 0, bytes) == NULL) {
		if (left <= bytes ||
		    elf_read(file->image, part->offset + offset + bytes, piece + bytes, left - bytes) != 0 ||
		    memchr(piece, 0, left) == NULL) {
			return NULL;
		}
	}
	bytes = strlen(piece) + 1;
	text = dwarf_file_room(file, bytes);
	return text != NULL ? memcpy(text, piece, bytes) : NULL;
}

const char *dwarf_file_text(struct dwarf_file *file, enum dwarf_part number, uint64_t offset)
{
	struct dwarf_bytes *part = &file->parts[number];
	struct dwarf_text *known = &file->texts[hash_mix(offset ^ (uint64_t)number << 60) % DWARF_TEXTS];

	dwarf_file_load(file, part);
	if (part->has_failed || offset >= part->bytes) {
		return NULL;
	}
	if (part->data != NULL) {
		return memchr(part->data + offset, 0, part->bytes - offset) != NULL
			       ? (const char *)part->data + offset
			       : NULL;
	}
	if (known->text == NULL || known->offset != offset || known->part != number) {
		*known = (struct dwarf_text){ .offset = offset,
					      .part = number,
					      .text = read_text(file, part, offset) };
	}
	return known->text;
}

static const struct elf_section *find_part(const struct elf_sections *sections, const char *name,
					   const char *suffix)
{
	char whole[32];

	snprintf(whole, sizeof(whole), "%s%s", name, suffix);
	return elf_sections_find(sections, whole);
}

static int find_parts(struct dwarf_file *file, const char *suffix, struct dwarf_bytes *ret_index)
{
	struct elf_headers headers;
	struct elf_sections sections;
	int status = elf_read_headers(file->image, &headers);

	if (status == 0) {
		status = elf_sections_read(file->image, &headers, &sections);
	}
	if (status != 0) {
		return status;
	}
	for (int i = 0; i < DWARF_PARTS && status == 0; i++) {
		const struct elf_section *section = find_part(&sections, names[i], suffix);
		struct dwarf_bytes *part = &file->parts[i];
		Elf64_Chdr packed;

		if (section == NULL) {
			continue;
		}
		*part = (struct dwarf_bytes){ .offset = section->offset, .bytes = section->bytes };
		part->is_packed = (section->flags & SHF_COMPRESSED) != 0;
		if (part->bytes > file->image->bytes || part->offset > file->image->bytes - part->bytes) {
			status = PFC_ECORRUPT;
		} else if (part->is_packed &&
			   (part->bytes < sizeof(packed) ||
			    elf_read(file->image, part->offset, &packed, sizeof(packed)) != 0 ||
			    packed.ch_type != ELFCOMPRESS_ZLIB)) {
			status = PFC_ENOTSUP;
		}
	}
	if (ret_index != NULL) {
		const struct elf_section *index = elf_sections_find(&sections, ".debug_cu_index");

		*ret_index = (struct dwarf_bytes){ .offset = index != NULL ? index->offset : 0,
						   .bytes = index != NULL ? index->bytes : 0,
						   .is_packed = index != NULL &&
								(index->flags & SHF_COMPRESSED) != 0 };
	}
	if (status == 0 && (file->parts[DWARF_INFO].bytes == 0 || file->parts[DWARF_ABBREV].bytes == 0)) {
		status = elf_sections_find(&sections, ".zdebug_info") != NULL ? PFC_ENOTSUP : PFC_ENOENT;
	}
	if (elf_sections_find(&sections, ".gnu_debugaltlink") != NULL) {
		status = PFC_ENOTSUP; /* what several files share is in another one */
	}
	elf_sections_finish(&sections);
	return status;
}

int dwarf_file_open(const struct elf_image *image, struct dwarf_file *ret)
{
	int status;

	memset(ret, 0, sizeof(*ret));
	ret->image = image;
	status = find_parts(ret, "", NULL);
	return status == 0 ? dwarf_units_list(ret) : status;
}

int dwarf_file_open_split(const struct elf_image *image, struct dwarf_file *main, uint64_t id,
			  struct dwarf_file *ret)
{
	struct dwarf_bytes index;
	int status;

	memset(ret, 0, sizeof(*ret));
	ret->image = image;
	ret->main = main;
	status = find_parts(ret, ".dwo", &index);
	if (status == 0 && index.bytes > 0) {
		status = dwarf_index_narrow(ret, &index, id);
	}
	return status == 0 ? dwarf_units_list(ret) : status;
}

void dwarf_file_finish(struct dwarf_file *file)
{
	for (struct dwarf_block *block = file->blocks, *next; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	for (struct dwarf_abbrevs *abbrevs = file->abbrevs, *next; abbrevs != NULL; abbrevs = next) {
		next = abbrevs->next;
		free(abbrevs->rows);
		free(abbrevs->attributes);
		free(abbrevs);
	}
	free(file->units);
	memset(file, 0, sizeof(*file));
}

/* SPDX-License-Identifier: MIT */
#include "stacks/mini_debug.h"

#include <stdlib.h>

#include <profcore/status.h>

#ifdef HAVE_LZMA
#include <lzma.h>

/* A symbol table of a 100 MB program is some 5 MB; xz -9 takes 65 MB to unpack. */
#define PACKED_MAX   (64ULL << 20)
#define UNPACKED_MAX (256ULL << 20)
#define MEMORY_MAX   (128ULL << 20)

/* Grows as bytes come, so that a small file cannot ask for much. */
static int unpack(lzma_stream *stream, uint8_t **memory, uint64_t *bytes)
{
	uint64_t room = 0;
	lzma_ret code = LZMA_OK;

	while (code == LZMA_OK) {
		if (stream->avail_out == 0) {
			uint64_t larger_room = room > 0 ? room * 2 : 1 << 20;
			uint8_t *larger = larger_room <= UNPACKED_MAX ? realloc(*memory, larger_room) : NULL;

			if (larger == NULL) {
				return larger_room <= UNPACKED_MAX ? PFC_ENOMEM : PFC_ENOSPC;
			}
			*memory = larger;
			stream->next_out = larger + room;
			stream->avail_out = larger_room - room;
			room = larger_room;
		}
		code = lzma_code(stream, LZMA_FINISH);
	}
	*bytes = room - stream->avail_out;
	return code == LZMA_STREAM_END ? 0 : code == LZMA_MEMLIMIT_ERROR ? PFC_ENOSPC : PFC_ECORRUPT;
}

int mini_debug_open(const struct elf_image *image, const struct elf_sections *sections,
		    struct elf_image *ret_image, struct elf_headers *ret_headers)
{
	const struct elf_section *section = elf_sections_find(sections, ".gnu_debugdata");
	struct elf_image unpacked = { .fd = -1 };
	lzma_stream stream = LZMA_STREAM_INIT;
	uint8_t *memory = NULL;
	uint8_t *packed;
	int status;

	if (section == NULL) {
		return PFC_ENOENT;
	}
	status = elf_section_bytes(image, section, PACKED_MAX, &packed);
	if (status != 0) {
		return status;
	}
	status = PFC_ENOMEM;
	if (lzma_stream_decoder(&stream, MEMORY_MAX, 0) == LZMA_OK) {
		stream.next_in = packed;
		stream.avail_in = section->bytes;
		status = unpack(&stream, &memory, &unpacked.bytes);
		lzma_end(&stream);
	}
	free(packed);
	unpacked.memory = memory;
	if (status == 0) {
		status = elf_read_headers(&unpacked, ret_headers);
	}
	if (status != 0) {
		free(memory);
		return status;
	}
	*ret_image = unpacked;
	return 0;
}

#else

int mini_debug_open(const struct elf_image *image, const struct elf_sections *sections,
		    struct elf_image *ret_image, struct elf_headers *ret_headers)
{
	return elf_sections_find(sections, ".gnu_debugdata") != NULL ? PFC_ENOTSUP : PFC_ENOENT;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A bounded reader of 64-bit little-endian ELF files: what identifies a file and what turns file offsets into addresses. It
 * reads with pread (a file that shrinks meanwhile is a short read, never SIGBUS) and trusts no number in the file.
 */
#ifndef CORE_STACKS_ELF_H
#define CORE_STACKS_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_BUILD_ID_TEXT 129 /* 64 bytes in hex */

/** Where the bytes come from: a descriptor, or memory when fd < 0. Owns neither. */
struct elf_image {
	int fd;
	const uint8_t *memory;
	uint64_t bytes;
};

struct elf_segment {
	uint64_t offset, vaddr, file_bytes, memory_bytes;
	bool executable;
};

/** What the headers say. */
struct elf_headers {
	uint16_t machine;
	bool is_program; /* not a library: it is fixed in place, or names its loader */
	uint64_t section_offset;
	uint32_t section_count;
	uint32_t segment_count;
	struct elf_segment segments[32];
	uint64_t eh_frame_hdr_vaddr, eh_frame_hdr_bytes; /* 0: none */
	char build_id[ELF_BUILD_ID_TEXT];                /* "" : none */
};

/** Read exactly `bytes`. 0 or PFC_ECORRUPT (past the end, unreadable). */
int elf_read(const struct elf_image *image, uint64_t offset, void *to, size_t bytes);

/** 0; PFC_ECORRUPT: not an ELF file or a broken one; PFC_ENOTSUP: another class, byte order. */
int elf_read_headers(const struct elf_image *image, struct elf_headers *ret);

/** Virtual address of a file offset, by the segment that holds it, executable ones first. False: in no segment. */
bool elf_vaddr_of_offset(const struct elf_headers *headers, uint64_t offset, uint64_t *ret);

/** File offset of `bytes` at a virtual address. False: not in the file. */
bool elf_offset_of_vaddr(const struct elf_headers *headers, uint64_t vaddr, uint64_t bytes, uint64_t *ret);

#endif

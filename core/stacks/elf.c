/* SPDX-License-Identifier: MIT */
#include "stacks/elf.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <profcore/status.h>

#define SEGMENTS_MAX    256
#define NOTES_BYTES_MAX 65536
#define PAGE_BYTES      4096ULL

int elf_read(const struct elf_image *image, uint64_t offset, void *to, size_t bytes)
{
	char *at = to;

	if (bytes > image->bytes || offset > image->bytes - bytes) {
		return PFC_ECORRUPT;
	}
	if (image->fd < 0) {
		memcpy(to, image->memory + offset, bytes);
		return 0;
	}
	while (bytes > 0) {
		ssize_t got = pread(image->fd, at, bytes, (off_t)offset);

		if (got <= 0) {
			return PFC_ECORRUPT;
		}
		at += got;
		offset += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return 0;
}

/* Notes are name and description, each padded to four bytes. */
static bool find_build_id(const uint8_t *notes, size_t bytes, char *ret_text)
{
	size_t at = 0;

	while (bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name_at = at + sizeof(note);
		uint64_t text_at, end;

		memcpy(&note, notes + at, sizeof(note));
		text_at = name_at + (((uint64_t)note.n_namesz + 3) & ~3ULL);
		end = text_at + (((uint64_t)note.n_descsz + 3) & ~3ULL);
		if (text_at + note.n_descsz > bytes) {
			return false;
		}
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + name_at, "GNU", 4) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= (ELF_BUILD_ID_TEXT - 1) / 2) {
			for (uint32_t i = 0; i < note.n_descsz; i++) {
				snprintf(ret_text + (size_t)2 * i, 3, "%02x", notes[text_at + i]);
			}
			return true;
		}
		if (end >= bytes) {
			return false;
		}
		at = end;
	}
	return false;
}

static void read_notes(const struct elf_image *image, const Elf64_Phdr *segment, char *ret_text)
{
	uint8_t notes[4096];
	uint64_t left = segment->p_filesz < NOTES_BYTES_MAX ? segment->p_filesz : NOTES_BYTES_MAX;

	/* A build-id stands in the first notes; what does not fit the buffer is not looked at. */
	left = left < sizeof(notes) ? left : sizeof(notes);
	if (ret_text[0] == '\0' && elf_read(image, segment->p_offset, notes, left) == 0) {
		find_build_id(notes, left, ret_text);
	}
}

static void take_segment(const struct elf_image *image, const Elf64_Phdr *segment,
			 struct elf_headers *headers)
{
	struct elf_segment *to = &headers->segments[headers->segment_count];

	switch (segment->p_type) {
	case PT_LOAD:
		if (headers->segment_count == sizeof(headers->segments) / sizeof(headers->segments[0])) {
			return;
		}
		to->offset = segment->p_offset;
		to->vaddr = segment->p_vaddr;
		to->file_bytes = segment->p_filesz;
		to->memory_bytes = segment->p_memsz;
		to->executable = (segment->p_flags & PF_X) != 0;
		headers->segment_count++;
		return;
	case PT_INTERP:
		headers->is_program = true;
		return;
	case PT_NOTE:
		read_notes(image, segment, headers->build_id);
		return;
	case PT_GNU_EH_FRAME:
		headers->eh_frame_hdr_vaddr = segment->p_vaddr;
		headers->eh_frame_hdr_bytes = segment->p_filesz;
		return;
	default:
		return;
	}
}

/* A count that does not fit the header stands in section 0. */
static uint32_t section_count(const struct elf_image *image, const Elf64_Ehdr *header)
{
	Elf64_Shdr first;

	if (header->e_shoff == 0 || header->e_shentsize != sizeof(Elf64_Shdr)) {
		return 0;
	}
	if (header->e_shnum != 0) {
		return header->e_shnum;
	}
	if (elf_read(image, header->e_shoff, &first, sizeof(first)) != 0 || first.sh_size > 1000000) {
		return 0;
	}
	return (uint32_t)first.sh_size;
}

int elf_read_headers(const struct elf_image *image, struct elf_headers *ret)
{
	Elf64_Ehdr header;
	struct elf_headers headers;

	if (elf_read(image, 0, &header, sizeof(header)) != 0 ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
		return PFC_ECORRUPT;
	}
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
		return PFC_ENOTSUP;
	}
	if ((header.e_phnum > 0 && header.e_phentsize != sizeof(Elf64_Phdr)) ||
	    header.e_phnum > SEGMENTS_MAX) {
		return PFC_ECORRUPT;
	}
	memset(&headers, 0, sizeof(headers));
	headers.machine = header.e_machine;
	headers.is_program = header.e_type == ET_EXEC;
	headers.section_offset = header.e_shoff;
	headers.section_count = section_count(image, &header);
	for (uint32_t i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;

		if (elf_read(image, header.e_phoff + (uint64_t)i * sizeof(segment), &segment,
			     sizeof(segment)) != 0) {
			return PFC_ECORRUPT;
		}
		take_segment(image, &segment, &headers);
	}
	*ret = headers;
	return 0;
}

static bool offset_in(const struct elf_segment *segment, uint64_t offset, uint64_t slack)
{
	uint64_t start = segment->offset & ~(slack > 0 ? slack - 1 : 0);
	uint64_t end = segment->offset + segment->file_bytes;

	if (end < segment->offset || end > UINT64_MAX - slack) {
		return false;
	}
	if (slack > 0) {
		end = (end + slack - 1) & ~(slack - 1);
	}
	return offset >= start && offset < end;
}

bool elf_vaddr_of_offset(const struct elf_headers *headers, uint64_t offset, uint64_t *ret)
{
	/* Executable before others, exact before rounded to the pages that the kernel really maps. */
	for (int pass = 0; pass < 4; pass++) {
		for (uint32_t i = 0; i < headers->segment_count; i++) {
			const struct elf_segment *segment = &headers->segments[i];

			if (segment->executable == (pass < 2) &&
			    offset_in(segment, offset, pass % 2 == 1 ? PAGE_BYTES : 0)) {
				*ret = offset - segment->offset + segment->vaddr;
				return true;
			}
		}
	}
	return false;
}

bool elf_offset_of_vaddr(const struct elf_headers *headers, uint64_t vaddr, uint64_t bytes, uint64_t *ret)
{
	for (uint32_t i = 0; i < headers->segment_count; i++) {
		const struct elf_segment *segment = &headers->segments[i];

		if (vaddr >= segment->vaddr && vaddr - segment->vaddr <= segment->file_bytes &&
		    bytes <= segment->file_bytes - (vaddr - segment->vaddr)) {
			*ret = vaddr - segment->vaddr + segment->offset;
			return true;
		}
	}
	return false;
}

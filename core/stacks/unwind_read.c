/* SPDX-License-Identifier: MIT */
/* Where a file keeps its call frame information. */
#include <dwarf.h>
#include <elf.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/elf_section.h"
#include "stacks/unwind_table.h"

#define SECTION_BYTES_MAX (256ULL << 20)

/* By the section headers. */
static int find_section(const struct elf_image *image, const struct elf_headers *headers, const char *name,
			struct elf_section *ret)
{
	struct elf_sections sections;
	const struct elf_section *found;
	int status = elf_sections_read(image, headers, &sections);

	if (status != 0) {
		return status;
	}
	found = elf_sections_find(&sections, name);
	if (found != NULL && (found->flags & SHF_COMPRESSED) == 0) {
		*ret = *found;
	} else {
		status = PFC_ENOENT;
	}
	elf_sections_finish(&sections);
	return status;
}

/* A file without section headers: by what the loader itself goes by, .eh_frame_hdr; up to the end of that segment. */
static int find_by_segment(const struct elf_image *image, const struct elf_headers *headers,
			   struct elf_section *ret)
{
	uint8_t hdr[8];
	uint64_t offset;
	int32_t distance;

	if (headers->eh_frame_hdr_bytes < sizeof(hdr) ||
	    !elf_offset_of_vaddr(headers, headers->eh_frame_hdr_vaddr, sizeof(hdr), &offset) ||
	    elf_read(image, offset, hdr, sizeof(hdr)) != 0 || hdr[0] != 1 ||
	    hdr[1] != (DW_EH_PE_pcrel | DW_EH_PE_sdata4)) {
		return PFC_ENOENT;
	}
	memcpy(&distance, hdr + 4, sizeof(distance));
	memset(ret, 0, sizeof(*ret));
	ret->vaddr = headers->eh_frame_hdr_vaddr + 4 + (uint64_t)(int64_t)distance;
	for (uint32_t i = 0; i < headers->segment_count; i++) {
		const struct elf_segment *segment = &headers->segments[i];
		uint64_t within = ret->vaddr - segment->vaddr;

		if (ret->vaddr >= segment->vaddr && within < segment->file_bytes) {
			ret->offset = segment->offset + within;
			ret->bytes = segment->file_bytes - within;
			return 0;
		}
	}
	return PFC_ENOENT;
}

/* .eh_frame is what runs by; .debug_frame has all there is in files made without it. */
int unwind_table_read(const struct elf_image *image, const struct elf_headers *headers,
		      struct unwind_table *ret)
{
	struct cfi_section section = { 0 };
	struct elf_section found;
	uint8_t *data;
	int status;

	if (headers->machine != EM_X86_64) {
		return PFC_ENOTSUP;
	}
	status = find_section(image, headers, ".eh_frame", &found);
	if (status == PFC_ENOENT && headers->section_count == 0) {
		status = find_by_segment(image, headers, &found);
	} else if (status == PFC_ENOENT) {
		status = find_section(image, headers, ".debug_frame", &found);
		section.is_debug_frame = true;
	}
	if (status == 0) {
		status = elf_section_bytes(image, &found, SECTION_BYTES_MAX, &data);
	}
	if (status != 0) {
		return status;
	}
	section.data = data;
	section.bytes = found.bytes;
	section.vaddr = section.is_debug_frame ? 0 : found.vaddr;
	return unwind_table_compile(&section, data, ret);
}

/* SPDX-License-Identifier: MIT */
/* Files with DWARF, opened with bounds: the sections' sizes, and the file that several debug files share. */
#include "stacks/dwarf_libdw.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <stdio.h>
#include <unistd.h>

#include <profcore/status.h>

#include "base/str.h"

#define DEBUG_BYTES_MAX (2ULL << 30) /* all debug sections, unpacked */

/* Whether there is DWARF, readable and within bounds; before libdw allocates for it. */
int dwarf_check_sections(Elf *elf)
{
	Elf_Scn *section = NULL;
	size_t names = 0;
	uint64_t total = 0;
	bool any = false;

	if (elf_getshdrstrndx(elf, &names) != 0) {
		return PFC_ENOENT;
	}
	while ((section = elf_nextscn(elf, section)) != NULL) {
		GElf_Shdr header;
		GElf_Chdr packed;
		const char *name;

		if (gelf_getshdr(section, &header) == NULL || header.sh_type == SHT_NOBITS ||
		    (name = elf_strptr(elf, names, header.sh_name)) == NULL ||
		    (!str_starts(name, ".debug_") && !str_starts(name, ".zdebug_"))) {
			continue;
		}
		any = any || str_equal(name, ".debug_info") || str_equal(name, ".zdebug_info");
		if ((header.sh_flags & SHF_COMPRESSED) != 0 && gelf_getchdr(section, &packed) != NULL) {
			if (packed.ch_type != ELFCOMPRESS_ZLIB) {
				return PFC_ENOTSUP;
			}
			header.sh_size = packed.ch_size;
		}
		total += header.sh_size;
		if (header.sh_size > DEBUG_BYTES_MAX || total > DEBUG_BYTES_MAX) {
			return PFC_ENOSPC;
		}
	}
	return any ? 0 : PFC_ENOENT;
}

/* libelf reads files with pread, never by mmap: one that shrinks while it is read must be an error, not SIGBUS. */
Elf *dwarf_open_image(const struct elf_image *image)
{
	if (image->fd >= 0) {
		return elf_begin(image->fd, ELF_C_READ, NULL);
	}
	return elf_memory((char *)(uintptr_t)image->memory, image->bytes);
}

void dwarf_close_common(struct dwarf_common *common)
{
	dwarf_end(common->dwarf);
	elf_end(common->elf);
	if (common->fd >= 0) {
		close(common->fd);
	}
}

/* 0, also when none is needed; PFC_ENOTSUP. */
int dwarf_set_common(struct batch *batch, struct dwarf_common *common)
{
	const struct dwarf_request *request = batch->request;
	char text[ELF_BUILD_ID_TEXT];
	const char *name;
	const void *build_id;
	ssize_t bytes = dwelf_dwarf_gnu_debugaltlink(batch->dwarf, &name, &build_id);

	if (bytes <= 0) {
		return bytes < 0 ? PFC_ECORRUPT : 0;
	}
	if (bytes > (ELF_BUILD_ID_TEXT - 1) / 2 || request->open_common == NULL) {
		return PFC_ENOTSUP;
	}
	for (ssize_t i = 0; i < bytes; i++) {
		snprintf(text + (size_t)2 * (size_t)i, 3, "%02x", ((const uint8_t *)build_id)[i]);
	}
	common->fd = request->open_common(request->ctx, text);
	common->elf = common->fd >= 0 ? elf_begin(common->fd, ELF_C_READ, NULL) : NULL;
	if (common->elf == NULL || dwarf_check_sections(common->elf) != 0) {
		return PFC_ENOTSUP;
	}
	common->dwarf = dwarf_begin_elf(common->elf, DWARF_C_READ, NULL);
	if (common->dwarf == NULL) {
		return PFC_ENOTSUP;
	}
	dwarf_setalt(batch->dwarf, common->dwarf);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "stacks/source.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/mini_debug.h"
#include "stacks/plt.h"
#include "stacks/unpack.h"

/* Broken tables are as good as none: only lack of memory is an error. */
static int ignore(int status)
{
	return status == PFC_ENOMEM ? status : 0;
}

/* A stripped file: what it exports, and what its MiniDebugInfo has. */
static int read_stripped(struct source *source, const struct elf_sections *sections)
{
	const struct elf_image *image = &source->module->image;
	struct elf_headers headers;
	struct elf_sections mini_sections;
	struct elf_image mini;
	int status = ignore(symbols_add(image, sections, SHT_DYNSYM, &source->symbols));

	source->mini_status = mini_debug_open(image, sections, &mini, &headers);
	if (status != 0 || source->mini_status != 0) {
		return status != 0 ? status : ignore(source->mini_status);
	}
	source->mini_status = elf_sections_read(&mini, &headers, &mini_sections);
	if (source->mini_status == 0) {
		source->mini_status = symbols_add(&mini, &mini_sections, SHT_SYMTAB, &source->symbols);
		source->has_mini = source->mini_status == 0;
		elf_sections_finish(&mini_sections);
	}
	free((void *)(uintptr_t)mini.memory);
	return ignore(source->mini_status);
}

static int unpack_lines(struct source *source, const struct elf_image *image,
			const struct elf_sections *sections)
{
	struct elf_image unpacked;

	source->lines = *image;
	if (!unpack_is_needed(image, sections)) {
		return 0;
	}
	source->unpack_status = unpack_debug(image, sections, SOURCE_DEBUG_BYTES_MAX, &unpacked);
	if (source->unpack_status != 0) {
		return ignore(source->unpack_status);
	}
	source->unpacked = (uint8_t *)(uintptr_t)unpacked.memory;
	source->lines = unpacked;
	return 0;
}

static bool has_lines(const struct elf_sections *sections)
{
	return elf_sections_find(sections, ".debug_info") != NULL ||
	       elf_sections_find(sections, ".zdebug_info") != NULL;
}

/* By the debug file alone; it has the whole symbol table. */
static int read_debug(struct source *source)
{
	struct elf_sections sections;
	int status = elf_sections_read(&source->debug.image, &source->debug.headers, &sections);

	if (status != 0) {
		return ignore(status);
	}
	status = ignore(symbols_add(&source->debug.image, &sections, SHT_SYMTAB, &source->symbols));
	if (status == 0 && has_lines(&sections)) {
		status = unpack_lines(source, &source->debug.image, &sections);
	}
	elf_sections_finish(&sections);
	return status;
}

/* Servers are asked for what is nowhere else. */
static bool fetch(struct source *source, struct debuginfod *servers)
{
	const struct module *module = source->module;
	int fd;

	if (servers == NULL || module->headers.build_id[0] == '\0') {
		return false;
	}
	fd = debuginfod_find(servers, module->headers.build_id);
	source->server_status = fd < 0 ? fd : 0;
	source->is_fetched = fd >= 0 && debug_file_fetched(module, fd, &source->debug) == 0;
	return source->is_fetched;
}

static int read_all(struct source *source, const struct pfc_target_service *target,
		    struct debuginfod *servers, const struct elf_sections *sections)
{
	const struct module *module = source->module;
	int status;

	status = unpack_lines(source, &module->image, sections);
	if (status == 0) {
		status = ignore(symbols_add(&module->image, sections, SHT_SYMTAB, &source->symbols));
	}
	if (status == 0 && module->kind == MODULE_FILE && !has_lines(sections) &&
	    (debug_file_find(module, sections, target, &source->debug, &source->is_mismatched) == 0 ||
	     fetch(source, servers))) {
		source->has_debug = true;
		status = read_debug(source);
	}
	if (status == 0 && source->symbols.count == 0) {
		status = read_stripped(source, sections);
	}
	return status == 0 ? plt_add(&module->image, &module->headers, sections, &source->symbols) : status;
}

int source_open(const struct module *module, const struct pfc_target_service *target,
		struct debuginfod *servers, struct source *ret)
{
	struct source source = { .module = module, .lines = module->image, .mini_status = PFC_ENOENT };
	struct elf_sections sections;
	int status;

	source.debug.image.fd = -1;
	status = elf_sections_read(&module->image, &module->headers, &sections);
	if (status == 0) {
		status = read_all(&source, target, servers, &sections);
		elf_sections_finish(&sections);
	} else {
		status = ignore(status);
	}
	if (status != 0) {
		source_close(&source);
		return status;
	}
	*ret = source;
	return 0;
}

void source_close(struct source *source)
{
	symbols_finish(&source->symbols);
	free(source->unpacked);
	if (source->has_debug) {
		close(source->debug.image.fd);
	}
	memset(source, 0, sizeof(*source));
}

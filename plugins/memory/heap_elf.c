/* SPDX-License-Identifier: MIT */
/*
 * What kind of program a process runs, as far as seeing its heap goes: whether a loader would preload anything into it, and
 * which allocator it carries itself. The file is the target's: libelf checks it, and every answer is only a guess for people.
 */
#include "heap.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYMBOLS_MAX 4000000U

/* An allocator shows by the names of its functions. The longest prefix first: _rjem_ is jemalloc in Rust's wrapping. */
static const struct {
	const char *symbol, *name;
} known[] = {
	{ "_rjem_mallocx", "jemalloc (_rjem_)" },
	{ "_rjem_malloc", "jemalloc (_rjem_)" },
	{ "je_malloc", "jemalloc (je_)" },
	{ "mallocx", "jemalloc" },
	{ "mi_malloc", "mimalloc" },
	{ "tc_malloc", "tcmalloc" },
	{ "sn_malloc", "snmalloc" },
	{ "rpmalloc", "rpmalloc" },
};

struct program {
	bool is_elf, has_loader, defines_malloc, is_musl;
	const char *allocator; /* of `known`; NULL */
	bool is_go;
};

static void look_at_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct program *program)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;

	for (size_t i = 0; i < count && i < SYMBOLS_MAX; i++) {
		GElf_Sym symbol;
		const char *name;

		if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF) {
			continue;
		}
		name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (!name) {
			continue;
		}
		program->defines_malloc |= strcmp(name, "malloc") == 0;
		program->is_go |= strcmp(name, "runtime.mallocgc") == 0;
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]) && !program->allocator; k++) {
			program->allocator = strcmp(name, known[k].symbol) == 0 ? known[k].name : NULL;
		}
	}
}

static void look_at_loader(Elf *elf, const GElf_Phdr *header, struct program *program)
{
	size_t bytes;
	const char *raw = elf_rawfile(elf, &bytes);

	program->has_loader = true;
	if (raw && header->p_offset < bytes && header->p_filesz <= bytes - header->p_offset &&
	    header->p_filesz > 0) {
		program->is_musl = memmem(raw + header->p_offset, header->p_filesz, "ld-musl", 7) != NULL;
	}
}

static void look(Elf *elf, struct program *program)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t segments = 0;

	program->is_elf = elf_kind(elf) == ELF_K_ELF;
	for (size_t i = 0; program->is_elf && elf_getphdrnum(elf, &segments) == 0 && i < segments && i < 1000;
	     i++) {
		GElf_Phdr segment;

		if (gelf_getphdr(elf, (int)i, &segment) && segment.p_type == PT_INTERP) {
			look_at_loader(elf, &segment, program);
		}
	}
	while (program->is_elf && (section = elf_nextscn(elf, section)) != NULL) {
		if (gelf_getshdr(section, &header) &&
		    (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)) {
			look_at_symbols(elf, section, &header, program);
		}
	}
}

static bool look_at_process(int32_t pid, struct program *program)
{
	char path[64];
	Elf *elf;
	int fd;

	memset(program, 0, sizeof(*program));
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf) {
		look(elf, program);
		elf_end(elf);
	}
	close(fd);
	return program->is_elf;
}

bool heap_elf_blind(int32_t pid, char why[256])
{
	struct program program;

	if (!look_at_process(pid, &program)) {
		return false;
	}
	if (program.is_go) {
		snprintf(why, 256, "it is a Go program, whose heap is its own and needs no malloc");
	} else if (!program.has_loader) {
		snprintf(why, 256, "the program is statically linked%s%s: nothing can be preloaded into it",
			 program.allocator ? ", with " : "", program.allocator ? program.allocator : "");
	} else if (program.allocator) {
		snprintf(why, 256, "the program brings its own %s, whose functions are called inside it",
			 program.allocator);
	} else if (program.defines_malloc) {
		snprintf(why, 256, "the program brings a malloc of its own, which is called inside it");
	} else {
		return false;
	}
	return true;
}

bool heap_elf_allocator(int32_t pid, char name[64])
{
	struct program program;

	if (!look_at_process(pid, &program) || !program.allocator) {
		return false;
	}
	snprintf(name, 64, "%s", program.allocator);
	return true;
}

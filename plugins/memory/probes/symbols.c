/* SPDX-License-Identifier: MIT */
#include "symbols.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS_MAX  4000000U
#define SEGMENTS_MAX 512U

static const struct {
	const char *name;
	enum probe_kind kind;
} bases[] = {
	{ "malloc", PROBE_MALLOC },
	{ "calloc", PROBE_CALLOC },
	{ "realloc", PROBE_REALLOC },
	{ "reallocarray", PROBE_REALLOCARRAY },
	{ "free", PROBE_FREE },
	{ "cfree", PROBE_FREE },
	{ "posix_memalign", PROBE_MEMALIGN_TO },
	{ "aligned_alloc", PROBE_ALIGNED },
	{ "memalign", PROBE_ALIGNED },
	{ "valloc", PROBE_MALLOC },
	{ "pvalloc", PROBE_MALLOC },
	/* jemalloc's own */
	{ "mallocx", PROBE_MALLOC },
	{ "rallocx", PROBE_REALLOC },
	{ "dallocx", PROBE_FREE },
	{ "sdallocx", PROBE_FREE },
	/* mimalloc's own */
	{ "zalloc", PROBE_MALLOC },
	{ "malloc_small", PROBE_MALLOC },
	{ "zalloc_small", PROBE_MALLOC },
	{ "malloc_aligned", PROBE_MALLOC },
	{ "zalloc_aligned", PROBE_MALLOC },
	{ "realloc_aligned", PROBE_REALLOC },
	{ "rezalloc", PROBE_REALLOC },
	{ "free_size", PROBE_FREE },
	{ "free_aligned", PROBE_FREE },
	{ "free_size_aligned", PROBE_FREE },
};

/* Rust's allocator functions, at the end of a mangled name too: _RNv...7___rustc12___rust_alloc. */
static const struct {
	const char *name;
	enum probe_kind kind;
} rust[] = {
	{ "__rust_alloc", PROBE_MALLOC },
	{ "__rust_alloc_zeroed", PROBE_MALLOC },
	{ "__rust_dealloc", PROBE_FREE },
	{ "__rust_realloc", PROBE_RUST_REALLOC },
};

static const char *const prefixes[] = { "_rjem_", "je_", "mi_", "tc_", "sn_", "rp" };

static bool ends_with(const char *name, const char *end)
{
	size_t bytes = strlen(name), wanted = strlen(end);

	return bytes >= wanted && strcmp(name + bytes - wanted, end) == 0;
}

static enum probe_kind base_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		if (strcmp(name, bases[i].name) == 0) {
			return bases[i].kind;
		}
	}
	return PROBE_NONE;
}

enum probe_kind symbols_kind(const char *name, bool *ret_is_rust, bool *ret_is_operator)
{
	enum probe_kind kind = base_kind(name);

	*ret_is_rust = false;
	*ret_is_operator = false;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]) && kind == PROBE_NONE; i++) {
		size_t bytes = strlen(prefixes[i]);

		kind = strncmp(name, prefixes[i], bytes) == 0 ? base_kind(name + bytes) : PROBE_NONE;
	}
	if (kind != PROBE_NONE) {
		return kind;
	}
	*ret_is_operator = strncmp(name, "_Znwm", 5) == 0 || strncmp(name, "_Znam", 5) == 0 ||
			   strncmp(name, "_ZdlPv", 6) == 0 || strncmp(name, "_ZdaPv", 6) == 0;
	if (*ret_is_operator) {
		return name[2] == 'n' ? PROBE_MALLOC : PROBE_FREE;
	}
	for (size_t i = 0; i < sizeof(rust) / sizeof(rust[0]); i++) {
		if (strcmp(name, rust[i].name) == 0 ||
		    (strncmp(name, "_R", 2) == 0 && strstr(name, "___rustc") &&
		     ends_with(name, rust[i].name))) {
			*ret_is_rust = true;
			return rust[i].kind;
		}
	}
	return PROBE_NONE;
}

/* ---- which allocator ---- */

/* The first that is there. What wraps another stands before it. */
static const struct {
	const char *symbol, *name;
} known[] = {
	{ "_rjem_malloc", "jemalloc (_rjem_)" },
	{ "_rjem_mallocx", "jemalloc (_rjem_)" },
	{ "je_malloc", "jemalloc (je_)" },
	{ "mallctl", "jemalloc" },
	{ "mi_malloc", "mimalloc" },
	{ "tc_malloc", "tcmalloc" },
	{ "sn_malloc", "snmalloc" },
	{ "rpmalloc", "rpmalloc" },
	{ "__malloc_donate", "musl" },
	{ "__malloc_replaced", "musl" },
	{ "__libc_mallopt", "glibc" },
	{ "_int_malloc", "glibc" },
	{ "__libc_memalign", "glibc" },
};

static void note_allocator(struct allocator_file *file, const char *name, size_t *best)
{
	for (size_t i = 0; i < *best; i++) {
		if (strcmp(name, known[i].symbol) == 0) {
			*best = i;
			snprintf(file->allocator, sizeof(file->allocator), "%s", known[i].name);
		}
	}
}

/* ---- the file ---- */

static bool has_address(const struct allocator_file *file, uint64_t address)
{
	for (uint32_t i = 0; i < file->count; i++) {
		if (file->functions[i].address == address) {
			return true;
		}
	}
	return false;
}

static bool find_offset(Elf *elf, uint64_t address, uint64_t *ret)
{
	size_t segments = 0;
	GElf_Phdr header;

	if (elf_getphdrnum(elf, &segments) != 0) {
		return false;
	}
	for (size_t i = 0; i < segments && i < SEGMENTS_MAX; i++) {
		if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_LOAD &&
		    (header.p_flags & PF_X) && address >= header.p_vaddr &&
		    address - header.p_vaddr < header.p_filesz) {
			*ret = address - header.p_vaddr + header.p_offset;
			return true;
		}
	}
	return false;
}

static void take_symbol(Elf *elf, struct allocator_file *file, const GElf_Sym *symbol, const char *name)
{
	struct allocator_function function = { .address = symbol->st_value, .size = symbol->st_size };
	unsigned type = GELF_ST_TYPE(symbol->st_info);

	file->is_go |= strcmp(name, "runtime.mallocgc") == 0;
	file->has_default_rust |= ends_with(name, "__rdl_alloc");
	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) {
		return;
	}
	function.kind = symbols_kind(name, &function.is_rust, &function.is_operator);
	if (function.kind == PROBE_NONE || type != STT_FUNC || file->count == ALLOCATOR_FUNCTIONS ||
	    has_address(file, symbol->st_value) ||
	    !find_offset(elf, symbol->st_value, &function.file_offset)) {
		return;
	}
	snprintf(function.name, sizeof(function.name), "%s",
		 function.is_rust ? strstr(name, "__rust_") : name);
	file->functions[file->count++] = function;
}

static void read_symbols(Elf *from, Elf *elf, struct allocator_file *file)
{
	size_t best = sizeof(known) / sizeof(known[0]);
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(from, section)) != NULL) {
		Elf_Data *data;
		size_t count;

		if (!gelf_getshdr(section, &header) ||
		    (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM)) {
			continue;
		}
		file->has_symbols |= header.sh_type == SHT_SYMTAB;
		data = elf_getdata(section, NULL);
		count = data && header.sh_entsize ? data->d_size / header.sh_entsize : 0;
		for (size_t i = 0; i < count && i < SYMBOLS_MAX; i++) {
			GElf_Sym symbol;
			const char *name;

			if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF) {
				continue;
			}
			name = elf_strptr(from, header.sh_link, symbol.st_name);
			if (name && name[0]) {
				note_allocator(file, name, &best);
				take_symbol(elf, file, &symbol, name);
			}
		}
	}
}

static void read_build_id(Elf *elf, struct allocator_file *file)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Nhdr note;
	size_t name, content;

	while ((section = elf_nextscn(elf, section)) != NULL) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_NOTE) {
			continue;
		}
		data = elf_getdata(section, NULL);
		for (size_t at = 0; data && (at = gelf_getnote(data, at, &note, &name, &content)) > 0;) {
			const uint8_t *bytes = (const uint8_t *)data->d_buf + content;

			if (note.n_type != NT_GNU_BUILD_ID || note.n_descsz > 31) {
				continue;
			}
			for (uint32_t i = 0; i < note.n_descsz; i++) {
				snprintf(file->build_id + 2 * (size_t)i, 3, "%02x", bytes[i]);
			}
			return;
		}
	}
}

static Elf *open_elf(int fd)
{
	GElf_Ehdr header;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf &&
	    (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header) || header.e_machine != EM_X86_64)) {
		elf_end(elf);
		elf = NULL;
	}
	return elf;
}

int symbols_read(int fd, struct allocator_file *ret)
{
	Elf *elf = open_elf(fd);
	size_t segments = 0;
	GElf_Phdr header;

	memset(ret, 0, sizeof(*ret));
	if (!elf) {
		return -1;
	}
	for (size_t i = 0; elf_getphdrnum(elf, &segments) == 0 && i < segments && i < SEGMENTS_MAX; i++) {
		ret->has_loader |= gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_INTERP;
	}
	read_symbols(elf, elf, ret);
	read_build_id(elf, ret);
	elf_end(elf);
	return 0;
}

void symbols_read_debug(int debug_fd, int fd, struct allocator_file *file)
{
	Elf *debug = open_elf(debug_fd);
	Elf *elf = open_elf(fd);

	if (debug && elf) {
		read_symbols(debug, elf, file);
	}
	elf_end(debug);
	elf_end(elf);
}

/* ---- what to probe ---- */

static bool has_own(const struct allocator_file *file)
{
	for (uint32_t i = 0; i < file->count; i++) {
		if (!file->functions[i].is_rust && !file->functions[i].is_operator &&
		    file->functions[i].kind != PROBE_FREE) {
			return true;
		}
	}
	return false;
}

void symbols_settle(struct allocator_file *file)
{
	bool has_malloc = has_own(file);
	uint32_t kept = 0;

	/* Rust's own functions lead to the file's allocator or to malloc, but where a program brings one that has no name here. */
	for (uint32_t i = 0; i < file->count; i++) {
		const struct allocator_function *function = &file->functions[i];
		bool is_wanted = function->is_rust       ? !has_malloc && !file->has_default_rust
				 : function->is_operator ? has_malloc
							 : true;

		if (is_wanted) {
			file->functions[kept++] = *function;
		}
	}
	file->count = kept;
	for (uint32_t i = 0; i < kept && !file->allocator[0]; i++) {
		snprintf(file->allocator, sizeof(file->allocator), "%s",
			 file->functions[i].is_rust ? "Rust, of its own" : "its own");
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * Hostile ELF files, call frame information, DWARF, MiniDebugInfo and perf maps, through everything of core/stacks that parses
 * them. Nothing may crash, hang or take memory without bound; what comes out need not make sense.
 *
 *   fuzz_elf ROUNDS FILE...      flips bytes of the files, aimed at what is parsed, the same way every time; cuts them too
 *   clang -fsanitize=fuzzer      LLVMFuzzerTestOneInput: meson setup with CC=clang and b_sanitize=address,undefined builds it
 *   AFL++                        fuzz_elf 0 @@ reads one file as it is
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stacks/dwarf.h"
#include "stacks/mini_debug.h"
#include "stacks/perf_map.h"
#include "stacks/symbols.h"
#include "stacks/unpack.h"
#include "stacks/unwind_table.h"

#define ADDRESSES   64
#define DEADLINE_NS 1000000000ULL
#define BYTES_MAX   (64ULL << 20)
#define RANGES      64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint64_t answers; /* how much was found: of an unharmed file it must be something */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static int take_chain(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count)
{
	(void)ctx;
	(void)index;
	for (uint32_t i = 0; i < count; i++) {
		answers += frames[i].name != NULL && frames[i].name[0] != '\0';
	}
	return 0;
}

static int take_name(void *ctx, uint32_t index, const char *name)
{
	(void)ctx;
	(void)index;
	answers += name[0] != '\0';
	return 0;
}

static int read_nothing(void *ctx, uint64_t address, void *to, uint32_t bytes)
{
	(void)ctx;
	(void)address;
	memset(to, 0x41, bytes);
	return 0;
}

/* Rows as the walk asks for them, and their expressions. */
static void try_rows(struct unwind_table *table, const uint64_t *addresses)
{
	struct cfi_state state = { .known = UINT32_MAX, .read = read_nothing };

	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct cfi_row row;
		uint64_t value;

		answers += unwind_table_find(table, addresses[i])->cfa != 0;
		if (unwind_table_row(table, addresses[i], &row) != 0) {
			continue;
		}
		if (row.has_cfa_expression) {
			cfi_evaluate(&table->section, (uint32_t)row.cfa_offset, &state, NULL, &value);
		}
		for (unsigned n = 0; n < CFI_REGISTERS; n++) {
			if (row.rules[n].how == CFI_AT_EXPRESSION || row.rules[n].how == CFI_IS_EXPRESSION) {
				cfi_evaluate(&table->section, (uint32_t)row.rules[n].offset, &state,
					     &addresses[i], &value);
			}
		}
	}
}

static void try_symbols(const struct elf_image *image, const struct elf_sections *sections,
			const uint64_t *addresses)
{
	struct symbols symbols = { 0 };
	struct elf_sections mini_sections;
	struct elf_headers headers;
	struct elf_image mini;

	symbols_add(image, sections, SHT_DYNSYM, &symbols);
	symbols_add(image, sections, SHT_SYMTAB, &symbols);
	if (mini_debug_open(image, sections, &mini, &headers) == 0) {
		if (elf_sections_read(&mini, &headers, &mini_sections) == 0) {
			symbols_add(&mini, &mini_sections, SHT_SYMTAB, &symbols);
			elf_sections_finish(&mini_sections);
		}
		free((void *)(uintptr_t)mini.memory);
	}
	for (unsigned i = 0; i < ADDRESSES; i++) {
		const struct symbol *symbol = symbols_find(&symbols, addresses[i]);

		answers += symbol != NULL && symbols_name(&symbols, symbol)[0] != '\0';
	}
	symbols_finish(&symbols);
}

static void try_lines(const struct elf_image *image, const struct elf_sections *sections,
		      const uint64_t *addresses)
{
	struct dwarf_request request = { .image = *image,
					 .addresses = addresses,
					 .count = ADDRESSES,
					 .deadline_ns = now_ns() + DEADLINE_NS,
					 .on_chain = take_chain };
	struct elf_image unpacked = { .fd = -1 };

	if (sections != NULL && unpack_is_needed(image, sections)) {
		if (unpack_debug(image, sections, BYTES_MAX, &unpacked) != 0) {
			return;
		}
		request.image = unpacked;
	}
	dwarf_resolve(&request);
	free((void *)(uintptr_t)unpacked.memory);
}

/* Addresses all over the code that the file says it has. */
static void choose_addresses(const struct elf_headers *headers, uint64_t *addresses)
{
	uint64_t start = 0, bytes = 1 << 20;

	for (uint32_t i = 0; i < headers->segment_count; i++) {
		if (headers->segments[i].executable) {
			start = headers->segments[i].vaddr;
			bytes = headers->segments[i].memory_bytes;
		}
	}
	if (start > UINT64_MAX - bytes) {
		start = 0;
	}
	for (uint64_t i = 0; i < ADDRESSES; i++) {
		addresses[i] = start + bytes / ADDRESSES * i;
	}
}

static void try_perf_map(const uint8_t *data, size_t bytes, const uint64_t *addresses)
{
	struct perf_map_request request = { .addresses = addresses,
					    .count = ADDRESSES,
					    .deadline_ns = now_ns() + DEADLINE_NS,
					    .on_name = take_name };

	request.fd = memfd_create("map", MFD_CLOEXEC);
	if (request.fd >= 0 && write(request.fd, data, bytes) == (ssize_t)bytes) {
		perf_map_resolve(&request);
	}
	if (request.fd >= 0) {
		close(request.fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct elf_image image = { .fd = -1, .memory = data, .bytes = bytes };
	struct elf_sections sections = { 0 };
	struct elf_headers headers = { 0 };
	struct unwind_table table;
	uint64_t addresses[ADDRESSES];

	if (bytes < 4 || memcmp(data, ELFMAG, SELFMAG) != 0) {
		choose_addresses(&headers, addresses);
		try_perf_map(data, bytes, addresses);
		return 0;
	}
	if (elf_read_headers(&image, &headers) != 0) {
		return 0;
	}
	choose_addresses(&headers, addresses);
	if (unwind_table_read(&image, &headers, &table) == 0) {
		try_rows(&table, addresses);
		unwind_table_finish(&table);
	}
	if (elf_sections_read(&image, &headers, &sections) == 0) {
		try_symbols(&image, &sections, addresses);
		try_lines(&image, &sections, addresses);
		elf_sections_finish(&sections);
	}
	return 0;
}

#ifndef FUZZ_LIBFUZZER

struct range {
	uint64_t start, bytes;
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Headers, tables, and every section that is read; of a file that is no ELF the whole. */
static unsigned find_ranges(const uint8_t *data, uint64_t bytes, struct range *ranges)
{
	struct elf_image image = { .fd = -1, .memory = data, .bytes = bytes };
	struct elf_headers headers;
	struct elf_sections sections;
	unsigned count = 0;

	if (elf_read_headers(&image, &headers) != 0 || elf_sections_read(&image, &headers, &sections) != 0) {
		ranges[0] = (struct range){ 0, bytes };
		return 1;
	}
	ranges[count++] =
		(struct range){ 0, sizeof(Elf64_Ehdr) + headers.segment_count * sizeof(Elf64_Phdr) };
	ranges[count++] =
		(struct range){ headers.section_offset, headers.section_count * sizeof(Elf64_Shdr) };
	for (uint32_t i = 0; i < sections.count && count < RANGES; i++) {
		const struct elf_section *section = &sections.rows[i];

		if (section->type != SHT_NOBITS && section->bytes > 0 &&
		    section->offset + section->bytes <= bytes &&
		    (strncmp(section->name, ".debug", 6) == 0 ||
		     strncmp(section->name, ".eh_frame", 9) == 0 || section->type == SHT_SYMTAB ||
		     section->type == SHT_DYNSYM || section->type == SHT_STRTAB ||
		     section->type == SHT_NOTE || strncmp(section->name, ".gnu_debug", 10) == 0)) {
			ranges[count++] = (struct range){ section->offset, section->bytes };
		}
	}
	elf_sections_finish(&sections);
	return count;
}

/* One to eight bytes, more often near a range's beginning: a header there decides most. */
static void flip(uint8_t *data, const struct range *ranges, unsigned count, uint64_t *state)
{
	for (uint64_t flips = 1 + next_random(state) % 8; flips > 0; flips--) {
		const struct range *range = &ranges[next_random(state) % count];
		uint64_t at = next_random(state) % 2 ? next_random(state) % 256 : next_random(state);
		uint64_t kind = next_random(state) % 4;
		uint8_t *byte = &data[range->start + at % range->bytes];

		*byte = kind == 0   ? 0xff
			: kind == 1 ? 0
			: kind == 2 ? *byte ^ 1 << (at % 8)
				    : (uint8_t)next_random(state);
	}
}

static int fuzz_file(const char *path, unsigned rounds)
{
	struct range ranges[RANGES + 2];
	uint64_t state = 7, slowest_ns = 0;
	unsigned range_count;
	uint8_t *good, *bad;
	struct stat stat;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size < 4) {
		fprintf(stderr, "fuzz_elf: cannot read %s\n", path);
		return 2;
	}
	good = malloc((size_t)stat.st_size);
	bad = malloc((size_t)stat.st_size);
	if (good == NULL || bad == NULL || read(fd, good, (size_t)stat.st_size) != (ssize_t)stat.st_size) {
		return 2;
	}
	close(fd);
	answers = 0;
	LLVMFuzzerTestOneInput(good, (size_t)stat.st_size);
	printf("%s: %llu answers unharmed", path, (unsigned long long)answers);
	if (rounds > 0 && answers == 0) {
		printf("\nfuzz_elf: nothing is found in %s: it tests nothing\n", path);
		return 1;
	}
	range_count = find_ranges(good, (uint64_t)stat.st_size, ranges);
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t start_ns = now_ns();
		size_t bytes = (size_t)stat.st_size;

		memcpy(bad, good, bytes);
		flip(bad, ranges, range_count, &state);
		if (round % 16 == 15) {
			bytes = (size_t)(next_random(&state) % bytes);
		}
		LLVMFuzzerTestOneInput(bad, bytes);
		slowest_ns = now_ns() - start_ns > slowest_ns ? now_ns() - start_ns : slowest_ns;
	}
	printf(", %u harmed, slowest %.0f ms\n", rounds, (double)slowest_ns / 1e6);
	free(good);
	free(bad);
	return 0;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: fuzz_elf ROUNDS FILE...\n");
		return 2;
	}
	for (int i = 2; i < argc && status == 0; i++) {
		status = fuzz_file(argv[i], (unsigned)atoi(argv[1]));
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("peak RSS %ld MB\n", usage.ru_maxrss / 1024);
	/* All inputs are small: what takes more than this was made up by them. */
	return status == 0 && usage.ru_maxrss > 1024 * 1024 ? 1 : status;
}

#endif

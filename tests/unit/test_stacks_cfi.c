/* SPDX-License-Identifier: MIT */
/*
 * Unwind tables against an oracle: libdw's reading of the same call frame information, at every third address of libraries
 * that are on any machine, and of this program. And expressions, and garbage. For figures: PROFCORE_CFI_FILES names more files
 * (colons between), PROFCORE_CFI_STEP how many bytes lie between two addresses; the CPU time to compile is the best of five.
 */
#include <check.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/unwind_table.h"

struct tally {
	uint64_t asked, equal, escapes, roots, none, filled, wrong;
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* libdw's CFA as register + offset; false for an expression. */
static bool plain_cfa(Dwarf_Frame *frame, int *ret_register, int64_t *ret_offset)
{
	Dwarf_Op *ops;
	size_t count;

	if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count != 1) {
		return false;
	}
	if (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
		*ret_register = ops[0].atom - DW_OP_breg0;
		*ret_offset = (int64_t)ops[0].number;
		return true;
	}
	if (ops[0].atom == DW_OP_bregx) {
		*ret_register = (int)ops[0].number;
		*ret_offset = (int64_t)ops[0].number2;
		return true;
	}
	return false;
}

/* libdw's rule of a register: how, and the offset from CFA where there is one. */
static enum cfi_how plain_register(Dwarf_Frame *frame, int number, int64_t *ret_offset)
{
	Dwarf_Op memory[3], *ops;
	size_t count;

	ck_assert_int_eq(dwarf_frame_register(frame, number, memory, &ops, &count), 0);
	*ret_offset = 0;
	if (count == 0) {
		return ops == NULL ? CFI_SAME : CFI_UNDEFINED;
	}
	if (ops[0].atom != DW_OP_call_frame_cfa) {
		return CFI_AT_EXPRESSION;
	}
	if (count == 1) {
		return CFI_AT;
	}
	if (count == 2 && ops[1].atom == DW_OP_plus_uconst) {
		*ret_offset = (int64_t)ops[1].number;
		return CFI_AT;
	}
	if (count == 3 && ops[2].atom == DW_OP_plus) {
		*ret_offset = (int64_t)ops[1].number;
		return CFI_AT;
	}
	return CFI_AT_EXPRESSION;
}

/* libdw's CFA as the threshold of a PLT entry; -1: something else. */
static int plt_cfa(Dwarf_Frame *frame)
{
	Dwarf_Op *ops;
	size_t count;

	if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count != 9 || ops[0].atom != DW_OP_breg7 ||
	    ops[0].number != 8 || ops[1].atom != DW_OP_breg16 || ops[2].atom != DW_OP_lit15 ||
	    ops[5].atom != DW_OP_ge || ops[6].atom != DW_OP_lit3) {
		return -1;
	}
	return ops[4].atom - DW_OP_lit0;
}

static bool agrees(const struct unwind_rule *rule, Dwarf_Frame *frame)
{
	int64_t cfa_offset, rbp_offset, rip_offset;
	int number;
	enum cfi_how rip = plain_register(frame, CFI_RIP, &rip_offset);
	enum cfi_how rbp = plain_register(frame, CFI_RBP, &rbp_offset);

	if (rule->cfa == UNWIND_ROOT) {
		return rip == CFI_UNDEFINED;
	}
	if (rule->cfa == UNWIND_PLT) {
		return rip == CFI_AT && rip_offset == -8 && rbp == CFI_SAME &&
		       plt_cfa(frame) == rule->cfa_offset;
	}
	if (rip != CFI_AT || rip_offset != -8 || !plain_cfa(frame, &number, &cfa_offset)) {
		return false;
	}
	if (number != (rule->cfa == UNWIND_RSP ? CFI_RSP : CFI_RBP) || cfa_offset != rule->cfa_offset) {
		return false;
	}
	switch (rule->rbp) {
	case UNWIND_RBP_SAVED:
		return rbp == CFI_AT && rbp_offset == rule->rbp_offset;
	case UNWIND_RBP_GONE:
		return rbp == CFI_UNDEFINED;
	default:
		return rbp == CFI_SAME;
	}
}

/* An escape is right when the interpreted row agrees, and a plain rule could not have said it. */
static bool escape_agrees(struct unwind_table *table, uint64_t address, Dwarf_Frame *frame)
{
	struct cfi_row row;
	int64_t cfa_offset, rbp_offset;
	int number;

	if (unwind_table_row(table, address, &row) != 0) {
		return false;
	}
	if (plain_cfa(frame, &number, &cfa_offset) &&
	    (row.has_cfa_expression || row.cfa_register != number || row.cfa_offset != cfa_offset)) {
		return false;
	}
	return plain_register(frame, CFI_RBP, &rbp_offset) != CFI_AT ||
	       (row.rules[CFI_RBP].how == CFI_AT && row.rules[CFI_RBP].offset == rbp_offset);
}

static void compare_at(struct unwind_table *table, Dwarf_CFI *oracle, uint64_t address, struct tally *tally)
{
	const struct unwind_rule *rule = unwind_table_find(table, address);
	Dwarf_Frame *frame = NULL;
	uint64_t start, end;
	bool right;

	tally->asked++;
	if (dwarf_cfi_addrframe(oracle, address, &frame) != 0) {
		/* Only padding behind a function may have a rule that the oracle has not. */
		right = rule->cfa == UNWIND_NONE || !unwind_table_function(table, address, &start, &end);
		tally->none += rule->cfa == UNWIND_NONE;
		tally->filled += rule->cfa != UNWIND_NONE;
	} else if (rule->cfa == UNWIND_ESCAPE) {
		right = escape_agrees(table, address, frame);
		tally->escapes++;
	} else {
		right = rule->cfa != UNWIND_NONE && agrees(rule, frame);
		tally->roots += rule->cfa == UNWIND_ROOT;
	}
	free(frame);
	tally->equal += right;
	tally->wrong += !right;
	if (!right && tally->wrong < 4) {
		printf("differs at 0x%llx: cfa %d%+d rbp %d%+d\n", (unsigned long long)address, rule->cfa,
		       rule->cfa_offset, rule->rbp, rule->rbp_offset);
	}
}

#define FILES_MAX 32

static const char *files[FILES_MAX] = { "/lib/x86_64-linux-gnu/libc.so.6",
					"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
					"/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libm.so.6",
					"/proc/self/exe" };
static int file_count = 5;
static uint64_t step = 3;

static void take_environment(void)
{
	const char *more = getenv("PROFCORE_CFI_FILES");
	const char *apart = getenv("PROFCORE_CFI_STEP");
	char *rest = NULL;

	for (char *path = more != NULL ? strtok_r(strdup(more), ":", &rest) : NULL;
	     path != NULL && file_count < FILES_MAX; path = strtok_r(NULL, ":", &rest)) {
		files[file_count++] = path;
	}
	if (apart != NULL && strtoull(apart, NULL, 10) > 0) {
		step = strtoull(apart, NULL, 10);
	}
}

/* Best of five, in ms. */
static double compile_ms(const struct elf_image *image, const struct elf_headers *headers)
{
	double best = 1e9;

	for (int i = 0; i < 5; i++) {
		struct unwind_table table;
		double start_ms = now_ms(), took;

		ck_assert_int_eq(unwind_table_read(image, headers, &table), 0);
		took = now_ms() - start_ms;
		best = took < best ? took : best;
		unwind_table_finish(&table);
	}
	return best;
}

START_TEST(agrees_with_libdw)
{
	struct elf_image image = { .fd = open(files[_i], O_RDONLY | O_CLOEXEC) };
	struct elf_headers headers;
	struct unwind_table table;
	struct tally tally = { 0 };
	struct stat stat;
	Dwarf_CFI *oracle;
	Elf *elf;
	double took_ms;

	if (image.fd < 0) {
		printf("skipped: no %s here\n", files[_i]);
		return;
	}
	ck_assert_int_eq(fstat(image.fd, &stat), 0);
	image.bytes = (uint64_t)stat.st_size;
	ck_assert_int_eq(elf_read_headers(&image, &headers), 0);
	took_ms = compile_ms(&image, &headers);
	ck_assert_int_eq(unwind_table_read(&image, &headers, &table), 0);
	printf("%s: %u rows, %u rules, %.2f bytes a row, %.1f ms, %.0f ns a row\n", files[_i],
	       table.line_count, table.rule_count,
	       ((double)table.line_count * sizeof(*table.lines) +
		(double)table.page_count * sizeof(*table.pages) +
		(double)table.rule_count * sizeof(*table.rules)) /
		       (double)table.line_count,
	       took_ms, took_ms * 1e6 / (double)table.line_count);
	elf_version(EV_CURRENT);
	elf = elf_begin(image.fd, ELF_C_READ, NULL);
	oracle = dwarf_getcfi_elf(elf);
	ck_assert_ptr_nonnull(oracle);
	for (uint32_t i = 0; i < headers.segment_count; i++) {
		const struct elf_segment *segment = &headers.segments[i];

		for (uint64_t at = 0; segment->executable && at < segment->memory_bytes; at += step) {
			compare_at(&table, oracle, segment->vaddr + at, &tally);
		}
	}
	printf("  %llu addresses: %llu agree, %llu differ (%llu escapes, %llu roots, %llu without, %llu "
	       "filled)\n",
	       (unsigned long long)tally.asked, (unsigned long long)tally.equal,
	       (unsigned long long)tally.wrong, (unsigned long long)tally.escapes,
	       (unsigned long long)tally.roots, (unsigned long long)tally.none,
	       (unsigned long long)tally.filled);
	ck_assert_uint_eq(tally.wrong, 0);
	ck_assert_uint_gt(tally.equal, 1000);
	ck_assert_uint_lt(tally.escapes, tally.asked / 20);
	dwarf_cfi_end(oracle);
	elf_end(elf);
	close(image.fd);
	unwind_table_finish(&table);
}
END_TEST

static int read_seven(void *ctx, uint64_t address, void *to, uint32_t bytes)
{
	uint64_t value = address + 7;

	memcpy(to, &value, bytes);
	return 0;
}

START_TEST(evaluates_expressions)
{
	/* What a PLT entry says: rsp + 8 + ((rip & 15) >= 11) * 8. */
	static const uint8_t plt[] = {
		11,        DW_OP_breg7, 8,        DW_OP_breg16, 0,         DW_OP_lit15,
		DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3,   DW_OP_shl, DW_OP_plus
	};
	static const uint8_t follow[] = { 3, DW_OP_breg7, 0x78, DW_OP_deref };
	static const uint8_t forever[] = { 3, DW_OP_skip, 0xfd, 0xff };
	static const uint8_t empty[] = { 1, DW_OP_plus };
	struct cfi_state state = { .known = 1U << CFI_RSP | 1U << CFI_RIP, .read = read_seven };
	struct cfi_section section = { .data = plt, .bytes = sizeof(plt) };
	uint64_t value = 0;

	state.registers[CFI_RSP] = 1000;
	state.registers[CFI_RIP] = 0x40ab;
	ck_assert_int_eq(cfi_evaluate(&section, 0, &state, NULL, &value), 0);
	ck_assert_uint_eq(value, 1016);
	state.registers[CFI_RIP] = 0x40aa;
	ck_assert_int_eq(cfi_evaluate(&section, 0, &state, NULL, &value), 0);
	ck_assert_uint_eq(value, 1008);
	section = (struct cfi_section){ .data = follow, .bytes = sizeof(follow) };
	ck_assert_int_eq(cfi_evaluate(&section, 0, &state, NULL, &value), 0);
	ck_assert_uint_eq(value, 1000 - 8 + 7);
	state.known = 0;
	ck_assert_int_eq(cfi_evaluate(&section, 0, &state, NULL, &value), PFC_ECORRUPT);
	section = (struct cfi_section){ .data = forever, .bytes = sizeof(forever) };
	ck_assert_int_eq(cfi_evaluate(&section, 0, &state, NULL, &value), PFC_ECORRUPT);
	section = (struct cfi_section){ .data = empty, .bytes = sizeof(empty) };
	ck_assert_int_eq(cfi_evaluate(&section, 0, &state, NULL, &value), PFC_ECORRUPT);
	ck_assert_int_eq(cfi_evaluate(&section, 5, &state, NULL, &value), PFC_ECORRUPT);
}
END_TEST

START_TEST(survives_garbage)
{
	struct elf_image image = { .fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC) };
	struct elf_headers headers;
	struct unwind_table good, bad;
	struct cfi_state state = { .known = 0x1ffff, .read = read_seven };
	struct stat stat;
	uint8_t *data;

	ck_assert_int_eq(fstat(image.fd, &stat), 0);
	image.bytes = (uint64_t)stat.st_size;
	ck_assert_int_eq(elf_read_headers(&image, &headers), 0);
	ck_assert_int_eq(unwind_table_read(&image, &headers, &good), 0);
	data = malloc(good.section.bytes);
	srand(3);
	for (int round = 0; round < 1000; round++) {
		struct cfi_section section = good.section;

		memcpy(data, good.section.data, good.section.bytes);
		section.data = data;
		section.bytes -= (unsigned)rand() % 64;
		for (int flips = 1 + rand() % 30; flips > 0; flips--) {
			data[(unsigned)rand() % good.section.bytes] = (uint8_t)rand();
		}
		if (unwind_table_compile(&section, NULL, &bad) == 0) {
			for (int i = 0; i < 200; i++) {
				uint64_t address = good.base + (unsigned)rand() % (good.page_count * 4096);
				struct cfi_row row;
				uint64_t value;

				unwind_table_find(&bad, address);
				if (unwind_table_row(&bad, address, &row) == 0 && row.has_cfa_expression) {
					cfi_evaluate(&section, (uint32_t)row.cfa_offset, &state, NULL,
						     &value);
				}
			}
			unwind_table_finish(&bad);
		}
		/* Any place may be taken for an expression. */
		for (int i = 0; i < 100; i++) {
			uint64_t value, cfa = 5;

			cfi_evaluate(&section, (unsigned)rand() % section.bytes, &state, &cfa, &value);
		}
	}
	free(data);
	unwind_table_finish(&good);
	close(image.fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_cfi");
	TCase *cases = tcase_create("cfi");
	SRunner *runner = srunner_create(suite);
	int failed;

	take_environment();

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, agrees_with_libdw, 0, file_count);
	tcase_add_test(cases, evaluates_expressions);
	tcase_add_test(cases, survives_garbage);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

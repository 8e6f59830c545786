/* SPDX-License-Identifier: MIT */
/* Where probes go, what they may cost, and what a slice of them stands for: the parts of plugins/memory/probes that need no kernel. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "probes/budget.h"
#include "probes/fit.h"
#include "probes/insn.h"
#include "probes/place.h"
#include "probes/symbols.h"

#define CODE(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

static unsigned length(const uint8_t *code, size_t bytes)
{
	struct insn insn;

	return insn_decode(code, bytes, &insn) == 0 ? insn.length : 0;
}

START_TEST(test_lengths)
{
	ck_assert_uint_eq(length(CODE(0x41, 0x54)), 2);                                  /* push %r12 */
	ck_assert_uint_eq(length(CODE(0x48, 0x83, 0xec, 0x10)), 4);                      /* sub $16,%rsp */
	ck_assert_uint_eq(length(CODE(0x80, 0x3d, 0x46, 0x1b, 0x14, 0x00, 0x00)), 7);    /* cmpb $0,x(%rip) */
	ck_assert_uint_eq(length(CODE(0xf3, 0x0f, 0x1e, 0xfa)), 4);                      /* endbr64 */
	ck_assert_uint_eq(length(CODE(0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0)), 9); /* mov %fs:40,%rax */
	ck_assert_uint_eq(length(CODE(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8)), 10);         /* movabs */
	ck_assert_uint_eq(length(CODE(0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00)), 6);          /* nopw */
	ck_assert_uint_eq(length(CODE(0x48, 0x81, 0xff, 0x00, 0x10, 0x00, 0x00)), 7);    /* cmp $4096,%rdi */
	ck_assert_uint_eq(length(CODE(0xf6, 0x47, 0x08, 0x01)), 4);       /* testb $1,8(%rdi) */
	ck_assert_uint_eq(length(CODE(0x0f, 0x84, 0xbf, 0, 0, 0)), 6);    /* je */
	ck_assert_uint_eq(length(CODE(0x48, 0x8d, 0x44, 0x37, 0x07)), 5); /* lea 7(%rdi,%rsi),%rax */
}
END_TEST

START_TEST(test_nothing_is_read_past_the_end)
{
	const uint8_t code[] = { 0x66, 0x48, 0x81, 0xbc, 0x24, 1, 2, 3, 4, 5, 6 };
	uint8_t *exact;

	for (size_t bytes = 0; bytes < sizeof(code);
	     bytes++) { /* each of its own size: a sanitizer would tell */
		exact = malloc(bytes + !bytes);
		memcpy(exact, code, bytes);
		ck_assert_uint_eq(length(exact, bytes), 0);
		free(exact);
	}
	srand(7);
	for (int i = 0; i < 100000; i++) {
		uint8_t noise[16];
		struct insn insn;

		for (size_t k = 0; k < sizeof(noise); k++) {
			noise[k] = (uint8_t)rand();
		}
		if (insn_decode(noise, (size_t)rand() % 17, &insn) == 0) {
			ck_assert_uint_ge(insn.length, 1);
			ck_assert_uint_le(insn.length, 15);
		}
	}
}
END_TEST

static struct place place_of(const uint8_t *code, size_t bytes, enum probe_kind kind)
{
	return place_probe(code, bytes, kind);
}

START_TEST(test_places)
{
	struct place place;

	place = place_of(CODE(0x41, 0x54, 0x55, 0xc3), PROBE_MALLOC); /* push first */
	ck_assert(place.offset == 0 && place.is_emulated);
	place = place_of(CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3), PROBE_MALLOC); /* endbr64; push */
	ck_assert(place.offset == 4 && place.is_emulated);
	/* test %rdi,%rdi; je; push: a free passes by NULL, an allocation must not */
	place = place_of(CODE(0x48, 0x85, 0xff, 0x0f, 0x84, 1, 0, 0, 0, 0x55, 0xc3), PROBE_FREE);
	ck_assert(place.offset == 9 && place.is_emulated && place.skips_null);
	place = place_of(CODE(0x48, 0x85, 0xff, 0x0f, 0x84, 1, 0, 0, 0, 0x55, 0xc3), PROBE_MALLOC);
	ck_assert(place.offset == 3 && place.is_emulated && !place.skips_null);
	/* the same, of another register: not about NULL */
	place = place_of(CODE(0x48, 0x85, 0xf6, 0x0f, 0x84, 1, 0, 0, 0, 0x55, 0xc3), PROBE_FREE);
	ck_assert(place.offset == 3 && place.is_emulated);
	/* mov %rdi,%rsi; mov %fs:(%rax),%rdi; push: the argument is gone by then */
	place = place_of(CODE(0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x38, 0x55, 0xc3), PROBE_MALLOC);
	ck_assert(place.offset == 0 && !place.is_emulated);
	/* mov %rdi,%rsi; push: calloc's second argument is gone, malloc has none */
	place = place_of(CODE(0x48, 0x89, 0xfe, 0x55, 0xc3), PROBE_CALLOC);
	ck_assert(place.offset == 0 && !place.is_emulated);
	place = place_of(CODE(0x48, 0x89, 0xfe, 0x55, 0xc3), PROBE_MALLOC);
	ck_assert(place.offset == 3 && place.is_emulated);
	/* sub $24,%rsp; jmp: the return address is elsewhere by then */
	place = place_of(CODE(0x48, 0x83, 0xec, 0x18, 0xeb, 0x00), PROBE_MALLOC);
	ck_assert(place.offset == 0 && !place.is_emulated);
	/* mov; push; ...; jmp back to the push: calls would come past twice */
	place = place_of(CODE(0x48, 0x89, 0xf8, 0x55, 0x90, 0xeb, 0xfc), PROBE_MALLOC);
	ck_assert(place.offset == 0 && !place.is_emulated);
	/* jmp, as Rust's thunks have it */
	place = place_of(CODE(0xe9, 0x10, 0, 0, 0), PROBE_FREE);
	ck_assert(place.offset == 0 && place.is_emulated);
	ck_assert_uint_eq(place_probe(NULL, 0, PROBE_MALLOC).offset, 0);
}
END_TEST

START_TEST(test_names)
{
	static const struct {
		const char *name;
		enum probe_kind kind;
		bool is_rust, is_operator;
	} cases[] = {
		{ "malloc", PROBE_MALLOC, false, false },
		{ "_rjem_sdallocx", PROBE_FREE, false, false },
		{ "je_posix_memalign", PROBE_MEMALIGN_TO, false, false },
		{ "mi_realloc", PROBE_REALLOC, false, false },
		{ "tc_free", PROBE_FREE, false, false },
		{ "_Znwm", PROBE_MALLOC, false, true },
		{ "_ZdlPvm", PROBE_FREE, false, true },
		{ "__rust_dealloc", PROBE_FREE, true, false },
		{ "_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc", PROBE_MALLOC, true, false },
		{ "_RNvCsfLfy6EI15iL_7___rustc14___rust_realloc", PROBE_RUST_REALLOC, true, false },
		{ "_RNvCsfLfy6EI15iL_7___rustc26___rust_alloc_error_handler", PROBE_NONE, false, false },
		{ "mallocator", PROBE_NONE, false, false },
		{ "xmalloc", PROBE_NONE, false, false },
		{ "je_", PROBE_NONE, false, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_rust, is_operator;

		ck_assert_msg(symbols_kind(cases[i].name, &is_rust, &is_operator) == cases[i].kind, "%s",
			      cases[i].name);
		ck_assert_msg(is_rust == cases[i].is_rust && is_operator == cases[i].is_operator, "%s",
			      cases[i].name);
	}
}
END_TEST

START_TEST(test_budget)
{
	struct budget budget = { .share = 0.03, .emulated_ns = 1000, .stepped_ns = 10000 };
	struct budget_use use = { .now_ns = 1000 };
	double spent = 0, cpu = 0;
	uint64_t switches = 0;

	budget_start(&budget, &use);
	/* A target that would spend all its time in probes: 20 s, looked at each 5 ms. */
	for (int i = 0; i < 4000; i++) {
		bool wants;

		use.now_ns += 5000000;
		use.cpu_ns += 5000000;
		cpu += 5e6;
		if (budget.is_on) {
			use.hits += 4500;
			spent += 4.5e6;
		}
		wants = budget_look(&budget, &use);
		if (wants != budget.is_on) {
			budget_switched(&budget, wants);
			switches++;
		}
	}
	ck_assert_double_ge(spent / (cpu - spent), 0.02);
	ck_assert_double_le(spent / (cpu - spent), 0.04); /* the budget and one point */
	ck_assert_uint_gt(switches, 10);
	ck_assert_double_eq_tol(budget.spent_ns, spent, 1);
}
END_TEST

START_TEST(test_a_quiet_target_is_never_switched_off)
{
	struct budget budget = { .share = 0.03, .emulated_ns = 1000, .stepped_ns = 10000 };
	struct budget_use use = { .now_ns = 1000 };

	budget_start(&budget, &use);
	for (int i = 0; i < 4000; i++) {
		use.now_ns += 5000000;
		use.cpu_ns += 5000000;
		use.hits += 140; /* 2.8 % */
		ck_assert(budget_look(&budget, &use));
	}
}
END_TEST

START_TEST(test_fit_finds_what_a_hit_costs)
{
	struct fit fit = { 0 };

	ck_assert_double_eq(fit_factor(&fit), 1);
	/* A call takes 400 ns; a hit, calibrated at 1000 ns, in truth 1700. One hit a call, or two; one percent of noise. */
	for (int i = 0; i < 20; i++) {
		double noise = 1 + (i % 5 - 2) * 0.005;
		double hits = i % 2 ? 1000 : 2000;

		fit_add(&fit, 10000, 10000 * hits, 10000 * (400 + 1.7 * hits) * noise, i % 2 == 0);
	}
	ck_assert_double_eq_tol(fit_factor(&fit), 1.7, 0.1);
	ck_assert_double_le(fit_error(&fit), 0.2);
	ck_assert_double_gt(fit_error(&fit), 0.001);
}
END_TEST

START_TEST(test_fit_without_two_kinds_of_slices_is_unsure)
{
	struct fit fit = { 0 };

	for (int i = 0; i < 20; i++) {
		fit_add(&fit, 10000, 1e7, 1.4e7, true);
	}
	ck_assert_double_eq(fit_factor(&fit), 1);
	ck_assert_double_ge(fit_error(&fit), 0.3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_probes");
	TCase *tcase = tcase_create("probes");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_lengths);
	tcase_add_test(tcase, test_nothing_is_read_past_the_end);
	tcase_add_test(tcase, test_places);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_budget);
	tcase_add_test(tcase, test_a_quiet_target_is_never_switched_off);
	tcase_add_test(tcase, test_fit_finds_what_a_hit_costs);
	tcase_add_test(tcase, test_fit_without_two_kinds_of_slices_is_unsure);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

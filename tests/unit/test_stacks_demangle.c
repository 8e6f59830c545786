/* SPDX-License-Identifier: MIT */
/* Names as people write them: core/stacks/demangle.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stacks/demangle.h"

static const struct {
	const char *mangled;
	const char *readable;
} names[] = {
	/* C */
	{ "main", "main" },
	{ "memcpy@@GLIBC_2.14", "memcpy" },
	{ "qsort_r.cold", "qsort_r" },
	{ "parse.constprop.0", "parse" },
	{ "parse.isra.0.part.3", "parse" },
	{ "x86_pmu_enable.llvm.1234567", "x86_pmu_enable" },
	{ "", "" },
	{ "@", "@" },
	{ ".cold", ".cold" },
	/* C++ */
	{ "_ZN9wikipedia7article6formatEv", "wikipedia::article::format()" },
	{ "_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back(int&&)" },
	{ "_ZNSsC1EPKcRKSaIcE@GLIBCXX_3.4",
	  "std::basic_string<char, std::char_traits<char>, std::allocator<char> >"
	  "::basic_string(char const*, std::allocator<char> const&)" },
	{ "_ZN3foo3barEi.cold", "foo::bar(int)" },
	{ "_ZN3foo3barEi@plt", "foo::bar(int)@plt" },
	{ "malloc@plt", "malloc@plt" },
	{ "@plt", "@plt" },
	{ "_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const" },
	{ "_Z", "_Z" },
	{ "_ZN", "_ZN" },
	/* Rust, legacy: the hash goes, also with the suffix of LLVM's partitions */
	{ "_ZN4core3fmt5Write9write_fmt17h1234567890abcdefE", "core::fmt::Write::write_fmt" },
	{ "_ZN5tokio7runtime4task3raw4poll17hf00dfeedf01234edE.llvm.8574639",
	  "tokio::runtime::task::raw::poll" },
	{ "_ZN63_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..clone..Clone$GT$5clone17h0123456789abcdefE",
	  "<alloc::vec::Vec<T> as core::clone::Clone>::clone" },
	{ "_ZN41_$LT$a..part..B$u20$as$u20$a..cold..C$GT$1f17h0123456789abcdefE",
	  "<a::part::B as a::cold::C>::f" },
	/* Rust, v0 */
	{ "_RNvC6_123foo3bar", "123foo::bar" },
	{ "_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar" },
	{ "_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>" },
	{ "_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_"
	  "4iter8iterator8Iterator9rpositionNCNgNpB9_6"
	  "memchr7memrchrs_0E0Bb_",
	  "<core::slice::Iter<u8> as "
	  "core::iter::iterator::Iterator>::rposition::<core::slice::memchr::memrchr::"
	  "{closure#1}>::{closure#0}" },
	{ "_RNvCs1234_7mycrate3foo.llvm.9D1C9369", "mycrate::foo" },
};

START_TEST(makes_names_readable)
{
	char text[4096];

	demangle(text, sizeof(text), names[_i].mangled);
	ck_assert_str_eq(text, names[_i].readable);
}
END_TEST

START_TEST(cuts_at_the_room_given)
{
	char text[12];

	memset(text, 'x', sizeof(text));
	demangle(text, 10, "_ZN9wikipedia7article6formatEv");
	ck_assert_str_eq(text, "wikipedia");
	ck_assert_int_eq(text[10], 'x');
	demangle(text, 4, "plain_name");
	ck_assert_str_eq(text, "pla");
}
END_TEST

/* Each level repeats the one before twice: 2^40 characters when written out. */
START_TEST(bounds_what_a_short_name_can_stand_for)
{
	char name[1024] = "_Z1fSt4pairIiiE";
	char text[4096];
	char *at = name + strlen(name);

	for (int level = 0; level < 36; level++) {
		static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

		at += level == 0
			      ? snprintf(at, 32, "S_IS0_S0_E")
			      : snprintf(at, 32, "St4pairIS%c_S%c_E", digits[level - 1], digits[level - 1]);
	}
	demangle(text, sizeof(text), name);
	ck_assert_uint_eq(strlen(text), sizeof(text) - 1);
}
END_TEST

START_TEST(survives_garbage)
{
	char name[300];
	char text[4096];

	srand(42);
	for (int round = 0; round < 200000; round++) {
		const char *from = names[(unsigned)rand() % (sizeof(names) / sizeof(names[0]))].mangled;
		size_t bytes = strlen(from);

		snprintf(name, sizeof(name), "%s", from);
		for (int flips = rand() % 4; bytes > 0 && flips >= 0; flips--) {
			name[2 + (size_t)rand() % bytes % 290] = (char)(33 + rand() % 90);
		}
		name[bytes] = '\0';
		demangle(text, sizeof(text), name);
		ck_assert_uint_lt(strlen(text), sizeof(text));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_demangle");
	TCase *cases = tcase_create("demangle");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, makes_names_readable, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(cases, cuts_at_the_room_given);
	tcase_add_test(cases, bounds_what_a_short_name_can_stand_for);
	tcase_add_test(cases, survives_garbage);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

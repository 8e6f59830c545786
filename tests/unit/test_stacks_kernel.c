/* SPDX-License-Identifier: MIT */
/* Code of the kernel and of its modules: by made-up files in the form of /proc/modules and /proc/kallsyms. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/kernel.h"

#define MODULES                                                                                              \
	"nf_tables 319488 12 nft_ct, Live 0xffffffffc0600000\n"                                              \
	"veth 45056 0 - Live 0xffffffffc0400000 (O)\n"                                                       \
	"hidden 4096 0 - Live 0x0000000000000000\n"

#define SYMBOLS                                                                                              \
	"ffffffff81000000 T _text\n"                                                                         \
	"ffffffff81000000 T startup_64\n"                                                                    \
	"ffffffff81001000 t do_work\n"                                                                       \
	"ffffffff82000000 D some_data\n"                                                                     \
	"ffffffff82001000 T _einittext\n"                                                                    \
	"ffffffffc0400000 t veth_xmit\t[veth]\n"                                                             \
	"ffffffffc0400800 t veth_poll\t[veth]\n"                                                             \
	"ffffffffc0400900 r veth_table\t[veth]\n"                                                            \
	"ffffffffc0600000 t nft_do_chain\t[nf_tables]\n"                                                     \
	"ffffffffc0a00000 t bpf_prog_6deef7357e7b4530_serve\t[bpf]\n"

static struct kernel kernel;
static struct kernel_rows rows;
static struct intern intern;

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void open_made_up(const char *modules, const char *symbols)
{
	char modules_path[] = "/tmp/modules_XXXXXX";
	char symbols_path[] = "/tmp/symbols_XXXXXX";

	write_file(modules_path, modules);
	write_file(symbols_path, symbols);
	kernel_open_files(&kernel, modules_path, symbols_path);
	unlink(modules_path);
	unlink(symbols_path);
	ck_assert_int_eq(intern_init(&intern), 0);
}

static void close_all(void)
{
	kernel_rows_finish(&rows);
	rows.kernel = 0;
	kernel_close(&kernel);
	intern_finish(&intern);
}

static void check_place(uint64_t address, const char *function, const char *module, enum module_kind kind)
{
	const struct symbol *symbol = symbols_find(&kernel.symbols, address);
	uint32_t row;

	ck_assert_ptr_nonnull(symbol);
	ck_assert_str_eq(symbols_name(&kernel.symbols, symbol), function);
	ck_assert_int_eq(kernel_locate(&kernel, &rows, &intern, address, &row), 0);
	ck_assert_str_eq(intern_text(&intern, intern.module_path[row]), module);
	ck_assert_uint_eq(intern.module_kind[row], kind);
}

START_TEST(test_functions_have_their_module)
{
	open_made_up(MODULES, SYMBOLS);
	ck_assert_int_eq(kernel.symbols_status, 0);
	ck_assert_uint_eq(kernel.module_count, 2);
	check_place(0xffffffff81001010, "do_work", "[kernel]", MODULE_KERNEL);
	check_place(0xffffffffc0400010, "veth_xmit", "[veth]", MODULE_KERNEL_MODULE);
	check_place(0xffffffffc04007ff, "veth_xmit", "[veth]", MODULE_KERNEL_MODULE);
	check_place(0xffffffffc0400950, "veth_poll", "[veth]",
		    MODULE_KERNEL_MODULE); /* data is no function */
	check_place(0xffffffffc0600100, "nft_do_chain", "[nf_tables]", MODULE_KERNEL_MODULE);
	check_place(0xffffffffa0001234, "generated code (BPF)", "[kernel]", MODULE_KERNEL);
	check_place(0xffffffffc0a00040, "bpf_prog_6deef7357e7b4530_serve", "[kernel]", MODULE_KERNEL);
	close_all();
}
END_TEST

/* Between functions of one module and the next lies nothing of either: behind its end it is the kernel's. */
START_TEST(test_a_module_ends)
{
	uint32_t last, behind;

	open_made_up(MODULES, SYMBOLS);
	ck_assert_int_eq(kernel_locate(&kernel, &rows, &intern, 0xffffffffc0400000 + 45055, &last), 0);
	ck_assert_int_eq(kernel_locate(&kernel, &rows, &intern, 0xffffffffc0400000 + 45056, &behind), 0);
	ck_assert_str_eq(intern_text(&intern, intern.module_path[last]), "[veth]");
	ck_assert_str_eq(intern_text(&intern, intern.module_path[behind]), "[kernel]");
	close_all();
}
END_TEST

/* kptr_restrict shows zeroes: that is said, and no address gets a name by chance. */
START_TEST(test_hidden_addresses_are_said)
{
	open_made_up("veth 45056 0 - Live 0x0000000000000000\n",
		     "0000000000000000 T _text\n0000000000000000 t veth_xmit\t[veth]\n");
	ck_assert_int_eq(kernel.symbols_status, PFC_EPERM);
	ck_assert_uint_eq(kernel.module_count, 0);
	ck_assert_ptr_null(symbols_find(&kernel.symbols, 0xffffffff81001010));
	close_all();
}
END_TEST

START_TEST(test_nonsense_is_passed_over)
{
	open_made_up(
		"veth\n\n veth 12 x\nveth 4096 0 - Live 0xffffffffc0400000",
		"x\n\nffffffffc0400000\nffffffffc0400000 t\nffffffffc0400000 t \nffffffffc0400010 t good\n");
	ck_assert_uint_eq(kernel.module_count, 1);
	ck_assert_uint_eq(kernel.symbols.count, 1);
	check_place(0xffffffffc0400011, "good", "[veth]", MODULE_KERNEL_MODULE);
	close_all();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_kernel");
	TCase *cases = tcase_create("kernel");
	SRunner *runner;
	int failed;

	tcase_add_test(cases, test_functions_have_their_module);
	tcase_add_test(cases, test_a_module_ends);
	tcase_add_test(cases, test_hidden_addresses_are_said);
	tcase_add_test(cases, test_nonsense_is_passed_over);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

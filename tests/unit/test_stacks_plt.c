/* SPDX-License-Identifier: MIT */
/* Entries of procedure linkage tables: of this program, of libc and of what else is there, as objdump names them. */
#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stacks/plt.h"

struct file {
	struct elf_image image;
	struct elf_headers headers;
	struct elf_sections sections;
	struct symbols symbols;
};

static bool open_file(const char *path, struct file *file)
{
	struct stat stat;

	memset(file, 0, sizeof(*file));
	file->image.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file->image.fd < 0) {
		return false;
	}
	ck_assert_int_eq(fstat(file->image.fd, &stat), 0);
	file->image.bytes = (uint64_t)stat.st_size;
	ck_assert_int_eq(elf_read_headers(&file->image, &file->headers), 0);
	ck_assert_int_eq(elf_sections_read(&file->image, &file->headers, &file->sections), 0);
	return true;
}

static void close_file(struct file *file)
{
	symbols_finish(&file->symbols);
	elf_sections_finish(&file->sections);
	close(file->image.fd);
}

/* Compare with each "address <name@plt>:" that objdump prints. Returns how many there are. */
static unsigned compare(const char *path, struct file *file)
{
	char command[256], line[4096], name[2048];
	unsigned long long address;
	unsigned count = 0;
	FILE *objdump;

	snprintf(command, sizeof(command), "objdump -d -j .plt -j .plt.sec -j .plt.got %s 2>/dev/null", path);
	objdump = popen(command, "r");
	ck_assert_ptr_nonnull(objdump);
	while (fgets(line, sizeof(line), objdump)) {
		const struct symbol *symbol;

		if (sscanf(line, "%llx <%2047[^>]>:", &address, name) != 2 || strstr(name, "@plt") == NULL ||
		    name[0] == '*' || strstr(name, "-0x") || strstr(name, "+0x")) {
			continue;
		}
		symbol = symbols_find(&file->symbols, address + 3);
		ck_assert_msg(symbol != NULL, "%s: nothing at %llx, which is %s", path, address, name);
		ck_assert_str_eq(symbols_name(&file->symbols, symbol), name);
		ck_assert_uint_eq(symbol->address, address);
		count++;
	}
	pclose(objdump);
	return count;
}

START_TEST(test_names_are_those_of_objdump)
{
	static const char *const paths[] = { "/proc/self/exe", "/usr/bin/redis-server", "/usr/sbin/nginx",
					     "/usr/lib/x86_64-linux-gnu/libc.so.6", "/bin/bash" };
	char own[64];
	struct file file;
	unsigned own_count = 0;

	snprintf(own, sizeof(own), "/proc/%d/exe", (int)getpid()); /* self is objdump, there */
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *path = i == 0 ? own : paths[i];
		unsigned count;

		if (!open_file(path, &file)) {
			continue;
		}
		ck_assert_int_eq(plt_add(&file.image, &file.headers, &file.sections, &file.symbols), 0);
		count = compare(path, &file);
		printf("%s: %u entries\n", path, count);
		own_count = i == 0 ? count : own_count;
		close_file(&file);
	}
	ck_assert_uint_gt(own_count, 5);
}
END_TEST

/* A symbol without size ends with its section: the table of linkage behind _init is not _init. */
START_TEST(test_a_label_ends_with_its_section)
{
	struct file file;
	const struct elf_section *init;

	ck_assert(open_file("/proc/self/exe", &file));
	ck_assert_int_eq(symbols_add(&file.image, &file.sections, SHT_SYMTAB, &file.symbols), 0);
	init = elf_sections_find(&file.sections, ".init");
	ck_assert_ptr_nonnull(init);
	ck_assert_str_eq(symbols_name(&file.symbols, symbols_find(&file.symbols, init->vaddr + 4)), "_init");
	ck_assert_ptr_null(symbols_find(&file.symbols, init->vaddr + init->bytes + 16));
	close_file(&file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_plt");
	TCase *cases = tcase_create("plt");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, test_names_are_those_of_objdump);
	tcase_add_test(cases, test_a_label_ends_with_its_section);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

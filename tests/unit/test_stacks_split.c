/* SPDX-License-Identifier: MIT */
/* Split debug information that is harmed: .dwo and .dwp with flipped bytes, cut short, and whole ones for comparison. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/status.h>

#include "base/clock.h"
#include "stacks/dwarf.h"

#define ADDRESSES 256
#define HARMS     1000

/* llvm-dwp 14 never ends on DWARF 5 without the headers. */
static const char source[] =
	"#include <stdlib.h>\n#include <time.h>\n"
	"static volatile unsigned long sink;\n"
	"static inline __attribute__((always_inline)) void folded_in(unsigned long n)\n"
	"{ for (unsigned long i = 0; i < n; i++) sink += i; }\n"
	"__attribute__((noinline)) void outer(unsigned long n) { folded_in(n); sink++; }\n"
	"int more(char **v) { struct timespec t; clock_gettime(0, &t); return atoi(v[1]) + (int)t.tv_sec; }\n"
	"int main(int argc, char **argv) { outer((unsigned long)argc); return more(argv); }\n";

static char folder[] = "/tmp/test-split-XXXXXX";
static uint64_t addresses[ADDRESSES];
static struct elf_image program;
static uint8_t *whole; /* of the split file */
static size_t whole_bytes;
static int split_fd; /* what is given out */
static bool is_package;
static uint32_t with_inlined, answered;

static int take(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count)
{
	(void)ctx;
	ck_assert_uint_lt(index, ADDRESSES);
	for (uint32_t i = 0; i < count; i++) {
		/* Every text can be read to its end. */
		with_inlined += frames[i].name != NULL && strcmp(frames[i].name, "folded_in") == 0;
		answered += frames[i].file != NULL ? strlen(frames[i].file) > 0 : 0;
	}
	return 0;
}

static int open_split(void *ctx, const char *name)
{
	(void)ctx;
	return (name == NULL) == is_package ? dup(split_fd) : PFC_ENOENT;
}

static void resolve(void)
{
	struct dwarf_request request = { .image = program,
					 .open_split = open_split,
					 .addresses = addresses,
					 .count = ADDRESSES,
					 .deadline_ns = clock_now() + 20 * NS_PER_SECOND,
					 .on_chain = take };
	int status = dwarf_resolve(&request);

	ck_assert_int_ne(status, PFC_ETIMEDOUT);
	ck_assert_int_ne(status, PFC_ENOMEM);
}

static void give(const uint8_t *bytes, size_t count)
{
	split_fd = memfd_create("split", MFD_CLOEXEC);
	ck_assert_int_ge(split_fd, 0);
	ck_assert_int_eq(write(split_fd, bytes, count), (ssize_t)count);
}

/* In the folder of the test. */
static void shell(const char *words)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && %s", folder, words);
	ck_assert_msg(system(command) == 0, "%s", command); /* NOLINT: the words are ours */
}

static int read_file(const char *name, uint8_t **ret, size_t *ret_bytes)
{
	char path[128];
	struct stat stat;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0 && fstat(fd, &stat) == 0, "%s", path);
	*ret_bytes = (size_t)stat.st_size;
	*ret = malloc(*ret_bytes);
	ck_assert_int_eq(pread(fd, *ret, *ret_bytes, 0), stat.st_size);
	return fd;
}

static void setup_version(const char *version)
{
	struct elf_headers headers;
	uint8_t *bytes;
	size_t count;
	FILE *file;
	char path[128], words[128];

	strcpy(strrchr(folder, '-') + 1, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.c", folder);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(source, file);
	fclose(file);
	snprintf(words, sizeof(words), "cc -O2 -gsplit-dwarf %s -c -o a.o a.c && cc -no-pie -o a a.o",
		 version);
	shell(words);
	program = (struct elf_image){ .fd = read_file("a", &bytes, &count), .bytes = 0 };
	program.bytes = count;
	free(bytes);
	ck_assert_int_eq(elf_read_headers(&program, &headers), 0);
	for (uint32_t i = 0; i < headers.segment_count; i++) {
		for (uint64_t n = 0; headers.segments[i].executable && n < ADDRESSES; n++) {
			addresses[n] =
				headers.segments[i].vaddr + headers.segments[i].memory_bytes * n / ADDRESSES;
		}
	}
}

static void harm_all(void)
{
	uint8_t *copy = malloc(whole_bytes);
	unsigned seed = 1;

	with_inlined = answered = 0;
	give(whole, whole_bytes);
	resolve();
	close(split_fd);
	ck_assert_uint_gt(with_inlined, 0);
	ck_assert_uint_gt(answered, 0);
	for (int i = 0; i < HARMS; i++) {
		size_t count = i % 10 == 0 ? (size_t)rand_r(&seed) % whole_bytes : whole_bytes;

		memcpy(copy, whole, whole_bytes);
		for (int flips = 1 + i % 8; flips > 0; flips--) {
			copy[(size_t)rand_r(&seed) % whole_bytes] = (uint8_t)rand_r(&seed);
		}
		give(copy, count);
		resolve();
		close(split_fd);
	}
	free(copy);
}

static void teardown(void)
{
	free(whole);
	close(program.fd);
	shell("rm a*");
	rmdir(folder);
}

static const char *const versions[] = { "-gdwarf-5", "-gdwarf-4" };

START_TEST(test_files_of_a_unit)
{
	setup_version(versions[_i]);
	is_package = false;
	close(read_file("a.dwo", &whole, &whole_bytes));
	harm_all();
	teardown();
}
END_TEST

START_TEST(test_files_of_a_program)
{
	if (system("llvm-dwp --version > /dev/null 2>&1") != 0) { /* NOLINT */
		printf("skipped: llvm-dwp is not installed\n");
		return;
	}
	setup_version(versions[_i]);
	is_package = true;
	shell("timeout 60 llvm-dwp -e a -o a.dwp");
	close(read_file("a.dwp", &whole, &whole_bytes));
	harm_all();
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_split");
	TCase *cases = tcase_create("split");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, test_files_of_a_unit, 0, 2);
	tcase_add_loop_test(cases, test_files_of_a_program, 0, 2);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

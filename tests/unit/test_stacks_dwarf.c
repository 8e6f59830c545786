/* SPDX-License-Identifier: MIT */
/*
 * Our reader of DWARF beside libdw: the same chains and lines for addresses all over the code of this program and of small ones
 * that were built with each version of DWARF (PROFCORE_DWARF_FILES), and no unit that our reader passes on.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/status.h>

#include "base/clock.h"
#include "stacks/dwarf_chains.h"

#define ADDRESSES 5000
#define TEXT      4096

/** What was said of the addresses: a line of text each. */
struct answers {
	char *texts[ADDRESSES];
	uint32_t inlined, with_line;
};

static uint64_t addresses[ADDRESSES];
static struct answers ours, theirs;

static int take_chain(void *ctx, uint32_t index, const struct dwarf_frame *frames, uint32_t count)
{
	struct answers *answers = ctx;
	char text[TEXT] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < count && at < sizeof(text); i++) {
		const struct dwarf_frame *frame = &frames[i];

		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s %s %s:%u|",
				       frame->linkage_name != NULL ? frame->linkage_name : "-",
				       frame->name != NULL ? frame->name : "-",
				       frame->directory != NULL ? frame->directory : "-",
				       frame->file != NULL ? frame->file : "-", frame->line);
		answers->with_line += frame->line > 0;
	}
	answers->inlined += count > 1;
	ck_assert_ptr_null(answers->texts[index]);
	answers->texts[index] = strdup(text);
	return 0;
}

/* All over the executable segments. */
static void choose_addresses(const struct elf_headers *headers)
{
	for (uint32_t i = 0; i < headers->segment_count; i++) {
		const struct elf_segment *segment = &headers->segments[i];

		for (uint64_t n = 0; segment->executable && n < ADDRESSES; n++) {
			addresses[n] = segment->vaddr + segment->memory_bytes * n / ADDRESSES;
		}
	}
}

static void forget(struct answers *answers)
{
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		free(answers->texts[i]);
	}
	memset(answers, 0, sizeof(*answers));
}

static void compare(const char *path)
{
	static bool is_done[ADDRESSES], none[ADDRESSES];
	struct dwarf_request request = { .image.fd = open(path, O_RDONLY | O_CLOEXEC),
					 .addresses = addresses,
					 .count = ADDRESSES,
					 .deadline_ns = UINT64_MAX,
					 .on_chain = take_chain };
	struct elf_headers headers;
	struct stat stat;

	ck_assert_msg(request.image.fd >= 0 && fstat(request.image.fd, &stat) == 0, "%s", path);
	request.image.bytes = (uint64_t)stat.st_size;
	ck_assert_int_eq(elf_read_headers(&request.image, &headers), 0);
	choose_addresses(&headers);
	memset(is_done, 0, sizeof(is_done));
	request.ctx = &ours;
	ck_assert_msg(dwarf_chains_resolve(&request, is_done) == 0, "%s", path);
	request.ctx = &theirs;
	ck_assert_int_eq(dwarf_libdw_resolve(&request, none), 0);
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		const char *a = ours.texts[i] != NULL ? ours.texts[i] : "nothing";
		const char *b = theirs.texts[i] != NULL ? theirs.texts[i] : "nothing";

		ck_assert_msg(is_done[i], "%s: 0x%llx", path, (unsigned long long)addresses[i]);
		ck_assert_msg(strcmp(a, b) == 0, "%s: 0x%llx\nours   %s\ntheirs %s", path,
			      (unsigned long long)addresses[i], a, b);
	}
	ck_assert_msg(ours.with_line > 0, "%s", path);
	printf("# %s: %u chains with inlined calls, %u lines\n", strrchr(path, '/'), ours.inlined,
	       ours.with_line);
	close(request.image.fd);
	forget(&ours);
	forget(&theirs);
}

START_TEST(says_what_libdw_says)
{
	const char *named = getenv("PROFCORE_DWARF_FILES");
	char *files = strdup(named != NULL ? named : "");
	char *rest = NULL;

	compare("/proc/self/exe");
	for (char *path = strtok_r(files, ":", &rest); path != NULL; path = strtok_r(NULL, ":", &rest)) {
		compare(path);
	}
	free(files);
	if (named == NULL) {
		printf("# only this program: PROFCORE_DWARF_FILES, which meson test sets, is not set\n");
	}
}
END_TEST

START_TEST(keeps_its_deadline)
{
	static bool is_done[ADDRESSES];
	struct dwarf_request request = { .image.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
					 .addresses = addresses,
					 .count = ADDRESSES,
					 .deadline_ns = 1,
					 .on_chain = take_chain,
					 .ctx = &ours };
	struct elf_headers headers;
	struct stat stat;

	ck_assert_int_eq(fstat(request.image.fd, &stat), 0);
	request.image.bytes = (uint64_t)stat.st_size;
	ck_assert_int_eq(elf_read_headers(&request.image, &headers), 0);
	choose_addresses(&headers);
	ck_assert_int_eq(dwarf_chains_resolve(&request, is_done), PFC_ETIMEDOUT);
	close(request.image.fd);
	forget(&ours);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_dwarf");
	TCase *cases = tcase_create("dwarf");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, says_what_libdw_says);
	tcase_add_test(cases, keeps_its_deadline);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

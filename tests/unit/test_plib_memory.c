/* SPDX-License-Identifier: MIT */
/* plugins/lib when memory runs out: every allocation fails in turn; each failure is returned, and nothing is left behind. */
#include <check.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "lib/calltree.h"
#include "lib/health.h"
#include "lib/latency.h"
#include "lib/profile.h"
#include "lib/rank.h"
#include "mem_artifact.h"
#include "synth.h"

static unsigned long allocations, fail_at;
static long live; /* blocks */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void __wrap_free(void *block);

static int fails(void)
{
	return fail_at && ++allocations == fail_at;
}

void *__wrap_malloc(size_t bytes)
{
	void *block = fails() ? NULL : __real_malloc(bytes);

	live += block != NULL;
	return block;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	void *block = fails() ? NULL : __real_calloc(count, bytes);

	live += block != NULL;
	return block;
}

void *__wrap_realloc(void *old, size_t bytes)
{
	void *block = fails() ? NULL : __real_realloc(old, bytes);

	live += block != NULL && old == NULL;
	return block;
}

void __wrap_free(void *block)
{
	live -= block != NULL;
	__real_free(block);
}

static int use(struct profile *profile, const struct pfc_reader *reader)
{
	struct calltree_options options = { .by_thread = true };
	struct health health = { 0 };
	struct rank functions = { 0 }, modules = { 0 };
	struct rank_line *lines = NULL;
	struct calltree tree = { 0 };
	uint32_t count;
	int status = health_read(profile, reader, &health);

	if (status == PFC_OK) {
		status = rank_functions(profile, &functions);
	}
	if (status == PFC_OK) {
		status = rank_modules(profile, &modules);
	}
	if (status == PFC_OK) {
		status = rank_lines(profile, &lines, &count);
	}
	if (status == PFC_OK) {
		status = calltree_build(profile, &options, &tree);
	}
	health_finish(&health);
	rank_finish(&functions);
	rank_finish(&modules);
	free(lines);
	calltree_finish(&tree);
	return status;
}

static int read_and_use(const struct pfc_reader *reader)
{
	struct profile_options options = { .by_thread = true, .seed = 1 };
	struct profile *profile = NULL;
	int status = profile_read(reader, &options, &profile);

	if (status == PFC_OK) {
		status = use(profile, reader);
		profile_destroy(profile);
	}
	return status;
}

START_TEST(test_profile)
{
	struct mem_artifact *artifact = mem_artifact_create("p", "stacks", "profcore.stacks/1", "cpu", 16);
	const struct pfc_reader *reader = mem_artifact_reader(artifact);
	unsigned long n;
	long before;
	int status;

	synth_service(mem_artifact_writer(artifact), 1000, 1, 1);
	ck_assert_int_eq(read_and_use(reader), 0); /* the artifact makes its own views now */
	before = live;
	for (n = 1, allocations = 1; allocations >= n - 1; n++) {
		allocations = 0;
		fail_at = n;
		status = read_and_use(reader);
		fail_at = 0;
		if (status != (allocations >= n ? PFC_ENOMEM : PFC_OK)) {
			ck_abort_msg("allocation %lu of %lu: status %d", n, allocations, status);
		}
		if (live != before) {
			ck_abort_msg("allocation %lu: %ld blocks left behind", n, live - before);
		}
		if (n > 100000) {
			ck_abort_msg("no end");
		}
	}
	ck_assert_uint_gt(n, 50);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_latency)
{
	struct mem_artifact *artifact = mem_artifact_create("p", "requests", "profcore.requests/1", "", 0);
	struct latency latency;

	synth_requests(mem_artifact_writer(artifact), 1000, 10);
	for (fail_at = 1; fail_at <= 2; fail_at++) { /* the producer's name, the histogram */
		allocations = 0;
		ck_assert_int_eq(latency_read(mem_artifact_reader(artifact), 0, 0, &latency), PFC_ENOMEM);
	}
	fail_at = 0;
	mem_artifact_destroy(artifact);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plib_memory");
	TCase *tcase = tcase_create("memory");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_profile);
	tcase_add_test(tcase, test_latency);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

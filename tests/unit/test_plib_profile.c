/* SPDX-License-Identifier: MIT */
/* plugins/lib: profiles with known contents read back as models, rankings and call trees; then damaged ones. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/calltree.h"
#include "lib/health.h"
#include "lib/profile.h"
#include "lib/rank.h"
#include "lib/units.h"
#include "mem_artifact.h"
#include "synth.h"

#define T0 5000000000u

static struct mem_artifact *new_artifact(uint32_t chunk_rows)
{
	return mem_artifact_create("perf-cpu", "stacks", "profcore.stacks/1", "cpu", chunk_rows);
}

static struct profile *read_with(struct mem_artifact *artifact, struct profile_options options)
{
	struct profile *profile = NULL;

	ck_assert_int_eq(profile_read(mem_artifact_reader(artifact), &options, &profile), 0);
	return profile;
}

static struct profile *read_all(struct mem_artifact *artifact)
{
	return read_with(artifact, (struct profile_options){ .seed = 1 });
}

static const struct rank_row *row_of(const struct profile *profile, const struct rank *rank, const char *name)
{
	uint32_t i;

	for (i = 0; i < rank->count; i++) {
		if (strcmp(profile_function_name(profile, rank->rows[i].id), name) == 0) {
			return &rank->rows[i];
		}
	}
	ck_abort_msg("no function %s", name);
	return NULL;
}

static double self_pct(const struct profile *profile, const struct rank *rank, const char *name)
{
	return units_pct(row_of(profile, rank, name)->self, profile->weight);
}

static double total_pct(const struct profile *profile, const struct rank *rank, const char *name)
{
	return units_pct(row_of(profile, rank, name)->total, profile->weight);
}

/* The cut into chunks must not matter: rows of one chunk at a time, a few, all. */
START_TEST(test_service_has_its_shares)
{
	static const uint32_t chunks[] = { 1, 3, 64, 0 };
	struct mem_artifact *artifact = new_artifact(chunks[_i]);
	struct profile *profile;
	struct rank rank;

	synth_service(mem_artifact_writer(artifact), T0, 2, 1);
	profile = read_all(artifact);
	ck_assert_uint_eq(profile->samples, 2000);
	ck_assert_uint_eq(profile->weight, 2000000000);
	ck_assert_str_eq(profile->event, "cpu-clock");
	ck_assert_uint_eq(profile->bad_ids, 0);
	ck_assert_uint_eq(profile->thread_count, 2);
	ck_assert_str_eq(names_text(&profile->names, profile->threads[0].name), "worker-0");
	ck_assert_int_eq(rank_functions(profile, &rank), 0);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "hash_rounds"), 55, 1e-9);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "sort_comments"), 5, 1e-9);
	ck_assert_double_eq_tol(total_pct(profile, &rank, "sort_comments"), 25, 1e-9);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "render_markdown"), 7, 1e-9);
	ck_assert_double_eq_tol(total_pct(profile, &rank, "render_markdown"), 12, 1e-9);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "escape_html"), 5, 1e-9);
	ck_assert_double_eq_tol(total_pct(profile, &rank, "slow_endpoint"), 92, 1e-9);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "libcodec.so.2+0x1234"), 2, 1e-9);
	/* memcpy is laid to sort_comments, the read to handle_request. */
	ck_assert_double_eq_tol(units_pct(row_of(profile, &rank, "sort_comments")->led, profile->weight), 25,
				1e-9);
	ck_assert_double_eq_tol(units_pct(row_of(profile, &rank, "handle_request")->led, profile->weight), 8,
				1e-9);
	ck_assert_uint_eq(row_of(profile, &rank, "hash_rounds")->address, 0x2300);
	rank_finish(&rank);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_kinds_of_code)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct profile *profile;
	struct rank rank;

	synth_service(mem_artifact_writer(artifact), T0, 1, 1);
	profile = read_all(artifact);
	ck_assert_int_eq(rank_functions(profile, &rank), 0);
	ck_assert_uint_eq(profile->functions[row_of(profile, &rank, "hash_rounds")->id].kind, PROFILE_APP);
	ck_assert_uint_eq(profile->functions[row_of(profile, &rank, "clone3")->id].kind, PROFILE_LIBRARY);
	ck_assert_uint_eq(profile->functions[row_of(profile, &rank, "ksys_read")->id].kind, PROFILE_KERNEL);
	ck_assert_str_eq(profile_function_module(profile, row_of(profile, &rank, "clone3")->id), "libc.so.6");
	rank_finish(&rank);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

/* a -> b -> a -> b: each counts once in the stack, and the innermost has the self time. */
START_TEST(test_recursion_counts_once)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct profile *profile;
	struct rank rank;
	struct synth s;
	uint32_t module, a, b, at, other;

	synth_begin(&s, mem_artifact_writer(artifact));
	module = synth_module(&s, "/bin/app", 1);
	a = synth_location(&s, module, 1, "a", NULL, 0);
	b = synth_location(&s, module, 2, "b", NULL, 0);
	synth_inlined(&s, b, 1, "b", NULL, 0); /* and b is inlined in b */
	at = synth_stack(&s, synth_stack(&s, synth_stack(&s, synth_stack(&s, 0, a), b), a), b);
	other = synth_stack(&s, 1, a);
	synth_samples(&s, T0, 1, 1, at, 3, 1);
	synth_samples(&s, T0, 1, 1, other, 2, 1);
	synth_samples(&s, T0, 1, 1, 1, 1, 1);
	synth_end(&s, 1);
	profile = read_all(artifact);
	ck_assert_int_eq(rank_functions(profile, &rank), 0);
	ck_assert_uint_eq(row_of(profile, &rank, "a")->total, 6);
	ck_assert_uint_eq(row_of(profile, &rank, "a")->self, 3);
	ck_assert_uint_eq(row_of(profile, &rank, "b")->total, 3);
	ck_assert_uint_eq(row_of(profile, &rank, "b")->self, 3);
	rank_finish(&rank);
	ck_assert_int_eq(rank_modules(profile, &rank), 0);
	ck_assert_uint_eq(rank.count, 1);
	ck_assert_uint_eq(rank.rows[0].total, 6);
	rank_finish(&rank);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

/* The sum of the self weights is the whole, whatever the shape. */
static void check_sums(const struct profile *profile, const struct calltree *tree)
{
	uint64_t self = 0;
	uint32_t i, child;

	ck_assert_uint_eq(tree->nodes[0].total, profile->weight);
	ck_assert_uint_eq(tree->nodes[0].total_samples, profile->samples);
	for (i = 0; i < tree->count; i++) {
		uint64_t below = tree->nodes[i].self;

		self += tree->nodes[i].self;
		for (child = tree->nodes[i].child; child; child = tree->nodes[child].sibling) {
			ck_assert_uint_eq(tree->nodes[child].parent, i);
			below += tree->nodes[child].total;
		}
		ck_assert_uint_eq(below, tree->nodes[i].total);
	}
	ck_assert_uint_eq(self, profile->weight);
}

START_TEST(test_trees_keep_all_weight)
{
	struct calltree_options options = { .reverse = _i & 1,
					    .by_thread = (_i & 2) != 0,
					    .max_depth = _i & 4 ? 3 : 0,
					    .order = _i & 8 ? CALLTREE_BY_WEIGHT : CALLTREE_BY_NAME };
	struct mem_artifact *artifact = new_artifact(100);
	struct profile *profile;
	struct calltree tree;

	if (_i & 16) {
		synth_service(mem_artifact_writer(artifact), T0, 1, 1);
	} else {
		synth_big(mem_artifact_writer(artifact), T0, 3000);
	}
	profile = read_with(artifact, (struct profile_options){ .by_thread = options.by_thread, .seed = 1 });
	ck_assert_int_eq(calltree_build(profile, &options, &tree), 0);
	check_sums(profile, &tree);
	ck_assert(options.max_depth ? tree.cut_weight > 0 : tree.cut_weight == 0);
	calltree_finish(&tree);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_reverse_starts_with_leaves)
{
	struct calltree_options options = { .reverse = true, .order = CALLTREE_BY_WEIGHT };
	struct mem_artifact *artifact = new_artifact(0);
	struct profile *profile;
	struct calltree tree;
	uint32_t child;

	synth_service(mem_artifact_writer(artifact), T0, 1, 1);
	profile = read_all(artifact);
	ck_assert_int_eq(calltree_build(profile, &options, &tree), 0);
	child = tree.nodes[0].child;
	ck_assert_str_eq(profile_function_name(profile, tree.nodes[child].function), "hash_rounds");
	child = tree.nodes[child].child;
	ck_assert_str_eq(profile_function_name(profile, tree.nodes[child].function), "slow_endpoint");
	calltree_finish(&tree);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_threads_split)
{
	struct calltree_options options = { .by_thread = true, .order = CALLTREE_BY_NAME };
	struct mem_artifact *artifact = new_artifact(7);
	struct profile *profile;
	struct calltree tree;
	uint32_t child;

	synth_service(mem_artifact_writer(artifact), T0, 1, 1);
	profile = read_with(artifact, (struct profile_options){ .by_thread = true, .seed = 1 });
	ck_assert_int_eq(calltree_build(profile, &options, &tree), 0);
	child = tree.nodes[0].child;
	ck_assert_str_eq(profile_function_name(profile, tree.nodes[child].function), "worker-0 (thread 101)");
	ck_assert_uint_eq(tree.nodes[child].total, 480000000);
	child = tree.nodes[child].sibling;
	ck_assert_str_eq(profile_function_name(profile, tree.nodes[child].function), "worker-1 (thread 102)");
	ck_assert_uint_eq(tree.nodes[child].total, 520000000);
	calltree_finish(&tree);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_window_trims)
{
	struct mem_artifact *artifact = new_artifact(50);
	struct profile *profile;

	synth_service(mem_artifact_writer(artifact), T0, 2, 1); /* samples at T0, T0 + 1 ms, ... */
	profile = read_with(artifact, (struct profile_options){ T0 + 100000000, T0 + 199000000, false, 1 });
	ck_assert_uint_eq(profile->samples, 100);
	ck_assert_uint_eq(profile->outside, 1900);
	ck_assert(!profile->window_ignored);
	profile_destroy(profile);
	/* Just beside the window: that is what "no sample" means. */
	profile = read_with(artifact, (struct profile_options){ T0 - 1000, T0 - 1, false, 1 });
	ck_assert_uint_eq(profile->samples, 0);
	ck_assert_uint_eq(profile->outside, 2000);
	profile_destroy(profile);
	/* Far away: the artifact is of another run. */
	profile = read_with(artifact,
			    (struct profile_options){ T0 + 900000000000, T0 + 901000000000, false, 1 });
	ck_assert_uint_eq(profile->samples, 2000);
	ck_assert(profile->window_ignored);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_names_without_frames)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct profile *profile;
	struct rank rank;
	struct health health;

	synth_service(mem_artifact_writer(artifact), T0, 1, 0);
	mem_artifact_mark(artifact, true, 12);
	profile = read_all(artifact);
	ck_assert(!profile->has_frames);
	ck_assert_int_eq(rank_functions(profile, &rank), 0);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "forum+0x2300"), 30, 1e-9);
	ck_assert_double_eq_tol(self_pct(profile, &rank, "kernel+0xffffffff812f0000"), 6, 1e-9);
	ck_assert_int_eq(health_read(profile, mem_artifact_reader(artifact), &health), 0);
	ck_assert_ptr_nonnull(strstr(text_str(&health.warnings), "PARTIAL"));
	ck_assert_ptr_nonnull(strstr(text_str(&health.warnings), "12 samples were LOST"));
	ck_assert_ptr_nonnull(strstr(text_str(&health.warnings), "no symbols"));
	health_finish(&health);
	rank_finish(&rank);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_ids_out_of_range_are_unknown)
{
	struct mem_artifact *artifact = new_artifact(5);
	struct profile *profile;
	struct rank rank;
	struct calltree tree;
	struct synth s;
	uint32_t i;

	synth_begin(&s, mem_artifact_writer(artifact));
	for (i = 1; i < 400; i++) {
		uint32_t bad = i % 4 == 0 ? UINT32_MAX : i % 4 == 1 ? i + 7 : i % 4 == 2 ? 1u << 31 : i;

		synth_location(&s, bad, i, NULL, NULL, 0);
		synth_frame(&s, bad, i, bad, bad, i);
		synth_stack(&s, bad, bad); /* some have themselves or a later one as their parent */
		synth_samples(&s, T0, (int32_t)bad, (int32_t)bad, bad, 1, 1);
	}
	synth_end(&s, 1);
	profile = read_with(artifact, (struct profile_options){ .by_thread = true, .seed = 1 });
	ck_assert_uint_gt(profile->bad_ids, 300);
	ck_assert_uint_eq(profile->samples, 399);
	ck_assert_int_eq(rank_functions(profile, &rank), 0);
	ck_assert_uint_ge(row_of(profile, &rank, "[unknown]")->total, 300);
	ck_assert_uint_le(row_of(profile, &rank, "[unknown]")->total, 399);
	ck_assert_int_eq(calltree_build(profile, &(struct calltree_options){ .by_thread = true }, &tree), 0);
	check_sums(profile, &tree);
	calltree_finish(&tree);
	rank_finish(&rank);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_broken_chunks_cut)
{
	static const char *const tables[] = { "strings", "modules", "locations", "stacks",
					      "samples", "frames",  "threads" };
	struct mem_artifact *artifact = new_artifact(10);
	struct profile *profile;

	synth_service(mem_artifact_writer(artifact), T0, 1, 1);
	mem_artifact_break(artifact, tables[_i], 0);
	profile = read_all(artifact);
	ck_assert(profile->cut || _i == 6);
	ck_assert_uint_eq(profile->samples, _i == 4 ? 0 : 1000);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

/* A chain as deep as there are rows: nothing recurses, nothing is quadratic. */
START_TEST(test_a_very_deep_stack)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct profile *profile;
	struct rank rank;
	struct calltree tree;
	struct synth s;
	uint32_t location, at = 0, i;

	synth_begin(&s, mem_artifact_writer(artifact));
	location = synth_location(&s, synth_module(&s, "/bin/app", 1), 1, "f", NULL, 0);
	for (i = 0; i < 300000; i++) {
		at = synth_stack(&s, at, location);
	}
	synth_samples(&s, T0, 1, 1, at, 1, 2);
	synth_end(&s, 1);
	profile = read_all(artifact);
	ck_assert_int_eq(rank_functions(profile, &rank), 0);
	ck_assert_uint_eq(row_of(profile, &rank, "f")->total, 2);
	ck_assert_int_eq(calltree_build(profile, &(struct calltree_options){ .max_depth = 0 }, &tree), 0);
	ck_assert_uint_eq(tree.count, CALLTREE_MAX_DEPTH + 1);
	ck_assert_uint_eq(tree.cut_weight, 2);
	check_sums(profile, &tree);
	calltree_finish(&tree);
	ck_assert_int_eq(calltree_build(profile, &(struct calltree_options){ .reverse = true }, &tree), 0);
	check_sums(profile, &tree);
	calltree_finish(&tree);
	rank_finish(&rank);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_without_tables)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct profile_options options = { .seed = 1 };
	struct profile *profile = NULL;

	ck_assert_int_eq(profile_read(mem_artifact_reader(artifact), &options, &profile), PFC_ENOENT);
	ck_assert_ptr_null(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

START_TEST(test_no_weight_counts_samples)
{
	struct mem_artifact *artifact = new_artifact(0);
	struct profile *profile;
	struct synth s;

	synth_begin(&s, mem_artifact_writer(artifact));
	synth_samples(&s, T0, 1, 1, 0, 0, 5);
	synth_end(&s, 1);
	profile = read_all(artifact);
	ck_assert_uint_eq(profile->weight, 5);
	ck_assert_str_eq(profile->unit, "count");
	ck_assert_uint_eq(profile->no_stack, 5);
	profile_destroy(profile);
	mem_artifact_destroy(artifact);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plib_profile");
	TCase *tcase = tcase_create("profile");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, test_service_has_its_shares, 0, 4);
	tcase_add_test(tcase, test_kinds_of_code);
	tcase_add_test(tcase, test_recursion_counts_once);
	tcase_add_loop_test(tcase, test_trees_keep_all_weight, 0, 32);
	tcase_add_test(tcase, test_reverse_starts_with_leaves);
	tcase_add_test(tcase, test_threads_split);
	tcase_add_test(tcase, test_window_trims);
	tcase_add_test(tcase, test_names_without_frames);
	tcase_add_test(tcase, test_ids_out_of_range_are_unknown);
	tcase_add_loop_test(tcase, test_broken_chunks_cut, 0, 7);
	tcase_add_test(tcase, test_a_very_deep_stack);
	tcase_add_test(tcase, test_without_tables);
	tcase_add_test(tcase, test_no_weight_counts_samples);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

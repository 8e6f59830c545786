/* SPDX-License-Identifier: MIT */
/* How complete a stacks artifact is, as facts: counted in samples, so that a rare broken stack weighs as it should. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stacks/root_code.h"
#include "stacks/session.h"

/** Per location, from its outermost frame: whether it has a name, and whether a thread begins there. */
enum location_mark {
	MARK_NAMED = 1,
	MARK_USER_ROOT = 2,
	MARK_KERNEL_ROOT = 4,
	MARK_PLACED = 8, /* no name, but where its function begins */
};

struct tally {
	uint64_t samples, rooted, kernel_only;
	uint64_t cut[UNWIND_ENDS +
		     1]; /* samples without a root, by why their walk ended; 0: they were not walked */
	uint64_t frames, unknown, placed;
};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (str_equal(name, names[i])) {
			return true;
		}
	}
	return false;
}

/* Where threads begin: program entry, and what the C libraries run a new thread with. */
static bool is_user_root(const char *name)
{
	static const char *const roots[] = { "_start",
					     "_start_c",
					     "_dl_start",
					     "_dl_start_user",
					     "clone",
					     "__clone",
					     "__GI___clone",
					     "clone3",
					     "__clone3",
					     "__GI___clone3",
					     "start_thread",
					     "thread_start",
					     "__libc_start_main",
					     "__libc_start_call_main",
					     "__libc_start_main_impl",
					     "__libc_start_main_stage2",
					     "generic_start_main",
					     "__start_context" };

	return is_one_of(name, roots, sizeof(roots) / sizeof(roots[0]));
}

static bool is_kernel_root(const char *name)
{
	static const char *const roots[] = { "ret_from_fork",
					     "ret_from_fork_asm",
					     "kthread",
					     "secondary_startup_64",
					     "secondary_startup_64_no_verify",
					     "cpu_startup_entry",
					     "start_kernel",
					     "x86_64_start_kernel" };

	return is_one_of(name, roots, sizeof(roots) / sizeof(roots[0]));
}

static bool is_kernel(const struct intern *intern, uint32_t location)
{
	uint8_t kind = intern->module_kind[intern->location_module[location]];

	return kind == MODULE_KERNEL || kind == MODULE_KERNEL_MODULE;
}

static void mark_locations(const struct intern *intern, const struct frames *frames, uint8_t *marks)
{
	for (uint32_t i = 0; i < frames->count; i++) {
		uint32_t location = frames->location[i];
		const char *name = intern_text(intern, frames->function[i]);

		marks[location] |= frames->start[i] != 0 ? MARK_PLACED : 0;
		if (frames->inline_depth[i] != 0 || name[0] == '\0') {
			continue;
		}
		marks[location] |= MARK_NAMED;
		if (is_kernel(intern, location)) {
			marks[location] |= is_kernel_root(name) ? MARK_KERNEL_ROOT : 0;
		} else {
			marks[location] |= is_user_root(name) ? MARK_USER_ROOT : 0;
		}
	}
}

static const struct module *module_of_row(const struct modules *modules, uint32_t row)
{
	for (uint32_t i = 0; i < modules->count; i++) {
		if (modules->rows[i].row == row && modules->rows[i].state == MODULE_OPEN) {
			return &modules->rows[i];
		}
	}
	return NULL;
}

/* Outermost frames without a root's name: the code itself may tell. A caller's location is one byte before its return. */
static void mark_code_roots(const struct pfc_stacks_session *session, uint8_t *marks)
{
	const struct intern *intern = &session->intern;
	uint8_t *seen = calloc(intern->location_count, 1);

	for (uint32_t i = 1; seen != NULL && i < intern->stack_count; i++) {
		uint32_t root = intern->stack_root[i];
		const struct module *module;

		if (seen[root] || (marks[root] & (MARK_USER_ROOT | MARK_KERNEL_ROOT)) != 0 ||
		    is_kernel(intern, root)) {
			continue;
		}
		seen[root] = 1;
		module = module_of_row(&session->modules, intern->location_module[root]);
		if (module != NULL &&
		    root_code_is(&module->image, &module->headers, intern->location_address[root] + 1)) {
			marks[root] |= MARK_USER_ROOT;
		}
	}
	free(seen);
}

/* What walks by call frame information found to have no caller. */
static void mark_walked_roots(const struct intern *intern, uint8_t *marks)
{
	for (uint32_t i = 1; i < intern->location_count; i++) {
		marks[i] |= intern->location_is_root[i] ? MARK_USER_ROOT : 0;
	}
}

/* Parents come before children, so one pass adds up each stack's frames. */
static int tally_stacks(const struct intern *intern, const uint8_t *marks, struct tally *ret)
{
	uint32_t *depth = calloc(intern->stack_count, sizeof(*depth));
	uint32_t *unknown = calloc(intern->stack_count, sizeof(*unknown));
	uint32_t *placed = calloc(intern->stack_count, sizeof(*placed));

	if (depth == NULL || unknown == NULL || placed == NULL) {
		free(depth);
		free(unknown);
		free(placed);
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < intern->stack_count; i++) {
		uint64_t samples = intern->stack_samples[i];
		uint32_t root = intern->stack_root[i];

		if (i > 0) {
			depth[i] = depth[intern->stack_parent[i]] + 1;
			unknown[i] = unknown[intern->stack_parent[i]] +
				     ((marks[intern->stack_location[i]] & MARK_NAMED) == 0);
			placed[i] = placed[intern->stack_parent[i]] +
				    ((marks[intern->stack_location[i]] & MARK_PLACED) != 0);
		}
		ret->samples += samples;
		ret->frames += samples * depth[i];
		ret->unknown += samples * unknown[i];
		ret->placed += samples * placed[i];
		if ((marks[root] & (MARK_USER_ROOT | MARK_KERNEL_ROOT)) != 0) {
			ret->rooted += samples;
		} else {
			ret->cut[intern->stack_end[i] <= UNWIND_ENDS ? intern->stack_end[i] : 0] += samples;
		}
		ret->kernel_only += i > 0 && is_kernel(intern, root) ? samples : 0;
	}
	free(depth);
	free(unknown);
	free(placed);
	return 0;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static int state_numbers(const struct pfc_stacks_session *session, const struct tally *tally,
			 const struct symbolize_notes *notes, double symbolize_ms)
{
	const struct session_counts *counts = &session->counts;
	uint64_t rooted = tally->rooted;
	const struct {
		const char *key;
		double value;
		bool always;
	} facts[] = {
		{ "samples", (double)tally->samples, true },
		{ "rooted_pct", percent(rooted, tally->samples), true },
		{ "unknown_pct", percent(tally->unknown, tally->frames), true },
		{ "unknown_placed_pct", percent(tally->placed, tally->frames), false },
		{ "kernel_pct", percent(counts->with_kernel, tally->samples), true },
		{ "frames_per_sample",
		  tally->samples > 0 ? (double)tally->frames / (double)tally->samples : 0, true },
		{ "stacks", (double)session->intern.stack_count - 1, true },
		{ "locations", (double)session->intern.location_count - 1, true },
		{ "symbolize_ms", symbolize_ms, true },
		{ "not_rooted", (double)(tally->samples - rooted), true },
		{ "truncated.no_root", (double)tally->cut[0], true },
		{ "truncated.stack_copy", (double)tally->cut[UNWIND_END_COPY + 1], false },
		{ "truncated.unmapped", (double)tally->cut[UNWIND_END_UNMAPPED + 1], false },
		{ "truncated.no_cfi", (double)tally->cut[UNWIND_END_NO_CFI + 1], false },
		{ "truncated.broken", (double)tally->cut[UNWIND_END_BROKEN + 1], false },
		{ "truncated.depth", (double)tally->cut[UNWIND_END_DEPTH + 1], false },
		{ "walked", (double)counts->walked, false },
		{ "walked_before_exec_was_known", (double)counts->walked_early, false },
		{ "frames_with_pointer_pct", percent(counts->kept_pointer, counts->whole_steps),
		  counts->walked_whole > 0 },
		{ "stacks_with_pointers_pct", percent(counts->whole_by_pointer, counts->walked_whole),
		  counts->walked_whole > 0 },
		{ "walked_by_frame_pointer", (double)counts->by_frame_pointer, false },
		{ "stack_bytes_max", (double)counts->stack_bytes_max, false },
		{ "stack_bytes_mean",
		  counts->walked_whole > 0 ? (double)counts->stack_bytes_used / (double)counts->walked_whole
					   : 0,
		  false },
		{ "user_truncated", (double)counts->user_truncated, false },
		{ "kernel_truncated", (double)counts->kernel_truncated, false },
		{ "kernel_only", (double)tally->kernel_only, false },
		{ "unmapped_frames", (double)counts->unmapped_frames, false },
		{ "junk_frames_cut", (double)counts->junk_frames, false },
		{ "resolved_early", (double)counts->resolved_early, false },
		{ "target_events_lost", (double)counts->target_lost, false },
		{ "target_events_dropped", (double)session->spaces.dropped, false },
		{ "files_with_lines", (double)notes->files_with_lines, false },
		{ "files_with_debug_file", (double)notes->files_debug, false },
		{ "files_fetched", (double)notes->files_fetched, false },
		{ "files_with_mini_debug_info", (double)notes->files_mini, false },
		{ "names_from_cache", (double)notes->locations_cached, false },
		{ "perf_maps", (double)notes->perf_maps, false },
		{ "units_without_split_file", (double)notes->splits_missing, false },
		{ "jit_dumps", (double)notes->jit_dumps, false },
		{ "files_debug_mismatched", (double)notes->files_mismatched, false },
		{ "files_with_symbols_only", (double)notes->files_with_symbols, false },
		{ "files_without_symbols", (double)notes->files_without, false },
		{ "files_not_opened", (double)notes->files_unopened, false },
		{ "files_too_large", (double)notes->files_too_large, false },
		{ "files_unreadable_dwarf", (double)notes->files_unreadable, false },
		{ "files_out_of_time", (double)notes->files_late, false },
		{ "kernel_symbols_hidden", notes->kernel_status == 0 ? 0 : 1, false },
	};
	int status = 0;

	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]) && status == 0; i++) {
		if (facts[i].always || facts[i].value > 0) {
			status = session->writer->fact_number(session->writer->ctx, facts[i].key,
							      facts[i].value);
		}
	}
	return status;
}

int facts_state(const struct pfc_stacks_session *session, const struct frames *frames,
		const struct symbolize_notes *notes, double symbolize_ms)
{
	uint8_t *marks = calloc(session->intern.location_count, 1);
	struct tally tally = { 0 };
	int status = PFC_ENOMEM;

	if (marks != NULL) {
		mark_locations(&session->intern, frames, marks);
		mark_walked_roots(&session->intern, marks);
		mark_code_roots(session, marks);
		status = tally_stacks(&session->intern, marks, &tally);
	}
	if (status == 0) {
		status = state_numbers(session, &tally, notes, symbolize_ms);
	}
	if (status == 0) {
		status = session->writer->fact_text(session->writer->ctx, "event", session->event);
	}
	if (status == 0) {
		status =
			session->writer->fact_text(session->writer->ctx, "weight_unit", session->weight_unit);
	}
	free(marks);
	return status;
}

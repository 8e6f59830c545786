/* SPDX-License-Identifier: MIT */
/*
 * What the target waits for. Two sources: stacks off the CPU, told apart by the kernel and C library functions in them (a lock, the
 * disk, the network, a sleep), and the books of profcore.syscalls/1 (ready and without a CPU; calls made very often). Waits for
 * something to do (epoll, accept, a condition) are nobody's fault and make no finding.
 */
#include "waiting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "lib/cols.h"
#include "lib/units.h"

/* Less of the wall clock than this tells nothing, with n threads or with one. */
#define LEAST_OF_WALL     0.05
#define RUN_QUEUE_PCT     20.0
#define OFTEN_PER_REQUEST 50.0
#define OFTEN_PER_SECOND  20000.0

static const char *const titles[CAUSES] = {
	[CAUSE_LOCK] = "waits for a lock",
	[CAUSE_DISK] = "waits for the disk",
	[CAUSE_NETWORK] = "waits for the network",
	[CAUSE_SLEEP] = "sleeps",
	[CAUSE_NAMES] = "waits for host names to be looked up",
};
static const char *const kinds[CAUSES] = {
	[CAUSE_LOCK] = "lock",   [CAUSE_DISK] = "disk", [CAUSE_NETWORK] = "network",
	[CAUSE_SLEEP] = "sleep", [CAUSE_NAMES] = "dns",
};

/* "outer > inner", the functions of the app on the heaviest stack of a function and cause. */
static void add_way(struct text *to, const struct profile *profile, uint32_t stack)
{
	uint32_t functions[6];
	uint32_t count = 0;

	for (; stack && count < 6; stack = profile->parent[stack]) {
		uint32_t location = profile->stack_location[stack];

		for (uint32_t i = profile->frame_first[location];
		     i < profile->frame_first[location + 1] && count < 6; i++) {
			uint32_t function = profile->frames[i].function;

			if (profile_is_own(profile, function)) {
				functions[count++] = function;
			}
		}
	}
	while (count > 0) {
		text_cut(to, profile_function_name(profile, functions[--count]), 60);
		text_add(to, count ? " > " : "");
	}
}

static int add_cause(struct analysis *analysis, const struct view *view, enum cause cause)
{
	const struct profile *profile = view->profile;
	uint64_t *weight = calloc(profile->function_count, sizeof(*weight));
	uint64_t heaviest = 0, whole = 0, samples = 0;
	uint32_t app, best = 0, stack_of_best = 0;
	struct finding *finding;
	char text[UNITS_ROOM];
	int status = PFC_OK;

	if (!weight) {
		return PFC_ENOMEM;
	}
	for (uint32_t stack = 1; stack < profile->stack_count; stack++) {
		if (profile->stack_weight[stack] && cause_of_stack(profile, stack, &app) == cause && app) {
			weight[app] += profile->stack_weight[stack];
			whole += profile->stack_weight[stack];
			samples += profile->stack_samples[stack];
		}
	}
	for (uint32_t i = 1; i < profile->function_count; i++) {
		best = weight[i] > weight[best] ? i : best;
	}
	for (uint32_t stack = 1; stack < profile->stack_count; stack++) {
		if (profile->stack_weight[stack] > heaviest &&
		    cause_of_stack(profile, stack, &app) == cause && app == best) {
			heaviest = profile->stack_weight[stack];
			stack_of_best = stack;
		}
	}
	if (best && analysis->window_s > 0 &&
	    (double)weight[best] / 1e9 >= LEAST_OF_WALL * analysis->window_s) {
		finding = finding_add(analysis, kinds[cause], "warning",
				      units_pct(weight[best], profile->weight));
		if (finding) {
			text_cut(&finding->title, profile_function_name(profile, best), 120);
			text_format(&finding->title, " %s: %s in the window", titles[cause],
				    units_weight(text, weight[best], "ns"));
			text_format(
				&finding->evidence, "%.1f %% of the time off the CPU; %s in all such waits, ",
				units_pct(weight[best], profile->weight), units_weight(text, whole, "ns"));
			text_format(&finding->evidence, "%s waits; by way of ", units_count(text, samples));
			add_way(&finding->evidence, profile, stack_of_best);
			status = cause == CAUSE_LOCK
					 ? wakers_say(analysis, view, cause, best, &finding->evidence)
					 : PFC_OK;
		}
	}
	free(weight);
	return status;
}

/* ---- the books ---- */

static void read_threads(struct analysis *analysis, const struct pfc_reader *reader, struct book *book)
{
	static const char *const names[] = { "on_cpu_ns",          "run_queue_ns",     "preempted_ns",
					     "blocked_syscall_ns", "blocked_fault_ns", "wall_ns" };
	struct cols cols;

	(void)analysis;
	if (cols_begin(&cols, reader, "threads", names, 6) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows; row++) {
			book->threads++;
			book->on_cpu_ns += (uint64_t)cols_int(&cols, 0, row, 0);
			book->ready_ns +=
				(uint64_t)cols_int(&cols, 1, row, 0) + (uint64_t)cols_int(&cols, 2, row, 0);
			book->preempted_ns += (uint64_t)cols_int(&cols, 2, row, 0);
			book->blocked_ns +=
				(uint64_t)cols_int(&cols, 3, row, 0) + (uint64_t)cols_int(&cols, 4, row, 0);
			book->fault_ns += (uint64_t)cols_int(&cols, 4, row, 0);
		}
	}
}

static void read_calls(const struct pfc_reader *reader, struct book *book)
{
	static const char *const names[] = { "calls", "total_ns", "blocked_ns", "name" };
	struct cols cols;

	if (cols_begin(&cols, reader, "calls", names, 4) != PFC_OK) {
		return;
	}
	while (cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows; row++) {
			uint64_t calls = (uint64_t)cols_int(&cols, 0, row, 0);
			uint64_t blocked_ns = (uint64_t)cols_int(&cols, 2, row, 0);
			struct pfc_string name = cols_string(&cols, 3, row);

			book->calls += calls;
			if (calls > book->often_calls) {
				book->often_calls = calls;
				book->often_ns = (uint64_t)cols_int(&cols, 1, row, 0);
				book->often_blocked_ns = blocked_ns;
				text_finish(&book->often);
				text_clean(&book->often, name, 40);
			}
			if (blocked_ns > book->longest_ns) {
				book->longest_ns = blocked_ns;
				text_finish(&book->longest);
				text_clean(&book->longest, name, 40);
			}
		}
	}
}

int waiting_read(struct analysis *analysis, const struct pfc_host *host)
{
	uint32_t count = host->input_count(host->ctx, "syscalls");

	for (uint32_t i = 0; i < count && analysis->book_count < ANALYSIS_MAX_INPUTS; i++) {
		struct book *book = &analysis->books[analysis->book_count];
		const struct pfc_reader *reader;

		if (host->input(host->ctx, "syscalls", i, &reader) == PFC_OK) {
			analysis->book_count++;
			read_threads(analysis, reader, book);
			read_calls(reader, book);
			if (book->often.failed || book->longest.failed) {
				return PFC_ENOMEM;
			}
		}
	}
	return PFC_OK;
}

void waiting_finish(struct analysis *analysis)
{
	for (uint32_t i = 0; i < analysis->book_count; i++) {
		text_finish(&analysis->books[i].often);
		text_finish(&analysis->books[i].longest);
	}
}

/* Ready to run and without a CPU: others compete, or a quota is spent. */
static void judge_run_queue(struct analysis *analysis, const struct book *book)
{
	double share = units_pct(book->ready_ns, book->ready_ns + book->on_cpu_ns);
	struct finding *finding;
	char ready[UNITS_ROOM], on_cpu[UNITS_ROOM];

	if (share < RUN_QUEUE_PCT || analysis->window_s <= 0 ||
	    (double)book->ready_ns / 1e9 < LEAST_OF_WALL * analysis->window_s) {
		return;
	}
	finding = finding_add(analysis, "run_queue", "warning", share);
	if (finding) {
		text_format(&finding->title, "Threads that could run wait %.0f %% of that time for a CPU",
			    share);
		text_format(&finding->evidence, "%s on a CPU, %s ready without one",
			    units_weight(on_cpu, book->on_cpu_ns, "ns"),
			    units_weight(ready, book->ready_ns, "ns"));
		text_format(&finding->evidence,
			    " (%s of it after it was taken away); too many threads, other programs, or a CPU "
			    "quota of the control group",
			    units_weight(ready, book->preempted_ns, "ns"));
	}
}

static void judge_often(struct analysis *analysis, const struct book *book)
{
	uint64_t requests = analysis->load_count ? analysis->loads[0].latency.answered : 0;
	double per_second = analysis->window_s > 0 ? (double)book->often_calls / analysis->window_s : 0;
	double per_request = requests ? (double)book->often_calls / (double)requests : 0;
	struct finding *finding;
	char count[UNITS_ROOM], time[UNITS_ROOM];

	if (per_request < OFTEN_PER_REQUEST && per_second < OFTEN_PER_SECOND) {
		return;
	}
	finding = finding_add(analysis, "syscalls", "warning", units_pct(book->often_calls, book->calls));
	if (finding) {
		text_format(&finding->title, "%s is called very often: %s times in the window",
			    text_str(&book->often), units_count(count, book->often_calls));
		text_format(&finding->evidence, "%.0f %% of all calls, %.0f a second",
			    units_pct(book->often_calls, book->calls), per_second);
		if (requests) {
			text_format(&finding->evidence, ", %.0f a request", per_request);
		}
		text_format(&finding->evidence, "; %s within it", units_weight(time, book->often_ns, "ns"));
	}
}

int waiting_conclude(struct analysis *analysis)
{
	int status = PFC_OK;

	for (uint32_t i = 0; i < analysis->view_count && status == PFC_OK; i++) {
		const struct view *view = &analysis->views[i];

		if (!view->profile || strcmp(view->profile->signal, "off-cpu") != 0) {
			continue;
		}
		for (unsigned cause = CAUSE_LOCK; cause < CAUSES && status == PFC_OK; cause++) {
			status = add_cause(analysis, view, (enum cause)cause);
		}
	}
	for (uint32_t i = 0; i < analysis->book_count; i++) {
		judge_run_queue(analysis, &analysis->books[i]);
		judge_often(analysis, &analysis->books[i]);
	}
	return status;
}

static const struct finding *most(const struct analysis *analysis)
{
	const struct finding *best = NULL;

	for (uint32_t i = 0; i < analysis->finding_count; i++) {
		for (unsigned cause = CAUSE_LOCK; cause < CAUSES; cause++) {
			const struct finding *finding = &analysis->findings[i];

			if (strcmp(finding->kind, kinds[cause]) == 0 &&
			    (!best || finding->share > best->share)) {
				best = finding;
			}
		}
	}
	return best;
}

void waiting_say_most(const struct analysis *analysis, struct text *to)
{
	const struct finding *best = most(analysis);

	if (best) {
		text_format(to, ": %s", text_str(&best->title));
	}
}

void waiting_say(const struct analysis *analysis, struct text *to)
{
	const struct book *book = analysis->book_count ? &analysis->books[0] : NULL;
	const struct finding *best = most(analysis);
	char text[UNITS_ROOM];

	if (best) {
		text_add(to, text_str(&best->title));
		return;
	}
	if (!book) {
		text_add(to, "There are no stacks, so nothing says where the time goes");
		return;
	}
	text_format(to, "%llu threads were on a CPU for %s", (unsigned long long)book->threads,
		    units_weight(text, book->on_cpu_ns, "ns"));
	text_format(to, ", ready without one for %s", units_weight(text, book->ready_ns, "ns"));
	text_format(to, ", and waited for %s", units_weight(text, book->blocked_ns, "ns"));
	if (book->longest_ns) {
		text_format(to, ", most in %s", text_str(&book->longest));
	}
}

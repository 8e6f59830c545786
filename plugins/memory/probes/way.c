/* SPDX-License-Identifier: MIT */
/*
 * The heap of programs that run: probes on their allocators' functions, found in their files, for as long as the budget lasts.
 */
#include "way.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/bpf/words.h"

#define COUNT_NS      50000000ULL /* calls are counted for so long beforehand */
#define COUNT_STEP_NS 5000000ULL
#define COUNT_COST_NS 10e6        /* and no longer than it costs so much */
#define AHEAD_NS      10000000ULL /* before the window the probes are put in place */
#define SWITCH_NS     500e3       /* what attaching or detaching is taken to cost the target */
#define GONE_NS       500000000ULL /* a process that ends so shortly before the window does was in use at its end */
#define UNSEEN_NS     100000000ULL /* at the end, for which no slice stands */
#define FAR_PCT       10.0
#define GROWTH_MIN    (16ULL << 20)

/* ---- before the window ---- */

static int32_t refuse_all(struct heap *heap, const char *why, const char *remedy)
{
	snprintf(heap->tier->memory->lacks, sizeof(heap->tier->memory->lacks), "no heap: %.230s", why);
	return heap_refuse(heap, why, remedy);
}

static int32_t probes_probe(struct heap *heap)
{
	struct heap_probed *probed = calloc(1, sizeof(*probed));
	struct probes_wish wish = { .period_bytes = heap->period_bytes,
				    .by = (enum probes_by)pfc_option_int(heap->host, "probes", 0) };
	const char *why, *hint;
	char words[300];

	heap->probed = probed;
	if (!probed) {
		return heap->host->fail(heap->host->ctx, PFC_ENOMEM, "prepare probes", "out of memory", NULL);
	}
	probed->heap = heap;
	probed->probes.record = slices_record;
	probed->probes.ctx = probed;
	if (heap->is_exhaustive) {
		return refuse_all(heap, "probes on a program that runs only sample", "exhaustive = no");
	}
	if (!bpf_words_usable(&why, &hint)) {
		return refuse_all(heap, why, hint);
	}
	if (probes_load(&probed->probes, &wish, words, sizeof(words)) != PFC_OK) {
		return refuse_all(heap, words, "run as root, on Linux 5.15 or newer");
	}
	if (follow_open(&probed->follow, heap->host, &probed->probes) < 0) {
		return refuse_all(heap, "the host does not tell of the target's files",
				  "use a newer profcore");
	}
	heap->tier->memory->watcher =
		(struct process_watcher){ &probed->follow,
					  (void (*)(void *, const struct pfc_target_event *))follow_event };
	return PFC_OK;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec pause = { 0, (long)ns };

	nanosleep(&pause, NULL);
}

/* How often the allocator is called now, and what probes there would cost. The counting slows the target, and that is taken out. */
static void count_calls(struct heap_probed *probed)
{
	const struct probe_costs *costs = &probed->costs;
	const struct pfc_host *host = probed->heap->host;
	struct probe_counts began, now;
	uint64_t cpu_ns, began_ns, waited_ns = 0;
	double calls = 0, stepped = 0, cost = 0, net;

	probes_only_count(&probed->probes, true);
	follow_switch(&probed->follow, true);
	began = probe_counts_now(probed);
	began_ns = host->now(host->ctx);
	cpu_ns = follow_cpu_ns(&probed->follow);
	while (waited_ns < COUNT_NS && cost < COUNT_COST_NS) {
		sleep_ns(COUNT_STEP_NS);
		waited_ns = host->now(host->ctx) - began_ns;
		now = probe_counts_now(probed);
		stepped = (double)(now.values[COUNT_PASSED_STEPPED] - began.values[COUNT_PASSED_STEPPED]);
		calls = stepped + (double)(now.values[COUNT_PASSED] - began.values[COUNT_PASSED]);
		cost = calls * costs->counted_ns + stepped * (costs->stepped_ns - costs->emulated_ns);
	}
	net = (double)(follow_cpu_ns(&probed->follow) - cpu_ns) - cost;
	follow_switch(&probed->follow, false);
	probes_only_count(&probed->probes, false);
	net = net > 0.1 * (double)waited_ns ? net : 0.1 * (double)waited_ns;
	probed->calls_per_s = calls * 1e9 / (double)waited_ns;
	probed->predicted_pct =
		100 * (calls * costs->emulated_ns + stepped * (costs->stepped_ns - costs->emulated_ns)) / net;
}

static void plan(struct heap_probed *probed)
{
	struct heap *heap = probed->heap;
	char what[300], cost[300], allocators[120];

	follow_allocators(&probed->follow, allocators, sizeof(allocators));
	snprintf(what, sizeof(what),
		 "heap: one allocation in %llu KiB since the window's start, by probes%s on %.110s",
		 (unsigned long long)(heap->period_bytes + 512) / 1024,
		 probed->probes.by == PROBES_EVENTS ? " (events, CAP_SYS_ADMIN while attaching)" : "",
		 allocators);
	snprintf(cost, sizeof(cost),
		 "%.1f us a call, %.1f where the kernel steps over the instruction; %.0f calls a second now "
		 "are %.1f %% of "
		 "what the target computes: %s budget = %.3g %%",
		 probed->costs.emulated_ns / 1000, probed->costs.stepped_ns / 1000, probed->calls_per_s,
		 probed->predicted_pct,
		 probed->predicted_pct > 100 * probed->budget.share
			 ? "the probes would be on for part of the time, to keep"
			 : "within",
		 100 * probed->budget.share);
	plan_sees(&heap->tier->memory->plan, what, cost);
}

static int32_t nothing_found(struct heap_probed *probed)
{
	char why[256];

	snprintf(why, sizeof(why), "%s",
		 probed->follow.blind[0]
			 ? probed->follow.blind
			 : "no function of an allocator has a name in the target's program and "
			   "libraries (static or stripped)");
	return refuse_all(probed->heap, why, "keep the program's symbols, or its debug file by build-id");
}

static int32_t probes_prepare(struct heap *heap)
{
	struct heap_probed *probed = heap->probed;
	struct pfc_value budget = { .struct_size = sizeof(budget) };
	int rc;

	if (follow_points(&probed->follow) == 0) {
		return nothing_found(probed);
	}
	rc = probes_calibrate(&probed->probes, &probed->costs);
	if (rc == -EACCES && probed->probes.by == PROBES_EVENTS) {
		return refuse_all(
			heap, "probes by events want CAP_SYS_ADMIN, which a stage has before Linux 6.6 alone",
			"run as root (in a container: --cap-add SYS_ADMIN); since 6.6 probes = auto does "
			"without");
	}
	if (rc < 0) {
		char why[256];

		bpf_words_why(-rc, why, sizeof(why));
		return refuse_all(heap, why, "run as root, on Linux 5.15 or newer");
	}
	probed->budget.share =
		heap->host->option(heap->host->ctx, "budget", &budget) == PFC_OK ? budget.real / 100 : 0.03;
	probed->budget.emulated_ns = probed->costs.emulated_ns;
	probed->budget.stepped_ns = probed->costs.stepped_ns;
	probed->budget.sample_ns = probed->costs.sample_ns;
	probed->budget.counted_ns = probed->costs.counted_ns;
	probed->budget.switch_ns = SWITCH_NS;
	count_calls(probed);
	plan(probed);
	return PFC_OK;
}

/* ---- the window ---- */

static int32_t probes_start(struct heap *heap)
{
	heap->probed->follow.is_started = true;
	if (heap->probed->probes.by ==
	    PROBES_EVENTS) { /* one by one takes so long that the window has to wait */
		slices_start(heap->probed);
	}
	heap->due_ns = heap->t0_ns - AHEAD_NS;
	return PFC_OK;
}

/* The memory of a process that ended is gone; not so when the run ends with it. */
static void bury_processes(struct heap_probed *probed, uint64_t now_ns)
{
	for (size_t i = 0; i < probed->follow.process_count; i++) {
		struct followed_process *process = &probed->follow.processes[i];

		if (process->is_gone && process->gone_ns && process->gone_ns + GONE_NS < now_ns) {
			process->gone_ns = 0;
			heap_model_end(&probed->heap->model, process->pid);
		}
	}
}

static void probes_tick(struct heap *heap, uint64_t now_ns)
{
	struct heap_probed *probed = heap->probed;

	if (!probed->has_begun) {
		if (now_ns + AHEAD_NS < heap->t0_ns) {
			heap->due_ns = heap->t0_ns - AHEAD_NS;
			return;
		}
		if (probed->slices == 0) { /* not long before the window: they cost from now on */
			slices_start(probed);
			now_ns = heap->host->now(heap->host->ctx);
		}
		if (now_ns < heap->t0_ns) {
			heap->due_ns = heap->t0_ns;
			return;
		}
		slices_begin(probed, now_ns);
	}
	probes_drain(&probed->probes);
	heap_take_waiting(heap, now_ns);
	heap_take_tick(heap, now_ns);
	bury_processes(probed, now_ns);
	follow_work(&probed->follow, now_ns);
	slices_look(probed, now_ns);
	heap->due_ns = budget_due(&probed->budget);
}

static int probes_poll(struct heap *heap)
{
	return probes_fd(&heap->probed->probes);
}

static void probes_stop(struct heap *heap)
{
	if (!heap->probed->has_begun) { /* a window without a tick */
		if (heap->probed->slices == 0) {
			slices_start(heap->probed);
		}
		slices_begin(heap->probed, heap->t0_ns);
	}
	slices_stop(heap->probed, heap->t1_ns);
	probes_drain(&heap->probed->probes);
}

static void probes_settle(struct heap *heap)
{
	slices_settle(heap->probed);
	heap_take_last(heap);
}

/* ---- what is said of it ---- */

static double on_pct(const struct heap_probed *probed)
{
	double window = (double)(probed->heap->t1_ns - probed->heap->t0_ns);
	double pct = window > 0 ? 100 * (double)probed->on_ns / window : 0;

	return pct > 100 ? 100 : pct;
}

static void probes_judge(struct heap *heap)
{
	struct heap_probed *probed = heap->probed;
	uint64_t growth = heap_growth(heap);

	follow_allocators(&probed->follow, heap->allocator, sizeof(heap->allocator));
	if (probed->follow.attached == 0) {
		snprintf(heap->unseen, sizeof(heap->unseen), "no probe could be attached: %s",
			 strerror(probed->follow.refused_error));
		return;
	}
	if (probed->slices > 1 || !probed->was_on) {
		double share = probed->budget.spent_ns / (budget_net_ns(&probed->budget) + 1);

		snprintf(heap->no_live, sizeof(heap->no_live),
			 "to keep budget = %.3g %% the probes were on for %.2g %% of the window, so what is "
			 "in use and what "
			 "leaks cannot be told; all of it needs about budget = %.0f %%",
			 100 * probed->budget.share, on_pct(probed),
			 100 * share / (on_pct(probed) / 100 + 1e-6) + 1);
		return;
	}
	if (growth > GROWTH_MIN && heap->live_at_peak < FAR_PCT / 100 * (double)growth) {
		snprintf(
			heap->partly, sizeof(heap->partly),
			"only %.1f %% of %.0f MiB that came into use were asked of %.60s: the program has an "
			"allocator whose functions have no names, or maps its own memory",
			100 * heap->live_at_peak / (double)growth, (double)growth / 1048576, heap->allocator);
	}
}

static void state_losses(const struct heap_probed *probed)
{
	const struct heap *heap = probed->heap;
	const struct pfc_host *host = heap->host;
	static const struct {
		enum probe_counter counter;
		const char *port, *cause;
	} losses[] = { { COUNT_LOST_ALLOCS, "churn", "ring_full" },
		       { COUNT_LOST_FREES, "heap", "ring_full" },
		       { COUNT_LIVE_FULL, "heap", "live_table_full" } };

	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		uint64_t lost = probes_counter(&probed->probes, losses[i].counter) -
				probed->first.values[losses[i].counter];

		if (lost) {
			host->loss(host->ctx, losses[i].port, losses[i].cause, lost);
		}
	}
	if (heap->has_gap && !probed->was_on && heap->t1_ns > probed->covers_from_ns + UNSEEN_NS) {
		host->loss(host->ctx, "churn", "unseen_ms", (heap->t1_ns - probed->covers_from_ns) / 1000000);
	}
	if (probed->slice.lost) {
		host->loss(host->ctx, "churn", "slice_full", probed->slice.lost);
	}
	if (probed->follow.too_short) {
		host->loss(host->ctx, "churn", "processes_too_short", probed->follow.too_short);
	}
	if (probed->follow.refused) {
		host->loss(host->ctx, "churn", "probes_refused", probed->follow.refused);
	}
}

static void state_places(const struct heap_probed *probed, const struct pfc_writer *writer)
{
	char text[1024] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < probed->follow.file_count && used + 1 < sizeof(text); i++) {
		const struct followed_file *file = &probed->follow.files[i];

		if (file->count) {
			snprintf(text + used, sizeof(text) - used, "%s%s: %s", used ? "; " : "", file->name,
				 file->places);
			used = strlen(text);
		}
	}
	writer->fact_text(writer->ctx, "probes.places", text);
}

static void probes_state(struct heap *heap, const struct pfc_writer *writer)
{
	struct heap_probed *probed = heap->probed;
	static const char *const by[] = { "session (a return is seen only of samples)",
					  "multi (every return is seen)", "events (every return is seen)" };
	uint32_t processes = 0;

	for (size_t i = 0; i < probed->follow.process_count; i++) {
		processes += probed->follow.processes[i].file_count > 0;
	}
	writer->fact_text(writer->ctx, "heap_by",
			  heap->has_gap ? "uprobes, sampled, in slices" : "uprobes, sampled");
	writer->fact_number(writer->ctx, "heap_processes", processes);
	writer->fact_text(writer->ctx, "probes.link", by[probed->probes.by]);
	writer->fact_number(writer->ctx, "probes.on_pct", on_pct(probed));
	writer->fact_number(writer->ctx, "probes.slices", probed->slices);
	writer->fact_number(writer->ctx, "probes.cost_factor", probed->budget.factor);
	if (heap->has_gap) {
		writer->fact_number(writer->ctx, "probes.scale_error_pct",
				    100 * probed->heap->model.scale_error);
	}
	writer->fact_number(writer->ctx, "probes.emulated_ns", probed->costs.emulated_ns);
	writer->fact_number(writer->ctx, "probes.stepped_ns", probed->costs.stepped_ns);
	writer->fact_number(writer->ctx, "probes.sample_ns", probed->costs.sample_ns);
	writer->fact_number(writer->ctx, "probes.predicted_pct", probed->predicted_pct);
	writer->fact_number(writer->ctx, "probes.cost_pct",
			    100 * probed->budget.spent_ns / (budget_net_ns(&probed->budget) + 1));
	writer->fact_number(writer->ctx, "probes.calls_per_s_before", probed->calls_per_s);
	writer->fact_number(writer->ctx, "probes.attach_ms_mean",
			    (double)probed->attach_ns / 1e6 / (probed->attaches + 1e-9));
	writer->fact_number(writer->ctx, "probes.attach_ms_max", (double)probed->attach_ns_max / 1e6);
	writer->fact_number(writer->ctx, "heap_counted_bytes", probed->counted_bytes);
	writer->fact_number(writer->ctx, "heap_counted_calls", probed->counted_calls);
	writer->fact_number(writer->ctx, "heap_counted_frees", probed->counted_frees);
	state_places(probed, writer);
	state_losses(probed);
}

static void probes_destroy(struct heap *heap)
{
	struct heap_probed *probed = heap->probed;

	if (!probed) {
		return;
	}
	if (probed->follow.files) {
		follow_close(&probed->follow);
	}
	heap->tier->memory->watcher = (struct process_watcher){ NULL, NULL };
	if (probed->probes.skeleton) {
		probes_unload(&probed->probes);
	}
	free(probed->slice.records);
	free(probed);
	heap->probed = NULL;
}

const struct heap_way heap_way_uprobes = {
	.starts_late = true,
	.probe = probes_probe,
	.prepare = probes_prepare,
	.start = probes_start,
	.tick = probes_tick,
	.fd = probes_poll,
	.stop = probes_stop,
	.settle = probes_settle,
	.judge = probes_judge,
	.state = probes_state,
	.destroy = probes_destroy,
};

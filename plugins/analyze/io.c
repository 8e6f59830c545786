/* SPDX-License-Identifier: MIT */
/*
 * Findings of files, peers and calls that fail. Each has a threshold below which it is not worth a reader's time; none knows a program.
 */
#include "analysis.h"

#include <math.h>
#include <string.h>

#include "lib/units.h"

#define WINDOW_PCT_MIN  1.0  /* of the window: less explains nothing */
#define MANY            100u /* calls: fewer are no pattern */
#define OFTEN_A_SECOND  50.0
#define FAILING_PCT_MIN 50.0

static double share_of_window(const struct analysis *analysis, uint64_t ns)
{
	return analysis->window_s > 0 ? 100.0 * (double)ns / 1e9 / analysis->window_s : NAN;
}

static bool matters(const struct analysis *analysis, uint64_t ns)
{
	double share = share_of_window(analysis, ns);

	return !(share < WINDOW_PCT_MIN) && ns > 0; /* without a window everything does */
}

/* The file with the most time among those that `weigh` gives some. */
static const struct syscalls_file *heaviest(const struct calls *calls,
					    uint64_t (*weigh)(const struct syscalls_file *))
{
	const struct syscalls_file *top = NULL;
	uint64_t most = 0;

	for (uint32_t i = 0; i < calls->model.file_count; i++) {
		uint64_t weight = weigh(&calls->model.files[i]);

		if (weight > most) {
			top = &calls->model.files[i];
			most = weight;
		}
	}
	return top;
}

static uint64_t weigh_syncs(const struct syscalls_file *file)
{
	return file->syncs || file->sync_writes ? file->total_ns : 0;
}

static uint64_t weigh_small(const struct syscalls_file *file)
{
	return file->small >= MANY && file->small * 2 >= file->reads + file->writes ? file->total_ns : 0;
}

/*
 * Questions to name servers go by UDP or TCP to port 53. Who asks waits in poll, which is not the socket's time: so many questions are
 * worth a word however little time the calls on the socket took.
 */
static uint64_t weigh_dns(const struct syscalls_file *file)
{
	size_t bytes = strlen(file->name);

	return strstr(file->name, "P to ") == file->name + 2 && strcmp(file->name + bytes - 3, ":53") == 0
		       ? file->total_ns
		       : 0;
}

/* `many`: so many writes matter, whatever time they took. */
static void judge_file(struct analysis *analysis, const struct calls *calls, const char *kind,
		       uint64_t (*weigh)(const struct syscalls_file *), uint64_t many, const char *words)
{
	const struct syscalls_file *file = heaviest(calls, weigh);
	char total[UNITS_ROOM], reads[UNITS_ROOM], writes[UNITS_ROOM], syncs[UNITS_ROOM], others[UNITS_ROOM],
		max[UNITS_ROOM];
	struct finding *finding;

	if (!file || (!matters(analysis, file->total_ns) && file->writes < many) ||
	    !(finding = finding_add(analysis, kind, "info", share_of_window(analysis, file->total_ns)))) {
		return;
	}
	text_cut(&finding->title, file->name, 80);
	text_format(&finding->title, " %s: %s", words, units_weight(total, file->total_ns, "ns"));
	text_format(&finding->evidence, "%s reads, %s writes, %s syncs, %s other calls, longest %s (%s)",
		    units_count(reads, file->reads), units_count(writes, file->writes),
		    units_count(syncs, file->syncs), units_count(others, file->others),
		    units_weight(max, file->max_ns, "ns"), calls->label);
	if (file->sync_writes) {
		text_format(&finding->evidence,
			    "; %s of the writes wait for the disk each, for the file was opened with O_SYNC "
			    "or O_DSYNC",
			    units_count(writes, file->sync_writes));
	}
}

/* A call that mostly fails: asking in vain, or in a loop. */
static void judge_failing(struct analysis *analysis, const struct calls *calls)
{
	const struct syscalls_call *top = NULL;
	char failed[UNITS_ROOM], all[UNITS_ROOM], total[UNITS_ROOM];
	struct finding *finding;

	for (uint32_t i = 0; i < calls->model.call_count; i++) {
		const struct syscalls_call *call = &calls->model.calls[i];

		if (call->errors >= MANY && units_pct(call->errors, call->calls) >= FAILING_PCT_MIN &&
		    call->total_ns > (top ? top->total_ns : 0)) {
			top = call;
		}
	}
	if (!top || !matters(analysis, top->total_ns) ||
	    !(finding = finding_add(analysis, "failing_calls", "warning",
				    units_pct(top->errors, top->calls)))) {
		return;
	}
	text_format(&finding->title, "%s fails %s of %s times, mostly with %s", top->name,
		    units_count(failed, top->errors), units_count(all, top->calls),
		    top->error ? top->error : "an error");
	text_format(&finding->evidence, "%s in all (%s)", units_weight(total, top->total_ns, "ns"),
		    calls->label);
}

/* Connections that are opened so often are not kept, which costs more than the calls that open them. */
static bool is_frequent(const struct analysis *analysis, uint64_t calls)
{
	return calls >= MANY && analysis->window_s > 0 &&
	       (double)calls / analysis->window_s >= OFTEN_A_SECOND;
}

static void judge_connect(struct analysis *analysis, struct calls *calls)
{
	char total[UNITS_ROOM], count[UNITS_ROOM], p50[UNITS_ROOM], max[UNITS_ROOM];
	struct finding *finding;

	for (uint32_t i = 0; i < calls->model.call_count; i++) {
		struct syscalls_call *call = &calls->model.calls[i];

		if (strcmp(call->name, "connect") != 0 ||
		    (!matters(analysis, call->total_ns) && !is_frequent(analysis, call->calls)) ||
		    !(finding = finding_add(analysis, "connect", "info",
					    share_of_window(analysis, call->total_ns)))) {
			continue;
		}
		text_format(&finding->title, "Connections are opened %s times, which takes %s",
			    units_count(count, call->calls), units_weight(total, call->total_ns, "ns"));
		text_format(&finding->evidence, "connect: p50 %s, longest %s (%s)",
			    units_weight(p50, syscalls_quantile(&call->call_times, 0.5, call->max_ns), "ns"),
			    units_weight(max, call->max_ns, "ns"), calls->label);
	}
}

void io_conclude(struct analysis *analysis, struct calls *calls)
{
	char lost[UNITS_ROOM];
	struct finding *finding;

	if (calls->trouble.bytes && (finding = finding_add(analysis, "incomplete", "error", NAN))) {
		text_add(&finding->title, text_str(&calls->trouble));
	}
	if (!calls->is_read) {
		return;
	}
	if (calls->model.about.lost && (finding = finding_add(analysis, "incomplete", "warning", NAN))) {
		text_format(&finding->title, "%s lost %s observations", calls->label,
			    units_count(lost, calls->model.about.lost));
		text_add(&finding->evidence, "counts of calls and waits are too small");
	}
	judge_file(analysis, calls, "syncs", weigh_syncs, UINT64_MAX,
		   "is forced to the disk again and again");
	judge_file(analysis, calls, "small_io", weigh_small, UINT64_MAX,
		   "is read or written in many small pieces");
	judge_file(analysis, calls, "dns", weigh_dns, MANY, "is asked for names");
	polling_conclude(analysis, calls);
	judge_connect(analysis, calls);
	judge_failing(analysis, calls);
}

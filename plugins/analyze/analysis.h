/* SPDX-License-Identifier: MIT */
/* All that the report says, before it is written as text and as JSON. */
#ifndef PLUGINS_ANALYZE_ANALYSIS_H
#define PLUGINS_ANALYZE_ANALYSIS_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/host.h>

#include "lib/calltree.h"
#include "lib/health.h"
#include "lib/latency.h"
#include "lib/profile.h"
#include "lib/rank.h"
#include "lib/syscalls.h"
#include "lib/text.h"

#define ANALYSIS_MAX_INPUTS 32 /* of each port; more are counted and said */

/** One stacks artifact. */
struct view {
	const struct pfc_reader
		*reader; /* valid as long as the host's call lasts; NULL when it could not be opened */
	struct profile *profile; /* NULL when it could not be read */
	struct health health;
	struct rank self;
	struct rank total;
	struct calltree tree; /* by weight */
	struct text trouble;  /* why it could not be read; "" when it could */
	char label[160];      /* "perf-cpu.stacks (cpu)" */
};

/** One requests artifact. */
struct load {
	struct latency latency;
	struct text trouble;
	char label[160];
};

/** Sums of one syscalls artifact: the books of all threads, and the call that was made most. */
struct book {
	uint64_t threads, on_cpu_ns, ready_ns, preempted_ns, blocked_ns, fault_ns;
	uint64_t calls, often_calls, often_ns, often_blocked_ns, longest_ns;
	struct text often;
	struct text longest; /* the call that was waited in most */
};

/** One syscalls artifact. */
struct calls {
	struct syscalls_model model;
	bool is_read;
	struct text trouble;
	char label[160];
};

/** What is worth knowing. Texts are clean; severity is "error", "warning" or "info". */
struct finding {
	const char
		*kind; /* "hot_function", "hot_path", "incomplete", "errors", "tail", "waiting", "cpu_cost",
		       "lock", "disk", "network", "sleep", "run_queue", "syscalls",
		       "syncs", "small_io", "failing_calls", "connect", "dns", "polling", "few_samples", "idle" */
	const char *severity;
	struct text title;
	struct text evidence;
	double share; /* in percent of what the evidence names; NAN when it is no share */
};

/** Who is to blame in one profile. Function numbers; 0 for none. */
struct culprit {
	uint32_t function; /* with the code it calls outside the app, the heaviest */
	uint64_t led, self, total;
	uint32_t callee; /* the heaviest function that it leads but is not, where that is more than its own */
	uint64_t callee_weight;
	uint32_t
		under; /* the deepest app function above it with nearly all weight below it, else most of it */
	uint64_t under_total;
};

struct analysis {
	const char *run_id;
	uint64_t t0_ns, t1_ns;
	double window_s; /* 0 when not known */
	uint32_t top;
	struct view views[ANALYSIS_MAX_INPUTS];
	uint32_t view_count;
	struct load loads[ANALYSIS_MAX_INPUTS];
	uint32_t load_count;
	struct book books[ANALYSIS_MAX_INPUTS];
	uint32_t book_count;
	struct calls calls[ANALYSIS_MAX_INPUTS];
	uint32_t calls_count;
	uint32_t inputs_left_out;
	struct view *main; /* the profile that the verdict is about: CPU if there is one; NULL for none */
	struct culprit culprit;
	struct text verdict;
	struct text alarms; /* one a line, for the top of the report */
	struct finding findings[64];
	uint32_t finding_count;
	double cpus_busy;          /* CPU time by window; NAN when not known */
	double cpu_ns_per_request; /* NAN when not known */
};

/** Read all inputs. What cannot be read becomes trouble, not failure. Returns 0 or PFC_ENOMEM. */
int analysis_gather(struct analysis *analysis, const struct pfc_host *host);
void analysis_finish(struct analysis *analysis);

/** Find the culprit of a profile. Returns 0 or PFC_ENOMEM. */
int culprit_find(const struct view *view, struct culprit *ret);

/** What the weight of a profile is: "CPU time", "page faults", ... */
const char *view_subject(const struct view *view);

/** Conclude: alarms, findings, verdict. Returns 0 or PFC_ENOMEM. */
int analysis_conclude(struct analysis *analysis);

/** Start a finding; the caller fills title and evidence. NULL when there are enough. */
struct finding *finding_add(struct analysis *analysis, const char *kind, const char *severity, double share);

/** What is incomplete, for the top of the report; and, to be called last, what is merely small. */
void alarms_conclude(struct analysis *analysis);
void alarms_mention_small(struct analysis *analysis);

/** That the target did next to nothing; and, to be called last, the one line that says it all. */
void verdict_mention_idle(struct analysis *analysis);
void verdict_conclude(struct analysis *analysis);

/** Whether a profile is of time off the CPU: its heaviest stack is often that of a thread with nothing to do, nobody's fault. */
bool view_is_waiting(const struct view *view);

/** Append "function (module)"; the share of a weight, in percent. */
void view_add_name(struct text *to, const struct view *view, uint32_t function);
double view_share(const struct view *view, uint64_t weight);

/** Whether a call is made in a loop that asks whether something has happened, and the finding of such calls. */
void polling_conclude(struct analysis *analysis, struct calls *calls);

/** Findings of one syscalls artifact about files, peers and calls that fail. */
void io_conclude(struct analysis *analysis, struct calls *calls);

/** The documents. */
void report_text(const struct analysis *analysis, struct text *to);
void report_json(const struct analysis *analysis, struct text *to);
void report_summary(const struct analysis *analysis, struct text *to);

#endif

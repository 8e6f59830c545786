/* SPDX-License-Identifier: MIT */
/* The head of the text on system calls: in short, and how far it can be trusted. */
#include "strace_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_line(struct text *to, const char *word, const char *figure)
{
	text_format(to, "  %-14s ", word);
	text_clean(to, (struct pfc_string){ figure, strlen(figure) }, 300);
	text_add(to, "\n");
}

static const char *backend_words(const char *name)
{
	static const char *const words[][2] = {
		{ "bpf", "bpf: counted in the kernel" },
		{ "perf", "perf: two records of the kernel for each call, paired by thread" },
		{ "ptrace", "ptrace: the target is stopped twice at each call" },
	};

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (strcmp(words[i][0], name) == 0) {
			return words[i][1];
		}
	}
	return *name ? name : "not stated";
}

/* What a ring of io_uring carries are no calls: of these only the calls that set it up and drive it are seen. */
static void warn_of_rings(const struct syscalls_model *model, struct text *to)
{
	char count[UNITS_ROOM];

	for (uint32_t i = 0; i < model->call_count; i++) {
		const struct syscalls_call *call = &model->calls[i];

		if (strncmp(call->name, "io_uring_", 9) == 0 && call->calls &&
		    !isfinite(strace_fact(model, "io_uring_ops"))) {
			text_format(to,
				    "  !! %s was called %s times: the operations of its ring are not among "
				    "the calls below\n",
				    call->name, units_count(count, call->calls));
		}
	}
}

static void add_warnings(const struct syscalls_model *model, struct text *to)
{
	double observed = strace_fact(model, "observed_pct");
	char count[UNITS_ROOM];

	if (isfinite(observed) && observed < 99.5) {
		text_format(to,
			    "  !! only %.1f %% of the window was observed, in %s bursts: all counts below "
			    "are of these\n",
			    observed, units_count(count, strace_positive(strace_fact(model, "bursts"))));
	}
	if (model->about.lost) {
		text_format(to, "  !! %s observations were lost: counts below are too small\n",
			    units_count(count, model->about.lost));
	} else if (model->about.partial) {
		text_add(to, "  !! the stage did not come to its end: what it had not written is missing\n");
	}
	warn_of_rings(model, to);
	if (model->cut) {
		text_add(to, "  !! a part of the artifact could not be read, or was too long\n");
	}
	if (strcmp(strace_fact_text(model, "calls"), "blocked") == 0) {
		text_add(to, "  !! only calls that left the CPU were seen (calls = blocked): calls and "
			     "errors are not counted\n");
	}
}

static void add_own_cost(const struct syscalls_model *model, struct text *to)
{
	char line[200], own[UNITS_ROOM], each[UNITS_ROOM], less[UNITS_ROOM];
	uint64_t own_ns = strace_positive(strace_fact(model, "own_ns"));
	uint64_t call_ns = strace_positive(strace_fact(model, "own_call_ns"));
	uint64_t latency_ns = strace_positive(strace_fact(model, "own_latency_ns"));

	if (!own_ns && !call_ns) {
		add_line(to, "own cost", "not measured");
		return;
	}
	snprintf(line, sizeof(line), "%s in all", strace_time(own, own_ns));
	if (call_ns) {
		snprintf(line + strlen(line), sizeof(line) - strlen(line), ", %s for each call",
			 strace_time(each, call_ns));
	}
	if (latency_ns) {
		snprintf(line + strlen(line), sizeof(line) - strlen(line),
			 "; %s of it taken off each latency below", strace_time(less, latency_ns));
	}
	add_line(to, "own cost", line);
}

static void add_count(const struct syscalls_model *model, struct text *to, const char *word, const char *key)
{
	double value = strace_fact(model, key);
	char text[UNITS_ROOM];

	add_line(to, word, isfinite(value) ? units_count(text, strace_positive(value)) : "not stated");
}

/* Two lines that say where the time of the threads went; the tables below say the rest. */
static void add_short(const struct syscalls_model *model, struct text *to)
{
	const struct syscalls_call *top[3] = { 0 };
	uint64_t wall = 0, on_cpu = 0, ready = 0, asleep = 0, fault = 0;
	char pct[UNITS_ROOM], text[UNITS_ROOM];

	for (uint32_t i = 0; i < model->thread_count; i++) {
		const struct syscalls_thread *thread = &model->threads[i];

		wall += thread->wall_ns;
		on_cpu += thread->on_cpu_ns;
		ready += thread->run_queue_ns + thread->preempted_ns;
		asleep += thread->syscall_ns;
		fault += thread->fault_ns + thread->other_ns;
	}
	for (uint32_t i = 0; i < model->call_count; i++) {
		const struct syscalls_call *call = &model->calls[i];

		for (size_t at = 0; at < COUNT_OF(top) && call && call->blocked_ns; at++) {
			if (!top[at] || call->blocked_ns > top[at]->blocked_ns) {
				const struct syscalls_call *less = top[at];

				top[at] = call;
				call = less;
			}
		}
	}
	if (wall == 0) {
		return;
	}
	text_format(to, "\nOf %s in %u threads: ", units_weight(text, wall, "ns"), model->thread_count);
	text_format(to, "%s %% on a CPU, ", strace_pct(pct, on_cpu, wall));
	text_format(to, "%s %% ready without one, ", strace_pct(pct, ready, wall));
	text_format(to, "%s %% asleep in calls", strace_pct(pct, asleep, wall));
	text_format(to, fault ? ", %s %% elsewhere.\n" : ".\n", strace_pct(pct, fault, wall));
	for (size_t at = 0; at < COUNT_OF(top) && top[at]; at++) {
		text_format(to, "%s%s %s", at ? ", " : "Asleep most in ", top[at]->name,
			    units_weight(text, top[at]->blocked_ns, "ns"));
	}
	text_add(to, top[0] ? ".\n" : "");
}

void strace_add_head(const struct syscalls_model *model, struct text *to)
{
	char text[UNITS_ROOM], kinds[UNITS_ROOM], line[160];
	uint64_t calls = 0;

	for (uint32_t i = 0; i < model->call_count; i++) {
		calls += model->calls[i].calls;
	}
	text_format(to, "System calls and waits of %s.%s, run %s\n", model->about.producer, model->about.port,
		    model->run_id);
	add_short(model, to);
	text_add(to, "\nCompleteness\n============\n\n");
	add_warnings(model, to);
	add_line(to, "back-end", backend_words(strace_fact_text(model, "backend")));
	snprintf(line, sizeof(line), "%s of %s kinds, by %u threads", units_count(text, calls),
		 units_count(kinds, model->call_count), model->thread_count);
	add_line(to, "calls", line);
	if (model->window_ns) {
		add_line(to, "window", units_weight(text, model->window_ns, "ns"));
	}
	add_line(to, "lost", units_count(text, model->about.lost));
	add_count(model, to, "unmatched", "unmatched");
	add_count(model, to, "unfinished", "unfinished");
	add_count(model, to, "32-bit calls", "compat_calls");
	add_line(to, "io_uring ops",
		 isfinite(strace_fact(model, "io_uring_ops"))
			 ? units_count(text, strace_positive(strace_fact(model, "io_uring_ops")))
			 : "not counted by this back-end");
	if (strace_positive(strace_fact(model, "processes_together")) +
	    strace_positive(strace_fact(model, "events_together"))) {
		snprintf(line, sizeof(line), "%s processes and %s further events, summed up under pid 0",
			 units_count(text, strace_positive(strace_fact(model, "processes_together"))),
			 units_count(kinds, strace_positive(strace_fact(model, "events_together"))));
		add_line(to, "not told apart", line);
	}
	add_own_cost(model, to);
}

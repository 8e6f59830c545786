/* SPDX-License-Identifier: MIT */
/*
 * Loops that ask again and again whether something has happened: short sleeps, polls that find nothing, reads that fail with EAGAIN. A
 * server that is busy calls poll as often, but finds something.
 */
#include "analysis.h"

#include <string.h>

#include "lib/units.h"

#define LEAST_TIMES    100u
#define LEAST_A_SECOND 50.0
#define LEAST_FUTILE   1000.0 /* reads: those of edge-triggered loops fail once after each that does not */
#define LONGEST_NS     20000000.0
#define FUTILE_PCT     90.0

enum how { HOW_NONE, HOW_SLEEP, HOW_EMPTY, HOW_FUTILE };

static enum how how_of(const char *name)
{
	static const struct {
		const char *name;
		enum how how;
	} known[] = {
		{ "nanosleep", HOW_SLEEP },   { "clock_nanosleep", HOW_SLEEP }, { "sched_yield", HOW_SLEEP },
		{ "poll", HOW_EMPTY },        { "ppoll", HOW_EMPTY },           { "select", HOW_EMPTY },
		{ "_newselect", HOW_EMPTY },  { "pselect6", HOW_EMPTY },        { "epoll_wait", HOW_EMPTY },
		{ "epoll_pwait", HOW_EMPTY }, { "epoll_pwait2", HOW_EMPTY },    { "read", HOW_FUTILE },
		{ "pread64", HOW_FUTILE },    { "readv", HOW_FUTILE },          { "recvfrom", HOW_FUTILE },
		{ "recvmsg", HOW_FUTILE },    { "recvmmsg", HOW_FUTILE },       { "accept", HOW_FUTILE },
		{ "accept4", HOW_FUTILE },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name) == 0) {
			return known[i].how;
		}
	}
	return HOW_NONE;
}

/* How often it asked in vain, and the time of all such calls; 0 when it is no loop that asks. */
static uint64_t times_in_vain(const struct syscalls_call *call, enum how how, uint64_t *ret_ns)
{
	uint64_t calls = call->calls ? call->calls : call->waits; /* calls = blocked: only those that slept */
	uint64_t times = how == HOW_SLEEP ? calls : how == HOW_EMPTY ? call->zeros : 0;

	*ret_ns = call->calls ? call->total_ns : call->blocked_ns;
	if (how == HOW_FUTILE && call->error && strcmp(call->error, "EAGAIN") == 0) {
		times = call->error_count;
	}
	if (times < LEAST_TIMES || units_pct(times, calls) < (how == HOW_FUTILE ? FUTILE_PCT : 50.0) ||
	    (double)*ret_ns / (double)calls > LONGEST_NS) {
		return 0;
	}
	return times;
}

void polling_conclude(struct analysis *analysis, struct calls *calls)
{
	static const char *const words[] = { [HOW_SLEEP] = "sleeps or yields briefly",
					     [HOW_EMPTY] = "finds nothing ready",
					     [HOW_FUTILE] = "fails with EAGAIN" };

	for (uint32_t i = 0; i < calls->model.call_count && analysis->window_s > 0; i++) {
		const struct syscalls_call *call = &calls->model.calls[i];
		enum how how = how_of(call->name);
		uint64_t ns = 0, times = how ? times_in_vain(call, how, &ns) : 0;
		double a_second = (double)times / analysis->window_s;
		char count[UNITS_ROOM], all[UNITS_ROOM], each[UNITS_ROOM];
		struct finding *finding;

		if (times == 0 || a_second < (how == HOW_FUTILE ? LEAST_FUTILE : LEAST_A_SECOND) ||
		    !(finding = finding_add(analysis, "polling", "warning",
					    units_pct(times, call->calls ? call->calls : times)))) {
			continue;
		}
		text_format(&finding->title, "%s %s, %s times: a loop that asks again and again", call->name,
			    words[how], units_count(count, times));
		text_format(&finding->evidence, "%s calls, %s each, %.0f a second in vain (%s)",
			    units_count(all, call->calls ? call->calls : times),
			    units_weight(each, ns / (call->calls ? call->calls : times), "ns"), a_second,
			    calls->label);
	}
}

/* SPDX-License-Identifier: MIT */
/* How callers are found: see callgraph.h. */
#include "callgraph.h"

#include <stdio.h>
#include <string.h>

/*
 * A sample with a copy takes the size asked for in the ring, however little was copied. With 4 MiB a CPU and a wake-up at
 * a quarter, the drain used 1.3 % of a core; with 256 KiB it used 7.5 %. On a machine where more runs than it has CPUs the
 * drain waits for its turn: 4 MiB, 64 ms at 997 Hz, lost one sample in eight there. So a ring holds a quarter of a second,
 * as long as all together stay below RINGS_BYTES.
 */
#define RING_DWARF_BYTES (4ull << 20)
#define RING_BYTES       (1ull << 20)
#define RINGS_BYTES      (64ull << 20)
#define RING_PART_OF_S   4
#define STACK_MIN_BYTES  512

static bool service_walks(const struct pfc_stacks *stacks)
{
	return PERF_USER_REGS != 0 && stacks && PFC_HAS(stacks, stack_use);
}

static struct pfc_value option_of(const struct pfc_host *host, const char *key)
{
	struct pfc_value value = { .struct_size = sizeof(value) };

	if (host->option(host->ctx, key, &value) != PFC_OK) {
		memset(&value, 0, sizeof(value));
	}
	return value;
}

static uint32_t fit_stack_bytes(int64_t bytes)
{
	if (bytes > PERF_STACK_MAX_BYTES) {
		bytes = PERF_STACK_MAX_BYTES;
	}
	return (uint32_t)(bytes < STACK_MIN_BYTES ? STACK_MIN_BYTES : bytes) & ~7u;
}

int32_t callgraph_choose(const struct pfc_host *host, const struct pfc_stacks *stacks, struct callgraph *ret)
{
	const char *mode = pfc_option_text(host, "call_graph", "auto");
	struct pfc_value stack_bytes = option_of(host, "stack_bytes");
	struct pfc_value ring = option_of(host, "ring");

	memset(ret, 0, sizeof(*ret));
	ret->is_auto = strcmp(mode, "auto") == 0;
	ret->is_fixed = stack_bytes.is_set != 0;
	ret->stack_bytes = stack_bytes.is_set ? fit_stack_bytes(stack_bytes.integer) : PERF_STACK_MAX_BYTES;
	ret->mode = strcmp(mode, "none") == 0  ? CALLGRAPH_NONE
		    : strcmp(mode, "lbr") == 0 ? CALLGRAPH_LBR
					       : CALLGRAPH_FP;
	if (ret->is_auto || strcmp(mode, "dwarf") == 0) {
		ret->mode = CALLGRAPH_DWARF;
	}
	ret->ring_bytes = ring.is_set ? (uint64_t)ring.integer : 0;
	if (ret->mode == CALLGRAPH_DWARF && !service_walks(stacks)) {
		if (!ret->is_auto) {
			return host->fail(host->ctx, PFC_ENOTSUP, "call_graph = dwarf",
					  "this host does not walk copied stacks on this machine",
					  "use call_graph = fp, or a newer profcore on x86-64");
		}
		callgraph_fall_back(ret, "this host does not walk copied stacks on this machine");
	}
	return PFC_OK;
}

void callgraph_fall_back(struct callgraph *callgraph, const char *why)
{
	callgraph->mode = CALLGRAPH_FP;
	snprintf(callgraph->note, sizeof(callgraph->note),
		 "%s, continuing without it: call stacks by frame pointers", why);
}

void callgraph_wish(const struct callgraph *callgraph, struct perf_event_wish *wish)
{
	wish->callchain = callgraph->mode != CALLGRAPH_NONE;
	wish->branch_stack = callgraph->mode == CALLGRAPH_LBR;
	wish->user_stack_bytes = callgraph->mode == CALLGRAPH_DWARF ? callgraph->stack_bytes : 0;
}

uint64_t callgraph_ring_bytes(const struct callgraph *callgraph, const struct perf_event *event, size_t cpus)
{
	uint64_t per_sample = callgraph->stack_bytes + 256u;
	uint64_t limit = RINGS_BYTES / (cpus ? cpus : 1);
	uint64_t wanted = per_sample * event->frequency_hz / RING_PART_OF_S;
	uint64_t bytes = RING_DWARF_BYTES;

	if (callgraph->ring_bytes) {
		return callgraph->ring_bytes;
	}
	if (callgraph->mode != CALLGRAPH_DWARF) {
		return RING_BYTES;
	}
	while (bytes < wanted && bytes * 2 <= limit) {
		bytes *= 2;
	}
	return bytes;
}

const char *callgraph_name(const struct callgraph *callgraph)
{
	static const char *const names[] = { "none", "fp", "lbr", "dwarf" };

	return names[callgraph->mode];
}

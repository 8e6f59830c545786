/* SPDX-License-Identifier: MIT */
/*
 * deep SECONDS DEPTH: work in `bottom`, below DEPTH frames of `descend`, and print both as JSON. For stacks deeper than the
 * kernel's 127 frames, and than a copied piece of stack.
 */
#include "workload.h"

struct dive {
	uint64_t end_ns;
	uint64_t value;
	uint64_t depth_reached;
};

static NOINLINE void bottom(struct dive *dive)
{
	uint64_t value = dive->value;

	while (clock_ns(CLOCK_MONOTONIC) < dive->end_ns) {
		for (unsigned i = 0; i < 100; i++) {
			SPIN(value);
		}
	}
	dive->value = value;
}

static NOINLINE void descend(struct dive *dive, uint64_t depth)
{
	if (depth == 0) {
		bottom(dive);
		return;
	}
	descend(dive, depth - 1);
	dive->depth_reached++; /* after the call, so that it is no tail call */
}

int main(int argc, char **argv)
{
	double seconds = number_arg(argc, argv, 1, 1);
	double depth = number_arg(argc, argv, 2, 300);
	struct dive dive = { .end_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9), .value = 1 };

	if (depth < 0 || depth > 50000) {
		fprintf(stderr, "deep: the depth is from 0 to 50000\n");
		return 2;
	}
	descend(&dive, (uint64_t)depth);
	printf("{\"depth\": %llu, \"cpu_ns\": %llu}\n", (unsigned long long)dive.depth_reached,
	       (unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* The library of `traps library`: loaded and unloaded again and again. */
#include "workload.h"

static NOINLINE uint64_t inside(uint64_t value)
{
	for (int i = 0; i < 3000; i++) {
		SPIN(value);
	}
	return value;
}

__attribute__((visibility("default"))) void spin_in_library(void);
__attribute__((visibility("default"))) void spin_in_library(void)
{
	static volatile uint64_t sink;

	sink = inside(sink);
}

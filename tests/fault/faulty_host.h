/* SPDX-License-Identifier: MIT */
/*
 * A host that works, but for one call: the n-th that may fail, of its own or of a writer or reader that it gave, returns a
 * chosen error and has done nothing. A writer's error stays, as the contract says. Artifacts are in memory
 * (tests/unit/bench_host.h); the target is this process.
 */
#ifndef TESTS_FAULT_FAULTY_HOST_H
#define TESTS_FAULT_FAULTY_HOST_H

#include "bench_host.h"
#include "stacks/stacks.h"

#define FAULTY_MAX 16

struct faulty_host;

struct faulty_writer {
	struct pfc_writer face;
	struct faulty_host *host;
	const struct pfc_writer *real;
	int32_t error;
};

struct faulty_reader {
	struct pfc_reader face;
	struct faulty_host *host;
	const struct pfc_reader *real;
};

struct faulty_host {
	struct pfc_host host; /* what the plugin gets */
	struct bench_host bench;
	uint64_t calls;     /* that may fail, so far */
	uint64_t fail_at;   /* the first is 1; 0: none fails */
	int32_t status;     /* what it returns */
	const char *failed; /* name of the call that failed; NULL */
	unsigned explained; /* calls of host->fail */
	int stop_fd;        /* readable when run must return; the test's */
	int32_t pid;
	struct stacks_service *stacks;
	struct faulty_writer writers[FAULTY_MAX];
	struct faulty_reader readers[FAULTY_MAX];
	unsigned writer_count, reader_count;
};

void faulty_host_init(struct faulty_host *faulty);
void faulty_host_finish(struct faulty_host *faulty);

#endif

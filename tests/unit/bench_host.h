/* SPDX-License-Identifier: MIT */
/*
 * A host for one transform or reporter, without the core: inputs and outputs are artifacts in memory, options are given as
 * text. A test can run a plugin's callbacks with it and look at what came out.
 */
#ifndef TESTS_UNIT_BENCH_HOST_H
#define TESTS_UNIT_BENCH_HOST_H

#include <profcore/profcore.h>

#include "mem_artifact.h"

#define BENCH_MAX 16

struct bench_host {
	struct pfc_host host; /* what the plugin gets */
	struct pfc_window window;
	struct {
		const char *key;
		const char *text;
	} options[BENCH_MAX];
	unsigned option_count;
	struct {
		const char *port;
		const struct pfc_reader *reader;
	} inputs[BENCH_MAX];
	unsigned input_count;
	struct {
		char port[64];
		struct mem_artifact *artifact;
	} outputs[BENCH_MAX];
	unsigned output_count;
	int32_t failed; /* status of the plugin's host->fail, and its words */
	char what[512], why[512], hint[512];
};

void bench_host_init(struct bench_host *bench);
/** "true", "false" and numbers are understood; the position of an enum's value is given as a number. Borrowed. */
void bench_host_option(struct bench_host *bench, const char *key, const char *text);
void bench_host_input(struct bench_host *bench, const char *port, const struct pfc_reader *reader);
/** create, process, destroy; returns the first failure. */
int32_t bench_host_run(struct bench_host *bench, pfc_plugin_entry entry);
/** The document that was written to a port, terminated; NULL when none was. */
const char *bench_host_output(const struct bench_host *bench, const char *port, uint64_t *ret_bytes);
void bench_host_finish(struct bench_host *bench);

#endif

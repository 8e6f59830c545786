/* SPDX-License-Identifier: MIT */
/*
 * The requests of a load test ("profcore.requests/1") as figures: how many, how fast, what failed. Percentiles come from
 * a histogram of constant size whose buckets are at most 0.1 % wide; the maximum is exact.
 */
#ifndef PLUGINS_LIB_LATENCY_H
#define PLUGINS_LIB_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/artifact.h>

enum {
	LATENCY_NO_ERROR,
	LATENCY_CONNECT,
	LATENCY_TIMEOUT,
	LATENCY_RESET,
	LATENCY_PROTOCOL,
	LATENCY_OTHER,
	LATENCY_ERRORS
};

struct latency {
	char producer[64];
	bool partial;
	uint64_t lost;
	uint64_t requests;   /* that began in the window */
	uint64_t outside;    /* that did not */
	bool window_ignored; /* none lay even near the window: all were taken */
	uint64_t answered;   /* with a status and without an error */
	uint64_t timed; /* those that percentiles are of: answered, and those that waited in vain (timed out,
			       cut off): to leave them out would make the slowest server look fast */
	uint64_t errors[LATENCY_ERRORS];
	uint64_t failed; /* sum of errors, and those without an answer */
	uint64_t status_4xx, status_5xx;
	uint64_t bytes;
	uint64_t first_ns, last_ns; /* first start, last end */
	double rps;                 /* answers that ended in the window, by its length */
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns, mean_ns;
	bool cut; /* a chunk could not be read */
};

/** Word for an error kind. */
const char *latency_error_word(unsigned error);

/**
 * Sum up the requests that began in [t0, t1] (0, 0: all).
 *
 * Returns: 0, also without any request; PFC_ENOENT when the table is not there; PFC_ENOMEM.
 */
int latency_read(const struct pfc_reader *reader, uint64_t t0_ns, uint64_t t1_ns, struct latency *ret);

#endif

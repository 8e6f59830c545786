/* SPDX-License-Identifier: MIT */
#include "latency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "cols.h"
#include "text.h"

#define FAR_NS 60000000000u /* a request so far from the window belongs to another run */

/* Buckets: one for each value below 2048, then 1024 for each power of two. */
#define LINEAR    2048u
#define PER_POWER 1024u
#define POWERS    53u

enum { START, FIRST_BYTE, END, STATUS, ERROR, BYTES, COLUMNS };

struct pass {
	struct latency *latency;
	uint32_t *buckets;
	uint64_t t0_ns, t1_ns, nearest_ns;
	double sum_ns;
	uint64_t answers_in_window;
};

static uint32_t bucket_of(uint64_t value)
{
	unsigned power;

	if (value < LINEAR) {
		return (uint32_t)value;
	}
	power = 53u - (unsigned)__builtin_clzll(value); /* 1 for values of 12 bits */
	return LINEAR + (power - 1) * PER_POWER + (uint32_t)(value >> power) - PER_POWER;
}

/* The largest value of a bucket. */
static uint64_t bucket_top(uint32_t bucket)
{
	unsigned power;

	if (bucket < LINEAR) {
		return bucket;
	}
	power = (bucket - LINEAR) / PER_POWER + 1;
	return (((uint64_t)((bucket - LINEAR) % PER_POWER + PER_POWER) + 1) << power) - 1;
}

static uint64_t percentile(const struct pass *pass, double share)
{
	double rank = (double)pass->latency->timed * share;
	uint64_t wanted = (uint64_t)rank, seen = 0, top;
	uint32_t i;

	wanted += (double)wanted < rank; /* rounded up */
	for (i = 0; i < LINEAR + POWERS * PER_POWER; i++) {
		seen += pass->buckets[i];
		if (seen >= wanted && seen > 0) {
			top = bucket_top(i);
			return top < pass->latency->max_ns ? top : pass->latency->max_ns;
		}
	}
	return pass->latency->max_ns;
}

static void take_time(struct pass *pass, uint64_t took_ns)
{
	struct latency *latency = pass->latency;

	latency->timed++;
	latency->max_ns = took_ns > latency->max_ns ? took_ns : latency->max_ns;
	pass->sum_ns += (double)took_ns;
	pass->buckets[bucket_of(took_ns)]++;
}

static void take(struct pass *pass, const struct cols *cols, uint64_t row)
{
	struct latency *latency = pass->latency;
	uint64_t start = (uint64_t)cols_int(cols, START, row, 0), end = (uint64_t)cols_int(cols, END, row, 0),
		 away;
	int64_t status = cols_int(cols, STATUS, row, 200), error = cols_int(cols, ERROR, row, 0);

	if (pass->t1_ns && (start < pass->t0_ns || start > pass->t1_ns)) {
		away = start < pass->t0_ns ? pass->t0_ns - start : start - pass->t1_ns;
		pass->nearest_ns = away < pass->nearest_ns ? away : pass->nearest_ns;
		latency->outside++;
		return;
	}
	latency->first_ns = latency->requests == 0 || start < latency->first_ns ? start : latency->first_ns;
	latency->last_ns = end > latency->last_ns ? end : latency->last_ns;
	latency->requests++;
	latency->bytes += (uint64_t)cols_int(cols, BYTES, row, 0);
	if (error == LATENCY_NO_ERROR && status > 0) {
		latency->answered++;
		latency->status_4xx += status >= 400 && status < 500;
		latency->status_5xx += status >= 500;
		pass->answers_in_window += pass->t1_ns == 0 || end <= pass->t1_ns;
	} else {
		error = error > 0 && error < LATENCY_ERRORS ? error : LATENCY_OTHER;
		latency->failed++;
		latency->errors[error]++;
	}
	if (end >= start &&
	    (error == LATENCY_NO_ERROR || error == LATENCY_TIMEOUT || error == LATENCY_OTHER)) {
		take_time(pass, end - start);
	}
}

static int read_all(struct pass *pass, const struct pfc_reader *reader)
{
	static const char *const columns[COLUMNS] = {
		"start", "first_byte", "end", "status", "error", "bytes"
	};
	struct cols cols;
	uint64_t row;
	int status = cols_begin(&cols, reader, "requests", columns, COLUMNS);

	if (status != PFC_OK) {
		return status;
	}
	if (!cols_has(&cols, START) || !cols_has(&cols, END)) {
		return PFC_ENOENT;
	}
	while (cols_next(&cols)) {
		for (row = 0; row < cols.rows; row++) {
			take(pass, &cols, row);
		}
	}
	pass->latency->cut |= cols.cut;
	return PFC_OK;
}

static void conclude(struct pass *pass)
{
	struct latency *latency = pass->latency;
	uint64_t span = latency->last_ns - latency->first_ns;

	if (latency->timed == 0) {
		return;
	}
	if (pass->t1_ns > pass->t0_ns) {
		span = pass->t1_ns - pass->t0_ns;
	}
	latency->rps = span ? (double)pass->answers_in_window / ((double)span / 1e9) : 0;
	latency->mean_ns = (uint64_t)(pass->sum_ns / (double)latency->timed);
	latency->p50_ns = percentile(pass, 0.50);
	latency->p90_ns = percentile(pass, 0.90);
	latency->p99_ns = percentile(pass, 0.99);
	latency->p999_ns = percentile(pass, 0.999);
}

static int describe(struct latency *latency, const struct pfc_reader *reader)
{
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	struct text clean = { 0 };
	int status;

	if (reader->describe(reader->ctx, &about) == PFC_OK && about.producer) {
		text_clean(&clean, (struct pfc_string){ about.producer, strlen(about.producer) }, 60);
		snprintf(latency->producer, sizeof(latency->producer), "%s", text_str(&clean));
		latency->partial = about.partial != 0;
		latency->lost = about.lost;
	}
	status = clean.failed ? PFC_ENOMEM : PFC_OK;
	text_finish(&clean);
	return status;
}

int latency_read(const struct pfc_reader *reader, uint64_t t0_ns, uint64_t t1_ns, struct latency *ret)
{
	struct latency latency = { 0 };
	struct pass pass = { .latency = &latency, .t0_ns = t0_ns, .t1_ns = t1_ns, .nearest_ns = UINT64_MAX };
	int status = describe(&latency, reader);

	pass.buckets = calloc(LINEAR + POWERS * PER_POWER, sizeof(*pass.buckets));
	if (!pass.buckets) {
		status = PFC_ENOMEM;
	}
	if (status == PFC_OK) {
		status = read_all(&pass, reader);
	}
	if (status == PFC_OK && latency.requests == 0 && latency.outside > 0 && pass.nearest_ns > FAR_NS) {
		latency.window_ignored = true;
		latency.outside = 0;
		pass.t0_ns = pass.t1_ns = 0;
		status = read_all(&pass, reader);
	}
	if (status == PFC_OK) {
		conclude(&pass);
		*ret = latency;
	}
	free(pass.buckets);
	return status;
}

const char *latency_error_word(unsigned error)
{
	static const char *const words[] = { "none", "connect", "timeout", "reset", "protocol", "other" };

	return error < sizeof(words) / sizeof(words[0]) ? words[error] : "other";
}

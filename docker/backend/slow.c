/* SPDX-License-Identifier: MIT */
/*
 * slow_endpoint -> show_thread -> check_signatures  -> hash_rounds
 *                             \-> order_comments    -> sort_comments
 *                             \-> format_comments   -> render_markdown
 *
 * No function here is inlined and no call is a tail call, so each is a real frame, with and without frame pointers.
 */
#include "slow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* In the modes that plant another cause, the page itself costs a tenth. */
#define LIGHT_DIVISOR 10

static uint64_t thread_ns(void)
{
	return truth_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static NOINLINE uint64_t check_signatures(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	uint64_t began_ns = thread_ns();
	uint64_t result = hash_rounds(seed, backend->amounts.passes[WORK_HASH] / divisor);

	truth_add(&backend->truth.work[WORK_HASH], 1, 0, thread_ns() - began_ns);
	return result;
}

static NOINLINE uint64_t order_comments(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	uint64_t began_ns = thread_ns();
	uint64_t result = sort_comments(seed, backend->amounts.passes[WORK_SORT] / divisor);

	truth_add(&backend->truth.work[WORK_SORT], 1, 0, thread_ns() - began_ns);
	return result;
}

static NOINLINE uint64_t format_comments(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	uint64_t began_ns = thread_ns();
	uint64_t result = render_markdown(seed, backend->amounts.passes[WORK_MARKDOWN] / divisor);

	truth_add(&backend->truth.work[WORK_MARKDOWN], 1, 0, thread_ns() - began_ns);
	return result;
}

static NOINLINE uint64_t show_thread(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	uint64_t result = check_signatures(backend, seed, divisor);

	result += order_comments(backend, result, divisor);
	result += format_comments(backend, result, divisor);
	return result;
}

/* Passes of hashing that fill the whole work time of a request, whatever the split. */
static uint64_t full_hash_rounds(const struct backend *backend)
{
	double share = backend->options.split[WORK_HASH];

	return share > 0 ? (uint64_t)((double)backend->amounts.passes[WORK_HASH] / share) : 10000;
}

/* What the mode adds to the page: 0, an errno value, or -1 for a mode that does not exist. */
static NOINLINE int plant_cause(struct backend *backend, const char *mode, uint64_t seed, uint64_t *result)
{
	const struct options *options = &backend->options;
	struct causes *causes = &backend->causes;
	struct truth *truth = &backend->truth;
	int status = 0;

	if (strcmp(mode, "lock") == 0) {
		*result += rebuild_cache(causes, truth, seed, full_hash_rounds(backend));
	} else if (strcmp(mode, "io") == 0) {
		status = append_audit_record(causes, truth);
	} else if (strcmp(mode, "alloc") == 0) {
		*result += churn_memory(truth, seed);
	} else if (strcmp(mode, "leak") == 0) {
		leak_session(truth, options->leak_bytes, options->leak_limit);
	} else if (strcmp(mode, "syscalls") == 0) {
		*result += read_templates(causes, truth, options->reads);
	} else {
		status = -1;
	}
	return status;
}

NOINLINE int slow_endpoint(struct backend *backend, const struct request *request, char *text, size_t room)
{
	uint64_t seed = truth_clock_ns(CLOCK_MONOTONIC);
	char mode[16] = "cpu";
	uint64_t result;
	int status = 0;

	request_query_value(request, "mode", mode, sizeof(mode));
	if (strcmp(mode, "cpu") == 0) {
		result = show_thread(backend, seed, 1);
	} else {
		result = show_thread(backend, seed, LIGHT_DIVISOR);
		status = plant_cause(backend, mode, seed, &result);
	}
	if (status < 0) {
		snprintf(text, room, "no such mode; there are cpu, lock, io, alloc, leak, syscalls\n");
		return 400;
	}
	atomic_fetch_add_explicit(&backend->truth.slow_requests, 1, memory_order_relaxed);
	snprintf(text, room, "thread %016" PRIx64 "%s%s\n", result, status > 0 ? ": " : "",
		 status > 0 ? strerror(status) : "");
	return status == 0 ? 200 : 500;
}

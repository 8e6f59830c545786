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

/* A measured piece of work: how much of it, and since when. */
struct piece {
	enum work work;
	uint64_t passes;
	uint64_t began_ns; /* CLOCK_THREAD_CPUTIME_ID */
};

static struct piece piece_begin(struct backend *backend, enum work work, uint64_t divisor)
{
	struct piece piece = { .work = work };

	piece.passes = amounts_passes(&backend->amounts, work, backend->amounts.target_ns[work] / divisor);
	piece.began_ns = truth_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return piece;
}

static void piece_end(struct backend *backend, const struct piece *piece)
{
	uint64_t ns = truth_clock_ns(CLOCK_THREAD_CPUTIME_ID) - piece->began_ns;

	truth_add(&backend->truth.work[piece->work], 1, 0, ns);
	amounts_learn(&backend->amounts, piece->work, piece->passes, ns);
}

static NOINLINE uint64_t check_signatures(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	struct piece piece = piece_begin(backend, WORK_HASH, divisor);
	uint64_t result = hash_rounds(seed, piece.passes);

	piece_end(backend, &piece);
	return result;
}

static NOINLINE uint64_t order_comments(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	struct piece piece = piece_begin(backend, WORK_SORT, divisor);
	uint64_t result = sort_comments(seed, piece.passes);

	piece_end(backend, &piece);
	return result;
}

static NOINLINE uint64_t format_comments(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	struct piece piece = piece_begin(backend, WORK_MARKDOWN, divisor);
	uint64_t result = render_markdown(seed, piece.passes);

	piece_end(backend, &piece);
	return result;
}

static NOINLINE uint64_t show_thread(struct backend *backend, uint64_t seed, uint64_t divisor)
{
	uint64_t result = check_signatures(backend, seed, divisor);

	result += order_comments(backend, result, divisor);
	result += format_comments(backend, result, divisor);
	return result;
}

/* What the mode adds to the page: 0, an errno value, or -1 for a mode that does not exist. */
static NOINLINE int plant_cause(struct backend *backend, const char *mode, uint64_t seed, uint64_t *result)
{
	const struct options *options = &backend->options;
	struct causes *causes = &backend->causes;
	struct truth *truth = &backend->truth;
	int status = 0;

	if (strcmp(mode, "lock") == 0) {
		*result +=
			rebuild_cache(causes, truth, seed,
				      amounts_passes(&backend->amounts, WORK_HASH, options->work_us * 1000));
	} else if (strcmp(mode, "io") == 0) {
		status = append_audit_record(causes, truth);
	} else if (strcmp(mode, "alloc") == 0) {
		*result += churn_memory(truth, seed);
	} else if (strcmp(mode, "leak") == 0) {
		leak_session(truth, options->leak_bytes, options->leak_limit);
	} else if (strcmp(mode, "syscalls") == 0) {
		*result += read_templates(causes, truth, options->reads);
	} else if (strcmp(mode, "db") == 0) {
		status = ask_database(&backend->database, truth);
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
		snprintf(text, room, "no such mode; there are cpu, lock, io, alloc, leak, syscalls, db\n");
		return 400;
	}
	atomic_fetch_add_explicit(&backend->truth.slow_requests, 1, memory_order_relaxed);
	snprintf(text, room, "thread %016" PRIx64 "%s%s\n", result, status > 0 ? ": " : "",
		 status > 0 ? strerror(status) : "");
	return status == 0 ? 200 : 500;
}

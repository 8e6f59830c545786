/* SPDX-License-Identifier: MIT */
/* How observations are handed on: see tracer.h. */
#include "tracer.h"

#include <stdio.h>
#include <string.h>

#include "tables.h"

#define COMMIT_NS 1000000000ull

int refusal_set(struct refusal *refusal, int32_t status, const char *what, const char *why, const char *hint)
{
	refusal->status = status;
	snprintf(refusal->what, sizeof(refusal->what), "%s", what);
	snprintf(refusal->why, sizeof(refusal->why), "%s", why);
	snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint ? hint : "");
	return status;
}

int tracer_slow_call(struct tracer *tracer, const struct slow_call *call)
{
	if (tracer->slow_kept >= tracer->settings.slow_limit) {
		tracer->slow_lost++;
		return PFC_OK;
	}
	tracer->slow_kept++;
	return tables_slow(tracer->tables, tracer, call);
}

int tracer_long_wait(struct tracer *tracer, const struct long_wait *wait)
{
	return tables_long_wait(tracer->tables, wait);
}

int tracer_stack(struct tracer *tracer, enum stacks_kind kind, const struct pfc_stack_sample *sample)
{
	struct pfc_stacks_session *session = tracer->sessions[kind];

	return session ? tracer->stacks->add(session, sample) : PFC_OK;
}

int tracer_tick(struct tracer *tracer, uint64_t complete_ns)
{
	uint64_t now = tracer->host->now(tracer->host->ctx);
	int rc = PFC_OK;

	for (size_t i = 0; i < STACKS_KINDS && rc == PFC_OK; i++) {
		rc = tracer->sessions[i] ? tracer->stacks->tick(tracer->sessions[i], complete_ns) : PFC_OK;
	}
	if (rc == PFC_OK && now - tracer->last_commit_ns >= COMMIT_NS) {
		tracer->last_commit_ns = now;
		rc = tables_commit(tracer->tables);
	}
	return rc;
}

void tracer_fact(struct tracer *tracer, const char *key, double value)
{
	tables_fact(tracer->tables, key, value, NULL);
}

void tracer_fact_text(struct tracer *tracer, const char *key, const char *value)
{
	tables_fact(tracer->tables, key, 0, value);
}

/* SPDX-License-Identifier: MIT */
/* How much of the user stack each sample copies: see adapt.h. */
#include "adapt.h"

#include <stdio.h>
#include <string.h>

/* Calibration: so many walks, or so long with at least some. */
#define ENOUGH_WALKS   200
#define SOME_WALKS     20
#define LONG_ENOUGH_NS 1000000000ull
/* The deepest stack is still to come: leave it a quarter of the copy. */
#define FITS(bytes) ((bytes) <= ADAPT_SMALL_BYTES / 4 * 3)
/* One walk in so many may be cut before the small copies are given up. */
#define CUT_ONE_IN 2000

enum adapt_verdict adapt_decide(bool is_small, uint64_t complete, uint64_t cut, uint64_t max_bytes,
				uint64_t passed_ns)
{
	uint64_t walks = complete + cut;

	if (is_small) {
		return cut > walks / CUT_ONE_IN ? ADAPT_GROW : ADAPT_STAY;
	}
	if (walks < SOME_WALKS || (walks < ENOUGH_WALKS && passed_ns < LONG_ENOUGH_NS)) {
		return ADAPT_STAY;
	}
	return cut == 0 && FITS(max_bytes) ? ADAPT_SHRINK : ADAPT_SETTLE;
}

/*
 * What the old set sampled is read before the new one starts: a sample is judged by the set that it came from
 * (perf_attach_is_duplicate). The gap is the time to switch and read, a few ms.
 */
static int switch_to(struct adapt *adapt, struct perf_attach *next)
{
	int rc;

	perf_attach_disable(adapt->drain->attach);
	rc = drain_all(adapt->drain);
	adapt->drain->attach = next;
	perf_attach_enable(next);
	adapt->switches++;
	return rc;
}

static void log_switch(const struct adapt *adapt, const struct pfc_stack_use *use)
{
	const struct pfc_host *host = adapt->drain->host;
	char text[160];

	snprintf(text, sizeof(text),
		 "stacks used up to %llu bytes%s: copying %u bytes with each sample from now on",
		 (unsigned long long)use->max_bytes, adapt->is_settled ? ", and one was cut" : "",
		 adapt->drain->attach->event.user_stack_bytes);
	host->log(host->ctx, PFC_LOG_INFO, text);
}

int adapt_step(struct adapt *adapt, uint64_t now_ns)
{
	struct drain *drain = adapt->drain;
	struct pfc_stack_use use = { .struct_size = sizeof(use) };
	uint64_t holes = drain->populate.holes; /* cut too, but not for lack of size */
	bool is_small = drain->attach == adapt->small;
	int rc = 0;

	if (!adapt->small || adapt->is_settled || drain->stacks->stack_use(drain->session, &use) != PFC_OK) {
		return 0;
	}
	use.cut -= use.cut < holes ? use.cut : holes;
	switch (adapt_decide(is_small, use.complete - adapt->complete_before,
			     use.cut > adapt->cut_before ? use.cut - adapt->cut_before : 0, use.max_bytes,
			     now_ns - adapt->start_ns)) {
	case ADAPT_SHRINK:
		rc = switch_to(adapt, adapt->small);
		adapt->complete_before = use.complete;
		adapt->cut_before = use.cut;
		log_switch(adapt, &use);
		break;
	case ADAPT_GROW:
		adapt->is_settled = true;
		rc = switch_to(adapt, adapt->large);
		log_switch(adapt, &use);
		break;
	case ADAPT_SETTLE:
		adapt->is_settled = true;
		break;
	default:
		break;
	}
	return rc;
}

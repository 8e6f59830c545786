/* SPDX-License-Identifier: MIT */
/* The window's loop: see drain.h. */
#include "drain.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "adapt.h"
#include "counters.h"
#include "lib/folder.h"
#include "lib/perf/record.h"
#include "perf_cpu.h"

#define TICK_NS      (100 * 1000000ull)
#define TICK_MS      100
#define BRANCHES_MAX 64 /* Intel's deepest record has 32 calls */
/* The first copies find the holes in the stacks: the sooner they are read, the fewer find the same ones (populate.h). */
#define FIRST_SAMPLES 500
#define FIRST_MS      2
/* A sample is dated before its record is published: how long another CPU may be held up between the two. */
#define IN_FLIGHT_NS (20 * 1000000ull)

/* Index of the instruction pointer among the registers: ax, bx, cx, dx, si, di, bp and sp come before it. */
#define REG_SP_INDEX 7
#define REG_IP_INDEX 8

/* What the walk of a copied stack starts from. Without a copy, the innermost frame is what is known. */
static void set_user_stack(struct drain *drain, const struct perf_record_sample *sample,
			   struct pfc_stack_sample *out)
{
	if (!sample->regs) { /* a kernel thread, or one that is about to end */
		return;
	}
	if (sample->regs_abi != PERF_SAMPLE_REGS_ABI_64) {
		drain->compat++;
	}
	if (sample->regs_abi == PERF_SAMPLE_REGS_ABI_64 && sample->stack) {
		out->regs_mask = PERF_USER_REGS;
		out->regs = sample->regs;
		out->stack = sample->stack;
		out->stack_bytes = sample->stack_bytes;
		if (!drain->leave_holes) {
			perf_populate_after(&drain->populate, sample->pid, sample->tid,
					    sample->regs[REG_SP_INDEX], sample->stack_bytes,
					    sample->stack_asked, sample->time_ns);
		}
		return;
	}
	out->user_ips = sample->regs + REG_IP_INDEX;
	out->user_ip_count = 1;
	out->flags |= PFC_STACK_USER_TRUNCATED;
}

static int add_sample(struct drain *drain, const struct perf_event_header *header, uint64_t sample_type)
{
	struct pfc_stack_sample out;
	struct perf_record_sample sample;
	struct perf_record_chain chain;
	uint64_t branch_ips[BRANCHES_MAX];

	if (!perf_record_parse_sample(header, sample_type, &sample)) {
		drain->garbled++;
		return 0;
	}
	if (perf_attach_is_duplicate(drain->attach, sample.id, sample.tid)) {
		return 0;
	}
	if (!members_has(&drain->members, sample.pid)) {
		return 0;
	}
	drain->seen++;
	if (!filter_passes(&drain->filter, sample.pid, sample.tid, sample.time_ns)) {
		drain->weight += sample.period; /* seen, and left out as asked */
		return 0;
	}
	perf_record_part_chain(&sample, &chain);
	memset(&out, 0, sizeof(out));
	out.struct_size = sizeof(out);
	out.time_ns = sample.time_ns;
	out.weight = sample.period;
	out.pid = sample.pid;
	out.tid = sample.tid;
	out.cpu = sample.cpu;
	out.kernel_ips = chain.kernel;
	out.kernel_ip_count = chain.kernel_count;
	out.user_ips = chain.user;
	out.user_ip_count = chain.user_count;
	if (drain->attach->event.callchain &&
	    chain.kernel_count + chain.user_count >= drain->attach->event.max_stack) {
		out.flags = chain.user_count ? PFC_STACK_USER_TRUNCATED : PFC_STACK_KERNEL_TRUNCATED;
	}
	if (sample_type & PERF_SAMPLE_BRANCH_STACK) {
		out.user_ips = branch_ips;
		out.user_ip_count = perf_record_branch_chain(&sample, branch_ips, BRANCHES_MAX);
		out.flags = PFC_STACK_USER_TRUNCATED; /* as deep as the CPU records */
	}
	if (sample_type & PERF_SAMPLE_STACK_USER) {
		set_user_stack(drain, &sample, &out);
	}
	drain->weight += sample.period;
	return drain->stacks->add(drain->session, &out);
}

static int take_record(struct drain *drain, struct perf_ring *ring, const struct perf_event_header *header,
		       uint64_t sample_type)
{
	uint64_t lost;
	int32_t pid, parent_pid;

	switch (header->type) {
	case PERF_RECORD_SAMPLE:
		return add_sample(drain, header, sample_type);
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		lost = perf_record_parse_lost(header);
		drain->lost += lost;
		ring->lost += lost;
		break;
	case PERF_RECORD_FORK:
		if (perf_record_parse_fork(header, &pid, &parent_pid)) {
			members_fork(&drain->members, pid, parent_pid);
		}
		break;
	case PERF_RECORD_THROTTLE:
		drain->throttled++;
		break;
	default:
		break;
	}
	return 0;
}

int drain_all(struct drain *drain)
{
	struct perf_event_attr attr;
	int rc = 0;

	perf_event_fill(&drain->attach->event, &attr);
	for (uint32_t i = 0; i < drain->ring_count; i++) {
		struct perf_ring *ring = &drain->rings[i];
		const struct perf_event_header *header;

		perf_ring_begin(ring);
		while ((header = perf_ring_next(ring))) {
			int added = take_record(drain, ring, header, attr.sample_type);

			rc = rc ? rc : added;
		}
	}
	return rc;
}

static void publish(struct drain *drain)
{
	const struct pfc_host *host = drain->host;

	host->metric(host->ctx, "samples", (double)drain->stacks->sample_count(drain->session));
	host->metric(host->ctx, "lost", (double)drain->lost);
	if (drain->throttled && !drain->warned) {
		drain->warned = true;
		host->log(host->ctx, PFC_LOG_WARNING,
			  "the kernel throttles the sampling (kernel.perf_cpu_time_max_percent), continuing "
			  "without the "
			  "samples of those moments");
	}
}

/* The target's container was started again. */
static void renew(struct drain *drain)
{
	const struct pfc_host *host = drain->host;
	const char *folder;
	bool is_new;

	(void)folder_follow(host, &drain->self->group);
	folder = drain->self->group;
	is_new = perf_attach_renew(drain->attach, folder);
	if (drain->adapt && drain->adapt->small) {
		perf_attach_renew(drain->adapt->small, folder);
		perf_attach_renew(drain->adapt->large, folder);
	}
	if (is_new) {
		drain->renewals++;
		if (drain->counters && drain->attach->thread_count) {
			counters_renew(drain->counters, drain->attach);
		}
		host->log(host->ctx, drain->attach->thread_count ? PFC_LOG_INFO : PFC_LOG_WARNING,
			  drain->attach->thread_count
				  ? "the target's control group was made anew, sampling the new one"
				  : "the target's control group was made anew and refuses events, continuing "
				    "without it");
	}
}

static int drain_and_tick(struct drain *drain)
{
	uint64_t now = drain->host->now(drain->host->ctx);
	int rc;

	if (drain->last_drain_ns && now - drain->last_drain_ns > drain->longest_gap_ns) {
		drain->longest_gap_ns = now - drain->last_drain_ns;
	}
	drain->last_drain_ns = now;
	rc = drain_all(drain);

	if (rc == 0 && now - drain->last_tick_ns >= TICK_NS / 2) {
		drain->last_tick_ns = now;
		renew(drain);
		rc = drain->stacks->tick(drain->session, now - IN_FLIGHT_NS);
		if (rc == 0 && drain->adapt) {
			rc = adapt_step(drain->adapt, now);
		}
		if (rc == 0 && drain->step) {
			rc = drain->step(drain->self);
		}
		publish(drain);
	}
	return rc;
}

int drain_until_stop(struct drain *drain)
{
	const struct pfc_host *host = drain->host;
	struct pollfd *polls = calloc(drain->ring_count + 1, sizeof(*polls));
	int rc = 0;

	if (!polls) {
		return host->fail(host->ctx, PFC_ENOMEM, "wait for samples", "out of memory", NULL);
	}
	polls[0] = (struct pollfd){ .fd = host->stop_fd(host->ctx), .events = POLLIN };
	for (uint32_t i = 0; i < drain->ring_count; i++) {
		polls[i + 1] = (struct pollfd){ .fd = drain->rings[i].fd, .events = POLLIN };
	}
	while (rc == 0 && polls[0].revents == 0) {
		bool is_new = drain->attach->event.user_stack_bytes &&
			      drain->stacks->sample_count(drain->session) < FIRST_SAMPLES;

		if (poll(polls, drain->ring_count + 1, is_new ? FIRST_MS : TICK_MS) < 0 && errno != EINTR) {
			rc = host->fail(host->ctx, PFC_EIO, "poll of the rings", strerror(errno), NULL);
			break;
		}
		rc = drain_and_tick(drain);
	}
	free(polls);
	return rc;
}

/* SPDX-License-Identifier: MIT */
/* A perf event on all of the target: see listen.h. */
#include "listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/folder.h"
#include "lib/perf/procfs.h"

#define PASS_LIMIT       20
#define POPULATE_THREADS 2000
#define RENEW_NS         100000000ull
/* Among the registers of a copy: ax, bx, cx, dx, si, di and bp come before. */
#define REG_SP_INDEX 7
#define REG_IP_INDEX 8

int listen_choose(struct listen *listen, const struct perf_event_wish *wish, struct perf_refusal *refusal)
{
	struct perf_event event;
	int rc;

	if (listen->event_count == LISTEN_EVENTS_MAX) {
		return perf_refusal_set(refusal, PFC_EINVAL, "too many events", NULL, "listen to %s",
					wish->name);
	}
	rc = perf_event_choose(wish, &event, refusal);
	if (rc == 0) {
		listen->events[listen->event_count++] = event;
	}
	return rc;
}

/* The target as it is now. Returns 0 or refusal->status. */
static int get_target(const struct listen *listen, struct pfc_target *ret, struct perf_refusal *refusal)
{
	memset(ret, 0, sizeof(*ret));
	ret->struct_size = sizeof(*ret);
	if (listen->host->target(listen->host->ctx, ret) != PFC_OK || ret->pid_count == 0) {
		return perf_refusal_set(refusal, PFC_ETARGET, "the target has no process",
					"check that it still runs", "find what to listen to");
	}
	return 0;
}

int listen_probe(struct listen *listen, struct perf_refusal *refusal)
{
	struct perf_event_attr attr;
	struct pfc_target target;
	int rc = get_target(listen, &target, refusal);

	for (uint32_t i = 0; i < listen->event_count && rc == 0; i++) {
		int fd;

		perf_event_fill(&listen->events[i], &attr);
		fd = perf_event_open(&attr, target.pids[0], -1);
		if (fd < 0) {
			rc = perf_refusal_explain(-fd, listen->events[i].name, target.pids[0], -1, refusal);
		} else {
			close(fd);
		}
	}
	return rc;
}

static int open_rings(struct listen *listen, uint64_t bytes, struct perf_refusal *refusal)
{
	struct perf_id_list cpus = { NULL, 0, 0 };
	int error = perf_procfs_online_cpus(&cpus);
	int rc = 0;

	if (error == 0) {
		listen->rings = calloc(cpus.count, sizeof(*listen->rings));
	}
	if (!listen->rings) {
		rc = perf_refusal_set(refusal, error ? PFC_EIO : PFC_ENOMEM,
				      error ? strerror(-error) : "out of memory",
				      "check that /sys is mounted", "list the online CPUs");
	}
	for (size_t i = 0; rc == 0 && i < cpus.count; i++) {
		rc = perf_ring_open(cpus.items[i], bytes, &listen->rings[i], refusal);
		listen->ring_count += rc == 0;
	}
	free(cpus.items);
	return rc;
}

/* The whole control group where the target is one and the kernel allows it; else its threads, until no more appear. */
static int open_events(struct listen *listen, struct perf_attach *attach, struct perf_refusal *refusal)
{
	struct pfc_target target;
	size_t added;
	int rc = get_target(listen, &target, refusal);

	if (rc == 0 && target.cgroup_path && target.cgroup_path[0]) {
		listen->group = listen->group ? listen->group : strdup(target.cgroup_path);
		if (listen->group && perf_attach_group(attach, listen->group, refusal) == 0) {
			return 0;
		}
	}
	do {
		rc = rc ? rc : perf_attach_pass(attach, target.pids, target.pid_count, &added, refusal);
		if (rc != 0) {
			return rc;
		}
		rc = added && attach->passes < PASS_LIMIT ? get_target(listen, &target, refusal) : 0;
	} while (added && attach->passes < PASS_LIMIT);
	perf_attach_seal(attach);
	return attach->thread_count ? 0
				    : perf_refusal_set(refusal, PFC_ETARGET, "all of its threads have ended",
						       "check that it still runs", "attach to the target");
}

int listen_open(struct listen *listen, uint64_t ring_bytes, struct perf_refusal *refusal)
{
	int rc = open_rings(listen, ring_bytes, refusal);

	for (uint32_t i = 0; i < listen->event_count && rc == 0; i++) {
		struct perf_attach *attach = &listen->attaches[i];

		perf_attach_init(attach, &listen->events[i], listen->rings, listen->ring_count);
		for (uint32_t k = 0; k < i; k++) {
			attach->fds_elsewhere += listen->attaches[k].thread_count * listen->ring_count;
		}
		rc = open_events(listen, attach, refusal);
	}
	for (size_t i = 0; rc == 0 && listen->events[0].user_stack_bytes &&
			   i < listen->attaches[0].thread_count && i < POPULATE_THREADS;
	     i++) {
		perf_populate_thread(&listen->populate, listen->attaches[0].threads[i].pid,
				     listen->attaches[0].threads[i].tid);
	}
	return rc;
}

void listen_set_frequency(struct listen *listen, uint64_t frequency_hz)
{
	for (uint32_t i = 0; i < listen->event_count; i++) {
		struct perf_attach *attach = &listen->attaches[i];

		attach->event.frequency_hz = frequency_hz;
		for (size_t k = 0; k < attach->thread_count * attach->cpu_count; k++) {
			if (attach->fds[k] >= 0) {
				(void)ioctl(attach->fds[k], PERF_EVENT_IOC_PERIOD, &frequency_hz);
			}
		}
	}
}

void listen_enable(struct listen *listen)
{
	for (uint32_t i = 0; i < listen->event_count; i++) {
		perf_attach_enable(&listen->attaches[i]);
	}
}

void listen_disable(struct listen *listen)
{
	for (uint32_t i = 0; i < listen->event_count; i++) {
		perf_attach_disable(&listen->attaches[i]);
	}
}

static void set_user_stack(struct listen *listen, const struct perf_record_sample *sample,
			   struct pfc_stack_sample *out)
{
	if (!sample->regs) {
		return;
	}
	if (sample->regs_abi == PERF_SAMPLE_REGS_ABI_64 && sample->stack) {
		out->regs_mask = PERF_USER_REGS;
		out->regs = sample->regs;
		out->stack = sample->stack;
		out->stack_bytes = sample->stack_bytes;
		perf_populate_after(&listen->populate, sample->pid, sample->tid, sample->regs[REG_SP_INDEX],
				    sample->stack_bytes, sample->stack_asked, sample->time_ns);
		return;
	}
	listen->compat += sample->regs_abi != PERF_SAMPLE_REGS_ABI_64;
	out->user_ips = sample->regs + REG_IP_INDEX;
	out->user_ip_count = 1;
	out->flags |= PFC_STACK_USER_TRUNCATED;
}

/* Which event a sample is of: several are tracepoints, whose record begins with their number. */
static uint32_t event_of(const struct listen *listen, const struct perf_record_sample *sample)
{
	uint16_t type;

	if (listen->event_count < 2 || sample->raw_bytes < sizeof(type)) {
		return 0;
	}
	memcpy(&type, sample->raw, sizeof(type));
	for (uint32_t i = 0; i < listen->event_count; i++) {
		if (listen->events[i].config == type) {
			return i;
		}
	}
	return 0;
}

static int32_t take_sample(struct listen *listen, const struct perf_event_header *header,
			   uint64_t sample_type)
{
	struct pfc_stack_sample out = { .struct_size = sizeof(out) };
	struct perf_record_sample sample;
	struct perf_record_chain chain;
	uint32_t event;

	if (!perf_record_parse_sample(header, sample_type, &sample)) {
		listen->garbled++;
		return PFC_OK;
	}
	event = event_of(listen, &sample);
	if (perf_attach_is_duplicate(&listen->attaches[event], sample.id, sample.tid)) {
		return PFC_OK;
	}
	perf_record_part_chain(&sample, &chain);
	out.time_ns = sample.time_ns;
	out.pid = sample.pid;
	out.tid = sample.tid;
	out.cpu = sample.cpu;
	out.kernel_ips = chain.kernel;
	out.kernel_ip_count = chain.kernel_count;
	out.user_ips = chain.user;
	out.user_ip_count = chain.user_count;
	if (sample_type & PERF_SAMPLE_STACK_USER) {
		set_user_stack(listen, &sample, &out);
	}
	return listen->take(listen->take_ctx, event, &sample, &out);
}

static int32_t take_record(struct listen *listen, const struct perf_event_header *header,
			   uint64_t sample_type)
{
	switch (header->type) {
	case PERF_RECORD_SAMPLE:
		return take_sample(listen, header, sample_type);
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		listen->lost += perf_record_parse_lost(header);
		return PFC_OK;
	case PERF_RECORD_THROTTLE:
		listen->throttled++;
		return PFC_OK;
	default:
		return PFC_OK;
	}
}

/* The target's container was started again, or made anew. */
static void renew(struct listen *listen)
{
	(void)folder_follow(listen->host, &listen->group);
	for (uint32_t i = 0; i < listen->event_count; i++) {
		(void)perf_attach_renew(&listen->attaches[i], listen->group);
	}
}

int32_t listen_drain(struct listen *listen, uint64_t now_ns)
{
	const struct perf_event_header *header;
	struct perf_event_attr attr;
	int32_t rc = PFC_OK;

	perf_event_fill(&listen->events[0], &attr); /* all of them have the same fields */
	for (uint32_t i = 0; i < listen->ring_count; i++) {
		perf_ring_begin(&listen->rings[i]);
		while ((header = perf_ring_next(&listen->rings[i])) != NULL) {
			int32_t taken = take_record(listen, header, attr.sample_type);

			rc = rc ? rc : taken;
		}
	}
	if (now_ns > listen->renewed_ns + RENEW_NS) {
		renew(listen);
		listen->renewed_ns = now_ns;
	}
	return rc;
}

int listen_fd(const struct listen *listen, uint32_t index)
{
	return index < listen->ring_count ? listen->rings[index].fd : -1;
}

void listen_count(struct listen *listen, uint64_t *ret_events, uint64_t *ret_lost)
{
	uint64_t exact = 0;
	bool has_exact = listen->event_count > 0;

	*ret_events = 0;
	for (uint32_t i = 0; i < listen->event_count; i++) {
		uint64_t events;
		int64_t lost;

		perf_attach_count(&listen->attaches[i], &events, &lost);
		*ret_events += events;
		has_exact = has_exact && lost >= 0;
		exact += lost > 0 ? (uint64_t)lost : 0;
	}
	for (uint32_t i = 0; i < listen->ring_count; i++) {
		listen->garbled += listen->rings[i].corrupt;
	}
	*ret_lost = has_exact ? exact : listen->lost;
}

void listen_close(struct listen *listen)
{
	for (uint32_t i = 0; i < listen->event_count; i++) {
		perf_attach_close(&listen->attaches[i]);
	}
	for (uint32_t i = 0; i < listen->ring_count; i++) {
		perf_ring_close(&listen->rings[i]);
	}
	free(listen->rings);
	free(listen->group);
	memset(listen, 0, sizeof(*listen));
}

/* SPDX-License-Identifier: MIT */
/*
 * The back-end for kernels that forbid BPF: perf events. The kernel writes a record at the begin and one at the end of each call,
 * and at each context switch, into rings of ours, and wakes us when one is a quarter full. What the records say is in
 * perf_stream.c and perf_calls.c; this is the life of the events.
 */
#include "backend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/folder.h"
#include "perf_state.h"

#define ENTER_WORD   "raw_syscalls:sys_enter"
#define EXIT_WORD    "raw_syscalls:sys_exit"
#define PASS_LIMIT   20
#define TICK_MS      100
#define IN_FLIGHT_NS (20 * 1000000ull) /* a record is dated before it is published */
#define OWN_ROUNDS   500

static int refuse(struct refusal *to, const struct perf_refusal *from)
{
	return refusal_set(to, from->status, from->what, from->why, from->hint);
}

static int choose(const char *word, uint64_t fields, struct perf_event *ret, struct refusal *refusal)
{
	struct perf_event_wish wish = {
		.name = word, .frequency_hz = 1, .kernel = true, .user = true, .more_fields = fields
	};
	struct perf_refusal why;

	if (perf_event_choose(&wish, ret, &why) != 0) {
		return refuse(refusal, &why);
	}
	if (!ret->kernel) { /* system calls are seen in the kernel, or not at all */
		return refusal_set(refusal, PFC_EPERM, word,
				   "the kernel's tracepoints may not be read without CAP_PERFMON",
				   "run as root, setcap cap_perfmon,cap_sys_ptrace+ep on profcore, or set "
				   "backend = ptrace");
	}
	return PFC_OK;
}

static int choose_both(struct perf_event *enter, struct perf_event *exit, struct refusal *refusal)
{
	int rc = choose(ENTER_WORD, PERF_SAMPLE_RAW | PERF_SAMPLE_REGS_USER, enter, refusal);

	if (rc == PFC_OK) {
		rc = choose(EXIT_WORD, PERF_SAMPLE_RAW, exit, refusal);
	}
	exit->switches = true;
	return rc;
}

static int perf_probe(struct tracer *tracer, struct refusal *refusal)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct perf_event enter, exit;
	struct perf_event_attr attr;
	struct perf_refusal why;
	int rc = choose_both(&enter, &exit, refusal);
	int fd;

	if (rc != PFC_OK) {
		return rc;
	}
	if (tracer->host->target(tracer->host->ctx, &target) != PFC_OK || target.pid_count == 0) {
		return refusal_set(refusal, PFC_ETARGET, "find what to trace", "the target has no process",
				   "check that it still runs");
	}
	perf_event_fill(&exit, &attr);
	fd = perf_event_open(&attr, target.pids[0], -1);
	if (fd < 0) {
		perf_refusal_explain(-fd, EXIT_WORD, target.pids[0], -1, &why);
		return refuse(refusal, &why);
	}
	close(fd);
	return PFC_OK;
}

/* ---- opening ---- */

static void perf_close(void *ctx)
{
	struct perf_state *state = ctx;

	if (!state) {
		return;
	}
	perf_attach_close(&state->enter);
	perf_attach_close(&state->exit);
	for (uint32_t i = 0; i < state->ring_count; i++) {
		perf_ring_close(&state->rings[i]);
	}
	tasks_finish(&state->tasks);
	free(state->rings);
	free(state->group);
	free(state->stream.moments);
	free(state->changes.places);
	free(state);
}

static int open_rings(struct perf_state *state, struct refusal *refusal)
{
	struct perf_id_list cpus = { NULL, 0, 0 };
	struct perf_refusal why;
	int error = perf_procfs_online_cpus(&cpus);
	int rc = PFC_OK;

	state->rings = error ? NULL : calloc(cpus.count, sizeof(*state->rings));
	if (!state->rings) {
		rc = refusal_set(refusal, error ? PFC_EIO : PFC_ENOMEM, "list the online CPUs",
				 error ? strerror(-error) : "out of memory", "check that /sys is mounted");
	}
	for (size_t i = 0; i < cpus.count && rc == PFC_OK; i++) {
		if (perf_ring_open(cpus.items[i], state->tracer->settings.ring_bytes, &state->rings[i],
				   &why) != 0) {
			rc = refuse(refusal, &why);
		} else {
			state->ring_count++;
		}
	}
	free(cpus.items);
	return rc;
}

/* Passes until no thread is new. */
static int attach_threads(struct perf_state *state, struct perf_attach *attach, struct refusal *refusal)
{
	const struct pfc_host *host = state->tracer->host;
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct perf_refusal why;
	size_t added = 1;

	while (added && attach->passes < PASS_LIMIT) {
		if (host->target(host->ctx, &target) != PFC_OK) {
			return refusal_set(refusal, PFC_ETARGET, "find what to trace", "the target has gone",
					   "check that it still runs");
		}
		if (perf_attach_pass(attach, target.pids, target.pid_count, &added, &why) != 0) {
			return refuse(refusal, &why);
		}
	}
	perf_attach_seal(attach);
	return PFC_OK;
}

static int attach(struct perf_state *state, struct perf_attach *to, const struct perf_event *event,
		  struct refusal *refusal)
{
	struct perf_refusal why;

	perf_attach_init(to, event, state->rings, state->ring_count);
	to->fds_elsewhere = state->enter.thread_count * state->ring_count;
	if (state->group && perf_attach_group(to, state->group, &why) == 0) {
		return PFC_OK;
	}
	return attach_threads(state, to, refusal);
}

/* ---- what it costs ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t time_of_calls(void)
{
	uint64_t begin_ns = now_ns();

	for (int i = 0; i < OWN_ROUNDS; i++) {
		syscall(SYS_getppid);
	}
	return (now_ns() - begin_ns) / OWN_ROUNDS;
}

/* On this thread, with events like the target's; what they write is thrown away. */
static void measure_own(struct perf_state *state, const struct perf_event *enter,
			const struct perf_event *exit)
{
	const struct perf_event *events[2] = { enter, exit };
	uint64_t alone_ns = time_of_calls();
	struct perf_event_attr attr;
	uint64_t traced_ns = 0;
	uint32_t opened = 0;
	int *fds = calloc((size_t)state->ring_count * 2, sizeof(*fds));

	for (uint32_t i = 0; fds && i < state->ring_count * 2; i++) {
		struct perf_ring *ring = &state->rings[i / 2];

		perf_event_fill(events[i % 2], &attr);
		attr.inherit = 0;
		attr.disabled = 0;
		fds[i] = perf_event_open(&attr, 0, ring->cpu);
		if (fds[i] < 0) {
			break;
		}
		opened++;
		if (ioctl(fds[i], PERF_EVENT_IOC_SET_OUTPUT, ring->fd) != 0) {
			break;
		}
	}
	if (fds && opened == state->ring_count * 2) {
		traced_ns = time_of_calls();
	}
	for (uint32_t i = 0; i < opened; i++) {
		close(fds[i]);
	}
	free(fds);
	state->call_ns = traced_ns > alone_ns ? traced_ns - alone_ns : 0;
	for (uint32_t i = 0; i < state->ring_count; i++) { /* nobody else writes yet */
		perf_ring_begin(&state->rings[i]);
		while (perf_ring_next(&state->rings[i])) {
		}
	}
}

static int perf_open(struct tracer *tracer, void **ret_state, struct refusal *refusal)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct perf_state *state = calloc(1, sizeof(*state));
	struct perf_event enter, exit;
	int rc;

	if (!state || tasks_init(&state->tasks, tracer->settings.threads) < 0) {
		free(state);
		return refusal_set(refusal, PFC_ENOMEM, "prepare the perf back-end", "out of memory", NULL);
	}
	state->tracer = tracer;
	if (tracer->host->target(tracer->host->ctx, &target) == PFC_OK) {
		state->held_pid = target.held ? target.pids[0] : 0;
		state->group =
			target.cgroup_path && target.cgroup_path[0] ? strdup(target.cgroup_path) : NULL;
	}
	rc = choose_both(&enter, &exit, refusal);
	if (rc == PFC_OK) {
		rc = open_rings(state, refusal);
	}
	if (rc == PFC_OK) {
		measure_own(state, &enter, &exit);
		rc = attach(state, &state->enter, &enter, refusal);
	}
	if (rc == PFC_OK) {
		rc = attach(state, &state->exit, &exit, refusal);
	}
	if (rc != PFC_OK) {
		perf_close(state);
		return rc;
	}
	if (tracer->settings.calls == CALLS_BLOCKED) {
		tracer->settings.calls = CALLS_ALL; /* they are seen anyway */
	}
	*ret_state = state;
	return PFC_OK;
}

/* ---- the window ---- */

static void begin_threads(struct perf_state *state, uint64_t begin_ns)
{
	const struct pfc_host *host = state->tracer->host;
	struct pfc_target target = { .struct_size = sizeof(target) };

	if (host->target(host->ctx, &target) != PFC_OK) {
		return;
	}
	for (uint32_t i = 0; i < target.pid_count; i++) {
		struct perf_id_list threads = { NULL, 0, 0 };

		if (perf_procfs_threads(target.pids[i], &threads) == 0) {
			for (size_t t = 0; t < threads.count; t++) {
				calls_begin(state, target.pids[i], threads.items[t], begin_ns);
			}
		}
		free(threads.items);
	}
}

static int perf_start(void *ctx, uint64_t t0_ns)
{
	struct perf_state *state = ctx;

	state->start_ns = t0_ns;
	perf_attach_enable(
		&state->exit); /* ends without a begin are told apart; begins without an end are not */
	perf_attach_enable(&state->enter);
	begin_threads(state, now_ns());
	return PFC_OK;
}

static int fail(struct perf_state *state, int status)
{
	const struct pfc_host *host = state->tracer->host;

	return host->fail(host->ctx, status, "keep what was traced",
			  status == PFC_ENOMEM ? "out of memory" : "an output could not be written", NULL);
}

static int drain(struct perf_state *state)
{
	uint64_t complete_ns = now_ns() - IN_FLIGHT_NS;
	int rc = stream_drain(state);

	if (rc == PFC_OK) {
		stream_pass(state, complete_ns);
		rc = state->status;
	}
	return rc == PFC_OK ? tracer_tick(state->tracer, complete_ns) : rc;
}

static int perf_run(void *ctx)
{
	struct perf_state *state = ctx;
	const struct pfc_host *host = state->tracer->host;
	struct pollfd *fds = calloc((size_t)state->ring_count + 1, sizeof(*fds));
	int rc = fds ? PFC_OK : PFC_ENOMEM;

	for (uint32_t i = 0; fds && i < state->ring_count; i++) {
		fds[i + 1] = (struct pollfd){ .fd = state->rings[i].fd, .events = POLLIN };
	}
	if (fds) {
		fds[0] = (struct pollfd){ .fd = host->stop_fd(host->ctx), .events = POLLIN };
	}
	while (rc == PFC_OK && !(fds[0].revents & POLLIN)) {
		if (poll(fds, state->ring_count + 1, TICK_MS) < 0 && errno != EINTR) {
			rc = PFC_EIO;
			break;
		}
		(void)folder_follow(host, &state->group);
		(void)perf_attach_renew(&state->enter, state->group);
		(void)perf_attach_renew(&state->exit, state->group);
		rc = drain(state);
	}
	free(fds);
	return rc == PFC_OK ? rc : fail(state, rc);
}

static int perf_stop(void *ctx, uint64_t t1_ns)
{
	struct perf_state *state = ctx;
	uint64_t end_ns = now_ns();
	int rc;

	(void)t1_ns;
	perf_attach_disable(&state->enter);
	perf_attach_disable(&state->exit);
	rc = stream_drain(state);
	if (rc != PFC_OK) {
		return fail(state, rc);
	}
	stream_pass(state, UINT64_MAX);
	calls_end(state, end_ns);
	return state->status == PFC_OK ? PFC_OK : fail(state, state->status);
}

static void count_loss(const struct pfc_host *host, const char *cause, uint64_t count)
{
	if (count) {
		host->loss(host->ctx, "syscalls", cause, count);
	}
}

/* By the kernel's own count (Linux 6.0); 0 where it has none. */
static uint64_t count_lost(const struct perf_attach *attach)
{
	uint64_t events;
	int64_t lost;

	perf_attach_count(attach, &events, &lost);
	return lost > 0 ? (uint64_t)lost : 0;
}

static int perf_finish(void *ctx)
{
	struct perf_state *state = ctx;
	struct tracer *tracer = state->tracer;
	const struct pfc_host *host = tracer->host;

	uint64_t lost = 0;

	for (uint32_t i = 0; i < state->ring_count; i++) {
		state->garbled += state->rings[i].corrupt;
	}
	lost = count_lost(&state->enter) + count_lost(&state->exit);
	state->lost =
		lost > state->lost ? lost : state->lost; /* a ring tells only once there is room again */
	tracer_fact(tracer, "unmatched", (double)state->unmatched);
	tracer_fact(tracer, "unfinished", (double)state->unfinished);
	tracer_fact(tracer, "compat_calls", (double)state->compat);
	tracer_fact(tracer, "own_call_ns", (double)state->call_ns);
	tracer_fact(tracer, "own_ns", (double)(state->call_ns * state->calls));
	tracer_fact(tracer, "observed_pct", 100);
	count_loss(host, "ring_full", state->lost);
	count_loss(host, "garbled", state->garbled);
	count_loss(host, "thread_limit", state->overflow);
	count_loss(host, "untraceable", state->enter.refused);
	return PFC_OK;
}

const struct backend backend_perf = {
	.name = "perf",
	.probe = perf_probe,
	.open = perf_open,
	.start = perf_start,
	.run = perf_run,
	.stop = perf_stop,
	.finish = perf_finish,
	.close = perf_close,
};

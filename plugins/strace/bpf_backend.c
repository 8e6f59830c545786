/* SPDX-License-Identifier: MIT */
/*
 * The BPF back-end: programs in the kernel (bpf/) observe and add up; this tells them what the target is and reads what
 * they send. bpf_load.c loads them, bpf_records.c has the records, bpf_harvest.c the sums.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "lib/bpf/words.h"
#include "bpf_state.h"
#include "lib/folder.h"
#include "programs.skel.h"

#define TICK_MS 50
/* Each takes as many sleepers' stacks as the ring holds. */
#define CLOSE_PASSES 64
/* A record is dated before it is published. */
#define IN_FLIGHT_NS (20 * 1000000ull)

/* ---- what this kernel has ---- */

static int bpf_probe(struct tracer *tracer, struct refusal *refusal)
{
	struct bpf_map_create_opts opts = { .sz = sizeof(opts) };
	const char *why, *hint;
	int fd;

	(void)tracer;
	if (!bpf_words_usable(&why, &hint)) {
		return refusal_set(refusal, PFC_ENOTSUP, "observe by BPF", why,
				   hint ? hint : "set backend = perf or backend = ptrace");
	}
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)sysconf(_SC_PAGESIZE), &opts);
	if (fd < 0) {
		return bpf_refuse(refusal, -fd, "create a BPF map");
	}
	close(fd);
	return PFC_OK;
}

static void bpf_close(void *ctx)
{
	struct bpf_state *state = ctx;

	if (!state) {
		return;
	}
	ring_buffer__free(state->ring);
	if (state->list_fd >= 0) {
		close(state->list_fd);
	}
	if (state->programs) {
		programs__destroy(state->programs);
	}
	free(state->group_path);
	free(state);
}

static int bpf_open(struct tracer *tracer, void **ret_state, struct refusal *refusal)
{
	struct bpf_state *state = calloc(1, sizeof(*state));
	struct pfc_target target = { .struct_size = sizeof(target) };
	int rc;

	if (!state) {
		return bpf_refuse(refusal, ENOMEM, "prepare the BPF back-end");
	}
	state->tracer = tracer;
	state->list_fd = -1;
	if (tracer->host->target(tracer->host->ctx, &target) == PFC_OK) {
		state->is_target_new = target.held != 0;
		state->root_pid = target.pid_count ? target.pids[0] : 0;
		state->group_path =
			target.cgroup_path && target.cgroup_path[0] ? strdup(target.cgroup_path) : NULL;
	}
	rc = bpf_load(state, refusal);
	if (rc != PFC_OK) {
		bpf_close(state);
		return rc;
	}
	*ret_state = state;
	return PFC_OK;
}

/* ---- the window ---- */

static void track_pid(struct bpf_state *state, int32_t pid)
{
	if (pid > 0 && (uint32_t)pid < state->tgid_limit) {
		__atomic_fetch_or(&state->tracked[pid / 64], 1ull << (pid % 64), __ATOMIC_RELAXED);
	}
}

/* Run an iterator: what it writes is nothing. */
static void run_iterator(int fd)
{
	char byte;

	while (read(fd, &byte, sizeof(byte)) < 0 && errno == EINTR) {
	}
}

/* A launched target is still profcore's own code: its calls do not count before its exec. */
static void hold_root(struct bpf_state *state)
{
	uint32_t mask = state->slot_count - 1;

	for (uint32_t i = 0; state->is_target_new && i < PROBES; i++) {
		uint32_t at = ((uint32_t)state->root_pid + i) & mask;
		struct slot slot;

		if (state->slots[at].tid == (uint32_t)state->root_pid &&
		    bpf_map_lookup_elem(bpf_map__fd(state->programs->maps.slots), &at, &slot) == 0) {
			slot.is_held = 1;
			bpf_map_update_elem(bpf_map__fd(state->programs->maps.slots), &at, &slot, 0);
			return;
		}
	}
}

static int bpf_start(void *ctx, uint64_t t0_ns)
{
	struct bpf_state *state = ctx;
	const struct pfc_host *host = state->tracer->host;
	struct pfc_target target = { .struct_size = sizeof(target) };

	if (host->target(host->ctx, &target) == PFC_OK) {
		for (uint32_t i = 0; i < target.pid_count; i++) {
			track_pid(state, target.pids[i]);
		}
	}
	state->from_ns = t0_ns;
	state->programs->bss->from_ns = t0_ns;
	state->programs->bss->is_on = 1;
	run_iterator(state->list_fd);
	hold_root(state);
	return PFC_OK;
}

/* The target's container was started again: another group, in the same folder or, made anew, in another one as deep. */
static void renew_group(struct bpf_state *state)
{
	const struct pfc_host *host = state->tracer->host;
	uint64_t inode;
	uint32_t level;
	struct stat st;

	(void)folder_follow(host, &state->group_path);
	if (!state->group_path || stat(state->group_path, &st) != 0 || st.st_ino == state->group_inode) {
		return;
	}
	state->group_inode = st.st_ino;
	state->programs->bss->group_id = st.st_ino;
	if (bpf_look_at_group(state->group_path, &level, &inode) == 0 && level != state->group_level) {
		host->log(host->ctx, PFC_LOG_WARNING,
			  "the target's control group lies at another depth than before, continuing without "
			  "it");
	}
}

static uint64_t counter_sum(const struct bpf_state *state, uint32_t which)
{
	uint64_t values[1024];
	uint64_t sum = 0;

	if (state->cpu_count > 1024 ||
	    bpf_map_lookup_elem(bpf_map__fd(state->programs->maps.counters), &which, values) != 0) {
		return 0;
	}
	for (uint32_t i = 0; i < state->cpu_count; i++) {
		sum += values[i];
	}
	return sum;
}

static int drain(struct bpf_state *state)
{
	const struct pfc_host *host = state->tracer->host;
	uint64_t now = host->now(host->ctx);

	ring_buffer__consume(state->ring);
	renew_group(state);
	host->metric(host->ctx, "waits", (double)counter_sum(state, COUNT_WAITS));
	host->metric(host->ctx, "lost",
		     (double)(counter_sum(state, COUNT_RING_STACKS) + counter_sum(state, COUNT_RING_CALLS) +
			      counter_sum(state, COUNT_RING_BOOKS)));
	if (state->failed == 0) {
		state->failed = bpf_uses_retire(state, now);
	}
	if (state->failed == 0) {
		state->failed = tracer_tick(state->tracer, now - IN_FLIGHT_NS);
	}
	return state->failed;
}

static int bpf_run(void *ctx)
{
	struct bpf_state *state = ctx;
	const struct pfc_host *host = state->tracer->host;
	struct pollfd polls[2] = {
		{ .fd = host->stop_fd(host->ctx), .events = POLLIN },
		{ .fd = ring_buffer__epoll_fd(state->ring), .events = POLLIN },
	};
	int rc = PFC_OK;

	while (rc == PFC_OK && polls[0].revents == 0) {
		if (poll(polls, 2, TICK_MS) < 0 && errno != EINTR) {
			return host->fail(host->ctx, PFC_EIO, "wait for the BPF programs", strerror(errno),
					  NULL);
		}
		rc = drain(state);
	}
	return rc == PFC_OK ? rc
			    : host->fail(host->ctx, rc, "keep what the BPF programs saw",
					 "the host refused it", NULL);
}

static int bpf_stop(void *ctx, uint64_t t1_ns)
{
	struct bpf_state *state = ctx;

	state->t1_ns = t1_ns;
	state->programs->bss->is_on = 0;
	state->end_ns = state->tracer->host->now(state->tracer->host->ctx);
	return PFC_OK;
}

/* The programs are off; those that run end within microseconds, and the next lines take longer. */
static int bpf_finish(void *ctx)
{
	struct bpf_state *state = ctx;
	const struct pfc_host *host = state->tracer->host;
	int rc = PFC_OK;

	usleep(2000);
	state->programs->bss->until_ns = state->end_ns;
	for (unsigned i = 0; i < CLOSE_PASSES && rc == PFC_OK; i++) {
		int fd = bpf_iter_create(bpf_link__fd(state->programs->links.close_books));

		state->programs->bss->sleepers_left = 0;
		if (fd < 0) {
			break;
		}
		run_iterator(fd);
		close(fd);
		rc = drain(state);
		if (state->programs->bss->sleepers_left == 0) {
			break;
		}
	}
	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "keep what the BPF programs saw", "the host refused it",
				  NULL);
	}
	return bpf_harvest(state);
}

const struct backend backend_bpf = {
	.name = "bpf",
	.probe = bpf_probe,
	.open = bpf_open,
	.start = bpf_start,
	.run = bpf_run,
	.stop = bpf_stop,
	.finish = bpf_finish,
	.close = bpf_close,
};

/* SPDX-License-Identifier: MIT */
/*
 * The BPF back-end: programs in the kernel (bpf/) observe and add up; this loads them, tells them what the target is, and reads
 * what they send. bpf_records.c has the records, bpf_harvest.c the sums.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "bpf_state.h"
#include "programs.skel.h"

#define TICK_MS 50
/* Each takes as many sleepers' stacks as the ring holds. */
#define CLOSE_PASSES 64
/* A record is dated before it is published. */
#define IN_FLIGHT_NS (20 * 1000000ull)
#define CELL_BUDGET  (192u << 20) /* bytes over all CPUs */
#define CELLS_MAX    4096u
#define CELLS_MIN    (KEY_COUNT + 512u)
/* The inode of the first pid namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h). */
#define FIRST_PID_NAMESPACE 4026531836ul

/* libbpf's last complaint, for the reason: it knows more than the error number. Of this process, which belongs to the stage. */
static char last_words[160];

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && last_words[0] == '\0') {
		vsnprintf(last_words, sizeof(last_words), format, args);
		last_words[strcspn(last_words, "\n")] = '\0';
	}
	return 0;
}

static int refuse(struct refusal *refusal, int error, const char *what)
{
	char why[sizeof(refusal->why)];
	bool is_permission = error == EPERM || error == EACCES;

	snprintf(why, sizeof(why), "%s%s%s%s", strerror(error), last_words[0] ? ": " : "", last_words,
		 is_permission
			 ? " (BPF needs CAP_BPF and CAP_PERFMON, and lockdown=confidentiality forbids it)"
			 : "");
	return refusal_set(refusal,
			   is_permission     ? PFC_EPERM
			   : error == ENOMEM ? PFC_ENOMEM
					     : PFC_ENOTSUP,
			   what, why,
			   is_permission ? "run as root, or set backend = ptrace"
					 : "set backend = perf or backend = ptrace");
}

/* ---- what this kernel has ---- */

static bool has_function(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

/* Parameters of a tracepoint, the context before them included; 0: not there. */
static unsigned tracepoint_parameters(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	while (type && (btf_is_typedef(type) || btf_is_ptr(type))) {
		type = btf__type_by_id(btf, type->type);
	}
	return type && btf_is_func_proto(type) ? btf_vlen(type) : 0;
}

static int bpf_probe(struct tracer *tracer, struct refusal *refusal)
{
	struct bpf_map_create_opts opts = { .sz = sizeof(opts) };
	struct stat st;
	int fd;

	(void)tracer;
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
		return refusal_set(refusal, PFC_ENOTSUP, "read the kernel's types",
				   "this kernel has no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)",
				   "set backend = perf or backend = ptrace");
	}
	if (stat("/proc/self/ns/pid", &st) != 0 || st.st_ino != FIRST_PID_NAMESPACE) {
		return refusal_set(
			refusal, PFC_ENOTSUP, "tell processes apart by BPF",
			"profcore runs in a pid namespace of its own and knows other ids than the kernel",
			"run profcore on the host (docker run --pid=host), or set backend = ptrace");
	}
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, (uint32_t)sysconf(_SC_PAGESIZE), &opts);
	if (fd < 0) {
		return refuse(refusal, -fd, "create a BPF map");
	}
	close(fd);
	return PFC_OK;
}

/* ---- loading ---- */

static uint32_t power_of_two(uint32_t value)
{
	uint32_t power = 1;

	while (power < value && power < 1u << 31) {
		power *= 2;
	}
	return power;
}

static uint32_t read_pid_max(void)
{
	FILE *from = fopen("/proc/sys/kernel/pid_max", "re");
	unsigned value = 4194304;

	if (from) {
		if (fscanf(from, "%u", &value) != 1 || value > 4194304) {
			value = 4194304;
		}
		fclose(from);
	}
	return value;
}

/* How deep a folder lies below its mount's root, and its inode, which is the id of a control group. */
static int look_at_group(const char *path, uint32_t *ret_level, uint64_t *ret_inode)
{
	char at[4096];
	struct stat here, above;
	uint32_t level = 0;

	if (snprintf(at, sizeof(at) - 3, "%s", path) >= (int)sizeof(at) - 3 || stat(at, &here) != 0) {
		return -ENOENT;
	}
	*ret_inode = here.st_ino;
	while (strlen(at) + 3 < sizeof(at)) {
		strcat(at, "/..");
		if (stat(at, &above) != 0 || above.st_dev != here.st_dev || above.st_ino == here.st_ino) {
			break;
		}
		here = above;
		level++;
	}
	*ret_level = level;
	return 0;
}

static void set_constants(struct bpf_state *state, const struct btf *btf)
{
	const struct settings *settings = &state->tracer->settings;
	struct programs *programs = state->programs;

	programs->rodata->slot_mask = state->slot_count - 1;
	programs->rodata->cell_limit = state->cell_limit;
	programs->rodata->min_wait_ns = settings->min_wait_ns;
	programs->rodata->slow_ns = settings->slow_ns;
	programs->rodata->stack_bytes = settings->stack_bytes / 8 * 8;
	programs->rodata->stack_gap_ns = 1000000000ull / settings->stack_rate;
	programs->rodata->with_calls = settings->calls == CALLS_ALL;
	programs->rodata->with_stacks = state->tracer->session != NULL;
	programs->rodata->with_prev_state = tracepoint_parameters(btf, "btf_trace_sched_switch") >= 5;
	state->has_task_work = has_function(btf, "bpf_task_work_schedule_resume_impl") &&
			       has_function(btf, "bpf_copy_from_user_dynptr");
	state->has_task_work = state->has_task_work && !settings->stacks_at_switch;
	programs->rodata->with_task_work = state->has_task_work;
	programs->rodata->with_group = state->group_path != NULL;
}

static void set_sizes(struct bpf_state *state)
{
	struct programs *programs = state->programs;

	bpf_map__set_max_entries(programs->maps.slots, state->slot_count);
	bpf_map__set_max_entries(programs->maps.tracked, state->tgid_limit / 64 + 1);
	bpf_map__set_max_entries(programs->maps.cells, state->cell_limit);
	if (state->has_task_work || !state->tracer->session) {
		bpf_map__set_max_entries(programs->maps.stashes, 1);
	}
	bpf_map__set_max_entries(programs->maps.ring, power_of_two(state->tracer->settings.ring_bytes));
	if (state->tracer->settings.calls != CALLS_ALL) {
		bpf_program__set_autoload(programs->progs.on_sys_enter, false);
		bpf_program__set_autoload(programs->progs.on_sys_exit, false);
	}
}

static int open_programs(struct bpf_state *state, struct refusal *refusal)
{
	struct btf *btf = btf__load_vmlinux_btf();
	uint32_t level = 0;
	int rc;

	if (!btf) {
		return refuse(refusal, errno, "read the kernel's types");
	}
	state->programs = programs__open();
	if (!state->programs) {
		btf__free(btf);
		return refuse(refusal, errno, "open the BPF programs");
	}
	set_constants(state, btf);
	set_sizes(state);
	btf__free(btf);
	if (state->group_path && look_at_group(state->group_path, &level, &state->group_inode) == 0) {
		state->programs->rodata->group_level = level;
		state->programs->bss->group_id = state->group_inode;
	}
	state->programs->bss->cells_used = KEY_COUNT;
	state->programs->bss->groups_used = 1;
	rc = programs__load(state->programs);
	if (rc != 0) {
		return refuse(refusal, -rc, "load the BPF programs");
	}
	return PFC_OK;
}

/* A mapped array of the kernel's; its entries lie at multiples of 8 bytes. */
static void *map_array(const struct bpf_map *map, size_t entry_bytes, size_t count, bool writable)
{
	size_t bytes = (entry_bytes + 7) / 8 * 8 * count;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, (bytes + page - 1) / page * page, writable ? PROT_READ | PROT_WRITE : PROT_READ,
			MAP_SHARED, bpf_map__fd(map), 0);

	return at == MAP_FAILED ? NULL : at;
}

static int on_record(void *ctx, void *data, size_t bytes)
{
	struct bpf_state *state = ctx;

	if (state->failed == 0) {
		state->failed = bpf_take_record(state, data, bytes);
	}
	return 0;
}

static int open_maps(struct bpf_state *state, struct refusal *refusal)
{
	struct programs *programs = state->programs;

	state->slots = map_array(programs->maps.slots, sizeof(struct slot), state->slot_count, false);
	state->groups = map_array(programs->maps.groups, sizeof(struct group), GROUP_COUNT, true);
	state->tracked =
		map_array(programs->maps.tracked, sizeof(uint64_t), state->tgid_limit / 64 + 1, true);
	state->ring = ring_buffer__new(bpf_map__fd(programs->maps.ring), on_record, state, NULL);
	if (!state->slots || !state->groups || !state->tracked || !state->ring) {
		return refuse(refusal, errno, "map the BPF programs' tables");
	}
	return PFC_OK;
}

static int attach(struct bpf_state *state, struct refusal *refusal)
{
	int rc = programs__attach(state->programs);

	if (rc != 0) {
		return refuse(refusal, -rc, "attach the BPF programs");
	}
	state->list_fd = bpf_iter_create(bpf_link__fd(state->programs->links.list_threads));
	if (state->list_fd < 0) {
		return refuse(refusal, errno, "open the BPF programs that list threads");
	}
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
	int cpus = libbpf_num_possible_cpus();
	int rc;

	if (!state) {
		return refuse(refusal, ENOMEM, "prepare the BPF back-end");
	}
	libbpf_set_print(keep_words);
	state->tracer = tracer;
	state->list_fd = -1;
	state->cpu_count = cpus > 0 ? (uint32_t)cpus : 1;
	state->tgid_limit = read_pid_max();
	state->slot_count = power_of_two(tracer->settings.threads);
	state->cell_limit = CELL_BUDGET / (state->cpu_count * (uint32_t)sizeof(struct bpf_cell));
	state->cell_limit = state->cell_limit > CELLS_MAX   ? CELLS_MAX
			    : state->cell_limit < CELLS_MIN ? CELLS_MIN
							    : state->cell_limit;
	if (tracer->host->target(tracer->host->ctx, &target) == PFC_OK) {
		state->is_target_new = target.held != 0;
		state->root_pid = target.pid_count ? target.pids[0] : 0;
		state->group_path =
			target.cgroup_path && target.cgroup_path[0] ? strdup(target.cgroup_path) : NULL;
	}
	rc = open_programs(state, refusal);
	if (rc == PFC_OK) {
		rc = open_maps(state, refusal);
	}
	if (rc == PFC_OK) {
		rc = attach(state, refusal);
	}
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

/* The target's container was started again: the same folder, another group. */
static void renew_group(struct bpf_state *state)
{
	struct stat st;

	if (state->group_path && stat(state->group_path, &st) == 0 && st.st_ino != state->group_inode) {
		state->group_inode = st.st_ino;
		state->programs->bss->group_id = st.st_ino;
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

	(void)t1_ns;
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

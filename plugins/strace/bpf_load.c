/* SPDX-License-Identifier: MIT */
/* Loading the programs: sizes, constants and what this kernel has; then everything is in place and switched off. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/bpf/words.h"
#include "bpf_state.h"
#include "names.h"
#include "programs.skel.h"

#define CELL_BUDGET (192u << 20) /* bytes over all CPUs */
#define CELLS_MAX   4096u
#define CELLS_MIN   (KEY_COUNT + 512u)

int bpf_refuse(struct refusal *refusal, int error, const char *what)
{
	char why[sizeof(refusal->why)];

	bpf_words_why(error, why, sizeof(why));
	return refusal_set(refusal, bpf_words_status(error), what, why,
			   bpf_words_status(error) == PFC_EPERM ? "run as root, or set backend = ptrace"
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

int bpf_look_at_group(const char *path, uint32_t *ret_level, uint64_t *ret_inode)
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
	programs->rodata->with_stacks = state->tracer->sessions[STACKS_OFF_CPU] != NULL;
	state->has_uring = tracepoint_parameters(btf, "btf_trace_io_uring_submit_req") == 2;
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
	if (state->has_task_work || !state->tracer->sessions[STACKS_OFF_CPU]) {
		bpf_map__set_max_entries(programs->maps.stashes, 1);
	}
	bpf_map__set_max_entries(programs->maps.ring, power_of_two(state->tracer->settings.ring_bytes));
	if (state->tracer->settings.calls != CALLS_ALL) {
		bpf_program__set_autoload(programs->progs.on_sys_enter, false);
		bpf_program__set_autoload(programs->progs.on_sys_exit, false);
		bpf_map__set_max_entries(programs->maps.uses, 1);
	}
	if (!state->has_uring) {
		bpf_program__set_autoload(programs->progs.on_uring_submit, false);
	}
}

static int open_programs(struct bpf_state *state, struct refusal *refusal)
{
	struct btf *btf = btf__load_vmlinux_btf();
	uint32_t level = 0;
	int rc;

	if (!btf) {
		return bpf_refuse(refusal, errno, "read the kernel's types");
	}
	state->programs = programs__open();
	if (!state->programs) {
		btf__free(btf);
		return bpf_refuse(refusal, errno, "open the BPF programs");
	}
	set_constants(state, btf);
	set_sizes(state);
	btf__free(btf);
	bpf_words_skip_modules(state->programs->progs.on_sys_enter);
	if (state->group_path && bpf_look_at_group(state->group_path, &level, &state->group_inode) == 0) {
		state->programs->rodata->group_level = state->group_level = level;
		state->programs->bss->group_id = state->group_inode;
	}
	state->programs->bss->cells_used = KEY_COUNT;
	state->programs->bss->groups_used = 1;
	rc = programs__load(state->programs);
	if (rc != 0) {
		return bpf_refuse(refusal, -rc, "load the BPF programs");
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
		return bpf_refuse(refusal, errno, "map the BPF programs' tables");
	}
	if (state->tracer->settings.calls == CALLS_ALL) {
		bpf_set_infos(state);
	}
	return PFC_OK;
}

static int attach(struct bpf_state *state, struct refusal *refusal)
{
	int rc = programs__attach(state->programs);

	if (rc != 0) {
		return bpf_refuse(refusal, -rc, "attach the BPF programs");
	}
	state->list_fd = bpf_iter_create(bpf_link__fd(state->programs->links.list_threads));
	if (state->list_fd < 0) {
		return bpf_refuse(refusal, errno, "open the BPF programs that list threads");
	}
	return PFC_OK;
}

int bpf_load(struct bpf_state *state, struct refusal *refusal)
{
	int cpus = libbpf_num_possible_cpus();
	int rc;

	bpf_words_keep();
	state->cpu_count = cpus > 0 ? (uint32_t)cpus : 1;
	state->tgid_limit = read_pid_max();
	state->slot_count = power_of_two(state->tracer->settings.threads);
	state->cell_limit = CELL_BUDGET / (state->cpu_count * (uint32_t)sizeof(struct bpf_cell));
	state->cell_limit = state->cell_limit > CELLS_MAX   ? CELLS_MAX
			    : state->cell_limit < CELLS_MIN ? CELLS_MIN
							    : state->cell_limit;
	rc = open_programs(state, refusal);
	if (rc == PFC_OK) {
		rc = open_maps(state, refusal);
	}
	return rc == PFC_OK ? attach(state, refusal) : rc;
}

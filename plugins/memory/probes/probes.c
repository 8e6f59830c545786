/* SPDX-License-Identifier: MIT */
#include "probes.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <math.h>
#include <profcore/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "events.h"
#include "heap_probes.skel.h"
#include "lib/bpf/words.h"

#define CPUS_MAX 1024

/* linux/bpf.h of newer kernels; Debian 12's does not have them. */
#define TRACE_UPROBE_MULTI   ((enum bpf_attach_type)48)
#define TRACE_UPROBE_SESSION ((enum bpf_attach_type)57)
#define MULTI_RETURN         1U

struct link_create_uprobes {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t count, multi_flags, pid, reserved;
};

/* ---- loading ---- */

static bool has_enumerator(const struct btf *btf, const char *name)
{
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);

		for (uint32_t i = 0; btf_is_enum(type) && i < btf_vlen(type); i++) {
			if (strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), name) == 0) {
				return true;
			}
		}
	}
	return false;
}

static enum probes_by find_way(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	enum probes_by by = PROBES_EVENTS;

	if (btf && has_enumerator(btf, "BPF_TRACE_UPROBE_MULTI")) {
		by = PROBES_MULTI;
	}
	if (btf && has_enumerator(btf, "BPF_TRACE_UPROBE_SESSION") &&
	    btf__find_by_name_kind(btf, "bpf_session_is_return", BTF_KIND_FUNC) > 0) {
		by = PROBES_SESSION;
	}
	btf__free(btf);
	return by;
}

static void set_constants(struct heap_probes *skeleton, uint64_t period_bytes)
{
	skeleton->rodata->period_ln2 = (uint64_t)((double)period_bytes * log(2) + 0.5) + 1;
	for (uint32_t i = 0; i <= 256; i++) {
		skeleton->rodata->log2_table[i] = (uint32_t)(log2(1 + i / 256.0) * (1 << 20) + 0.5);
	}
}

static int on_record(void *ctx, void *data, size_t bytes)
{
	struct probes *probes = ctx;
	const struct probe_record *record = data;

	if (bytes >= sizeof(*record) && record->stack_bytes <= bytes - sizeof(*record) && probes->record) {
		probes->record(probes->ctx, record, record + 1);
	}
	return 0;
}

static int load_programs(struct probes *probes, const struct probes_wish *wish)
{
	struct heap_probes *skeleton = probes->skeleton;

	set_constants(skeleton, wish->period_bytes);
	probes->by = find_way();
	probes->by = wish->by > probes->by ? wish->by : probes->by;
	bpf_program__set_autoload(skeleton->progs.on_session, probes->by == PROBES_SESSION);
	bpf_program__set_autoload(skeleton->progs.on_enter, probes->by != PROBES_SESSION);
	bpf_program__set_autoload(skeleton->progs.on_leave, probes->by != PROBES_SESSION);
	if (probes->by == PROBES_SESSION) {
		bpf_program__set_expected_attach_type(skeleton->progs.on_session, TRACE_UPROBE_SESSION);
	} else if (probes->by == PROBES_MULTI) {
		bpf_program__set_expected_attach_type(skeleton->progs.on_enter, TRACE_UPROBE_MULTI);
		bpf_program__set_expected_attach_type(skeleton->progs.on_leave, TRACE_UPROBE_MULTI);
	}
	bpf_words_skip_modules(skeleton->progs.on_enter);
	return heap_probes__load(skeleton);
}

int32_t probes_load(struct probes *probes, const struct probes_wish *wish, char *why, size_t why_bytes)
{
	int cpus = libbpf_num_possible_cpus();
	int rc = 0;

	bpf_words_keep();
	probes->cpus = cpus > 0 && cpus <= CPUS_MAX ? (uint32_t)cpus : 1;
	probes->skeleton = heap_probes__open();
	rc = probes->skeleton ? load_programs(probes, wish) : -errno;
	if (rc == 0) {
		probes->ring =
			ring_buffer__new(bpf_map__fd(probes->skeleton->maps.ring), on_record, probes, NULL);
		rc = probes->ring ? 0 : -errno;
	}
	if (rc == 0) {
		return PFC_OK;
	}
	bpf_words_why(-rc, why, why_bytes);
	probes_unload(probes);
	return bpf_words_status(-rc);
}

void probes_unload(struct probes *probes)
{
	ring_buffer__free(probes->ring);
	heap_probes__destroy(probes->skeleton);
	probes->ring = NULL;
	probes->skeleton = NULL;
}

uint32_t probes_function(struct probes *probes, const struct probe_function *function)
{
	uint32_t number = probes->functions;

	if (number == PROBE_FUNCTIONS || bpf_map_update_elem(bpf_map__fd(probes->skeleton->maps.functions),
							     &number, function, BPF_ANY) != 0) {
		return UINT32_MAX;
	}
	probes->functions++;
	return number;
}

/* ---- attaching ---- */

struct attachment {
	const struct bpf_program *program;
	enum bpf_attach_type type;
	uint32_t flags;
	const char *path;
	int32_t pid;
};

/* All functions at once. Returns a link's descriptor. */
static int attach_multi(const struct attachment *to, const struct probe_point *points, uint32_t count)
{
	uint64_t offsets[PROBE_POINTS], cookies[PROBE_POINTS];
	struct link_create_uprobes attr = { .prog_fd = (uint32_t)bpf_program__fd(to->program),
					    .attach_type = to->type,
					    .path = (uint64_t)(uintptr_t)to->path,
					    .offsets = (uint64_t)(uintptr_t)offsets,
					    .cookies = (uint64_t)(uintptr_t)cookies,
					    .multi_flags = to->flags,
					    .pid = (uint32_t)to->pid };
	int fd;

	for (uint32_t i = 0; i < count && i < PROBE_POINTS; i++) {
		if (to->flags != MULTI_RETURN || points[i].wants_return) {
			offsets[attr.count] = points[i].file_offset;
			cookies[attr.count++] = points[i].number;
		}
	}
	if (attr.count == 0) {
		return -1;
	}
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

/* Returns first, so that no entry waits for a return that is not seen. */
static int attach_both(struct probes *probes, const char *path, int32_t pid, const struct probe_point *points,
		       uint32_t count, int ret_fds[2])
{
	const struct attachment leave = { probes->skeleton->progs.on_leave, TRACE_UPROBE_MULTI, MULTI_RETURN,
					  path, pid };
	const struct attachment enter = { probes->skeleton->progs.on_enter, TRACE_UPROBE_MULTI, 0, path,
					  pid };

	ret_fds[1] = attach_multi(&leave, points, count);
	if (ret_fds[1] < -1) {
		return ret_fds[1];
	}
	ret_fds[0] = attach_multi(&enter, points, count);
	return ret_fds[0] < 0 ? ret_fds[0] : 0;
}

int probes_attach(struct probes *probes, int fd, int32_t pid, const struct probe_point *points,
		  uint32_t count, struct probe_link *ret)
{
	struct probe_link link = { .fds = { -1, -1 } };
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (probes->by == PROBES_SESSION) {
		const struct attachment session = { probes->skeleton->progs.on_session, TRACE_UPROBE_SESSION,
						    0, path, pid };

		link.fds[0] = attach_multi(&session, points, count);
		rc = link.fds[0] < 0 ? link.fds[0] : 0;
	} else if (probes->by == PROBES_MULTI) {
		rc = attach_both(probes, path, pid, points, count, link.fds);
	} else {
		rc = probes_attach_events(probes, path, pid, points, count, &link);
	}
	if (rc < 0) {
		probes_detach(&link);
		return rc;
	}
	*ret = link;
	return 0;
}

void probes_detach(struct probe_link *link)
{
	for (int i = 0; i < 2; i++) {
		if (link->fds[i] >= 0) {
			close(link->fds[i]);
		}
	}
	for (uint32_t i = 0; i < link->count; i++) {
		bpf_link__destroy(link->links[i]);
	}
	free(link->links);
	*link = (struct probe_link){ .fds = { -1, -1 } };
}

/* ---- what they saw ---- */

uint64_t probes_counter(const struct probes *probes, enum probe_counter counter)
{
	uint64_t values[CPUS_MAX], sum = 0;
	uint32_t key = counter;

	if (bpf_map_lookup_elem(bpf_map__fd(probes->skeleton->maps.counters), &key, values) != 0) {
		return 0;
	}
	for (uint32_t i = 0; i < probes->cpus; i++) {
		sum += values[i];
	}
	return sum;
}

void probes_only_count(struct probes *probes, bool only)
{
	probes->skeleton->bss->is_counting = only;
}

void probes_forget(struct probes *probes)
{
	int fd = bpf_map__fd(probes->skeleton->maps.live_objects);
	uint64_t key[2];

	probes->skeleton->data->epoch++;
	while (bpf_map_get_next_key(fd, NULL, key) == 0 && bpf_map_delete_elem(fd, key) == 0) {
	}
}

void probes_drain(struct probes *probes)
{
	ring_buffer__consume(probes->ring);
}

int probes_fd(const struct probes *probes)
{
	return ring_buffer__epoll_fd(probes->ring);
}

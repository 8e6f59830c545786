/* SPDX-License-Identifier: MIT */
/* The BPF back-end's own: what its files share. */
#ifndef STRACE_BPF_STATE_OF_BACKEND_H
#define STRACE_BPF_STATE_OF_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/shared.h"
#include "fds.h"
#include "tracer.h"

struct programs; /* the skeleton that bpftool makes */
struct ring_buffer;

struct bpf_state {
	struct tracer *tracer;
	struct programs *programs;
	struct ring_buffer *ring;
	const struct slot *slots; /* mapped */
	struct group *groups;
	const uint32_t *cell_of;
	uint64_t *tracked;
	uint32_t slot_count;
	uint32_t tgid_limit;
	uint32_t cell_limit;
	uint32_t cpu_count;
	int list_fd; /* iterators, opened and not yet read */
	int close_fd;
	char *group_path; /* folder of the target's control group; NULL */
	uint64_t group_inode;
	uint32_t group_level; /* how deep it lies: a constant of the programs */
	bool has_task_work;
	bool has_uring;     /* requests of io_uring are counted */
	bool is_target_new; /* it is launched, and held until T0 */
	int32_t root_pid;
	uint64_t from_ns;
	uint64_t t1_ns;
	uint64_t end_ns;
	uint64_t records;
	uint64_t uses_retired; /* entries of files and locks that were moved into the account already */
	uint64_t retire_ns;    /* when that may be done next */
	uint64_t ports[FDS_PORTS_WORDS]; /* listened on in the network of ports_pid, at ports_ns */
	uint64_t ports_ns;
	int32_t ports_pid;
	int failed;            /* what tracer_... returned in a callback of the ring */
};

/** Load and attach the programs, switched off. Returns 0 or refusal->status. */
int bpf_load(struct bpf_state *state, struct refusal *refusal);

/** How deep a folder lies below its mount's root, and its inode, which is the id of a control group. Returns 0 or -ENOENT. */
int bpf_look_at_group(const char *path, uint32_t *ret_level, uint64_t *ret_inode);

/** Tell the programs what each call is to be looked at for. */
void bpf_set_infos(struct bpf_state *state);

/** Fill a refusal from an error number and what libbpf said. Returns its status. */
int bpf_refuse(struct refusal *refusal, int error, const char *what);

/** One record of the ring. Returns 0, or a status after which the drain stops. */
int bpf_take_record(struct bpf_state *state, const void *data, size_t bytes);

/** The number and ABI of a key; NR_UNKNOWN beyond the known ones. */
void bpf_key(uint32_t key, uint32_t *ret_abi, int32_t *ret_nr);

/** The name of what a call worked on; false: it has none. */
bool bpf_use_name(struct bpf_state *state, const struct use_key *key, char *to, size_t to_bytes);

/** Move entries of files and locks into the account: those that were idle for long when room grows short, or all. */
int bpf_uses_retire(struct bpf_state *state, uint64_t now_ns);
int bpf_uses_harvest(struct bpf_state *state);

/** At the end: the books of threads that live, the cells, the counters. Returns 0 or a status after host->fail. */
int bpf_harvest(struct bpf_state *state);

/** Move a slot's book into the account. */
int bpf_keep_book(struct bpf_state *state, const struct slot *slot, uint64_t end_ns, bool ended);

#endif

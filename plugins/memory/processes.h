/* SPDX-License-Identifier: MIT */
/*
 * The target's processes and the descriptors of their /proc files, kept open: a read then costs no look-up, and no other
 * process that gets the same pid is ever read by mistake. Which processes there are comes from the core's tracker.
 */
#ifndef MEMORY_PROCESSES_H
#define MEMORY_PROCESSES_H

#include <profcore/ext/draft/target.h>
#include <profcore/profcore.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "procread.h"

struct process {
	int32_t pid;
	int32_t parent;
	bool is_gone;
	bool is_new; /* born since the last processes_settle */
	bool is_renamed;
	uint64_t born_ns; /* 0: was there before */
	uint64_t gone_ns;
	char name[64];
	int status_fd, stat_fd, rollup_fd; /* -1 when not open */
	uint64_t last_break;               /* that it asked brk for; 0: not seen */
	bool has_sample;
	struct proc_status status; /* as last read */
	struct proc_stat stat;
	struct proc_status first; /* as first read */
	struct proc_stat first_stat;
	struct proc_smaps rollup;
	uint64_t rollup_ns;      /* when it was read; 0: never */
	uint64_t rollup_cost_ns; /* of that read */
};

struct process_watcher;

struct processes {
	const struct process_watcher *watcher; /* NULL: none */
	const struct pfc_host *host;
	const struct pfc_target_service *service; /* NULL: the host has none, the list is asked for */
	struct process *items;
	size_t count, room;
	uint64_t gone_minor, gone_major; /* faults of those that ended, as last seen */
	uint64_t born, ended;
	uint64_t unread; /* ended before they could be read */
	bool is_started; /* those that appear from now on were born in the window */
};

/** Begin with what is there. Returns 0 or what host->fail gave. */
int32_t processes_open(struct processes *processes, const struct pfc_host *host);

/** Take in what the tracker has to tell. Returns 0 or PFC_ENOMEM. */
int32_t processes_follow(struct processes *processes);

/** Readable when processes_follow has something to do; -1: never. */
int processes_fd(const struct processes *processes);

/** Read status and stat. False when it is no more (it is then marked so). */
bool processes_read(struct processes *processes, struct process *process);

/** Read smaps_rollup, which stalls the process's own mmap calls and page faults meanwhile. */
bool processes_read_rollup(struct processes *processes, struct process *process, uint64_t now_ns);

/** Read smaps by kind. */
bool processes_read_kinds(const struct process *process, struct proc_kinds *ret);

/** Forget those that ended, once their end was written. */
void processes_forget_gone(struct processes *processes);

struct process *processes_find(struct processes *processes, int32_t pid);

void processes_close(struct processes *processes);

#endif

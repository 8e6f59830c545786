/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files.h"

#define PROCESSES_MAX 65536U
#define YOUNG_NS      20000000ULL /* a program that just began may be gone before a probe is of use */
#define WORK_NS       10000000ULL

int follow_open(struct follow *follow, const struct pfc_host *host, struct probes *probes)
{
	memset(follow, 0, sizeof(*follow));
	follow->host = host;
	follow->with_frees = true;
	follow->maps_end = &follow->maps;
	follow->probes = probes;
	follow->target = host->extension(host->ctx, PFC_EXT_TARGET);
	follow->files = calloc(FILES_MAX, sizeof(*follow->files));
	return follow->files && follow->target ? 0 : -1;
}

/* ---- processes ---- */

static struct followed_process *find_process(struct follow *follow, int32_t pid)
{
	for (size_t i = follow->process_count; i-- > 0;) {
		if (follow->processes[i].pid == pid && !follow->processes[i].is_gone) {
			return &follow->processes[i];
		}
	}
	return NULL;
}

static struct followed_process *add_process(struct follow *follow, int32_t pid, uint64_t time_ns)
{
	struct followed_process *process = find_process(follow, pid);

	if (process) {
		return process;
	}
	if (follow->process_count == follow->process_room) {
		size_t room = follow->process_room ? 2 * follow->process_room : 16;
		struct followed_process *grown =
			room <= PROCESSES_MAX ? realloc(follow->processes, room * sizeof(*grown)) : NULL;

		if (!grown) {
			return NULL;
		}
		follow->processes = grown;
		follow->process_room = room;
	}
	process = &follow->processes[follow->process_count++];
	memset(process, 0, sizeof(*process));
	process->pid = pid;
	process->since_ns = follow->is_started ? time_ns : 0;
	return process;
}

static void attach_one(struct follow *follow, struct followed_process *process, uint32_t i)
{
	const struct followed_file *file = &follow->files[process->files[i]];
	uint32_t count;
	int rc;

	if (process->is_attached[i] || process->is_gone) {
		return;
	}
	count = file->count - (follow->with_frees ? 0 : file->count_frees);
	rc = count ? probes_attach(follow->probes, file->fd, process->pid, file->points, count,
				   &process->links[i])
		   : -ESRCH;
	if (rc == 0) {
		process->is_attached[i] = true;
		follow->attached++;
	} else if (rc != -ESRCH) {
		follow->refused++;
		follow->refused_error = -rc;
	}
}

static void detach_process(struct followed_process *process)
{
	for (uint32_t i = 0; i < process->file_count; i++) {
		if (process->is_attached[i]) {
			probes_detach(&process->links[i]);
			process->is_attached[i] = false;
		}
	}
}

static void add_file(struct follow *follow, struct followed_process *process, uint32_t number)
{
	if (number == UINT32_MAX || follow->files[number].count == 0 ||
	    process->file_count == FILES_A_PROCESS) {
		return;
	}
	for (uint32_t i = 0; i < process->file_count; i++) {
		if (process->files[i] == number) {
			return;
		}
	}
	process->files[process->file_count++] = number;
}

static void note_blind(struct follow *follow, uint32_t number)
{
	const struct followed_file *file = number == UINT32_MAX ? NULL : &follow->files[number];

	if (!file || follow->blind[0] || !file->is_go) {
		return;
	}
	snprintf(follow->blind, sizeof(follow->blind),
		 "%s is a Go program, whose heap is its own and needs no malloc", file->name);
}

/* Its links are let go later: that takes milliseconds. */
static void end_process(struct followed_process *process, uint64_t time_ns)
{
	if (process) {
		process->is_gone = true;
		process->gone_ns = time_ns;
	}
}

static void take_map(struct follow *follow, const struct pfc_target_event *event)
{
	uint32_t number = files_find(follow, event); /* before: it may take long */
	struct followed_process *process =
		follow->is_started ? find_process(follow, event->pid) : add_process(follow, event->pid, 0);

	note_blind(follow, number);
	if (process) {
		add_file(follow, process, number);
	}
}

static void keep_map(struct follow *follow, const struct pfc_target_event *event)
{
	struct followed_map *map = malloc(sizeof(*map) + strlen(event->text) + 1);

	if (!map) {
		return;
	}
	map->next = NULL;
	map->event = *event;
	memcpy(map->text, event->text, strlen(event->text) + 1);
	map->event.text = map->text;
	*follow->maps_end = map;
	follow->maps_end = &map->next;
}

void follow_event(struct follow *follow, const struct pfc_target_event *event)
{
	struct followed_process *process, *parent;
	uint32_t number;

	switch (event->kind) {
	case PFC_TARGET_FORK:
		if (event->pid != event->tid || event->pid == event->ppid) {
			return;
		}
		process = add_process(follow, event->pid, event->time_ns);
		parent = find_process(follow, event->ppid);
		for (uint32_t i = 0; process && parent && i < parent->file_count; i++) {
			add_file(follow, process, parent->files[i]);
		}
		return;
	case PFC_TARGET_EXEC: /* its old memory is gone, with the probes in it */
		end_process(find_process(follow, event->pid), event->time_ns);
		add_process(follow, event->pid, event->time_ns);
		return;
	case PFC_TARGET_EXIT:
		if (event->pid == event->tid) {
			end_process(find_process(follow, event->pid), event->time_ns);
		}
		return;
	case PFC_TARGET_MAP:
		if (event->inode == 0 || !event->text || event->text[0] != '/') {
			return;
		}
		number = files_known(follow, event);
		if (number != UINT32_MAX || !follow->is_started) {
			take_map(follow, event);
		} else {
			keep_map(follow, event);
		}
		return;
	default:
		return;
	}
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static bool is_attached(const struct followed_process *process)
{
	for (uint32_t i = 0; i < process->file_count; i++) {
		if (process->is_attached[i]) {
			return true;
		}
	}
	return false;
}

static void work_on(struct follow *follow, struct followed_process *process, uint64_t now_ns)
{
	if (process->is_gone) {
		follow->too_short += process->file_count && !process->was_attached && !process->is_counted;
		process->is_counted = true;
		detach_process(process);
		return;
	}
	if (process->since_ns + YOUNG_NS > now_ns) {
		return;
	}
	for (uint32_t i = 0; follow->is_on && i < process->file_count; i++) {
		attach_one(follow, process, i);
	}
	process->was_attached |= is_attached(process);
}

void follow_work(struct follow *follow, uint64_t now_ns)
{
	uint64_t until_ns = now_ns + WORK_NS;

	while (follow->maps && clock_ns() < until_ns) {
		struct followed_map *map = follow->maps;

		follow->maps = map->next;
		follow->maps_end = follow->maps ? follow->maps_end : &follow->maps;
		take_map(follow, &map->event);
		free(map);
	}
	for (size_t i = 0; i < follow->process_count && clock_ns() < until_ns; i++) {
		work_on(follow, &follow->processes[i], now_ns);
	}
}

void follow_switch(struct follow *follow, bool on)
{
	follow->is_on = on;
	for (size_t p = 0; p < follow->process_count; p++) {
		struct followed_process *process = &follow->processes[p];

		if (!on) {
			detach_process(process);
		}
		for (uint32_t i = 0; on && i < process->file_count; i++) {
			attach_one(follow, process, i);
			process->was_attached = true;
		}
	}
}

uint32_t follow_points(const struct follow *follow)
{
	uint32_t points = 0;

	for (uint32_t i = 0; i < follow->file_count; i++) {
		points += follow->files[i].count;
	}
	return points;
}

/* The clock of another process's CPU time, as clock_getcpuclockid(3) makes its number. */
static uint64_t cpu_of(int32_t pid)
{
	struct timespec time;

	return clock_gettime((clockid_t)(~(unsigned)pid << 3 | 2), &time) == 0
		       ? (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec
		       : 0;
}

uint64_t follow_cpu_ns(struct follow *follow)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < follow->process_count; i++) {
		struct followed_process *process = &follow->processes[i];
		uint64_t now = process->is_gone ? 0 : cpu_of(process->pid);

		process->cpu_ns = now > process->cpu_ns ? now : process->cpu_ns;
		sum += process->cpu_ns;
	}
	return sum;
}

void follow_allocators(const struct follow *follow, char *to, size_t to_bytes)
{
	size_t used = 0;

	to[0] = '\0';
	for (uint32_t i = 0; i < follow->file_count; i++) {
		const struct followed_file *file = &follow->files[i];

		if (file->count && used < to_bytes - 1) {
			snprintf(to + used, to_bytes - used, "%s%s (%.40s)", used ? ", " : "",
				 file->allocator, file->name);
			used = strlen(to);
		}
	}
}

void follow_close(struct follow *follow)
{
	while (follow->maps) {
		struct followed_map *map = follow->maps;

		follow->maps = map->next;
		free(map);
	}
	for (size_t i = 0; i < follow->process_count; i++) {
		detach_process(&follow->processes[i]);
	}
	for (uint32_t i = 0; i < follow->file_count; i++) {
		if (follow->files[i].fd >= 0) {
			close(follow->files[i].fd);
		}
	}
	free(follow->files);
	free(follow->processes);
	memset(follow, 0, sizeof(*follow));
}

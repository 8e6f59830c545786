/* SPDX-License-Identifier: MIT */
/* The target's processes: see processes.h. */
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "tier.h"

/* Descriptors kept: beyond so many processes the files are opened for each read. */
#define KEPT_PROCESSES 2000
#define TEXT_BYTES     8192

static int open_file(int32_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

static void close_files(struct process *process)
{
	close_fd(&process->status_fd);
	close_fd(&process->stat_fd);
	close_fd(&process->rollup_fd);
}

/* The whole of a small file, terminated. False when the process is no more or may not be read. */
static bool read_file(const struct process *process, int *fd, const char *name, bool keep, char *to)
{
	ssize_t got = 0;
	size_t used = 0;

	if (*fd < 0) {
		*fd = open_file(process->pid, name);
	}
	if (*fd < 0) {
		return false;
	}
	while (used < TEXT_BYTES - 1 &&
	       (got = pread(*fd, to + used, TEXT_BYTES - 1 - used, (off_t)used)) > 0) {
		used += (size_t)got;
	}
	to[used] = '\0';
	if (!keep) {
		close_fd(fd);
	}
	return used > 0;
}

static void set_name(struct process *process, const char *name)
{
	struct pfc_string raw = { name, strlen(name) };
	struct text clean = { 0 };

	text_clean(&clean, raw, 15);
	snprintf(process->name, sizeof(process->name), "%s", text_str(&clean));
	process->is_renamed = true;
	text_finish(&clean);
}

struct process *processes_find(struct processes *processes, int32_t pid)
{
	for (size_t i = processes->count; i-- > 0;) { /* the newest of a pid that was used again */
		if (processes->items[i].pid == pid && !processes->items[i].is_gone) {
			return &processes->items[i];
		}
	}
	return NULL;
}

static struct process *add(struct processes *processes, int32_t pid, int32_t parent, uint64_t time_ns)
{
	struct process *process = processes_find(processes, pid);
	char text[TEXT_BYTES];
	int fd = -1;

	if (process) {
		return process;
	}
	if (processes->count == processes->room) {
		size_t room = processes->room ? 2 * processes->room : 64;
		struct process *grown = realloc(processes->items, room * sizeof(*grown));

		if (!grown) {
			return NULL;
		}
		processes->items = grown;
		processes->room = room;
	}
	process = &processes->items[processes->count++];
	memset(process, 0, sizeof(*process));
	process->pid = pid;
	process->parent = parent;
	process->status_fd = process->stat_fd = process->rollup_fd = -1;
	process->is_new = true;
	process->born_ns = processes->is_started ? time_ns : 0;
	processes->born += processes->is_started;
	if (read_file(process, &fd, "comm", false, text)) {
		text[strcspn(text, "\n")] = '\0';
		set_name(process, text);
	}
	return process;
}

static void end(struct processes *processes, int32_t pid, uint64_t time_ns)
{
	struct process *process = processes_find(processes, pid);

	if (!process) {
		return;
	}
	process->is_gone = true;
	process->gone_ns = time_ns;
	processes->ended++;
	processes->unread += !process->has_sample;
	processes->gone_minor += process->stat.minor_faults - process->first_stat.minor_faults;
	processes->gone_major += process->stat.major_faults - process->first_stat.major_faults;
	close_files(process);
}

static int32_t take_event(struct processes *processes, const struct pfc_target_event *event)
{
	struct process *process;

	switch (event->kind) {
	case PFC_TARGET_FORK:
		if (event->pid != event->tid) { /* a thread */
			return PFC_OK;
		}
		process = add(processes, event->pid, event->ppid, event->time_ns);
		if (process && event->time_ns) { /* as early as can be: it may not live long */
			(void)processes_read(processes, process);
		}
		return process ? PFC_OK : PFC_ENOMEM;
	case PFC_TARGET_EXEC: /* a new address space: what is open shows the old one */
		process = processes_find(processes, event->pid);
		if (process) {
			close_files(process);
			set_name(process, event->text ? event->text : "");
		}
		return PFC_OK;
	case PFC_TARGET_NAME:
		process = event->tid == event->pid ? processes_find(processes, event->pid) : NULL;
		if (process) {
			set_name(process, event->text ? event->text : "");
		}
		return PFC_OK;
	case PFC_TARGET_EXIT:
		if (event->pid == event->tid) {
			end(processes, event->pid, event->time_ns);
		}
		return PFC_OK;
	default:
		return PFC_OK;
	}
}

/* Without a tracker: those that are there now. */
static int32_t ask_list(struct processes *processes)
{
	const struct pfc_host *host = processes->host;
	struct pfc_target target = { .struct_size = sizeof(target) };
	int32_t rc = host->target(host->ctx, &target);

	for (uint32_t i = 0; rc == PFC_OK && i < target.pid_count; i++) {
		rc = add(processes, target.pids[i], 0, host->now(host->ctx)) ? PFC_OK : PFC_ENOMEM;
	}
	return rc;
}

static int32_t take_events(struct processes *processes)
{
	struct pfc_target_event event = { .struct_size = sizeof(event) };
	int32_t rc = PFC_OK;

	while (rc == PFC_OK && processes->service->next(processes->service->ctx, &event) == PFC_OK) {
		rc = take_event(processes, &event);
		if (processes->watcher && processes->watcher->event) {
			processes->watcher->event(processes->watcher->ctx, &event);
		}
	}
	return rc; /* next said PFC_EAGAIN, or the stream has ended: the target is no more */
}

int32_t processes_follow(struct processes *processes)
{
	const struct pfc_host *host = processes->host;
	int32_t rc = processes->service ? take_events(processes) : ask_list(processes);

	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "follow the target's processes",
				  rc == PFC_ENOMEM ? "memory ran out" : "the host does not tell them", NULL);
	}
	return PFC_OK;
}

int32_t processes_open(struct processes *processes, const struct pfc_host *host)
{
	int32_t rc;

	processes->host = host;
	processes->service = host->extension(host->ctx, PFC_EXT_TARGET);
	rc = ask_list(processes);
	if (rc != PFC_OK) {
		return host->fail(host->ctx, rc, "list the target's processes",
				  rc == PFC_ENOMEM ? "out of memory" : "the core did not answer",
				  "check that it still runs");
	}
	return processes_follow(processes); /* says itself why it could not */
}

int processes_fd(const struct processes *processes)
{
	return processes->service ? processes->service->fd(processes->service->ctx) : -1;
}

bool processes_read(struct processes *processes, struct process *process)
{
	bool keep = processes->count <= KEPT_PROCESSES;
	char text[TEXT_BYTES];
	struct proc_status status;
	struct proc_stat stat;

	if (process->is_gone || !read_file(process, &process->status_fd, "status", keep, text) ||
	    !procread_status(text, &status) || !status.has_memory) {
		return false;
	}
	if (!read_file(process, &process->stat_fd, "stat", keep, text) || !procread_stat(text, &stat)) {
		return false;
	}
	if (!process->has_sample) {
		process->first = status;
		/* One that was born in the window has all its faults there. */
		process->first_stat = process->born_ns ? (struct proc_stat){ 0, 0, stat.state } : stat;
	}
	process->status = status;
	process->stat = stat;
	process->has_sample = true;
	return true;
}

bool processes_read_rollup(struct processes *processes, struct process *process, uint64_t now_ns)
{
	bool keep = processes->count <= KEPT_PROCESSES;
	struct proc_smaps rollup;
	char text[TEXT_BYTES];
	bool is_read;

	if (process->is_gone) {
		return false;
	}
	is_read = read_file(process, &process->rollup_fd, "smaps_rollup", keep, text) &&
		  procread_rollup(text, &rollup);
	process->rollup_cost_ns = processes->host->now(processes->host->ctx) - now_ns;
	if (!is_read) {
		close_fd(&process->rollup_fd);
		return false;
	}
	process->rollup = rollup;
	process->rollup_ns = now_ns;
	return true;
}

bool processes_read_kinds(const struct process *process, struct proc_kinds *ret)
{
	enum mapping_kind current = MAPPING_OTHER;
	char path[64], line[4352];
	FILE *file;

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "/proc/%d/smaps", process->pid);
	file = fopen(path, "re");
	if (!file) {
		return false;
	}
	while (fgets(line, sizeof(line), file)) {
		procread_smaps_line(line, &current, ret);
	}
	fclose(file);
	return true;
}

void processes_forget_gone(struct processes *processes)
{
	size_t kept = 0;

	for (size_t i = 0; i < processes->count; i++) {
		if (!processes->items[i].is_gone) {
			processes->items[kept++] = processes->items[i];
		}
	}
	processes->count = kept;
}

void processes_close(struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++) {
		close_files(&processes->items[i]);
	}
	free(processes->items);
	memset(processes, 0, sizeof(*processes));
}

/* SPDX-License-Identifier: MIT */
/* The table of observed threads: see tasks.h. */
#include "tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDS_KEPT 512 /* of schedstat; threads beyond have none */

int tasks_init(struct task_table *table, size_t most)
{
	size_t room = 64;

	while (room < most * 2) {
		room *= 2;
	}
	memset(table, 0, sizeof(*table));
	table->places = calloc(room, sizeof(*table->places));
	table->room = room;
	return table->places ? 0 : -ENOMEM;
}

static size_t home_of(const struct task_table *table, int32_t tid)
{
	return ((uint32_t)tid * 0x9e3779b9u) & (table->room - 1);
}

struct task *tasks_find(const struct task_table *table, int32_t tid)
{
	size_t at = home_of(table, tid);

	while (table->places[at].tid && table->places[at].tid != tid) {
		at = (at + 1) & (table->room - 1);
	}
	return table->places[at].tid ? &table->places[at] : NULL;
}

struct task *tasks_add(struct task_table *table, int32_t tid)
{
	size_t at = home_of(table, tid);

	while (table->places[at].tid && table->places[at].tid != tid) {
		at = (at + 1) & (table->room - 1);
	}
	if (table->places[at].tid) {
		return &table->places[at];
	}
	if (table->count * 2 >= table->room) {
		return NULL;
	}
	table->count++;
	memset(&table->places[at], 0, sizeof(table->places[at]));
	table->places[at].tid = tid;
	table->places[at].schedstat_fd = -1;
	return &table->places[at];
}

/* Closes the gap: what comes after moves up as long as it is not in its own place already. */
void tasks_remove(struct task_table *table, int32_t tid)
{
	struct task *found = tasks_find(table, tid);
	size_t hole, at;

	if (!found) {
		return;
	}
	if (found->schedstat_fd >= 0) {
		close(found->schedstat_fd);
	}
	table->count--;
	hole = (size_t)(found - table->places);
	for (at = (hole + 1) & (table->room - 1); table->places[at].tid; at = (at + 1) & (table->room - 1)) {
		size_t home = home_of(table, table->places[at].tid);

		if (((at - home) & (table->room - 1)) >= ((at - hole) & (table->room - 1))) {
			table->places[hole] = table->places[at];
			hole = at;
		}
	}
	memset(&table->places[hole], 0, sizeof(table->places[hole]));
}

void tasks_finish(struct task_table *table)
{
	for (size_t i = 0; table->places && i < table->room; i++) {
		if (table->places[i].tid && table->places[i].schedstat_fd >= 0) {
			close(table->places[i].schedstat_fd);
		}
	}
	free(table->places);
	memset(table, 0, sizeof(*table));
}

int32_t tasks_group_of(int32_t tid)
{
	char path[64];
	char line[128];
	FILE *file;
	int32_t pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "Tgid: %d", &pid) != 1) {
	}
	if (file) {
		fclose(file);
	}
	return pid;
}

/* "on_cpu run_queue slices" of schedstat. */
bool task_read_sums(int fd, uint64_t *ret_cpu_ns, uint64_t *ret_queue_ns)
{
	unsigned long long cpu, queue;
	char text[96];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got <= 0) {
		return false;
	}
	text[got] = '\0';
	if (sscanf(text, "%llu %llu", &cpu, &queue) != 2) {
		return false;
	}
	*ret_cpu_ns = cpu;
	*ret_queue_ns = queue;
	return true;
}

bool task_schedstat(struct task *task, uint64_t *ret_cpu_ns, uint64_t *ret_queue_ns)
{
	char text[96];

	if (task->schedstat_fd == -1) {
		snprintf(text, sizeof(text), "/proc/%d/task/%d/schedstat", task->pid, task->tid);
		task->schedstat_fd = open(text, O_RDONLY | O_CLOEXEC);
		if (task->schedstat_fd < 0 || task->schedstat_fd >= FDS_KEPT) {
			if (task->schedstat_fd >= 0) {
				close(task->schedstat_fd);
			}
			task->schedstat_fd = -2; /* not tried again */
		}
	}
	if (task->schedstat_fd < 0) {
		return false;
	}
	return task_read_sums(task->schedstat_fd, ret_cpu_ns, ret_queue_ns);
}

void task_comm(int32_t pid, int32_t tid, char to[COMM_BYTES])
{
	char path[64];
	FILE *file;

	to[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(to, COMM_BYTES, file)) {
			to[strcspn(to, "\n")] = '\0';
		}
		fclose(file);
	}
}

bool task_has_ended(const struct task *task)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", task->pid, task->tid);
	return access(path, F_OK) != 0;
}

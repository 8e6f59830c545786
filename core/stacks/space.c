/* SPDX-License-Identifier: MIT */
#include "stacks/space.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/hash.h"

#define MAPS_MAX      65536U /* of one space: the kernel's own default limit (vm.max_map_count) is 65530 */
#define SPACES_MAX    16U    /* kept of one pid; the oldest goes first */
#define PROCESSES_MAX 262144U
#define PARENTS_MAX   64 /* forks of forks without a sample between */

struct space_process {
	struct space_process *next;
	int32_t pid;
	uint32_t space_count;
	uint64_t exit_ns;                 /* 0: alive */
	struct space *spaces[SPACES_MAX]; /* ascending from_ns */
};

/* Iterative over parents: a chain of forks may be long. */
static void space_release(struct space *space)
{
	while (space != NULL && --space->references == 0) {
		struct space *parent = space->parent;

		free(space->maps);
		free(space->spans);
		free(space);
		space = parent;
	}
}

static struct space *space_create(struct spaces *spaces, uint64_t from_ns, struct space *parent)
{
	struct space *space = calloc(1, sizeof(*space));

	if (space != NULL) {
		space->from_ns = from_ns;
		space->references = 1;
		space->stamp = ++spaces->next_stamp;
		space->id = space->stamp;
		space->parent = parent;
		if (parent != NULL) {
			parent->references++;
		}
	}
	return space;
}

static struct space_process *find_process(const struct spaces *spaces, int32_t pid)
{
	struct space_process *process = spaces->processes[spaces_bucket(pid)];

	while (process != NULL && process->pid != pid) {
		process = process->next;
	}
	return process;
}

static struct space_process *need_process(struct spaces *spaces, int32_t pid)
{
	struct space_process *process = find_process(spaces, pid);

	if (process == NULL && spaces->process_count < PROCESSES_MAX) {
		process = calloc(1, sizeof(*process));
		if (process != NULL) {
			process->pid = pid;
			process->next = spaces->processes[spaces_bucket(pid)];
			spaces->processes[spaces_bucket(pid)] = process;
			spaces->process_count++;
		}
	}
	return process;
}

/* The youngest space that had begun by then. */
static struct space *process_space_at(const struct space_process *process, uint64_t time_ns)
{
	for (uint32_t i = process->space_count; i > 0; i--) {
		if (process->spaces[i - 1]->from_ns <= time_ns) {
			return process->spaces[i - 1];
		}
	}
	return process->space_count > 0 ? process->spaces[0] : NULL;
}

static struct space *begin_space(struct spaces *spaces, int32_t pid, uint64_t from_ns, struct space *parent)
{
	struct space_process *process = need_process(spaces, pid);
	struct space *space;
	uint32_t at;

	if (process == NULL) {
		return NULL;
	}
	space = space_create(spaces, from_ns, parent);
	if (space == NULL) {
		return NULL;
	}
	process->exit_ns = 0;
	if (process->space_count == SPACES_MAX) {
		space_release(process->spaces[0]);
		memmove(&process->spaces[0], &process->spaces[1],
			(SPACES_MAX - 1) * sizeof(process->spaces[0]));
		process->space_count--;
	}
	for (at = process->space_count; at > 0 && process->spaces[at - 1]->from_ns > from_ns; at--) {
		process->spaces[at] = process->spaces[at - 1];
	}
	process->spaces[at] = space;
	process->space_count++;
	return space;
}

/* Insert by time; equal times stay in the order of arrival. What was laid over already is laid again when it came late. */
static int add_map(struct spaces *spaces, struct space *space, const struct space_map *map)
{
	uint32_t at = space->map_count;

	if (space->map_count >= MAPS_MAX ||
	    array_reserve(&space->maps, &space->map_room, (uint64_t)space->map_count + 1,
			  sizeof(*space->maps)) != 0) {
		spaces->dropped++;
		return 0;
	}
	while (at > 0 && space->maps[at - 1].from_ns > map->from_ns) {
		at--;
	}
	memmove(&space->maps[at + 1], &space->maps[at], (space->map_count - at) * sizeof(*space->maps));
	space->maps[at] = *map;
	space->map_count++;
	space->stamp = ++spaces->next_stamp;
	if (at < space->applied) {
		space->applied = 0;
		space->span_count = 0;
	}
	return 0;
}

static int take_map(struct spaces *spaces, const struct pfc_target_event *event)
{
	struct space_process *process = need_process(spaces, event->pid);
	struct space_map map = { .from_ns = event->time_ns,
				 .start = event->start,
				 .end = event->start + event->length,
				 .offset = event->offset,
				 .pid = event->pid };
	struct space *space;

	if (process == NULL || event->length == 0 || map.end < map.start || event->text == NULL ||
	    modules_of_event(spaces->modules, event, &map.module) != 0) {
		spaces->dropped++;
		return 0;
	}
	space = process_space_at(process, event->time_ns);
	if (space == NULL) {
		space = begin_space(spaces, event->pid, 0, NULL);
	}
	return space != NULL ? add_map(spaces, space, &map) : PFC_ENOMEM;
}

static int take_fork(struct spaces *spaces, const struct pfc_target_event *event)
{
	struct space_process *parent = find_process(spaces, event->ppid);
	/* At time 0 the child was there before us: its own mappings follow, and it may long have left its parent's program. */
	struct space *from =
		parent != NULL && event->time_ns > 0 ? process_space_at(parent, event->time_ns) : NULL;

	if (event->pid == event->ppid || event->tid != event->pid) {
		return 0; /* a thread */
	}
	if (begin_space(spaces, event->pid, event->time_ns, from) == NULL) {
		spaces->dropped++;
	}
	return 0;
}

static void take_exit(struct spaces *spaces, const struct pfc_target_event *event)
{
	struct space_thread *thread = spaces_thread(spaces, event->tid);
	struct space_process *process = event->tid == event->pid ? find_process(spaces, event->pid) : NULL;

	if (thread != NULL) {
		thread->exit_ns = event->time_ns + 1;
	}
	if (process != NULL) {
		process->exit_ns = event->time_ns + 1;
	}
}

int spaces_event(struct spaces *spaces, const struct pfc_target_event *event)
{
	int status;

	switch (event->kind) {
	case PFC_TARGET_FORK:
		status = take_fork(spaces, event);
		return status == 0 ? spaces_inherit_name(spaces, event) : status;
	case PFC_TARGET_EXEC:
		if (begin_space(spaces, event->pid, event->time_ns, NULL) == NULL) {
			spaces->dropped++;
		}
		return spaces_set_name(spaces, event, event->text);
	case PFC_TARGET_NAME:
		return spaces_set_name(spaces, event, event->text);
	case PFC_TARGET_MAP:
		return take_map(spaces, event);
	case PFC_TARGET_EXIT:
		take_exit(spaces, event);
		return 0;
	default:
		return 0;
	}
}

/*
 * Take over what the parent had mapped at the fork. The parent may itself be waiting for its own parent: nearest last, so that
 * newer mappings come later in the array.
 */
static int take_over(struct spaces *spaces, struct space *space)
{
	struct space *chain[PARENTS_MAX];
	uint64_t until[PARENTS_MAX];
	uint64_t limit = space->from_ns;
	int depth = 0;

	for (struct space *at = space->parent; at != NULL && depth < PARENTS_MAX; at = at->parent) {
		chain[depth] = at;
		until[depth++] = limit;
		limit = at->from_ns < limit ? at->from_ns : limit;
	}
	while (depth-- > 0) {
		for (uint32_t i = 0; i < chain[depth]->map_count; i++) {
			struct space_map map = chain[depth]->maps[i];

			/* Dated at the fork at the latest, at its own time before: all of it was there when the child began. */
			if (map.from_ns <= until[depth] && add_map(spaces, space, &map) != 0) {
				return PFC_ENOMEM;
			}
		}
	}
	space_release(space->parent);
	space->parent = NULL;
	return 0;
}

struct space *spaces_at(struct spaces *spaces, int32_t pid, uint64_t time_ns)
{
	const struct space_process *process = find_process(spaces, pid);
	struct space *space = process != NULL ? process_space_at(process, time_ns) : NULL;

	if (space != NULL && space->parent != NULL && take_over(spaces, space) != 0) {
		return NULL;
	}
	return space;
}

static void forget_processes(struct spaces *spaces, uint32_t bucket, uint64_t before_ns)
{
	struct space_process **link = &spaces->processes[bucket];

	while (*link != NULL) {
		struct space_process *process = *link;

		if (process->exit_ns == 0 || process->exit_ns >= before_ns) {
			link = &process->next;
			continue;
		}
		*link = process->next;
		for (uint32_t i = 0; i < process->space_count; i++) {
			space_release(process->spaces[i]);
		}
		free(process);
		spaces->process_count--;
	}
}

void spaces_forget(struct spaces *spaces, uint64_t before_ns)
{
	for (uint32_t i = 0; i < SPACES_BUCKETS; i++) {
		forget_processes(spaces, i, before_ns);
		spaces_forget_threads(spaces, i, before_ns);
	}
}

int spaces_init(struct spaces *spaces, struct modules *modules, space_name_fn on_name, void *on_name_ctx)
{
	memset(spaces, 0, sizeof(*spaces));
	spaces->modules = modules;
	spaces->on_name = on_name;
	spaces->on_name_ctx = on_name_ctx;
	spaces->processes = calloc(SPACES_BUCKETS, sizeof(struct space_process *));
	spaces->threads = calloc(SPACES_BUCKETS, sizeof(struct space_thread *));
	if (spaces->processes == NULL || spaces->threads == NULL) {
		spaces_finish(spaces);
		return PFC_ENOMEM;
	}
	return 0;
}

void spaces_finish(struct spaces *spaces)
{
	for (uint32_t i = 0; i < SPACES_BUCKETS; i++) {
		for (struct space_process *p = spaces->processes != NULL ? spaces->processes[i] : NULL;
		     p != NULL; p = p->next) {
			p->exit_ns = 1;
		}
		for (struct space_thread *t = spaces->threads != NULL ? spaces->threads[i] : NULL; t != NULL;
		     t = t->next) {
			t->exit_ns = 1;
		}
	}
	if (spaces->processes != NULL && spaces->threads != NULL) {
		spaces_forget(spaces, UINT64_MAX);
	}
	free(spaces->processes);
	free(spaces->threads);
	memset(spaces, 0, sizeof(*spaces));
}

/* SPDX-License-Identifier: MIT */
#include "stacks/space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#define BUCKETS       16384U
#define MAPS_MAX      65536U /* of one space: the kernel's own default limit (vm.max_map_count) is 65530 */
#define SPACES_MAX    16U    /* kept of one pid; the oldest goes first */
#define PROCESSES_MAX 262144U
#define THREADS_MAX   1048576U
#define PARENTS_MAX   64 /* forks of forks without a sample between */

struct space_span {
	uint64_t start, end;
	uint32_t map;
};

struct space_process {
	struct space_process *next;
	int32_t pid;
	uint32_t space_count;
	uint64_t exit_ns;                 /* 0: alive */
	struct space *spaces[SPACES_MAX]; /* ascending from_ns */
};

static uint32_t bucket_of(int32_t id)
{
	return (uint32_t)id & (BUCKETS - 1);
}

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
	struct space_process *process = spaces->processes[bucket_of(pid)];

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
			process->next = spaces->processes[bucket_of(pid)];
			spaces->processes[bucket_of(pid)] = process;
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

struct space_thread *spaces_thread(struct spaces *spaces, int32_t tid)
{
	struct space_thread *thread = spaces->threads[bucket_of(tid)];

	while (thread != NULL && thread->tid != tid) {
		thread = thread->next;
	}
	return thread;
}

static struct space_thread *need_thread(struct spaces *spaces, int32_t pid, int32_t tid)
{
	struct space_thread *thread = spaces_thread(spaces, tid);

	if (thread == NULL && spaces->thread_count < THREADS_MAX) {
		thread = calloc(1, sizeof(*thread));
		if (thread != NULL) {
			thread->tid = tid;
			thread->next = spaces->threads[bucket_of(tid)];
			spaces->threads[bucket_of(tid)] = thread;
			spaces->thread_count++;
		}
	}
	if (thread != NULL) {
		thread->pid = pid;
	}
	return thread;
}

static int set_name(struct spaces *spaces, const struct pfc_target_event *event, const char *name)
{
	struct space_thread *thread = need_thread(spaces, event->pid, event->tid);
	int status = 0;

	if (thread == NULL || name == NULL || name[0] == '\0') {
		spaces->dropped += thread == NULL;
		return 0;
	}
	if (thread->is_new && spaces->on_name != NULL) {
		status = spaces->on_name(spaces->on_name_ctx, thread);
	}
	thread->from_ns = event->time_ns;
	thread->exit_ns = 0;
	thread->is_new = true;
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	return status;
}

static int inherit_name(struct spaces *spaces, const struct pfc_target_event *event)
{
	const struct space_thread *parent = spaces_thread(spaces, event->ppid);
	char name[sizeof(parent->name)];

	if (event->text != NULL && event->text[0] != '\0') {
		return set_name(spaces, event, event->text);
	}
	if (parent == NULL) {
		return 0;
	}
	memcpy(name, parent->name, sizeof(name));
	return set_name(spaces, event, name);
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
		return status == 0 ? inherit_name(spaces, event) : status;
	case PFC_TARGET_EXEC:
		if (begin_space(spaces, event->pid, event->time_ns, NULL) == NULL) {
			spaces->dropped++;
		}
		return set_name(spaces, event, event->text);
	case PFC_TARGET_NAME:
		return set_name(spaces, event, event->text);
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

/* How many spans end at or below an address: the index of the first that may hold it. */
static uint32_t spans_below(const struct space *space, uint64_t address)
{
	uint32_t low = 0;
	uint32_t high = space->span_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (space->spans[middle].end <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Lay one mapping over the picture: cut what it overlaps. */
static int lay_map(struct space *space, uint32_t number)
{
	const struct space_map *map = &space->maps[number];
	uint32_t first = spans_below(space, map->start);
	uint32_t last = first; /* the first span that stays behind the mapping */
	struct space_span pieces[3];
	uint32_t piece_count = 0;

	if (array_reserve(&space->spans, &space->span_room, (uint64_t)space->span_count + 2,
			  sizeof(*space->spans)) != 0) {
		return PFC_ENOMEM;
	}
	while (last < space->span_count && space->spans[last].start < map->end) {
		last++;
	}
	if (first < last && space->spans[first].start < map->start) {
		pieces[piece_count++] =
			(struct space_span){ space->spans[first].start, map->start, space->spans[first].map };
	}
	pieces[piece_count++] = (struct space_span){ map->start, map->end, number };
	if (first < last && space->spans[last - 1].end > map->end) {
		pieces[piece_count++] = (struct space_span){ map->end, space->spans[last - 1].end,
							     space->spans[last - 1].map };
	}
	memmove(&space->spans[first + piece_count], &space->spans[last],
		(space->span_count - last) * sizeof(*space->spans));
	memcpy(&space->spans[first], pieces, piece_count * sizeof(*pieces));
	space->span_count = space->span_count - (last - first) + piece_count;
	return 0;
}

/* For a time before the newest picture: the youngest mapping that was there by then. */
static const struct space_map *find_in_past(const struct space *space, uint64_t time_ns, uint64_t address)
{
	for (uint32_t i = space->map_count; i > 0; i--) {
		const struct space_map *map = &space->maps[i - 1];

		if (map->from_ns <= time_ns && address >= map->start && address < map->end) {
			return map;
		}
	}
	return NULL;
}

bool space_advance(struct spaces *spaces, struct space *space, uint64_t time_ns)
{
	while (space->applied < space->map_count && space->maps[space->applied].from_ns <= time_ns) {
		if (lay_map(space, space->applied) != 0) {
			return false;
		}
		space->applied++;
		space->stamp = ++spaces->next_stamp;
	}
	return space->applied == 0 || space->maps[space->applied - 1].from_ns <= time_ns;
}

const struct space_map *space_find(struct spaces *spaces, struct space *space, uint64_t time_ns,
				   uint64_t address)
{
	uint32_t at;

	if (!space_advance(spaces, space, time_ns)) {
		return find_in_past(space, time_ns, address);
	}
	at = spans_below(space, address);
	if (at < space->span_count && space->spans[at].start <= address) {
		return &space->maps[space->spans[at].map];
	}
	return NULL;
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

static void forget_threads(struct spaces *spaces, uint32_t bucket, uint64_t before_ns)
{
	struct space_thread **link = &spaces->threads[bucket];

	while (*link != NULL) {
		struct space_thread *thread = *link;

		if (thread->exit_ns == 0 || thread->exit_ns >= before_ns) {
			link = &thread->next;
			continue;
		}
		*link = thread->next;
		free(thread);
		spaces->thread_count--;
	}
}

void spaces_forget(struct spaces *spaces, uint64_t before_ns)
{
	for (uint32_t i = 0; i < BUCKETS; i++) {
		forget_processes(spaces, i, before_ns);
		forget_threads(spaces, i, before_ns);
	}
}

int spaces_init(struct spaces *spaces, struct modules *modules, space_name_fn on_name, void *on_name_ctx)
{
	memset(spaces, 0, sizeof(*spaces));
	spaces->modules = modules;
	spaces->on_name = on_name;
	spaces->on_name_ctx = on_name_ctx;
	spaces->processes = calloc(BUCKETS, sizeof(struct space_process *));
	spaces->threads = calloc(BUCKETS, sizeof(struct space_thread *));
	if (spaces->processes == NULL || spaces->threads == NULL) {
		spaces_finish(spaces);
		return PFC_ENOMEM;
	}
	return 0;
}

void spaces_finish(struct spaces *spaces)
{
	for (uint32_t i = 0; i < BUCKETS; i++) {
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

/* SPDX-License-Identifier: MIT */
/* The present state as events in order of time, for a reader that comes late or was too slow. */
#include <stdlib.h>

#include "target/state.h"

/* One thing to tell; small, because a large target has a million of them. */
struct item {
	uint64_t time_ns;
	uint32_t order;
	uint32_t kind;
	const struct proc *proc;
	const void *what; /* struct task or struct map */
};

struct items {
	struct item *items;
	uint32_t count;
	uint32_t room;
	uint32_t max;
	uint64_t since_ns;
	uint64_t dropped;
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void add_item(struct items *list, uint32_t kind, uint64_t time_ns, const struct proc *proc, const void *what)
{
	/* What a reader may have seen up to since_ns was at most told in part at since_ns itself. */
	if (time_ns < list->since_ns) {
		return;
	}
	if (list->count == list->room) {
		uint32_t room = list->room > 0 ? list->room * 2 : 256;
		struct item *items = list->count < list->max ? realloc(list->items, room * sizeof(*items)) : NULL;

		if (items == NULL) {
			list->dropped++;
			return;
		}
		list->items = items;
		list->room = room;
	}
	list->items[list->count] = (struct item){ time_ns, list->count, kind, proc, what };
	list->count++;
}

/* In the order that a reader needs where times are equal: it exists, runs its program, has its names, its mappings. */
static void add_proc(void *ctx, struct proc *proc)
{
	struct items *list = ctx;
	uint64_t fresh_ns = later(proc->begin_ns, proc->exec_ns);

	for (const struct task *task = proc->tasks; task != NULL; task = task->next_in_proc) {
		if (task->begin_ns > 0) {
			add_item(list, PFC_TARGET_FORK, task->begin_ns, proc, task);
		}
	}
	if (proc->exec_ns > 0) {
		add_item(list, PFC_TARGET_EXEC, proc->exec_ns, proc, NULL);
	}
	for (const struct task *task = proc->tasks; task != NULL; task = task->next_in_proc) {
		add_item(list, PFC_TARGET_NAME, later(task->name_ns, task->begin_ns), proc, task);
	}
	for (uint32_t i = 0; proc->maps != NULL && i < proc->maps->count; i++) {
		const struct map *map = &proc->maps->items[i];

		add_item(list, PFC_TARGET_MAP, later(map->time_ns, fresh_ns), proc, map);
	}
}

static int compare_items(const void *a, const void *b)
{
	const struct item *left = a;
	const struct item *right = b;

	if (left->time_ns != right->time_ns) {
		return left->time_ns < right->time_ns ? -1 : 1;
	}
	return left->order < right->order ? -1 : left->order > right->order;
}

static const char *leader_name(const struct proc *proc)
{
	const struct task *task = proc->tasks;

	while (task != NULL && task->tid != proc->pid) {
		task = task->next_in_proc;
	}
	return task != NULL ? task->name : "";
}

static struct pfc_target_event event_of_item(const struct item *item)
{
	const struct task *task = item->what;
	const struct map *map = item->what;
	struct pfc_target_event event;

	if (item->kind == PFC_TARGET_EXEC) {
		return state_event(item->kind, item->time_ns, item->proc, item->proc->pid, leader_name(item->proc));
	}
	if (item->kind == PFC_TARGET_MAP) {
		event = state_event(item->kind, item->time_ns, item->proc, item->proc->pid, map->path->text);
		event.start = map->start;
		event.length = map->length;
		event.offset = map->offset;
		event.inode = map->inode;
		event.dev_major = map->dev_major;
		event.dev_minor = map->dev_minor;
		return event;
	}
	event = state_event(item->kind, item->time_ns, item->proc, task->tid, task->name);
	if (item->kind == PFC_TARGET_FORK) {
		event.text = "";
		event.ppid = task->tid == item->proc->pid ? item->proc->ppid : item->proc->pid;
	}
	return event;
}

uint64_t state_replay(struct state *state, uint64_t since_ns, uint32_t max_events,
		      void (*emit)(void *ctx, const struct pfc_target_event *event), void *ctx)
{
	struct items list = { .max = max_events, .since_ns = since_ns };

	state_each(state, add_proc, &list);
	if (list.count > 1) {
		qsort(list.items, list.count, sizeof(*list.items), compare_items);
	}
	for (uint32_t i = 0; i < list.count; i++) {
		struct pfc_target_event event = event_of_item(&list.items[i]);

		emit(ctx, &event);
	}
	free(list.items);
	return list.dropped;
}

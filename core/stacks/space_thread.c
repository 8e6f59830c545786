/* SPDX-License-Identifier: MIT */
/* What threads are called, and forgetting those that ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stacks/space.h"

#define THREADS_MAX 1048576U

struct space_thread *spaces_thread(struct spaces *spaces, int32_t tid)
{
	struct space_thread *thread = spaces->threads[spaces_bucket(tid)];

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
			thread->next = spaces->threads[spaces_bucket(tid)];
			spaces->threads[spaces_bucket(tid)] = thread;
			spaces->thread_count++;
		}
	}
	if (thread != NULL) {
		thread->pid = pid;
	}
	return thread;
}

int spaces_set_name(struct spaces *spaces, const struct pfc_target_event *event, const char *name)
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

int spaces_inherit_name(struct spaces *spaces, const struct pfc_target_event *event)
{
	const struct space_thread *parent = spaces_thread(spaces, event->ppid);
	char name[sizeof(parent->name)];

	if (event->text != NULL && event->text[0] != '\0') {
		return spaces_set_name(spaces, event, event->text);
	}
	if (parent == NULL) {
		return 0;
	}
	memcpy(name, parent->name, sizeof(name));
	return spaces_set_name(spaces, event, name);
}

void spaces_forget_threads(struct spaces *spaces, uint32_t bucket, uint64_t before_ns)
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

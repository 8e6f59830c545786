/* SPDX-License-Identifier: MIT */
#include "fake_target.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

static int32_t fake_fd(void *ctx)
{
	return -1;
}

static int32_t fake_next(void *ctx, struct pfc_target_event *ret)
{
	struct fake_target *fake = ctx;

	if (fake->next == fake->count) {
		return PFC_EAGAIN;
	}
	*ret = fake->events[fake->next++];
	return 0;
}

static int32_t fake_open(void *ctx, const struct pfc_target_event *map)
{
	struct fake_target *fake = ctx;
	int fd;

	fake->opens++;
	if (fake->open_status != 0) {
		return fake->open_status;
	}
	fd = open(map->text, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : PFC_ENOENT;
}

static struct pfc_target_event *add(struct fake_target *fake, uint32_t kind, uint64_t time_ns,
				    const char *text)
{
	struct pfc_target_event *event;

	if (fake->count == fake->room) {
		fake->room = fake->room > 0 ? fake->room * 2 : 64;
		fake->events = realloc(fake->events, fake->room * sizeof(*fake->events));
	}
	event = &fake->events[fake->count++];
	memset(event, 0, sizeof(*event));
	event->struct_size = sizeof(*event);
	event->kind = kind;
	event->time_ns = time_ns;
	event->text = text != NULL ? strdup(text) : NULL;
	return event;
}

void fake_target_init(struct fake_target *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->service.struct_size = sizeof(fake->service);
	fake->service.ctx = fake;
	fake->service.fd = fake_fd;
	fake->service.next = fake_next;
	fake->service.open_mapped = fake_open;
}

void fake_target_finish(struct fake_target *fake)
{
	for (uint32_t i = 0; i < fake->count; i++) {
		free((char *)fake->events[i].text);
	}
	free(fake->events);
}

void fake_target_map(struct fake_target *fake, uint64_t time_ns, int32_t pid, uint64_t start, uint64_t length,
		     uint64_t offset, const char *path)
{
	struct pfc_target_event *event = add(fake, PFC_TARGET_MAP, time_ns, path);

	event->pid = pid;
	event->tid = pid;
	event->start = start;
	event->length = length;
	event->offset = offset;
}

void fake_target_fork(struct fake_target *fake, uint64_t time_ns, int32_t ppid, int32_t pid, int32_t tid)
{
	struct pfc_target_event *event = add(fake, PFC_TARGET_FORK, time_ns, NULL);

	event->ppid = ppid;
	event->pid = pid;
	event->tid = tid;
}

void fake_target_event(struct fake_target *fake, uint32_t kind, uint64_t time_ns, int32_t pid, int32_t tid,
		       const char *text)
{
	struct pfc_target_event *event = add(fake, kind, time_ns, text);

	event->pid = pid;
	event->tid = tid;
}

void fake_target_sync(struct fake_target *fake, uint64_t time_ns)
{
	add(fake, PFC_TARGET_SYNC, time_ns, NULL);
}

void fake_target_snapshot(struct fake_target *fake, int32_t pid)
{
	char path[64], line[4352], name[4096];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		unsigned long long start, end, offset;
		char flags[8];

		name[0] = '\0';
		if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %4095[^\n]", &start, &end, flags, &offset,
			   name) >= 4 &&
		    flags[2] == 'x') {
			fake_target_map(fake, 0, pid, start, end - start, offset, name);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
}

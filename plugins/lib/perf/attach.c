/* SPDX-License-Identifier: MIT */
/* The sampling events, threads x CPUs: see attach.h. */
#include "attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "budget.h"

void perf_attach_init(struct perf_attach *attach, const struct perf_event *event, struct perf_ring *rings,
		      uint32_t cpu_count)
{
	memset(attach, 0, sizeof(*attach));
	attach->event = *event;
	attach->rings = rings;
	attach->cpu_count = cpu_count;
}

static int compare_threads(const void *a, const void *b)
{
	const struct perf_attach_thread *x = a;
	const struct perf_attach_thread *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

/* List all threads of the processes that are not among the `known`, sorted first ones of attach->threads. */
static int list_new(const struct perf_attach *attach, const struct perf_attach_thread *known,
		    const int32_t *pids, size_t pid_count, struct perf_attach_thread **ret, size_t *ret_count)
{
	struct perf_attach_thread *threads = NULL;
	struct perf_id_list tids = { NULL, 0, 0 };
	size_t count = 0;
	int rc = 0;

	for (size_t p = 0; p < pid_count && rc == 0; p++) {
		size_t first = tids.count;
		struct perf_attach_thread *more;

		rc = perf_procfs_threads(pids[p], &tids);
		rc = rc == -ENOMEM ? rc : 0; /* a process that has gone, or hides, has no threads for us */
		more = reallocarray(threads, tids.count + 1, sizeof(*threads));
		if (!more) {
			rc = -ENOMEM;
			break;
		}
		threads = more;
		for (size_t i = first; i < tids.count; i++) {
			struct perf_attach_thread thread = { .pid = pids[p], .tid = tids.items[i] };

			if (!bsearch(&thread, known, attach->thread_count, sizeof(thread), compare_threads)) {
				threads[count++] = thread;
			}
		}
	}
	free(tids.items);
	if (rc < 0) {
		free(threads);
		return rc;
	}
	*ret = threads;
	*ret_count = count;
	return 0;
}

int perf_attach_make_room(struct perf_attach *attach, size_t more)
{
	size_t room = attach->thread_count + more;
	struct perf_attach_thread *threads;
	int *fds;

	if (room <= attach->thread_room) {
		return 0;
	}
	threads = reallocarray(attach->threads, room, sizeof(*threads));
	if (!threads) {
		return -ENOMEM;
	}
	attach->threads = threads;
	fds = reallocarray(attach->fds, room * attach->cpu_count, sizeof(*fds));
	if (!fds) {
		return -ENOMEM;
	}
	attach->fds = fds;
	attach->thread_room = room;
	return 0;
}

static int add_suspect(struct perf_attach *attach, int fd)
{
	struct perf_attach_suspect suspect = { 0, (uint32_t)attach->thread_count };

	if (ioctl(fd, PERF_EVENT_IOC_ID, &suspect.id) != 0) {
		return -errno;
	}
	if (attach->suspect_count == attach->suspect_room) {
		size_t room = attach->suspect_room ? attach->suspect_room * 2 : 64;
		struct perf_attach_suspect *suspects =
			reallocarray(attach->suspects, room, sizeof(*suspects));

		if (!suspects) {
			return -ENOMEM;
		}
		attach->suspects = suspects;
		attach->suspect_room = room;
	}
	attach->suspects[attach->suspect_count++] = suspect;
	return 0;
}

/* One event. Returns a descriptor or -errno. */
static int open_one(struct perf_attach *attach, const struct perf_event_attr *attr,
		    const struct perf_attach_thread *thread, const struct perf_ring *ring)
{
	int fd = perf_event_open(attr, thread->tid, ring->cpu);
	int rc = 0;

	if (fd < 0) {
		return fd;
	}
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) != 0) {
		rc = -errno;
	} else if (thread->is_suspect) {
		rc = add_suspect(attach, fd);
	}
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

/* The events of one thread on all CPUs, all or none. Returns 0 or -errno, and the CPU that failed. */
static int open_thread(struct perf_attach *attach, const struct perf_attach_thread *thread, int32_t *ret_cpu)
{
	int *fds = attach->fds + attach->thread_count * attach->cpu_count;
	size_t suspects = attach->suspect_count;
	struct perf_event_attr attr;

	perf_event_fill(&attach->event, &attr);
	for (uint32_t c = 0; c < attach->cpu_count; c++) {
		fds[c] = open_one(attach, &attr, thread, &attach->rings[c]);
		if (fds[c] < 0) {
			int rc = fds[c];

			*ret_cpu = attach->rings[c].cpu;
			while (c-- > 0) {
				close(fds[c]);
			}
			attach->suspect_count = suspects;
			return rc;
		}
	}
	attach->threads[attach->thread_count++] = *thread;
	attach->undecided += thread->is_suspect;
	return 0;
}

/* Whether an error about one thread ends it all: what fails for one for lack of a resource fails for the next. */
static bool is_fatal(const struct perf_attach *attach, int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || attach->thread_count == 0;
}

static int open_threads(struct perf_attach *attach, const struct perf_attach_thread *threads, size_t count,
			struct perf_refusal *refusal)
{
	for (size_t i = 0; i < count; i++) {
		struct perf_attach_thread thread = threads[i];
		int32_t cpu = -1;
		int rc;

		thread.is_suspect = attach->passes > 0;
		rc = open_thread(attach, &thread, &cpu);
		if (rc == 0 || rc == -ESRCH) {
			continue;
		}
		if (is_fatal(attach, -rc)) {
			return perf_refusal_explain(-rc, attach->event.name, thread.tid, cpu, refusal);
		}
		attach->refused++;
		attach->refused_error = -rc;
	}
	return 0;
}

int perf_attach_pass(struct perf_attach *attach, const int32_t *pids, size_t pid_count, size_t *ret_added,
		     struct perf_refusal *refusal)
{
	struct perf_attach_thread *known = NULL;
	struct perf_attach_thread *threads = NULL;
	size_t before = attach->thread_count;
	size_t count = 0;
	int rc = PFC_OK;

	known = malloc((before + 1) * sizeof(*known));
	if (known) {
		memcpy(known, attach->threads ? attach->threads : known, before * sizeof(*known));
		qsort(known, before, sizeof(*known), compare_threads);
	}
	if (!known || list_new(attach, known, pids, pid_count, &threads, &count) < 0 ||
	    perf_attach_make_room(attach, count) < 0) {
		rc = perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "",
				      "list of the target's threads");
		goto out;
	}
	rc = perf_budget_check(before + count, attach->cpu_count, attach->fds_elsewhere, refusal);
	if (rc == 0) {
		rc = open_threads(attach, threads, count, refusal);
	}
	if (rc == 0) {
		attach->passes++;
		*ret_added = attach->thread_count - before;
	}
out:
	free(known);
	free(threads);
	return rc;
}

static int compare_suspects(const void *a, const void *b)
{
	const struct perf_attach_suspect *x = a;
	const struct perf_attach_suspect *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

void perf_attach_seal(struct perf_attach *attach)
{
	if (attach->suspect_count) {
		qsort(attach->suspects, attach->suspect_count, sizeof(*attach->suspects), compare_suspects);
	}
}

static void control_thread(const struct perf_attach *attach, size_t thread, unsigned long request)
{
	for (uint32_t c = 0; c < attach->cpu_count; c++) {
		(void)ioctl(attach->fds[thread * attach->cpu_count + c], request, 0);
	}
}

/* A sample of `tid` came from another thread's event: if tid is an undecided suspect, it had inherited. */
static void settle(struct perf_attach *attach, int32_t tid)
{
	for (size_t i = 0; i < attach->thread_count; i++) {
		struct perf_attach_thread *thread = &attach->threads[i];

		if (thread->tid == tid && thread->is_suspect && !thread->is_redundant) {
			thread->is_redundant = true;
			attach->undecided--;
			control_thread(attach, i, PERF_EVENT_IOC_DISABLE);
		}
	}
}

bool perf_attach_is_duplicate(struct perf_attach *attach, uint64_t id, int32_t tid)
{
	struct perf_attach_suspect key = { id, 0 };
	struct perf_attach_suspect *found;
	struct perf_attach_thread *owner = NULL;

	if (attach->suspect_count == 0) {
		return false;
	}
	found = bsearch(&key, attach->suspects, attach->suspect_count, sizeof(key), compare_suspects);
	owner = found ? &attach->threads[found->thread] : NULL;
	/* A number that was given to a new thread within one run would mislead this: pids wrap at 32768 or later. */
	if (attach->undecided && (!owner || owner->tid != tid)) {
		settle(attach, tid);
	}
	return owner && owner->is_redundant;
}

void perf_attach_enable(struct perf_attach *attach)
{
	attach->is_on = true;
	for (size_t i = 0; i < attach->thread_count; i++) {
		control_thread(attach, i, PERF_EVENT_IOC_ENABLE);
	}
}

void perf_attach_disable(struct perf_attach *attach)
{
	attach->is_on = false;
	for (size_t i = 0; i < attach->thread_count; i++) {
		control_thread(attach, i, PERF_EVENT_IOC_DISABLE);
	}
}

void perf_attach_count(const struct perf_attach *attach, uint64_t *ret_events, int64_t *ret_lost)
{
	size_t bytes = (attach->event.has_lost ? 2 : 1) * sizeof(uint64_t);
	uint64_t events = attach->past_events;
	uint64_t lost = attach->past_lost;

	for (size_t i = 0; i < attach->thread_count; i++) {
		for (uint32_t c = 0; c < attach->cpu_count && !attach->threads[i].is_redundant; c++) {
			uint64_t value[2] = {
				0, 0
			}; /* events, lost; inherited ones are included by the kernel */

			if (read(attach->fds[i * attach->cpu_count + c], value, bytes) == (ssize_t)bytes) {
				events += value[0];
				lost += value[1];
			}
		}
	}
	*ret_events = events;
	*ret_lost = attach->event.has_lost ? (int64_t)lost : -1;
}

void perf_attach_close(struct perf_attach *attach)
{
	for (size_t i = 0; i < attach->thread_count * attach->cpu_count; i++) {
		close(attach->fds[i]);
	}
	free(attach->fds);
	free(attach->threads);
	free(attach->suspects);
	memset(attach, 0, sizeof(*attach));
}

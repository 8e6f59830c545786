/* SPDX-License-Identifier: MIT */
/*
 * The events of following by perf, all into one ring a CPU: dummies of whole CPUs where that is allowed, else inherited dummies on
 * threads; or on a control group. Events on threads make each of their switches dearer (0.9 us measured), whatever they record.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target/track_inside.h"

#define RING_BYTES_MAX  (256u << 10) /* of a CPU */
#define RING_BYTES_MIN  (32u << 10)
#define RINGS_BYTES_MAX (4u << 20) /* of all */
#define ATTACH_ROUNDS   16

static int perf_open(struct perf_event_attr *attr, int32_t tid, int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static struct perf_event_attr dummy_attr(void)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(struct perf_event_attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = 1,
		.exclude_kernel =
			1, /* side records come all the same; without it perf_event_paranoid 2 refuses */
		.exclude_hv = 1,
	};
}

static struct perf_event_attr follow_attr(void)
{
	struct perf_event_attr attr = dummy_attr();

	attr.inherit = 1;
	attr.task = 1;
	attr.comm = 1;
	attr.comm_exec = 1;
	attr.mmap = 1;
	attr.mmap2 = 1;
	return attr;
}

/* The ring of a CPU hangs on an event of our own thread that records nothing: it outlives all of the target's. */
static int open_ring(struct track_perf *perf, uint32_t cpu, size_t data_bytes, int32_t own_tid)
{
	struct perf_event_attr attr = dummy_attr();
	struct ring *ring = &perf->rings[cpu];

	attr.disabled = 1;
	ring->fd = perf_open(&attr, own_tid, (int)cpu);
	if (ring->fd < 0) {
		return ring->fd;
	}
	ring->base =
		mmap(NULL, perf->page_bytes + data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (ring->base == MAP_FAILED) {
		int status = -errno;

		ring->base = NULL;
		return status;
	}
	ring->data_bytes = data_bytes;
	return 0;
}

static int refused(int errnum, struct pfc_error *err)
{
	char paranoid[16] = "?";

	procfs_read(paranoid, sizeof(paranoid), "/proc/sys/kernel/perf_event_paranoid");
	paranoid[strcspn(paranoid, "\n")] = '\0';
	error_errno(err, errnum, "perf_event_open for the target (perf_event_paranoid = %s)", paranoid);
	return error_hint(err, "CAP_PERFMON, or root");
}

int track_events_rings(struct track_perf *perf, struct pfc_error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t data_bytes = RING_BYTES_MAX;
	uint32_t open_count = 0;
	int status = 0;

	while (data_bytes > RING_BYTES_MIN && data_bytes * (size_t)cpus > RINGS_BYTES_MAX) {
		data_bytes /= 2;
	}
	perf->rings = calloc((size_t)cpus, sizeof(*perf->rings));
	if (perf->rings == NULL) {
		return error_nomem(err);
	}
	perf->ring_count = (uint32_t)cpus;
	for (uint32_t i = 0; i < perf->ring_count; i++) {
		perf->rings[i].fd = -1;
	}
	for (uint32_t i = 0; i < perf->ring_count; i++) {
		status = open_ring(perf, i, data_bytes, (int32_t)gettid());
		if (status == -ENODEV) {
			perf->rings[i].fd = -1; /* this CPU is off */
			continue;
		}
		if (status < 0) {
			return refused(-status, err);
		}
		open_count++;
	}
	return open_count > 0 ? PFC_OK
			      : error_set(err, PFC_ENOTSUP, "no CPU is on line", "follow the target by perf");
}

static int reserve_events(struct track_perf *perf)
{
	size_t room = perf->event_room > 0 ? perf->event_room * 2 : 64;
	int *events;
	int32_t *opened;

	if (perf->event_count + perf->ring_count > perf->event_max) {
		return -EMFILE;
	}
	if (perf->event_count + perf->ring_count <= perf->event_room) {
		return 0;
	}
	room += perf->ring_count;
	events = realloc(perf->events, room * sizeof(*events));
	if (events == NULL) {
		return -ENOMEM;
	}
	perf->events = events;
	opened = realloc(perf->opened, room * sizeof(*opened));
	if (opened == NULL) {
		return -ENOMEM;
	}
	perf->opened = opened;
	perf->event_room = room;
	return 0;
}

int track_events_wide(struct track_perf *perf)
{
	struct perf_event_attr attr = follow_attr();
	int status = 0;

	attr.inherit = 0;
	perf->born_limit = 1u << 22; /* PID_MAX_LIMIT of the kernel's threads.h */
	perf->born = calloc(perf->born_limit / 64, sizeof(*perf->born));
	status = perf->born == NULL ? -ENOMEM : reserve_events(perf);
	for (uint32_t i = 0; i < perf->ring_count && status == 0; i++) {
		int fd = perf->rings[i].fd < 0 ? -ENODEV : perf_open(&attr, -1, (int)i);

		if (fd >= 0) {
			perf->events[perf->event_count++] = fd;
			status = ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, perf->rings[i].fd) < 0 ? -errno : 0;
		} else if (fd != -ENODEV) {
			status = fd;
		}
	}
	while (status < 0 && perf->event_count > 0) {
		close(perf->events[--perf->event_count]);
	}
	perf->is_wide = status == 0;
	return status;
}

static bool is_opened(const struct track_perf *perf, int32_t tid)
{
	for (size_t i = perf->opened_count; i > 0; i--) {
		if (perf->opened[i - 1] == tid) {
			return true;
		}
	}
	return false;
}

/* Events on one thread. Returns 1, 0 when the thread is gone or has them, or -errno. */
static int follow_thread(struct track_perf *perf, int32_t tid)
{
	struct perf_event_attr attr = follow_attr();
	int status;

	if (is_opened(perf, tid)) {
		return 0;
	}
	status = reserve_events(perf);
	if (status < 0) {
		return status;
	}
	for (uint32_t i = 0; i < perf->ring_count; i++) {
		int fd;

		if (perf->rings[i].fd < 0) {
			continue;
		}
		fd = perf_open(&attr, tid, (int)i);
		if (fd == -ESRCH || fd == -ENODEV) {
			return 0;
		}
		if (fd < 0) {
			return fd;
		}
		perf->events[perf->event_count++] = fd;
		if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, perf->rings[i].fd) < 0) {
			return -errno;
		}
	}
	perf->opened[perf->opened_count++] = tid;
	return 1;
}

/* Events on all threads of a process. Returns how many threads are new, or -errno. */
static int follow_process(struct track_perf *perf, int32_t pid)
{
	char folder[64];
	int32_t *tids;
	size_t count;
	int added = 0;
	int status;

	snprintf(folder, sizeof(folder), "/proc/%d/task", (int)pid);
	status = procfs_numbers(folder, &tids, &count);
	if (status < 0) {
		return status == -ENOENT || status == -ESRCH ? 0 : status;
	}
	for (size_t i = 0; i < count && status >= 0; i++) {
		status = follow_thread(perf, tids[i]);
		added += status > 0;
	}
	free(tids);
	return status < 0 ? status : added;
}

/*
 * What is there gets its events; what is started meanwhile inherits them, or shows up in the next round. A round that finds
 * no new thread is the last: then every thread inherits.
 */
int track_events_tree(struct track_perf *perf, int32_t root_pid, struct pfc_error *err)
{
	for (int round = 0; round < ATTACH_ROUNDS; round++) {
		int32_t *pids;
		size_t count;
		int added = 0;
		int status = tracker_list_tree(root_pid, &pids, &count);

		if (status < 0) {
			return error_errno(err, -status, "list the target's processes");
		}
		for (size_t i = 0; i < count && status >= 0; i++) {
			status = follow_process(perf, pids[i]);
			added += status > 0 ? status : 0;
		}
		free(pids);
		if (status == -EMFILE) {
			return error_set(
				err, PFC_ENOSPC,
				"it has more threads than there are descriptors for (threads x CPUs)",
				"follow the target by perf");
		}
		if (status < 0) {
			return refused(-status, err);
		}
		if (added == 0) {
			return PFC_OK;
		}
	}
	return PFC_OK;
}

/* Events on the control group, one a CPU: whoever runs in it is seen, also who enters later. */
int track_events_group(struct track_perf *perf, const struct container *container, struct pfc_error *err)
{
	struct perf_event_attr attr = follow_attr();
	int folder = open(container->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status = PFC_OK;

	if (folder < 0) {
		return error_errno(err, errno, "open %.200s", container->folder);
	}
	attr.inherit = 0;
	status = reserve_events(perf) < 0 ? error_nomem(err) : PFC_OK;
	for (uint32_t i = 0; i < perf->ring_count && status == PFC_OK; i++) {
		int fd;

		if (perf->rings[i].fd < 0) {
			continue;
		}
		fd = (int)syscall(SYS_perf_event_open, &attr, folder, (int)i, -1,
				  PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);
		if (fd < 0 && errno == ENODEV) {
			continue;
		}
		if (fd < 0) {
			status = refused(errno, err);
			break;
		}
		perf->events[perf->event_count++] = fd;
		if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, perf->rings[i].fd) < 0) {
			status = refused(errno, err);
		}
	}
	close(folder);
	return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * Following by perf: a dummy software event on every thread and CPU, inherited by what they start, whose records (fork, exit,
 * comm, mmap2) go to one ring a CPU. Records of all rings are put in order of time before they count: one is taken once it is
 * so old that none before it can still come.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target/track.h"

#define RING_BYTES_MAX  (256u << 10) /* of a CPU */
#define RING_BYTES_MIN  (32u << 10)
#define RINGS_BYTES_MAX (4u << 20) /* of all */
#define RECORD_BYTES_MAX 65536u
#define HOLD_NS          10000000u /* a record is written this long after its time stamp at the latest, scheduled away between */
#define PENDING_MAX      65536u
#define ATTACH_ROUNDS    16
#define RESCAN_NS        250000000u /* not more often than this after losses */
#define ENTRANTS_NS      500000000u /* how often a control group is listed for processes that were moved into it */

struct ring {
	int fd;
	void *base;
	uint64_t data_bytes;
};

/** A record that waits for its moment; which fields count depends on its kind. */
struct pending {
	uint64_t time_ns;
	uint64_t order;
	uint32_t kind; /* enum pfc_target_event_kind */
	int32_t pid;
	int32_t tid;
	int32_t ppid;
	struct proc_map map;
	char *text; /* owned */
};

struct track_perf {
	size_t page_bytes;
	uint32_t ring_count;
	struct ring *rings;
	int *events; /* descriptors of all threads' events */
	size_t event_count;
	size_t event_room;
	size_t event_max;
	int32_t *opened; /* threads that have events */
	size_t opened_count;
	struct pending *pending;
	size_t pending_count;
	size_t pending_room;
	uint64_t order;
	uint64_t rescan_ns; /* when the next rescan may be; 0: none is due */
	uint64_t rescanned_ns;
	uint64_t entrants_ns; /* when the group is listed next */
	unsigned char record[RECORD_BYTES_MAX];
};

/* ---- events ---- */

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
		.exclude_kernel = 1, /* side records come all the same; without it perf_event_paranoid 2 refuses */
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
	ring->base = mmap(NULL, perf->page_bytes + data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
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

static int open_rings(struct track_perf *perf, struct pfc_error *err)
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
	return open_count > 0 ? PFC_OK : error_set(err, PFC_ENOTSUP, "no CPU is on line", "follow the target by perf");
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
static int follow_tree(struct track_perf *perf, int32_t root_pid, struct pfc_error *err)
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
			return error_set(err, PFC_ENOSPC, "it has more threads than there are descriptors for (threads x CPUs)",
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
static int follow_group(struct track_perf *perf, const struct container *container, struct pfc_error *err)
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
		fd = (int)syscall(SYS_perf_event_open, &attr, folder, (int)i, -1, PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC);
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

/* ---- records ---- */

static struct pending *add_pending(struct track_perf *perf)
{
	struct pending *pending;

	if (perf->pending_count == perf->pending_room) {
		size_t room = perf->pending_room > 0 ? perf->pending_room * 2 : 256;

		pending = realloc(perf->pending, room * sizeof(*pending));
		if (pending == NULL) {
			return NULL;
		}
		perf->pending = pending;
		perf->pending_room = room;
	}
	pending = &perf->pending[perf->pending_count++];
	*pending = (struct pending){ .order = perf->order++ };
	return pending;
}

/* The time of a record whose body does not hold it: sample_id_all puts it at the end. */
static uint64_t trailing_time(const unsigned char *record, size_t bytes)
{
	uint64_t time_ns = 0;

	if (bytes >= sizeof(struct perf_event_header) + sizeof(time_ns)) {
		memcpy(&time_ns, record + bytes - sizeof(time_ns), sizeof(time_ns));
	}
	return time_ns;
}

struct task_record {
	struct perf_event_header header;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time_ns;
};

struct comm_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	char name[];
};

struct mmap2_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t start, length, offset;
	uint32_t dev_major, dev_minor;
	uint64_t inode, inode_generation;
	uint32_t protection, flags;
	char path[];
};

struct lost_record {
	struct perf_event_header header;
	uint64_t id, count;
};

static void take_task(struct pending *pending, const void *record, uint32_t kind)
{
	const struct task_record *task = record;

	pending->kind = kind;
	pending->time_ns = task->time_ns;
	pending->pid = (int32_t)task->pid;
	pending->tid = (int32_t)task->tid;
	pending->ppid = (int32_t)task->ppid;
}

static void take_comm(struct pending *pending, const void *record)
{
	const struct comm_record *comm = record;
	bool is_exec = (comm->header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0;

	pending->kind = is_exec ? PFC_TARGET_EXEC : PFC_TARGET_NAME;
	pending->pid = (int32_t)comm->pid;
	pending->tid = (int32_t)comm->tid;
	pending->text = strndup(comm->name, comm->header.size - sizeof(*comm) - 8);
}

static void take_mmap2(struct tracker *tracker, struct pending *pending, const void *record)
{
	const struct mmap2_record *mmap2 = record;

	pending->kind = PFC_TARGET_MAP;
	pending->pid = (int32_t)mmap2->pid;
	pending->tid = (int32_t)mmap2->tid;
	pending->text = strndup(mmap2->path, mmap2->header.size - sizeof(*mmap2) - 8);
	pending->map = (struct proc_map){
		.start = mmap2->start,
		.length = mmap2->length,
		.offset = mmap2->offset,
		.inode = mmap2->inode,
		.dev_major = mmap2->dev_major,
		.dev_minor = mmap2->dev_minor,
		.path = pending->text,
	};
	/* Look for the file now: the process may be gone when the record's moment comes. */
	if (pending->text != NULL) {
		opener_see(tracker->opener, pending->pid, &pending->map);
	}
}

static size_t least_bytes(uint32_t type)
{
	switch (type) {
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return sizeof(struct task_record);
	case PERF_RECORD_COMM:
		return sizeof(struct comm_record) + 8;
	case PERF_RECORD_MMAP2:
		return sizeof(struct mmap2_record) + 8;
	case PERF_RECORD_LOST:
		return sizeof(struct lost_record);
	default:
		return SIZE_MAX;
	}
}

static void take_record(struct tracker *tracker, struct track_perf *perf, const void *record)
{
	const struct perf_event_header *header = record;
	struct pending *pending;

	if (header->size < least_bytes(header->type)) {
		return;
	}
	pending = add_pending(perf);
	if (pending == NULL) {
		tracker->state.lost++;
		return;
	}
	pending->time_ns = trailing_time(record, header->size);
	switch (header->type) {
	case PERF_RECORD_FORK:
		take_task(pending, record, PFC_TARGET_FORK);
		break;
	case PERF_RECORD_EXIT:
		take_task(pending, record, PFC_TARGET_EXIT);
		break;
	case PERF_RECORD_COMM:
		take_comm(pending, record);
		break;
	case PERF_RECORD_MMAP2:
		take_mmap2(tracker, pending, record);
		break;
	default:
		pending->kind = PFC_TARGET_LOST;
		pending->map.length = ((const struct lost_record *)record)->count;
		break;
	}
}

/* Copy out of the ring, which wraps. */
static void copy_out(const struct ring *ring, const unsigned char *data, uint64_t at, void *to, size_t bytes)
{
	size_t offset = (size_t)(at & (ring->data_bytes - 1));
	size_t first = ring->data_bytes - offset < bytes ? (size_t)(ring->data_bytes - offset) : bytes;

	memcpy(to, data + offset, first);
	memcpy((unsigned char *)to + first, data, bytes - first);
}

static void drain_ring(struct tracker *tracker, struct track_perf *perf, const struct ring *ring)
{
	struct perf_event_mmap_page *page = ring->base;
	const unsigned char *data = (const unsigned char *)ring->base + perf->page_bytes;
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = page->data_tail;

	while (head - tail >= sizeof(struct perf_event_header)) {
		struct perf_event_header header;

		copy_out(ring, data, tail, &header, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail) {
			tail = head; /* cannot be; go on behind it */
			tracker->state.lost++;
			break;
		}
		copy_out(ring, data, tail, perf->record, header.size);
		take_record(tracker, perf, perf->record);
		tail += header.size;
	}
	__atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}

/* ---- into the state ---- */

/*
 * A process that entered the group from outside ("docker exec"): its fork was seen nowhere. It begins with the first record
 * of it; what it has mapped until then is read, unless it just runs a new program.
 */
static void admit(struct tracker *tracker, const struct pending *pending)
{
	bool is_fact = pending->kind == PFC_TARGET_EXEC || pending->kind == PFC_TARGET_NAME || pending->kind == PFC_TARGET_MAP;

	if (tracker->track_group == NULL || !is_fact || state_proc(&tracker->state, pending->pid) != NULL) {
		return;
	}
	state_fork(&tracker->state, pending->time_ns, pending->pid, pending->pid, 0);
	if (pending->tid != pending->pid) {
		state_fork(&tracker->state, pending->time_ns, pending->pid, pending->tid, pending->pid);
	}
	if (pending->kind != PFC_TARGET_EXEC) {
		tracker_refresh(tracker, pending->pid, pending->time_ns, true);
	}
}

static void apply(struct tracker *tracker, struct track_perf *perf, const struct pending *pending)
{
	struct state *state = &tracker->state;
	const char *text = pending->text != NULL ? pending->text : "";

	admit(tracker, pending);

	switch (pending->kind) {
	case PFC_TARGET_FORK:
		state_fork(state, pending->time_ns, pending->pid, pending->tid, pending->ppid);
		break;
	case PFC_TARGET_EXIT:
		state_exit(state, pending->time_ns, pending->pid, pending->tid);
		break;
	case PFC_TARGET_EXEC:
		state_exec(state, pending->time_ns, pending->pid, text);
		break;
	case PFC_TARGET_NAME:
		state_name(state, pending->time_ns, pending->pid, pending->tid, text);
		break;
	case PFC_TARGET_MAP:
		if (pending->map.path != NULL) {
			state_map(state, pending->time_ns, pending->pid, pending->tid, &pending->map);
		}
		break;
	default:
		state->lost += pending->map.length;
		break;
	}
	if (pending->kind == PFC_TARGET_LOST && perf->rescan_ns == 0) {
		perf->rescan_ns = perf->rescanned_ns + RESCAN_NS;
	}
}

static int compare_pending(const void *a, const void *b)
{
	const struct pending *left = a;
	const struct pending *right = b;

	if (left->time_ns != right->time_ns) {
		return left->time_ns < right->time_ns ? -1 : 1;
	}
	return left->order < right->order ? -1 : left->order > right->order;
}

static void apply_until(struct tracker *tracker, struct track_perf *perf, uint64_t until_ns)
{
	size_t done = 0;

	if (perf->pending_count == 0) {
		return;
	}
	qsort(perf->pending, perf->pending_count, sizeof(*perf->pending), compare_pending);
	while (done < perf->pending_count &&
	       (perf->pending[done].time_ns < until_ns || perf->pending_count - done > PENDING_MAX)) {
		apply(tracker, perf, &perf->pending[done]);
		free(perf->pending[done].text);
		done++;
	}
	perf->pending_count -= done;
	memmove(perf->pending, perf->pending + done, perf->pending_count * sizeof(*perf->pending));
}

/* After losses: what /proc shows now. What ended unseen goes when its id is used again, or here. */
static void rescan(struct tracker *tracker, struct track_perf *perf, uint64_t time_ns)
{
	int32_t *pids;
	size_t count;

	perf->rescan_ns = 0;
	perf->rescanned_ns = time_ns;
	tracker_drop_ended(tracker, time_ns);
	if (tracker_list(tracker, &pids, &count) < 0) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		tracker_refresh(tracker, pids[i], time_ns, false);
	}
	free(pids);
}

/* Who was moved into the group and has done nothing since that makes a record. */
static void find_entrants(struct tracker *tracker, struct track_perf *perf, uint64_t now_ns, uint64_t time_ns)
{
	int32_t *pids;
	size_t count;

	perf->entrants_ns = now_ns + ENTRANTS_NS;
	if (tracker_list(tracker, &pids, &count) < 0) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (state_proc(&tracker->state, pids[i]) == NULL) {
			tracker_refresh(tracker, pids[i], time_ns, true);
		}
	}
	free(pids);
}

uint64_t track_perf_drain(struct tracker *tracker, struct track_perf *perf)
{
	uint64_t now_ns = procfs_now_ns();
	uint64_t until_ns = now_ns - HOLD_NS;

	for (uint32_t i = 0; i < perf->ring_count; i++) {
		if (perf->rings[i].base != NULL) {
			drain_ring(tracker, perf, &perf->rings[i]);
		}
	}
	apply_until(tracker, perf, until_ns);
	if (perf->rescan_ns != 0 && now_ns >= perf->rescan_ns) {
		rescan(tracker, perf, until_ns);
	}
	if (tracker->track_group != NULL && now_ns >= perf->entrants_ns) {
		find_entrants(tracker, perf, now_ns, until_ns);
	}
	return until_ns;
}

bool track_perf_pending(const struct track_perf *perf)
{
	return perf->pending_count > 0;
}

uint32_t track_perf_rings(const struct track_perf *perf)
{
	return perf->ring_count;
}

int track_perf_fd(const struct track_perf *perf, uint32_t ring)
{
	return perf->rings[ring].fd;
}

void track_perf_close(struct track_perf *perf)
{
	if (perf == NULL) {
		return;
	}
	for (size_t i = 0; i < perf->event_count; i++) {
		close(perf->events[i]);
	}
	for (uint32_t i = 0; i < perf->ring_count; i++) {
		if (perf->rings[i].base != NULL) {
			munmap(perf->rings[i].base, perf->page_bytes + perf->rings[i].data_bytes);
		}
		if (perf->rings[i].fd >= 0) {
			close(perf->rings[i].fd);
		}
	}
	for (size_t i = 0; i < perf->pending_count; i++) {
		free(perf->pending[i].text);
	}
	free(perf->pending);
	free(perf->events);
	free(perf->opened);
	free(perf->rings);
	free(perf);
}

/* A third of the descriptors: files and stages need theirs. */
static size_t events_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 3 : 256;
}

int track_perf_open(struct tracker *tracker, struct track_perf **ret, struct pfc_error *err)
{
	struct track_perf *perf = calloc(1, sizeof(*perf));
	int status;

	if (perf == NULL) {
		return error_nomem(err);
	}
	perf->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	perf->event_max = events_max();
	status = open_rings(perf, err);
	if (status == PFC_OK) {
		status = tracker->track_group != NULL ? follow_group(perf, &tracker->track_group->container, err) :
							follow_tree(perf, tracker->root_pid, err);
	}
	if (status < 0) {
		track_perf_close(perf);
		return status;
	}
	*ret = perf;
	return PFC_OK;
}

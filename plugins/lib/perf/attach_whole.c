/* SPDX-License-Identifier: MIT */
/* Events on a control group or on the whole machine, one for each CPU: see attach.h. */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The events on all CPUs, all or none: of the group whose folder is open, or of everything that runs (folder_fd -1). Returns 0
 * or -errno, and the CPU that failed.
 */
static int open_on_cpus(struct perf_attach *attach, int folder_fd, int32_t *ret_cpu)
{
	struct perf_event_attr attr;

	perf_event_fill(&attach->event, &attr);
	attr.inherit = 0; /* whoever runs there is sampled, however it came there */
	for (uint32_t c = 0; c < attach->cpu_count; c++) {
		int32_t cpu = attach->rings[c].cpu;
		int fd = folder_fd >= 0 ? perf_event_open_group(&attr, folder_fd, cpu)
					: perf_event_open(&attr, -1, cpu);
		int rc = fd < 0 ? fd : 0;

		if (rc == 0 && ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, attach->rings[c].fd) != 0) {
			rc = -errno;
			close(fd);
		}
		if (rc < 0) {
			*ret_cpu = cpu;
			while (c-- > 0) {
				close(attach->fds[c]);
			}
			return rc;
		}
		attach->fds[c] = fd;
	}
	return 0;
}

/* Returns 0 or -errno; attach->fds hold the events. */
static int open_folder(struct perf_attach *attach, const char *folder, int32_t *ret_cpu)
{
	struct stat stat_buf;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fstat(fd, &stat_buf) < 0 ? -errno : 0;

	*ret_cpu = -1;
	if (rc == 0) {
		rc = open_on_cpus(attach, fd, ret_cpu);
	}
	if (rc == 0) {
		attach->group_inode = stat_buf.st_ino;
	}
	if (fd >= 0) {
		close(fd);
	}
	return rc;
}

/* Stands as one entry among the threads. */
static void be_whole(struct perf_attach *attach, enum perf_scope scope)
{
	attach->scope = scope;
	attach->threads[0] = (struct perf_attach_thread){ .pid = 0, .tid = 0 };
	attach->thread_count = 1;
	attach->passes = 1;
}

int perf_attach_group(struct perf_attach *attach, const char *folder, struct perf_refusal *refusal)
{
	int32_t cpu = -1;
	int rc;

	if (perf_attach_make_room(attach, 1) < 0) {
		return perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "",
					"events for the target's control group");
	}
	rc = open_folder(attach, folder, &cpu);
	if (rc < 0) {
		return perf_refusal_explain(-rc, attach->event.name, 0, cpu, refusal);
	}
	attach->group = folder;
	be_whole(attach, PERF_SCOPE_GROUP);
	return 0;
}

int perf_attach_cpus(struct perf_attach *attach, struct perf_refusal *refusal)
{
	int32_t cpu = -1;
	int rc;

	if (perf_attach_make_room(attach, 1) < 0) {
		return perf_refusal_set(refusal, PFC_ENOMEM, "out of memory", "", "events for the CPUs");
	}
	rc = open_on_cpus(attach, -1, &cpu);
	if (rc < 0) {
		return perf_refusal_explain(-rc, attach->event.name, -1, cpu, refusal);
	}
	be_whole(attach, PERF_SCOPE_CPUS);
	return 0;
}

bool perf_attach_renew(struct perf_attach *attach, const char *folder)
{
	struct stat stat_buf;
	uint64_t events = 0;
	int64_t lost = 0;
	int32_t cpu;

	if (!attach->group || !folder) {
		return false;
	}
	attach->group = folder;
	if (stat(folder, &stat_buf) < 0 || stat_buf.st_ino == attach->group_inode) {
		return false;
	}
	perf_attach_count(attach, &events, &lost);
	for (size_t i = 0; i < attach->thread_count * attach->cpu_count; i++) {
		close(attach->fds[i]);
	}
	attach->past_events = events;
	attach->past_lost = lost > 0 ? (uint64_t)lost : 0;
	attach->thread_count = open_folder(attach, attach->group, &cpu) == 0;
	attach->group_inode = stat_buf.st_ino; /* what could not be opened is not tried at every look */
	if (attach->is_on) {
		perf_attach_enable(attach);
	}
	return true;
}

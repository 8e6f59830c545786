/* SPDX-License-Identifier: MIT */
#include "target/opener.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <profcore/ext/draft/target.h>

#include "target/opener_inside.h"
#include "target/wire.h"

#define KEPT_MAX      4096u /* descriptors; at most a quarter of what the process may have */
#define JOBS_MAX      16384u
#define WORKERS_MAX   4u
#define WORKER_STACK  (256u << 10)
#define STUCK_NS      100000000u  /* a worker this long in one file gets company */
#define LEAVE_WAIT_NS 1000000000u /* how long destroy waits for workers */

/* ---- workers ---- */

static uint64_t now_ns(void)
{
	return procfs_now_ns();
}

static void wait_ns(struct opener *opener, pthread_cond_t *cond, uint64_t until_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u),
	};

	pthread_cond_timedwait(cond, &opener->lock, &until);
}

/* Wait until no other worker is at the file; false when that takes too long: it hangs. */
static bool take_file(struct opener *opener, struct file *file)
{
	uint64_t until_ns = now_ns() + STUCK_NS;

	while (file->busy && now_ns() < until_ns) {
		wait_ns(opener, &opener->changed, until_ns);
	}
	if (file->busy) {
		return false;
	}
	file->busy = true;
	return true;
}

/* As do_job, for a file that belongs to another: found anew each time, for they are asked for once. */
static void do_related(struct opener *opener, const struct job *job)
{
	struct related related = { .kind = job->related_kind,
				   .pid = job->related_pid,
				   .path = job->file != NULL ? job->file->path : NULL,
				   .name = job->related_name };
	int root_fd = opener->root_fd;
	int status = PFC_ETIMEDOUT;
	int found;

	pthread_mutex_unlock(&opener->lock);
	if (now_ns() <= job->until_ns) {
		found = related_find(&related, root_fd);
		status = found < 0 ? found : opener_file_reopen(found);
		if (found >= 0) {
			close(found);
		}
	}
	opener_file_send(job->answer_fd, job->id, status);
	pthread_mutex_lock(&opener->lock);
}

/* Called with the lock; lets go of it while it touches the file system. */
static void do_job(struct opener *opener, const struct job *job)
{
	struct file *file = job->file;
	int dropped = -1;
	int root_fd = opener->root_fd;
	int status = PFC_ETIMEDOUT;
	int found;

	if (job->answer_fd >= 0 && now_ns() > job->until_ns) {
		opener_file_send(job->answer_fd, job->id, PFC_ETIMEDOUT);
		return;
	}
	if (!take_file(opener, file)) {
		if (job->answer_fd >= 0) {
			opener_file_send(job->answer_fd, job->id, PFC_ETIMEDOUT);
		}
		return;
	}
	if (file->fd < 0) {
		pthread_mutex_unlock(&opener->lock);
		found = opener_file_find(file, root_fd);
		pthread_mutex_lock(&opener->lock);
		file->status = found < 0 ? found : 0;
		file->fd = found < 0 ? -1 : found;
		if (found >= 0) {
			opener_link(opener, file);
			opener->kept++;
			dropped = opener_drop_oldest(opener);
		}
	} else {
		opener_unlink(opener, file);
		opener_link(opener, file);
	}
	pthread_mutex_unlock(&opener->lock);
	if (dropped >= 0) {
		close(dropped);
	}
	if (job->answer_fd >= 0) {
		status = file->fd >= 0 ? opener_file_reopen(file->fd) : file->status;
		opener_file_send(job->answer_fd, job->id, status);
	}
	pthread_mutex_lock(&opener->lock);
	file->busy = false;
	pthread_cond_broadcast(&opener->changed);
}

static void free_job(struct job *job)
{
	if (job->answer_fd >= 0) {
		close(job->answer_fd);
	}
	free(job);
}

/* The last one out frees; called with the lock. */
static void leave(struct opener *opener)
{
	bool last = --opener->refs == 0;

	pthread_cond_broadcast(&opener->changed);
	pthread_mutex_unlock(&opener->lock);
	if (!last) {
		return;
	}
	for (struct job *job = opener->jobs, *next; job != NULL; job = next) {
		next = job->next;
		free_job(job);
	}
	for (uint32_t i = 0; i < BUCKETS; i++) {
		for (struct file *file = opener->files[i], *next; file != NULL; file = next) {
			next = file->next;
			if (file->fd >= 0) {
				close(file->fd);
			}
			free(file);
		}
	}
	if (opener->root_fd >= 0) {
		close(opener->root_fd);
	}
	pthread_cond_destroy(&opener->work);
	pthread_cond_destroy(&opener->changed);
	pthread_mutex_destroy(&opener->lock);
	free(opener);
}

static void *worker_main(void *arg)
{
	struct opener *opener = arg;

	pthread_mutex_lock(&opener->lock);
	while (!opener->stopping) {
		struct job *job = opener->jobs;

		if (job == NULL) {
			opener->idle++;
			pthread_cond_wait(&opener->work, &opener->lock);
			opener->idle--;
			continue;
		}
		opener->jobs = job->next;
		if (opener->jobs == NULL) {
			opener->jobs_end = &opener->jobs;
		}
		opener->job_count--;
		opener->busy_since_ns = now_ns();
		if (job->related_kind != 0) {
			do_related(opener, job);
		} else {
			do_job(opener, job);
		}
		free_job(job);
	}
	opener->workers--;
	leave(opener);
	return NULL;
}

static void start_worker(struct opener *opener)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (pthread_attr_init(&attr) != 0) {
		return;
	}
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	if (pthread_create(&thread, &attr, worker_main, opener) == 0) {
		opener->workers++;
		opener->refs++;
	}
	pthread_attr_destroy(&attr);
}

/* With the lock. [moved] answer_fd. */
static bool push(struct opener *opener, struct file *file, int answer_fd, uint32_t id,
		 const struct related *related)
{
	struct job *job = opener->job_count < JOBS_MAX && !opener->stopping ? calloc(1, sizeof(*job)) : NULL;

	if (job == NULL) {
		return false;
	}
	job->file = file;
	job->answer_fd = answer_fd;
	job->id = id;
	job->until_ns = now_ns() + WIRE_ANSWER_MS * 1000000ull;
	if (related != NULL) {
		job->related_kind = related->kind;
		job->related_pid = related->pid;
		snprintf(job->related_name, sizeof(job->related_name), "%s", related->name);
	}
	*opener->jobs_end = job;
	opener->jobs_end = &job->next;
	opener->job_count++;
	if (opener->idle > 0) {
		pthread_cond_signal(&opener->work);
	} else if (opener->workers == 0 ||
		   (opener->workers < WORKERS_MAX && now_ns() > opener->busy_since_ns + STUCK_NS)) {
		start_worker(opener);
	}
	return true;
}

/* ---- interface ---- */

static uint32_t descriptors_to_keep(void)
{
	struct rlimit limit;
	rlim_t quarter;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 64;
	}
	quarter = limit.rlim_cur / 4;
	return quarter < KEPT_MAX ? (uint32_t)quarter : KEPT_MAX;
}

int opener_create(int32_t root_pid, struct opener **ret, struct pfc_error *err)
{
	struct opener *opener = calloc(1, sizeof(*opener));
	pthread_condattr_t attr;
	char root[64];

	if (opener == NULL) {
		return error_nomem(err);
	}
	pthread_mutex_init(&opener->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&opener->work, &attr);
	pthread_cond_init(&opener->changed, &attr);
	pthread_condattr_destroy(&attr);
	opener->refs = 1;
	opener->jobs_end = &opener->jobs;
	opener->kept_max = descriptors_to_keep();
	snprintf(root, sizeof(root), "/proc/%d/root", (int)root_pid);
	opener->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret = opener;
	return PFC_OK;
}

void opener_see(struct opener *opener, int32_t pid, const struct proc_map *map)
{
	struct file *file;

	if (map->inode == 0) {
		return;
	}
	pthread_mutex_lock(&opener->lock);
	file = opener_entry(opener, map);
	if (file == NULL) {
		file = opener_add(opener, map);
	}
	if (file != NULL && !file->busy) {
		bool is_new = file->pid == 0;

		file->pid = pid;
		file->start = map->start;
		file->length = map->length;
		/* Where it could not be found for one process, another may show it. */
		if (is_new || (file->fd < 0 && file->status < 0)) {
			file->status = 0;
			push(opener, file, -1, 0, NULL);
		}
	}
	pthread_mutex_unlock(&opener->lock);
}

void opener_request(struct opener *opener, int answer_fd, uint32_t id, const struct proc_map *map,
		    const struct related *related)
{
	struct file *file;
	int status = PFC_ENOENT;

	pthread_mutex_lock(&opener->lock);
	file = opener_entry(opener, map);
	if (file != NULL || (related != NULL && related->kind == PFC_TARGET_PERF_MAP)) {
		status = push(opener, file, answer_fd, id, related) ? PFC_OK : PFC_ETIMEDOUT;
	}
	pthread_mutex_unlock(&opener->lock);
	if (status < 0) {
		opener_file_send(answer_fd, id, status);
		close(answer_fd);
	}
}

void opener_destroy(struct opener *opener)
{
	uint64_t until_ns = now_ns() + LEAVE_WAIT_NS;

	if (opener == NULL) {
		return;
	}
	pthread_mutex_lock(&opener->lock);
	opener->stopping = true;
	pthread_cond_broadcast(&opener->work);
	while (opener->workers > 0 && now_ns() < until_ns) {
		wait_ns(opener, &opener->changed, until_ns);
	}
	leave(opener);
}

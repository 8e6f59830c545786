/* SPDX-License-Identifier: MIT */
#include "stacks/module_open.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/host.h>
#include <profcore/status.h>

#define THREAD_STACK (512U << 10)

struct module_job {
	struct module_job *next;
	struct module_request request;
	struct module_found found;
	bool is_done;
};

struct module_opener {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct module_job *jobs, **jobs_end; /* waiting, and the one at hand */
	struct module_job *ready;            /* done, not taken */
	bool is_ending;
};

static int open_file(const struct module_request *request, struct elf_image *ret)
{
	const struct pfc_target_service *target = request->target;
	struct stat stat;
	int fd;

	if (target == NULL || !PFC_HAS(target, open_mapped)) {
		return PFC_ENOTSUP;
	}
	if (!request->may_open) {
		return PFC_ENOSPC;
	}
	fd = target->open_mapped(target->ctx, &request->map);
	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
		close(fd);
		return PFC_EINVAL;
	}
	*ret = (struct elf_image){ .fd = fd, .bytes = (uint64_t)stat.st_size };
	return 0;
}

/* While the process lives: later nobody knows what pid it saw itself. */
static void find_map(const struct module_request *request, struct module_found *found)
{
	const struct pfc_target_service *target = request->target;

	if (request->may_open && target != NULL && PFC_HAS(target, open_related)) {
		found->map_fd = target->open_related(target->ctx, &request->map, PFC_TARGET_PERF_MAP, NULL);
		found->status = found->map_fd < 0 ? found->map_fd : 0;
	}
}

static void read_table(struct module_found *found)
{
	found->has_tried_table = true;
	found->table = malloc(sizeof(*found->table));
	if (found->table != NULL && unwind_table_read(&found->image, &found->headers, found->table) != 0) {
		free(found->table);
		found->table = NULL;
	}
}

void module_open(const struct module_request *request, struct module_found *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->image.fd = -1;
	ret->map_fd = -1;
	if (request->is_bare) {
		find_map(request, ret);
		return;
	}
	ret->status = open_file(request, &ret->image);
	if (ret->status == 0) {
		ret->status = elf_read_headers(&ret->image, &ret->headers);
	}
	if (ret->status == 0 && request->wants_table) {
		read_table(ret);
	}
	if (ret->status != 0 && ret->image.fd >= 0) {
		close(ret->image.fd);
		ret->image.fd = -1;
	}
}

void module_found_finish(struct module_found *found)
{
	if (found->table != NULL) {
		unwind_table_finish(found->table);
		free(found->table);
	}
	if (found->image.fd >= 0) {
		close(found->image.fd);
	}
	if (found->map_fd >= 0) {
		close(found->map_fd);
	}
}

static void *open_all(void *ctx)
{
	struct module_opener *opener = ctx;

	/* The host lets a collector go first, for its rings; this is no reason to. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), 0);
	pthread_mutex_lock(&opener->lock);
	while (!opener->is_ending) {
		struct module_job *job = opener->jobs;

		if (job == NULL) {
			pthread_cond_wait(&opener->work, &opener->lock);
			continue;
		}
		pthread_mutex_unlock(&opener->lock);
		module_open(&job->request, &job->found);
		pthread_mutex_lock(&opener->lock);
		opener->jobs = job->next;
		if (opener->jobs == NULL) {
			opener->jobs_end = &opener->jobs;
		}
		job->next = opener->ready;
		opener->ready = job;
		job->is_done = true;
		pthread_cond_broadcast(&opener->done);
	}
	pthread_mutex_unlock(&opener->lock);
	return NULL;
}

static struct module_opener *create_opener(void)
{
	struct module_opener *opener = calloc(1, sizeof(*opener));
	pthread_attr_t attr;
	sigset_t all, before;
	int failed;

	if (opener == NULL) {
		return NULL;
	}
	pthread_mutex_init(&opener->lock, NULL);
	pthread_cond_init(&opener->work, NULL);
	pthread_cond_init(&opener->done, NULL);
	opener->jobs_end = &opener->jobs;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&opener->thread, &attr, open_all, opener);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (failed != 0) {
		free(opener);
		return NULL;
	}
	return opener;
}

struct module_job *module_open_later(struct module_opener **opener, const struct module_request *request)
{
	struct module_job *job = calloc(1, sizeof(*job));

	if (*opener == NULL) {
		*opener = create_opener();
	}
	if (job == NULL || *opener == NULL) {
		free(job);
		return NULL;
	}
	job->request = *request;
	pthread_mutex_lock(&(*opener)->lock);
	*(*opener)->jobs_end = job;
	(*opener)->jobs_end = &job->next;
	pthread_cond_signal(&(*opener)->work);
	pthread_mutex_unlock(&(*opener)->lock);
	return job;
}

bool module_job_take(struct module_opener *opener, struct module_job *job, bool wait,
		     struct module_found *ret)
{
	struct module_job **at = &opener->ready;
	bool is_done;

	pthread_mutex_lock(&opener->lock);
	while (wait && !job->is_done) {
		pthread_cond_wait(&opener->done, &opener->lock);
	}
	is_done = job->is_done;
	while (is_done && *at != job) {
		at = &(*at)->next;
	}
	if (is_done) {
		*at = job->next;
		*ret = job->found;
	}
	pthread_mutex_unlock(&opener->lock);
	if (is_done) {
		free(job);
	}
	return is_done;
}

static void free_jobs(struct module_job *jobs)
{
	for (struct module_job *job = jobs, *next; job != NULL; job = next) {
		next = job->next;
		if (job->is_done) {
			module_found_finish(&job->found);
		}
		free(job);
	}
}

void module_opener_destroy(struct module_opener *opener)
{
	if (opener == NULL) {
		return;
	}
	pthread_mutex_lock(&opener->lock);
	opener->is_ending = true;
	pthread_cond_signal(&opener->work);
	pthread_mutex_unlock(&opener->lock);
	pthread_join(opener->thread, NULL);
	free_jobs(opener->jobs);
	free_jobs(opener->ready);
	pthread_mutex_destroy(&opener->lock);
	pthread_cond_destroy(&opener->work);
	pthread_cond_destroy(&opener->done);
	free(opener);
}

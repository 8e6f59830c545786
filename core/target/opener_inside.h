/* SPDX-License-Identifier: MIT */
/* What opener.c (jobs, workers) and opener_table.c (the files that were seen) share. */
#ifndef CORE_TARGET_OPENER_INSIDE_H
#define CORE_TARGET_OPENER_INSIDE_H

#include <pthread.h>

#include "target/opener.h"
#include "target/opener_file.h"

#define BUCKETS 1024u

/** Something to do: look at a file, or at one that belongs to it, and answer when answer_fd is not -1. */
struct job {
	struct job *next;
	struct file *file; /* NULL: a list of symbols belongs to no file */
	int answer_fd;
	uint32_t id;
	uint64_t until_ns;
	uint32_t related_kind; /* 0: the file itself */
	int32_t related_pid;
	char related_name[RELATED_NAME_BYTES];
};

struct opener {
	pthread_mutex_t lock;
	pthread_cond_t work;    /* a job, or the end */
	pthread_cond_t changed; /* a file is done, or a worker left */
	uint32_t refs;          /* workers, and the owner */
	uint32_t workers;
	uint32_t idle;
	uint64_t busy_since_ns; /* when the last job was taken */
	bool stopping;
	int root_fd; /* of the target's first process */
	struct job *jobs;
	struct job **jobs_end;
	uint32_t job_count;
	uint32_t file_count;
	uint32_t kept;
	uint32_t kept_max;
	struct file *newest;
	struct file *oldest;
	struct file *files[BUCKETS];
};

/* ---- the table, under the lock ---- */

/** The file of a mapping; NULL: not seen. */
struct file *opener_entry(struct opener *opener, const struct proc_map *map);
/** A new one; NULL beyond the bounds. */
struct file *opener_add(struct opener *opener, const struct proc_map *map);

/** Out of the list of those with a descriptor, and in front of it. */
void opener_unlink(struct opener *opener, struct file *file);
void opener_link(struct opener *opener, struct file *file);

/** Make room for one more descriptor; busy files stay. Returns one to close without the lock, or -1. */
int opener_drop_oldest(struct opener *opener);

#endif

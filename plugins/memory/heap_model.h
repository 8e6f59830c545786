/* SPDX-License-Identifier: MIT */
/*
 * The heap as far as its samples tell: allocation sites, live objects, histograms, threads. An object of s bytes is sampled with
 * probability p = 1 - exp(-s/T), so it stands for s/p bytes and 1/p objects (Horvitz and Thompson's estimator: unbiased), and
 * adds s^2 (1-p)/p^2 to the variance of the bytes. With every call recorded p is 1 and nothing is estimated.
 */
#ifndef MEMORY_HEAP_MODEL_H
#define MEMORY_HEAP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_CLASSES   48 /* of histograms: powers of two */
#define HEAP_SITES_MAX 262144U
#define HEAP_LIVE_MAX  4000000U
#define HEAP_NO_SITE   UINT32_MAX
#define HEAP_HEADS     65536U /* of hash tables */

/** A sum of weights with its variance. */
struct heap_sum {
	double bytes, count, variance; /* of bytes */
	double seen_bytes;             /* of the samples themselves: no estimate can be lower */
	uint64_t samples;
};

struct heap_site {
	int32_t pid;
	uint32_t walk_end;
	uint32_t ip_count;
	uint64_t *ips; /* as walk() gave them */
	uint64_t hash;
	uint32_t next;    /* in the hash chain */
	uint64_t seen_ns; /* when first */
	uint32_t row;     /* in the churn artifact's stacks, at the end; UINT32_MAX: not known */
	struct heap_sum allocated, live, freed;
	double temporary_bytes, temporary_count;
	double peak_bytes; /* when the whole heap was largest */
	/* for the leak verdict: objects born in the window that came to the age, and left nevertheless */
	uint64_t old_deaths;
	double old_exposure_s; /* of those: time lived beyond the age */
};

/** A live object; `site` HEAP_NO_SITE: its stack is still to be walked. */
struct heap_object {
	uint64_t id, size, born_ns,
		died_ns; /* died_ns: freed before its stack was walked, or before its record came */
	uint32_t site;
	uint32_t next;
	uint32_t thread;
	float scale; /* for how many like it it stands, beside what its size says */
	bool is_used, is_marked;
	bool has_slack;
	uint32_t slack; /* usable bytes beyond size, if known */
};

struct heap_thread {
	int32_t pid, tid;
	struct heap_sum allocated;
	double live_bytes;
	uint32_t histogram; /* HEAP_NO_SITE: none yet */
};

/** Sizes and lifetimes of what one thread allocated; heap_histogram.c. */
struct heap_histogram {
	int32_t pid, tid; /* tid 0: of threads that are not known, or too many; pid 0 likewise */
	struct heap_sum made[HEAP_CLASSES], live[HEAP_CLASSES]; /* by size */
	struct heap_sum freed[HEAP_CLASSES];                    /* by age */
	double censored[HEAP_CLASSES];                          /* objects alive at the end, by age */
};

/** Of one process. */
struct heap_process_sum {
	int32_t pid;
	struct heap_sum allocated, live, freed;
	double written_count, written_frees; /* of the last row of the timeline */
};

struct heap_model {
	double period_bytes; /* 0: every call is recorded */
	double scale; /* what is taken in stands for so many; 1, but where a part of the time was seen */
	double scale_error; /* relative standard error of these */
	double death_scale; /* and its death for so many times more */
	uint64_t temporary_ns;
	uint64_t t0_ns, old_ns; /* window's start; the age of the leak verdict */
	struct heap_site *sites;
	uint32_t *site_heads;
	uint32_t site_count, site_room;
	struct heap_object *objects;
	uint32_t *object_heads;
	uint32_t object_count, object_room, object_free; /* free: list by next */
	uint64_t live_objects;
	struct heap_thread *threads;
	uint32_t thread_count, thread_room;
	struct heap_histogram *histograms;
	uint32_t histogram_count, histogram_room, histogram_last; /* last: that was asked for */
	struct heap_process_sum *processes;
	uint32_t process_count, process_room;
	double live_bytes, peak_bytes; /* whole heap */
	uint64_t peak_ns;
	uint64_t no_room; /* objects and sites that were given up */
	uint64_t early_frees;
};

/** Returns 0 or -1: out of memory. */
int heap_model_init(struct heap_model *model, double period_bytes, uint64_t temporary_ns);
void heap_model_finish(struct heap_model *model);

/** p of an object of this size, and what it adds to a sum. */
double heap_chance(const struct heap_model *model, double size);
void heap_sum_add(const struct heap_model *model, struct heap_sum *sum, double size, double scale);
void heap_sum_take(const struct heap_model *model, struct heap_sum *sum, double size, double scale);

/** The 95 % interval of a sum's bytes. */
void heap_sum_interval(const struct heap_sum *sum, double *ret_low, double *ret_high);

/** A walked stack. */
struct heap_path {
	const uint64_t *ips;
	uint32_t count, walk_end;
};

/** The site of a stack; HEAP_NO_SITE: out of memory or of room. */
uint32_t heap_model_site(struct heap_model *model, int32_t pid, const struct heap_path *path,
			 uint64_t time_ns);

struct heap_process_sum *heap_model_process(struct heap_model *model, int32_t pid);

/** A sampled allocation; site may be HEAP_NO_SITE and follow by heap_model_place. NULL: no room. */
struct heap_object *heap_model_alloc(struct heap_model *model, uint64_t id, int32_t pid, int32_t tid,
				     uint64_t size, uint64_t time_ns, uint32_t site);

/** The stack of an object was walked. Whether it is still there. */
void heap_model_place(struct heap_model *model, uint64_t id, uint32_t site);

/** What a free was about, for whoever wants to keep it. */
struct heap_death {
	uint64_t size, born_ns, age_ns;
	double scale;
	uint32_t site, thread;
};

/** An object was freed. True: *ret says what it was (false: not known yet, or never). */
bool heap_model_free(struct heap_model *model, uint64_t id, uint64_t time_ns, struct heap_death *ret);

/** The number of a thread; HEAP_NO_SITE: no room. */
uint32_t heap_model_thread_of(struct heap_model *model, int32_t pid, int32_t tid);

/** What a thread allocated, where no single objects are known. */
void heap_model_thread(struct heap_model *model, int32_t pid, int32_t tid, double bytes, double count);

struct heap_object *heap_model_find(struct heap_model *model, uint64_t id);

/** Drop an object without a death: its process ended, or its free was not recorded. */
void heap_model_drop(struct heap_model *model, struct heap_object *object);

/** A process ended, and its memory is gone: drop what it had in use. */
void heap_model_end(struct heap_model *model, int32_t pid);

/** Drop all that is in use: what becomes of it will not be seen. */
void heap_model_forget(struct heap_model *model);

/** Note the peak, if this is one. */
void heap_model_watch_peak(struct heap_model *model, uint64_t now_ns);

/** Half of the 95 % interval of live_bytes. */
double heap_model_live_half(const struct heap_model *model);

/** What live objects have beyond what was asked for, in percent of that, with half of its 95 % interval. false: not known. */
bool heap_model_rounding(const struct heap_model *model, double *ret_pct, double *ret_half_pct);

/* ---- heap_histogram.c ---- */
/** By powers of two: the class of v holds [2^(class-1), 2^class). */
uint32_t heap_class(uint64_t value);
/** A thread's histogram; when there are too many, one for all others. NULL: out of memory. */
struct heap_histogram *heap_histogram_of(struct heap_model *model, int32_t pid, int32_t tid);
/** That of a thread by its number, which may be HEAP_NO_SITE. */
struct heap_histogram *heap_histogram_of_thread(struct heap_model *model, uint32_t thread);
/** Count the objects that are alive by their age, at the end. */
void heap_histogram_censor(struct heap_model *model, uint64_t t1_ns);

#endif

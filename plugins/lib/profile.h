/* SPDX-License-Identifier: MIT */
/*
 * A "profcore.stacks/1" artifact as a model in memory: modules, functions, the frames of each location, the stack tree,
 * and how much weight each stack and thread has. Samples are summed up while they are read, not kept.
 *
 * The artifact is hostile input and may be incomplete. A row number out of range, or a stack whose parent does not stand
 * before it, counts as unknown (bad_ids); a missing table or column is as if it were empty. Row 0 is the unknown
 * module, the unknown location and the empty stack.
 *
 * Where the collector states a fact only_symbols ("slow_endpoint, parse_*"), only stacks that hold such a function are taken;
 * what was left out is counted.
 */
#ifndef PLUGINS_LIB_PROFILE_H
#define PLUGINS_LIB_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/artifact.h>

#include "names.h"
#include "pairmap.h"

#define PROFILE_MAX_ROWS (1u << 24) /* of each table held in memory; later rows count as unknown */

/** What a frame runs in, which is also how it is coloured. */
enum profile_kind {
	PROFILE_APP = 0,     /* the program itself, and code that it generated */
	PROFILE_LIBRARY = 1, /* a shared object, the vDSO */
	PROFILE_KERNEL = 2,
	PROFILE_UNKNOWN = 3, /* no module is known */
	PROFILE_THREAD = 4,  /* not a frame: a thread, where stacks are split by thread */
};

struct profile_module {
	uint32_t name; /* base name, in names */
	uint32_t path;
	uint32_t build_id;
	uint32_t same; /* the first module of the same path: the one that functions refer to */
	uint8_t kind;  /* enum profile_kind */
};

/** Functions are told apart by name and module. Function 0 is "[unknown]". */
struct profile_function {
	uint32_t name;
	uint32_t module;
	uint8_t kind; /* enum profile_kind */
	bool named;   /* false: the name is made of module and address */
};

/** One function at a location. */
struct profile_frame {
	uint32_t function;
	uint32_t file; /* in names; 0 when not known */
	uint32_t line;
	bool inlined;
};

struct profile_thread {
	int32_t pid;
	int32_t tid;
	uint32_t name;
	uint64_t weight;
	uint64_t samples;
};

/** Weight of one stack in one thread; kept only when asked for. */
struct profile_share {
	uint32_t thread;
	uint32_t stack;
	uint64_t weight;
	uint64_t samples;
};

struct profile {
	char producer[64]; /* stage */
	char port[64];
	char signal[32]; /* "cpu"; may be "" */
	char event[64];
	char unit[32]; /* of weight: "ns", "bytes", "count" */
	bool partial;  /* as the host says */
	uint64_t lost;
	struct names names;

	struct profile_module *modules;
	uint32_t module_count;
	struct profile_function *functions;
	uint32_t function_count;
	uint32_t function_room;
	struct pairmap function_ids; /* (name, module) to function */

	uint32_t location_count;
	uint32_t *location_module;
	uint64_t *location_address;
	uint32_t *
		frame_first; /* frames of location i: [frame_first[i], frame_first[i + 1]), innermost first */
	struct profile_frame *frames;

	uint32_t stack_count;
	uint32_t *parent; /* parent[i] < i for i > 0 */
	uint32_t *stack_location;
	uint64_t *stack_weight; /* of the samples that ended in exactly this stack */
	uint64_t *stack_samples;

	struct profile_thread *threads;
	uint32_t thread_count;
	struct profile_share *shares; /* NULL unless asked for; grouped by thread */
	uint32_t share_count;

	uint64_t samples; /* within the window */
	uint64_t weight;
	uint64_t outside;    /* samples outside the window, left out */
	bool window_ignored; /* none lay even near it: the artifact is of another run; all were taken */
	uint64_t first_ns, last_ns; /* of the samples taken */
	char only_symbols[256];     /* only stacks with one of these functions were taken; "": all */
	uint64_t other_samples;     /* within the window, of stacks without */
	uint64_t other_weight;
	uint64_t no_stack;     /* samples with an empty stack */
	uint64_t unknown_leaf; /* samples whose innermost frame has no known module or no name */
	uint64_t bad_ids;
	uint64_t dropped_rows; /* beyond PROFILE_MAX_ROWS */
	bool cut;              /* a chunk could not be read */
	bool has_frames;       /* the table is there: names were resolved */
	bool has_weight;       /* else each sample weighs 1 */

	struct profile_strings *strings; /* while reading only */
};

struct profile_options {
	uint64_t t0_ns, t1_ns; /* take samples in [t0, t1]; 0, 0 for all */
	bool by_thread;        /* fill shares */
	uint64_t seed;         /* for hash tables */
};

/**
 * Read an artifact.
 *
 * Memory:  the profile is the caller's; strings are copied, so that the reader may go.
 * Returns: 0, also when there is no sample; PFC_ENOMEM; PFC_ENOENT when it has no samples or no stacks table.
 */
int profile_read(const struct pfc_reader *reader, const struct profile_options *options,
		 struct profile **ret);

void profile_destroy(struct profile *profile);

const char *profile_function_name(const struct profile *profile, uint32_t function);
/** Named code of the program itself. A language's own library is no part of it, though it is linked and inlined into it. */
bool profile_is_own(const struct profile *profile, uint32_t function);
/** Base name of the function's module; "" for one that is not known. */
const char *profile_function_module(const struct profile *profile, uint32_t function);
/** Word for a kind: "app", "library", "kernel", "unknown", "thread". */
const char *profile_kind_word(unsigned kind);

/** The number of a function, which is added when it is new (pseudo frames too). Returns 0 or PFC_ENOMEM. */
int profile_function_add(struct profile *profile, const struct profile_function *function, uint32_t *ret);

/* Parts of profile_read, each in its own file. Returns: 0 or PFC_ENOMEM. */
int profile_strings_open(struct profile *profile, const struct pfc_reader *reader);
void profile_strings_close(struct profile *profile);
/** The name of string `id`; 0 for one out of range (counted). */
int profile_string(struct profile *profile, uint32_t id, uint32_t *ret);
/** `id` when it is below count, else 0 (counted). */
uint32_t profile_id(struct profile *profile, uint32_t id, uint32_t count);
/** How many rows of a table are kept: all, up to the limit and at least 1 (row 0); the rest is counted. */
uint32_t profile_rows(struct profile *profile, uint64_t rows);
int profile_read_modules(struct profile *profile, const struct pfc_reader *reader);
int profile_read_stacks(struct profile *profile, const struct pfc_reader *reader);
int profile_read_frames(struct profile *profile, const struct pfc_reader *reader);
/** Which stacks hold one of the functions in only_symbols: a flag for each, to be freed; NULL where all are taken. */
int profile_only_stacks(const struct profile *profile, uint8_t **ret);
int profile_read_samples(struct profile *profile, const struct pfc_reader *reader,
			 const struct profile_options *options);

#endif

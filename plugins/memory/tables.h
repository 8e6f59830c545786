/* SPDX-License-Identifier: MIT */
/*
 * The tables of profcore.memory/1 (docs/artifacts.md): declared once, in this order, and rows appended by name of the table.
 * Bytes are bytes, not pages or KiB. A signed figure of -1 was not to be had.
 */
#ifndef MEMORY_TABLES_H
#define MEMORY_TABLES_H

#include <stdint.h>

#include <profcore/profcore.h>

enum table_id {
	TABLE_STRINGS,
	TABLE_PROCESSES,
	TABLE_SAMPLES,
	TABLE_TOTALS,
	TABLE_PSS,
	TABLE_GROUP,
	TABLE_EVENTS,
	TABLE_MAPPINGS,
	TABLE_FAULTS,
	TABLE_MAP_CALLS,
	TABLE_HEAP_TOTALS,
	TABLE_HEAP_SITES,
	TABLE_HEAP_SIZES,
	TABLE_HEAP_LIFETIMES,
	TABLE_HEAP_THREADS,
	TABLE_LEAKS,
	TABLE_COUNT
};

/** Kinds of mappings, in the tables `mappings` and `faults`. */
enum mapping_kind {
	MAPPING_OTHER = 0,
	MAPPING_HEAP = 1,      /* [heap]: what brk moved */
	MAPPING_STACK = 2,     /* [stack] */
	MAPPING_ANON = 3,      /* anonymous and private: mmap, thread stacks, arenas */
	MAPPING_FILE_CODE = 4, /* of files: executable */
	MAPPING_FILE_DATA = 5, /* of files: private, not executable */
	MAPPING_FILE_SHARED = 6,
	MAPPING_SHMEM = 7, /* shared memory: memfd, /dev/shm, System V, anonymous and shared */
	MAPPING_KINDS
};

/** Kinds of rows of the table `events`. */
enum memory_event {
	MEMORY_EVENT_BORN = 1,      /* value: its parent */
	MEMORY_EVENT_EXIT = 2,      /* value: the last RSS that was seen */
	MEMORY_EVENT_OOM_KILL = 3,  /* value: how many; pid 0: the control group's own count */
	MEMORY_EVENT_LIMIT_HIT = 4, /* value: how often memory.max was hit since the last look */
	MEMORY_EVENT_HIGH_HIT = 5,  /* likewise memory.high */
};

struct tables {
	const struct pfc_writer *writer;
	uint32_t ids[TABLE_COUNT];
	uint32_t string_count;
	char **strings; /* what was written, for tables_string */
	uint32_t string_room;
};

/** Declare all tables on the output `timeline`. Returns 0 or a PFC_ error. */
int32_t tables_open(struct tables *tables, const struct pfc_host *host);

/** Append one row; `columns` in declared order, one element each. Returns 0 or the writer's error. */
int32_t tables_add(struct tables *tables, enum table_id table, const void *const *columns);

/** The row of a text in `strings`, written if it is new; 0 ("") when memory ran out. */
uint32_t tables_string(struct tables *tables, const char *text);

void tables_close(struct tables *tables);

#endif

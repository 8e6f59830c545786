/* SPDX-License-Identifier: MIT */
/*
 * The heap tier: what its parts share. Samples come by one of two ways, a sampler in a launched target (heap_preload.c) or
 * probes on one that runs (heap_probes.c), into one model; heap_write.c makes tables of it.
 */
#ifndef MEMORY_HEAP_H
#define MEMORY_HEAP_H

#include "heap_leak.h"
#include "heap_model.h"
#include "heap_ring.h"
#include "heap_segment.h"
#include "tier.h"

#define HEAP_DEPTH 512 /* frames of a walked stack */

/** Stack artifacts; in the order of heap_ports in heap.c. */
enum heap_port { HEAP_IN_USE, HEAP_CHURN, HEAP_TEMPORARY, HEAP_PORTS };

/** A record of either way. */
struct heap_taken {
	bool is_object; /* else a stack that is new (exhaustive): id is its number */
	bool is_fresh;  /* its process may just have begun a program */
	int32_t pid, tid;
	uint64_t id, size, time_ns;
	uint64_t regs[8]; /* bx, bp, sp, ip, r12 to r15 */
	uint32_t stack_bytes;
	bool has_slack;
	uint32_t slack; /* usable bytes beyond size */
};

/** A record whose stack cannot be walked before more of the target's mappings are known. */
struct heap_waiting {
	struct heap_waiting *next;
	struct heap_taken taken;
	uint64_t since_ns;
	uint8_t stack[];
};

struct heap;

/** How samples are had. NULL callbacks count as done. */
struct heap_way {
	bool starts_late;                    /* what was allocated before the window is not known */
	int32_t (*probe)(struct heap *heap); /* writes the line of the plan, or heap_refuse */
	int32_t (*prepare)(struct heap *heap);
	int32_t (*start)(struct heap *heap); /* heap->t0_ns is set */
	int (*fd)(struct heap *heap);        /* to wait for; NULL: none */
	void (*tick)(struct heap *heap, uint64_t now_ns);
	void (*stop)(struct heap *heap);   /* heap->t1_ns is set */
	void (*settle)(struct heap *heap); /* take in the rest, find out what lives */
	void (*judge)(struct heap *heap);  /* sets allocator and unseen */
	void (*state)(struct heap *heap, const struct pfc_writer *writer); /* facts and losses of its own */
	void (*destroy)(struct heap *heap);
};

struct heap {
	struct tier *tier;
	const struct heap_way *way;
	const struct pfc_host *host;
	const struct pfc_stacks *stacks;
	struct pfc_stacks_session *sessions[HEAP_PORTS];
	struct heap_model model;
	bool is_exhaustive;
	uint64_t period_bytes;
	uint64_t t0_ns, t1_ns;
	uint64_t due_ns, totals_ns;
	bool has_gap;               /* some time was not seen: what is in use is not known since */
	struct heap_probed *probed; /* by probes */
	/* by the sampler */
	struct heap_file file;
	struct heap_reader *reader;
	struct heap_waiting *waiting, **waiting_end;
	uint64_t waiting_bytes;
	uint64_t dead_ns[HEAP_PROCESSES + 1]; /* by slot: when its process was seen to be gone */
	struct heap_tally *tally;             /* exhaustive */
	bool is_told;                         /* that the target did not load the sampler */
	uint64_t skipped_late;                /* records after the window */
	/* what was found at the end */
	double unattributed_bytes; /* in use, by objects whose record was lost */
	uint64_t unrecorded_frees;
	/* coverage: at the largest anonymous RSS that was seen */
	uint64_t anon_first, anon_peak;
	double live_at_peak, live_half_at_peak; /* half: of its 95 % interval */
	char allocator[64];
	char blind[256];   /* why it may be that nothing is seen, as the program's file tells */
	char no_live[256]; /* why it is not known what is in use, nor what leaks; "" */
	char partly[256];  /* why much of the heap may be unseen; "" */
	char unseen[256];  /* why nothing is known of the heap; "" when something is */
};

/** A sample of a site into one of the stack artifacts. */
void heap_emit(struct heap *heap, enum heap_port port, const struct heap_site *site, uint64_t time_ns,
	       int32_t tid, double weight);

/** The heap cannot be had by the way that was asked for: the tier is off where the mode is auto, else a failure. */
int32_t heap_refuse(struct heap *heap, const char *why, const char *remedy);

/** Facts and losses of the heap. */
void heap_state_facts(struct heap *heap);

/** The most anonymous RSS, as far as samples could explain it. */
uint64_t heap_growth(const struct heap *heap);

/* ---- heap_take.c ---- */
/** An allocation that was sampled. `stack` is what was copied of it, borrowed until return. */
void heap_take_alloc(struct heap *heap, const struct heap_taken *taken, const void *stack);
void heap_take_free(struct heap *heap, uint64_t id, int32_t tid, uint64_t time_ns);
/** Those that wait for mappings, once more; after a while with what is known. */
void heap_take_waiting(struct heap *heap, uint64_t now_ns);
/** Everything before now was taken, but for those that wait. */
void heap_take_tick(struct heap *heap, uint64_t now_ns);
/** After the window. Not in stop: the core tells of the target's last mappings when all stages have stopped. */
void heap_take_last(struct heap *heap);
void heap_take_destroy(struct heap *heap);

/* ---- probes/way.c ---- */
extern const struct heap_way heap_way_uprobes;

/* ---- heap_preload.c ---- */
extern const struct heap_way heap_way_preload;
int32_t heap_preload_pid(const struct heap *heap, uint32_t slot);

/* ---- heap_tally.c: exhaustive ---- */
int heap_tally_open(struct heap *heap);
/** A time in ticks of the time-stamp counter. */
uint64_t heap_tally_ticks(const struct heap *heap, uint64_t ns);
/** A stack of the target's table was walked. */
void heap_tally_stack(struct heap *heap, uint64_t number, uint32_t site);
/** Take in the counters. */
void heap_tally_read(struct heap *heap, uint64_t now_ns);
/** The live objects and histograms, at the end. */
void heap_tally_objects(struct heap *heap, struct heap_evidence *evidence);
void heap_tally_close(struct heap *heap);

/* ---- heap_entries.c ---- */
/** One live entry of the target's table. */
struct heap_entry {
	uint32_t slot;
	uint64_t address, id, size, time;
};

/** Every live entry; holes of the file are left out. */
void heap_entries(const struct heap *heap, void (*visit)(struct heap *heap, const struct heap_entry *entry),
		  struct heap *to);

/** Make the model's live objects those of the table. */
void heap_entries_settle(struct heap *heap);

/* ---- heap_evidence.c ---- */
/** What the live objects say for the leak verdict, one for each site; NULL: no memory. */
struct heap_evidence *heap_evidence_make(struct heap *heap);
/** A live object of a site. */
void heap_evidence_add(struct heap *heap, struct heap_evidence *of_site, double size, uint64_t born_ns);

/* ---- heap_write.c ---- */
int32_t heap_write_totals(struct heap *heap, uint64_t now_ns);
int32_t heap_write_end(struct heap *heap, struct heap_evidence *evidence);

/* ---- heap_elf.c ---- */
/** Why the sampler cannot be in this program, or cannot see its allocations; false: no reason was found. */
bool heap_elf_blind(int32_t pid, char why[256]);
/** The allocator that is in a program itself ("jemalloc (_rjem_)"), by its symbols; false: none is known. */
bool heap_elf_allocator(int32_t pid, char name[64]);

#endif

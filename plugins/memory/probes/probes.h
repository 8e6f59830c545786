/* SPDX-License-Identifier: MIT */
/*
 * The BPF programs and where they are attached: loaded once, attached to functions of files, for one process at a time. What is
 * attached is held by descriptors of this process alone, so it goes when the process does, however that ends.
 */
#ifndef MEMORY_PROBES_PROBES_H
#define MEMORY_PROBES_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared.h"

struct heap_probes; /* the skeleton that bpftool makes */
struct ring_buffer;
struct bpf_link;

/** How probes are attached; the first that the kernel has, unless an older one is asked for. */
enum probes_by {
	PROBES_SESSION, /* Linux 6.13: a return is seen only where it is wanted */
	PROBES_MULTI,   /* Linux 6.6: every return is seen; all functions of a file at once, as above */
	PROBES_EVENTS, /* Linux 5.15: an event of the uprobe PMU for each, which takes CAP_SYS_ADMIN, and long */
};

struct probes {
	struct heap_probes *skeleton;
	struct ring_buffer *ring;
	enum probes_by by;
	uint32_t functions;
	uint32_t cpus;
	void (*record)(void *ctx, const struct probe_record *record, const void *stack);
	void *ctx;
};

#define PROBE_POINTS 64U /* in one file */

/** A function of a file, as it is attached. */
struct probe_point {
	uint64_t file_offset; /* of the probe */
	uint32_t number;      /* its cookie: probes_function */
	bool wants_return;
};

/** What holds the probes of one process in one file. */
struct probe_link {
	int fds[2];              /* for all functions: a session, or entries and returns; -1 */
	struct bpf_link **links; /* else one for each entry and return */
	uint32_t count;
};

/** Load. Returns 0, or a PFC_E... with why. */
struct probes_wish {
	uint64_t period_bytes;
	enum probes_by by; /* or an older way */
};
int32_t probes_load(struct probes *probes, const struct probes_wish *wish, char *why, size_t why_bytes);
void probes_unload(struct probes *probes);

/** Make a function known. Returns its number, or UINT32_MAX: there are too many. */
uint32_t probes_function(struct probes *probes, const struct probe_function *function);

/** Attach to the file behind a descriptor, in one process. Returns 0 or -errno. */
int probes_attach(struct probes *probes, int fd, int32_t pid, const struct probe_point *points,
		  uint32_t count, struct probe_link *ret);
void probes_detach(struct probe_link *link);

uint64_t probes_counter(const struct probes *probes, enum probe_counter counter);
void probes_only_count(struct probes *probes, bool only);
/** Forget the table of samples. */
void probes_forget(struct probes *probes);
void probes_drain(struct probes *probes);
int probes_fd(const struct probes *probes);

/** What a hit costs here, measured on this process's own functions; ns. Returns 0 or -errno. */
struct probe_costs {
	double emulated_ns, stepped_ns, sample_ns;
	double counted_ns; /* of an emulated one, while only counting */
};
int probes_calibrate(struct probes *probes, struct probe_costs *ret);

#endif

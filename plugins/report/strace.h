/* SPDX-License-Identifier: MIT */
/*
 * The text of a profcore.syscalls/1 artifact: system calls, waits, slow calls, files and peers, the books of the threads, and
 * what of all this can be trusted. lib/syscalls.h reads the artifact; the rest prints.
 */
#ifndef PLUGINS_REPORT_STRACE_H
#define PLUGINS_REPORT_STRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/profcore.h>

#include "lib/profile.h"
#include "lib/sampled.h"
#include "lib/syscalls.h"
#include "lib/text.h"

/** The stacks of one artifact, with the stack of each sample by its time and thread. */
struct strace_sampled {
	struct profile *profile; /* NULL: there is none */
	struct sampled samples;
};

/** What the same stage took besides. */
struct strace_links {
	struct strace_sampled off_cpu; /* of waits */
	struct strace_sampled wakers;  /* of who ended them */
	struct strace_sampled slow;    /* of slow calls */
};

/** Read them; what is not there stays empty. Returns 0 or PFC_ENOMEM. Finish it whatever it returns. */
int strace_links_read(struct strace_links *links, const struct pfc_host *host, const char *producer);
void strace_links_finish(struct strace_links *links);

/** The stack of the sample with this time and thread; 0: there is none. */
uint32_t strace_stack_at(const struct strace_sampled *from, uint64_t time_ns, int32_t tid);
/** "inner < caller < ...": the program's own functions on it, else those of its libraries. Returns how many. */
unsigned strace_add_way(const struct strace_sampled *from, uint32_t stack, unsigned most, struct text *to);

/** Everything but the stacks. Returns 0 or PFC_ENOMEM. */
int strace_print(struct syscalls_model *model, const struct strace_links *links, struct text *to);

/** Long waits for locks, by who waits where and who ends it where. Returns 0 or PFC_ENOMEM. */
int strace_add_long_waits(const struct syscalls_model *model, const struct strace_links *links,
			  struct text *to);

/** The heaviest stacks of waits. Returns 0 or PFC_ENOMEM. */
int strace_print_stacks(struct profile *profile, struct text *to);

/** Write the document `strace` of the artifact at port `syscalls`. Returns 0 or what host->fail gave. */
int32_t strace_report(const struct pfc_host *host, const struct pfc_reader *reader);

#endif

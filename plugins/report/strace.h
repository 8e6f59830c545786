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

#include "lib/syscalls.h"
#include "lib/text.h"

/** Everything but the stacks. */
void strace_print(struct syscalls_model *model, struct text *to);

/** The heaviest stacks of a profcore.stacks/1 artifact of the same stage. Returns 0 or PFC_ENOMEM. */
int strace_print_stacks(const struct syscalls_model *model, const struct pfc_reader *stacks, struct text *to);

/** Write the document `strace` of the artifact at port `syscalls`. Returns 0 or what host->fail gave. */
int32_t strace_report(const struct pfc_host *host, const struct pfc_reader *reader);

#endif

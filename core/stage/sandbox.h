/* SPDX-License-Identifier: MIT */
/*
 * What a stage process may do: only what its manifest asks for, put on before the plugin's file is opened.
 *
 *   nothing asked    no capabilities, no_new_privs, Landlock (libraries and the plugin's folder, read and execute), seccomp
 *                    allow-list: it reads its inputs and writes its outputs
 *   target-files     the same: the core opens the files and passes descriptors
 *   network          the same, with sockets, and the files that names are resolved with
 *   perf, bpf,       capabilities for just that, no_new_privs
 *   ptrace
 *   uprobe           CAP_SYS_ADMIN, where the kernel has no lesser way to probe a program, and not in effect until the
 *                    stage puts it there; docs/decisions/0010-*.md
 */
#ifndef CORE_STAGE_SANDBOX_H
#define CORE_STAGE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/**
 * Restrict this process, for good. What the kernel lacks (Landlock before 5.13) is left out and named in
 * *ret_missing ("" when all is on; the text is static).
 */
int sandbox_enter(uint32_t privileges, const char *plugin_dir, const char **ret_missing, struct pfc_error *err);

/**
 * Since Linux 6.6 a BPF link probes a program, which CAP_PERFMON and CAP_BPF are enough for. Before it there are only events of
 * the uprobe PMU, which want CAP_SYS_ADMIN.
 */
bool sandbox_has_probe_links(void);

#endif

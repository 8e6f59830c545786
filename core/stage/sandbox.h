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
 */
#ifndef CORE_STAGE_SANDBOX_H
#define CORE_STAGE_SANDBOX_H

#include <stdint.h>

#include "base/error.h"

/**
 * Restrict this process, for good. What the kernel lacks (Landlock before 5.13) is left out and named in
 * *ret_missing ("" when all is on; the text is static).
 */
int sandbox_enter(uint32_t privileges, const char *plugin_dir, const char **ret_missing, struct pfc_error *err);

#endif

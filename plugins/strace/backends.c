/* SPDX-License-Identifier: MIT */
/* The back-ends of this build, best first. */
#include <stddef.h>

#include "backend.h"

const struct backend *const backends[] = {
#ifdef WITH_BPF
	&backend_bpf,
#endif
	&backend_perf,
	&backend_ptrace,
	NULL,
};

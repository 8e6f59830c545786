/* SPDX-License-Identifier: MIT */
/* The seccomp filter of a stage without privileges: an allow-list; everything else fails with EPERM. */
#ifndef CORE_STAGE_SYSCALLS_H
#define CORE_STAGE_SYSCALLS_H

#include <stdbool.h>

#include "base/error.h"

int syscalls_restrict(bool with_sockets, struct pfc_error *err);

#endif

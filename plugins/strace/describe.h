/* SPDX-License-Identifier: MIT */
/*
 * A slow call in words: its arguments as a reader of strace would expect them, and what its descriptor is. Both are asked when
 * the call is kept, soon after it happened, because a descriptor says something else later.
 */
#ifndef STRACE_DESCRIBE_H
#define STRACE_DESCRIBE_H

#include <stddef.h>

#include "tracer.h"

/** `5</etc/hosts>, "127.0.0.1"..., 4096`. Always ends in 0; cut at to_bytes. */
void describe_args(const struct tracer *tracer, const struct slow_call *call, char *to, size_t to_bytes);

/** What the call's descriptor argument is: a path, "TCP 127.0.0.1:4->127.0.0.1:80", "pipe:[123]"; "" when it has none or it is gone. */
void describe_target(const struct tracer *tracer, const struct slow_call *call, char *to, size_t to_bytes);

#endif

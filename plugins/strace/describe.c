/* SPDX-License-Identifier: MIT */
/* A slow call in words: see describe.h. */
#include "describe.h"

#include <stdio.h>

void describe_args(const struct slow_call *call, char *to, size_t to_bytes)
{
	snprintf(to, to_bytes, "0x%llx, 0x%llx, 0x%llx, 0x%llx, 0x%llx, 0x%llx",
		 (unsigned long long)call->args[0], (unsigned long long)call->args[1],
		 (unsigned long long)call->args[2], (unsigned long long)call->args[3],
		 (unsigned long long)call->args[4], (unsigned long long)call->args[5]);
}

void describe_target(const struct slow_call *call, char *to, size_t to_bytes)
{
	snprintf(to, to_bytes, "%s", call->fd_text ? call->fd_text : "");
}

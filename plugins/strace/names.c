/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"

static uint32_t arch_of(uint32_t abi)
{
	return abi == ABI_I386 ? SCMP_ARCH_X86 : abi == ABI_X32 ? SCMP_ARCH_X32 : seccomp_arch_native();
}

const char *syscall_name(uint32_t abi, int32_t nr, char *to, uint32_t to_bytes)
{
	char *name = nr >= 0 ? seccomp_syscall_resolve_num_arch(arch_of(abi),
								abi == ABI_X32 ? nr | 0x40000000 : nr)
			     : NULL;

	if (name) {
		snprintf(to, to_bytes, "%s", name);
		free(name); /* libseccomp's own, by malloc */
	} else if (nr < 0) {
		snprintf(to, to_bytes, "unknown");
	} else {
		snprintf(to, to_bytes, "%ssyscall_%d",
			 abi == ABI_I386  ? "i386_"
			 : abi == ABI_X32 ? "x32_"
					  : "",
			 nr);
	}
	return to;
}

const char *errno_name(int32_t number, char *to, uint32_t to_bytes)
{
	const char *name = strerrorname_np(number);

	if (name) {
		return name;
	}
	snprintf(to, to_bytes, "errno_%d", number);
	return to;
}

/* SPDX-License-Identifier: MIT */
/* Names of system calls and errors. Maintained tables only: libseccomp's for the calls, libc's for the errors. */
#ifndef STRACE_NAMES_H
#define STRACE_NAMES_H

#include <stdint.h>

/** The call's name by ABI ("openat"), or "syscall_N" / "i386_syscall_N" written to `to`, which has to_bytes >= 32. */
const char *syscall_name(uint32_t abi, int32_t nr, char *to, uint32_t to_bytes);

/** "ENOENT", or "errno_N" likewise. */
const char *errno_name(int32_t number, char *to, uint32_t to_bytes);

#endif

/* SPDX-License-Identifier: MIT */
/* Names of system calls and errors. Maintained tables only: libseccomp's for the calls, libc's for the errors. */
#ifndef STRACE_NAMES_H
#define STRACE_NAMES_H

#include <stdint.h>

/** Room for any name. */
#define NAME_ROOM 32

/**
 * The call's name by ABI (enum abi of account.h): "openat". Written to `to`, which has to_bytes >= NAME_ROOM, and returned.
 * One that no table has: "syscall_N", "i386_syscall_N", "x32_syscall_N".
 */
const char *syscall_name(uint32_t abi, int32_t nr, char *to, uint32_t to_bytes);

/** The number of a call by name; -1 when the ABI has no such call. */
int32_t syscall_number(uint32_t abi, const char *name);

/** "ENOENT"; of the kernel's own, which only a tracer sees: "ERESTARTSYS"; else "errno_N". Likewise written to `to`. */
const char *errno_name(int32_t number, char *to, uint32_t to_bytes);

/** An operation of io_uring: "read"; "operation_N" of one that no table has. Likewise written to `to`. */
const char *uring_name(uint32_t operation, char *to, uint32_t to_bytes);

#endif

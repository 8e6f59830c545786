/* SPDX-License-Identifier: MIT */
/* The names come from libseccomp's tables, and from a list of ours for what is newer than the packaged library. */
#include "names.h"

#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"

#define X32_BIT 0x40000000

/*
 * Since 424 a call has the same number on all machines. Those from 450 on, as in the kernel's
 * arch/x86/entry/syscalls/syscall_64.tbl (6.18).
 */
static const struct {
	int16_t nr;
	const char *name;
} recent[] = {
	{ 450, "set_mempolicy_home_node" },
	{ 451, "cachestat" },
	{ 452, "fchmodat2" },
	{ 453, "map_shadow_stack" },
	{ 454, "futex_wake" },
	{ 455, "futex_wait" },
	{ 456, "futex_requeue" },
	{ 457, "statmount" },
	{ 458, "listmount" },
	{ 459, "lsm_get_self_attr" },
	{ 460, "lsm_set_self_attr" },
	{ 461, "lsm_list_modules" },
	{ 462, "mseal" },
	{ 463, "setxattrat" },
	{ 464, "getxattrat" },
	{ 465, "listxattrat" },
	{ 466, "removexattrat" },
	{ 467, "open_tree_attr" },
	{ 468, "file_getattr" },
	{ 469, "file_setattr" },
};

static uint32_t arch_of(uint32_t abi)
{
	return abi == ABI_I386 ? SCMP_ARCH_X86 : abi == ABI_X32 ? SCMP_ARCH_X32 : seccomp_arch_native();
}

static const char *recent_name(int32_t nr)
{
	for (size_t i = 0; i < sizeof(recent) / sizeof(recent[0]); i++) {
		if (recent[i].nr == nr) {
			return recent[i].name;
		}
	}
	return NULL;
}

const char *syscall_name(uint32_t abi, int32_t nr, char *to, uint32_t to_bytes)
{
	static const char *const prefixes[] = { "", "i386_", "x32_" };
	const char *known = recent_name(nr);
	char *name = NULL;

	/* Negative numbers are libseccomp's own, for calls that a machine lacks; x32 has bit 30 there. */
	if (nr >= 0 && !known) {
		name = seccomp_syscall_resolve_num_arch(arch_of(abi), abi == ABI_X32 ? nr | X32_BIT : nr);
		known = name;
	}
	if (known) {
		snprintf(to, to_bytes, "%s", known);
	} else {
		snprintf(to, to_bytes, "%ssyscall_%d", abi <= ABI_X32 ? prefixes[abi] : "", nr);
	}
	free(name);
	return to;
}

int32_t syscall_number(uint32_t abi, const char *name)
{
	int number = seccomp_syscall_resolve_name_arch(arch_of(abi), name);

	if (number >= 0) {
		return abi == ABI_X32 ? number & ~X32_BIT : number;
	}
	for (size_t i = 0; i < sizeof(recent) / sizeof(recent[0]); i++) {
		if (strcmp(recent[i].name, name) == 0) {
			return recent[i].nr;
		}
	}
	return -1;
}

/* include/linux/errno.h: never returned to a program. */
static const char *kernel_errno(int32_t number)
{
	switch (number) {
	case 512:
		return "ERESTARTSYS";
	case 513:
		return "ERESTARTNOINTR";
	case 514:
		return "ERESTARTNOHAND";
	case 515:
		return "ENOIOCTLCMD";
	case 516:
		return "ERESTART_RESTARTBLOCK";
	default:
		return NULL;
	}
}

const char *errno_name(int32_t number, char *to, uint32_t to_bytes)
{
	const char *name = number > 0 ? strerrorname_np(number) : NULL;

	if (!name) {
		name = kernel_errno(number);
	}
	if (name) {
		snprintf(to, to_bytes, "%s", name);
	} else {
		snprintf(to, to_bytes, "errno_%d", number);
	}
	return to;
}

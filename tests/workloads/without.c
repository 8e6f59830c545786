/* SPDX-License-Identifier: MIT */
/*
 * without CALL... -- COMMAND...: run a command for which these system calls fail with EPERM, as in a container whose seccomp
 * filter forbids them.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int at = 1;

	for (; filter && at < argc && strcmp(argv[at], "--") != 0; at++) {
		int number = seccomp_syscall_resolve_name(argv[at]);

		if (number == __NR_SCMP_ERROR || seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) < 0) {
			fprintf(stderr, "without: no call is named %s\n", argv[at]);
			return 2;
		}
	}
	if (!filter || at + 1 >= argc || seccomp_load(filter) < 0) {
		fprintf(stderr, "usage: without CALL... -- COMMAND...\n");
		return 2;
	}
	execvp(argv[at + 1], &argv[at + 1]);
	perror(argv[at + 1]);
	return 127;
}

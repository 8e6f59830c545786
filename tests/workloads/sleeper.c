/* SPDX-License-Identifier: MIT */
/*
 * sleeper SECONDS [EXIT_CODE]: do nothing for so long, then end with that code. Prints "ready" at once. SIGTERM ends it by
 * the default action. For what must work when nothing happens.
 */
#include <errno.h>

#include "workload.h"

int main(int argc, char **argv)
{
	double seconds = number_arg(argc, argv, 1, 1);
	int code = (int)number_arg(argc, argv, 2, 0);
	struct timespec left = { .tv_sec = (time_t)seconds };

	left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
	printf("ready\n");
	fflush(stdout);
	while (nanosleep(&left, &left) != 0 && errno == EINTR) {
	}
	return code;
}

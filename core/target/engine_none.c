/* SPDX-License-Identifier: MIT */
/* Built without libcurl: containers are found by their id alone, in the control groups. */
#include "target/engine.h"

#include <stdio.h>
#include <unistd.h>

int engine_main(void)
{
	static const char answer[] =
		"{\"status\": -6, \"what\": \"ask the container engine\", \"why\": \"this profcore was built "
		"without "
		"libcurl\", \"hint\": \"name the container by its id, or build with -Dengine=enabled\"}";

	return write(STDOUT_FILENO, answer, sizeof(answer) - 1) == (ssize_t)(sizeof(answer) - 1) ? 0 : 1;
}

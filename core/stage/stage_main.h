/* SPDX-License-Identifier: MIT */
/* The main function of a stage process: `profcore @stage`, started by run/spawn.c with descriptors in place. */
#ifndef CORE_STAGE_STAGE_MAIN_H
#define CORE_STAGE_STAGE_MAIN_H

#include <stdbool.h>

/**
 * Serve one stage until it is told to quit.
 *
 * is_confined: put the sandbox on (always, but with --in-process, where the stage is a thread of the core).
 * Returns the process's exit status: 0 when it was told to quit; what failed was told over the control socket.
 */
int stage_main(int control, int spec_fd, bool is_confined);

#endif

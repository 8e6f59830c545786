/* SPDX-License-Identifier: MIT */
/* Going ahead of the load, for threads that must keep up with the kernel. */
#ifndef BASE_AHEAD_H
#define BASE_AHEAD_H

/**
 * Give the calling thread, and those that it makes, a nicer value by 10 than it has. Who empties a ring, or answers one who
 * does, has to get a turn in time, and the load of a run makes the machine busy on purpose: on one with ten programs for
 * each CPU, one sample in eight was lost for lack of it. Needs CAP_SYS_NICE; without it all stays as it is.
 */
void ahead_take(void);

#endif

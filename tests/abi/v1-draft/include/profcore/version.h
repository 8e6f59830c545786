/* SPDX-License-Identifier: MIT */
/*
 * The version of the plugin contract, and the promise that goes with it.
 *
 * The contract is v1-draft: until it freezes it may still break, each time with a note in docs/decisions/.
 * Once frozen, a plugin built against any 1.x header runs on every later 1.y core, and a 1.x core runs
 * every plugin that does not insist on something newer. The minor number is information, never a gate.
 */
#ifndef PROFCORE_VERSION_H
#define PROFCORE_VERSION_H

#define PFC_ABI_MAJOR 1
#define PFC_ABI_MINOR 0

#endif

/* SPDX-License-Identifier: MIT */
/* Removing folders that profcore made, by descriptor and through no link. */
#ifndef CORE_RUN_REMOVE_H
#define CORE_RUN_REMOVE_H

#include "base/error.h"

/** Remove a folder and all below it; what cannot be removed stays. Returns 0 or -errno of the first that stayed. */
int run_remove(const char *folder);

/** Likewise one that stands in an open folder. */
int run_remove_at(int parent_fd, const char *name);

/** Remove the links in an open folder of runs that lead into the run of that id, which is gone. */
void run_remove_links(int output_fd, const char *id);

#endif

/* SPDX-License-Identifier: MIT */
/* Where stages keep what they found out about programs, from one run to the next (stacks/cache.h). */
#ifndef CORE_RUN_CACHE_FOLDER_H
#define CORE_RUN_CACHE_FOLDER_H

/**
 * Open $XDG_CACHE_HOME/profcore, else ~/.cache/profcore, made when it is not there. Only a folder of our own user that nobody
 * else may write to will do; with file capabilities the environment says nothing, and there is none.
 * Returns a descriptor, or -1: go without. *ret_why: NULL, or what is wrong with the folder that is there.
 */
int cache_folder_open(const char **ret_why);

#endif

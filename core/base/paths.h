/* SPDX-License-Identifier: MIT */
/* Where this program's own files are: beside it in the build tree, or where it was installed, moved or not. */
#ifndef CORE_BASE_PATHS_H
#define CORE_BASE_PATHS_H

/**
 * Find <build>/<in_build>/<name><suffix>, or <prefix>/<installed>/<name><suffix>. The caller frees; NULL when there is none.
 */
char *paths_find(const char *in_build, const char *installed, const char *name, const char *suffix);

#endif

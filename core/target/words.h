/* SPDX-License-Identifier: MIT */
/* Split a command into words as a shell would, without being one: quotes and backslash, no expansion of anything. */
#ifndef CORE_TARGET_WORDS_H
#define CORE_TARGET_WORDS_H

#include "base/error.h"

/**
 * Split `text`. Quotes: '...' verbatim; "..." where a backslash escapes " \ $ and `; outside, a backslash escapes any byte.
 *
 * Memory:  *ret is a NULL-terminated array, freed by words_free.
 * Returns: 0; PFC_EINVAL (no word, unbalanced quote, backslash at the end, too many words); PFC_ENOMEM.
 */
int words_split(const char *text, char ***ret, struct pfc_error *err);

/** NULL is fine. */
void words_free(char **words);

#endif

/* SPDX-License-Identifier: MIT */
/* Texts of a target are hostile: what is stored or shown as UTF-8 is made so first. */
#ifndef CORE_ARTIFACT_UTF8_H
#define CORE_ARTIFACT_UTF8_H

#include "base/str.h"

/** Append text, each byte that is NUL or not part of well-formed UTF-8 replaced by U+FFFD. */
void utf8_add_clean(struct str *to, const char *data, size_t bytes);

#endif

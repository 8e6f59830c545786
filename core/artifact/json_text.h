/* SPDX-License-Identifier: MIT */
/*
 * JSON to text and back, with an honest answer when memory runs out (jansson's own calls lose that on
 * the way).
 */
#ifndef CORE_ARTIFACT_JSON_TEXT_H
#define CORE_ARTIFACT_JSON_TEXT_H

#include <jansson.h>

/** Compact text, freed by the caller; NULL when memory ran out or root is NULL. */
char *json_text_print(const json_t *root);

/** Returns 0; PFC_ECORRUPT when the text is no JSON, PFC_ENOMEM. */
int json_text_parse(const char *text, size_t bytes, json_t **ret);

#endif

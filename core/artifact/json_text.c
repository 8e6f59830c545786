/* SPDX-License-Identifier: MIT */
#include "artifact/json_text.h"

#include <profcore/status.h>

#include "base/str.h"

static int add(const char *data, size_t bytes, void *ctx)
{
	struct str *text = ctx;

	str_add_bytes(text, data, bytes);
	return 0;
}

/* json_dumps of jansson 2.14 leaves out a quote that it had no memory for, and succeeds. */
char *json_text_print(const json_t *root)
{
	struct str text = { 0 };

	if (root == NULL || json_dump_callback(root, add, &text, JSON_COMPACT) != 0) {
		text.failed = true;
	}
	return str_take(&text);
}

int json_text_parse(const char *text, size_t bytes, json_t **ret)
{
	json_error_t error = { 0 };
	json_t *root = json_loadb(text, bytes, 0, &error);

	if (root != NULL) {
		*ret = root;
		return 0;
	}
	switch (json_error_code(&error)) {
	case json_error_unknown: /* where an allocation failed and nobody said so */
	case json_error_out_of_memory:
		return PFC_ENOMEM;
	default:
		return PFC_ECORRUPT;
	}
}

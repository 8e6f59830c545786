/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <math.h>

static void lead(struct json *json, const char *key)
{
	if (json->depth > 0) {
		text_add(json->out, json->filled[json->depth] ? ",\n" : "\n");
		text_char(json->out, ' ', 2 * (size_t)json->depth);
		json->filled[json->depth] = true;
	}
	if (key) {
		text_json(json->out, key);
		text_add(json->out, ": ");
	}
}

static void open_with(struct json *json, const char *key, const char *bracket)
{
	lead(json, key);
	text_add(json->out, bracket);
	json->depth++;
	json->filled[json->depth & 15] = false;
}

static void close_with(struct json *json, const char *bracket)
{
	bool filled = json->filled[json->depth & 15];

	json->depth--;
	if (filled) {
		text_add(json->out, "\n");
		text_char(json->out, ' ', 2 * (size_t)json->depth);
	}
	text_add(json->out, bracket);
	if (json->depth == 0) {
		text_add(json->out, "\n");
	}
}

void json_object(struct json *json, const char *key)
{
	open_with(json, key, "{");
}

void json_array(struct json *json, const char *key)
{
	open_with(json, key, "[");
}

void json_end_object(struct json *json)
{
	close_with(json, "}");
}

void json_end_array(struct json *json)
{
	close_with(json, "]");
}

void json_text(struct json *json, const char *key, const char *clean)
{
	lead(json, key);
	text_json(json->out, clean);
}

void json_bool(struct json *json, const char *key, bool value)
{
	lead(json, key);
	text_add(json->out, value ? "true" : "false");
}

void json_count(struct json *json, const char *key, uint64_t value)
{
	lead(json, key);
	text_format(json->out, "%" PRIu64, value);
}

void json_number(struct json *json, const char *key, double value, int decimals)
{
	lead(json, key);
	if (isfinite(value)) {
		text_format(json->out, "%.*f", decimals, value);
	} else {
		text_add(json->out, "null");
	}
}

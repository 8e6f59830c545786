/* SPDX-License-Identifier: MIT */
/* Writing JSON: a thin layer over struct text that puts the commas and the indentation. Keys are our own words. */
#ifndef PLUGINS_LIB_JSON_H
#define PLUGINS_LIB_JSON_H

#include "text.h"

/** Where the document stands. Zero-initialise all but `out`. Depth is our own: documents here nest at most 15 deep. */
struct json {
	struct text *out;
	unsigned depth;
	bool filled[16];
};

/** Open and close; key is NULL in arrays and at the top. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_end_array(struct json *json);

void json_text(struct json *json, const char *key, const char *clean);
void json_bool(struct json *json, const char *key, bool value);
void json_count(struct json *json, const char *key, uint64_t value);
/** A number with at most `decimals` decimals; NAN and infinities become null. */
void json_number(struct json *json, const char *key, double value, int decimals);

#endif

/* SPDX-License-Identifier: MIT */
/* How complete an output is: see completeness.h. */
#include "run/completeness.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define TYPE_STACKS    "profcore.stacks/1"
#define MIN_ROOTED_PCT 90.0
#define KEY_BYTES      128
#define ENOUGH_SAMPLES 30

static void set_nested(json_t *to, const char *key, const json_t *value)
{
	const char *dot = strchr(key, '.');
	char head[KEY_BYTES];
	json_t *inner;

	if (dot == NULL || dot == key || dot[1] == '\0' || (size_t)(dot - key) >= sizeof(head)) {
		json_object_set_new(to, key, json_deep_copy(value));
		return;
	}
	snprintf(head, sizeof(head), "%.*s", (int)(dot - key), key);
	inner = json_object_get(to, head);
	if (inner == NULL) {
		inner = json_object();
		json_object_set_new(to, head, inner);
	}
	if (json_is_object(inner)) {
		json_object_set_new(inner, dot + 1, json_deep_copy(value));
	} else { /* "a" and "a.b" both: the second keeps its full name */
		json_object_set_new(to, key, json_deep_copy(value));
	}
}

json_t *completeness_to_json(const struct run_output *output)
{
	const json_t *facts = json_object_get(output->report, "facts");
	json_int_t samples =
		json_integer_value(json_object_get(json_object_get(output->report, "rows"), "samples"));
	json_int_t bytes = json_integer_value(json_object_get(output->report, "bytes"));
	json_t *to = json_object();
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)facts, key, value)
	{
		set_nested(to, key, value);
	}
	if (samples > 0 && bytes > 0) {
		json_object_set_new(to, "bytes_per_sample", json_real((double)bytes / (double)samples));
	}
	return to;
}

void completeness_warning(const struct run_stage *stage, const struct run_output *output, char *to,
			  size_t to_bytes)
{
	const json_t *facts = json_object_get(output->report, "facts");
	const json_t *rooted = json_object_get(facts, "rooted_pct");
	const json_t *least = json_object_get(facts, "min_rooted");
	double least_pct = json_is_number(least) ? json_number_value(least) : MIN_ROOTED_PCT;

	to[0] = '\0';
	if (json_integer_value(json_object_get(json_object_get(output->report, "rows"), "samples")) < ENOUGH_SAMPLES) {
		return; /* a share of so few says nothing; the report says how few there are */
	}
	if (!str_equal(output->plan->port->type, TYPE_STACKS) || json_object_get(facts, "absent") != NULL ||
	    !json_is_number(rooted) ||
	    json_number_value(rooted) >= least_pct) {
		return;
	}
	snprintf(to, to_bytes,
		 "%s.%s: ONLY %.1f %% of the stacks reach their thread's start (min_rooted = %.0f %%): "
		 "shares of callers are too "
		 "low; see completeness in the report",
		 stage->plan->name, output->plan->port->name, json_number_value(rooted), least_pct);
}

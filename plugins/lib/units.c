/* SPDX-License-Identifier: MIT */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *units_count(char *to, uint64_t value)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, value), i, at = 0;

	for (i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0) {
			to[at++] = ',';
		}
		to[at++] = digits[i];
	}
	to[at] = '\0';
	return to;
}

static const char *scaled(char *to, double value, double step, const char *const *names, int count)
{
	int i = 0;

	while (i < count - 1 && value >= step * 0.9995) {
		value /= step;
		i++;
	}
	snprintf(to, UNITS_ROOM, "%.*f %s",
		 i == 0 || value >= 99.95 ? 0
		 : value >= 9.995         ? 1
					  : 2,
		 value, names[i]);
	return to;
}

const char *units_weight(char *to, uint64_t value, const char *unit)
{
	static const char *const times[] = { "ns", "\xc2\xb5s", "ms", "s" };
	static const char *const sizes[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

	if (strcmp(unit, "ns") == 0) {
		return scaled(to, (double)value, 1000, times, 4);
	}
	if (strcmp(unit, "bytes") == 0) {
		return scaled(to, (double)value, 1024, sizes, 7);
	}
	units_count(to, value);
	if (strcmp(unit, "count") != 0 && *unit) {
		snprintf(to + strlen(to), UNITS_ROOM - strlen(to), " %.15s", unit);
	}
	return to;
}

const char *units_ms(char *to, uint64_t ns)
{
	double ms = (double)ns / 1e6;

	if (ms >= 1000) {
		return units_count(to, (uint64_t)(ms + 0.5));
	}
	snprintf(to, UNITS_ROOM, "%.*f", ms >= 100 ? 1 : ms >= 10 ? 2 : 3, ms);
	return to;
}

double units_pct(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

const char *units_pct_text(char *to, double pct)
{
	snprintf(to, UNITS_ROOM, "%.*f",
		 pct >= 99.995 || pct == 0 ? 0
		 : pct >= 9.995            ? 1
		 : pct >= 0.0995           ? 2
					   : 3,
		 pct);
	return to;
}

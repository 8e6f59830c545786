/* SPDX-License-Identifier: MIT */
/* Figures as people read them. All functions write into `to` (UNITS_ROOM bytes) and return it. */
#ifndef PLUGINS_LIB_UNITS_H
#define PLUGINS_LIB_UNITS_H

#include <stdint.h>

#define UNITS_ROOM 48

/** 1234567 as "1,234,567". */
const char *units_count(char *to, uint64_t value);

/** A weight in its unit: ns as "12.3 ms", bytes as "4.0 MiB", all else as a count (with the unit's name, but "count"). */
const char *units_weight(char *to, uint64_t value, const char *unit);

/** ns as milliseconds for tables: "0.123", "12.3", "1,234". */
const char *units_ms(char *to, uint64_t ns);

/** part of whole in percent, 0 when there is no whole. */
double units_pct(uint64_t part, uint64_t whole);

/** A percentage with decimals that tell something: "59.8", "0.12", "0.004", "100". */
const char *units_pct_text(char *to, double pct);

#endif

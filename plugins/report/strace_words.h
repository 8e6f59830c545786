/* SPDX-License-Identifier: MIT */
/* What the tables of the text on system calls share: facts, durations, shares. */
#ifndef PLUGINS_REPORT_STRACE_WORDS_H
#define PLUGINS_REPORT_STRACE_WORDS_H

#include "strace.h"

#include "lib/grid.h"
#include "lib/units.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define WIDTH           100u
#define SHOWN_MAX       20u /* of what takes several lines */

/** A fact of the artifact; NAN, "" when it is not stated. */
double strace_fact(const struct syscalls_model *model, const char *key);
const char *strace_fact_text(const struct syscalls_model *model, const char *key);
/** A fact as a count; 0 for none. */
uint64_t strace_positive(double value);

/** "6.91 ms", "-" for 0; without its space where columns are dear; "43.1" of a whole. to: UNITS_ROOM bytes. Return it. */
const char *strace_time(char *to, uint64_t ns);
const char *strace_short_time(char *to, uint64_t ns);
const char *strace_pct(char *to, uint64_t part, uint64_t whole);

/** Padded by columns: the micro sign has two bytes. */
void strace_add_right(struct text *to, const char *text, unsigned columns);
/** "(12 more)" when not all were shown. */
void strace_add_left_out(struct text *to, uint64_t count, uint64_t shown);

/* The parts of the text, each in its own file. */
void strace_add_head(const struct syscalls_model *model, struct text *to);
void strace_add_calls(struct syscalls_model *model, struct text *to);
void strace_add_call_waits(struct syscalls_model *model, struct text *to);
void strace_add_other_waits(const struct syscalls_model *model, struct text *to);
void strace_add_slow(const struct syscalls_model *model, const struct strace_links *links, struct text *to);
void strace_add_files(struct syscalls_model *model, struct text *to);
void strace_add_books(struct syscalls_model *model, struct text *to);

#endif

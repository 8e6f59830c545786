/* SPDX-License-Identifier: MIT */
/* A list of "file:line: error: ..." remarks, so that all faults of a config are shown at once, in order of file and line. */
#ifndef CORE_CONFIG_DIAG_H
#define CORE_CONFIG_DIAG_H

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

struct origin;

enum diag_level { DIAG_ERROR = 1, DIAG_WARNING, DIAG_NOTE };

struct diag {
	enum diag_level level;
	char *file;
	int line;
	char *text;
};

/** Zero-initialise; free with diag_finish. */
struct diag_list {
	struct diag *items;
	size_t count;
	size_t room;
	size_t errors;
	int failed; /* memory ran out while adding: treat as an error */
};

void diag_add(struct diag_list *list, enum diag_level level, const struct origin *origin, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
size_t diag_errors(const struct diag_list *list);
/** Print all as `file:line: error: text` (colour if asked), control characters escaped. */
void diag_print(const struct diag_list *list, FILE *to, int color);
/** Likewise as a JSON array: [{"level", "file", "line" (0: none), "text"}]; NULL when memory ran out. */
json_t *diag_to_json(const struct diag_list *list);
void diag_finish(struct diag_list *list);

#endif

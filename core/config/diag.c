/* SPDX-License-Identifier: MIT */
/* Remarks on a config, kept in order of arrival and printed in order of file and line. */
#include "config/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"

static int make_room(struct diag_list *list)
{
	size_t room = list->room > 0 ? list->room * 2 : 16;
	struct diag *items;

	if (list->count < list->room) {
		return 0;
	}
	items = realloc(list->items, room * sizeof(*items));
	if (items == NULL) {
		return PFC_ENOMEM;
	}
	list->items = items;
	list->room = room;
	return 0;
}

void diag_add(struct diag_list *list, enum diag_level level, const struct origin *origin, const char *format,
	      ...)
{
	struct diag item = { .level = level, .line = origin != NULL ? origin->line : 0 };
	va_list args;

	item.file = strdup(origin != NULL && origin->file != NULL ? origin->file : "");
	va_start(args, format);
	if (vasprintf(&item.text, format, args) < 0) {
		item.text = NULL;
	}
	va_end(args);
	if (item.file == NULL || item.text == NULL || make_room(list) < 0) {
		free(item.file);
		free(item.text);
		list->failed = 1;
		return;
	}
	list->items[list->count++] = item;
	list->errors += level == DIAG_ERROR;
}

size_t diag_errors(const struct diag_list *list)
{
	return list->errors + (list->failed != 0);
}

/* qsort is not stable: equal places keep their order of arrival by comparing addresses of one array. */
static int by_place(const void *a, const void *b)
{
	const struct diag *left = *(const struct diag *const *)a;
	const struct diag *right = *(const struct diag *const *)b;
	int order = strcmp(left->file, right->file);

	if (order != 0) {
		return order;
	}
	if (left->line != right->line) {
		return left->line < right->line ? -1 : 1;
	}
	return left < right ? -1 : left > right;
}

/* The remarks in order of place; NULL when memory ran out. */
static const struct diag **in_order(const struct diag_list *list)
{
	const struct diag **order = malloc((list->count + 1) * sizeof(const struct diag *));

	for (size_t i = 0; order != NULL && i < list->count; i++) {
		order[i] = &list->items[i];
	}
	if (order != NULL) {
		qsort(order, list->count, sizeof(const struct diag *), by_place);
	}
	return order;
}

static const char *const level_words[] = { "", "error", "warning", "note" };

static void print_one(const struct diag *item, FILE *to, int color)
{
	static const char *const colors[] = { "", "\033[31m", "\033[33m", "\033[36m" };
	char file[1024];
	char text[4096];

	log_escape(file, sizeof(file), item->file);
	log_escape(text, sizeof(text), item->text);
	if (item->file[0] == '\0') {
		fputs("profcore: ", to);
	} else if (item->line > 0) {
		fprintf(to, "%s:%d: ", file, item->line);
	} else {
		fprintf(to, "%s: ", file);
	}
	fprintf(to, "%s%s%s: %s\n", color ? colors[item->level] : "", level_words[item->level],
		color ? "\033[0m" : "", text);
}

void diag_print(const struct diag_list *list, FILE *to, int color)
{
	const struct diag **order = in_order(list);

	for (size_t i = 0; i < list->count; i++) {
		print_one(order != NULL ? order[i] : &list->items[i], to, color);
	}
	if (list->failed) {
		fputs("profcore: error: out of memory: some remarks are missing\n", to);
	}
	free(order);
}

json_t *diag_to_json(const struct diag_list *list)
{
	const struct diag **order = in_order(list);
	json_t *array = order != NULL ? json_array() : NULL;

	for (size_t i = 0; array != NULL && i < list->count; i++) {
		json_t *item =
			json_pack("{s:s, s:s, s:i, s:s}", "level", level_words[order[i]->level], "file",
				  order[i]->file, "line", order[i]->line, "text", order[i]->text);

		/* A path or text may be no UTF-8; the remark then stays in the text output only. */
		if (item != NULL) {
			json_array_append_new(array, item);
		}
	}
	free(order);
	return array;
}

void diag_finish(struct diag_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].file);
		free(list->items[i].text);
	}
	free(list->items);
	memset(list, 0, sizeof(*list));
}

/* SPDX-License-Identifier: MIT */
#include "grid.h"

#include <string.h>

static void cell(struct text *to, const struct grid_column *column, const char *text, bool is_last)
{
	size_t columns = text_columns(text), pad = column->width > columns ? column->width - columns : 0;

	if (column->right) {
		text_char(to, ' ', pad);
	}
	text_cut(to, text, column->width ? column->width : columns);
	if (!column->right && !is_last) {
		text_char(to, ' ', pad);
	}
	text_add(to, is_last ? "\n" : "  ");
}

void grid_row(struct text *to, const struct grid_column *columns, unsigned count, const char *const *cells)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		cell(to, &columns[i], cells[i], i + 1 == count);
	}
}

void grid_head(struct text *to, const struct grid_column *columns, unsigned count)
{
	unsigned i;
	size_t width;

	for (i = 0; i < count; i++) {
		cell(to, &columns[i], columns[i].title, i + 1 == count);
	}
	for (i = 0; i < count; i++) {
		width = columns[i].width ? columns[i].width : text_columns(columns[i].title);
		text_char(to, '-', width);
		text_add(to, i + 1 == count ? "\n" : "  ");
	}
}

void grid_heading(struct text *to, const char *title)
{
	text_format(to, "\n%s\n", title);
	text_char(to, '=', text_columns(title));
	text_add(to, "\n\n");
}

/* SPDX-License-Identifier: MIT */
/* Tables in plain text: columns of stated width, numbers to the right, long names cut with an ellipsis. */
#ifndef PLUGINS_LIB_GRID_H
#define PLUGINS_LIB_GRID_H

#include "text.h"

struct grid_column {
	const char *title;
	unsigned width; /* columns of a terminal; 0 in the last column: what is there, uncut */
	bool right;     /* numbers */
};

/** Title line and a rule below it. */
void grid_head(struct text *to, const struct grid_column *columns, unsigned count);
/** One row; cells are clean text. */
void grid_row(struct text *to, const struct grid_column *columns, unsigned count, const char *const *cells);
/** A heading with its underline and an empty line before it. */
void grid_heading(struct text *to, const char *title);

#endif

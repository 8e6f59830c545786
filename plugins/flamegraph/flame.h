/* SPDX-License-Identifier: MIT */
/* A flame graph in the making: the boxes, what is said beside them, and the parts of the document. */
#ifndef PLUGINS_FLAMEGRAPH_FLAME_H
#define PLUGINS_FLAMEGRAPH_FLAME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/calltree.h"
#include "lib/health.h"
#include "lib/pairmap.h"
#include "lib/profile.h"
#include "lib/text.h"

/** One box. Boxes stand in pre-order: parent, then its children from left to right. */
struct flame_box {
	uint64_t x; /* where it begins, in weight from the left */
	uint64_t weight;
	uint64_t samples;
	uint32_t function;
	uint32_t depth;  /* box 0, the whole, has 0 */
	uint32_t merged; /* not 0: this many narrow siblings in one box */
	bool inlined;
};

struct flame {
	struct profile *profile;
	const struct health *health;
	struct calltree tree;
	struct flame_box *boxes;
	uint32_t box_count;
	uint32_t box_room;
	uint32_t depth;  /* of the deepest box */
	uint64_t merged; /* weight in boxes too narrow to be drawn one by one */

	const char *run_name;
	const char *title; /* as the user gave it; may be empty */
	double min_width_pct;
	bool icicle;
	bool reverse;
	bool by_module; /* colours */
	bool by_thread;
	uint32_t max_depth;
};

/** Lay the call tree out in boxes. Returns 0 or PFC_ENOMEM. */
int flame_layout(struct flame *flame);

/** The class that colours a box: a letter for the kind ("m" for modules) and a digit; to has 4 bytes. */
const char *flame_class(const struct flame *flame, const struct flame_box *box, char *to);
/** Append the CSS of all classes, light and dark. */
void flame_palette(struct text *to);
/** Call `each` for each entry of the legend. */
void flame_legend_each(const struct flame *flame,
		       void (*each)(void *context, const char *class, const char *label), void *context);

/** The name of a box as it is shown, appended clean. */
void flame_box_name(const struct flame *flame, const struct flame_box *box, struct text *to);

/** Append the data for the script: members of an object, without its braces. */
void flame_data(const struct flame *flame, struct text *to);

/** What stands above the picture, clean; freed with text_finish. */
struct flame_head {
	struct text title;
	struct text about; /* event, samples, weight */
	struct text health;
	struct text note; /* what was not drawn; may be empty */
};

void flame_head_make(const struct flame *flame, struct flame_head *head);
void flame_head_finish(struct flame_head *head);

/** Append the picture for viewers without scripts, 1200 units wide; *ret_height is its height. */
void flame_still(const struct flame *flame, const struct flame_head *head, struct text *to,
		 unsigned *ret_height);

/** The whole document. Returns 0 or PFC_ENOMEM. */
int flame_document(const struct flame *flame, struct text *ret);

/* view.js and view.css, terminated; made by the build (embed.py). */
extern const char flame_view_js[];
extern const char flame_view_css[];

#endif

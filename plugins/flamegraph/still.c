/* SPDX-License-Identifier: MIT */
/*
 * The picture as it shows where scripts do not run (mail, image viewers, an <img>): plain rectangles and text, 1200 units
 * wide. Boxes below a thousandth of the width are left to the script.
 */
#include "flame.h"

#include <inttypes.h>
#include <string.h>

#include "lib/units.h"

#define WIDTH      1200.0
#define MARGIN     10.0
#define INNER      (WIDTH - 2 * MARGIN)
#define ROW        18u
#define LEAST      1.2 /* narrower boxes are not drawn here */
#define CHAR_WIDTH 7.3 /* of the 12-unit monospace font, a little more than usual */

struct still {
	const struct flame *flame;
	struct text *to;
	unsigned top;    /* where the boxes begin */
	unsigned height; /* of the boxes */
	double key_x;    /* where the next entry of the legend goes */
	unsigned key_y;
};

static void add_line(struct still *still, const char *class, const char *clean)
{
	text_format(still->to, "<text x=\"%g\" y=\"%u\" class=\"%s\">", MARGIN, still->top, class);
	text_xml(still->to, clean);
	text_add(still->to, "</text>\n");
	still->top += 18;
}

/* One line of text for each line of `clean`. */
static void add_lines(struct still *still, const char *class, const char *clean)
{
	const char *end;
	struct text line = { 0 };

	for (; *clean; clean = *end ? end + 1 : end) {
		end = strchrnul(clean, '\n');
		text_bytes(&line, clean, (size_t)(end - clean));
		add_line(still, class, text_str(&line));
		still->to->failed |= line.failed;
		text_finish(&line);
	}
}

static void add_key(void *context, const char *class, const char *label)
{
	struct still *still = context;
	double width = 20 + (double)text_columns(label) * CHAR_WIDTH + 16;

	if (still->key_x > MARGIN && still->key_x + width > WIDTH - MARGIN) {
		still->key_x = MARGIN;
		still->key_y += 18;
	}
	text_format(still->to, "<rect x=\"%g\" y=\"%u\" width=\"13\" height=\"13\" class=\"%s\"/>",
		    still->key_x, still->key_y, class);
	text_format(still->to, "<text x=\"%g\" y=\"%u\">", still->key_x + 18, still->key_y + 11);
	text_xml(still->to, label);
	text_add(still->to, "</text>\n");
	still->key_x += width;
}

static void add_tooltip(const struct still *still, const struct flame_box *box, const char *name)
{
	const struct profile *profile = still->flame->profile;
	const char *module = box->merged ? "" : profile_function_module(profile, box->function);
	char weight[UNITS_ROOM], samples[UNITS_ROOM], pct[UNITS_ROOM];

	text_add(still->to, "<title>");
	text_xml(still->to, name);
	if (*module) {
		text_add(still->to, " \xc2\xb7 ");
		text_xml(still->to, module);
	}
	text_format(still->to, " \xc2\xb7 %s %%, %s samples",
		    units_pct_text(pct, units_pct(box->weight, still->flame->boxes[0].weight)),
		    units_count(samples, box->samples));
	if (profile->has_weight && strcmp(profile->unit, "count") != 0) {
		text_format(still->to, ", %s", units_weight(weight, box->weight, profile->unit));
	}
	text_add(still->to, "</title>");
}

/* A box that is wide enough for letters also tells more when pointed at. */
static void add_name(struct still *still, const struct flame_box *box, double x, unsigned y, size_t room)
{
	struct text name = { 0 }, shown = { 0 };

	flame_box_name(still->flame, box, &name);
	add_tooltip(still, box, text_str(&name));
	text_format(still->to, "</rect><text x=\"%.1f\" y=\"%u\" class=\"n\">", x + 3, y + 13);
	text_cut(&shown, text_str(&name), room);
	text_xml(still->to, text_str(&shown));
	text_add(still->to, "</text>\n");
	still->to->failed |= shown.failed || name.failed;
	text_finish(&shown);
	text_finish(&name);
}

static void add_box(struct still *still, const struct flame_box *box)
{
	const struct flame *flame = still->flame;
	double all = (double)flame->boxes[0].weight, x = MARGIN + INNER * (double)box->x / all;
	double width = INNER * (double)box->weight / all;
	unsigned y = still->top + ROW * (flame->icicle ? box->depth : flame->depth - box->depth);
	size_t room = width > 12 ? (size_t)((width - 6) / CHAR_WIDTH) : 0;
	char class[4];

	if (width < LEAST) {
		return;
	}
	text_format(still->to, "<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%u\" class=\"%s\"", x, y,
		    width > 2 ? width - 0.5 : width, ROW - 1, flame_class(flame, box, class));
	if (room >= 3) {
		text_add(still->to, ">");
		add_name(still, box, x, y, room);
	} else {
		text_add(still->to, "/>\n");
	}
}

void flame_still(const struct flame *flame, const struct flame_head *head, struct text *to,
		 unsigned *ret_height)
{
	struct still still = { .flame = flame, .to = to, .top = 26, .key_x = MARGIN };
	uint32_t i;

	add_line(&still, "title", text_str(&head->title));
	add_lines(&still, "", text_str(&head->about));
	add_lines(&still, "", text_str(&head->health));
	add_lines(&still, "warning", text_str(&flame->health->warnings));
	add_lines(&still, "soft", text_str(&head->note));
	still.key_y = still.top - 8;
	flame_legend_each(flame, add_key, &still);
	still.top = still.key_y + 26;
	still.height = (flame->depth + 1) * ROW;
	for (i = 0; i < flame->box_count; i++) {
		add_box(&still, &flame->boxes[i]);
	}
	*ret_height = still.top + still.height + 10;
}

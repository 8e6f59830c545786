/* SPDX-License-Identifier: MIT */
/* The words around the picture: what it shows, how complete it is, what was left out. All clean text. */
#include "flame.h"

#include <math.h>
#include <string.h>

#include "lib/units.h"

void flame_box_name(const struct flame *flame, const struct flame_box *box, struct text *to)
{
	char count[UNITS_ROOM];

	if (box->depth == 0) {
		text_add(to, !flame->reverse ? "all"
			     : flame->icicle ? "all, callers below"
					     : "all, callers above");
	} else if (box->merged) {
		text_format(to, "(%s narrow frame%s)", units_count(count, box->merged),
			    box->merged == 1 ? "" : "s");
	} else {
		text_add(to, profile_function_name(flame->profile, box->function));
	}
}

static void add_raw(struct text *to, const char *raw)
{
	text_clean(to, (struct pfc_string){ raw, strlen(raw) }, 200);
}

static void make_title(const struct flame *flame, struct text *to)
{
	const struct profile *profile = flame->profile;

	if (*flame->title) {
		add_raw(to, flame->title);
		return;
	}
	if (*flame->run_name) {
		add_raw(to, flame->run_name);
		text_add(to, ": ");
	}
	text_format(to, "%s%sflame graph", profile->signal, *profile->signal ? " " : "");
	if (flame->reverse) {
		text_add(to, " by callers");
	}
}

static void make_about(const struct flame *flame, struct text *to)
{
	const struct profile *profile = flame->profile;
	char text[UNITS_ROOM];

	text_format(to, "%s \xc2\xb7 %s samples", profile->event, units_count(text, profile->samples));
	if (profile->has_weight && strcmp(profile->unit, "count") != 0) {
		text_format(to, " \xc2\xb7 %s", units_weight(text, profile->weight, profile->unit));
	}
	if (isfinite(flame->health->frequency_hz)) {
		text_format(to, " \xc2\xb7 %.0f Hz", flame->health->frequency_hz);
	}
	text_format(to, " \xc2\xb7 %s thread%s", units_count(text, profile->thread_count),
		    profile->thread_count == 1 ? "" : "s");
}

static void make_note(const struct flame *flame, struct text *to)
{
	char text[UNITS_ROOM];
	uint64_t all = flame->boxes[0].weight;

	if (flame->merged) {
		text_format(to, "%s %% lies in frames narrower than %g %%, which are not drawn one by one. ",
			    units_pct_text(text, units_pct(flame->merged, all)), flame->min_width_pct);
	}
	if (flame->tree.cut_weight) {
		text_format(to, "%s %% lies in stacks that go deeper than is drawn. ",
			    units_pct_text(text, units_pct(flame->tree.cut_weight, all)));
	}
	if (flame->profile->outside) {
		text_format(to, "%s samples from outside the window are left out. ",
			    units_count(text, flame->profile->outside));
	}
}

void flame_head_make(const struct flame *flame, struct flame_head *head)
{
	memset(head, 0, sizeof(*head));
	make_title(flame, &head->title);
	make_about(flame, &head->about);
	health_line(flame->health, &head->health);
	make_note(flame, &head->note);
}

void flame_head_finish(struct flame_head *head)
{
	text_finish(&head->title);
	text_finish(&head->about);
	text_finish(&head->health);
	text_finish(&head->note);
}

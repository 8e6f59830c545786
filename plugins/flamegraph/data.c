/* SPDX-License-Identifier: MIT */
/*
 * The data for the script, small: boxes as numbers in pre-order (depth, function, weight), from which the script finds
 * parents and places; weights in units of their greatest common divisor, which for a fixed sampling period makes them sample
 * counts. All text goes through text_json, so that nothing in a name can end the script.
 */
#include "flame.h"

#include <inttypes.h>

#include "lib/units.h"

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static uint64_t common_divisor(const struct flame *flame)
{
	uint64_t divisor = 0;
	uint32_t i;

	for (i = 0; i < flame->box_count && divisor != 1; i++) {
		divisor = gcd(flame->boxes[i].weight, divisor);
	}
	return divisor ? divisor : 1;
}

/* Whether every box has the same weight per sample; then samples need not be written. */
static bool is_even(const struct flame *flame)
{
	const struct flame_box *all = &flame->boxes[0], *box;
	uint64_t each = all->samples ? all->weight / all->samples : 0, product;
	uint32_t i;

	for (i = 0; i < flame->box_count; i++) {
		box = &flame->boxes[i];
		if (__builtin_mul_overflow(box->samples, each, &product) || product != box->weight) {
			return false;
		}
	}
	return true;
}

/* The lists that boxes refer to by number, each written when it is first met. */
struct lists {
	const struct flame *flame;
	struct pairmap look_ids; /* (function, inlined or merged) to its number */
	struct pairmap module_ids;
	struct text looks;
	struct text modules;
	struct text boxes;
	uint64_t divisor;
	bool with_samples;
};

static uint32_t module_number(struct lists *lists, const struct flame_box *box)
{
	const struct profile *profile = lists->flame->profile;
	uint32_t *number;
	bool is_new;

	number = pairmap_at(&lists->module_ids, profile->functions[box->function].module,
			    lists->module_ids.count, &is_new);
	if (!number) {
		lists->looks.failed = true;
		return 0;
	}
	if (is_new) {
		text_json(&lists->modules, profile_function_module(profile, box->function));
		text_add(&lists->modules, ",");
	}
	return *number;
}

static void add_look(struct lists *lists, const struct flame_box *box)
{
	const struct flame *flame = lists->flame;
	struct text name = { 0 };
	char class[4];

	flame_box_name(flame, box, &name);
	text_add(&lists->looks, "[");
	text_json(&lists->looks, text_str(&name));
	text_format(&lists->looks, ",%" PRIu32 ",\"%s\",%d,%d],\n", module_number(lists, box),
		    flame_class(flame, box, class), flame->profile->functions[box->function].kind,
		    box->inlined);
	lists->looks.failed |= name.failed;
	text_finish(&name);
}

static void add_box(struct lists *lists, const struct flame_box *box)
{
	uint64_t key = box->merged ? UINT64_MAX - box->merged : (uint64_t)box->function * 2 + box->inlined;
	uint32_t *number;
	bool is_new;

	number = pairmap_at(&lists->look_ids, box->depth ? key : UINT64_MAX, lists->look_ids.count, &is_new);
	if (!number) {
		lists->boxes.failed = true;
		return;
	}
	text_format(&lists->boxes, "%" PRIu32 ",%" PRIu32 ",%" PRIu64 ",", box->depth, *number,
		    box->weight / lists->divisor);
	if (lists->with_samples) {
		text_format(&lists->boxes, "%" PRIu64 ",", box->samples);
	}
	if (is_new) {
		add_look(lists, box);
	}
}

static void add_entry(void *context, const char *class, const char *label)
{
	struct text *to = context;

	text_format(to, "[\"%s\",", class);
	text_json(to, label);
	text_add(to, "],");
}

static void add_facts(const struct flame *flame, struct lists *lists, struct text *to)
{
	const struct flame_box *all = &flame->boxes[0];

	text_add(to, "unit:");
	text_json(to, flame->profile->unit);
	text_format(to, ",scale:%" PRIu64 ",each:%" PRIu64 ",step:%d,icicle:%d,reverse:%d,\nlegend:[",
		    lists->divisor, all->samples ? all->weight / all->samples : 0,
		    lists->with_samples ? 4 : 3, flame->icicle, flame->reverse);
	flame_legend_each(flame, add_entry, to);
	text_add(to, "],\n");
}

void flame_data(const struct flame *flame, struct text *to)
{
	struct lists lists = { .flame = flame,
			       .divisor = common_divisor(flame),
			       .with_samples = !is_even(flame) };
	uint32_t i;

	for (i = 0; i < flame->box_count; i++) {
		add_box(&lists, &flame->boxes[i]);
		if (i % 32 == 31) {
			text_add(&lists.boxes, "\n");
		}
	}
	add_facts(flame, &lists, to);
	text_format(to, "modules:[%s],\nlooks:[%s],\n", text_str(&lists.modules), text_str(&lists.looks));
	text_format(to, "boxes:[%s]\n", text_str(&lists.boxes));
	to->failed |= lists.modules.failed || lists.looks.failed || lists.boxes.failed;
	text_finish(&lists.modules);
	text_finish(&lists.looks);
	text_finish(&lists.boxes);
	pairmap_finish(&lists.look_ids);
	pairmap_finish(&lists.module_ids);
}

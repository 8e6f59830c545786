/* SPDX-License-Identifier: MIT */
/*
 * Colours. Each kind has a hue of its own, chosen so that orange, green-blue, violet and blue stay apart for people who do
 * not see red and green, and five shades; which shade is a hash of the name, the same in every picture. Text on each
 * colour has a contrast of at least 4.5 in both modes (tests/integration/test_documents.py computes it).
 */
#include "flame.h"

#include <string.h>

struct palette {
	char letter;
	const char *light[8];
	const char *dark[8];
};

static const struct palette palettes[] = {
	{ 'a',
	  { "#f7cb73", "#f9d78f", "#f4bf5a", "#fbe2a8", "#f1b446" },
	  { "#84560f", "#8f6016", "#784d0a", "#8e6119", "#6d4506" } },
	{ 'i',
	  { "#93d6ba", "#a8dfc8", "#7ecbab", "#bce8d7", "#6cc29e" },
	  { "#1b6650", "#21705a", "#165b46", "#277862", "#10503c" } },
	{ 'l',
	  { "#d6baea", "#e0caf0", "#cba9e2", "#e9d8f5", "#c19bdb" },
	  { "#694889", "#735295", "#5e3f7d", "#7c5b9e", "#533571" } },
	{ 'k',
	  { "#94c5f0", "#aad2f4", "#7fb9ea", "#bdddf7", "#6eaee5" },
	  { "#235f96", "#2a689f", "#1c5589", "#316fa6", "#154a7b" } },
	{ 'u',
	  { "#cdd0d5", "#d7d9dd", "#c3c7cd", "#dfe1e4", "#babec5" },
	  { "#555a62", "#5d626a", "#4d5259", "#646971", "#464a51" } },
	{ 't', { "#e4dccb" }, { "#4f4738" } },
	{ 'r', { "#d9dde3" }, { "#3b4049" } },
	{ 'o', { "#eceef0" }, { "#33373d" } },
	{ 'm',
	  { "#f7cb73", "#94c5f0", "#93d6ba", "#d6baea", "#f6b3a4", "#e3de8c", "#f3b9d5", "#b9c6d6" },
	  { "#84560f", "#235f96", "#1b6650", "#694889", "#96402f", "#66620f", "#8a3f68", "#4b5a6c" } },
};

/* FNV-1a; the colour is no secret, so nobody gains by a collision. */
static uint32_t hash_text(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++) {
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	}
	return hash ^ hash >> 15;
}

/* 0 is the program itself, 1 the kernel; the rest share the others. */
static unsigned module_shade(const struct profile *profile, const struct profile_function *function)
{
	if (function->kind == PROFILE_APP) {
		return 0;
	}
	if (function->kind == PROFILE_KERNEL) {
		return 1;
	}
	return 2 + hash_text(names_text(&profile->names, profile->modules[function->module].name)) % 6;
}

const char *flame_class(const struct flame *flame, const struct flame_box *box, char *to)
{
	static const char letters[] = { 'a', 'l', 'k', 'u', 't' };
	const struct profile_function *function = &flame->profile->functions[box->function];
	unsigned shade = 0;

	to[2] = '\0';
	if (box->depth == 0 || box->merged) {
		to[0] = box->merged ? 'o' : 'r';
	} else if (flame->by_module && function->kind != PROFILE_UNKNOWN &&
		   function->kind != PROFILE_THREAD) {
		to[0] = 'm';
		shade = module_shade(flame->profile, function);
	} else {
		to[0] = box->inlined && !flame->by_module ? 'i' : letters[function->kind];
		shade = function->kind == PROFILE_THREAD
				? 0
				: hash_text(profile_function_name(flame->profile, box->function)) % 5;
	}
	to[1] = (char)('0' + shade);
	return to;
}

static void add_rules(struct text *to, bool dark)
{
	size_t i, shade;

	for (i = 0; i < sizeof(palettes) / sizeof(palettes[0]); i++) {
		for (shade = 0; shade < 8 && palettes[i].light[shade]; shade++) {
			text_format(to, ".%c%zu{fill:%s;background:%s}", palettes[i].letter, shade,
				    dark ? palettes[i].dark[shade] : palettes[i].light[shade],
				    dark ? palettes[i].dark[shade] : palettes[i].light[shade]);
		}
	}
}

void flame_palette(struct text *to)
{
	add_rules(to, false);
	text_add(to, "\n@media (prefers-color-scheme:dark){");
	add_rules(to, true);
	text_add(to, "}\n");
}

#define LEGEND_MODULES 12

static void each_module(const struct flame *flame,
			void (*each)(void *context, const char *class, const char *label), void *context)
{
	const struct profile *profile = flame->profile;
	uint32_t seen[LEGEND_MODULES], count = 0, i, k;
	char class[4];

	for (i = 0; i < flame->box_count && count < LEGEND_MODULES; i++) {
		const struct flame_box *box = &flame->boxes[i];
		uint32_t module = profile->functions[box->function].module;

		if (flame_class(flame, box, class)[0] != 'm') {
			continue;
		}
		for (k = 0; k < count && seen[k] != module; k++) {
		}
		if (k == count) {
			seen[count++] = module;
			each(context, class, profile_function_module(profile, box->function));
		}
	}
}

void flame_legend_each(const struct flame *flame,
		       void (*each)(void *context, const char *class, const char *label), void *context)
{
	static const struct {
		char letter;
		const char *label;
	} kinds[] = { { 't', "thread" }, { 'a', "app" },     { 'i', "inlined" },       { 'l', "library" },
		      { 'k', "kernel" }, { 'u', "unknown" }, { 'o', "narrow, merged" } };
	bool used[128] = { false };
	char class[4];
	uint32_t i;

	for (i = 0; i < flame->box_count; i++) {
		used[flame_class(flame, &flame->boxes[i], class)[0] & 127] = true;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (used[(unsigned char)kinds[i].letter]) {
			class[0] = kinds[i].letter;
			class[1] = '0';
			class[2] = '\0';
			each(context, class, kinds[i].label);
		}
	}
	if (flame->by_module) {
		each_module(flame, each, context);
	}
}

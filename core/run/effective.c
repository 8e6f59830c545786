/* SPDX-License-Identifier: MIT */
#include "run/effective.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* inih's lines end at 200 bytes: a longer value goes on in the next, indented line, broken at a space. */
#define LINE_BYTES_MAX 180

static void add_value(struct str *out, const char *key, const char *text)
{
	size_t used;

	str_format(out, "%s = ", key);
	used = strlen(key) + 3;
	while (used + strlen(text) > LINE_BYTES_MAX) {
		const char *space = NULL;

		for (size_t i = 0; text[i] != '\0' && used + i < LINE_BYTES_MAX; i++) {
			space = text[i] == ' ' ? text + i : space;
		}
		if (space == NULL || space == text) {
			break;
		}
		str_add_bytes(out, text, (size_t)(space - text));
		str_add(out, "\n    ");
		text = space + 1;
		used = 4;
	}
	str_format(out, "%s\n", text);
}

static bool is_listed(const struct option_set *set, const char *key)
{
	return options_get(set, key) != NULL;
}

static void add_options(struct str *out, const struct option_set *set, bool with_empty)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct option_value *value = &set->values[i];

		/* What a file was made of by include is all here already. */
		if (value->text == NULL || (value->text[0] == '\0' && !with_empty) || str_equal(value->def->name, "include")) {
			continue;
		}
		add_value(out, value->def->name, value->text);
	}
}

/* The keys that are not options: use, input.*, on_failure. */
static void add_reserved(struct str *out, const struct config_section *section, const struct option_set *options)
{
	for (const struct config_value *v = section->values; v != NULL; v = v->next) {
		if (!is_listed(options, v->key)) {
			add_value(out, v->key, v->text);
		}
	}
}

static const struct plan_stage *stage_of(const struct plan *plan, const char *section)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		if (str_equal(plan->stages[i]->section, section)) {
			return plan->stages[i];
		}
	}
	return NULL;
}

int effective_write(const struct rundir *dir, const struct config *config, const struct plan *plan,
		    struct pfc_error *err)
{
	struct str out = { 0 };
	char *text;
	int rc;

	str_format(&out, "; made from %s: every value as it was used\n[run]\n", config->path[0] != '\0' ? config->path : "-");
	add_options(&out, &plan->run, false);
	str_add(&out, "\n[target]\n");
	add_options(&out, &plan->target, false);
	for (const struct config_section *s = config->sections; s != NULL; s = s->next) {
		const struct plan_stage *stage = str_equal(s->kind, "plugin") ? stage_of(plan, s->name) : NULL;

		if (!str_equal(s->kind, "plugin")) {
			continue;
		}
		str_format(&out, "\n[plugin:%s]\n", s->name);
		if (stage == NULL) { /* switched off, or not of a replay: kept as it stands */
			add_reserved(&out, s, &(struct option_set){ 0 });
			continue;
		}
		add_reserved(&out, s, &stage->options);
		add_options(&out, &stage->options, false);
	}
	text = str_take(&out);
	if (text == NULL) {
		return error_nomem(err);
	}
	rc = rundir_write_text(dir, "config.effective.ini", text, err);
	free(text);
	return rc;
}

/* SPDX-License-Identifier: MIT */
#include "run/effective.h"

#include <stdlib.h>
#include <string.h>

#include "base/ini.h"
#include "base/log.h"
#include "base/str.h"

/* Lines that people can read: a longer value goes on in the next, indented line, broken at a space. */
#define LINE_BYTES_MAX 180

static void fold_value(struct str *out, const char *key, const char *text)
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

/* Whether a config with these lines says what was meant: a value of --set may hold what an INI file cannot. */
static bool reads_back(const char *lines, const char *key, const char *text)
{
	char *whole = str_printf("[run]\n%s", lines);
	struct ini_doc doc = { 0 };
	const struct ini_section *section;
	const struct ini_entry *entry;
	bool same;

	if (whole == NULL || ini_doc_parse(whole, strlen(whole), &doc, NULL) < 0) {
		free(whole);
		return false;
	}
	section = ini_section_find(&doc, "run");
	entry = section != NULL ? ini_entry_find(section, key) : NULL;
	same = doc.faults == NULL && doc.sections == section && section != NULL && section->next == NULL && entry != NULL &&
	       entry == section->entries && entry->next == NULL && str_equal(entry->value, text);
	ini_doc_finish(&doc);
	free(whole);
	return same;
}

static void add_value(struct str *out, const char *key, const char *text)
{
	struct str lines = { 0 };
	char safe[61]; /* a comment is a line too */

	fold_value(&lines, key, text);
	if (lines.failed || reads_back(str_text(&lines), key, text)) {
		str_add(out, str_text(&lines));
		out->failed = out->failed || lines.failed;
	} else {
		log_warning("config.effective.ini cannot hold %s: an INI file has no way to write this value; give it by --set", key);
		str_format(out, "; %s: not to be written in an INI file, give it by --set; it began with: %s\n", key,
			   log_escape(safe, sizeof(safe), text));
	}
	str_finish(&lines);
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
	char made_from[128]; /* one short line, whatever the file's name holds */
	struct str out = { 0 };
	char *text;
	int rc;

	str_format(&out, "; made from %s: every value as it was used\n[run]\n",
		   config->path[0] != '\0' ? log_escape(made_from, sizeof(made_from), config->path) : "-");
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

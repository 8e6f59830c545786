/* SPDX-License-Identifier: MIT */
#include "plan/unique.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Whether it is the run's own file, or that of an output before number `output` of stage `stage`. */
static bool is_taken(const struct plan *plan, size_t stage, size_t output, const char *path)
{
	static const char *const own[] = { "manifest.json", "target.json", "config.effective.ini",
					   "artifacts", "logs" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (str_equal(own[i], path)) {
			return true;
		}
	}
	for (size_t i = 0; i <= stage; i++) {
		size_t before = i < stage ? plan->stages[i]->output_count : output;

		for (size_t j = 0; j < before; j++) {
			if (str_equal(plan->stages[i]->outputs[j].path, path)) {
				return true;
			}
		}
	}
	return false;
}

/* "report.txt" of stage "b" becomes "report.b.txt", then "report.b.2.txt", ... */
static char *renamed(const char *path, const char *stage, unsigned attempt)
{
	const char *dot = strrchr(path, '.');
	int stem = (int)((dot != NULL ? dot : path + strlen(path)) - path);

	return attempt < 2 ? str_printf("%.*s.%s%s", stem, path, stage, path + stem)
			   : str_printf("%.*s.%s.%u%s", stem, path, stage, attempt, path + stem);
}

static int make_unique(struct plan *plan, size_t stage, size_t output)
{
	struct plan_output *one = &plan->stages[stage]->outputs[output];
	char *path = NULL;

	if (!is_taken(plan, stage, output, one->path)) {
		return 0;
	}
	for (unsigned attempt = 1; path == NULL || is_taken(plan, stage, output, path); attempt++) {
		free(path);
		path = renamed(one->path, plan->stages[stage]->name, attempt);
		if (path == NULL) {
			return PFC_ENOMEM;
		}
	}
	free(one->path);
	one->path = path;
	one->link[0] = '\0';
	return 0;
}

int unique_paths(struct plan *plan, struct pfc_error *err)
{
	for (size_t i = 0; i < plan->stage_count; i++) {
		for (size_t o = 0; o < plan->stages[i]->output_count; o++) {
			if (make_unique(plan, i, o) < 0) {
				return error_nomem(err);
			}
		}
	}
	return 0;
}

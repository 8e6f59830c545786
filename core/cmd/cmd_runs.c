/* SPDX-License-Identifier: MIT */
/* `profcore runs [FOLDER] [--json]`: the stored runs, newest first. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/planned.h"
#include "plan/stored.h"

static int newest_first(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

static int is_run_name(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static json_t *describe(const char *folder, const char *id)
{
	json_t *manifest = NULL;
	struct pfc_error err;
	json_t *entry;

	if (stored_manifest(folder, &manifest, &err) < 0) {
		return json_pack("{s:s, s:s, s:s}", "run", id, "status", "unreadable", "why", err.why);
	}
	entry = json_pack("{s:s, s:s, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?}", "run", id, "folder",
			  folder, "status", json_object_get(manifest, "status"), "phase",
			  json_object_get(manifest, "phase"), "exit_code",
			  json_object_get(manifest, "exit_code"), "name", json_object_get(manifest, "name"),
			  "window", json_object_get(manifest, "window"), "target",
			  json_object_get(manifest, "target"), "series", json_object_get(manifest, "series"),
			  "joined", json_object_get(manifest, "joined"));
	json_decref(manifest);
	return entry;
}

static void print(const json_t *runs)
{
	const json_t *run;
	size_t i;

	if (json_array_size(runs) > 0) {
		printf("%-40s %-10s %9s %6s  %s\n", "RUN", "STATUS", "WINDOW", "SERIES", "TARGET");
	}
	json_array_foreach(runs, i, run)
	{
		const json_t *window = json_object_get(run, "window");
		const json_t *number = json_object_get(json_object_get(run, "series"), "number");
		double seconds = (double)(json_integer_value(json_object_get(window, "t1_ns")) -
					  json_integer_value(json_object_get(window, "t0_ns"))) /
				 1e9;
		const char *status = json_string_value(json_object_get(run, "status"));
		const char *target =
			json_string_value(json_object_get(json_object_get(run, "target"), "name"));
		char safe[128];
		char length[24] = "-";
		char series[24] = "";

		if (seconds > 0) {
			snprintf(length, sizeof(length), "%.1f s", seconds);
		}
		if (number != NULL) {
			snprintf(series, sizeof(series), "%lld", (long long)json_integer_value(number));
		}
		printf("%-40s %-10s %9s %6s  %s\n", json_string_value(json_object_get(run, "run")),
		       status != NULL ? status : "unreadable", length, series,
		       log_escape(safe, sizeof(safe), target != NULL ? target : ""));
	}
}

int cmd_runs(int argc, char **argv)
{
	struct dirent **entries = NULL;
	struct plan_args args;
	int code = plan_args_parse(argc, argv, &args);
	const char *output = args.word_count > 0 ? args.words[0] : "profiling";
	json_t *runs = json_array();
	int count;

	if (code != 0) {
		json_decref(runs);
		return code;
	}
	count = scandir(output, &entries, is_run_name, newest_first);
	if (count < 0) {
		log_error("read folder '%s': %m", output);
		code = 2;
	}
	for (int i = 0; i < count; i++) {
		char *folder = str_printf("%s/%s", output, entries[i]->d_name);

		if (folder != NULL) {
			json_array_append_new(runs, describe(folder, entries[i]->d_name));
		}
		free(folder);
		free(entries[i]);
	}
	free(entries);
	if (args.is_json) {
		json_dumpf(runs, stdout, JSON_INDENT(2));
		fputc('\n', stdout);
	} else {
		print(runs);
	}
	json_decref(runs);
	return code;
}

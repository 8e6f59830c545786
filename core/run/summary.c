/* SPDX-License-Identifier: MIT */
#include "run/summary.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/log.h"
#include "base/str.h"
#include "plan/stored.h"

#define SUMMARY_BYTES_MAX (4u << 20)

static void merge_object(json_t *to, const json_t *from)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)from, key, value)
	{
		json_t *have = json_object_get(to, key);

		if (json_is_object(have) && json_is_object(value)) {
			merge_object(have, value);
		} else if (json_is_array(have) && json_is_array(value)) {
			json_array_extend(have, value);
		} else {
			json_object_set_new(to, key, json_deep_copy(value));
		}
	}
}

static json_t *read_document(int fd)
{
	struct stat st;
	json_t *json = NULL;
	void *text;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > SUMMARY_BYTES_MAX) {
		return NULL;
	}
	text = malloc((size_t)st.st_size);
	if (text != NULL && pread(fd, text, (size_t)st.st_size, 0) == st.st_size) {
		json = json_loadb(text, (size_t)st.st_size, 0, NULL);
	}
	free(text);
	return json;
}

void summary_merge_stored(struct run *run)
{
	for (const struct plan_stored *s = run->plan->stored; s != NULL; s = s->next) {
		json_t *summary;
		int fd = -1;

		if (!str_equal(s->type, ARTIFACT_TYPE_SUMMARY) ||
		    (s->folder != NULL ? stored_open(s->folder, s->path, &fd, NULL)
				       : rundir_open_file(run->dir, s->path, &fd, NULL)) < 0) {
			continue;
		}
		summary = read_document(fd);
		if (json_is_object(summary)) {
			merge_object(run->summary, summary);
		}
		json_decref(summary);
		close(fd);
	}
}

void summary_merge(struct run *run, const struct run_stage *stage)
{
	for (size_t i = 0; i < stage->plan->output_count; i++) {
		const struct run_output *output = &stage->outputs[i];
		json_t *summary;

		if (!str_equal(output->plan->port->type, ARTIFACT_TYPE_SUMMARY) ||
		    output->state != OUTPUT_COMPLETE) {
			continue;
		}
		summary = read_document(output->fd);
		if (json_is_object(summary)) {
			merge_object(run->summary, summary);
		} else {
			log_warning("%s: its summary is not a JSON object of at most 4 MiB, ignoring it",
				    stage->plan->name);
		}
		json_decref(summary);
	}
}

/* SPDX-License-Identifier: MIT */
#include "run/closing.h"

#include "base/log.h"
#include "base/str.h"
#include "run/completeness.h"
#include "run/record.h"
#include "run/settle.h"

static void print_lines(const json_t *lines, FILE *to)
{
	char safe[1024];
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
	{
		if (json_is_string(line)) {
			fprintf(to, "  %s\n", log_escape(safe, sizeof(safe), json_string_value(line)));
		}
	}
}

/* Whether all that the stage left out has one reason: *ret_why, borrowed. Returns how many outputs that is. */
static size_t count_absent(const struct run_stage *stage, const char **ret_why)
{
	size_t count = 0;

	for (size_t o = 0; o < stage->plan->output_count; o++) {
		const char *why = settle_absence(&stage->outputs[o]);

		if (stage->outputs[o].state != OUTPUT_ABSENT || stage->is_spared) {
			continue;
		}
		*ret_why = count == 0 || str_equal(*ret_why, why) ? why : "";
		count++;
	}
	return count;
}

/* One line a stage, however many of its optional outputs were not made: manifest.json has the reason of each. */
static void print_absent(const struct run_stage *stage, FILE *to)
{
	const char *why = "";
	size_t count = count_absent(stage, &why);
	char safe[1024];
	size_t at = 0;

	for (size_t o = 0; count > 0 && o < stage->plan->output_count; o++) {
		if (stage->outputs[o].state == OUTPUT_ABSENT) {
			fprintf(to, "%s%s", at == 0 ? "" : (at + 1 < count ? ", " : " and "),
				at == 0 ? "" : stage->outputs[o].plan->port->name);
			if (at++ == 0) {
				fprintf(to, "  %s made no %s", stage->plan->name,
					stage->outputs[o].plan->port->name);
			}
		}
	}
	if (count > 0) {
		fprintf(to, ": %s\n",
			why[0] != '\0' ? log_escape(safe, sizeof(safe), why)
				       : "manifest.json says why of each (absent)");
	}
}

static void print_output(const struct run_stage *stage, const struct run_output *output, FILE *to)
{
	int64_t lost = record_lost(output);
	char text[1024];

	if (output->state == OUTPUT_PARTIAL) {
		fprintf(to, "  %s.%s is partial: %s%s%lld rows kept\n", stage->plan->name,
			output->plan->port->name, log_escape(text, sizeof(text), settle_lack(output)),
			settle_lack(output)[0] != '\0' ? "; " : "", (long long)record_rows(output));
	}
	completeness_warning(stage, output, text, sizeof(text));
	if (text[0] != '\0') {
		fprintf(to, "  !! %s\n", text);
	}
	if (lost > 0) {
		fprintf(to, "  %s.%s lost %lld observations, kept %lld\n", stage->plan->name,
			output->plan->port->name, (long long)lost, (long long)record_rows(output));
	}
}

static void print_trouble(const struct run *run, FILE *to)
{
	char what[1024];
	char why[1024];

	if (run->target_failure.status != 0) {
		fprintf(to, "  %s: %s\n", log_escape(what, sizeof(what), run->target_failure.what),
			log_escape(why, sizeof(why), run->target_failure.why));
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		const struct run_stage *stage = &run->stages[i];

		if (stage->failure.status != 0) {
			fprintf(to, "  %s failed in %s: %s\n", stage->plan->name, stage->failed_phase,
				log_escape(what, sizeof(what), stage->failure.why));
		} else if (stage->state == STAGE_SKIPPED && !stage->is_spared && run_has_window(run)) {
			fprintf(to, "  %s was not started\n", stage->plan->name);
		}
		print_absent(stage, to);
		for (size_t o = 0; o < stage->plan->output_count; o++) {
			print_output(stage, &stage->outputs[o], to);
		}
	}
}

static void print_documents(const struct run *run, FILE *to)
{
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		const struct run_stage *stage = &run->stages[i];

		for (size_t o = 0; o < stage->plan->output_count; o++) {
			const struct run_output *output = &stage->outputs[o];

			if (output->plan->port->file[0] != '\0' &&
			    (output->state == OUTPUT_COMPLETE || output->state == OUTPUT_PARTIAL)) {
				fprintf(to, "  %s/%s\n", run->dir->path, output->plan->path);
			}
		}
	}
}

void closing_print(const struct run *run, FILE *to)
{
	fprintf(to, "%s: %s", run->dir->path, record_status(run));
	if (run->stored != NULL) {
		fprintf(to, ", replay of %s", run->settings->replay_of);
	} else if (run->t0_ns > 0) {
		fprintf(to, ", window %.1f s (%s)", record_window_seconds(run),
			run->end_reason != NULL ? run->end_reason : "");
	}
	fputc('\n', to);
	print_lines(json_object_get(run->summary, "text"), to);
	print_trouble(run, to);
	print_documents(run, to);
}

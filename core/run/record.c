/* SPDX-License-Identifier: MIT */
#include "run/record.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "plan/beside.h"
#include "plan/stored.h"
#include "run/completeness.h"
#include "run/settle.h"
#include "stage/protocol.h"

#define MANIFEST_FORMAT 1

static const char *const phase_names[] = { "plan",  "probe",     "prepare", "window",
					   "drain", "transform", "sealed" };

/* ---- facts of outputs ---- */

int64_t record_lost(const struct run_output *output)
{
	const json_t *count;
	const char *cause;
	int64_t lost = 0;

	json_object_foreach(json_object_get(output->report, "lost"), cause, count)
	{
		json_int_t more = json_integer_value(count);

		/* A stage may say anything: losses never take one another back, nor pass the largest number. */
		if (more > 0 && __builtin_add_overflow(lost, more, &lost)) {
			return INT64_MAX;
		}
	}
	return lost;
}

int64_t record_rows(const struct run_output *output)
{
	const json_t *rows = json_object_get(output->report, "main_rows");
	const json_t *count;
	const char *table;
	int64_t most = 0;

	if (!json_is_integer(rows)) {
		rows = json_object_get(json_object_get(output->report, "rows"), "samples");
	}
	if (json_is_integer(rows)) {
		return json_integer_value(rows) > 0 ? json_integer_value(rows) : 0;
	}
	json_object_foreach(json_object_get(output->report, "rows"), table, count)
	{
		most = json_integer_value(count) > most ? json_integer_value(count) : most;
	}
	return most;
}

double record_coverage(const struct run *run, const struct run_stage *stage)
{
	uint64_t from = stage->started_ns > run->t0_ns ? stage->started_ns : run->t0_ns;
	uint64_t to =
		stage->stopped_ns > 0 && stage->stopped_ns < run->t1_ns ? stage->stopped_ns : run->t1_ns;

	if (run->t0_ns == 0 || run->t1_ns <= run->t0_ns || stage->started_ns == 0) {
		return NAN;
	}
	if (stage->stopped_ns == 0 && stage->state == STAGE_FAILED) {
		return 0; /* it died at a time that nobody knows: claim nothing */
	}
	return to > from ? (double)(to - from) / (double)(run->t1_ns - run->t0_ns) : 0;
}

static json_t *number_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *copy_or(const json_t *object, const char *key, json_t *otherwise)
{
	json_t *value = json_object_get(object, key);

	if (value == NULL) {
		return otherwise;
	}
	json_decref(otherwise);
	return json_deep_copy(value);
}

static json_t *output_to_json(const struct run *run, const struct run_stage *stage,
			      const struct run_output *output)
{
	json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "port", output->plan->port->name,
				  "type", output->plan->port->type, "signal", output->plan->signal, "path",
				  output->plan->path, "state", run_output_state_name(output), "rows",
				  (json_int_t)record_rows(output), "lost", (json_int_t)record_lost(output));

	if (plan_is_measuring(stage->plan)) {
		json_object_set_new(entry, "coverage", number_or_null(record_coverage(run, stage)));
	}
	json_object_set_new(entry, "completeness", completeness_to_json(output));
	json_object_set_new(entry, "losses", copy_or(output->report, "lost", json_object()));
	json_object_set_new(entry, "tables", copy_or(output->report, "rows", json_object()));
	json_object_set_new(entry, "bytes", copy_or(output->report, "bytes", json_integer(0)));
	json_object_set_new(entry, "checksum", copy_or(output->report, "checksum", json_string("")));
	return entry;
}

/* ---- stages ---- */

static json_t *error_to_json(const struct pfc_error *err, const char *phase)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "phase", phase, "status",
			 error_status_name(err->status), "what",
			 protocol_string(err->what, sizeof(err->what)), "why",
			 protocol_string(err->why, sizeof(err->why)), "hint",
			 protocol_string(err->hint, sizeof(err->hint)));
}

static json_t *stage_to_json(const struct run *run, const struct run_stage *stage)
{
	const struct manifest *manifest = stage->plan->manifest;
	json_t *artifacts = json_array();
	char privileges[128];
	json_t *entry;

	for (size_t i = 0; i < stage->plan->output_count; i++) {
		json_array_append_new(artifacts, output_to_json(run, stage, &stage->outputs[i]));
	}
	entry = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "name", stage->plan->name, "plugin",
			  manifest->id, "version", manifest->version, "kind",
			  manifest_kind_name(manifest->kind), "state", run_stage_state_name(stage),
			  "privileges",
			  manifest_privilege_names(manifest->privileges, privileges, sizeof(privileges)),
			  "artifacts", artifacts);
	if (stage->failure.status != 0) {
		json_object_set_new(entry, "error", error_to_json(&stage->failure, stage->failed_phase));
	}
	if (stage->started_ns > 0) {
		json_object_set_new(entry, "started_ns", json_integer((json_int_t)stage->started_ns));
		json_object_set_new(entry, "stopped_ns", json_integer((json_int_t)stage->stopped_ns));
	}
	return entry;
}

/* In a replay the stages that measured are those of the stored run, as it told of them. */
static void add_stored_stages(const struct run *run, json_t *stages)
{
	json_t *stage;
	size_t i;

	json_array_foreach(json_object_get(run->stored, "stages"), i, stage)
	{
		const char *kind = protocol_text(stage, "kind");

		if (str_equal(kind, "driver") || str_equal(kind, "collector")) {
			json_array_append(stages, stage);
		}
	}
}

static json_t *stages_to_json(const struct run *run)
{
	json_t *stages = json_array();

	add_stored_stages(run, stages);
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		json_array_append_new(stages, stage_to_json(run, &run->stages[i]));
	}
	return stages;
}

static json_t *gates_to_json(const struct run *run)
{
	json_t *gates = json_array();

	for (size_t i = 0; i < run->plan->stage_count; i++) {
		json_array_extend(gates, run->stages[i].gates);
	}
	return gates;
}

/* ---- judgement ---- */

static bool stage_lacks_data(const struct run_stage *stage)
{
	return stage->state == STAGE_FAILED && stage->failure.status == PFC_ENODATA;
}

static bool environment_refused(const struct run_stage *stage)
{
	int status = stage->failure.status;

	return stage->state == STAGE_FAILED && (status == PFC_EPERM || status == PFC_ENOTSUP) &&
	       (str_equal(stage->failed_phase, "probe") || str_equal(stage->failed_phase, "prepare"));
}

static bool gate_failed(const struct run *run)
{
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		const json_t *gate;
		size_t g;

		json_array_foreach(run->stages[i].gates, g, gate)
		{
			if (protocol_int(gate, "verdict") == PFC_GATE_FAIL) {
				return true;
			}
		}
	}
	return false;
}

int record_exit_code(const struct run *run)
{
	bool failed = run->has_write_error;
	bool refused = false;
	bool no_data = false;

	if (run->is_abandoned) {
		return EXIT_CODE_ABANDONED;
	}
	if (run->target_failure.status != 0) {
		int status = run->target_failure.status;

		/* A disk or a memory that is full says nothing of the target. */
		return status == PFC_EPERM                            ? EXIT_CODE_ENVIRONMENT
		       : status == PFC_ENOSPC || status == PFC_ENOMEM ? EXIT_CODE_FAILED
								      : EXIT_CODE_TARGET;
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		const struct run_stage *stage = &run->stages[i];

		if (environment_refused(stage)) {
			refused = true;
		} else if (stage_lacks_data(stage)) {
			no_data = true;
		} else if (stage->state == STAGE_FAILED) {
			failed = true;
		}
		for (size_t o = 0; o < stage->plan->output_count; o++) {
			/* What a stage without data left (an empty string table) is no result that is cut short. */
			failed = failed ||
				 (stage->outputs[o].state == OUTPUT_PARTIAL && !stage_lacks_data(stage));
		}
	}
	return refused            ? EXIT_CODE_ENVIRONMENT
	       : failed           ? EXIT_CODE_FAILED
	       : no_data          ? EXIT_CODE_NO_DATA
	       : gate_failed(run) ? EXIT_CODE_GATE
				  : EXIT_CODE_OK;
}

const char *record_status(const struct run *run)
{
	int code = record_exit_code(run);
	bool any = false;

	if (code == EXIT_CODE_OK || code == EXIT_CODE_GATE) {
		return "complete";
	}
	for (size_t i = 0; i < run->plan->stage_count; i++) {
		for (size_t o = 0; o < run->stages[i].plan->output_count; o++) {
			enum output_state state = run->stages[i].outputs[o].state;

			any = any || state == OUTPUT_COMPLETE || state == OUTPUT_PARTIAL;
		}
	}
	return any ? "partial" : "failed";
}

/* ---- the whole ---- */

char *record_date(char *to, size_t to_bytes, uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / NS_PER_SECOND);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(to, to_bytes, "%Y-%m-%dT%H:%M:%SZ", &utc);
	return to;
}

static json_t *window_to_json(const struct run *run)
{
	char date[32] = "";

	if (run->stored != NULL) {
		return copy_or(run->stored, "window", json_null());
	}
	if (run->t0_ns == 0) {
		return json_null();
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "t0_ns", (json_int_t)run->t0_ns, "t1_ns",
			 (json_int_t)run->t1_ns, "duration_ns", (json_int_t)run->duration_ns,
			 "realtime_at_t0_ns", (json_int_t)run->realtime_t0_ns, "started",
			 record_date(date, sizeof(date), run->realtime_t0_ns), "ended_by",
			 run->end_reason != NULL ? run->end_reason : "");
}

static json_t *target_to_manifest(const struct run *run)
{
	if (run->stored != NULL) {
		return copy_or(run->stored, "target", json_null());
	}
	return run->target_facts != NULL ? json_deep_copy(run->target_facts) : json_null();
}

/* CLOCK_MONOTONIC begins anew with each boot: times of two runs compare only within one. */
static json_t *boot_id(void)
{
	char text[64] = "";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (file != NULL) {
		if (fgets(text, sizeof(text), file) == NULL) {
			text[0] = '\0';
		}
		fclose(file);
	}
	text[strcspn(text, "\n")] = '\0';
	return json_string(text);
}

static json_t *joined_to_json(const struct run *run)
{
	json_t *joined = json_array();

	for (const struct beside *one = run->settings->beside; one != NULL; one = one->next) {
		json_array_append_new(joined, json_string(one->id));
	}
	return joined;
}

static json_t *manifest_to_json(const struct run *run)
{
	bool is_over = run->phase == PHASE_SEALED;
	json_t *manifest =
		json_pack("{s:i, s:s, s:s, s:o, s:s, s:s, s:i}", "format", MANIFEST_FORMAT, "profcore",
			  PROFCORE_VERSION, "run", run->dir->id, "name",
			  protocol_string(options_text(&run->plan->run, "name"), 256), "phase",
			  phase_names[run->phase], "status", is_over ? record_status(run) : "running",
			  "exit_code", is_over ? record_exit_code(run) : -1);

	json_object_set_new(manifest, "window", window_to_json(run));
	json_object_set_new(manifest, "target", target_to_manifest(run));
	json_object_set_new(manifest, "boot_id", boot_id());
	if (run->settings->beside != NULL) {
		json_object_set_new(manifest, "joined", joined_to_json(run));
	}
	if (run->settings->series != NULL) {
		const struct run_series *series = run->settings->series;

		json_object_set_new(manifest, "series",
				    json_pack("{s:I, s:I, s:I}", "number", (json_int_t)series->number,
					      "every_ns", (json_int_t)series->every_ns, "due_ns",
					      (json_int_t)series->due_ns));
	}
	if (run->settings->replay_of != NULL) {
		json_object_set_new(manifest, "replay_of", protocol_string(run->settings->replay_of, 4096));
	}
	if (run->target_failure.status != 0) {
		json_object_set_new(manifest, "target_error", error_to_json(&run->target_failure, "target"));
	}
	json_object_set_new(manifest, "stages", stages_to_json(run));
	json_object_set_new(manifest, "gates", gates_to_json(run));
	json_object_set(manifest, "warnings", run->warnings);
	json_object_set(manifest, "summary", run->summary);
	return manifest;
}

void record_write(struct run *run)
{
	json_t *manifest = manifest_to_json(run);
	struct pfc_error err;
	int rc = manifest != NULL ? rundir_write_json(run->dir, "manifest.json", manifest, &err)
				  : error_nomem(&err);

	if (rc < 0) {
		if (!run->has_write_error) {
			log_failure(&err);
		}
		run->has_write_error = true;
	}
	json_decref(manifest);
}

double record_window_seconds(const struct run *run)
{
	const json_t *window = json_object_get(run->stored, "window");

	if (run->stored != NULL) {
		return (double)(protocol_int(window, "t1_ns") - protocol_int(window, "t0_ns")) /
		       (double)NS_PER_SECOND;
	}
	return run->t1_ns > run->t0_ns ? (double)(run->t1_ns - run->t0_ns) / (double)NS_PER_SECOND : 0;
}

/* Those of the run, and of outputs that are too incomplete to be taken at their word. */
static json_t *warnings_to_json(const struct run *run)
{
	json_t *warnings = json_copy(run->warnings);
	char text[512];

	for (size_t i = 0; i < run->plan->stage_count; i++) {
		for (size_t o = 0; o < run->stages[i].plan->output_count; o++) {
			completeness_warning(&run->stages[i], &run->stages[i].outputs[o], text, sizeof(text));
			if (text[0] != '\0') {
				json_array_append_new(warnings, json_string(text));
			}
		}
	}
	return warnings;
}

json_t *record_to_json(const struct run *run)
{
	double window_s = record_window_seconds(run);
	json_t *object =
		json_pack("{s:o, s:s, s:i, s:f}", "run", protocol_string(run->dir->path, 4096), "status",
			  record_status(run), "exit_code", record_exit_code(run), "window_s", window_s);
	json_t *value;
	const char *key;

	json_object_set_new(object, "stages", stages_to_json(run));
	json_object_set_new(object, "gates", gates_to_json(run));
	json_object_set_new(object, "warnings", warnings_to_json(run));
	if (run->target_failure.status != 0) {
		json_object_set_new(object, "target_error", error_to_json(&run->target_failure, "target"));
	}
	json_object_foreach(run->summary, key, value)
	{
		if (json_object_get(object, key) == NULL) {
			json_object_set(object, key, value);
		}
	}
	return object;
}

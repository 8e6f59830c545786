/* SPDX-License-Identifier: MIT */
#include "doctor/target.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "doctor/check.h"
#include "stage/protocol.h"
#include "target/procfs.h"
#include "target/survey.h"

#define AREA_TARGET "target"
#define AREA_STAGES "stages"
/* Programs of one target that are looked at; the processes of one program count once. */
#define PROGRAMS_MAX  8u
#define PROCESSES_MAX 4096u

struct program {
	char name[128];
	int fd;
	dev_t device;
	ino_t inode;
	struct survey survey;
};

struct programs {
	struct program items[PROGRAMS_MAX];
	size_t count;
	bool has_more;
};

static void add_program(struct programs *programs, const char *name, int fd)
{
	struct stat stat_buf;

	if (fd < 0 || fstat(fd, &stat_buf) < 0) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	for (size_t i = 0; i < programs->count; i++) {
		if (programs->items[i].inode == stat_buf.st_ino &&
		    programs->items[i].device == stat_buf.st_dev) {
			close(fd);
			return;
		}
	}
	if (programs->count == PROGRAMS_MAX) {
		programs->has_more = true;
		close(fd);
		return;
	}
	programs->items[programs->count] =
		(struct program){ .fd = fd, .device = stat_buf.st_dev, .inode = stat_buf.st_ino };
	snprintf(programs->items[programs->count].name, sizeof(programs->items[0].name), "%s", name);
	programs->count++;
}

static void find_programs(const struct run *run, struct programs *programs)
{
	const char *launched = target_program(run->target);
	int32_t *pids = NULL;
	uint32_t count = 0;
	struct proc_stat stat;

	if (launched != NULL) {
		const char *slash = strrchr(launched, '/');

		add_program(programs, slash != NULL ? slash + 1 : launched, survey_open(launched));
		return;
	}
	if (target_pids(run->target, &pids, &count, NULL) < 0) {
		return;
	}
	for (uint32_t i = 0; i < count && i < PROCESSES_MAX; i++) {
		if (procfs_stat(pids[i], &stat) == 0) {
			add_program(programs, stat.comm, survey_open_process(pids[i]));
		}
	}
	free(pids);
}

static const char *runtime_remedy(const char *name)
{
	/* Their functions are in no file: the runtime has to tell. */
	static const char *const remedies[][2] = {
		{ "node", "NODE_OPTIONS=--perf-basic-prof in its environment" },
		{ "python", "PYTHONPERFSUPPORT=1 in its environment (Python 3.12 or later)" },
		{ "java", "JAVA_TOOL_OPTIONS=-XX:+DumpPerfMapAtExit, or the agent perf-map-agent" },
		{ "dotnet", "DOTNET_PerfMapEnabled=1 in its environment" },
		{ "php", "opcache.jit_debug=16 in its php.ini" },
	};

	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
		if (str_starts(name, remedies[i][0])) {
			return remedies[i][1];
		}
	}
	return NULL;
}

static void hex(const struct survey *survey, char to[2 * SURVEY_BUILD_ID_MAX + 1])
{
	to[0] = '\0';
	for (size_t i = 0; i < survey->build_id_bytes; i++) {
		snprintf(to + 2 * i, 3, "%02x", survey->build_id[i]);
	}
}

static void examine_symbols(const struct program *program, json_t *checks)
{
	char build_id[2 * SURVEY_BUILD_ID_MAX + 1];
	const char *language = survey_language_name(&program->survey);
	bool has_debug = program->survey.symbols == SURVEY_SYMBOLS_DEBUG;
	bool has_names = program->survey.symbols == SURVEY_SYMBOLS_TABLE;
	bool is_unknown = program->survey.symbols == SURVEY_SYMBOLS_UNKNOWN;
	char name[160];

	hex(&program->survey, build_id);
	snprintf(name, sizeof(name), "%.100s: symbols", program->name);
	check_add(checks, AREA_TARGET, name, has_debug ? VERDICT_WORKS : VERDICT_DEGRADED,
		  has_debug || is_unknown ? ""
		  : program->survey.language == SURVEY_RUST
			  ? "CARGO_PROFILE_RELEASE_DEBUG=line-tables-only cargo build --release"
			  : "build it with -g, or install its -dbgsym package",
		  "%s%s%s%s%s%s",
		  has_debug    ? "functions, lines and inlined functions"
		  : has_names  ? "names of functions, no lines and no inlined functions"
		  : is_unknown ? "it cannot be looked at"
			       : "stripped: addresses only, but for functions that it exports",
		  language[0] != '\0' ? "; " : "", language,
		  build_id[0] != '\0' ? "; build-id " : "; no build-id", build_id, "");
}

static void examine_frames(const struct program *program, json_t *checks)
{
	char name[160];

	snprintf(name, sizeof(name), "%.100s: frames", program->name);
	if (program->survey.frame_pointers == SURVEY_NO) {
		check_add(checks, AREA_TARGET, name, VERDICT_DEGRADED,
			  program->survey.language == SURVEY_RUST
				  ? "RUSTFLAGS=-Cforce-frame-pointers=yes cargo build --release, or "
				    "call_graph = dwarf"
				  : "build it with -fno-omit-frame-pointer, or call_graph = dwarf in the "
				    "stage that samples stacks",
			  "no frame pointers: stacks are cut where they are followed by these alone");
	} else if (program->survey.frame_pointers == SURVEY_YES) {
		check_add(checks, AREA_TARGET, name, VERDICT_WORKS, "",
			  "kept in frame pointers: the cheapest way to walk stacks");
	}
}

static void examine_program(const struct program *program, json_t *checks)
{
	const char *remedy = runtime_remedy(program->name);
	char name[160];

	if (remedy != NULL) {
		snprintf(name, sizeof(name), "%.100s: functions", program->name);
		check_add(checks, AREA_TARGET, name, VERDICT_DEGRADED, remedy,
			  "a runtime that compiles as it goes: names of its functions need its help");
		return;
	}
	examine_symbols(program, checks);
	examine_frames(program, checks);
}

void target_examine(const struct run *run, json_t *checks)
{
	struct programs programs = { .count = 0 };
	struct survey surveys[PROGRAMS_MAX];
	struct pfc_error err = { 0 };
	int fds[PROGRAMS_MAX];
	int32_t *pids = NULL;
	uint32_t count = 0;
	char *folder;

	if (run->target_failure.status != 0) {
		check_add(checks, AREA_TARGET, run->target_failure.what, VERDICT_FAILS,
			  run->target_failure.hint, "%s", run->target_failure.why);
		return;
	}
	if (run->target == NULL) {
		return;
	}
	(void)target_pids(run->target, &pids, &count, NULL);
	free(pids);
	folder = target_cgroup(run->target);
	check_add(checks, AREA_TARGET, target_kind(run->target), VERDICT_WORKS, "", "%s, %u process%s%s%s",
		  target_name(run->target), count, count == 1 ? "" : "es",
		  folder != NULL && folder[0] != '\0' ? ", control group " : "",
		  folder != NULL ? folder : "");
	free(folder);
	check_add(checks, AREA_TARGET, "followed by",
		  str_starts(target_tracking(run->target), "perf") ? VERDICT_WORKS : VERDICT_DEGRADED, "",
		  "%s", target_tracking(run->target));
	find_programs(run, &programs);
	for (size_t i = 0; i < programs.count; i++) {
		fds[i] = programs.items[i].fd;
	}
	if (survey_files(fds, programs.count, surveys, &err) == PFC_OK) {
		for (size_t i = 0; i < programs.count; i++) {
			programs.items[i].survey = surveys[i];
			examine_program(&programs.items[i], checks);
		}
	}
	for (size_t i = 0; i < programs.count; i++) {
		close(fds[i]);
	}
	if (programs.has_more) {
		check_add(checks, AREA_TARGET, "more programs", VERDICT_WORKS, "",
			  "than the %u above; they were not looked at", PROGRAMS_MAX);
	}
}

/* What a stage warned of while it was asked. */
static const char *warning_of(const json_t *notes, const char *stage)
{
	const json_t *note;
	size_t i;

	json_array_foreach(notes, i, note)
	{
		if (str_equal(protocol_text(note, "stage"), stage) &&
		    protocol_int(note, "level") == PFC_LOG_WARNING) {
			return protocol_text(note, "text");
		}
	}
	return NULL;
}

void stages_examine(const struct run_probed *probed, json_t *checks)
{
	for (size_t i = 0; i < probed->run->plan->stage_count; i++) {
		const struct run_stage *stage = &probed->run->stages[i];
		const char *warning = warning_of(probed->notes, stage->plan->name);

		if (stage->failure.status != 0) {
			check_add(checks, AREA_STAGES, stage->plan->name, VERDICT_FAILS, stage->failure.hint,
				  "%s: %s", stage->failure.what, stage->failure.why);
		} else if (stage->state == STAGE_PLANNED) {
			check_add(checks, AREA_STAGES, stage->plan->name, VERDICT_DEGRADED, "",
				  "not asked: there is no target");
		} else {
			check_add(checks, AREA_STAGES, stage->plan->name,
				  warning != NULL ? VERDICT_DEGRADED : VERDICT_WORKS, "", "%s",
				  warning != NULL                  ? warning
				  : plan_is_measuring(stage->plan) ? "it can measure here"
								   : "it loads");
		}
	}
}

/* SPDX-License-Identifier: MIT */
/* Events in perf's words: see spec.h. Another named event is one line of the table. */
#include "spec.h"

#include <ctype.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Where several names mean the same, the first is the one that is shown. */
static const struct perf_event_spec specs[] = {
	{ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true },
	{ "task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, true },
	{ "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false },
	{ "ref-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES, false },
	{ "bus-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BUS_CYCLES, false },
	{ "instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false },
	{ "cache-references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES, false },
	{ "cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, false },
	{ "branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS, false },
	{ "branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES, false },
	{ "stalled-cycles-frontend", PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, false },
	{ "stalled-cycles-backend", PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_BACKEND, false },
	{ "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false },
	{ "minor-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, false },
	{ "major-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ, false },
	{ "context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, false },
	{ "cpu-migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, false },
	{ "alignment-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_ALIGNMENT_FAULTS, false },
	{ "emulation-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_EMULATION_FAULTS, false },
};

/* perf's other names. */
static const char *const aliases[][2] = {
	{ "cpu-cycles", "cycles" },
	{ "branch-instructions", "branches" },
	{ "faults", "page-faults" },
	{ "cs", "context-switches" },
	{ "migrations", "cpu-migrations" },
	{ "idle-cycles-frontend", "stalled-cycles-frontend" },
	{ "idle-cycles-backend", "stalled-cycles-backend" },
};

void perf_spec_names(char *to, size_t to_bytes)
{
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; i < COUNT_OF(specs) && at < to_bytes; i++) {
		int n = snprintf(to + at, to_bytes - at, "%s%s", i ? ", " : "", specs[i].name);

		at += n > 0 ? (size_t)n : 0;
	}
}

static const char *canonical(const char *word)
{
	for (size_t i = 0; i < COUNT_OF(aliases); i++) {
		if (strcmp(aliases[i][0], word) == 0) {
			return aliases[i][1];
		}
	}
	return word;
}

/* "r" and one to sixteen hexadecimal digits: an event as the CPU's manual numbers it. */
static bool parse_raw(const char *word, uint64_t *ret)
{
	size_t digits = word[0] == 'r' ? strspn(word + 1, "0123456789abcdefABCDEF") : 0;

	if (digits == 0 || digits > 16 || word[1 + digits] != '\0') {
		return false;
	}
	*ret = strtoull(word + 1, NULL, 16);
	return true;
}

/* Both halves become names of files: letters, digits, _ and - only. */
static bool is_tracepoint(const char *word, size_t *ret_colon)
{
	size_t colon = strcspn(word, ":");
	size_t length = strlen(word);

	if (colon == 0 || colon + 1 >= length || length > 128) {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		if (i != colon && !isalnum((unsigned char)word[i]) && word[i] != '_' && word[i] != '-') {
			return false;
		}
	}
	*ret_colon = colon;
	return true;
}

static int tracepoint_id(const char *folder, const char *word, size_t colon, uint64_t *ret)
{
	char path[256];
	unsigned long long id;
	FILE *file;
	int rc = 0;

	snprintf(path, sizeof(path), "%s/%.*s/%s/id", folder, (int)colon, word, word + colon + 1);
	file = fopen(path, "re");
	if (!file) {
		return -errno;
	}
	if (fscanf(file, "%llu", &id) == 1) {
		*ret = id;
	} else {
		rc = -EIO;
	}
	fclose(file);
	return rc;
}

int perf_spec_parse_in(const char *word, const char *const *folders, size_t folder_count,
		       struct perf_event_spec *ret)
{
	struct perf_event_spec spec = { .name = canonical(word) };
	size_t colon;
	int rc = -ENOENT;

	for (size_t i = 0; i < COUNT_OF(specs); i++) {
		if (strcmp(specs[i].name, spec.name) == 0) {
			*ret = specs[i];
			return 0;
		}
	}
	if (parse_raw(word, &spec.config)) {
		spec.type = PERF_TYPE_RAW;
		*ret = spec;
		return 0;
	}
	if (!is_tracepoint(word, &colon)) {
		return -EINVAL;
	}
	spec.type = PERF_TYPE_TRACEPOINT;
	for (size_t i = 0; i < folder_count && rc != 0; i++) {
		int found = tracepoint_id(folders[i], word, colon, &spec.config);

		rc = found == 0 || rc == -ENOENT ? found : rc;
	}
	if (rc == 0) {
		*ret = spec;
	}
	return rc == -EPERM ? -EACCES : rc;
}

int perf_spec_parse(const char *word, struct perf_event_spec *ret)
{
	static const char *const folders[] = { "/sys/kernel/tracing/events",
					       "/sys/kernel/debug/tracing/events" };

	return perf_spec_parse_in(word, folders, COUNT_OF(folders), ret);
}

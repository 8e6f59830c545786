/* SPDX-License-Identifier: MIT */
/* Events in perf's words: see spec.h. Another named event is one line of the table. */
#include "spec.h"

#include <ctype.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pmu.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define EVENT(name_, type_, config_, is_clock_)                                                              \
	{                                                                                                    \
		.name = (name_), .type = (type_), .config = (config_), .is_clock = (is_clock_)               \
	}

/* Where several names mean the same, the first is the one that is shown. */
static const struct perf_event_spec specs[] = {
	EVENT("cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true),
	EVENT("task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, true),
	EVENT("cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false),
	EVENT("ref-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES, false),
	EVENT("bus-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BUS_CYCLES, false),
	EVENT("instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false),
	EVENT("cache-references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES, false),
	EVENT("cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, false),
	EVENT("branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS, false),
	EVENT("branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES, false),
	EVENT("stalled-cycles-frontend", PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, false),
	EVENT("stalled-cycles-backend", PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_BACKEND, false),
	EVENT("page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false),
	EVENT("minor-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, false),
	EVENT("major-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ, false),
	EVENT("context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, false),
	EVENT("cpu-migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, false),
	EVENT("alignment-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_ALIGNMENT_FAULTS, false),
	EVENT("emulation-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_EMULATION_FAULTS, false),
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

/* The caches, the operations and the results of perf's generic cache events, in the order of the kernel's numbers. */
static const char *const caches[] = { "L1-dcache", "L1-icache", "LLC", "dTLB", "iTLB", "branch", "node" };
static const char *const operations[] = { "load", "store", "prefetch" };

/* "LLC-loads", "LLC-load-misses", "L1-dcache-prefetches". */
static bool parse_cache(const char *word, uint64_t *ret)
{
	for (uint64_t c = 0; c < COUNT_OF(caches); c++) {
		size_t length = strlen(caches[c]);

		if (strncmp(word, caches[c], length) != 0 || word[length] != '-') {
			continue;
		}
		for (uint64_t o = 0; o < COUNT_OF(operations); o++) {
			const char *rest = word + length + 1;
			size_t used = strlen(operations[o]);

			if (strncmp(rest, operations[o], used) != 0) {
				continue;
			}
			rest += used;
			if (strcmp(rest, "-misses") == 0) {
				*ret = c | o << 8 | (uint64_t)PERF_COUNT_HW_CACHE_RESULT_MISS << 16;
				return true;
			}
			if (strcmp(rest, "s") == 0 || strcmp(rest, "es") == 0) {
				*ret = c | o << 8;
				return true;
			}
		}
	}
	return false;
}

/* A word without modifiers. */
static int parse_plain(const char *word, const char *const *folders, size_t folder_count,
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
	if (parse_raw(word, &spec.config) || parse_cache(word, &spec.config)) {
		spec.type = word[0] == 'r' ? PERF_TYPE_RAW : PERF_TYPE_HW_CACHE;
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

/* What follows the last colon, where it is made of u, k and p only. */
static bool parse_modifiers(const char *text, struct perf_event_spec *spec)
{
	bool user = false, kernel = false;

	if (text[0] == '\0' || strspn(text, "ukp") != strlen(text)) {
		return false;
	}
	for (; *text; text++) {
		user = user || *text == 'u';
		kernel = kernel || *text == 'k';
		spec->precise += *text == 'p';
	}
	spec->only_user = user && !kernel;
	spec->only_kernel = kernel && !user;
	spec->is_modified = true;
	return spec->precise <= 3;
}

static void take_modifiers(const struct perf_event_spec *modifiers, struct perf_event_spec *to)
{
	to->only_user = modifiers->only_user;
	to->only_kernel = modifiers->only_kernel;
	to->precise = modifiers->precise;
	to->is_modified = true;
}

/* Behind the last slash, with a colon or without. */
static int parse_pmu(const char *word, struct perf_event_spec *ret)
{
	const char *behind = strrchr(word, '/') + 1;
	struct perf_event_spec modifiers = { 0 };
	int rc;

	behind += *behind == ':';
	if (*behind && !parse_modifiers(behind, &modifiers)) {
		return -EINVAL;
	}
	rc = perf_pmu_parse_in(word, PERF_PMU_FOLDER, ret);
	if (rc == 0 && *behind) {
		take_modifiers(&modifiers, ret);
	}
	return rc;
}

int perf_spec_parse_in(const char *word, const char *const *folders, size_t folder_count,
		       struct perf_event_spec *ret)
{
	const char *colon = strrchr(word, ':');
	struct perf_event_spec modifiers = { 0 };
	struct perf_event_spec spec;
	char plain[160];
	int rc;

	if (perf_pmu_is(word)) {
		return parse_pmu(word, ret);
	}
	if (!colon || colon == word || !parse_modifiers(colon + 1, &modifiers)) {
		return parse_plain(word, folders, folder_count, ret);
	}
	if (snprintf(plain, sizeof(plain), "%.*s", (int)(colon - word), word) >= (int)sizeof(plain)) {
		return -EINVAL;
	}
	rc = parse_plain(plain, folders, folder_count, &spec);
	if (rc == -EINVAL) { /* a tracepoint that is called so */
		return parse_plain(word, folders, folder_count, ret);
	}
	if (rc == 0) {
		*ret = spec;
		ret->name = word;
		take_modifiers(&modifiers, ret);
	}
	return rc;
}

int perf_spec_parse(const char *word, struct perf_event_spec *ret)
{
	static const char *const folders[] = { "/sys/kernel/tracing/events",
					       "/sys/kernel/debug/tracing/events" };

	return perf_spec_parse_in(word, folders, COUNT_OF(folders), ret);
}

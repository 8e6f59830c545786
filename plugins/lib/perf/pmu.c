/* SPDX-License-Identifier: MIT */
/* Events of a named PMU: see pmu.h. */
#include "pmu.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES  64
#define TERMS_BYTES 512
#define EVENT_DEPTH 4 /* events that are made of events; none is seen that goes deeper than one */

struct pmu {
	const char *folder;
	char name[NAME_BYTES];
	char terms[TERMS_BYTES]; /* between the slashes */
	const char *modifiers;   /* behind the second slash */
};

static bool is_name(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr("_-.", text[i]) == NULL) {
			return false;
		}
	}
	return bytes > 0 && bytes < NAME_BYTES && text[0] != '.';
}

static bool split(const char *word, struct pmu *ret)
{
	const char *first = strchr(word, '/');
	const char *second = first ? strchr(first + 1, '/') : NULL;

	if (!second || !is_name(word, (size_t)(first - word)) || (size_t)(second - first) > TERMS_BYTES ||
	    strchr(second + 1, '/')) {
		return false;
	}
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(first - word), word);
	snprintf(ret->terms, sizeof(ret->terms), "%.*s", (int)(second - first - 1), first + 1);
	ret->modifiers = second + 1;
	return true;
}

bool perf_pmu_is(const char *word)
{
	struct pmu pmu;

	return split(word, &pmu);
}

/* The first line of a file below the PMU's folder, without its newline. 0 or -errno. */
static int read_line(const struct pmu *pmu, const char *part, const char *name, char *to, size_t to_bytes)
{
	char path[PATH_MAX];
	FILE *file;
	int rc = 0;

	snprintf(path, sizeof(path), "%s/%s/%s%s%s", pmu->folder, pmu->name, part, *name ? "/" : "", name);
	file = fopen(path, "re");
	if (!file) {
		return -errno;
	}
	if (!fgets(to, (int)to_bytes, file)) {
		rc = -EIO;
	}
	fclose(file);
	to[rc == 0 ? strcspn(to, "\n") : 0] = '\0';
	return rc;
}

static uint64_t *word_of(struct perf_event_spec *spec, const char *format, const char **ret_bits)
{
	static const char *const names[] = { "config:", "config1:", "config2:" };
	uint64_t *const words[] = { &spec->config, &spec->config1, &spec->config2 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(format, names[i], strlen(names[i])) == 0) {
			*ret_bits = format + strlen(names[i]);
			return words[i];
		}
	}
	return NULL;
}

/* Spread a value over the bits "0-7,32-35" of a word, the lowest first. */
static int put_bits(uint64_t *word, const char *bits, uint64_t value)
{
	while (*bits) {
		char *end;
		unsigned long low = strtoul(bits, &end, 10);
		unsigned long high = low;

		if (end == bits) {
			return -EIO;
		}
		if (*end == '-') {
			high = strtoul(end + 1, &end, 10);
		}
		if (low > high || high > 63 || (*end != ',' && *end != '\0')) {
			return -EIO;
		}
		for (unsigned long bit = low; bit <= high; bit++, value >>= 1) {
			*word = (*word & ~(1ULL << bit)) | (value & 1) << bit;
		}
		bits = *end == ',' ? end + 1 : end;
	}
	return value == 0 ? 0 : -ERANGE;
}

static int put_terms(const struct pmu *pmu, char *terms, int depth, struct perf_event_spec *spec);

/* perf's own words for a whole config. */
static uint64_t *raw_word(struct perf_event_spec *spec, const char *key)
{
	return strcmp(key, "config") == 0    ? &spec->config
	       : strcmp(key, "config1") == 0 ? &spec->config1
	       : strcmp(key, "config2") == 0 ? &spec->config2
					     : NULL;
}

/* A generic event that the kernel maps for a PMU of CPUs, as cpu_core/cycles/: the type stands above the event's number. */
static bool put_generic(const struct pmu *pmu, const char *key, struct perf_event_spec *spec)
{
	char has_cpus[16];
	struct perf_event_spec generic;

	if ((strncmp(pmu->name, "cpu", 3) != 0 &&
	     read_line(pmu, "cpus", "", has_cpus, sizeof(has_cpus)) != 0) ||
	    perf_spec_parse_in(key, NULL, 0, &generic) != 0 || generic.type != PERF_TYPE_HARDWARE) {
		return false;
	}
	spec->config = generic.config | (spec->type == PERF_TYPE_RAW ? 0 : (uint64_t)spec->type << 32);
	spec->type = PERF_TYPE_HARDWARE;
	return true;
}

/* One of "key", "key=number". */
static int put_term(const struct pmu *pmu, const char *key, const char *number, int depth,
		    struct perf_event_spec *spec)
{
	char text[TERMS_BYTES];
	const char *bits = NULL;
	uint64_t value = 1;
	uint64_t *word;
	char *end;

	if (number) {
		errno = 0;
		value = strtoull(number, &end, 0);
		if (*number == '\0' || *number == '-' || *end != '\0' || errno != 0) {
			return -ENOKEY; /* also "?": what the user has to give */
		}
	}
	if (!is_name(key, strlen(key))) {
		return -ENOKEY;
	}
	word = number ? raw_word(spec, key) : NULL;
	if (word) {
		*word = value;
		return 0;
	}
	if (read_line(pmu, "format", key, text, sizeof(text)) == 0) {
		word = word_of(spec, text, &bits);
		return word ? put_bits(word, bits, value) : -EIO;
	}
	if (number || depth >= EVENT_DEPTH) {
		return -ENOKEY;
	}
	if (read_line(pmu, "events", key, text, sizeof(text)) == 0) {
		return put_terms(pmu, text, depth + 1, spec);
	}
	return put_generic(pmu, key, spec) ? 0 : -ENOKEY;
}

static int put_terms(const struct pmu *pmu, char *terms, int depth, struct perf_event_spec *spec)
{
	char *rest = NULL;
	int rc = 0;

	for (char *term = strtok_r(terms, ",", &rest); term && rc == 0; term = strtok_r(NULL, ",", &rest)) {
		char *equals = strchr(term, '=');

		if (equals) {
			*equals = '\0';
		}
		rc = put_term(pmu, term, equals ? equals + 1 : NULL, depth, spec);
	}
	return rc;
}

int perf_pmu_parse_in(const char *word, const char *folder, struct perf_event_spec *ret)
{
	struct perf_event_spec spec = { .name = word };
	struct pmu pmu = { .folder = folder };
	char type[32];
	char *end;
	int rc;

	if (!split(word, &pmu)) {
		return -EINVAL;
	}
	if (read_line(&pmu, "type", "", type, sizeof(type)) != 0) {
		spec.is_absent = true;
		*ret = spec;
		return 0;
	}
	spec.type = (uint32_t)strtoul(type, &end, 10);
	if (end == type || *end != '\0') {
		return -EIO;
	}
	rc = pmu.terms[0] ? put_terms(&pmu, pmu.terms, 0, &spec) : -ENOKEY;
	if (rc != 0) {
		return rc;
	}
	(void)read_line(&pmu, "cpumask", "", spec.cpumask, sizeof(spec.cpumask));
	*ret = spec;
	return 0;
}

/* Names of a folder's files, those of values of an event (".unit", ".scale") left out. */
static void add_folder(const char *path, const char *before, char *to, size_t to_bytes)
{
	DIR *dir = opendir(path);
	size_t used = strlen(to);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		int bytes;

		if (strchr(entry->d_name, '.') != NULL) {
			continue;
		}
		bytes = snprintf(to + used, to_bytes - used, "%s%s", before, entry->d_name);
		if (bytes < 0 || (size_t)bytes >= to_bytes - used) {
			to[used] = '\0';
			break;
		}
		used += (size_t)bytes;
		before = ", ";
	}
	if (dir) {
		closedir(dir);
	}
}

void perf_pmu_names(const char *word, const char *folder, char *to, size_t to_bytes)
{
	struct pmu pmu = { .folder = folder };
	char path[PATH_MAX];
	char type[32];

	to[0] = '\0';
	if (!split(word, &pmu)) {
		return;
	}
	if (read_line(&pmu, "type", "", type, sizeof(type)) != 0) {
		add_folder(folder, "there are the PMUs ", to, to_bytes);
		return;
	}
	snprintf(path, sizeof(path), "%s/%s/events", folder, pmu.name);
	add_folder(path, "events: ", to, to_bytes / 2);
	snprintf(path, sizeof(path), "%s/%s/format", folder, pmu.name);
	add_folder(path, to[0] ? "; terms: " : "terms: ", to, to_bytes);
}

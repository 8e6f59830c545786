/* SPDX-License-Identifier: MIT */
/* Lists of events in perf's words, with braces, and which of them belong together: see counters.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "counters.h"

#define WORDS_MAX  128 /* of one list; COUNTERS_MAX of them may be events */
#define WORD_BYTES 160

/* Ratios that people read: the second is divided by the first. */
static const uint64_t ratios[][2] = {
	{ PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS },
	{ PERF_COUNT_HW_CACHE_REFERENCES, PERF_COUNT_HW_CACHE_MISSES },
	{ PERF_COUNT_HW_BRANCH_INSTRUCTIONS, PERF_COUNT_HW_BRANCH_MISSES },
};

/* A group in braces, as the words go by. */
struct brace {
	bool is_open;
	uint32_t first; /* counter that the group began with */
};

static bool has(const struct counters *counters, const char *name)
{
	for (uint32_t i = 0; i < counters->count; i++) {
		if (strcmp(counters->items[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static int refuse_braces(const char *option, const char *word, struct perf_refusal *refusal)
{
	return perf_refusal_set(refusal, PFC_EINVAL, "the braces do not match",
				"write groups as {cycles,instructions} or {cycles,instructions}:u",
				"%s = ... %.64s", option, word);
}

/* The word without its braces, and with the modifiers of its group, which stand after the last member. False: no match. */
static bool strip(const char *word, const char *group_modifiers, struct brace *brace, char *to,
		  size_t to_bytes, bool *ret_ends)
{
	const char *end;

	if (word[0] == '{') {
		if (brace->is_open) {
			return false;
		}
		brace->is_open = true;
		word++;
	}
	end = strchr(word, '}');
	*ret_ends = end != NULL;
	if ((end && !brace->is_open) || strchr(word, '{') || (end && end[1] != '\0' && end[1] != ':')) {
		return false;
	}
	if (snprintf(to, to_bytes, "%.*s%s", end ? (int)(end - word) : (int)strlen(word), word,
		     brace->is_open ? group_modifiers : "") >= (int)to_bytes) {
		return false;
	}
	return to[0] != '\0' && to[0] != ':';
}

/* What stands after the brace that closes the group which begins at words[0]; "" without. */
static const char *modifiers_of_group(const char *const *words, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const char *end = strchr(words[i], '}');

		if (end) {
			return end + 1;
		}
	}
	return "";
}

/* Returns 0, or refusal->status. */
static int add(struct counters *counters, const char *option, const char *name, const struct brace *brace,
	       struct perf_refusal *refusal)
{
	struct counter *counter = &counters->items[counters->count];
	int rc;

	if (counters->count == COUNTERS_MAX) {
		return perf_refusal_set(refusal, PFC_EINVAL, "there are more than 32 events",
					"count the others in another run", "%s", option);
	}
	memset(counter, 0, sizeof(*counter));
	if (snprintf(counter->name, sizeof(counter->name), "%s", name) >= (int)sizeof(counter->name)) {
		return perf_refusal_set(refusal, PFC_EINVAL, "the event is written longer than 95 bytes",
					"give its config as one number: PMU/config=0x.../", "%s = %.64s...",
					option, name);
	}
	rc = perf_spec_parse(counter->name, &counter->spec);
	if (rc != 0) {
		return perf_event_refuse_word(option, name, rc, refusal);
	}
	if (counter->spec.name != counter->name) { /* perf's main name of it */
		snprintf(counter->name, sizeof(counter->name), "%s", counter->spec.name);
	}
	counter->spec.name = counter->name;
	counter->leader = -1;
	if (has(counters, counter->name)) {
		return PFC_OK;
	}
	if (brace->is_open) {
		counter->is_explicit = true;
		counter->leader = brace->first < counters->count ? (int32_t)brace->first : -1;
	}
	counters->count++;
	return PFC_OK;
}

/* Commas part the words of a list, and stand between the slashes of a PMU's event too: put those together again. */
static uint32_t join_words(const char *const *words, uint32_t count, char joined[][WORD_BYTES],
			   const char **ret)
{
	uint32_t to = 0;
	unsigned slashes = 0;

	for (uint32_t i = 0; i < count && to < WORDS_MAX; i++) {
		size_t used = slashes % 2 ? strlen(joined[to]) : 0;

		snprintf(joined[to] + used, WORD_BYTES - used, "%s%s", used ? "," : "", words[i]);
		for (const char *at = words[i]; *at; at++) {
			slashes += *at == '/';
		}
		if (slashes % 2 == 0 || i + 1 == count) {
			ret[to] = joined[to];
			to++;
			slashes = 0;
		}
	}
	return to;
}

static int parse_joined(struct counters *counters, const char *option, const char *const *words,
			uint32_t word_count, struct perf_refusal *refusal)
{
	struct brace brace = { false, 0 };
	const char *modifiers = "";
	char name[WORD_BYTES];

	for (uint32_t i = 0; i < word_count; i++) {
		bool ends;
		int rc;

		if (words[i][0] == '{') {
			brace.first = counters->count;
			modifiers = modifiers_of_group(words + i, word_count - i);
		}
		if (!strip(words[i], modifiers, &brace, name, sizeof(name), &ends)) {
			return refuse_braces(option, words[i], refusal);
		}
		rc = add(counters, option, name, &brace, refusal);
		if (rc != PFC_OK) {
			return rc;
		}
		brace.is_open = brace.is_open && !ends;
	}
	return brace.is_open ? refuse_braces(option, words[word_count - 1], refusal) : PFC_OK;
}

int counters_parse(struct counters *counters, const char *option, const char *const *words,
		   uint32_t word_count, struct perf_refusal *refusal)
{
	char joined[WORDS_MAX][WORD_BYTES];
	const char *whole[WORDS_MAX];
	uint32_t count = join_words(words, word_count, joined, whole);

	return parse_joined(counters, option, whole, count, refusal);
}

static int32_t find_hardware(const struct counters *counters, uint64_t config)
{
	for (uint32_t i = 0; i < counters->count; i++) {
		const struct counter *counter = &counters->items[i];

		if (counter->spec.type == PERF_TYPE_HARDWARE && counter->spec.config == config &&
		    !counter->is_explicit && !counter->spec.is_modified) {
			return (int32_t)i;
		}
	}
	return -1;
}

void counters_pair(struct counters *counters)
{
	for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		int32_t first = find_hardware(counters, ratios[i][0]);
		int32_t second = find_hardware(counters, ratios[i][1]);

		if (first >= 0 && second >= 0) { /* the leader is opened first */
			counters->items[first > second ? first : second].leader =
				first > second ? second : first;
		}
	}
}

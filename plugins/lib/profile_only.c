/* SPDX-License-Identifier: MIT */
/* Reading a profile: stacks that hold one of some functions, as the collector was asked for. */
#include "profile.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#define PATTERN_BYTES 128

/* Whether what follows a name says that the name ended there: arguments, template arguments, a clone's suffix. */
static bool is_end(char c)
{
	return c == '\0' || c == '(' || c == '<' || c == '.' || c == ' ' || c == '[';
}

/* "work" is work, work(int), app::work<T> and app::work::{closure#0}; with * or ? it is a pattern for the whole name. */
static bool matches(const char *pattern, const char *name)
{
	size_t length = strlen(pattern);
	const char *at = name;

	if (strpbrk(pattern, "*?[")) {
		return fnmatch(pattern, name, 0) == 0;
	}
	while ((at = strstr(at, pattern)) != NULL) {
		bool begins =
			at == name || (at - name >= 2 && at[-1] == ':' && at[-2] == ':') || at[-1] == ' ';

		if (begins && (is_end(at[length]) || strncmp(at + length, "::", 2) == 0)) {
			return true;
		}
		at++;
	}
	return false;
}

/* Whether a function is named by a list, "a, b". */
static bool is_listed(const char *list, const char *name)
{
	char pattern[PATTERN_BYTES];

	while (*list) {
		size_t length;

		list += strspn(list, ", ");
		length = strcspn(list, ",");
		if (length > 0 && length < sizeof(pattern)) {
			memcpy(pattern, list, length);
			while (length > 0 && pattern[length - 1] == ' ') {
				length--;
			}
			pattern[length] = '\0';
			if (matches(pattern, name)) {
				return true;
			}
		}
		list += strcspn(list, ",");
	}
	return false;
}

/* Parents stand before their children, so one pass decides. */
static void mark_stacks(const struct profile *profile, const uint8_t *functions, uint8_t *stacks)
{
	for (uint32_t i = 1; i < profile->stack_count; i++) {
		uint32_t location = profile->stack_location[i];

		stacks[i] = stacks[profile->parent[i]];
		for (uint32_t f = profile->frame_first[location];
		     f < profile->frame_first[location + 1] && !stacks[i]; f++) {
			stacks[i] = functions[profile->frames[f].function];
		}
	}
}

int profile_only_stacks(const struct profile *profile, uint8_t **ret)
{
	uint8_t *functions, *stacks;

	*ret = NULL;
	if (!profile->only_symbols[0]) {
		return PFC_OK;
	}
	functions = calloc(profile->function_count + 1, 1);
	stacks = calloc(profile->stack_count + 1, 1);
	if (!functions || !stacks) {
		free(functions);
		free(stacks);
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < profile->function_count; i++) {
		functions[i] = is_listed(profile->only_symbols, profile_function_name(profile, i));
	}
	mark_stacks(profile, functions, stacks);
	free(functions);
	*ret = stacks;
	return PFC_OK;
}

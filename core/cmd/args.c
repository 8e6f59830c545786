/* SPDX-License-Identifier: MIT */
/* getopt_long would serve, but keeps its state in globals and knows no did-you-mean. */
#include "cmd/args.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define NAMES_MAX 64

static const struct args_option *by_name(const struct args_option *options, const char *name, size_t bytes)
{
	for (; options->name != NULL; options++) {
		if (strlen(options->name) == bytes && memcmp(options->name, name, bytes) == 0) {
			return options;
		}
	}
	return NULL;
}

static const struct args_option *by_letter(const struct args_option *options, char letter)
{
	for (; options->name != NULL; options++) {
		if (options->letter == letter && letter != '\0') {
			return options;
		}
	}
	return NULL;
}

static int explain_unknown(const char *command, const char *word, const struct args_option *options)
{
	const char *names[NAMES_MAX];
	const char *near;
	char *name = strndup(word + 2 * str_starts(word, "--"), strcspn(word, "="));
	size_t count = 0;

	for (; options->name != NULL && count < NAMES_MAX; options++) {
		names[count++] = options->name;
	}
	if (name != NULL) {
		name[strcspn(name, "=")] = '\0';
	}
	near = name != NULL && str_starts(word, "--") ? str_nearest(name, names, count) : NULL;
	if (near != NULL) {
		log_error("%s: there is no option %s; did you mean --%s?", command, word, near);
	} else {
		log_error("%s: there is no option %s; see profcore help %s", command, word, command);
	}
	free(name);
	return -1;
}

/* Store one option; *value is NULL when it is still to be taken from the next word. Whether it was. */
static int store(const char *command, const struct args_option *option, const char *value, const char *next)
{
	bool takes_next = value == NULL && option->flag == NULL;

	if (option->flag != NULL) {
		if (value != NULL) {
			log_error("%s: --%s takes no value", command, option->name);
			return -1;
		}
		*option->flag = true;
		return 0;
	}
	value = takes_next ? next : value;
	if (value == NULL) {
		log_error("%s: --%s needs a value", command, option->name);
		return -1;
	}
	if (option->text != NULL) {
		*option->text = value;
	} else if (option->list->count == sizeof(option->list->items) / sizeof(option->list->items[0])) {
		log_error("%s: too many --%s", command, option->name);
		return -1;
	} else {
		option->list->items[option->list->count++] = value;
	}
	return takes_next;
}

int args_parse(int argc, char **argv, const struct args_option *options)
{
	bool only_words = false;
	int words = 1;

	for (int i = 1; i < argc; i++) {
		const struct args_option *option;
		const char *word = argv[i];
		const char *value;
		int took;

		if (only_words || word[0] != '-' || word[1] == '\0') {
			argv[words++] = argv[i];
			continue;
		}
		if (str_equal(word, "--")) {
			only_words = true;
			continue;
		}
		if (word[1] == '-') {
			value = strchr(word, '=');
			option = by_name(options, word + 2,
					 value != NULL ? (size_t)(value - word - 2) : strlen(word + 2));
			value = value != NULL ? value + 1 : NULL;
		} else {
			option = by_letter(options, word[1]);
			value = word[2] != '\0' ? word + 2 : NULL;
		}
		if (option == NULL) {
			return explain_unknown(argv[0], word, options);
		}
		took = store(argv[0], option, value, i + 1 < argc ? argv[i + 1] : NULL);
		if (took < 0) {
			return -1;
		}
		i += took;
	}
	return words;
}

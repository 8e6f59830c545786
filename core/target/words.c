/* SPDX-License-Identifier: MIT */
#include "target/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define WORDS_MAX 4096

struct splitter {
	const char *at;
	struct str word;
	bool in_word;
	char **words;
	size_t count;
	bool failed; /* memory */
};

static void end_word(struct splitter *splitter)
{
	char **words;

	if (!splitter->in_word || splitter->failed) {
		return;
	}
	words = realloc(splitter->words, (splitter->count + 2) * sizeof(*words));
	if (words == NULL) {
		splitter->failed = true;
		return;
	}
	splitter->words = words;
	words[splitter->count] = str_take(&splitter->word);
	splitter->failed = words[splitter->count] == NULL;
	words[++splitter->count] = NULL;
	splitter->in_word = false;
}

static void add_byte(struct splitter *splitter, char byte)
{
	str_add_bytes(&splitter->word, &byte, 1);
	splitter->in_word = true;
}

/* After an opening quote, up to and past the closing one. Returns what is wrong, or NULL. */
static const char *take_quoted(struct splitter *splitter, char quote)
{
	splitter->in_word = true;
	for (; *splitter->at != '\0'; splitter->at++) {
		char byte = *splitter->at;

		if (byte == quote) {
			splitter->at++;
			return NULL;
		}
		if (byte == '\\' && quote == '"' && splitter->at[1] != '\0' && strchr("\"\\$`", splitter->at[1]) != NULL) {
			byte = *++splitter->at;
		}
		add_byte(splitter, byte);
	}
	return quote == '"' ? "a double quote is not closed" : "a single quote is not closed";
}

/* One step; returns what is wrong, or NULL. */
static const char *take(struct splitter *splitter)
{
	char byte = *splitter->at++;

	if (byte == '\'' || byte == '"') {
		return take_quoted(splitter, byte);
	}
	if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
		end_word(splitter);
		return splitter->count > WORDS_MAX ? "it has more than 4096 words" : NULL;
	}
	if (byte == '\\') {
		if (*splitter->at == '\0') {
			return "a backslash ends it";
		}
		byte = *splitter->at++;
	}
	add_byte(splitter, byte);
	return NULL;
}

int words_split(const char *text, char ***ret, struct pfc_error *err)
{
	struct splitter splitter = { .at = text };
	const char *fault = NULL;
	int status = PFC_OK;

	while (fault == NULL && *splitter.at != '\0') {
		fault = take(&splitter);
	}
	end_word(&splitter);
	if (splitter.failed || splitter.word.failed) {
		status = error_nomem(err);
	} else if (fault != NULL) {
		status = error_set(err, PFC_EINVAL, fault, "split the command");
	} else if (splitter.count == 0 || splitter.words[0][0] == '\0') {
		status = error_set(err, PFC_EINVAL, "it names no program", "split the command");
	}
	str_finish(&splitter.word);
	if (status < 0) {
		words_free(splitter.words);
		return status;
	}
	*ret = splitter.words;
	return PFC_OK;
}

void words_free(char **words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
		free(words[i]);
	}
	free(words);
}

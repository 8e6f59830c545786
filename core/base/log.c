/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

/* The one piece of global state: how this process talks. */
static struct {
	int level;
	void (*hook)(void *ctx, bool before);
	void *hook_ctx;
} talk = { .level = PFC_LOG_WARNING };

void log_set_level(int level)
{
	talk.level = level;
}

int log_level(void)
{
	return talk.level;
}

bool log_has_color_on(int fd)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fd) && (no_color == NULL || no_color[0] == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

bool log_has_color(void)
{
	return log_has_color_on(STDERR_FILENO);
}

void log_set_hook(void (*hook)(void *ctx, bool before), void *ctx)
{
	talk.hook = hook;
	talk.hook_ctx = ctx;
}

/* What moves a terminal, or turns the order in which letters are shown. bytes: of one well-formed UTF-8 sequence. */
static bool is_unsafe(const unsigned char *at, size_t bytes)
{
	if (bytes == 1) {
		return *at < 0x20 || *at == 0x7f;
	}
	if (bytes == 2) { /* C1; U+061C */
		return (at[0] == 0xc2 && at[1] <= 0x9f) || (at[0] == 0xd8 && at[1] == 0x9c);
	}
	if (bytes == 3 && at[0] == 0xe2) { /* U+200E, U+200F, U+2028 to U+202E; U+2066 to U+2069 */
		return (at[1] == 0x80 && (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
		       (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
	}
	return false;
}

char *log_escape(char *to, size_t to_bytes, const char *text)
{
	const unsigned char *from = (const unsigned char *)text;
	size_t left = strlen(text);
	size_t at = 0;

	while (left > 0) {
		size_t step = str_utf8_bytes((const char *)from, left);
		bool plain = step > 0 && !is_unsafe(from, step);
		/* The two bytes of a C1 character are shown as one: \x9b. */
		size_t skip = step == 2 && from[0] == 0xc2 && !plain ? 1 : 0;

		step = step > 0 ? step : 1;
		if (at + (plain ? step : 4 * (step - skip)) >= to_bytes) {
			break;
		}
		for (size_t i = skip; i < step; i++) {
			if (plain) {
				to[at++] = (char)from[i];
			} else {
				at += (size_t)snprintf(to + at, to_bytes - at, "\\x%02x", from[i]);
			}
		}
		from += step;
		left -= step;
	}
	to[at] = '\0';
	return to;
}

static const char *level_word(int level, bool color)
{
	switch (level) {
	case PFC_LOG_ERROR:
		return color ? "\033[31merror\033[0m: " : "error: ";
	case PFC_LOG_WARNING:
		return color ? "\033[33mwarning\033[0m: " : "warning: ";
	default:
		return "";
	}
}

/* Whether it is to be said now. A notice is heard like a warning. */
static bool is_heard(int level)
{
	return (level == PFC_LOG_NOTICE ? PFC_LOG_WARNING : level) <= talk.level;
}

void log_line(int level, const char *origin, const char *text)
{
	char safe[2048];

	if (!is_heard(level)) {
		return;
	}
	log_escape(safe, sizeof(safe), text);
	if (talk.hook != NULL) {
		talk.hook(talk.hook_ctx, true);
	}
	if (str_equal(origin, "core")) {
		fprintf(stderr, "profcore: %s%s\n", level_word(level, log_has_color()), safe);
	} else {
		fprintf(stderr, "profcore: %s%s: %s\n", level_word(level, log_has_color()), origin, safe);
	}
	if (talk.hook != NULL) {
		talk.hook(talk.hook_ctx, false);
	}
}

#define LOG_FORMATTED(at_level)                                   \
	do {                                                    \
		char text[2048];                                \
		va_list args;                                   \
                                                                \
		if (!is_heard(at_level)) {                      \
			return;                                 \
		}                                               \
		va_start(args, format);                         \
		vsnprintf(text, sizeof(text), format, args);    \
		va_end(args);                                   \
		log_line((at_level), "core", text);                \
	} while (0)

void log_error(const char *format, ...)
{
	LOG_FORMATTED(PFC_LOG_ERROR);
}

void log_warning(const char *format, ...)
{
	LOG_FORMATTED(PFC_LOG_WARNING);
}

void log_info(const char *format, ...)
{
	LOG_FORMATTED(PFC_LOG_INFO);
}

void log_debug(const char *format, ...)
{
	LOG_FORMATTED(PFC_LOG_DEBUG);
}

void log_failure(const struct pfc_error *err)
{
	if (err->hint[0] != '\0') {
		log_error("%s: %s; try: %s", err->what, err->why, err->hint);
	} else {
		log_error("%s: %s", err->what, err->why);
	}
}

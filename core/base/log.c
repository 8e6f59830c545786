/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

bool log_has_color(void)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(STDERR_FILENO) && (no_color == NULL || no_color[0] == '\0');
}

void log_set_hook(void (*hook)(void *ctx, bool before), void *ctx)
{
	talk.hook = hook;
	talk.hook_ctx = ctx;
}

char *log_escape(char *to, size_t to_bytes, const char *text)
{
	const unsigned char *from = (const unsigned char *)text;
	size_t at = 0;

	for (; *from != '\0' && at + 5 < to_bytes; from++) {
		bool c1 = from[0] == 0xc2 && from[1] >= 0x80 && from[1] <= 0x9f;

		if (*from >= 0x20 && *from != 0x7f && !c1) {
			to[at++] = (char)*from;
			continue;
		}
		at += (size_t)snprintf(to + at, to_bytes - at, "\\x%02x", c1 ? from[1] : from[0]);
		from += c1;
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

void log_line(int level, const char *origin, const char *text)
{
	char safe[2048];

	if (level > talk.level) {
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
		if ((at_level) > talk.level) {                     \
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

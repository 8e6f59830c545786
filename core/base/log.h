/* SPDX-License-Identifier: MIT */
/*
 * Talk goes to stderr, data to stdout. One place prints: colour only on a terminal and never with NO_COLOR, control
 * characters escaped, one line a call. Levels are those of enum pfc_log_level.
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include <profcore/host.h>

#include "base/error.h"

/** The level up to which lines are shown: PFC_LOG_WARNING by default, -v INFO, -vv DEBUG, -q ERROR. */
void log_set_level(int level);
int log_level(void);

/** Whether stderr, or another stream's descriptor, may carry colour. */
bool log_has_color(void);
bool log_has_color_on(int fd);

/** Called before and after a line is printed, so that a live display can get out of the way; NULL for none. */
void log_set_hook(void (*hook)(void *ctx, bool before), void *ctx);

/** Print one line; `origin` is "core" or a stage's name. */
void log_line(int level, const char *origin, const char *text);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Print an error as "profcore: what: why; try: hint". */
void log_failure(const struct pfc_error *err);

/**
 * Copy text with what could fool a reader escaped as \xNN: control characters (also C1), marks that turn the direction of
 * text, bytes that are not UTF-8. Returns to, always terminated; what does not fit is cut between letters. to_bytes >= 1.
 */
char *log_escape(char *to, size_t to_bytes, const char *text);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What a program's file lets a profile hope for: symbols, frame pointers, and a guess at its language. Files of others are
 * hostile input: they are read in a confined process of its own, forked for all of them at once.
 */
#ifndef CORE_TARGET_SURVEY_H
#define CORE_TARGET_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum survey_symbols {
	SURVEY_SYMBOLS_UNKNOWN = 0,
	SURVEY_SYMBOLS_NONE = 1,  /* those of the dynamic linker at most */
	SURVEY_SYMBOLS_TABLE = 2, /* function names */
	SURVEY_SYMBOLS_DEBUG = 3, /* lines and inlined functions as well */
};

enum survey_answer {
	SURVEY_UNKNOWN = 0,
	SURVEY_NO = 1,
	SURVEY_YES = 2,
};

enum survey_language {
	SURVEY_LANGUAGE_UNKNOWN = 0,
	SURVEY_C,
	SURVEY_CPP,
	SURVEY_RUST,
	SURVEY_GO,
};

struct survey {
	uint8_t symbols;
	uint8_t frame_pointers;
	uint8_t language;
};

/** Look at these open files, -1 for none. Returns 0, and what could not be found out is unknown; PFC_EIO, PFC_ENOMEM. */
int survey_files(const int *fds, size_t count, struct survey *ret, struct pfc_error *err);

/** One file, in this process; for the confined one and for tests. */
void survey_one(int fd, struct survey *ret);

#endif

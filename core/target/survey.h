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

/** A GNU build-id is a SHA-1, as a rule; longer ones are cut. */
#define SURVEY_BUILD_ID_MAX 20

struct survey {
	uint8_t symbols;
	uint8_t frame_pointers;
	uint8_t language;
	uint8_t build_id_bytes; /* 0: none */
	uint8_t build_id[SURVEY_BUILD_ID_MAX];
};

/** Words for them: "debug", "names", "none", "unknown"; "yes", "no", "unknown"; "Rust", "" when it is not known. */
const char *survey_symbols_name(const struct survey *survey);
const char *survey_frame_pointers_name(const struct survey *survey);
const char *survey_language_name(const struct survey *survey);

/** A program's file, looked at before it is opened: opening some kinds of files does things. -1: no. */
int survey_open(const char *path);
/** The program that a process runs. */
int survey_open_process(int32_t pid);

/** Look at these open files, -1 for none. Returns 0, and what could not be found out is unknown; PFC_EIO, PFC_ENOMEM. */
int survey_files(const int *fds, size_t count, struct survey *ret, struct pfc_error *err);

/** One file, in this process; for the confined one and for tests. */
void survey_one(int fd, struct survey *ret);

#endif

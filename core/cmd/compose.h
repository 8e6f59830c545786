/* SPDX-License-Identifier: MIT */
/*
 * The demo stack that `setup` starts and `clean` stops: Compose as a child process (never a shell), and a note of what was
 * started, in the folder of runs, so that only that is ever stopped.
 */
#ifndef CORE_CMD_COMPOSE_H
#define CORE_CMD_COMPOSE_H

#include <stdbool.h>

#include "base/error.h"

/** Where the note and the log stand, below the folder of runs. */
#define COMPOSE_NOTE ".setup.json"
#define COMPOSE_LOG  "setup.log"

struct compose {
	char *file;    /* absolute path of the compose file */
	char *project; /* "web-forum" */
	char *output;  /* the folder of runs */
	bool is_loud;  /* its talk goes to stderr, not into the log */
};

/**
 * Run the program of Compose with -p PROJECT -f FILE and these words (NULL-ended), to its end: docker-compose where it is
 * installed, else docker compose.
 *
 * Returns: 0; PFC_ENOENT when there is neither; PFC_EIO when it failed, the end of its log in err->why.
 */
int compose_run(const struct compose *compose, const char *const *words, struct pfc_error *err);

/** Note that this stack is ours to stop; before it is started. */
int compose_note_write(const struct compose *compose, struct pfc_error *err);

/** What a note says, 0; PFC_ENOENT without one, PFC_ECORRUPT for one that is none of ours. */
int compose_note_read(const char *output, struct compose *ret, struct pfc_error *err);

void compose_note_remove(const struct compose *compose);
void compose_finish(struct compose *compose);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What a container engine (Docker, Podman) says about its containers. The HTTP exchange and its JSON live in a process of
 * their own, profcore executed again: confined, bounded, killed when it is late. What it hands back is small and checked
 * here once more. None of it is believed without the kernel's word: see container.h.
 */
#ifndef CORE_TARGET_ENGINE_H
#define CORE_TARGET_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/cgroup.h"

/** The hidden command word of that process. */
#define ENGINE_COMMAND "@engine"

#define ENGINE_TEXT_BYTES 256

/** Which containers are meant; what is NULL does not count. */
struct engine_query {
	const char *container; /* name, id, or the first digits of it */
	const char *service;
	const char *project;
	const char *image;
	const char *socket; /* only this one; NULL: the usual places */
};

struct engine_container {
	char id[CGROUP_ID_BYTES];
	char name[ENGINE_TEXT_BYTES];
	char image[ENGINE_TEXT_BYTES];
	char state[32];                 /* "running", "exited", ... */
	char status[ENGINE_TEXT_BYTES]; /* for people: "Up 5 minutes" */
	char service[ENGINE_TEXT_BYTES];
	char project[ENGINE_TEXT_BYTES];
	int32_t pid; /* of its first process, in the engine's pid namespace; 0: not told */
	bool is_match;
	bool was_oom; /* it ended as the kernel killed for lack of memory; told of a single match */
};

struct engine_answer {
	char socket[ENGINE_TEXT_BYTES]; /* of the engine that answered last */
	struct engine_container *containers;
	size_t count;
};

/**
 * Ask the engines of this machine. All containers are in the answer, those that are meant marked; the process of a single
 * match is told.
 *
 * Returns: 0; PFC_ENOENT: no engine; PFC_EPERM: one that we may not ask, the remedy in the hint; PFC_EIO, PFC_ETIMEDOUT,
 *          PFC_ECORRUPT: one that answers not or nonsense; PFC_ENOTSUP: DOCKER_HOST is no unix socket, or built without.
 */
int engine_ask(const struct engine_query *query, struct engine_answer *ret, struct pfc_error *err);
void engine_answer_finish(struct engine_answer *answer);

/** The main function of that process: the request on standard input, the answer on standard output. */
int engine_main(void);

#endif

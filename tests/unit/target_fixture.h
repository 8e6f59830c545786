/* SPDX-License-Identifier: MIT */
/* What the tests of the target share: a target with one stream, and the events that came over it. */
#ifndef TESTS_UNIT_TARGET_FIXTURE_H
#define TESTS_UNIT_TARGET_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "target/client.h"
#include "target/target_open.h"

struct seen {
	struct pfc_target_event event;
	char text[256];
};

struct fixture {
	struct target *target;
	struct target_client *client;
	const struct pfc_target_service *service;
	int output_fd;
	struct seen *seen;
	size_t count;
	size_t room;
};

/** Launch (held) and serve one stream; the command's output goes to an unlinked file. */
void fixture_launch(struct fixture *fixture, const char *command, enum track_mode mode);
void fixture_attach(struct fixture *fixture, int32_t pid, enum track_mode mode);
void fixture_release(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

/** Read events until one of this kind (and pid, text unless 0, NULL) is seen; NULL after 5 s. Keeps all. */
const struct seen *fixture_await(struct fixture *fixture, uint32_t kind, int32_t pid, const char *text);
/** Read events until the target has exited and a SYNC later than that has come. */
void fixture_drain(struct fixture *fixture);
/** First event kept with these; NULL for none. */
const struct seen *fixture_find(const struct fixture *fixture, uint32_t kind, int32_t pid, const char *text);
size_t fixture_count(const struct fixture *fixture, uint32_t kind);
void fixture_check_order(const struct fixture *fixture);

/** What the command printed so far, terminated. */
void fixture_output(const struct fixture *fixture, char *to, size_t to_bytes);

/** Running, not a zombie. */
bool is_alive(int32_t pid);
/** Wait until a process is gone or a zombie; false after 5 s. */
bool await_gone(int32_t pid);

#endif

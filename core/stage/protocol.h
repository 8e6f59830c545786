/* SPDX-License-Identifier: MIT */
/*
 * How the core and a stage process talk: JSON objects, one a packet, over a SOCK_SEQPACKET pair. Both ends are of the same
 * build. A packet from a stage is hostile input (a plugin can write into the socket): the core bounds and checks it.
 *
 * core -> stage  {"op": "probe" | "prepare" | "process" | "quit"}, {"op": "start", "t0": ns}, {"op": "window", "t0": ns},
 *                {"op": "stop", "t1": ns}, {"op": "finish", "restarts": [ns, ...]}, {"op": "pids", "pids": [...], "cgroup": PATH}
 * stage -> core  {"op": "done", "phase": ..., "status": 0 | -n, "at": ns, "what", "why", "hint"},
 *                {"op": "ran", "status": ...}: `run` returned by itself or after the stop,
 *                {"op": "log", "level", "text"}, {"op": "metrics", "values": {...}}, {"op": "env", "name", "value"},
 *                {"op": "gate", ...}, {"op": "output", "port", "report": {...}}, {"op": "pids"}
 */
#ifndef CORE_STAGE_PROTOCOL_H
#define CORE_STAGE_PROTOCOL_H

#include <stdbool.h>

#include <jansson.h>

#include "base/error.h"

/** Descriptors that a stage process inherits at fixed places; all others are named in the spec. */
#define STAGE_FD_CONTROL 3
#define STAGE_FD_SPEC    4
#define STAGE_FD_FIRST   5

/** Largest packet. */
#define PROTOCOL_BYTES_MAX (128u * 1024u)

/** The hidden command word of a stage process, and of a reader of one stored artifact. */
#define STAGE_COMMAND  "@stage"
#define REPORT_COMMAND "@report"

/**
 * Send one object. [moved] message, also on failure.
 * Returns: 0; PFC_EIO when the other end is gone; PFC_ENOMEM; PFC_ENOSPC when it is too large.
 */
int protocol_send(int fd, json_t *message);

/**
 * Receive one object; the caller owns it.
 * Returns: 0; PFC_EAGAIN (only when not waiting); PFC_EIO at the end; PFC_ECORRUPT for a packet that is no JSON object.
 */
int protocol_receive(int fd, bool wait, json_t **ret);

/** A JSON string of any bytes: what is not UTF-8 becomes '?', more than bytes_max is cut. NULL only without memory. */
json_t *protocol_string(const char *text, size_t bytes_max);

/** "op" of a message, "" when it has none. */
const char *protocol_op(const json_t *message);
const char *protocol_text(const json_t *message, const char *key);
int64_t protocol_int(const json_t *message, const char *key);

#endif

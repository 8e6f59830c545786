/* SPDX-License-Identifier: MIT */
/*
 * What goes over the sockets between the tracker (serve.c) and a stage (client.c). Both ends are the same build: no
 * versions, native byte order. The first packet is a hello that carries the socket for files; then events, several a packet.
 */
#ifndef CORE_TARGET_WIRE_H
#define CORE_TARGET_WIRE_H

#include <limits.h>
#include <stdint.h>

#define WIRE_HELLO 0x70666331u
/** No packet is larger: well below the socket buffer of any Linux. */
#define WIRE_PACKET_BYTES 32768u
#define WIRE_TEXT_BYTES   (PATH_MAX + 64)
#define WIRE_NAME_BYTES   256

/** An event; text follows, terminated, then padding to 8 bytes. */
struct wire_event {
	uint32_t bytes; /* of all of it */
	uint32_t kind;
	uint64_t time_ns;
	int32_t pid;
	int32_t tid;
	int32_t ppid;
	uint32_t generation;
	uint64_t start;
	uint64_t length;
	uint64_t offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
};

/** Stage to tracker on the socket for files. */
struct wire_request {
	uint32_t id;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t kind; /* enum pfc_target_related; 0: the mapped file itself */
	uint64_t inode;
	int32_t pid; /* for a related file */
	uint32_t reserved0;
	char name[WIRE_NAME_BYTES]; /* of a related file */
	char path[WIRE_TEXT_BYTES]; /* only as much as is used goes over, with its NUL */
};

/** Tracker to stage; with a descriptor when status is 0. */
struct wire_answer {
	uint32_t id;
	int32_t status;
};

/** A client gives up after this long. */
#define WIRE_ANSWER_MS 2000

#endif

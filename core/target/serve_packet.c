/* SPDX-License-Identifier: MIT */
/* Events as they go over the socket: see serve_inside.h and wire.h. */
#include <stdlib.h>
#include <string.h>

#include "target/serve_inside.h"
#include "target/wire.h"

static uint32_t encode(unsigned char *to, size_t room, const struct pfc_target_event *event)
{
	size_t text_bytes = event->text != NULL ? strnlen(event->text, WIRE_TEXT_BYTES - 1) : 0;
	struct wire_event wire = {
		.bytes = (uint32_t)((sizeof(wire) + text_bytes + 1 + 7) & ~(size_t)7),
		.kind = event->kind,
		.time_ns = event->time_ns,
		.pid = event->pid,
		.tid = event->tid,
		.ppid = event->ppid,
		.generation = event->generation,
		.start = event->start,
		.length = event->length,
		.offset = event->offset,
		.inode = event->inode,
		.dev_major = event->dev_major,
		.dev_minor = event->dev_minor,
	};

	if (wire.bytes > room) {
		return 0;
	}
	memset(to, 0, wire.bytes);
	memcpy(to, &wire, sizeof(wire));
	if (text_bytes > 0) {
		memcpy(to + sizeof(wire), event->text, text_bytes);
	}
	return wire.bytes;
}

struct packet *packet_create(void)
{
	struct packet *packet = malloc(sizeof(*packet) + WIRE_PACKET_BYTES);

	if (packet != NULL) {
		packet->next = NULL;
		packet->bytes = 0;
		packet->events = 0;
		packet->last_ns = 0;
	}
	return packet;
}

bool packet_append(struct packet *packet, const struct pfc_target_event *event)
{
	uint32_t bytes = encode(packet->data + packet->bytes, WIRE_PACKET_BYTES - packet->bytes, event);

	packet->bytes += bytes;
	packet->events += bytes > 0 && event->kind != PFC_TARGET_SYNC;
	if (bytes > 0 && event->time_ns > packet->last_ns) {
		packet->last_ns = event->time_ns;
	}
	return bytes > 0;
}

struct packet *packet_shrink(struct packet *packet)
{
	struct packet *smaller = realloc(packet, sizeof(*packet) + packet->bytes);

	return smaller != NULL ? smaller : packet;
}

void packet_destroy_all(struct packet *packet)
{
	while (packet != NULL) {
		struct packet *next = packet->next;

		free(packet);
		packet = next;
	}
}

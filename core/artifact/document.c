/* SPDX-License-Identifier: MIT */
#include "artifact/document.h"

#include <stdlib.h>
#include <string.h>

#define HOLD_FIRST 4096
#define HOLD_MAX   (64u << 10)

void document_init(struct document *document)
{
	memset(document, 0, sizeof(*document));
	sha256_init(&document->sha);
}

static int put(struct document *document, struct output *output, const void *data, uint64_t bytes)
{
	struct iovec iov = { (void *)data, bytes };
	int rc = output_write_at(output, &iov, 1, output->bytes);

	if (rc == 0) {
		output->bytes += bytes;
		sha256_add(&document->sha, data, bytes);
	}
	return rc;
}

int document_flush(struct document *document, struct output *output)
{
	int rc = document->held > 0 ? put(document, output, document->data, document->held) : 0;

	if (rc == 0) {
		document->held = 0;
	}
	return rc;
}

static int grow(struct document *document, size_t need)
{
	size_t room = document->room > 0 ? document->room : HOLD_FIRST;
	char *data;

	while (room < need) {
		room *= 2;
	}
	if (room == document->room) {
		return 0;
	}
	data = realloc(document->data, room);
	if (data == NULL) {
		return PFC_ENOMEM;
	}
	document->data = data;
	document->room = room;
	return 0;
}

int document_write(struct document *document, struct output *output, const void *data, uint64_t bytes)
{
	int rc;

	if (bytes > HOLD_MAX - document->held) {
		rc = document_flush(document, output);
		if (rc != 0) {
			return rc;
		}
	}
	if (bytes >= HOLD_MAX) {
		return put(document, output, data, bytes);
	}
	if (bytes > 0) {
		rc = grow(document, document->held + (size_t)bytes);
		if (rc != 0) {
			return rc;
		}
		memcpy(document->data + document->held, data, (size_t)bytes);
		document->held += (size_t)bytes;
	}
	return 0;
}

void document_finish(struct document *document)
{
	free(document->data);
	document->data = NULL;
}

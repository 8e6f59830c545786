/* SPDX-License-Identifier: MIT */
/* A document output: plain bytes, gathered into larger writes, and their digest. */
#ifndef CORE_ARTIFACT_DOCUMENT_H
#define CORE_ARTIFACT_DOCUMENT_H

#include "artifact/output.h"
#include "artifact/sha256.h"

struct document {
	char *data;
	size_t held;
	size_t room;
	struct sha256 sha; /* of what is in the file */
};

void document_init(struct document *document);
/** Returns 0, PFC_ENOMEM (nothing taken), PFC_EIO, PFC_ENOSPC. */
int document_write(struct document *document, struct output *output, const void *data, uint64_t bytes);
int document_flush(struct document *document, struct output *output);
void document_finish(struct document *document);

#endif

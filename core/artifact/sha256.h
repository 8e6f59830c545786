/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4), the identity of a document. Own code because linking libcrypto costs each stage
 * process 1.6 MB and 2 ms at its start, for a digest over a few megabytes at the end. Not for secrets.
 */
#ifndef CORE_ARTIFACT_SHA256_H
#define CORE_ARTIFACT_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t bytes);
/** The digest of what was added so far, as hex; sha may go on. */
void sha256_hex(const struct sha256 *sha, char ret[65]);

#endif

/* SPDX-License-Identifier: MIT */
/* From a request to its answer. */
#ifndef BACKEND_HANDLE_H
#define BACKEND_HANDLE_H

#include "slow.h"

#define ANSWER_BYTES 8192

/** An answer to send, head and body. */
struct answer {
	char text[ANSWER_BYTES];
	size_t bytes;
	bool keep_alive;
};

/** Answer a request that was understood. */
void handle_request(struct backend *backend, const struct request *request, struct answer *ret_answer);

/** Answer one that was not; the connection ends with it. */
void handle_refusal(int status, struct answer *ret_answer);

#endif

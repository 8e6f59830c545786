/* SPDX-License-Identifier: MIT */
#include "handle.h"

#include <stdio.h>
#include <string.h>

#define BODY_BYTES 6144

static const char front_page[] =
	"<!doctype html>\n<title>Forum</title>\n<h1>Forum</h1>\n"
	"<p>A <a href=\"/slow\">slow page</a>, and <a href=\"/truth\">why</a>.</p>\n";

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

static void write_answer(int status, const char *type, const char *body, bool head, struct answer *answer)
{
	size_t body_bytes = strlen(body);
	int bytes = snprintf(
		answer->text, sizeof(answer->text),
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
		status, reason(status), type, body_bytes, answer->keep_alive ? "keep-alive" : "close",
		head ? "" : body);

	/* BODY_BYTES and a head of fixed texts always fit. */
	answer->bytes = bytes > 0 && (size_t)bytes < sizeof(answer->text) ? (size_t)bytes : 0;
}

NOINLINE void handle_request(struct backend *backend, const struct request *request,
			     struct answer *ret_answer)
{
	const char *type = "text/plain";
	char body[BODY_BYTES];
	int status = 200;

	ret_answer->keep_alive = request->keep_alive;
	atomic_fetch_add_explicit(&backend->truth.requests, 1, memory_order_relaxed);
	if (strcmp(request->path, "/slow") == 0) {
		status = slow_endpoint(backend, request, body, sizeof(body));
	} else if (strcmp(request->path, "/") == 0) {
		snprintf(body, sizeof(body), "%s", front_page);
		type = "text/html";
	} else if (strcmp(request->path, "/health") == 0) {
		snprintf(body, sizeof(body), "ok\n");
	} else if (strcmp(request->path, "/truth") == 0) {
		type = "application/json";
		status = truth_write(&backend->truth, backend->options.threads, body, sizeof(body)) > 0 ? 200
													: 500;
		if (request_query_has(request, "reset", "1")) {
			truth_reset(&backend->truth);
		}
	} else {
		snprintf(body, sizeof(body), "no such page\n");
		status = 404;
	}
	write_answer(status, type, body, request->head, ret_answer);
}

void handle_refusal(int status, struct answer *ret_answer)
{
	char body[64];

	ret_answer->keep_alive = false;
	snprintf(body, sizeof(body), "%s\n", reason(status));
	write_answer(status, "text/plain", body, false, ret_answer);
}

/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* A piece of the buffer; not terminated. */
struct span {
	const char *at;
	size_t bytes;
};

static bool span_is(struct span span, const char *text)
{
	return span.bytes == strlen(text) && memcmp(span.at, text, span.bytes) == 0;
}

static bool span_is_nocase(struct span span, const char *text)
{
	return span.bytes == strlen(text) && strncasecmp(span.at, text, span.bytes) == 0;
}

/* Cut the next word, which a space or the end closes, off the front of rest. */
static struct span next_word(struct span *rest)
{
	const char *space = memchr(rest->at, ' ', rest->bytes);
	struct span word = { rest->at, space != NULL ? (size_t)(space - rest->at) : rest->bytes };
	size_t used = word.bytes + (space != NULL);

	rest->at += used;
	rest->bytes -= used;
	return word;
}

/* Cut the next line off the front of rest, without its line end; false when there is no complete one. */
static bool next_line(struct span *rest, struct span *ret_line)
{
	const char *end = memchr(rest->at, '\n', rest->bytes);
	size_t bytes;

	if (end == NULL) {
		return false;
	}
	bytes = (size_t)(end - rest->at);
	*ret_line = (struct span){ rest->at, bytes };
	if (bytes > 0 && rest->at[bytes - 1] == '\r') {
		ret_line->bytes--;
	}
	rest->at += bytes + 1;
	rest->bytes -= bytes + 1;
	return true;
}

static struct span trimmed(struct span span)
{
	while (span.bytes > 0 && (span.at[0] == ' ' || span.at[0] == '\t')) {
		span.at++;
		span.bytes--;
	}
	while (span.bytes > 0 && (span.at[span.bytes - 1] == ' ' || span.at[span.bytes - 1] == '\t')) {
		span.bytes--;
	}
	return span;
}

static bool has_control(struct span span)
{
	for (size_t i = 0; i < span.bytes; i++) {
		unsigned char c = (unsigned char)span.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return true;
		}
	}
	return false;
}

static int parse_target(struct span target, struct request *request)
{
	const char *mark = memchr(target.at, '?', target.bytes);
	size_t path_bytes = mark != NULL ? (size_t)(mark - target.at) : target.bytes;
	size_t query_bytes = mark != NULL ? target.bytes - path_bytes - 1 : 0;

	if (target.bytes >= REQUEST_TARGET_MAX) {
		return -414;
	}
	if (target.bytes == 0 || target.at[0] != '/') {
		return -400;
	}
	memcpy(request->path, target.at, path_bytes);
	request->path[path_bytes] = '\0';
	if (query_bytes > 0) {
		memcpy(request->query, mark + 1, query_bytes);
	}
	request->query[query_bytes] = '\0';
	return 0;
}

static int parse_request_line(struct span line, struct request *request)
{
	struct span method = next_word(&line);
	struct span target = next_word(&line);
	struct span version = next_word(&line);
	int status;

	if (line.bytes > 0 || method.bytes == 0 || version.bytes == 0) {
		return -400;
	}
	status = parse_target(target, request);
	if (status != 0) {
		return status;
	}
	if (span_is(version, "HTTP/1.1")) {
		request->keep_alive = true;
	} else if (!span_is(version, "HTTP/1.0")) {
		return version.bytes > 5 && memcmp(version.at, "HTTP/", 5) == 0 ? -505 : -400;
	}
	request->head = span_is(method, "HEAD");
	return request->head || span_is(method, "GET") || span_is(method, "POST") ? 0 : -405;
}

static int parse_content_length(struct span value, size_t *ret_bytes)
{
	size_t bytes = 0;

	if (value.bytes == 0 || value.bytes > 18) {
		return -400;
	}
	for (size_t i = 0; i < value.bytes; i++) {
		if (!isdigit((unsigned char)value.at[i])) {
			return -400;
		}
		bytes = bytes * 10 + (size_t)(value.at[i] - '0');
	}
	if (bytes > REQUEST_BODY_MAX) {
		return -413;
	}
	*ret_bytes = bytes;
	return 0;
}

static int parse_header(struct span line, struct request *request)
{
	const char *colon = memchr(line.at, ':', line.bytes);
	struct span name;
	struct span value;
	size_t body_bytes = 0;
	int status;

	if (colon == NULL || colon == line.at || colon[-1] == ' ' || colon[-1] == '\t') {
		return -400;
	}
	name = (struct span){ line.at, (size_t)(colon - line.at) };
	value = trimmed((struct span){ colon + 1, line.bytes - name.bytes - 1 });
	if (span_is_nocase(name, "transfer-encoding")) {
		return -501;
	}
	if (span_is_nocase(name, "connection")) {
		if (span_is_nocase(value, "close")) {
			request->keep_alive = false;
		} else if (span_is_nocase(value, "keep-alive")) {
			request->keep_alive = true;
		}
	}
	if (!span_is_nocase(name, "content-length")) {
		return 0;
	}
	status = parse_content_length(value, &body_bytes);
	/* Two lengths that differ are how requests get smuggled. */
	if (status == 0 && request->body_bytes != 0 && request->body_bytes != body_bytes) {
		status = -400;
	}
	request->body_bytes = body_bytes;
	return status;
}

int request_parse(const char *data, size_t bytes, struct request *ret_request)
{
	struct request request = { .keep_alive = false };
	struct span rest = { data, bytes };
	struct span line;
	bool first = true;

	while (next_line(&rest, &line)) {
		int status;

		if (line.bytes == 0 && !first) {
			request.head_bytes = bytes - rest.bytes;
			*ret_request = request;
			return 1;
		}
		if (has_control(line)) {
			return -400;
		}
		status = first ? parse_request_line(line, &request) : parse_header(line, &request);
		if (status != 0) {
			return status;
		}
		first = false;
	}
	return 0;
}

bool request_query_value(const struct request *request, const char *key, char *value, size_t room)
{
	const char *at = request->query;
	size_t key_bytes = strlen(key);

	while (*at != '\0') {
		size_t bytes = strcspn(at, "&");

		if (bytes >= key_bytes && memcmp(at, key, key_bytes) == 0 &&
		    (bytes == key_bytes || at[key_bytes] == '=')) {
			size_t from = bytes == key_bytes ? bytes : key_bytes + 1;
			size_t length = bytes - from < room - 1 ? bytes - from : room - 1;

			memcpy(value, at + from, length);
			value[length] = '\0';
			return true;
		}
		at += bytes + (at[bytes] == '&');
	}
	return false;
}

bool request_query_has(const struct request *request, const char *key, const char *value)
{
	char found[64];

	return request_query_value(request, key, found, sizeof(found)) &&
	       (value == NULL || strcmp(found, value) == 0);
}

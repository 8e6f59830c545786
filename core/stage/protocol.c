/* SPDX-License-Identifier: MIT */
#include "stage/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int protocol_send(int fd, json_t *message)
{
	char *text = message != NULL ? json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	size_t bytes;
	ssize_t sent;
	int rc = 0;

	json_decref(message);
	if (text == NULL) {
		return PFC_ENOMEM;
	}
	bytes = strlen(text);
	if (bytes > PROTOCOL_BYTES_MAX) {
		rc = PFC_ENOSPC;
		goto out;
	}
	do {
		sent = send(fd, text, bytes, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	rc = sent == (ssize_t)bytes ? 0 : PFC_EIO;
out:
	free(text);
	return rc;
}

int protocol_receive(int fd, bool wait, json_t **ret)
{
	char *text = malloc(PROTOCOL_BYTES_MAX);
	json_t *message = NULL;
	ssize_t bytes;
	int rc = 0;

	if (text == NULL) {
		return PFC_ENOMEM;
	}
	do {
		bytes = recv(fd, text, PROTOCOL_BYTES_MAX, MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT));
	} while (bytes < 0 && errno == EINTR);
	if (bytes <= 0) {
		rc = bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? PFC_EAGAIN : PFC_EIO;
		goto out;
	}
	/* MSG_TRUNC: bytes is the packet's own size, also when it did not fit. */
	message = (size_t)bytes <= PROTOCOL_BYTES_MAX ? json_loadb(text, (size_t)bytes, 0, NULL) : NULL;
	if (!json_is_object(message)) {
		json_decref(message);
		rc = PFC_ECORRUPT;
		goto out;
	}
	*ret = message;
out:
	free(text);
	return rc;
}

json_t *protocol_string(const char *text, size_t bytes_max)
{
	size_t bytes = strnlen(text, bytes_max);
	json_t *string = json_stringn(text, bytes);
	char *plain;

	if (string != NULL) {
		return string;
	}
	plain = strndup(text, bytes);
	for (char *at = plain; at != NULL && *at != '\0'; at++) {
		*at = (unsigned char)*at < 0x80 ? *at : '?';
	}
	string = plain != NULL ? json_string(plain) : NULL;
	free(plain);
	return string;
}

const char *protocol_text(const json_t *message, const char *key)
{
	const char *text = json_string_value(json_object_get(message, key));

	return text != NULL ? text : "";
}

const char *protocol_op(const json_t *message)
{
	return protocol_text(message, "op");
}

int64_t protocol_int(const json_t *message, const char *key)
{
	return json_integer_value(json_object_get(message, key));
}

/* SPDX-License-Identifier: MIT */
/* http URLs: enough of RFC 3986 to know where to connect and what to ask for; nothing is decoded or normalised. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int refuse(const char **ret_why, const char *why)
{
	*ret_why = why;
	return PFC_EINVAL;
}

/* What would break the request line, or is not ASCII, has to be written as %XX. */
static bool is_clean(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f) {
			return false;
		}
	}
	return true;
}

static int parse_port(const char *text, size_t bytes, struct load_url *url, const char **ret_why)
{
	unsigned port = 0;
	size_t i;

	if (bytes == 0 || bytes > 5) {
		return refuse(ret_why, "the port is not a number from 1 to 65535");
	}
	for (i = 0; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return refuse(ret_why, "the port is not a number from 1 to 65535");
		}
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port == 0 || port > 65535) {
		return refuse(ret_why, "the port is not a number from 1 to 65535");
	}
	snprintf(url->port, sizeof(url->port), "%u", port);
	return 0;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT */
static int parse_authority(const char *text, size_t bytes, struct load_url *url, const char **ret_why)
{
	bool is_bracketed = bytes > 0 && text[0] == '[';
	const char *end;
	size_t host_bytes;
	size_t rest;

	if (memchr(text, '@', bytes) != NULL) {
		return refuse(ret_why, "it has a user name; use headers = Authorization: ... instead");
	}
	if (is_bracketed) {
		end = memchr(text, ']', bytes);
		if (end == NULL) {
			return refuse(ret_why, "the [ of its address is not closed");
		}
		host_bytes = (size_t)(end - text) - 1;
		rest = host_bytes + 2;
		text++;
	} else {
		end = memchr(text, ':', bytes);
		host_bytes = end != NULL ? (size_t)(end - text) : bytes;
		rest = host_bytes;
	}
	if (host_bytes == 0) {
		return refuse(ret_why, "it has no host");
	}
	if (host_bytes >= sizeof(url->host)) {
		return refuse(ret_why, "its host is longer than 255 bytes");
	}
	memcpy(url->host, text, host_bytes);
	url->host[host_bytes] = '\0';
	text -= is_bracketed;
	if (rest < bytes && text[rest] != ':') {
		return refuse(ret_why, "something follows the ] of its address");
	}
	snprintf(url->port, sizeof(url->port), "80");
	if (rest < bytes && parse_port(text + rest + 1, bytes - rest - 1, url, ret_why) != 0) {
		return PFC_EINVAL;
	}
	snprintf(url->authority, sizeof(url->authority), is_bracketed ? "[%s]%s%s" : "%s%s%s", url->host,
		 strcmp(url->port, "80") != 0 ? ":" : "", strcmp(url->port, "80") != 0 ? url->port : "");
	return 0;
}

int load_url_parse(const char *text, struct load_url *ret, const char **ret_why)
{
	struct load_url url = { .target = "" };
	size_t authority_bytes;
	size_t target_bytes;

	if (strncasecmp(text, "https://", 8) == 0) {
		*ret_why = "https is not supported yet";
		return PFC_ENOTSUP;
	}
	if (strncasecmp(text, "http://", 7) != 0) {
		return refuse(ret_why, "it does not begin with http://");
	}
	if (!is_clean(text)) {
		return refuse(ret_why, "it has a space, a control or a non-ASCII character; write it as %XX");
	}
	if (strlen(text) >= LOAD_URL_BYTES) {
		return refuse(ret_why, "it is longer than 8191 bytes");
	}
	text += 7;
	authority_bytes = strcspn(text, "/?#");
	if (parse_authority(text, authority_bytes, &url, ret_why) != 0) {
		return PFC_EINVAL;
	}
	text += authority_bytes;
	target_bytes = strcspn(text, "#"); /* a fragment is never sent */
	snprintf(url.target, sizeof(url.target), "%s%.*s", text[0] == '/' ? "" : "/", (int)target_bytes,
		 text);
	*ret = url;
	return 0;
}

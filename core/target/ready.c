/* SPDX-License-Identifier: MIT */
#include "target/ready.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "config/options.h"

#define BETWEEN_NS 20000000u   /* from a failed attempt to the next */
#define ATTEMPT_NS 5000000000u /* a connect or an answer that takes longer is given up */
#define HOST_BYTES 256

/* ---- what is asked for ---- */

static bool add_v4(struct ready *ready, const char *host, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		return false;
	}
	memcpy(&ready->addresses[ready->address_count++], &address, sizeof(address));
	return true;
}

static bool add_v6(struct ready *ready, const char *host, uint16_t port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1) {
		return false;
	}
	memcpy(&ready->addresses[ready->address_count++], &address, sizeof(address));
	return true;
}

/* No name service: it may block, and loads code. */
static bool add_host(struct ready *ready, const char *host, uint16_t port)
{
	if (host[0] == '\0' || strcmp(host, "localhost") == 0) {
		return add_v4(ready, "127.0.0.1", port) && add_v6(ready, "::1", port);
	}
	return add_v4(ready, host, port) || add_v6(ready, host, port);
}

static bool parse_port(const char *text, uint16_t *ret)
{
	char *end;
	long port;

	if (text[0] < '0' || text[0] > '9') {
		return false;
	}
	port = strtol(text, &end, 10);
	if (*end != '\0' || port < 1 || port > 65535) {
		return false;
	}
	*ret = (uint16_t)port;
	return true;
}

/* "HOST:PORT", "[V6]:PORT", "HOST" with a default port (0: none). Returns what is wrong, or NULL. Cuts text. */
static const char *parse_authority(struct ready *ready, char *text, uint16_t port)
{
	char *host = text;
	char *colon;

	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (end == NULL || (end[1] != ':' && end[1] != '\0')) {
			return "its [address] is not closed";
		}
		*end = '\0';
		host = text + 1;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else {
		colon = strrchr(text, ':');
	}
	if (colon != NULL) {
		*colon = '\0';
		if (!parse_port(colon + 1, &port)) {
			return "its port is no number from 1 to 65535";
		}
	}
	if (port == 0) {
		return "it names no port";
	}
	return add_host(ready, host, port) ? NULL : "its host is no address: give an IP address or localhost";
}

static const char *parse_tcp(struct ready *ready, const char *text)
{
	char authority[HOST_BYTES];

	ready->kind = READY_TCP;
	/* "8080" alone is a port here. */
	if (strlen(text) + 2 > sizeof(authority)) {
		return "it is too long";
	}
	snprintf(authority, sizeof(authority), "%s%s", strchr(text, ':') == NULL ? ":" : "", text);
	return parse_authority(ready, authority, 0);
}

static const char *parse_http(struct ready *ready, const char *text)
{
	char authority[HOST_BYTES];
	char host[HOST_BYTES];
	size_t bytes = strcspn(text, "/?");
	const char *path = text + bytes;

	ready->kind = READY_HTTP;
	if (bytes >= sizeof(authority) || strlen(path) > 4096) {
		return "it is too long";
	}
	for (const char *at = text; *at != '\0'; at++) {
		if ((unsigned char)*at <= ' ' || *at == 0x7f) {
			return "it holds a space or a control character";
		}
	}
	snprintf(host, sizeof(host), "%.*s", (int)bytes, text);
	if (bytes == 0) {
		return "it names no host";
	}
	memcpy(authority, host, sizeof(authority));
	ready->request = str_printf("GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: profcore\r\nConnection: close\r\n\r\n",
				    path[0] == '/' ? "" : "/", path, host);
	if (ready->request == NULL) {
		return "out of memory";
	}
	return parse_authority(ready, authority, 80);
}

int ready_parse(const char *text, struct ready *ret, struct pfc_error *err)
{
	struct ready ready = { .fd = -1 };
	const char *fault = NULL;
	int64_t duration_ns;

	if (text != NULL && str_starts(text, "http://")) {
		fault = parse_http(&ready, text + strlen("http://"));
	} else if (text != NULL && str_starts(text, "tcp:")) {
		fault = parse_tcp(&ready, text + strlen("tcp:"));
	} else if (text != NULL && text[0] != '\0') {
		duration_ns = option_parse_duration(text);
		ready.kind = READY_DURATION;
		ready.duration_ns = (uint64_t)duration_ns;
		fault = duration_ns < 0 ? "it is no http:// URL, no tcp:[HOST:]PORT and no duration" : NULL;
	}
	if (fault != NULL) {
		free(ready.request);
		error_set(err, PFC_EINVAL, fault, "ready = %.128s", text);
		error_hint(err, "as in http://127.0.0.1:8080/health, tcp:8080 or 2s");
		return PFC_EINVAL;
	}
	*ret = ready;
	return PFC_OK;
}

void ready_finish(struct ready *ready)
{
	if (ready->kind != READY_NOW && ready->fd >= 0) {
		close(ready->fd);
	}
	free(ready->request);
	*ready = (struct ready){ .fd = -1 };
}

/* ---- looking ---- */

static int end_attempt(struct ready *ready, uint64_t now_ns, const char *outcome)
{
	if (ready->fd >= 0) {
		close(ready->fd);
	}
	ready->fd = -1;
	ready->attempt_ns = now_ns + BETWEEN_NS;
	ready->address = (ready->address + 1) % ready->address_count;
	/* localhost: a refused ::1 says less than what 127.0.0.1 answered */
	if (ready->last[0] == '\0' || strcmp(outcome, strerror(ECONNREFUSED)) != 0) {
		snprintf(ready->last, sizeof(ready->last), "%s", outcome);
	}
	return 0;
}

static int begin_attempt(struct ready *ready, uint64_t now_ns)
{
	const struct sockaddr_storage *address = &ready->addresses[ready->address];
	socklen_t bytes = address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	ready->connected = false;
	ready->answer_bytes = 0;
	ready->fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ready->fd < 0) {
		return end_attempt(ready, now_ns, strerror(errno));
	}
	ready->attempt_ns = now_ns;
	if (connect(ready->fd, (const struct sockaddr *)address, bytes) < 0 && errno != EINPROGRESS) {
		return end_attempt(ready, now_ns, strerror(errno));
	}
	return 0;
}

static int on_connected(struct ready *ready, uint64_t now_ns)
{
	socklen_t bytes = sizeof(int);
	int errnum = 0;
	size_t length;

	if (getsockopt(ready->fd, SOL_SOCKET, SO_ERROR, &errnum, &bytes) < 0 || errnum != 0) {
		return end_attempt(ready, now_ns, strerror(errnum != 0 ? errnum : errno));
	}
	if (ready->kind == READY_TCP) {
		end_attempt(ready, now_ns, "connected");
		return 1;
	}
	length = strlen(ready->request);
	if (send(ready->fd, ready->request, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length) {
		return end_attempt(ready, now_ns, "the request could not be sent");
	}
	ready->connected = true;
	return 0;
}

/* "HTTP/1.1 200 OK" */
static int on_answer(struct ready *ready, uint64_t now_ns)
{
	ssize_t got = recv(ready->fd, ready->answer + ready->answer_bytes,
			   sizeof(ready->answer) - 1 - ready->answer_bytes, MSG_DONTWAIT);
	char outcome[64];
	int code = 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (got < 0) {
		return end_attempt(ready, now_ns, strerror(errno));
	}
	ready->answer_bytes += (unsigned)got;
	ready->answer[ready->answer_bytes] = '\0';
	if (ready->answer_bytes < strlen("HTTP/1.1 200") && got > 0) {
		return 0;
	}
	if (sscanf(ready->answer, "HTTP/%*d.%*d %3d", &code) != 1 || code < 100) {
		return end_attempt(ready, now_ns, "the answer is not HTTP/1");
	}
	snprintf(outcome, sizeof(outcome), "it answers with status %d", code);
	end_attempt(ready, now_ns, outcome);
	return code >= 200 && code < 400;
}

int ready_look(struct ready *ready, uint64_t now_ns)
{
	struct pollfd poll_fd;

	if (ready->kind == READY_NOW) {
		return 1;
	}
	if (ready->began_ns == 0) {
		ready->began_ns = now_ns;
	}
	if (ready->kind == READY_DURATION) {
		return now_ns - ready->began_ns >= ready->duration_ns;
	}
	if (ready->fd < 0) {
		return now_ns >= ready->attempt_ns ? begin_attempt(ready, now_ns) : 0;
	}
	if (now_ns > ready->attempt_ns + ATTEMPT_NS) {
		return end_attempt(ready, now_ns, ready->connected ? "it does not answer" : "it does not accept");
	}
	poll_fd = (struct pollfd){ .fd = ready->fd, .events = ready->connected ? POLLIN : POLLOUT };
	if (poll(&poll_fd, 1, 0) <= 0) {
		return 0;
	}
	return ready->connected ? on_answer(ready, now_ns) : on_connected(ready, now_ns);
}

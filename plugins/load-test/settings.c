/* SPDX-License-Identifier: MIT */
/* The options, checked; the request, built once; the addresses, looked up once. */
#include "load.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 100

static int refuse(const struct pfc_host *host, const char *what, const char *why, const char *hint)
{
	return host->fail(host->ctx, PFC_EINVAL, what, why, hint);
}

/* RFC 9110 section 5.6.2 */
static size_t token_bytes(const char *text)
{
	return strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static bool name_is(const char *header, const char *name)
{
	size_t bytes = strlen(name);

	return strncasecmp(header, name, bytes) == 0 && header[bytes] == ':';
}

static int check_header(const struct pfc_host *host, const char *header)
{
	size_t name_bytes = token_bytes(header);
	const char *at;

	if (name_bytes == 0 || header[name_bytes] != ':') {
		return refuse(host, "option headers", "an item is not \"Name: value\"",
			      "headers = Accept: text/html");
	}
	for (at = header; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' && *at != '\t') {
			return refuse(host, "option headers", "an item has a control character", NULL);
		}
	}
	if (name_is(header, "Connection")) {
		return refuse(host, "option headers", "Connection is set by keep_alive",
			      "use keep_alive = no");
	}
	if (name_is(header, "Content-Length") || name_is(header, "Transfer-Encoding")) {
		return refuse(host, "option headers", "the length of the body is set by body", NULL);
	}
	return 0;
}

static int check_headers(const struct pfc_host *host, const struct pfc_value *headers)
{
	uint32_t i;

	if (headers->item_count > HEADERS_MAX) {
		return refuse(host, "option headers", "there are more than 100", NULL);
	}
	for (i = 0; i < headers->item_count; i++) {
		int status = check_header(host, headers->items[i]);

		if (status != 0) {
			return status;
		}
	}
	return 0;
}

static void write_request(FILE *to, const struct load_settings *settings, const char *method,
			  const struct pfc_value *headers, const char *body)
{
	bool has_host = false;
	bool has_agent = false;
	uint32_t i;

	fprintf(to, "%s %s HTTP/1.1\r\n", method, settings->url.target);
	for (i = 0; i < headers->item_count; i++) {
		fprintf(to, "%s\r\n", headers->items[i]);
		has_host = has_host || name_is(headers->items[i], "Host");
		has_agent = has_agent || name_is(headers->items[i], "User-Agent");
	}
	if (!has_host) {
		fprintf(to, "Host: %s\r\n", settings->url.authority);
	}
	if (!has_agent) {
		fprintf(to, "User-Agent: profcore-load-test\r\n");
	}
	if (!settings->keep_alive) {
		fprintf(to, "Connection: close\r\n");
	}
	if (body[0] != '\0' || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	    strcmp(method, "PATCH") == 0) {
		fprintf(to, "Content-Length: %zu\r\n", strlen(body));
	}
	fprintf(to, "\r\n%s", body);
}

static int build_request(const struct pfc_host *host, struct load_settings *settings, const char *method,
			 const struct pfc_value *headers)
{
	FILE *to = open_memstream(&settings->request, &settings->request_bytes);

	if (to == NULL) {
		return host->fail(host->ctx, PFC_ENOMEM, "building the request", "no memory", NULL);
	}
	write_request(to, settings, method, headers, pfc_option_text(host, "body", ""));
	if (fclose(to) != 0) {
		return host->fail(host->ctx, PFC_ENOMEM, "building the request", "no memory", NULL);
	}
	return 0;
}

static int read_url(const struct pfc_host *host, struct load_settings *settings)
{
	const char *why;
	char what[256];
	int status;

	settings->url_text = pfc_option_text(host, "url", "");
	if (settings->url_text[0] == '\0') {
		return refuse(host, "option url", "it is not set",
			      "say what to request: url = http://127.0.0.1:8080/");
	}
	status = load_url_parse(settings->url_text, &settings->url, &why);
	if (status == 0) {
		return 0;
	}
	snprintf(what, sizeof(what), "option url = %.200s", settings->url_text);
	return host->fail(host->ctx, status, what, why,
			  status == PFC_ENOTSUP ? "use http://, for instance on the port behind the TLS proxy"
						: "url = http://HOST[:PORT]/PATH");
}

int load_settings_read(const struct pfc_host *host, struct load_settings *ret)
{
	struct pfc_value headers = { .struct_size = sizeof(headers) };
	const char *method = pfc_option_text(host, "method", "GET");
	struct load_settings settings = { .url_text = "" };
	int status;

	settings.connections = (uint32_t)pfc_option_int(host, "connections", 16);
	settings.timeout_ns = (uint64_t)pfc_option_int(host, "timeout", 5 * (int64_t)LOAD_NS_PER_S);
	settings.rate = pfc_option_real(host, "rate", 0);
	settings.keep_alive = pfc_option_int(host, "keep_alive", 1) != 0;
	settings.is_head = strcmp(method, "HEAD") == 0;
	if (host->option(host->ctx, "headers", &headers) != 0) {
		headers.item_count = 0;
	}
	if (method[0] == '\0' || method[token_bytes(method)] != '\0' || strcmp(method, "CONNECT") == 0) {
		return refuse(host, "option method", "it is not a method that asks a server for an answer",
			      "method = GET");
	}
	status = read_url(host, &settings);
	if (status == 0) {
		status = check_headers(host, &headers);
	}
	if (status == 0) {
		status = build_request(host, &settings, method, &headers);
	}
	if (status != 0) {
		load_settings_finish(&settings);
		return status;
	}
	*ret = settings;
	return 0;
}

/* First as a number, which needs no resolver and so no file. */
static int look_up(const struct load_url *url, struct addrinfo **ret)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };

	if (getaddrinfo(url->host, url->port, &want, ret) == 0) {
		return 0;
	}
	want.ai_flags = AI_NUMERICSERV;
	return getaddrinfo(url->host, url->port, &want, ret);
}

int load_settings_resolve(const struct pfc_host *host, struct load_settings *settings)
{
	struct addrinfo *found = NULL;
	struct addrinfo *at;
	char what[320];
	int code = look_up(&settings->url, &found);

	if (code != 0) {
		snprintf(what, sizeof(what), "looking up %s", settings->url.host);
		return host->fail(host->ctx, PFC_ENOENT, what, gai_strerror(code),
				  "check the host of url, or write its address");
	}
	settings->address_count = 0;
	for (at = found; at != NULL && settings->address_count < LOAD_ADDRESSES; at = at->ai_next) {
		if (at->ai_addrlen <= sizeof(settings->addresses[0])) {
			memcpy(&settings->addresses[settings->address_count], at->ai_addr, at->ai_addrlen);
			settings->address_bytes[settings->address_count++] = at->ai_addrlen;
		}
	}
	freeaddrinfo(found);
	return 0;
}

void load_settings_finish(struct load_settings *settings)
{
	free(settings->request);
	settings->request = NULL;
}

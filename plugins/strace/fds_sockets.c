/* SPDX-License-Identifier: MIT */
/* Sockets by inode, from the tables of a network namespace. Bounded: a table is read to its first 16 MiB. */
#include "fds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES_MAX (16u << 20)
#define LINE_BYTES      512

struct kind {
	const char *file;
	const char *label;
};

/* One end as text. `hex` is 8 or 32 digits: 32-bit words in the machine's byte order. */
static int show_end(const char *hex, unsigned port, char *to, size_t bytes)
{
	char text[INET6_ADDRSTRLEN];
	uint32_t words[4];
	size_t count = strlen(hex) / 8;

	if ((count != 1 && count != 4) || strlen(hex) % 8) {
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++) {
		char one[9];

		memcpy(one, hex + 8 * i, 8);
		one[8] = '\0';
		words[i] = (uint32_t)strtoul(one, NULL, 16);
	}
	if (count == 4 && words[0] == 0 && words[1] == 0 && words[2] == htonl(0xffff)) {
		words[0] = words[3]; /* an IPv4 peer of an IPv6 socket */
		count = 1;
	}
	inet_ntop(count == 1 ? AF_INET : AF_INET6, words, text, sizeof(text));
	snprintf(to, bytes, count == 1 ? "%s:%u" : "[%s]:%u", text, port);
	return 0;
}

/* A line of tcp, udp, raw: "sl local:port remote:port st tx:rx tr:when retr uid timeout inode ...". */
static int parse_inet(const char *line, const char *label, uint64_t inode, char to[FDS_NAME_BYTES])
{
	unsigned long long found;
	unsigned local_port;
	unsigned remote_port;
	unsigned state;
	char local[33];
	char remote[33];
	char ends[2][64];

	if (sscanf(line, " %*d: %32[0-9A-Fa-f]:%x %32[0-9A-Fa-f]:%x %x %*s %*s %*s %*s %*s %llu", local,
		   &local_port, remote, &remote_port, &state, &found) != 6 ||
	    found != inode || show_end(local, local_port, ends[0], sizeof(ends[0])) < 0 ||
	    show_end(remote, remote_port, ends[1], sizeof(ends[1])) < 0) {
		return -ENOENT;
	}
	if (remote_port == 0) {
		snprintf(to, FDS_NAME_BYTES, state == 0x0a ? "%s listening on %s" : "%s %s", label, ends[0]);
	} else {
		snprintf(to, FDS_NAME_BYTES, "%s %s->%s", label, ends[0], ends[1]);
	}
	return 0;
}

/* A line of unix: "address: refs protocol flags type state inode path". */
static int parse_unix(const char *line, const char *label, uint64_t inode, char to[FDS_NAME_BYTES])
{
	unsigned long long found;
	int path_at = 0;
	int length;

	(void)label;
	if (sscanf(line, " %*[0-9a-fA-F]: %*s %*s %*s %*s %*s %llu %n", &found, &path_at) != 1 ||
	    found != inode) {
		return -ENOENT;
	}
	length = path_at > 0 ? (int)strcspn(line + path_at, "\n") : 0;
	if (length > 0) {
		snprintf(to, FDS_NAME_BYTES, "unix:%.*s", length, line + path_at);
	} else {
		snprintf(to, FDS_NAME_BYTES, "unix:[%llu]", (unsigned long long)inode);
	}
	return 0;
}

static int search(const char *path, const char *label, uint64_t inode,
		  int (*parse)(const char *, const char *, uint64_t, char *), char *to)
{
	FILE *file = fopen(path, "re");
	char line[LINE_BYTES];
	size_t bytes = 0;
	int rc = -ENOENT;

	while (file && rc < 0 && bytes < TABLE_BYTES_MAX && fgets(line, sizeof(line), file)) {
		bytes += strlen(line);
		rc = parse(line, label, inode, to);
	}
	if (file) {
		fclose(file);
	}
	return rc;
}

/* A socket whose local port is listened on was accepted there: the arrow shows who connected to whom. */
static void turn_arrow(const char *path, char *name)
{
	char *arrow = strstr(name, "->");
	FILE *file = arrow ? fopen(path, "re") : NULL;
	char line[LINE_BYTES];
	size_t bytes = 0;
	unsigned local_port = 0;
	unsigned port, state;

	for (char *at = arrow; at && at > name && local_port == 0; at--) {
		local_port = at[-1] == ':' ? (unsigned)strtoul(at, NULL, 10) : 0;
	}
	while (file && bytes < TABLE_BYTES_MAX && fgets(line, sizeof(line), file)) {
		bytes += strlen(line);
		if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) == 2 &&
		    state == 0x0a && port == local_port) {
			memcpy(arrow, "<-", 2);
			break;
		}
	}
	if (file) {
		fclose(file);
	}
}

int fds_socket_name(const char *net_folder, uint64_t inode, char to[FDS_NAME_BYTES])
{
	static const struct kind kinds[] = { { "tcp", "TCP" }, { "tcp6", "TCP" }, { "unix", "unix" },
					     { "udp", "UDP" }, { "udp6", "UDP" }, { "udplite", "UDPLITE" },
					     { "raw", "RAW" } };
	char path[128];
	int rc = -ENOENT;

	for (size_t i = 0; rc < 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", net_folder, kinds[i].file);
		rc = search(path, kinds[i].label, inode,
			    strcmp(kinds[i].file, "unix") == 0 ? parse_unix : parse_inet, to);
		if (rc == 0 && strcmp(kinds[i].label, "TCP") == 0) {
			turn_arrow(path, to);
		}
	}
	return rc;
}

void fds_listening(int32_t pid, uint64_t ports[FDS_PORTS_WORDS])
{
	static const char *const files[] = { "tcp", "tcp6" };

	memset(ports, 0, FDS_PORTS_WORDS * sizeof(*ports));
	for (size_t i = 0; i < 2; i++) {
		char path[64], line[LINE_BYTES];
		unsigned port, state;
		size_t bytes = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, files[i]);
		file = fopen(path, "re");
		while (file && bytes < TABLE_BYTES_MAX && fgets(line, sizeof(line), file)) {
			bytes += strlen(line);
			if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) == 2 &&
			    state == 0x0a && port < 65536) {
				ports[port / 64] |= 1ull << port % 64;
			}
		}
		if (file) {
			fclose(file);
		}
	}
}

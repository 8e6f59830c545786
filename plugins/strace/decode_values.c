/* SPDX-License-Identifier: MIT */
/* What stands behind a pointer: paths, bytes, addresses of sockets, times, sets to poll. */
#include "decode_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define PATH_SHOWN  160
#define BYTES_SHOWN 256
#define POLLS_SHOWN 4

static size_t fetch(const struct decode_source *source, uint64_t address, void *to, size_t bytes)
{
	size_t got;

	if (!source->memory || address == 0) {
		return 0;
	}
	got = source->memory(source->ctx, address, to, bytes);
	return got < bytes ? got : bytes;
}

static void show_pointer(struct out *out, uint64_t address)
{
	if (address) {
		out_format(out, "0x%llx", (unsigned long long)address);
	} else {
		out_format(out, "NULL");
	}
}

static void show_path(struct out *out, uint64_t address, const struct decode_source *source)
{
	char path[PATH_SHOWN + 1];
	size_t got = fetch(source, address, path, sizeof(path));
	size_t length = strnlen(path, got);

	if (got == 0) {
		show_pointer(out, address);
		return;
	}
	out_quoted(out, path, length < PATH_SHOWN ? length : PATH_SHOWN, length == got);
}

static void show_bytes(struct out *out, uint64_t address, uint64_t count, const struct decode_source *source)
{
	char bytes[BYTES_SHOWN];
	size_t most = source->string_bytes < sizeof(bytes) ? source->string_bytes : sizeof(bytes);
	size_t wanted = count < most ? (size_t)count : most;
	size_t got = fetch(source, address, bytes, wanted);

	if (got == 0 && (count || !source->string_bytes)) {
		show_pointer(out, address);
		return;
	}
	out_quoted(out, bytes, got, got < count);
}

static void show_unix(struct out *out, const char *path, size_t bytes)
{
	if (bytes == 0) {
		out_format(out, "unix:unnamed");
	} else if (path[0] == '\0') { /* an abstract name: all of its bytes count */
		out_format(out, "unix:@");
		out_quoted(out, path + 1, bytes - 1, 0);
	} else {
		out_format(out, "unix:");
		out_quoted(out, path, strnlen(path, bytes), 0);
	}
}

static void show_address(struct out *out, uint64_t address, uint64_t bytes,
			 const struct decode_source *source)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage all;
	} at;
	char text[INET6_ADDRSTRLEN];
	size_t wanted = bytes < sizeof(at) ? (size_t)bytes : sizeof(at);
	size_t got;

	memset(&at, 0, sizeof(at));
	got = fetch(source, address, &at, wanted);
	if (got < sizeof(at.any.sa_family)) {
		show_pointer(out, address);
	} else if (at.any.sa_family == AF_INET && got >= sizeof(at.in)) {
		out_format(out, "%s:%u", inet_ntop(AF_INET, &at.in.sin_addr, text, sizeof(text)),
			   ntohs(at.in.sin_port));
	} else if (at.any.sa_family == AF_INET6 && got >= 24) {
		out_format(out, "[%s]:%u", inet_ntop(AF_INET6, &at.in6.sin6_addr, text, sizeof(text)),
			   ntohs(at.in6.sin6_port));
	} else if (at.any.sa_family == AF_UNIX) {
		size_t head = offsetof(struct sockaddr_un, sun_path);
		size_t most = sizeof(at.un.sun_path);

		show_unix(out, at.un.sun_path, got - head < most ? got - head : most);
	} else {
		out_format(out, "{family %u}", at.any.sa_family);
	}
}

/* Addresses that come back: their length is behind the next argument. */
static void show_address_out(struct out *out, const struct decode_call *call, unsigned index,
			     const struct decode_source *source)
{
	uint32_t bytes = 0;

	if (!call->has_returned || call->result < 0 || call->args[index] == 0 ||
	    fetch(source, call->args[index + 1], &bytes, sizeof(bytes)) < sizeof(bytes)) {
		show_pointer(out, call->args[index]);
		return;
	}
	show_address(out, call->args[index], bytes, source);
}

/* Seconds and a part, as a 64-bit program has them. */
static void show_time(struct out *out, const struct decode_call *call, uint64_t address, unsigned digits,
		      const struct decode_source *source)
{
	int64_t pair[2];

	if (call->abi != 0 || fetch(source, address, pair, sizeof(pair)) < sizeof(pair)) {
		show_pointer(out, address);
		return;
	}
	out_format(out, "%lld.%0*llds", (long long)pair[0], (int)digits, (long long)pair[1]);
}

static void show_events(struct out *out, unsigned events)
{
	static const struct {
		unsigned value;
		const char *name;
	} names[] = { { POLLIN, "IN" },   { POLLOUT, "OUT" },      { POLLPRI, "PRI" },
		      { POLLERR, "ERR" }, { POLLHUP, "HUP" },      { POLLRDHUP, "RDHUP" },
		      { 1u << 31, "ET" }, { 1u << 30, "ONESHOT" }, { 1u << 28, "EXCLUSIVE" } };
	const char *bar = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (events & names[i].value) {
			out_format(out, "%s%s", bar, names[i].name);
			events &= ~names[i].value;
			bar = "|";
		}
	}
	if (events || !*bar) {
		out_format(out, "%s0x%x", bar, events);
	}
}

static void show_polls(struct out *out, const struct decode_call *call, unsigned index,
		       const struct decode_source *source)
{
	struct pollfd polls[POLLS_SHOWN];
	uint64_t count = call->args[index + 1];
	size_t wanted = count < POLLS_SHOWN ? (size_t)count : POLLS_SHOWN;
	size_t got = fetch(source, call->args[index], polls, wanted * sizeof(polls[0])) / sizeof(polls[0]);

	if (got == 0) {
		show_pointer(out, call->args[index]);
		return;
	}
	out_format(out, "[");
	for (size_t i = 0; i < got; i++) {
		const char *name = source->descriptor ? source->descriptor(source->ctx, polls[i].fd) : NULL;

		out_format(out, "%s%d%s", i ? ", " : "", polls[i].fd, name ? "<" : "");
		if (name) {
			out_format(out, "%s>", name);
		}
		out_format(out, " ");
		show_events(out, (unsigned short)polls[i].events);
	}
	out_format(out, "%s]", got < count ? ", ..." : "");
}

/* Packed, as x86-64 has it, and 12 bytes for 32-bit programs too. */
static void show_epoll(struct out *out, uint64_t address, const struct decode_source *source)
{
	uint32_t words[3];

	if (fetch(source, address, words, sizeof(words)) < sizeof(words)) {
		show_pointer(out, address);
		return;
	}
	show_events(out, words[0]);
}

static void show_vector(struct out *out, const struct decode_call *call, unsigned index,
			const struct decode_source *source)
{
	uint64_t first[2];

	if (call->abi != 0 || fetch(source, call->args[index], first, sizeof(first)) < sizeof(first)) {
		show_pointer(out, call->args[index]);
		return;
	}
	out_format(out, "[");
	show_bytes(out, first[0], first[1], source);
	out_format(out, "%s]", call->args[index + 1] > 1 ? ", ..." : "");
}

int values_show(struct out *out, char kind, const struct decode_call *call, unsigned index,
		const struct decode_source *source)
{
	uint64_t value = call->args[index];

	switch (kind) {
	case 'p':
		show_path(out, value, source);
		return 1;
	case 'b':
		show_bytes(out, value, call->args[index + 1], source);
		return 1;
	case 'B':
		if (call->has_returned && call->result >= 0) {
			show_bytes(out, value, (uint64_t)call->result, source);
		} else {
			show_pointer(out, value);
		}
		return 1;
	case 'a':
		show_address(out, value, call->args[index + 1], source);
		return 1;
	case 'A':
		show_address_out(out, call, index, source);
		return 1;
	case 't':
		show_time(out, call, value, 9, source);
		return 1;
	case 'T':
		show_time(out, call, value, 6, source);
		return 1;
	case 'q':
		show_polls(out, call, index, source);
		return 1;
	case 'E':
		show_epoll(out, value, source);
		return 1;
	case 'V':
		show_vector(out, call, index, source);
		return 1;
	case '*':
		show_pointer(out, value);
		return 1;
	default:
		return 0;
	}
}

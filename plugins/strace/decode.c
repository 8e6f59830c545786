/* SPDX-License-Identifier: MIT */
/* The frame of a decoded call: name, arguments by the signature, result. The rest is in decode_flags.c and decode_values.c. */
#include "decode_text.h"
#include "names.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT "..."

void out_format(struct out *out, const char *format, ...)
{
	va_list args;
	int wanted;

	if (out->used + 1 >= out->room) {
		return;
	}
	va_start(args, format);
	wanted = vsnprintf(out->to + out->used, out->room - out->used, format, args);
	va_end(args);
	if (wanted > 0) {
		out->used += (size_t)wanted;
	}
	if (out->used >= out->room) { /* cut: say so in the last characters */
		out->used = out->room - 1;
		memcpy(out->to + out->room - sizeof(CUT), CUT, sizeof(CUT));
	}
}

void out_quoted(struct out *out, const char *bytes, size_t count, int more)
{
	out_format(out, "\"");
	for (size_t i = 0; i < count; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n' || c == '\t' || c == '\r') {
			out_format(out, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		} else if (c == '"' || c == '\\') {
			out_format(out, "\\%c", c);
		} else if (c >= 0x20 && c < 0x7f) {
			out_format(out, "%c", c);
		} else {
			out_format(out, "\\x%02x", c);
		}
	}
	out_format(out, "\"%s", more ? CUT : "");
}

static void show_fd(struct out *out, int fd, const struct decode_source *source)
{
	const char *name = fd >= 0 && source->descriptor ? source->descriptor(source->ctx, fd) : NULL;

	out_format(out, "%d", fd);
	if (name) { /* paths are the target's: escaped like all of its bytes, without the quotes */
		out_format(out, "<");
		for (const char *at = name; *at; at++) {
			out_format(out, *at >= 0x20 && *at < 0x7f ? "%c" : "\\x%02x", (unsigned char)*at);
		}
		out_format(out, ">");
	}
}

/* Numbers in their several ways. The unsigned of a 32-bit program are 32 bits wide already. */
static void show_number(struct out *out, char kind, const struct decode_call *call, uint64_t value,
			const struct decode_source *source)
{
	switch (kind) {
	case 'd':
		show_fd(out, (int)value, source);
		break;
	case 'D':
		if ((int)value == AT_FDCWD) {
			out_format(out, "AT_FDCWD");
		} else {
			show_fd(out, (int)value, source);
		}
		break;
	case 'i':
	case 'K':
		out_format(out, "%d", (int)value);
		break;
	case 'n':
		out_format(out, (int)value < 0 ? "%d" : "%dms", (int)value);
		break;
	case 'u':
		out_format(out, "%u", (unsigned)value);
		break;
	case 'l':
		out_format(out, "%llu", (unsigned long long)value);
		break;
	case 'o':
		out_format(out, "%lld", call->abi == 1 ? (long long)(int32_t)value : (long long)value);
		break;
	case 'm':
		out_format(out, "0%o", (unsigned)value & 07777);
		break;
	default:
		out_format(out, "0x%llx", (unsigned long long)value);
		break;
	}
}

/* The mode is there only when a file may be made. */
static int is_left_out(const struct signature *signature, unsigned index, const struct decode_call *call)
{
	uint64_t flags;

	if (index == 0 || signature->args[index] != 'm' || signature->args[index - 1] != 'O') {
		return 0;
	}
	flags = call->args[index - 1];
	return !(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE;
}

/* A call whose layout we do not know: its registers. */
static void show_raw(struct out *out, const struct decode_call *call)
{
	for (unsigned i = 0; i < 6; i++) {
		out_format(out, "%s0x%llx", i ? ", " : "", (unsigned long long)call->args[i]);
	}
}

static void show_args(struct out *out, const struct signature *signature, const struct decode_call *call,
		      const struct decode_source *source)
{
	for (unsigned i = 0; i < 6 && signature->args[i]; i++) {
		char kind = signature->args[i];

		if (is_left_out(signature, i, call)) {
			continue;
		}
		out_format(out, i ? ", " : "");
		if (!values_show(out, kind, call, i, source) && !flags_show(out, kind, call->args[i])) {
			show_number(out, kind, call, call->args[i], source);
		}
	}
}

static void show_result(struct out *out, const struct signature *signature, const struct decode_call *call,
			const struct decode_source *source)
{
	char name[NAME_ROOM];

	if (!call->has_returned) {
		out_format(out, " = ?");
	} else if (call->result < 0 && call->result >= -4095) {
		out_format(out, " = %s", errno_name((int32_t)-call->result, name, sizeof(name)));
	} else if (signature && signature->result == 'd') {
		out_format(out, " = ");
		show_fd(out, (int)call->result, source);
	} else if (signature && signature->result == 'x') {
		out_format(out, " = 0x%llx", (unsigned long long)call->result);
	} else {
		out_format(out, " = %lld", (long long)call->result);
	}
}

/*
 * 32-bit programs pass these otherwise: 64-bit offsets in two registers, or all arguments behind one pointer (mmap is the
 * old one there).
 */
static int is_known_layout(const struct decode_call *call, const char *name)
{
	static const char *const differ[] = { "mmap",        "pread64",    "pwrite64", "fadvise64",
					      "ftruncate64", "truncate64", "select",   "sync_file_range",
					      "readahead",   "fallocate",  "preadv",   "pwritev",
					      "preadv2",     "pwritev2" };

	for (size_t i = 0; call->abi != 0 && i < sizeof(differ) / sizeof(differ[0]); i++) {
		if (strcmp(name, differ[i]) == 0) {
			return 0;
		}
	}
	return 1;
}

static const struct signature *signature_of(const struct decode_call *call, char name[NAME_ROOM])
{
	syscall_name(call->abi, call->nr, name, NAME_ROOM);
	return is_known_layout(call, name) ? signature_find(name) : NULL;
}

static void show_inside(struct out *out, const struct signature *signature, const struct decode_call *call,
			const struct decode_source *source)
{
	if (signature) {
		show_args(out, signature, call, source);
	} else {
		show_raw(out, call);
	}
}

const char *decode_args(const struct decode_call *call, const struct decode_source *source,
			char to[DECODE_ROOM])
{
	struct out out = { .to = to, .room = DECODE_ROOM };
	char name[NAME_ROOM];

	to[0] = '\0';
	show_inside(&out, signature_of(call, name), call, source);
	return to;
}

const char *decode_call(const struct decode_call *call, const struct decode_source *source,
			char to[DECODE_ROOM])
{
	struct out out = { .to = to, .room = DECODE_ROOM };
	const struct signature *signature;
	char name[NAME_ROOM];

	to[0] = '\0';
	signature = signature_of(call, name);
	out_format(&out, "%s(", name);
	show_inside(&out, signature, call, source);
	out_format(&out, ")");
	show_result(&out, signature, call, source);
	return to;
}

/* SPDX-License-Identifier: MIT */
#include "stacks/demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"

#define MANGLED_BYTES_MAX 16384
#define PLT               "@plt"

/* Output of one demangling. A hostile name of some hundred bytes can stand for gigabytes: when full, jump out. */
struct sink {
	char *to;
	size_t room;
	size_t bytes;
	jmp_buf full;
};

static void sink_add(const char *text, size_t bytes, void *opaque)
{
	struct sink *sink = opaque;
	size_t left = sink->room - sink->bytes;

	if (bytes == 0) {
		return; /* text may be NULL then */
	}
	if (bytes >= left) {
		memcpy(sink->to + sink->bytes, text, left - 1);
		sink->bytes = sink->room - 1;
		longjmp(sink->full, 1);
	}
	memcpy(sink->to + sink->bytes, text, bytes);
	sink->bytes += bytes;
}

/* Whether `name` was mangled; then the text is in `to`. */
static bool try_demangle(char *to, size_t to_bytes, const char *name,
			 int (*how)(const char *, int, demangle_callbackref, void *), int options)
{
	struct sink sink = { .to = to, .room = to_bytes };
	volatile bool ok = true;

	if (setjmp(sink.full) == 0) {
		ok = how(name, options, sink_add, &sink) != 0;
	}
	to[sink.bytes] = '\0';
	return ok && sink.bytes > 0;
}

/* Length of the name without what linker and compiler append: "@GLIBC_2.34", ".llvm.123", ".cold", ".constprop.0", ... */
static size_t plain_length(const char *name)
{
	static const char *const suffixes[] = { ".llvm.", ".cold",      ".constprop.", ".isra.",
						".part.", ".lto_priv.", ".localalias", ".clone." };
	size_t length = strcspn(name, "@");

	length = length > 0 ? length : strlen(name);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		const char *at = strstr(name, suffixes[i]);

		/* Not "..part..": so a legacy Rust name spells "::part::". */
		if (at != NULL && at > name && at[-1] != '.' && (size_t)(at - name) < length) {
			length = (size_t)(at - name);
		}
	}
	return length;
}

static void copy(char *to, size_t to_bytes, const char *from, size_t bytes)
{
	bytes = bytes < to_bytes ? bytes : to_bytes - 1;
	memcpy(to, from, bytes);
	to[bytes] = '\0';
}

static void demangle_function(char *to, size_t to_bytes, const char *name)
{
	char plain[MANGLED_BYTES_MAX];
	size_t length = plain_length(name);

	if (length >= sizeof(plain)) {
		copy(to, to_bytes, name, length);
		return;
	}
	copy(plain, sizeof(plain), name, length);
	if ((str_starts(plain, "_R") || str_starts(plain, "_ZN")) &&
	    try_demangle(to, to_bytes, plain, rust_demangle_callback, DMGL_RUST)) {
		return;
	}
	if (str_starts(plain, "_Z") &&
	    try_demangle(to, to_bytes, plain, cplus_demangle_v3_callback, DMGL_PARAMS | DMGL_ANSI)) {
		return;
	}
	copy(to, to_bytes, plain, length);
}

void demangle(char *to, size_t to_bytes, const char *name)
{
	bool is_plt = name[0] != '@' && str_ends(name, PLT) && to_bytes > sizeof(PLT);

	/* The entry that leads to a function is not the function. */
	demangle_function(to, is_plt ? to_bytes - strlen(PLT) : to_bytes, name);
	if (is_plt) {
		strcat(to, PLT);
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * A system call as text: `openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3`. Everything that is read of the target is
 * hostile: lengths are bounded, texts are escaped, a pointer that cannot be read is shown as its number.
 */
#ifndef STRACE_DECODE_H
#define STRACE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest text of one call. */
#define DECODE_ROOM 512

/** One call. */
struct decode_call {
	uint32_t abi; /* enum abi: 0 of this machine, 1 of 32-bit code, 2 x32 */
	int32_t nr;
	uint64_t args[6];
	int64_t result;   /* of the kernel: -4095 to -1 are errors */
	int has_returned; /* 0: result is not known (yet) */
};

/** Where the decoder looks behind pointers and descriptors; members may be NULL: then it shows numbers. */
struct decode_source {
	void *ctx;
	/** Read memory of the target. Returns the bytes read, which may be fewer; 0 for none. Never more than asked for. */
	size_t (*memory)(void *ctx, uint64_t address, void *to, size_t bytes);
	/** The name of a descriptor ("/etc/hosts", "TCP 127.0.0.1:80"), or NULL. Valid until the next call. */
	const char *(*descriptor)(void *ctx, int fd);
	size_t string_bytes; /* of buffers that are read or written: so much is shown; 0: their addresses only */
};

/** Only what stands between the parentheses. Likewise. */
const char *decode_args(const struct decode_call *call, const struct decode_source *source,
			char to[DECODE_ROOM]);

/** Write the call as text, terminated, at most DECODE_ROOM bytes. Returns `to`. */
const char *decode_call(const struct decode_call *call, const struct decode_source *source,
			char to[DECODE_ROOM]);

/**
 * Which argument of a call is the descriptor that it works on, "read" gives 0; -1 when it works on none.
 *
 * Thread:  [any]
 */
int decode_fd_argument(const char *name);

/** Whether what a call returns is a descriptor, which was another before. */
bool decode_makes_descriptor(const char *name);

/** What a call does with its descriptor: 'r' reads bytes, 'w' writes bytes, 's' syncs, 'o' other; its result is bytes for r, w. */
char decode_io_kind(const char *name);

#endif

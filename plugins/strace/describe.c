/* SPDX-License-Identifier: MIT */
/* A slow call in words: see describe.h. What a pointer points to comes from the call's copy, or of a thread that stands still. */
#include "describe.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "decode.h"
#include "fds.h"
#include "names.h"

/* So much of what is read and written is shown. */
#define STRING_BYTES 32

struct view {
	const struct tracer *tracer;
	const struct slow_call *call;
};

static size_t read_memory(void *ctx, uint64_t address, void *to, size_t bytes)
{
	const struct view *view = ctx;
	const struct slow_call *call = view->call;
	struct iovec local = { to, bytes };
	struct iovec remote = { (void *)(uintptr_t)address, bytes }; /* an address of the target */
	ssize_t got;

	if (call->text && call->text_arg < 6 && address == call->args[call->text_arg]) {
		bytes = bytes < call->text_bytes ? bytes : call->text_bytes;
		memcpy(to, call->text, bytes);
		return bytes;
	}
	if (!call->is_stopped) { /* it runs on: what is there now may be another's */
		return 0;
	}
	/* A read that crosses into a page that is not there gives nothing: then up to the page's end. */
	got = process_vm_readv(call->tid, &local, 1, &remote, 1, 0);
	if (got < 0 && (address & 4095) + bytes > 4096) {
		local.iov_len = remote.iov_len = 4096 - (address & 4095);
		got = process_vm_readv(call->tid, &local, 1, &remote, 1, 0);
	}
	return got > 0 ? (size_t)got : 0;
}

static const char *name_descriptor(void *ctx, int fd)
{
	const struct view *view = ctx;

	if (view->call->fd_text && fd == (int32_t)view->call->args[0]) {
		return view->call->fd_text;
	}
	return view->call->is_late ? fds_known(view->tracer->fds, view->call->pid, fd)
				   : fds_name(view->tracer->fds, view->call->pid, fd);
}

void describe_args(const struct tracer *tracer, const struct slow_call *call, char *to, size_t to_bytes)
{
	struct view view = { tracer, call };
	struct decode_source source = { &view, read_memory, name_descriptor, STRING_BYTES };
	struct decode_call decoded = {
		.abi = call->abi, .nr = call->nr, .result = call->result, .has_returned = 1
	};
	char text[DECODE_ROOM];

	memcpy(decoded.args, call->args, sizeof(decoded.args));
	snprintf(to, to_bytes, "%s", decode_args(&decoded, &source, text));
}

void describe_target(const struct tracer *tracer, const struct slow_call *call, char *to, size_t to_bytes)
{
	char name[NAME_ROOM];
	const char *text = call->fd_text;
	int argument;

	if (!text) {
		argument = decode_fd_argument(syscall_name(call->abi, call->nr, name, sizeof(name)));
		text = argument < 0    ? NULL
		       : call->is_late ? fds_known(tracer->fds, call->pid, (int32_t)call->args[argument])
				       : fds_name(tracer->fds, call->pid, (int32_t)call->args[argument]);
	}
	snprintf(to, to_bytes, "%s", text ? text : "");
}

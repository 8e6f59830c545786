/* SPDX-License-Identifier: MIT */
/* Requests for files of the target: checked, then handed to the opener. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target/related.h"
#include "target/serve_inside.h"
#include "target/wire.h"

#define REQUESTS_A_TURN 64

/* A list of symbols is asked for by pid alone: only for processes of the target, also ended ones that it still remembers. */
static bool is_known(const struct server *server, const struct related *related)
{
	return related_is_valid(related) &&
	       (related->kind != PFC_TARGET_PERF_MAP || state_proc(server->state, related->pid) != NULL);
}

static void answer(struct server *server, struct stream *stream, const struct wire_request *request,
		   size_t bytes)
{
	size_t path_room = bytes - offsetof(struct wire_request, path);
	struct wire_answer reply = { .id = request->id, .status = PFC_EINVAL };
	struct proc_map map = {
		.inode = request->inode,
		.dev_major = request->dev_major,
		.dev_minor = request->dev_minor,
		.path = request->path,
	};
	struct related related = {
		.kind = request->kind,
		.pid = request->pid,
		.path = request->path,
		.name = request->name,
	};
	bool is_whole = memchr(request->path, '\0', path_room) != NULL &&
			memchr(request->name, '\0', sizeof(request->name)) != NULL;
	int fd;

	if (!stream->may_open_files) {
		reply.status = PFC_EPERM;
	} else if (is_whole && (request->kind == 0 || is_known(server, &related))) {
		fd = fcntl(stream->files_fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0) {
			opener_request(server->opener, fd, request->id, &map,
				       request->kind != 0 ? &related : NULL);
			return;
		}
		reply.status = PFC_EIO;
	}
	send(stream->files_fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void serve_files(struct server *server, struct stream *stream)
{
	struct wire_request request;

	for (unsigned i = 0; i < REQUESTS_A_TURN; i++) {
		ssize_t bytes = recv(stream->files_fd, &request, sizeof(request), MSG_DONTWAIT);

		if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		}
		if (bytes <= (ssize_t)offsetof(struct wire_request, path)) {
			close(stream->files_fd);
			stream->files_fd = -1;
			return;
		}
		answer(server, stream, &request, (size_t)bytes);
	}
}

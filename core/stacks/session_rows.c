/* SPDX-License-Identifier: MIT */
/* The rows of an artifact in the making: buffered, and written in an order that lets a reader stop at any commit. */
#include "stacks/session.h"

#include <string.h>

#include "base/clock.h"

/* The first error of the writer stays. */
int session_remember(struct pfc_stacks_session *session, int status)
{
	if (session->status == 0) {
		session->status = status;
	}
	return session->status;
}

static int write_threads(struct pfc_stacks_session *session)
{
	const void *columns[] = { session->threads.time_ns, session->threads.pid, session->threads.tid,
				  session->threads.name };
	uint32_t count = session->threads.count;

	session->threads.count = 0;
	return count > 0
		       ? session->writer->append(session->writer->ctx, session->threads_table, count, columns)
		       : 0;
}

static int write_samples(struct pfc_stacks_session *session)
{
	const void *columns[] = { session->samples.time_ns, session->samples.pid,    session->samples.tid,
				  session->samples.cpu,     session->samples.weight, session->samples.stack };
	uint32_t count = session->samples.count;
	int status = 0;

	session->samples.count = 0;
	if (count > 0) {
		status =
			session->writer->append(session->writer->ctx, session->samples_table, count, columns);
	}
	if (status != 0) {
		session->samples.count = count;
	}
	return status;
}

/* Everything buffered, what is referred to first. */
int session_write_rows(struct pfc_stacks_session *session)
{
	int status = session->status;

	if (status == 0) {
		status = intern_write(&session->intern, session->writer, &session->tables);
	}
	if (status == 0) {
		status = write_threads(session);
	}
	if (status == 0) {
		status = write_samples(session); /* what cannot be written the writer counts itself */
	} else if (session->samples.count > 0) {
		session->host->loss(session->host->ctx, session->port, "writer_failed",
				    session->samples.count);
	}
	session->samples.count = 0;
	return session_remember(session, status);
}

int session_commit(struct pfc_stacks_session *session)
{
	int status = session_write_rows(session);

	if (status == 0) {
		status = session->writer->commit(session->writer->ctx);
	}
	session->commit_ns = clock_now();
	return session_remember(session, status);
}

/* A thread's name goes out when a sample needs it, or before it is replaced. */
int session_write_name(void *ctx, struct space_thread *thread)
{
	struct pfc_stacks_session *session = ctx;
	uint32_t at;
	uint32_t name;

	thread->is_new = false;
	if (intern_string(&session->intern, thread->name, strlen(thread->name), &name) != 0) {
		return 0;
	}
	at = session->threads.count++;
	session->threads.time_ns[at] = thread->from_ns;
	session->threads.pid[at] = thread->pid;
	session->threads.tid[at] = thread->tid;
	session->threads.name[at] = name;
	return session->threads.count == SESSION_ROWS ? session_write_rows(session) : 0;
}

int session_write_frames(struct pfc_stacks_session *session, const struct frames *frames)
{
	const void *columns[] = { frames->location, frames->inline_depth, frames->function,
				  frames->file,     frames->line,         frames->start };
	int status = session_write_rows(session);

	if (status == 0 && frames->count > 0) {
		status = session->writer->append(session->writer->ctx, session->frames_table, frames->count,
						 columns);
	}
	return session_remember(session, status);
}

/* SPDX-License-Identifier: MIT */
/* A session while it lives: samples come, wait until the target's events have caught up, are resolved and kept; and its end. */
#include "stacks/session.h"

#include <poll.h>
#include <string.h>

#include <profcore/status.h>

#include "base/clock.h"

#define CACHE_SLOTS     16384U
#define COMMIT_EVERY_NS 1000000000ULL
#define FORGET_AFTER_NS 2000000000ULL /* late samples of a process that ended still find it */
#define SYNC_WAIT_NS    250000000ULL  /* at the end, for the target's events to catch up */
#define SYMBOLIZE_NS    15000000000ULL
#define EVENTS_A_DRAIN  200000U /* a target that forks without end must not hold the sampling loop */

static void take_event(struct pfc_stacks_session *session, const struct pfc_target_event *event)
{
	if (event->kind == PFC_TARGET_SYNC) {
		session->sync_ns = event->time_ns > session->sync_ns ? event->time_ns : session->sync_ns;
	} else if (event->kind == PFC_TARGET_LOST) {
		session->counts.target_lost += event->length;
	} else if (!session->is_finished || session->pending.count > 0) {
		/* A failure is the writer's, and remembered. */
		spaces_event(&session->spaces, event);
	}
}

void session_drain(struct pfc_stacks_session *session)
{
	struct session_stream *stream = session->stream;
	struct pfc_target_event event;
	uint32_t taken = 0;
	int status = 0;

	if (stream->target == NULL) {
		session->sync_ns = UINT64_MAX;
		return;
	}
	stream->is_begun = true;
	while (taken++ < EVENTS_A_DRAIN) {
		memset(&event, 0, sizeof(event));
		event.struct_size = sizeof(event);
		status = stream->target->next(stream->target->ctx, &event);
		if (status != 0) {
			break;
		}
		for (struct pfc_stacks_session *each = stream->first; each != NULL; each = each->next) {
			take_event(each, &event);
		}
	}
	if (status != 0 && status != PFC_EAGAIN) {
		session->sync_ns = UINT64_MAX; /* nothing more will come */
	}
}

static int keep_sample(struct pfc_stacks_session *session, const struct pending *sample, uint32_t stack)
{
	struct space_thread *thread = spaces_thread(&session->spaces, sample->tid);
	uint32_t at = session->samples.count++;

	if (session->kept_first_ns == 0 || sample->time_ns < session->kept_first_ns) {
		session->kept_first_ns = sample->time_ns;
	}
	if (sample->time_ns > session->kept_last_ns) {
		session->kept_last_ns = sample->time_ns;
	}
	session->samples.time_ns[at] = sample->time_ns;
	session->samples.pid[at] = sample->pid;
	session->samples.tid[at] = sample->tid;
	session->samples.cpu[at] = sample->cpu;
	session->samples.weight[at] = sample->weight;
	session->samples.stack[at] = stack;
	session->intern.stack_samples[stack]++;
	session->counts.kept++;
	session->counts.with_kernel += sample->kernel_count > 0;
	session->counts.user_truncated += (sample->flags & PFC_STACK_USER_TRUNCATED) != 0;
	session->counts.kernel_truncated += (sample->flags & PFC_STACK_KERNEL_TRUNCATED) != 0;
	if ((sample->flags & PENDING_WALKED) != 0) {
		session->counts.walked++;
		session->counts.ends[sample->end]++;
		session->intern.stack_end[stack] = (uint8_t)(sample->end + 1);
	}
	if (thread != NULL && thread->is_new) {
		session_write_name(session, thread);
	}
	return session->samples.count == SESSION_ROWS ? session_write_rows(session) : 0;
}

/* Resolve, in order of time, what is before a time; at most `most` samples. */
static int resolve_until(struct pfc_stacks_session *session, uint64_t limit_ns, uint32_t most)
{
	uint32_t done = 0;

	pending_sort(&session->pending);
	for (; done < session->pending.count && done < most; done++) {
		struct pending *sample = &session->pending.rows[done];
		uint32_t stack;
		int status;

		if (sample->time_ns >= limit_ns) {
			break;
		}
		status = session->status == 0 ? session_resolve(session, sample, &stack) : 0;
		if (status == PFC_EAGAIN) {
			break; /* a file is being opened */
		}
		if (session->status != 0) {
			session->host->loss(session->host->ctx, session->port, "writer_failed", 1);
		} else if (status != 0) {
			session->counts.lost_samples++;
			session->host->loss(session->host->ctx, session->port, "stack_table_full", 1);
		} else {
			keep_sample(session, sample, stack);
		}
	}
	pending_drop(&session->pending, done);
	return session->status;
}

static int resolve_due(struct pfc_stacks_session *session, uint64_t complete_ns)
{
	int status;

	session_drain(session);
	session->modules.is_hurried = !session->is_finished;
	status = resolve_until(session, complete_ns < session->sync_ns ? complete_ns : session->sync_ns,
			       UINT32_MAX);
	session->modules.is_hurried = false;
	return status;
}

/* The queue is full: the events are late, or the caller never ticks. Names of the newest mappings may be missed. */
static int make_room(struct pfc_stacks_session *session)
{
	uint32_t before;

	resolve_due(session, UINT64_MAX);
	before = session->pending.count;
	if (before > 0 && session->status == 0) {
		resolve_until(session, UINT64_MAX, before / 2 + 1);
		session->counts.resolved_early += before - session->pending.count;
	}
	return session->status;
}

static int take_sample(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample)
{
	if ((sample->flags & PFC_STACK_WALKED) != 0) {
		return session_add_walked(session, sample);
	}
	return session_has_registers(sample) ? session_add_walk(session, sample)
					     : pending_add(&session->pending, sample);
}

int session_add(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample)
{
	int status;

	if (sample->struct_size < offsetof(struct pfc_stack_sample, regs_mask)) {
		return PFC_EINVAL;
	}
	status = session->status;
	if (status == 0) {
		status = take_sample(session, sample);
	}
	if (status == PFC_ENOSPC && session->status == 0) {
		status = make_room(session);
		if (status == 0) {
			status = take_sample(session, sample);
		}
	}
	if (status != 0) {
		session->host->loss(session->host->ctx, session->port,
				    session->status != 0 ? "writer_failed" : "no_memory", 1);
		return status;
	}
	session->newest_ns = sample->time_ns > session->newest_ns ? sample->time_ns : session->newest_ns;
	return 0;
}

int session_tick(struct pfc_stacks_session *session, uint64_t complete_ns)
{
	uint64_t done_ns;

	resolve_due(session, complete_ns);
	if (session->status != 0 || clock_now() < session->commit_ns + COMMIT_EVERY_NS) {
		return session->status;
	}
	done_ns = complete_ns < session->sync_ns ? complete_ns : session->sync_ns;
	if (done_ns > FORGET_AFTER_NS && done_ns != UINT64_MAX) {
		spaces_forget(&session->spaces, done_ns - FORGET_AFTER_NS);
	}
	return session_commit(session);
}

/* Events that the last samples need may still be on their way. */
static void await_events(struct pfc_stacks_session *session)
{
	uint64_t deadline_ns = clock_now() + SYNC_WAIT_NS;

	session_drain(session);
	while (session->sync_ns <= session->newest_ns && clock_now() < deadline_ns) {
		struct pollfd poll_fd = { .fd = session->target->fd(session->target->ctx), .events = POLLIN };

		poll(&poll_fd, 1, 10);
		session_drain(session);
	}
}

/* Whether nothing that was kept can lie within the window: what is before T0 and after T1 is of no use to anybody. */
static bool is_all_outside(const struct pfc_stacks_session *session)
{
	struct pfc_window window = { .struct_size = sizeof(window) };

	return session->host->window(session->host->ctx, &window) == 0 && window.t1_ns > window.t0_ns &&
	       (session->kept_last_ns < window.t0_ns || session->kept_first_ns > window.t1_ns);
}

int session_finish(struct pfc_stacks_session *session)
{
	struct symbolize_request request = { .intern = &session->intern,
					     .modules = &session->modules,
					     .kernel = session->kernel,
					     .target = session->target,
					     .host = session->host,
					     .cache_folder = session->stream->cache_folder };
	struct symbolize_notes notes = { 0 };
	struct frames *frames = &session->frames;
	uint64_t start_ns;
	int status;

	if (session->is_finished) {
		return session->status;
	}
	session->is_finished = true;
	await_events(session);
	status = resolve_until(session, UINT64_MAX, UINT32_MAX);
	if (status == 0) {
		status = session_commit(session);
	}
	if (status != 0) {
		return status;
	}
	start_ns = clock_now();
	request.deadline_ns = start_ns + SYMBOLIZE_NS;
	status = symbolize(&request, frames, &notes);
	if (status == 0) {
		status = session_write_frames(session, frames);
	}
	if (status == 0) {
		status = facts_state(session, frames, &notes, (double)(clock_now() - start_ns) / 1e6);
	}
	if (status == 0) {
		status = started_as_state(session);
	}
	if (status == 0) {
		status = session_commit(session);
	}
	session_remember(session, status);
	return status == 0 && (session->counts.kept == 0 || is_all_outside(session)) ? PFC_ENODATA : status;
}

uint64_t session_sample_count(const struct pfc_stacks_session *session)
{
	return session->counts.kept + session->pending.count;
}

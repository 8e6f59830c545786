/* SPDX-License-Identifier: MIT */
#include "stacks/session.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <profcore/status.h>

#define CACHE_SLOTS     16384U
#define COMMIT_EVERY_NS 1000000000ULL
#define FORGET_AFTER_NS 2000000000ULL /* late samples of a process that ended still find it */
#define SYNC_WAIT_NS    250000000ULL  /* at the end, for the target's events to catch up */
#define SYMBOLIZE_NS    15000000000ULL
#define EVENTS_A_DRAIN  200000U /* a target that forks without end must not hold the sampling loop */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* The first error of the writer stays. */
static int remember(struct pfc_stacks_session *session, int status)
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
static int write_rows(struct pfc_stacks_session *session)
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
	return remember(session, status);
}

static int commit(struct pfc_stacks_session *session)
{
	int status = write_rows(session);

	if (status == 0) {
		status = session->writer->commit(session->writer->ctx);
	}
	session->commit_ns = now_ns();
	return remember(session, status);
}

/* A thread's name goes out when a sample needs it, or before it is replaced. */
static int write_name(void *ctx, struct space_thread *thread)
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
	return session->threads.count == SESSION_ROWS ? write_rows(session) : 0;
}

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

/* The location of an address that lies in a mapping, or in none (map NULL). */
static int locate_mapped(struct pfc_stacks_session *session, const struct space_map *map, uint64_t address,
			 uint32_t *ret)
{
	struct module_mapping mapping;
	const struct module *module;
	int status;

	session->counts.unmapped_frames += map == NULL;
	if (map == NULL) {
		return intern_location(&session->intern, 0, address, ret);
	}
	mapping = (struct module_mapping){ map->pid, map->start, map->end, map->offset };
	status = modules_use(&session->modules, map->module, &mapping, session->target, &session->intern);
	if (status != 0) {
		return status;
	}
	module = &session->modules.rows[map->module];
	return intern_location(&session->intern, module->row, module_address(module, &mapping, address), ret);
}

/* A caller is looked up, and kept, one byte before its return address: inside the call, which may end its function. */
static int locate_user(struct pfc_stacks_session *session, struct space *space, uint64_t time_ns, uint64_t ip,
		       bool is_caller, uint32_t *ret)
{
	uint64_t address = ip - is_caller;
	struct session_cached *cached;
	const struct space_map *map;
	int status;

	if (space == NULL) {
		return locate_mapped(session, NULL, address, ret);
	}
	if (!space_advance(&session->spaces, space, time_ns)) {
		return locate_mapped(session, space_find(&session->spaces, space, time_ns, address), address,
				     ret);
	}
	cached = &session->cache[hash_mix(ip ^ space->stamp << 40) & (CACHE_SLOTS - 1)];
	if (cached->stamp == space->stamp && cached->ip == ip && cached->is_caller == is_caller) {
		*ret = cached->location;
		return 0;
	}
	map = space_find(&session->spaces, space, time_ns, address);
	status = locate_mapped(session, map, address, ret);
	if (status == 0 && map != NULL) {
		*cached = (struct session_cached){ space->stamp, ip, *ret, is_caller };
	}
	return status;
}

static int locate_kernel(struct pfc_stacks_session *session, uint64_t address, uint32_t *ret)
{
	uint32_t module;
	int status =
		kernel_locate(session->kernel, &session->kernel_rows, &session->intern, address, &module);

	return status == 0 ? intern_location(&session->intern, module, address, ret) : status;
}

/* A frame-pointer walk through code that keeps none ends in values that are no code: frames in no mapping are cut there. */
static uint32_t cut_junk(struct pfc_stacks_session *session, struct space *space,
			 const struct pending *sample, const uint64_t *ips)
{
	uint32_t count = sample->user_count;

	if (space == NULL || space->map_count == 0 || (sample->flags & PENDING_WALKED) != 0) {
		return count;
	}
	while (count > 1 &&
	       space_find(&session->spaces, space, sample->time_ns, ips[count - 1] - 1) == NULL) {
		count--;
	}
	session->counts.junk_frames += sample->user_count - count;
	return count;
}

/* The user addresses of a sample, innermost first; *ret_count of them. */
static const uint64_t *user_addresses(struct pfc_stacks_session *session, struct space *space,
				      struct pending *sample, uint32_t *ret_count)
{
	const uint64_t *ips = session->pending.ips + sample->ips_at + sample->kernel_count;

	if (sample->held != NULL) {
		*ret_count = session_walk_held(session, space, sample);
		return session->walked_ips;
	}
	if ((sample->flags & PENDING_WALKED) != 0 && (space != NULL ? space->id : 0) != sample->space_id) {
		/* Walked by the mappings of a program that it no longer ran. */
		session->counts.walked_early++;
		sample->end = UNWIND_END_BROKEN;
		*ret_count = sample->user_count > 0 ? 1 : 0;
		return ips;
	}
	*ret_count = cut_junk(session, space, sample, ips);
	return ips;
}

/* Outermost user frame first, innermost kernel frame last. */
static int resolve_stack(struct pfc_stacks_session *session, struct pending *sample, uint32_t *ret)
{
	const uint64_t *kernel_ips = session->pending.ips + sample->ips_at;
	struct space *space = spaces_at(&session->spaces, sample->pid, sample->time_ns);
	uint32_t user_count;
	const uint64_t *user_ips = user_addresses(session, space, sample, &user_count);
	bool is_walked = (sample->flags & PENDING_WALKED) != 0;
	uint32_t stack = 0;
	uint32_t location;
	int status = 0;

	for (uint32_t i = user_count; i > 0 && status == 0; i--) {
		bool is_caller = !is_walked && (i > 1 || (sample->flags & PFC_STACK_CALLERS) != 0);

		status = locate_user(session, space, sample->time_ns, user_ips[i - 1], is_caller, &location);
		if (status == 0) {
			status = intern_stack(&session->intern, stack, location, &stack);
		}
		if (status == 0 && i == user_count && is_walked && sample->end == UNWIND_END_ROOT) {
			session->intern.location_is_root[location] = 1;
		}
	}
	for (uint32_t i = sample->kernel_count; i > 0 && status == 0; i--) {
		status = locate_kernel(session, kernel_ips[i - 1] - (i > 1), &location);
		if (status == 0) {
			status = intern_stack(&session->intern, stack, location, &stack);
		}
	}
	session->counts.user_frames += user_count;
	if (status == 0) {
		*ret = stack;
	}
	return status;
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
		write_name(session, thread);
	}
	return session->samples.count == SESSION_ROWS ? write_rows(session) : 0;
}

int session_intern(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample, uint32_t *ret)
{
	int status =
		(sample->flags & PFC_STACK_WALKED) != 0 ? session_add_walked(session, sample) : PFC_EINVAL;
	struct pending *last;

	if (status != 0) {
		return status;
	}
	last = &session->pending.rows[session->pending.count - 1];
	status = resolve_stack(session, last, ret);
	session->pending.ip_count = last->ips_at;
	session->pending.count--;
	return status;
}

/* Resolve, in order of time, what is before a time; at most `most` samples. */
static int resolve_until(struct pfc_stacks_session *session, uint64_t limit_ns, uint32_t most)
{
	uint32_t done = 0;

	pending_sort(&session->pending);
	for (; done < session->pending.count && done < most; done++) {
		struct pending *sample = &session->pending.rows[done];
		uint32_t stack;

		if (sample->time_ns >= limit_ns) {
			break;
		}
		if (session->status != 0) {
			session->host->loss(session->host->ctx, session->port, "writer_failed", 1);
		} else if (resolve_stack(session, sample, &stack) != 0) {
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
	session_drain(session);
	return resolve_until(session, complete_ns < session->sync_ns ? complete_ns : session->sync_ns,
			     UINT32_MAX);
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
	if (session->status != 0 || now_ns() < session->commit_ns + COMMIT_EVERY_NS) {
		return session->status;
	}
	done_ns = complete_ns < session->sync_ns ? complete_ns : session->sync_ns;
	if (done_ns > FORGET_AFTER_NS && done_ns != UINT64_MAX) {
		spaces_forget(&session->spaces, done_ns - FORGET_AFTER_NS);
	}
	return commit(session);
}

/* Events that the last samples need may still be on their way. */
static void await_events(struct pfc_stacks_session *session)
{
	uint64_t deadline_ns = now_ns() + SYNC_WAIT_NS;

	session_drain(session);
	while (session->sync_ns <= session->newest_ns && now_ns() < deadline_ns) {
		struct pollfd poll_fd = { .fd = session->target->fd(session->target->ctx), .events = POLLIN };

		poll(&poll_fd, 1, 10);
		session_drain(session);
	}
}

static int write_frames(struct pfc_stacks_session *session, const struct frames *frames)
{
	const void *columns[] = { frames->location, frames->inline_depth, frames->function, frames->file,
				  frames->line };
	int status = write_rows(session);

	if (status == 0 && frames->count > 0) {
		status = session->writer->append(session->writer->ctx, session->frames_table, frames->count,
						 columns);
	}
	return remember(session, status);
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
					     .host = session->host };
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
		status = commit(session);
	}
	if (status != 0) {
		return status;
	}
	start_ns = now_ns();
	request.deadline_ns = start_ns + SYMBOLIZE_NS;
	status = symbolize(&request, frames, &notes);
	if (status == 0) {
		status = write_frames(session, frames);
	}
	if (status == 0) {
		status = facts_state(session, frames, &notes, (double)(now_ns() - start_ns) / 1e6);
	}
	if (status == 0) {
		status = commit(session);
	}
	remember(session, status);
	return status == 0 && (session->counts.kept == 0 || is_all_outside(session)) ? PFC_ENODATA : status;
}

uint64_t session_sample_count(const struct pfc_stacks_session *session)
{
	return session->counts.kept + session->pending.count;
}

#define COLUMN(name_, type_, unit_)                                                                          \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_column), .type = (type_), .name = (name_), .unit = (unit_)  \
	}

static int declare(const struct pfc_writer *writer, const char *name, const struct pfc_column *columns,
		   uint32_t count, int32_t time_column, uint32_t *ret)
{
	struct pfc_table table = { .struct_size = sizeof(table),
				   .column_count = count,
				   .name = name,
				   .columns = columns,
				   .column_stride = sizeof(*columns),
				   .time_column = time_column };
	int32_t number = writer->declare(writer->ctx, &table);

	if (number >= 0) {
		*ret = (uint32_t)number;
	}
	return number < 0 ? number : 0;
}

/* The schema of profcore.stacks/1, in commit order: docs/artifacts.md. */
static int declare_tables(struct pfc_stacks_session *session)
{
	const struct pfc_column strings[] = { COLUMN("text", PFC_UTF8, "") };
	const struct pfc_column modules[] = { COLUMN("path", PFC_U32, "id:strings"),
					      COLUMN("build_id", PFC_U32, "id:strings"),
					      COLUMN("container_path", PFC_U32, "id:strings"),
					      COLUMN("kind", PFC_U8, "enum") };
	const struct pfc_column locations[] = { COLUMN("module", PFC_U32, "id:modules"),
						COLUMN("address", PFC_U64, "address") };
	const struct pfc_column stacks[] = { COLUMN("parent", PFC_U32, "id:stacks"),
					     COLUMN("location", PFC_U32, "id:locations") };
	const struct pfc_column threads[] = { COLUMN("time", PFC_U64, "ns"), COLUMN("pid", PFC_I32, "id"),
					      COLUMN("tid", PFC_I32, "id"),
					      COLUMN("name", PFC_U32, "id:strings") };
	const struct pfc_column samples[] = { COLUMN("time", PFC_U64, "ns"),
					      COLUMN("pid", PFC_I32, "id"),
					      COLUMN("tid", PFC_I32, "id"),
					      COLUMN("cpu", PFC_I32, "id"),
					      COLUMN("weight", PFC_U64, session->weight_unit),
					      COLUMN("stack", PFC_U32, "id:stacks") };
	const struct pfc_column frames[] = { COLUMN("location", PFC_U32, "id:locations"),
					     COLUMN("inline_depth", PFC_U32, "count"),
					     COLUMN("function", PFC_U32, "id:strings"),
					     COLUMN("file", PFC_U32, "id:strings"),
					     COLUMN("line", PFC_U32, "line") };
	const struct pfc_writer *writer = session->writer;
	int status = declare(writer, "strings", strings, 1, -1, &session->tables.strings);

	status = status == 0 ? declare(writer, "modules", modules, 4, -1, &session->tables.modules) : status;
	status = status == 0 ? declare(writer, "locations", locations, 2, -1, &session->tables.locations)
			     : status;
	status = status == 0 ? declare(writer, "stacks", stacks, 2, -1, &session->tables.stacks) : status;
	status = status == 0 ? declare(writer, "threads", threads, 4, 0, &session->threads_table) : status;
	status = status == 0 ? declare(writer, "samples", samples, 6, 0, &session->samples_table) : status;
	return status == 0 ? declare(writer, "frames", frames, 5, -1, &session->frames_table) : status;
}

static char *copy_text(const char *text)
{
	return strdup(text != NULL ? text : "");
}

static int prepare(struct pfc_stacks_session *session, const struct pfc_stacks_config *config)
{
	int status;

	session->port = copy_text(config->port);
	session->event = copy_text(config->event);
	session->weight_unit = copy_text(config->weight_unit);
	session->cache = calloc(CACHE_SLOTS, sizeof(*session->cache));
	if (session->port == NULL || session->event == NULL || session->weight_unit == NULL ||
	    session->cache == NULL || intern_init(&session->intern) != 0 ||
	    spaces_init(&session->spaces, &session->modules, write_name, session) != 0) {
		return PFC_ENOMEM;
	}
	status = session->host->output(session->host->ctx, session->port, &session->writer);
	return status == 0 ? declare_tables(session) : status;
}

int session_open(const struct pfc_host *host, struct session_stream *stream, const struct kernel *kernel,
		 const struct pfc_stacks_config *config, struct pfc_stacks_session **ret)
{
	struct pfc_stacks_session *session;
	int status;

	if (config == NULL || config->struct_size < offsetof(struct pfc_stacks_config, reserved) ||
	    config->port == NULL || (stream->first != NULL && stream->is_begun)) {
		return PFC_EINVAL;
	}
	session = calloc(1, sizeof(*session));
	if (session == NULL) {
		return PFC_ENOMEM;
	}
	session->host = host;
	session->target = stream->target;
	session->kernel = kernel;
	session->commit_ns = now_ns();
	status = prepare(session, config);
	if (status != 0) {
		session_close(session);
		return status;
	}
	session->stream = stream;
	session->next = stream->first;
	stream->first = session;
	*ret = session;
	return 0;
}

static void leave_stream(struct pfc_stacks_session *session)
{
	struct pfc_stacks_session **at = session->stream != NULL ? &session->stream->first : NULL;

	while (at != NULL && *at != NULL && *at != session) {
		at = &(*at)->next;
	}
	if (at != NULL && *at == session) {
		*at = session->next;
	}
}

void session_close(struct pfc_stacks_session *session)
{
	if (session == NULL) {
		return;
	}
	leave_stream(session);
	spaces_finish(&session->spaces);
	modules_finish(&session->modules);
	kernel_rows_finish(&session->kernel_rows);
	pending_finish(&session->pending);
	intern_finish(&session->intern);
	frames_finish(&session->frames);
	free(session->frames_end);
	free(session->cache);
	free(session->rules);
	free(session->port);
	free(session->event);
	free(session->weight_unit);
	free(session);
}

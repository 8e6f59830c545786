/* SPDX-License-Identifier: MIT */
/* Making and ending a session: its tables, its place in the stage's stream of events. */
#include "stacks/session.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "base/clock.h"

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
					     COLUMN("line", PFC_U32, "line"),
					     COLUMN("start", PFC_U64, "address") };
	const struct pfc_writer *writer = session->writer;
	int status = declare(writer, "strings", strings, 1, -1, &session->tables.strings);

	status = status == 0 ? declare(writer, "modules", modules, 4, -1, &session->tables.modules) : status;
	status = status == 0 ? declare(writer, "locations", locations, 2, -1, &session->tables.locations)
			     : status;
	status = status == 0 ? declare(writer, "stacks", stacks, 2, -1, &session->tables.stacks) : status;
	status = status == 0 ? declare(writer, "threads", threads, 4, 0, &session->threads_table) : status;
	status = status == 0 ? declare(writer, "samples", samples, 6, 0, &session->samples_table) : status;
	return status == 0 ? declare(writer, "frames", frames, 6, -1, &session->frames_table) : status;
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
	session->cache = calloc(SESSION_CACHE, sizeof(*session->cache));
	if (session->port == NULL || session->event == NULL || session->weight_unit == NULL ||
	    session->cache == NULL || intern_init(&session->intern) != 0 ||
	    spaces_init(&session->spaces, &session->modules, session_write_name, session) != 0) {
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
	session->commit_ns = clock_now();
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

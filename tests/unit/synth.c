/* SPDX-License-Identifier: MIT */
#include "synth.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN(name_, type_, unit_)                                                                          \
	{                                                                                                    \
		sizeof(struct pfc_column), type_, name_, unit_                                               \
	}

static int32_t declare(const struct pfc_writer *writer, const char *name, const struct pfc_column *columns,
		       uint32_t count, int32_t time_column)
{
	struct pfc_table table = { sizeof(table), count, name, columns, sizeof(*columns), time_column };
	int32_t number = writer->declare(writer->ctx, &table);

	assert(number >= 0);
	return number;
}

static void append(const struct pfc_writer *writer, int32_t table, uint64_t rows, const void *const *columns)
{
	int32_t status = writer->append(writer->ctx, (uint32_t)table, rows, columns);

	assert(status == 0);
	(void)status;
}

static void declare_stacks(struct synth *synth)
{
	static const struct pfc_column strings[] = { COLUMN("text", PFC_UTF8, "text") };
	static const struct pfc_column modules[] = { COLUMN("path", PFC_U32, "id:strings"),
						     COLUMN("build_id", PFC_U32, "id:strings"),
						     COLUMN("container_path", PFC_U32, "id:strings"),
						     COLUMN("kind", PFC_U8, "enum") };
	static const struct pfc_column locations[] = { COLUMN("module", PFC_U32, "id:modules"),
						       COLUMN("address", PFC_U64, "address") };
	static const struct pfc_column stacks[] = { COLUMN("parent", PFC_U32, "id:stacks"),
						    COLUMN("location", PFC_U32, "id:locations") };
	static const struct pfc_column threads[] = { COLUMN("time", PFC_U64, "ns"),
						     COLUMN("pid", PFC_I32, "pid"),
						     COLUMN("tid", PFC_I32, "tid"),
						     COLUMN("name", PFC_U32, "id:strings") };
	static const struct pfc_column samples[] = {
		COLUMN("time", PFC_U64, "ns"),   COLUMN("pid", PFC_I32, "pid"),
		COLUMN("tid", PFC_I32, "tid"),   COLUMN("cpu", PFC_I32, "cpu"),
		COLUMN("weight", PFC_U64, "ns"), COLUMN("stack", PFC_U32, "id:stacks")
	};
	static const struct pfc_column frames[] = { COLUMN("location", PFC_U32, "id:locations"),
						    COLUMN("inline_depth", PFC_U32, "count"),
						    COLUMN("function", PFC_U32, "id:strings"),
						    COLUMN("file", PFC_U32, "id:strings"),
						    COLUMN("line", PFC_U32, "line") };
	const struct pfc_writer *writer = synth->writer;

	synth->strings = declare(writer, "strings", strings, 1, -1);
	synth->modules = declare(writer, "modules", modules, 4, -1);
	synth->locations = declare(writer, "locations", locations, 2, -1);
	synth->stacks = declare(writer, "stacks", stacks, 2, -1);
	synth->threads = declare(writer, "threads", threads, 4, 0);
	synth->samples = declare(writer, "samples", samples, 6, 0);
	synth->frames = declare(writer, "frames", frames, 5, -1);
}

uint32_t synth_string_bytes(struct synth *synth, const char *data, uint64_t bytes)
{
	struct pfc_string string = { data, bytes };
	const void *columns[] = { &string };

	append(synth->writer, synth->strings, 1, columns);
	return synth->string_count++;
}

uint32_t synth_string(struct synth *synth, const char *text)
{
	return synth_string_bytes(synth, text, strlen(text));
}

uint32_t synth_module(struct synth *synth, const char *path, unsigned kind)
{
	uint32_t name = synth_string(synth, path), none = 0;
	uint8_t byte = (uint8_t)kind;
	const void *columns[] = { &name, &none, &none, &byte };

	append(synth->writer, synth->modules, 1, columns);
	return synth->module_count++;
}

void synth_frame(struct synth *synth, uint32_t location, uint32_t depth, uint32_t function, uint32_t file,
		 uint32_t line)
{
	if (synth->pending_count == synth->pending_room) {
		synth->pending_room = synth->pending_room ? synth->pending_room * 2 : 256;
		synth->pending = realloc(synth->pending, synth->pending_room * sizeof(*synth->pending));
		assert(synth->pending);
	}
	synth->pending[synth->pending_count++] =
		(struct synth_frame){ location, depth, function, file, line };
}

void synth_inlined(struct synth *synth, uint32_t location, uint32_t depth, const char *function,
		   const char *file, uint32_t line)
{
	synth_frame(synth, location, depth, synth_string(synth, function),
		    file ? synth_string(synth, file) : 0, line);
}

uint32_t synth_location(struct synth *synth, uint32_t module, uint64_t address, const char *function,
			const char *file, uint32_t line)
{
	const void *columns[] = { &module, &address };

	append(synth->writer, synth->locations, 1, columns);
	if (function) {
		synth_inlined(synth, synth->location_count, 0, function, file, line);
	}
	return synth->location_count++;
}

uint32_t synth_stack(struct synth *synth, uint32_t parent, uint32_t location)
{
	const void *columns[] = { &parent, &location };

	append(synth->writer, synth->stacks, 1, columns);
	return synth->stack_count++;
}

void synth_thread(struct synth *synth, int32_t pid, int32_t tid, const char *name)
{
	uint64_t time = 0;
	uint32_t id = synth_string(synth, name);
	const void *columns[] = { &time, &pid, &tid, &id };

	append(synth->writer, synth->threads, 1, columns);
}

void synth_samples(struct synth *synth, uint64_t time_ns, int32_t pid, int32_t tid, uint32_t stack,
		   uint64_t weight, uint32_t count)
{
	int32_t cpu = 0;
	const void *columns[] = { &time_ns, &pid, &tid, &cpu, &weight, &stack };

	for (; count > 0; count--, time_ns += 1000000) {
		append(synth->writer, synth->samples, 1, columns);
		synth->sample_count++;
	}
}

void synth_begin(struct synth *synth, const struct pfc_writer *writer)
{
	memset(synth, 0, sizeof(*synth));
	synth->writer = writer;
	declare_stacks(synth);
	synth_string(synth, "");
	{
		uint32_t none = 0;
		uint8_t kind = 0;
		const void *columns[] = { &none, &none, &none, &kind };

		append(writer, synth->modules, 1, columns);
		synth->module_count = 1;
	}
	synth_location(synth, 0, 0, NULL, NULL, 0);
	synth_stack(synth, 0, 0);
}

void synth_end(struct synth *synth, int with_frames)
{
	const struct pfc_writer *writer = synth->writer;
	uint32_t i;

	for (i = 0; with_frames && i < synth->pending_count; i++) {
		const struct synth_frame *frame = &synth->pending[i];
		const void *columns[] = { &frame->location, &frame->depth, &frame->function, &frame->file,
					  &frame->line };

		append(writer, synth->frames, 1, columns);
	}
	free(synth->pending);
	synth->pending = NULL;
	writer->fact_text(writer->ctx, "event", "cpu-clock");
	writer->fact_text(writer->ctx, "weight_unit", "ns");
	writer->fact_number(writer->ctx, "samples", (double)synth->sample_count);
	if (with_frames) {
		writer->fact_number(writer->ctx, "rooted_pct", 99.2);
		writer->fact_number(writer->ctx, "unknown_pct", 1.1);
		writer->fact_number(writer->ctx, "lost", 0);
		writer->fact_number(writer->ctx, "throttled", 0);
		writer->fact_number(writer->ctx, "frequency_hz", 1000);
	}
	writer->commit(writer->ctx);
}

/* Push one stack after the other from the root inwards. */
static uint32_t chain(struct synth *synth, uint32_t from, const uint32_t *locations, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		from = synth_stack(synth, from, locations[i]);
	}
	return from;
}

void synth_service(const struct pfc_writer *writer, uint64_t time_ns, unsigned scale, int with_frames)
{
	struct synth s;
	uint32_t app, libc, kernel, anon, base, slow, leaf[8], round;
	uint32_t sort, memcpy_, render, read_, entry;

	synth_begin(&s, writer);
	app = synth_module(&s, "/srv/forum/bin/forum", 1);
	libc = synth_module(&s, "/usr/lib/x86_64-linux-gnu/libc.so.6", 1);
	kernel = synth_module(&s, "[kernel.kallsyms]", 2);
	anon = synth_module(&s, "/opt/vendor/libcodec.so.2", 1);
	base = chain(&s, 0,
		     (uint32_t[]){ synth_location(&s, libc, 0x11c000, "clone3", NULL, 0),
				   synth_location(&s, libc, 0x8f000, "start_thread", NULL, 0),
				   synth_location(&s, app, 0x2000, "worker_main", "server.c", 88),
				   synth_location(&s, app, 0x2100, "handle_request", "server.c", 140) },
		     4);
	slow = synth_stack(&s, base, synth_location(&s, app, 0x2200, "slow_endpoint", "work.c", 20));
	leaf[0] = synth_stack(&s, slow, synth_location(&s, app, 0x2300, "hash_rounds", "work.c", 41));
	leaf[1] = synth_stack(&s, slow, synth_location(&s, app, 0x2310, "hash_rounds", "work.c", 43));
	sort = synth_location(&s, app, 0x2400, "sort_comments", "work.c", 70);
	leaf[2] = synth_stack(&s, slow, sort);
	memcpy_ = synth_location(&s, libc, 0xa0000, "__memcpy_avx_unaligned_erms", NULL, 0);
	leaf[3] = synth_stack(&s, leaf[2], memcpy_);
	render = synth_location(&s, app, 0x2500, "render_markdown", "work.c", 90);
	leaf[4] = synth_stack(&s, slow, render);
	render = synth_location(&s, app, 0x2540, "render_markdown", "work.c", 95);
	synth_inlined(&s, render, 1, "escape_html", "escape.h", 12);
	leaf[5] = synth_stack(&s, slow, render);
	read_ = synth_location(&s, libc, 0x10e000, "__read", NULL, 0);
	entry = synth_location(&s, kernel, 0xffffffff81a00000, "entry_SYSCALL_64_after_hwframe", NULL, 0);
	leaf[6] = chain(&s, base,
			(uint32_t[]){ read_, entry,
				      synth_location(&s, kernel, 0xffffffff812f0000, "ksys_read", NULL, 0) },
			3);
	leaf[7] = chain(&s, base, (uint32_t[]){ synth_location(&s, anon, 0x1234, NULL, NULL, 0) }, 1);
	synth_thread(&s, 100, 101, "worker-0");
	synth_thread(&s, 100, 102, "worker-1");
	for (round = 0; round < scale; round++, time_ns += 1000000000) {
		static const uint32_t counts[] = { 300, 250, 50, 200, 70, 50, 60, 20 };
		unsigned i;
		uint64_t at = time_ns;

		for (i = 0; i < 8; i++) {
			synth_samples(&s, at, 100, 101 + (int32_t)(i & 1), leaf[i], 1000000, counts[i]);
			at += (uint64_t)counts[i] * 1000000;
		}
	}
	synth_end(&s, with_frames);
}

void synth_requests(const struct pfc_writer *writer, uint64_t time_ns, uint32_t count)
{
	static const struct pfc_column columns[] = {
		COLUMN("start", PFC_U64, "ns"),         COLUMN("first_byte", PFC_U64, "ns"),
		COLUMN("end", PFC_U64, "ns"),           COLUMN("status", PFC_U16, "http"),
		COLUMN("error", PFC_U8, "enum"),        COLUMN("bytes", PFC_U64, "bytes"),
		COLUMN("connection", PFC_U32, "count"), COLUMN("local_port", PFC_U16, "port")
	};
	int32_t table = declare(writer, "requests", columns, 8, 0);
	uint32_t i;

	for (i = 1; i <= count; i++) {
		uint64_t start = time_ns + i * (uint64_t)1000000, end = start + i * (uint64_t)10000,
			 first = end - 1000;
		uint64_t bytes = 512;
		uint16_t status = i % 100 == 0  ? 0
				  : i % 50 == 0 ? 503
						: 200,
			 port = (uint16_t)(40000 + i % 16);
		uint8_t error = i % 100 == 0 ? 2 : 0;
		uint32_t connection = i % 16;
		const void *row[] = { &start, &first, &end, &status, &error, &bytes, &connection, &port };

		append(writer, table, 1, row);
	}
	writer->commit(writer->ctx);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

#define BIG_FUNCTIONS 2000

void synth_big(const struct pfc_writer *writer, uint64_t time_ns, uint32_t stacks)
{
	struct synth s;
	uint32_t locations[BIG_FUNCTIONS], path[64], modules[5], i, depth = 0, want;
	uint64_t state = 42;
	char name[96];

	synth_begin(&s, writer);
	modules[0] = modules[1] = synth_module(&s, "/srv/app/bin/server", 1);
	modules[2] = synth_module(&s, "/usr/lib/libstdc++.so.6", 1);
	modules[3] = synth_module(&s, "/usr/lib/libc.so.6", 1);
	modules[4] = synth_module(&s, "[kernel.kallsyms]", 2);
	for (i = 0; i < BIG_FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "app::module_%u::Handler<T%u>::step_%u", i % 37, i % 11, i);
		locations[i] = synth_location(&s, modules[i % 5], 0x1000 + i * 64, name, "step.cc", i);
		if (i % 7 == 0) {
			snprintf(name, sizeof(name), "inlined_helper_%u", i);
			synth_inlined(&s, locations[i], 1, name, "helper.h", i);
		}
	}
	path[0] = 0;
	while (s.stack_count < stacks) {
		/* Go up a little, then down along a path that favours few functions near the root. */
		depth = depth > 0 ? next_random(&state) % depth : 0;
		want = 20 + next_random(&state) % 40;
		for (; depth < want && s.stack_count < stacks; depth++) {
			i = depth < 8 ? next_random(&state) % (2 + depth) + depth * 10
				      : next_random(&state) % BIG_FUNCTIONS;
			path[depth + 1] = synth_stack(&s, path[depth], locations[i]);
			synth_samples(&s, time_ns, 7, 8, path[depth + 1], 1003009,
				      1 + next_random(&state) % 3);
		}
	}
	synth_thread(&s, 7, 8, "server");
	synth_end(&s, 1);
}

void synth_hostile(const struct pfc_writer *writer, uint64_t time_ns)
{
	static const char *const parts[] = { "</script>",
					     "<script>alert(1)</script>",
					     "]]>",
					     "<![CDATA[",
					     "\"",
					     "'",
					     "&",
					     "\\",
					     "\\u003c",
					     "`${alert(1)}`",
					     "-->",
					     "<!--",
					     "\n",
					     "\r",
					     "\t",
					     "\x01",
					     "\x1b[31m",
					     "\x7f",
					     "\xc2\x85",
					     "\xe2\x80\xae",
					     "\xe2\x81\xa6",
					     "\xe2\x80\x8b",
					     "\xef\xbb\xbf",
					     "\xe2\x80\xa8",
					     "\xff",
					     "\xc0\xaf",
					     "\xed\xa0\x80",
					     "\xf4\x90\x80\x80",
					     "\xef\xbf\xbe",
					     "\xf0\x9f\x98\x80",
					     "e\xcc\x81",
					     "%s%n",
					     "javascript:alert(1)",
					     "onload=alert(1)",
					     "</title>",
					     "<img src=x onerror=alert(1)>",
					     "&#0;",
					     "&lt;",
					     "\xe2\x80",
					     "a" };
	const unsigned part_count = sizeof(parts) / sizeof(parts[0]);
	struct synth s;
	uint32_t module, location, i, k, top;
	uint64_t state = 7;
	char name[4096];

	synth_begin(&s, writer);
	module = synth_module(&s, "/tmp/</script><script>alert(2)</script>\"'\xff", 1);
	top = synth_stack(&s, 0, synth_location(&s, module, 1, "<svg onload=alert(1)>", "<file>", 1));
	for (i = 0; i < 1000; i++) {
		size_t bytes = 0;
		unsigned n = 1 + next_random(&state) % 8;

		for (k = 0; k < n; k++) {
			const char *part =
				parts[i < part_count && k == 0 ? i : next_random(&state) % part_count];

			memcpy(name + bytes, part, strlen(part));
			bytes += strlen(part);
		}
		name[bytes] = '\0';
		if (i % 50 == 49) {
			name[0] = '\0'; /* a NUL inside, and a long tail */
			memset(name + 1, 'x', sizeof(name) - 1);
			bytes = sizeof(name);
		}
		location = synth_location(&s, module, 0x100 + i, NULL, NULL, 0);
		k = synth_string_bytes(&s, name, bytes);
		synth_frame(&s, location, 0, k, k, i);
		synth_samples(&s, time_ns, 1, 1, synth_stack(&s, top, location), 1000000, 1 + i % 5);
	}
	synth_thread(&s, 1, 1, "</text><script>alert(3)</script>");
	synth_end(&s, 1);
	writer->fact_text(writer->ctx, "event", "]]></script><b>\"event\x01");
}

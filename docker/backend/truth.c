/* SPDX-License-Identifier: MIT */
#include "truth.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Text that grows in a room of fixed size; overfull is seen once, at the end. */
struct text {
	char *at;
	size_t room;
	size_t bytes;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
	size_t left = text->bytes < text->room ? text->room - text->bytes : 0;
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vsnprintf(left > 0 ? text->at + text->bytes : NULL, left, format, args);
	va_end(args);
	text->bytes += bytes > 0 ? (size_t)bytes : 0;
}

static uint64_t get(_Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void put(_Atomic uint64_t *value, uint64_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

static void increase(_Atomic uint64_t *value, uint64_t by)
{
	atomic_fetch_add_explicit(value, by, memory_order_relaxed);
}

uint64_t truth_clock_ns(int clock_id)
{
	struct timespec now;

	if (clock_gettime(clock_id, &now) != 0) {
		return 0;
	}
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void truth_add(struct tally *tally, uint64_t count, uint64_t bytes, uint64_t ns)
{
	increase(&tally->count, count);
	increase(&tally->bytes, bytes);
	increase(&tally->ns, ns);
}

static void tally_reset(struct tally *tally)
{
	put(&tally->count, 0);
	put(&tally->bytes, 0);
	put(&tally->ns, 0);
}

void truth_reset(struct truth *truth)
{
	put(&truth->since_ns, truth_clock_ns(CLOCK_MONOTONIC));
	put(&truth->process_cpu_ns, truth_clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	put(&truth->requests, 0);
	put(&truth->slow_requests, 0);
	for (unsigned i = 0; i < WORK_COUNT; i++) {
		tally_reset(&truth->work[i]);
	}
	tally_reset(&truth->lock_wait);
	tally_reset(&truth->lock_hold);
	tally_reset(&truth->fsync);
	tally_reset(&truth->alloc);
	tally_reset(&truth->leak);
	tally_reset(&truth->reads);
	tally_reset(&truth->db);
}

static void add_tally(struct text *text, const char *name, struct tally *tally)
{
	add(text, ",\n  \"%s\": {\"count\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"ns\": %" PRIu64 "}", name,
	    get(&tally->count), get(&tally->bytes), get(&tally->ns));
}

static void add_work(struct text *text, struct truth *truth)
{
	uint64_t total_ns = 0;

	for (unsigned i = 0; i < WORK_COUNT; i++) {
		total_ns += get(&truth->work[i].ns);
	}
	add(text, ",\n  \"work_cpu_ns\": %" PRIu64 ",\n  \"functions\": {", total_ns);
	for (unsigned i = 0; i < WORK_COUNT; i++) {
		uint64_t ns = get(&truth->work[i].ns);

		add(text,
		    "%s\n    \"%s\": {\"calls\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 ", \"share\": %.6f}",
		    i == 0 ? "" : ",", work_name(i), get(&truth->work[i].count), ns,
		    total_ns > 0 ? (double)ns / (double)total_ns : 0.0);
	}
	add(text, "\n  }");
}

size_t truth_write(struct truth *truth, unsigned threads, char *room_text, size_t room)
{
	struct text text = { room_text, room, 0 };

	add(&text, "{\n  \"pid\": %d,\n  \"threads\": %u", (int)getpid(), threads);
	add(&text, ",\n  \"since_ns\": %" PRIu64 ",\n  \"now_ns\": %" PRIu64, get(&truth->since_ns),
	    truth_clock_ns(CLOCK_MONOTONIC));
	add(&text, ",\n  \"process_cpu_ns\": %" PRIu64,
	    truth_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - get(&truth->process_cpu_ns));
	add(&text, ",\n  \"requests\": %" PRIu64 ",\n  \"slow_requests\": %" PRIu64, get(&truth->requests),
	    get(&truth->slow_requests));
	add_work(&text, truth);
	add_tally(&text, "lock_wait", &truth->lock_wait);
	add_tally(&text, "lock_hold", &truth->lock_hold);
	add_tally(&text, "fsync", &truth->fsync);
	add_tally(&text, "alloc", &truth->alloc);
	add_tally(&text, "leak", &truth->leak);
	add_tally(&text, "reads", &truth->reads);
	add_tally(&text, "db", &truth->db);
	add(&text, "\n}\n");
	return text.bytes < room ? text.bytes : 0;
}

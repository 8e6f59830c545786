/* SPDX-License-Identifier: MIT */
/*
 * Made-up artifacts with known contents, written through any pfc_writer: in memory for unit tests, into a file for a run
 * that no collector made. The stacks are of a small web service.
 */
#ifndef TESTS_UNIT_SYNTH_H
#define TESTS_UNIT_SYNTH_H

#include <stdint.h>

#include <profcore/artifact.h>

/** A profile in the making. */
struct synth {
	const struct pfc_writer *writer;
	int32_t strings, modules, locations, stacks, threads, samples, frames;
	uint32_t string_count, module_count, location_count, stack_count;
	uint64_t sample_count;
	struct synth_frame {
		uint32_t location, depth, function, file, line;
	} * pending; /* frames, appended by synth_end */
	uint32_t pending_count, pending_room;
};

/** Declare the tables and write their rows 0. */
void synth_begin(struct synth *synth, const struct pfc_writer *writer);
uint32_t synth_string(struct synth *synth, const char *text);
uint32_t synth_string_bytes(struct synth *synth, const char *data, uint64_t bytes);
/** kind: as in the schema (1 file, 2 kernel, 3 kernel module, 4 vdso, 5 anonymous). */
uint32_t synth_module(struct synth *synth, const char *path, unsigned kind);
/** A location with one function, or without a name where function is NULL. */
uint32_t synth_location(struct synth *synth, uint32_t module, uint64_t address, const char *function,
			const char *file, uint32_t line);
/** One more function inlined at a location; depth from 1 up. */
void synth_inlined(struct synth *synth, uint32_t location, uint32_t depth, const char *function,
		   const char *file, uint32_t line);
void synth_frame(struct synth *synth, uint32_t location, uint32_t depth, uint32_t function, uint32_t file,
		 uint32_t line);
uint32_t synth_stack(struct synth *synth, uint32_t parent, uint32_t location);
void synth_thread(struct synth *synth, int32_t pid, int32_t tid, const char *name);
/** `count` samples of one stack, 1 ms apart from time_ns on. */
void synth_samples(struct synth *synth, uint64_t time_ns, int32_t pid, int32_t tid, uint32_t stack,
		   uint64_t weight, uint32_t count);
/** Append the frames, unless with_frames is 0, and the facts of a CPU profile. */
void synth_end(struct synth *synth, int with_frames);

/**
 * A whole profile of a web service from time_ns on: 1,000 samples of 1 ms in each of `scale` rounds. By self time: hash_rounds 55 %,
 * memcpy (called by sort_comments) 20 %, sort_comments 5 %, render_markdown 12 % (with 5 points inlined escape_html), the
 * kernel 6 %, code without a name 2 %.
 */
void synth_service(const struct pfc_writer *writer, uint64_t time_ns, unsigned scale, int with_frames);

/** Requests from time_ns on, one a millisecond: latency i * 10 us of `count`; each 100th fails by a timeout, each 50th is a 503. */
void synth_requests(const struct pfc_writer *writer, uint64_t time_ns, uint32_t count);

/** A wide and deep profile: about `stacks` distinct stacks over 2,000 functions, some 20 to 60 frames deep. */
void synth_big(const struct pfc_writer *writer, uint64_t time_ns, uint32_t stacks);

/** 1,000 names that try to break out of whatever they are written into, one sample each and more. */
void synth_hostile(const struct pfc_writer *writer, uint64_t time_ns);

#endif

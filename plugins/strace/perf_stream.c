/* SPDX-License-Identifier: MIT */
/* From rings to moments in order: see perf_state.h. A thread changes its CPU between a call's begin and end. */
#include "perf_state.h"

#include <stdlib.h>
#include <string.h>

#include "lib/perf/record.h"

/* What stands before the fields of any tracepoint: its number, flags, preemption count, pid. */
struct common {
	uint16_t type;
	uint8_t flags;
	uint8_t preempt_count;
	int32_t pid;
	int64_t nr;
};

struct enter_fields {
	struct common common;
	uint64_t args[6];
};

struct exit_fields {
	struct common common;
	int64_t result;
};

static struct moment *add(struct perf_state *state)
{
	struct stream *stream = &state->stream;

	if (stream->count == stream->room) {
		size_t room = stream->room ? stream->room * 2 : 4096;
		struct moment *moments = reallocarray(stream->moments, room, sizeof(*moments));

		if (!moments) {
			state->status = PFC_ENOMEM;
			return NULL;
		}
		stream->moments = moments;
		stream->room = room;
	}
	memset(&stream->moments[stream->count], 0, sizeof(*stream->moments));
	return &stream->moments[stream->count++];
}

/*
 * The number does not tell 32-bit calls apart. Of 64-bit code the instruction does: `syscall` leaves the address after it in cx
 * and the flags in r11; `int $0x80` leaves both as they were.
 */
static uint8_t abi_of(const struct perf_record_sample *sample, int64_t *nr)
{
#ifdef __x86_64__
	enum { CX = 2, IP = 8, FLAGS = 9, R11 = 15 }; /* positions among PERF_USER_REGS */

	if (!sample->regs) {
		return ABI_NATIVE;
	}
	if (sample->regs_abi == PERF_SAMPLE_REGS_ABI_32 || sample->regs[CX] != sample->regs[IP] ||
	    sample->regs[R11] != sample->regs[FLAGS]) {
		return ABI_I386;
	}
	if (*nr & 0x40000000) {
		*nr &= ~0x40000000ll;
		return ABI_X32;
	}
#endif
	return ABI_NATIVE;
}

static void add_enter(struct perf_state *state, const struct perf_event_header *header, uint64_t sample_type)
{
	struct perf_record_sample sample;
	struct enter_fields fields;
	struct moment *moment;
	int64_t nr;

	if (!perf_record_parse_sample(header, sample_type | PERF_SAMPLE_REGS_USER, &sample) ||
	    sample.raw_bytes < sizeof(fields)) {
		state->garbled++;
		return;
	}
	if (perf_attach_is_duplicate(&state->enter, sample.id, sample.tid) || !(moment = add(state))) {
		return;
	}
	memcpy(&fields, sample.raw, sizeof(fields));
	nr = fields.common.nr;
	*moment = (struct moment){
		.time_ns = sample.time_ns, .pid = sample.pid, .tid = sample.tid, .kind = MOMENT_ENTER
	};
	moment->abi = abi_of(&sample, &nr);
	moment->nr = nr >= 0 && nr < 65536 ? (int32_t)nr : NR_UNKNOWN;
	memcpy(moment->args, fields.args, sizeof(moment->args));
}

static void add_exit(struct perf_state *state, const struct perf_record_sample *sample)
{
	struct exit_fields fields;
	struct moment *moment;

	if (perf_attach_is_duplicate(&state->exit, sample->id, sample->tid) || !(moment = add(state))) {
		return;
	}
	memcpy(&fields, sample->raw, sizeof(fields));
	*moment = (struct moment){
		.time_ns = sample->time_ns, .pid = sample->pid, .tid = sample->tid, .kind = MOMENT_EXIT
	};
	moment->nr = fields.common.nr >= 0 && fields.common.nr < INT32_MAX ? (int32_t)fields.common.nr
									   : NR_UNKNOWN;
	moment->result = fields.result;
}

static void add_sample(struct perf_state *state, const struct perf_event_header *header)
{
	/* Both kinds begin alike; which one it is stands in the raw part. */
	const uint64_t sample_type = PERF_SAMPLE_FIELDS | PERF_SAMPLE_RAW;
	struct perf_record_sample sample;
	uint16_t type;

	if (!perf_record_parse_sample(header, sample_type, &sample) ||
	    sample.raw_bytes < sizeof(struct exit_fields)) {
		state->garbled++;
		return;
	}
	memcpy(&type, sample.raw, sizeof(type));
	if (type == state->enter.event.config) {
		add_enter(state, header, sample_type);
	} else if (type == state->exit.event.config) {
		add_exit(state, &sample);
	} else {
		state->garbled++;
	}
}

/* What sample_id_all puts at the end of other records, by PERF_SAMPLE_FIELDS. */
struct trailer {
	int32_t pid;
	int32_t tid;
	uint64_t time_ns;
	uint32_t cpu;
	uint32_t reserved;
	uint64_t id;
};

static void add_switch(struct perf_state *state, const struct perf_event_header *header)
{
	struct trailer trailer;
	struct moment *moment;

	if (header->size < sizeof(*header) + sizeof(trailer)) {
		state->garbled++;
		return;
	}
	memcpy(&trailer, (const char *)header + header->size - sizeof(trailer), sizeof(trailer));
	if (trailer.tid <= 0 || perf_attach_is_duplicate(&state->exit, trailer.id, trailer.tid) ||
	    !(moment = add(state))) {
		return;
	}
	*moment = (struct moment){ .time_ns = trailer.time_ns, .pid = trailer.pid, .tid = trailer.tid };
	moment->kind = !(header->misc & PERF_RECORD_MISC_SWITCH_OUT)        ? MOMENT_ON
		       : header->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT ? MOMENT_PREEMPTED
									    : MOMENT_OFF;
}

int stream_drain(struct perf_state *state)
{
	for (uint32_t i = 0; i < state->ring_count; i++) {
		const struct perf_event_header *header;

		perf_ring_begin(&state->rings[i]);
		while ((header = perf_ring_next(&state->rings[i]))) {
			if (header->type == PERF_RECORD_SAMPLE) {
				add_sample(state, header);
			} else if (header->type == PERF_RECORD_SWITCH ||
				   header->type == PERF_RECORD_SWITCH_CPU_WIDE) {
				add_switch(state, header);
			} else if (header->type == PERF_RECORD_LOST ||
				   header->type == PERF_RECORD_LOST_SAMPLES) {
				state->lost += perf_record_parse_lost(header);
			}
		}
	}
	return state->status;
}

static int earlier(const void *a, const void *b)
{
	const struct moment *x = a;
	const struct moment *y = b;

	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static struct change *place_of(const struct changes *changes, int32_t pid, int32_t fd)
{
	uint64_t key = ((uint64_t)(uint32_t)pid << 32 | (uint32_t)fd) * 0x9e3779b97f4a7c15ull;
	size_t at = (size_t)(key >> 32) & (changes->room - 1);

	while (changes->places[at].pid && (changes->places[at].pid != pid || changes->places[at].fd != fd)) {
		at = (at + 1) & (changes->room - 1);
	}
	return &changes->places[at];
}

static void note_change(struct perf_state *state, const struct moment *moment)
{
	bool is_enter = moment->kind == MOMENT_ENTER;
	const struct call_kind *kind =
		kinds_of(&state->kinds, is_enter ? moment->abi : ABI_NATIVE, moment->nr);
	struct change *place;
	int64_t fd;

	if (is_enter && kind->closes_fd) {
		fd = (int32_t)moment->args[0];
	} else if (is_enter && kind->closes_all) {
		fd = -1;
	} else if (!is_enter && kind->makes_fd && moment->result >= 0) {
		fd = moment->result;
	} else {
		return;
	}
	place = place_of(&state->changes, moment->pid, (int32_t)fd);
	*place = (struct change){ moment->pid, (int32_t)fd, moment->time_ns };
}

/* All changes among the moments that are held, in order of time. */
static void find_changes(struct perf_state *state)
{
	struct changes *changes = &state->changes;
	size_t room = 64;

	while (room < state->stream.count * 2) {
		room *= 2;
	}
	if (room > changes->room) {
		free(changes->places);
		changes->places = malloc(room * sizeof(*changes->places));
		changes->room = changes->places ? room : 0;
	}
	if (!changes->places) {
		state->status = PFC_ENOMEM;
		return;
	}
	memset(changes->places, 0, changes->room * sizeof(*changes->places));
	for (size_t i = 0; i < state->stream.count; i++) {
		if (state->stream.moments[i].kind == MOMENT_ENTER ||
		    state->stream.moments[i].kind == MOMENT_EXIT) {
			note_change(state, &state->stream.moments[i]);
		}
	}
}

bool stream_has_changed(const struct perf_state *state, int32_t pid, int32_t fd, uint64_t since_ns)
{
	const struct changes *changes = &state->changes;

	return changes->room && (place_of(changes, pid, fd)->time_ns > since_ns ||
				 place_of(changes, pid, -1)->time_ns > since_ns);
}

void stream_pass(struct perf_state *state, uint64_t before_ns)
{
	struct stream *stream = &state->stream;
	size_t passed = 0;

	if (stream->count == 0) {
		return;
	}
	qsort(stream->moments, stream->count, sizeof(*stream->moments), earlier);
	find_changes(state);
	while (passed < stream->count && stream->moments[passed].time_ns < before_ns) {
		calls_take(state, &stream->moments[passed++]);
	}
	stream->count -= passed;
	memmove(stream->moments, stream->moments + passed, stream->count * sizeof(*stream->moments));
}

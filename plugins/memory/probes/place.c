/* SPDX-License-Identifier: MIT */
#include "place.h"

#define FAR_BYTES  96U /* more of a function is not walked over: a probe there would say too late */
#define SCAN_BYTES 4096U

#define RCX 1
#define RDX 2
#define RSP 4
#define RSI 6
#define RDI 7

/* Registers that the probe reads, one bit each. */
static unsigned arguments_of(enum probe_kind kind)
{
	switch (kind) {
	case PROBE_FREE:
	case PROBE_MALLOC:
		return 1U << RDI;
	case PROBE_REALLOCARRAY:
	case PROBE_MEMALIGN_TO:
		return 1U << RDI | 1U << RSI | 1U << RDX;
	case PROBE_RUST_REALLOC:
		return 1U << RDI | 1U << RCX;
	default:
		return 1U << RDI | 1U << RSI;
	}
}

/* Whether something in the function jumps to behind its start, up to `offset`: then calls come past more than once, or not at all. */
static bool is_jumped_to(const uint8_t *code, size_t bytes, uint32_t offset)
{
	struct insn insn;

	bytes = bytes < SCAN_BYTES ? bytes : SCAN_BYTES;
	for (size_t at = 0; at < bytes && insn_decode(code + at, bytes - at, &insn) == 0; at += insn.length) {
		int64_t target = (int64_t)at + insn.target;

		if ((insn.kind == INSN_JUMP || insn.kind == INSN_BRANCH) && target > 0 &&
		    target <= (int64_t)offset) {
			return true;
		}
	}
	return false;
}

/* Right behind "if it is NULL, leave": only a free may go past that. */
static bool find_past_null(const uint8_t *code, size_t bytes, size_t at, struct place *ret)
{
	struct insn insn;

	if (at >= bytes || insn_decode(code + at, bytes - at, &insn) < 0 ||
	    !insn_is_emulated(code + at, &insn)) {
		return false;
	}
	*ret = (struct place){ (uint32_t)at, true, true };
	return true;
}

static struct place find(const uint8_t *code, size_t bytes, enum probe_kind kind)
{
	unsigned arguments = arguments_of(kind);
	bool was_test = false;
	struct place place = { 0, false, false };

	for (size_t at = 0; at < bytes && at < FAR_BYTES;) {
		struct insn insn;

		if (insn_decode(code + at, bytes - at, &insn) < 0) {
			break;
		}
		if (insn_is_emulated(code + at, &insn)) {
			place = (struct place){ (uint32_t)at, true, false };
			if (kind == PROBE_FREE && was_test && insn.kind == INSN_BRANCH && insn.is_if_zero) {
				find_past_null(code, bytes, at + insn.length, &place);
			}
			break;
		}
		if (insn.kind != INSN_PLAIN || insn.is_opaque || insn.writes == RSP ||
		    (insn.writes < 8 && (arguments >> insn.writes & 1))) {
			break;
		}
		was_test = insn.is_test_rdi;
		at += insn.length;
	}
	return place;
}

struct place place_probe(const uint8_t *code, size_t bytes, enum probe_kind kind)
{
	struct place place = find(code, bytes, kind);

	if (place.offset > 0 && is_jumped_to(code, bytes, place.offset)) {
		place = (struct place){ 0, false, false };
	}
	return place;
}

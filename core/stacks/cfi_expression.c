/* SPDX-License-Identifier: MIT */
/* DWARF expressions as they occur in call frame information: a small stack machine, bounded in steps and depth. */
#include <dwarf.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/cfi.h"

#define STACK_MAX 32
#define STEPS_MAX 512 /* PLT entries take 10, signal frames 4 */

struct evaluation {
	const uint8_t *data;
	uint64_t start, at, end;
	const struct cfi_state *state;
	uint64_t stack[STACK_MAX];
	unsigned depth;
	int status; /* the first fault stays */
};

static void fault(struct evaluation *eval)
{
	if (eval->status == 0) {
		eval->status = PFC_ECORRUPT;
	}
}

static void push(struct evaluation *eval, uint64_t value)
{
	if (eval->depth == STACK_MAX) {
		fault(eval);
		return;
	}
	eval->stack[eval->depth++] = value;
}

static uint64_t pop(struct evaluation *eval)
{
	if (eval->depth == 0) {
		fault(eval);
		return 0;
	}
	return eval->stack[--eval->depth];
}

static uint64_t fixed(struct evaluation *eval, unsigned bytes)
{
	uint64_t value = 0;

	if (eval->end - eval->at < bytes) {
		eval->at = eval->end;
		fault(eval);
		return 0;
	}
	memcpy(&value, eval->data + eval->at, bytes);
	eval->at += bytes;
	return value;
}

static uint64_t leb(struct evaluation *eval, bool is_signed)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)fixed(eval, 1);
		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
	} while ((byte & 0x80) != 0 && eval->status == 0);
	if (is_signed && shift < 64 && (byte & 0x40) != 0) {
		value |= ~0ULL << shift;
	}
	return value;
}

static uint64_t register_value(struct evaluation *eval, uint64_t number)
{
	if (number >= CFI_REGISTERS || (eval->state->known & 1U << number) == 0) {
		fault(eval);
		return 0;
	}
	return eval->state->registers[number];
}

static void dereference(struct evaluation *eval, uint32_t bytes)
{
	uint64_t address = pop(eval);
	uint64_t value = 0;

	if (eval->status != 0 || bytes == 0 || bytes > 8 || eval->state->read == NULL) {
		fault(eval);
		return;
	}
	eval->status = eval->state->read(eval->state->ctx, address, &value, bytes);
	push(eval, value);
}

static void pick(struct evaluation *eval, unsigned from_top)
{
	if (from_top >= eval->depth) {
		fault(eval);
		return;
	}
	push(eval, eval->stack[eval->depth - 1 - from_top]);
}

static void exchange(struct evaluation *eval, unsigned count)
{
	uint64_t top;

	if (count > eval->depth) {
		fault(eval);
		return;
	}
	top = eval->stack[eval->depth - 1];
	for (unsigned i = 1; i < count; i++) {
		eval->stack[eval->depth - i] = eval->stack[eval->depth - i - 1];
	}
	eval->stack[eval->depth - count] = top;
}

static void jump(struct evaluation *eval, bool taken)
{
	int16_t distance = (int16_t)fixed(eval, 2);
	uint64_t to = eval->at + (uint64_t)(int64_t)distance;

	if (!taken) {
		return;
	}
	if (to < eval->start || to > eval->end) {
		fault(eval);
		return;
	}
	eval->at = to;
}

static uint64_t two_operands(uint8_t code, uint64_t left, uint64_t right)
{
	switch (code) {
	case DW_OP_and:
		return left & right;
	case DW_OP_or:
		return left | right;
	case DW_OP_xor:
		return left ^ right;
	case DW_OP_plus:
		return left + right;
	case DW_OP_minus:
		return left - right;
	case DW_OP_mul:
		return left * right;
	case DW_OP_shl:
		return right < 64 ? left << right : 0;
	case DW_OP_shr:
		return right < 64 ? left >> right : 0;
	case DW_OP_shra:
		return (uint64_t)((int64_t)left >> (right < 64 ? right : 63));
	case DW_OP_eq:
		return left == right;
	case DW_OP_ne:
		return left != right;
	case DW_OP_lt:
		return (int64_t)left < (int64_t)right;
	case DW_OP_le:
		return (int64_t)left <= (int64_t)right;
	case DW_OP_gt:
		return (int64_t)left > (int64_t)right;
	default: /* DW_OP_ge */
		return (int64_t)left >= (int64_t)right;
	}
}

static void constant(struct evaluation *eval, uint8_t code)
{
	switch (code) {
	case DW_OP_const1u:
		push(eval, fixed(eval, 1));
		return;
	case DW_OP_const1s:
		push(eval, (uint64_t)(int64_t)(int8_t)fixed(eval, 1));
		return;
	case DW_OP_const2u:
		push(eval, fixed(eval, 2));
		return;
	case DW_OP_const2s:
		push(eval, (uint64_t)(int64_t)(int16_t)fixed(eval, 2));
		return;
	case DW_OP_const4u:
		push(eval, fixed(eval, 4));
		return;
	case DW_OP_const4s:
		push(eval, (uint64_t)(int64_t)(int32_t)fixed(eval, 4));
		return;
	case DW_OP_constu:
		push(eval, leb(eval, false));
		return;
	case DW_OP_consts:
		push(eval, leb(eval, true));
		return;
	default: /* DW_OP_const8u, DW_OP_const8s, DW_OP_addr */
		push(eval, fixed(eval, 8));
		return;
	}
}

static void step_stack(struct evaluation *eval, uint8_t code)
{
	uint64_t value;

	switch (code) {
	case DW_OP_dup:
		pick(eval, 0);
		return;
	case DW_OP_over:
		pick(eval, 1);
		return;
	case DW_OP_pick:
		pick(eval, (unsigned)fixed(eval, 1));
		return;
	case DW_OP_drop:
		pop(eval);
		return;
	case DW_OP_swap:
		exchange(eval, 2);
		return;
	case DW_OP_rot:
		exchange(eval, 3);
		return;
	case DW_OP_deref:
		dereference(eval, 8);
		return;
	case DW_OP_deref_size:
		dereference(eval, (uint32_t)fixed(eval, 1));
		return;
	case DW_OP_plus_uconst:
		value = pop(eval);
		push(eval, value + leb(eval, false));
		return;
	case DW_OP_neg:
		push(eval, 0 - pop(eval));
		return;
	case DW_OP_not:
		push(eval, ~pop(eval));
		return;
	case DW_OP_bregx:
		value = register_value(eval, leb(eval, false));
		push(eval, value + leb(eval, true));
		return;
	case DW_OP_skip:
		jump(eval, true);
		return;
	case DW_OP_bra:
		value = pop(eval);
		jump(eval, value != 0);
		return;
	case DW_OP_nop:
		return;
	default:
		fault(eval);
		return;
	}
}

static bool takes_two(uint8_t code)
{
	static const uint8_t codes[] = { DW_OP_and, DW_OP_or,  DW_OP_xor, DW_OP_plus, DW_OP_minus,
					 DW_OP_mul, DW_OP_shl, DW_OP_shr, DW_OP_shra, DW_OP_eq,
					 DW_OP_ne,  DW_OP_lt,  DW_OP_le,  DW_OP_gt,   DW_OP_ge };

	return memchr(codes, code, sizeof(codes)) != NULL;
}

static void step(struct evaluation *eval)
{
	uint8_t code = (uint8_t)fixed(eval, 1);
	uint64_t left, right;

	if (code >= DW_OP_lit0 && code <= DW_OP_lit31) {
		push(eval, code - DW_OP_lit0);
	} else if (code >= DW_OP_breg0 && code <= DW_OP_breg31) {
		left = register_value(eval, code - DW_OP_breg0);
		push(eval, left + leb(eval, true));
	} else if ((code >= DW_OP_const1u && code <= DW_OP_consts) || code == DW_OP_addr) {
		constant(eval, code);
	} else if (takes_two(code)) {
		right = pop(eval);
		left = pop(eval);
		push(eval, two_operands(code, left, right));
	} else {
		step_stack(eval, code);
	}
}

int cfi_evaluate(const struct cfi_section *section, uint64_t place, const struct cfi_state *state,
		 const uint64_t *cfa, uint64_t *ret)
{
	struct evaluation eval = {
		.data = section->data, .at = place, .end = section->bytes, .state = state
	};
	uint64_t bytes, value;

	if (place >= section->bytes) {
		return PFC_ECORRUPT;
	}
	bytes = leb(&eval, false);
	if (eval.status != 0 || bytes > eval.end - eval.at) {
		return PFC_ECORRUPT;
	}
	eval.start = eval.at;
	eval.end = eval.at + bytes;
	if (cfa != NULL) {
		push(&eval, *cfa);
	}
	for (unsigned steps = 0; eval.at < eval.end && eval.status == 0; steps++) {
		if (steps == STEPS_MAX) {
			return PFC_ECORRUPT;
		}
		step(&eval);
	}
	value = pop(&eval);
	if (eval.status == 0) {
		*ret = value;
	}
	return eval.status;
}

/* SPDX-License-Identifier: MIT */
/* A decoder of lengths and a few facts: see insn.h. Source: Intel SDM volume 2, appendix A (opcode maps) and 2.1 (formats). */
#include "insn.h"

#include <string.h>

#define REX_W 8
#define REX_R 4
#define REX_B 1

struct cursor {
	const uint8_t *code;
	size_t bytes, at;
	bool is_short; /* it wanted more than there is */
	bool has_16;   /* operand-size prefix */
	bool has_prefix;
	uint8_t rex;
	uint8_t modrm;
};

static uint8_t next(struct cursor *c)
{
	if (c->at >= c->bytes) {
		c->is_short = true;
		return 0;
	}
	return c->code[c->at++];
}

static void skip(struct cursor *c, unsigned bytes)
{
	c->at += bytes;
	c->is_short |= c->at > c->bytes;
}

static int64_t relative(struct cursor *c, unsigned bytes)
{
	int64_t value = 0;

	for (unsigned i = 0; i < bytes; i++) {
		value |= (int64_t)next(c) << (8 * i);
	}
	return bytes == 1 ? (int8_t)value : (int32_t)value;
}

/* The byte that names operands, and what it makes follow. */
static void operands(struct cursor *c)
{
	unsigned mode, rm;

	c->modrm = next(c);
	mode = c->modrm >> 6;
	rm = c->modrm & 7;
	if (mode == 3) {
		return;
	}
	if (rm == 4) {
		uint8_t sib = next(c);

		if (mode == 0 && (sib & 7) == 5) {
			skip(c, 4);
		}
	} else if (mode == 0 && rm == 5) {
		skip(c, 4);
	}
	skip(c, mode == 1 ? 1 : mode == 2 ? 4 : 0);
}

static uint8_t reg_of(const struct cursor *c)
{
	return (uint8_t)((c->modrm >> 3 & 7) | (c->rex & REX_R ? 8 : 0));
}

/* The register that r/m names; none when it is memory. */
static uint8_t rm_of(const struct cursor *c)
{
	return c->modrm >> 6 == 3 ? (uint8_t)((c->modrm & 7) | (c->rex & REX_B ? 8 : 0)) : INSN_NO_REGISTER;
}

static void take_branch(struct cursor *c, struct insn *insn, enum insn_kind kind, unsigned bytes)
{
	insn->kind = kind;
	insn->target = relative(c, bytes);
	insn->target += (int64_t)c->at;
}

/* add, or, adc, sbb, and, sub, xor, cmp: 00 to 3d. */
static void take_arithmetic(struct cursor *c, struct insn *insn, uint8_t op)
{
	bool compares = op >= 0x38;

	if ((op & 7) < 4) {
		operands(c);
		insn->writes = (op & 7) < 2 ? rm_of(c) : reg_of(c);
	} else {
		skip(c, (op & 7) == 4 ? 1 : c->has_16 ? 2 : 4);
		insn->writes = 0;
	}
	if (compares) {
		insn->writes = INSN_NO_REGISTER;
	}
}

static void take_group(struct cursor *c, struct insn *insn, uint8_t op)
{
	unsigned immediate = op == 0x81 || op == 0xc7 || op == 0x69 ? (c->has_16 ? 2 : 4) : 1;

	operands(c);
	skip(c, immediate);
	insn->writes = op == 0x69 || op == 0x6b ? reg_of(c) : rm_of(c);
	if (op >= 0x80 && op <= 0x83 && (c->modrm >> 3 & 7) == 7) { /* cmp */
		insn->writes = INSN_NO_REGISTER;
	}
}

/* test, not, neg, mul, div: f6, f7. */
static void take_unary(struct cursor *c, struct insn *insn, uint8_t op)
{
	unsigned which;

	operands(c);
	which = c->modrm >> 3 & 7;
	if (which < 2) {
		skip(c, op == 0xf6 ? 1 : c->has_16 ? 2 : 4);
	} else if (which < 4) {
		insn->writes = rm_of(c);
	} else {
		insn->is_opaque = true;
	}
}

/* inc, dec, call, jmp, push through r/m: fe, ff. */
static void take_indirect(struct cursor *c, struct insn *insn)
{
	unsigned which;

	operands(c);
	which = c->modrm >> 3 & 7;
	if (which < 2) {
		insn->writes = rm_of(c);
	} else if (which == 4 || which == 5) {
		insn->kind = INSN_END;
	} else {
		insn->is_opaque = true;
	}
}

static void take_mov(struct cursor *c, struct insn *insn, uint8_t op)
{
	operands(c);
	insn->writes = op == 0x88 || op == 0x89 ? rm_of(c) : reg_of(c);
}

/* The map behind 0f. Returns whether it is known. */
static bool take_two_bytes(struct cursor *c, struct insn *insn)
{
	uint8_t op = next(c);

	if (op == 0x38 || op == 0x3a) {
		next(c);
		operands(c);
		skip(c, op == 0x3a ? 1 : 0);
		insn->is_opaque = true;
	} else if (op >= 0x80 && op <= 0x8f) {
		take_branch(c, insn, INSN_BRANCH, 4);
		insn->is_if_zero = op == 0x84;
	} else if (op == 0x0b) {
		insn->kind = INSN_END;
	} else if (op == 0x05 || op == 0x31 || op == 0xa2 || op == 0x01 || (op >= 0xc8 && op <= 0xcf)) {
		insn->is_opaque = true;
		if (op == 0x01) {
			operands(c);
		}
	} else if ((op >= 0x40 && op <= 0x4f) || op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf ||
		   op == 0xaf || op == 0xbc || op == 0xbd || op == 0xb8) {
		operands(c);
		insn->writes = reg_of(c);
	} else if (op == 0x1e || op == 0x1f || op == 0x18 || op == 0x0d || (op >= 0x10 && op <= 0x17) ||
		   op == 0x28 || op == 0x29 || op == 0x6f || op == 0x7f || op == 0xd6 || op == 0xe7 ||
		   op == 0x2e || op == 0x2f || op == 0x57 ||
		   op == 0xef) { /* hints, and moves of vector registers */
		operands(c);
	} else if (op >= 0x90 && op <= 0x9f) {
		operands(c);
		insn->writes = rm_of(c);
	} else if ((op >= 0x70 && op <= 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
		   (op >= 0xc4 && op <= 0xc6)) {
		operands(c);
		skip(c, 1);
		insn->is_opaque = true;
	} else if (op == 0xa3 || op == 0xab || op == 0xb0 || op == 0xb1 || op == 0xc0 || op == 0xc1 ||
		   op == 0xc7 || (op >= 0x50 && op <= 0x7f) || op >= 0xd0 || op == 0x2a || op == 0x2c ||
		   op == 0x2d || op == 0xa5 || op == 0xad || op == 0xb3 || op == 0xbb) {
		operands(c);
		insn->is_opaque = true;
	} else {
		return false;
	}
	return true;
}

static bool take_one_byte(struct cursor *c, struct insn *insn, uint8_t op)
{
	if (op < 0x40 && (op & 7) < 6) {
		take_arithmetic(c, insn, op);
	} else if (op >= 0x50 && op <= 0x57) {
		insn->kind = INSN_PUSH;
	} else if (op >= 0x58 && op <= 0x5f) {
		insn->is_opaque = true;
	} else if (op == 0x63 || (op >= 0x88 && op <= 0x8b) || op == 0x8d) {
		take_mov(c, insn, op);
	} else if (op == 0x68 || op == 0x6a) {
		skip(c, op == 0x6a ? 1 : 4);
		insn->is_opaque = true;
	} else if (op == 0x69 || op == 0x6b || op == 0x80 || op == 0x81 || op == 0x83 || op == 0xc0 ||
		   op == 0xc1 || op == 0xc6 || op == 0xc7) {
		take_group(c, insn, op);
	} else if (op >= 0x70 && op <= 0x7f) {
		take_branch(c, insn, INSN_BRANCH, 1);
		insn->is_if_zero = op == 0x74;
	} else if (op == 0x84 || op == 0x85) {
		operands(c);
		insn->is_test_rdi = op == 0x85 && (c->rex & REX_W) && reg_of(c) == 7 && rm_of(c) == 7;
	} else if (op == 0x86 || op == 0x87 || op == 0x8f || (op >= 0xd8 && op <= 0xdf)) {
		operands(c);
		insn->is_opaque = true;
	} else if (op >= 0x91 && op <= 0x97) {
		insn->is_opaque = true;
	} else if (op == 0x90) {
		insn->kind = INSN_NOP;
	} else if (op == 0x98 || op == 0x99) {
		insn->writes = op == 0x98 ? 0 : 2;
	} else if ((op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf) || op == 0xc9) {
		insn->is_opaque = true;
	} else if (op == 0xa8 || op == 0xa9) {
		skip(c, op == 0xa8 ? 1 : c->has_16 ? 2 : 4);
	} else if (op >= 0xb0 && op <= 0xbf) {
		skip(c, op < 0xb8 ? 1 : c->rex & REX_W ? 8 : c->has_16 ? 2 : 4);
		insn->writes = (uint8_t)((op & 7) | (c->rex & REX_B ? 8 : 0));
	} else if (op == 0xc2 || op == 0xc3 || op == 0xcc || op == 0xf4) {
		skip(c, op == 0xc2 ? 2 : 0);
		insn->kind = INSN_END;
	} else if (op >= 0xd0 && op <= 0xd3) {
		operands(c);
		insn->writes = rm_of(c);
	} else if (op == 0xe8) {
		take_branch(c, insn, INSN_CALL, 4);
	} else if (op == 0xe9 || op == 0xeb) {
		take_branch(c, insn, INSN_JUMP, op == 0xeb ? 1 : 4);
	} else if (op == 0xf6 || op == 0xf7) {
		take_unary(c, insn, op);
	} else if (op == 0xfe || op == 0xff) {
		take_indirect(c, insn);
	} else {
		return false;
	}
	return true;
}

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x36 ||
	       byte == 0x3e || byte == 0x26 || byte == 0x64 || byte == 0x65 || byte == 0xf0;
}

int insn_decode(const uint8_t *code, size_t bytes, struct insn *ret)
{
	struct cursor c = { .code = code, .bytes = bytes < 15 ? bytes : 15 };
	uint8_t op = next(&c);
	bool is_known;

	memset(ret, 0, sizeof(*ret));
	ret->writes = INSN_NO_REGISTER;
	while (!c.is_short && is_prefix(op)) {
		c.has_prefix = true;
		c.has_16 |= op == 0x66;
		op = next(&c);
	}
	if (op >= 0x40 && op <= 0x4f) {
		c.rex = op;
		op = next(&c);
	}
	is_known = op == 0x0f ? take_two_bytes(&c, ret) : take_one_byte(&c, ret, op);
	if (!is_known || c.is_short) {
		return -1;
	}
	ret->length = (unsigned)c.at;
	return 0;
}

bool insn_is_emulated(const uint8_t *code, const struct insn *insn)
{
	switch (insn->kind) {
	case INSN_PUSH:
		return insn->length == 1 || (insn->length == 2 && code[0] == 0x41);
	case INSN_NOP:
		return insn->length == 1;
	case INSN_JUMP:
	case INSN_BRANCH:
	case INSN_CALL:
		return !is_prefix(code[0]);
	default:
		return false;
	}
}

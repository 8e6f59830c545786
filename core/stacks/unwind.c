/* SPDX-License-Identifier: MIT */
#include "stacks/unwind.h"

#include <string.h>

#include <profcore/status.h>

#define BIT(number) (1U << (number))
#define FOLLOWED    (BIT(CFI_RIP) | BIT(CFI_RSP) | BIT(CFI_RBP))
/* What a call leaves alone: rbx, rbp, r12 to r15. */
#define CALLEE_SAVED (BIT(CFI_RBX) | BIT(CFI_RBP) | BIT(12) | BIT(13) | BIT(14) | BIT(15))

/** A walk under way. */
struct state {
	struct unwind_walk *walk;
	struct cfi_state regs;
	uint64_t stack_start; /* rsp of the innermost frame */
	bool is_full;         /* follow all registers */
	bool wants_full;      /* an outer frame needed a register that was not followed */
	bool was_signal;      /* the frame that was left is a signal's: its caller did not call */
};

enum step {
	STEP_ON,
	STEP_END, /* walk->end says why */
};

static enum step stop(struct state *state, enum unwind_end end)
{
	state->walk->end = end;
	return STEP_END;
}

static int read_stack(void *ctx, uint64_t address, void *to, uint32_t bytes)
{
	struct state *state = ctx;
	uint64_t distance = address - state->stack_start;

	if (address < state->stack_start || distance > state->walk->stack_bytes ||
	    state->walk->stack_bytes - distance < bytes) {
		return address >= state->stack_start ? PFC_ENOSPC : PFC_ECORRUPT;
	}
	memcpy(to, state->walk->stack + distance, bytes);
	return 0;
}

static enum step stop_reading(struct state *state, int status)
{
	return stop(state, status == PFC_ENOSPC ? UNWIND_END_COPY : UNWIND_END_BROKEN);
}

/* rip and rsp of the caller are set; whether that makes sense. */
static enum step arrive(struct state *state, uint64_t old_rsp, bool is_signal)
{
	if (state->regs.registers[CFI_RIP] == 0) {
		return stop(state,
			    UNWIND_END_ROOT); /* a thread whose first frame was given no return address */
	}
	if (!is_signal && state->regs.registers[CFI_RSP] <= old_rsp) {
		return stop(state, UNWIND_END_BROKEN);
	}
	state->was_signal = is_signal;
	return STEP_ON;
}

/* What code that keeps a frame pointer says of itself: rbp points at the caller's, which lies below the return address. */
static bool keeps_pointer(const struct unwind_rule *rule)
{
	return rule->cfa == UNWIND_RBP && rule->cfa_offset == 16 && rule->rbp == UNWIND_RBP_SAVED &&
	       rule->rbp_offset == -16;
}

/* By the table's rule alone. */
static enum step step_plain(struct state *state, const struct unwind_rule *rule)
{
	uint64_t *registers = state->regs.registers;
	uint64_t rsp = registers[CFI_RSP];
	uint64_t cfa = rsp + (uint64_t)(int64_t)rule->cfa_offset;
	int status;

	if (rule->cfa == UNWIND_PLT) {
		cfa = rsp + 8 + ((registers[CFI_RIP] & 15) >= (uint64_t)rule->cfa_offset ? 8 : 0);
	} else if (rule->cfa == UNWIND_RBP) {
		if ((state->regs.known & BIT(CFI_RBP)) == 0) {
			return stop(state, UNWIND_END_BROKEN);
		}
		cfa = registers[CFI_RBP] + (uint64_t)(int64_t)rule->cfa_offset;
	}
	status = read_stack(state, cfa - 8, &registers[CFI_RIP], 8);
	if (status != 0) {
		return stop_reading(state, status);
	}
	/* After the epilogue's pop the slot lies below rsp: rbp has its value again (compilers do not say so). */
	if (rule->rbp == UNWIND_RBP_SAVED && cfa + (uint64_t)(int64_t)rule->rbp_offset >= rsp) {
		status = read_stack(state, cfa + (uint64_t)(int64_t)rule->rbp_offset, &registers[CFI_RBP], 8);
		state->regs.known |= BIT(CFI_RBP);
		if (status != 0) {
			return stop_reading(state, status);
		}
	}
	state->walk->kept_pointer += keeps_pointer(rule);
	registers[CFI_RSP] = cfa;
	state->regs.known &= rule->rbp == UNWIND_RBP_GONE ? FOLLOWED & ~BIT(CFI_RBP) : FOLLOWED;
	return arrive(state, rsp, false);
}

static int cfa_of(struct state *state, const struct unwind_table *table, const struct cfi_row *row,
		  uint64_t *ret)
{
	if (row->has_cfa_expression) {
		return cfi_evaluate(&table->section, (uint32_t)row->cfa_offset, &state->regs, NULL, ret);
	}
	if ((state->regs.known & BIT(row->cfa_register)) == 0) {
		return PFC_ENOENT;
	}
	*ret = state->regs.registers[row->cfa_register] + (uint64_t)(int64_t)row->cfa_offset;
	return 0;
}

/* The caller's value of one register. PFC_ENOENT: not known. */
static int restore(struct state *state, const struct unwind_table *table, const struct cfi_row *row,
		   unsigned number, uint64_t cfa, uint64_t *ret)
{
	const struct cfi_rule *rule = &row->rules[number];
	const struct cfi_state *regs = &state->regs;
	uint64_t address = cfa + (uint64_t)(int64_t)rule->offset;
	bool has_value = (regs->known & BIT(number)) != 0;
	int status;

	switch (rule->how) {
	case CFI_UNSET:
		has_value = has_value && (CALLEE_SAVED & BIT(number)) != 0;
		*ret = regs->registers[number];
		return has_value ? 0 : PFC_ENOENT;
	case CFI_SAME:
		*ret = regs->registers[number];
		return has_value ? 0 : PFC_ENOENT;
	case CFI_AT:
		if (address < regs->registers[CFI_RSP] && has_value && !row->is_signal_frame) {
			*ret = regs->registers[number]; /* popped already, see step_plain */
			return 0;
		}
		return read_stack(state, address, ret, 8);
	case CFI_IS:
		*ret = address;
		return 0;
	case CFI_IN:
		if (rule->offset < 0 || rule->offset >= CFI_REGISTERS ||
		    (regs->known & BIT(rule->offset)) == 0) {
			return PFC_ENOENT;
		}
		*ret = regs->registers[rule->offset];
		return 0;
	case CFI_AT_EXPRESSION:
		status = cfi_evaluate(&table->section, (uint32_t)rule->offset, regs, &cfa, &address);
		return status == 0 ? read_stack(state, address, ret, 8) : status;
	case CFI_IS_EXPRESSION:
		return cfi_evaluate(&table->section, (uint32_t)rule->offset, regs, &cfa, ret);
	default:
		return PFC_ENOENT;
	}
}

/* By the whole row, all registers. */
static enum step step_full(struct state *state, struct unwind_table *table, uint64_t vaddr)
{
	struct cfi_state next = { .known = 0, .read = read_stack, .ctx = state };
	struct cfi_row row;
	uint64_t cfa;
	uint64_t rsp = state->regs.registers[CFI_RSP];
	int status = unwind_table_row(table, vaddr, &row);

	if (status != 0) {
		return stop(state, UNWIND_END_NO_CFI);
	}
	if (row.rules[CFI_RIP].how == CFI_UNDEFINED) {
		return stop(state, UNWIND_END_ROOT);
	}
	status = cfa_of(state, table, &row, &cfa);
	if (status != 0) {
		/* Perhaps a register that was not followed. */
		state->wants_full = status != PFC_ENOSPC;
		return stop_reading(state, status);
	}
	for (unsigned i = 0; i < CFI_REGISTERS; i++) {
		status = i == CFI_RSP && row.rules[i].how <= CFI_SAME
				 ? 0
				 : restore(state, table, &row, i, cfa, &next.registers[i]);
		if (i == CFI_RSP && row.rules[i].how <= CFI_SAME) {
			next.registers[i] = cfa;
		}
		next.known |= status == 0 ? BIT(i) : 0;
		if (status != 0 && i == CFI_RIP) {
			return stop_reading(state, status);
		}
	}
	if ((next.known & BIT(CFI_RSP)) == 0) {
		return stop(state, UNWIND_END_BROKEN);
	}
	state->regs = next;
	return arrive(state, rsp, row.is_signal_frame);
}

/* Code without information: the frame pointer, if it can be one. */
static enum step step_frame_pointer(struct state *state)
{
	uint64_t *registers = state->regs.registers;
	uint64_t rbp = registers[CFI_RBP];
	uint64_t rsp = registers[CFI_RSP];
	uint64_t pair[2];
	int status;

	if ((state->regs.known & BIT(CFI_RBP)) == 0 || rbp < rsp || rbp % 8 != 0) {
		return stop(state, UNWIND_END_NO_CFI);
	}
	status = read_stack(state, rbp, pair, sizeof(pair));
	if (status != 0) {
		return stop(state, UNWIND_END_NO_CFI);
	}
	registers[CFI_RBP] = pair[0];
	registers[CFI_RIP] = pair[1];
	registers[CFI_RSP] = rbp + 16;
	state->regs.known &= FOLLOWED;
	state->walk->by_frame_pointer++;
	return arrive(state, rsp, false);
}

/*
 * makecontext returns into the first instruction of __start_context, which has no caller, and whose information does not say
 * so. No call ends in the padding between two functions: such an address was made up, and the stack begins there. cfa_offset
 * says that the address itself is one further.
 */
static void meet_made_up_caller(struct unwind_table *table, uint64_t vaddr, struct unwind_rule *rule)
{
	uint64_t start, end;

	if ((vaddr + 1) % 16 == 0 && !unwind_table_function(table, vaddr, &start, &end) &&
	    unwind_table_function(table, vaddr + 1, &start, &end) && start == vaddr + 1) {
		*rule = (struct unwind_rule){ .cfa = UNWIND_ROOT, .cfa_offset = 1 };
	}
}

static enum unwind_code look_up(struct state *state, uint64_t address, bool is_exact, struct unwind_rule *ret)
{
	struct unwind_walk *walk = state->walk;
	struct unwind_cached *cached =
		&walk->cache[hash_mix(address ^ walk->stamp << 40) & (UNWIND_CACHE_SLOTS - 1)];
	struct unwind_table *table;
	uint64_t vaddr;

	if (cached->stamp != walk->stamp || cached->address != address) {
		cached->code = walk->code(walk->ctx, address, &table, &vaddr);
		cached->stamp = cached->code == UNWIND_CODE_LATER ? 0 : walk->stamp;
		cached->address = address;
		memset(&cached->rule, 0, sizeof(cached->rule));
		if (cached->code == UNWIND_CODE_TABLE) {
			cached->rule = *unwind_table_find(table, vaddr);
			if (!is_exact) {
				meet_made_up_caller(table, vaddr, &cached->rule);
			}
		}
	}
	*ret = cached->rule;
	return cached->code;
}

static enum step step_escape(struct state *state, uint64_t address)
{
	struct unwind_table *table;
	uint64_t vaddr;

	if (state->walk->code(state->walk->ctx, address, &table, &vaddr) != UNWIND_CODE_TABLE) {
		return stop(state, UNWIND_END_NO_CFI);
	}
	return step_full(state, table, vaddr);
}

/* One frame: note its address, then find its caller. */
static enum step step(struct state *state)
{
	struct unwind_walk *walk = state->walk;
	bool is_exact = walk->count == 0 || state->was_signal;
	uint64_t address = state->regs.registers[CFI_RIP] - !is_exact;
	struct unwind_rule rule;
	enum unwind_code code = look_up(state, address, is_exact, &rule);

	if (code == UNWIND_CODE_LATER) {
		return stop(state, UNWIND_END_LATER);
	}
	if (code == UNWIND_CODE_UNMAPPED && walk->count > 0) {
		return stop(state, UNWIND_END_UNMAPPED);
	}
	if (walk->count == walk->room) {
		return stop(state, UNWIND_END_DEPTH);
	}
	walk->ips[walk->count++] =
		rule.cfa == UNWIND_ROOT ? address + (uint64_t)(int64_t)rule.cfa_offset : address;
	walk->stack_used = state->regs.registers[CFI_RSP] - state->stack_start;
	if (code == UNWIND_CODE_UNMAPPED) {
		return stop(state, UNWIND_END_UNMAPPED);
	}
	if (rule.cfa == UNWIND_ROOT) {
		return stop(state, UNWIND_END_ROOT);
	}
	if (rule.cfa == UNWIND_NONE) {
		return step_frame_pointer(state);
	}
	if (rule.cfa == UNWIND_ESCAPE || state->is_full) {
		return step_escape(state, address);
	}
	return step_plain(state, &rule);
}

static void run(struct state *state)
{
	struct unwind_walk *walk = state->walk;

	memcpy(state->regs.registers, walk->registers, sizeof(walk->registers));
	state->regs.known = walk->known;
	state->was_signal = false;
	walk->count = 0;
	walk->by_frame_pointer = 0;
	walk->kept_pointer = 0;
	walk->end = UNWIND_END_BROKEN;
	while (step(state) == STEP_ON) {
	}
}

void unwind(struct unwind_walk *walk)
{
	struct state state = { .walk = walk, .stack_start = walk->registers[CFI_RSP] };

	state.regs.read = read_stack;
	state.regs.ctx = &state;
	walk->count = 0;
	walk->stack_used = 0;
	walk->end = UNWIND_END_BROKEN;
	if ((walk->known & BIT(CFI_RIP)) == 0 || (walk->known & BIT(CFI_RSP)) == 0) {
		return;
	}
	run(&state);
	if (state.wants_full && walk->count > 1) {
		state.is_full = true;
		run(&state);
	}
}

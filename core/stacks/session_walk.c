/* SPDX-License-Identifier: MIT */
/*
 * Samples that bring registers and a copy of the stack: walked as they come, so that no stack is kept, unless a mapping is
 * missing that the target's stream may still announce; then when the sample is resolved.
 */
#include "stacks/session.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#define PERF_REGISTERS 24
#define PERF_CS        10
#define CS_32BIT       0x23
#define NO_REGISTER    0xff

/** What a walk asks for code with. */
struct walk_context {
	struct pfc_stacks_session *session;
	struct space *space;
	uint64_t time_ns;
};

bool session_has_registers(const struct pfc_stack_sample *sample)
{
	return sample->struct_size >=
		       offsetof(struct pfc_stack_sample, stack_bytes) + sizeof(sample->stack_bytes) &&
	       sample->regs_mask != 0 && sample->regs != NULL && sample->stack_bytes > 0 &&
	       sample->stack != NULL;
}

/* The kernel's numbers of asm/perf_regs.h (x86) to DWARF's. */
static void take_registers(const struct pfc_stack_sample *sample, uint64_t *registers, uint32_t *ret_known)
{
	static const uint8_t numbers[PERF_REGISTERS] = {
		0,  3,           2,           1,           4,           5,           6,           7,
		16, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER,
		8,  9,           10,          11,          12,          13,          14,          15,
	};
	uint32_t known = 0;
	uint32_t at = 0;

	memset(registers, 0, CFI_REGISTERS * sizeof(*registers));
	for (unsigned bit = 0; bit < PERF_REGISTERS; bit++) {
		if ((sample->regs_mask & 1ULL << bit) == 0) {
			continue;
		}
		if (numbers[bit] != NO_REGISTER) {
			registers[numbers[bit]] = sample->regs[at];
			known |= 1U << numbers[bit];
		} else if (bit == PERF_CS && sample->regs[at] == CS_32BIT) {
			*ret_known = 0; /* tables here are of 64-bit code */
			return;
		}
		at++;
	}
	*ret_known = known;
}

static enum unwind_code find_code(void *ctx, uint64_t address, struct unwind_table **ret_table,
				  uint64_t *ret_vaddr)
{
	struct walk_context *context = ctx;
	struct pfc_stacks_session *session = context->session;
	const struct space_map *map = space_find(&session->spaces, context->space, context->time_ns, address);
	struct module_mapping mapping;
	struct module *module;

	if (map == NULL) {
		return UNWIND_CODE_UNMAPPED;
	}
	mapping = (struct module_mapping){ map->pid, map->start, map->end, map->offset };
	switch (modules_use(&session->modules, map->module, &mapping, session->target, &session->intern)) {
	case 0:
		break;
	case PFC_EAGAIN:
		return UNWIND_CODE_LATER;
	default:
		return UNWIND_CODE_BARE;
	}
	module = &session->modules.rows[map->module];
	*ret_table = module_table(module);
	*ret_vaddr = module_address(module, &mapping, address);
	return *ret_table != NULL ? UNWIND_CODE_TABLE : UNWIND_CODE_BARE;
}

static void walk_in(struct pfc_stacks_session *session, struct space *space, uint64_t time_ns,
		    struct unwind_walk *walk)
{
	struct walk_context context = { session, space, time_ns };

	walk->code = find_code;
	walk->ctx = &context;
	walk->cache = session->rules;
	walk->ips = session->walked_ips;
	walk->room = SESSION_DEPTH;
	/* A space that is ahead of the sample answers by its past: nothing to cache. */
	walk->stamp =
		space_advance(&session->spaces, space, time_ns) ? space->stamp : ++session->spaces.next_stamp;
	unwind(walk);
	walk->ctx = NULL;
}

static void count_walk(struct pfc_stacks_session *session, const struct unwind_walk *walk)
{
	session->counts.by_frame_pointer += walk->by_frame_pointer;
	if (walk->end != UNWIND_END_ROOT) {
		return;
	}
	session->counts.walked_whole++;
	session->counts.whole_steps += walk->count - 1;
	session->counts.kept_pointer += walk->kept_pointer;
	session->counts.whole_by_pointer += walk->kept_pointer + 1 == walk->count;
	session->counts.stack_bytes_used += walk->stack_used;
	if (walk->stack_used > session->counts.stack_bytes_max) {
		session->counts.stack_bytes_max = walk->stack_used;
	}
}

/* Keep registers and stack for later. */
static int hold(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
		const struct unwind_walk *walk)
{
	struct pfc_stack_sample plain = *sample;
	struct pending_stack *stack;
	int status;

	stack = malloc(sizeof(*stack) + walk->stack_bytes);
	if (stack == NULL) {
		return PFC_ENOMEM;
	}
	memcpy(stack->registers, walk->registers, sizeof(stack->registers));
	stack->known = walk->known;
	stack->bytes = walk->stack_bytes;
	memcpy(stack->data, walk->stack, walk->stack_bytes);
	plain.user_ip_count = 0;
	status = pending_add(&session->pending, &plain);
	if (status != 0) {
		free(stack);
		return status;
	}
	session->pending.rows[session->pending.count - 1].flags |= PENDING_WALKED;
	pending_hold(&session->pending, stack);
	return 0;
}

static int add_walked(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
		      const struct unwind_walk *walk, uint64_t space_id)
{
	struct pfc_stack_sample plain = *sample;
	struct pending *row;
	int status;

	plain.user_ips = session->walked_ips;
	plain.user_ip_count = walk->count;
	status = pending_add(&session->pending, &plain);
	if (status != 0) {
		return status;
	}
	count_walk(session, walk);
	row = &session->pending.rows[session->pending.count - 1];
	row->flags |= PENDING_WALKED;
	row->end = walk->end;
	row->space_id = space_id;
	return 0;
}

/* Walk by the mappings as far as they are known. PFC_EAGAIN: one is missing that may still be announced. */
static int walk_known(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
		      struct unwind_walk *walk, struct space **ret_space)
{
	struct space *space = spaces_at(&session->spaces, sample->pid, sample->time_ns);
	uint64_t stamp = session->spaces.next_stamp;
	int status = 0;

	if (session->rules == NULL) {
		session->rules = calloc(UNWIND_CACHE_SLOTS, sizeof(*session->rules));
		if (session->rules == NULL) {
			return PFC_ENOMEM;
		}
		session->modules.wants_tables = true;
	}
	take_registers(sample, walk->registers, &walk->known);
	walk->end = UNWIND_END_UNMAPPED;
	if (space != NULL) {
		walk_in(session, space, sample->time_ns, walk);
	}
	if (walk->end == UNWIND_END_UNMAPPED && session->target != NULL &&
	    session->sync_ns <= sample->time_ns) {
		session_drain(session);
		space = spaces_at(&session->spaces, sample->pid, sample->time_ns);
		if (session->spaces.next_stamp != stamp && space != NULL) {
			walk_in(session, space, sample->time_ns, walk);
		}
		status = walk->end == UNWIND_END_UNMAPPED && session->sync_ns <= sample->time_ns ? PFC_EAGAIN
												 : 0;
	}
	*ret_space = space;
	return walk->end == UNWIND_END_LATER ? PFC_EAGAIN : status;
}

/* Of a process that is not known, the innermost frame is all there is. */
static void keep_innermost(struct pfc_stacks_session *session, const struct space *space,
			   struct unwind_walk *walk)
{
	if (space == NULL && (walk->known & 1U << CFI_RIP) != 0) {
		session->walked_ips[0] = walk->registers[CFI_RIP];
		walk->count = 1;
	}
}

int session_add_walk(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample)
{
	struct unwind_walk walk = { .stack = sample->stack, .stack_bytes = sample->stack_bytes };
	struct space *space = NULL;
	bool may_hold = pending_may_hold(&session->pending, sample->stack_bytes);
	int status;

	session->modules.is_hurried = may_hold;
	status = walk_known(session, sample, &walk, &space);
	session->modules.is_hurried = false;
	if (status == PFC_EAGAIN && may_hold) {
		return hold(session, sample, &walk);
	}
	if (status != 0 && status != PFC_EAGAIN) {
		return status;
	}
	keep_innermost(session, space, &walk);
	return add_walked(session, sample, &walk, space != NULL ? space->id : 0);
}

int session_walk(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample,
		 struct pfc_stack_walk *ret)
{
	struct unwind_walk walk = { .stack = sample->stack, .stack_bytes = sample->stack_bytes };
	struct space *space = NULL;
	int status;

	if (!session_has_registers(sample)) {
		return PFC_EINVAL;
	}
	if ((sample->flags & PFC_STACK_FRESH) != 0 && session->target != NULL &&
	    session->sync_ns <= sample->time_ns) {
		session_drain(session);
	}
	status = walk_known(session, sample, &walk, &space);
	if (status == 0 && (sample->flags & PFC_STACK_FRESH) != 0 && session->sync_ns <= sample->time_ns) {
		status = PFC_EAGAIN; /* these mappings may be those of the program before */
	}
	if (status != 0 && status != PFC_EAGAIN) {
		return status;
	}
	keep_innermost(session, space, &walk);
	if (status == 0) {
		count_walk(session, &walk);
	}
	ret->count = walk.count < ret->room ? walk.count : ret->room;
	ret->walk_end = walk.count > ret->room ? UNWIND_END_DEPTH : walk.end;
	memcpy(ret->ips, session->walked_ips, ret->count * sizeof(*ret->ips));
	return status;
}

int session_add_walked(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample)
{
	const struct space *space = spaces_at(&session->spaces, sample->pid, sample->time_ns);
	bool has_end =
		sample->struct_size >= offsetof(struct pfc_stack_sample, walk_end) + sizeof(sample->walk_end);
	struct pfc_stack_sample plain = { .struct_size = 0 };
	struct pending *row;
	int status;

	memcpy(&plain, sample, sample->struct_size < sizeof(plain) ? sample->struct_size : sizeof(plain));
	plain.user_ip_count = sample->user_ip_count < SESSION_DEPTH ? sample->user_ip_count : SESSION_DEPTH;
	status = pending_add(&session->pending, &plain);
	if (status != 0) {
		return status;
	}
	row = &session->pending.rows[session->pending.count - 1];
	row->flags = (row->flags & ~(uint32_t)PFC_STACK_WALKED) | PENDING_WALKED;
	row->end = has_end && sample->walk_end < UNWIND_ENDS ? sample->walk_end : UNWIND_END_BROKEN;
	row->space_id = space != NULL ? space->id : 0;
	return 0;
}

uint32_t session_walk_held(struct pfc_stacks_session *session, struct space *space, struct pending *sample)
{
	const struct pending_stack *held = sample->held;
	struct unwind_walk walk = { .known = held->known, .stack = held->data, .stack_bytes = held->bytes };

	memcpy(walk.registers, held->registers, sizeof(walk.registers));
	if (space == NULL) {
		session->walked_ips[0] = walk.registers[CFI_RIP];
		sample->end = UNWIND_END_UNMAPPED;
		return (walk.known & 1U << CFI_RIP) != 0 ? 1 : 0;
	}
	walk_in(session, space, sample->time_ns, &walk);
	count_walk(session, &walk);
	sample->end = walk.end;
	return walk.count;
}

void session_stack_use(const struct pfc_stacks_session *session, struct pfc_stack_use *ret)
{
	ret->complete = session->counts.ends[UNWIND_END_ROOT];
	ret->cut = session->counts.ends[UNWIND_END_COPY];
	ret->max_bytes = session->counts.stack_bytes_max;
}

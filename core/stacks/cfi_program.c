/* SPDX-License-Identifier: MIT */
/* The programs of call frame information: each instruction changes the row, or ends it. */
#include <dwarf.h>

#include <profcore/status.h>

#include "stacks/cfi_cursor.h"

#define REMEMBER_MAX 8 /* nested remember_state; compilers nest once */

/* Registers beyond those kept (vector and flags) do not matter here. */
static void set_rule(struct cfi_row *row, uint64_t number, enum cfi_how how, int64_t offset)
{
	if (number < CFI_REGISTERS) {
		row->rules[number].how = (uint8_t)how;
		row->rules[number].offset = (int32_t)offset;
	}
}

static bool fits(int64_t offset)
{
	return offset == (int32_t)offset;
}

/** The program at work. */
struct machine {
	struct cfi_cursor cursor;
	const struct cfi_common *common;
	struct cfi_row *row;
	struct cfi_row saved[REMEMBER_MAX];
	unsigned saved_count;
	uint64_t advance; /* set by the last instruction: the row ends here */
	bool has_location;
	uint64_t location;
	uint64_t vaddr;
};

static void define_cfa(struct machine *machine, uint64_t number, int64_t offset)
{
	machine->cursor.failed = machine->cursor.failed || number >= CFI_REGISTERS || !fits(offset);
	machine->row->has_cfa_expression = false;
	machine->row->cfa_register = (uint8_t)number;
	machine->row->cfa_offset = (int32_t)offset;
}

static int64_t scaled(struct machine *machine, int64_t factored)
{
	int64_t offset = 0;

	machine->cursor.failed = machine->cursor.failed ||
				 __builtin_mul_overflow(factored, machine->common->data_factor, &offset);
	return offset;
}

/* Keeps where the expression is (its length first), and moves behind it. */
static int32_t take_expression(struct machine *machine)
{
	uint64_t place = machine->cursor.at;

	cfi_skip(&machine->cursor, cfi_take_uleb(&machine->cursor));
	machine->cursor.failed = machine->cursor.failed || place > INT32_MAX;
	return (int32_t)place;
}

static void offset_rule(struct machine *machine, enum cfi_how how, uint64_t number, int64_t factored)
{
	int64_t offset = scaled(machine, factored);

	if (!fits(offset)) {
		machine->cursor.failed = true;
		return;
	}
	set_rule(machine->row, number, how, offset);
}

static void cfa_instruction(struct machine *machine, uint8_t code)
{
	struct cfi_cursor *cursor = &machine->cursor;
	uint64_t number;

	switch (code) {
	case DW_CFA_def_cfa:
		number = cfi_take_uleb(cursor);
		define_cfa(machine, number, (int64_t)cfi_take_uleb(cursor));
		return;
	case DW_CFA_def_cfa_sf:
		number = cfi_take_uleb(cursor);
		define_cfa(machine, number, scaled(machine, cfi_take_sleb(cursor)));
		return;
	case DW_CFA_def_cfa_register:
		define_cfa(machine, cfi_take_uleb(cursor), machine->row->cfa_offset);
		return;
	case DW_CFA_def_cfa_offset:
		define_cfa(machine, machine->row->cfa_register, (int64_t)cfi_take_uleb(cursor));
		return;
	case DW_CFA_def_cfa_offset_sf:
		define_cfa(machine, machine->row->cfa_register, scaled(machine, cfi_take_sleb(cursor)));
		return;
	default: /* DW_CFA_def_cfa_expression */
		machine->row->cfa_offset = take_expression(machine);
		machine->row->has_cfa_expression = true;
		return;
	}
}

static void register_instruction(struct machine *machine, uint8_t code)
{
	struct cfi_cursor *cursor = &machine->cursor;
	uint64_t number = cfi_take_uleb(cursor);

	switch (code) {
	case DW_CFA_offset_extended:
		offset_rule(machine, CFI_AT, number, (int64_t)cfi_take_uleb(cursor));
		return;
	case DW_CFA_offset_extended_sf:
		offset_rule(machine, CFI_AT, number, cfi_take_sleb(cursor));
		return;
	case DW_CFA_GNU_negative_offset_extended:
		offset_rule(machine, CFI_AT, number, -(int64_t)(cfi_take_uleb(cursor) & INT64_MAX));
		return;
	case DW_CFA_val_offset:
		offset_rule(machine, CFI_IS, number, (int64_t)cfi_take_uleb(cursor));
		return;
	case DW_CFA_val_offset_sf:
		offset_rule(machine, CFI_IS, number, cfi_take_sleb(cursor));
		return;
	case DW_CFA_restore_extended:
		if (number < CFI_REGISTERS) {
			machine->row->rules[number] = machine->common->initial.rules[number];
		}
		return;
	case DW_CFA_undefined:
		set_rule(machine->row, number, CFI_UNDEFINED, 0);
		return;
	case DW_CFA_same_value:
		set_rule(machine->row, number, CFI_SAME, 0);
		return;
	case DW_CFA_register:
		set_rule(machine->row, number, CFI_IN, (int64_t)(cfi_take_uleb(cursor) & 0xff));
		return;
	case DW_CFA_expression:
		set_rule(machine->row, number, CFI_AT_EXPRESSION, take_expression(machine));
		return;
	default: /* DW_CFA_val_expression */
		set_rule(machine->row, number, CFI_IS_EXPRESSION, take_expression(machine));
		return;
	}
}

static void state_instruction(struct machine *machine, uint8_t code)
{
	uint64_t start = machine->row->start;
	uint64_t end = machine->row->end;

	if (code == DW_CFA_remember_state) {
		machine->cursor.failed = machine->cursor.failed || machine->saved_count == REMEMBER_MAX;
		if (!machine->cursor.failed) {
			machine->saved[machine->saved_count++] = *machine->row;
		}
		return;
	}
	machine->cursor.failed = machine->cursor.failed || machine->saved_count == 0;
	if (!machine->cursor.failed) {
		*machine->row = machine->saved[--machine->saved_count];
		machine->row->start = start;
		machine->row->end = end;
	}
}

static void extended_instruction(struct machine *machine, uint8_t code)
{
	struct cfi_cursor *cursor = &machine->cursor;

	switch (code) {
	case DW_CFA_nop:
		return;
	case DW_CFA_set_loc:
		machine->location =
			cfi_take_pointer(cursor, machine->vaddr, machine->common->pointer_encoding);
		machine->has_location = true;
		return;
	case DW_CFA_advance_loc1:
		machine->advance = cfi_take_fixed(cursor, 1) * machine->common->code_factor;
		return;
	case DW_CFA_advance_loc2:
		machine->advance = cfi_take_fixed(cursor, 2) * machine->common->code_factor;
		return;
	case DW_CFA_advance_loc4:
		machine->advance = cfi_take_fixed(cursor, 4) * machine->common->code_factor;
		return;
	case DW_CFA_remember_state:
	case DW_CFA_restore_state:
		state_instruction(machine, code);
		return;
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
	case DW_CFA_def_cfa_expression:
		cfa_instruction(machine, code);
		return;
	case DW_CFA_GNU_args_size:
		cfi_take_uleb(cursor);
		return;
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
	case DW_CFA_GNU_negative_offset_extended:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
	case DW_CFA_restore_extended:
	case DW_CFA_undefined:
	case DW_CFA_same_value:
	case DW_CFA_register:
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		register_instruction(machine, code);
		return;
	default:
		cursor->failed = true;
		return;
	}
}

static void instruction(struct machine *machine)
{
	struct cfi_cursor *cursor = &machine->cursor;
	uint8_t code = (uint8_t)cfi_take_fixed(cursor, 1);

	switch (code & 0xc0) {
	case DW_CFA_advance_loc:
		machine->advance = (code & 0x3fU) * machine->common->code_factor;
		return;
	case DW_CFA_offset:
		offset_rule(machine, CFI_AT, code & 0x3f, (int64_t)cfi_take_uleb(cursor));
		return;
	case DW_CFA_restore:
		if ((code & 0x3f) < CFI_REGISTERS) {
			machine->row->rules[code & 0x3f] = machine->common->initial.rules[code & 0x3f];
		}
		return;
	default:
		extended_instruction(machine, code);
		return;
	}
}

int cfi_interpret(const struct cfi_section *section, struct cfi_cursor program,
		  const struct cfi_common *common, struct cfi_row *row, cfi_row_fn on_row, void *ctx)
{
	struct machine machine;
	uint64_t end = row->end;
	int status;

	machine.cursor = program;
	machine.common = common;
	machine.row = row;
	machine.saved_count = 0;
	machine.vaddr = section->vaddr;
	while (machine.cursor.at < machine.cursor.end) {
		uint64_t next;

		machine.advance = 0;
		machine.has_location = false;
		instruction(&machine);
		if (machine.cursor.failed) {
			return PFC_ECORRUPT;
		}
		if (machine.advance == 0 && !machine.has_location) {
			continue;
		}
		next = machine.has_location ? machine.location : row->start + machine.advance;
		if (on_row == NULL || next < row->start) {
			return PFC_ECORRUPT;
		}
		if (next >= end) {
			break;
		}
		if (next == row->start) {
			continue;
		}
		row->end = next;
		status = on_row(ctx, row);
		if (status != 0) {
			return status;
		}
		row->start = next;
	}
	if (on_row == NULL) {
		return 0;
	}
	row->end = end;
	return on_row(ctx, row);
}

/* SPDX-License-Identifier: MIT */
#include "stacks/cfi.h"

#include <dwarf.h>
#include <string.h>

#include <profcore/status.h>

#define REMEMBER_MAX 8 /* nested remember_state; compilers nest once */

/** A reader of the section; running out sticks. */
struct cursor {
	const uint8_t *data;
	uint64_t at, end;
	bool failed;
};

static uint64_t take_fixed(struct cursor *cursor, unsigned bytes)
{
	uint64_t value = 0;

	if (cursor->failed || cursor->end - cursor->at < bytes) {
		cursor->failed = true;
		return 0;
	}
	memcpy(&value, cursor->data + cursor->at, bytes);
	cursor->at += bytes;
	return value;
}

static uint64_t take_uleb(struct cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (!cursor->failed && cursor->at < cursor->end) {
		uint8_t byte = cursor->data[cursor->at++];

		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
		if ((byte & 0x80) == 0) {
			return value;
		}
	}
	cursor->failed = true;
	return 0;
}

static int64_t take_sleb(struct cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (!cursor->failed && cursor->at < cursor->end) {
		uint8_t byte = cursor->data[cursor->at++];

		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		shift += 7;
		if ((byte & 0x80) == 0) {
			if (shift < 64 && (byte & 0x40) != 0) {
				value |= ~0ULL << shift;
			}
			return (int64_t)value;
		}
	}
	cursor->failed = true;
	return 0;
}

static void skip(struct cursor *cursor, uint64_t bytes)
{
	if (cursor->failed || cursor->end - cursor->at < bytes) {
		cursor->failed = true;
		return;
	}
	cursor->at += bytes;
}

/* A pointer as DW_EH_PE_... says. Data- and text-relative ones do not occur in frames of x86-64 files. */
static uint64_t take_pointer(struct cursor *cursor, uint64_t vaddr, uint8_t encoding)
{
	uint64_t place = vaddr + cursor->at;
	uint64_t value;

	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		value = take_fixed(cursor, 8);
		break;
	case DW_EH_PE_udata4:
		value = take_fixed(cursor, 4);
		break;
	case DW_EH_PE_sdata4:
		value = (uint64_t)(int64_t)(int32_t)take_fixed(cursor, 4);
		break;
	case DW_EH_PE_udata2:
		value = take_fixed(cursor, 2);
		break;
	case DW_EH_PE_sdata2:
		value = (uint64_t)(int64_t)(int16_t)take_fixed(cursor, 2);
		break;
	case DW_EH_PE_uleb128:
		value = take_uleb(cursor);
		break;
	case DW_EH_PE_sleb128:
		value = (uint64_t)take_sleb(cursor);
		break;
	default:
		cursor->failed = true;
		return 0;
	}
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
		return value;
	case DW_EH_PE_pcrel:
		return value + place;
	default:
		cursor->failed = true;
		return 0;
	}
}

/* Length, and the end of the entry it opens. False: the end of the section or nonsense. */
static bool open_entry(const struct cfi_section *section, uint64_t offset, struct cursor *ret, bool *ret_wide)
{
	struct cursor cursor = { section->data, offset, section->bytes, false };
	uint64_t length = take_fixed(&cursor, 4);
	bool wide = length == 0xffffffff;

	if (wide) {
		length = take_fixed(&cursor, 8);
	}
	if (cursor.failed || length == 0 || length > cursor.end - cursor.at) {
		return false;
	}
	cursor.end = cursor.at + length;
	*ret = cursor;
	*ret_wide = wide;
	return true;
}

static void take_augmentation(const struct cfi_section *section, struct cursor *cursor, const char *text,
			      struct cfi_common *common)
{
	uint64_t data_bytes, after;

	common->pointer_encoding = DW_EH_PE_absptr;
	if (text[0] != 'z') {
		cursor->failed = cursor->failed || text[0] != '\0';
		return;
	}
	common->has_augmentation = true;
	data_bytes = take_uleb(cursor);
	if (cursor->failed || data_bytes > cursor->end - cursor->at) {
		cursor->failed = true;
		return;
	}
	after = cursor->at + data_bytes;
	for (text++; *text != '\0'; text++) {
		uint8_t encoding;

		switch (*text) {
		case 'R':
			common->pointer_encoding = (uint8_t)take_fixed(cursor, 1);
			break;
		case 'P':
			encoding = (uint8_t)take_fixed(cursor, 1);
			take_pointer(cursor, section->vaddr, encoding & 0x7f);
			break;
		case 'L':
			take_fixed(cursor, 1);
			break;
		case 'S':
			common->is_signal_frame = true;
			break;
		default: /* 'B', and what is to come: the length says where it ends */
			break;
		}
	}
	cursor->at = after;
}

static int interpret(const struct cfi_section *section, struct cursor program,
		     const struct cfi_common *common, struct cfi_row *row, cfi_row_fn on_row, void *ctx);

static int read_common(const struct cfi_section *section, uint64_t offset, struct cfi_common *common)
{
	struct cfi_common read = { .offset = offset };
	struct cursor cursor;
	const char *text;
	uint64_t version;
	bool wide;

	if (common->offset == offset) {
		return 0;
	}
	if (!open_entry(section, offset, &cursor, &wide)) {
		return PFC_ECORRUPT;
	}
	take_fixed(&cursor, wide && section->is_debug_frame ? 8 : 4);
	version = take_fixed(&cursor, 1);
	text = (const char *)cursor.data + cursor.at;
	if (cursor.failed || memchr(text, '\0', cursor.end - cursor.at) == NULL || version == 0 ||
	    version > 4) {
		return PFC_ECORRUPT;
	}
	skip(&cursor, strlen(text) + 1);
	if (version == 4) {
		skip(&cursor, 2); /* address and segment size */
	}
	read.code_factor = take_uleb(&cursor);
	read.data_factor = take_sleb(&cursor);
	if ((version == 1 ? take_fixed(&cursor, 1) : take_uleb(&cursor)) != CFI_RIP) {
		return PFC_ECORRUPT;
	}
	take_augmentation(section, &cursor, text, &read);
	if (cursor.failed) {
		return PFC_ECORRUPT;
	}
	read.program = cursor.at;
	read.program_end = cursor.end;
	read.initial.is_signal_frame = read.is_signal_frame;
	if (interpret(section, cursor, &read, &read.initial, NULL, NULL) != 0) {
		return PFC_ECORRUPT;
	}
	*common = read;
	return 0;
}

int cfi_next(const struct cfi_section *section, uint64_t *offset, struct cfi_common *common,
	     struct cfi_entry *ret)
{
	struct cfi_entry entry;
	struct cursor cursor;
	uint64_t id, id_at, bytes;
	bool wide;

	if (*offset >= section->bytes || section->bytes - *offset < 4) {
		return PFC_ENOENT;
	}
	if (!open_entry(section, *offset, &cursor, &wide)) {
		struct cursor length = { section->data, *offset, section->bytes, false };

		return take_fixed(&length, 4) == 0 ? PFC_ENOENT : PFC_ECORRUPT;
	}
	*offset = cursor.end;
	id_at = cursor.at;
	id = take_fixed(&cursor, wide && section->is_debug_frame ? 8 : 4);
	if (section->is_debug_frame ? id >= 0xffffffff : id == 0) {
		return 0; /* a common entry: read when one refers to it */
	}
	entry.common = section->is_debug_frame ? id : id_at - id;
	if (cursor.failed || entry.common >= section->bytes ||
	    read_common(section, entry.common, common) != 0) {
		return 0;
	}
	entry.start = take_pointer(&cursor, section->vaddr, common->pointer_encoding);
	bytes = take_pointer(&cursor, section->vaddr, common->pointer_encoding & 0x0f);
	if (common->has_augmentation) {
		skip(&cursor, take_uleb(&cursor));
	}
	entry.end = entry.start + bytes;
	entry.program = cursor.at;
	entry.program_end = cursor.end;
	if (cursor.failed || entry.end <= entry.start) {
		return 0;
	}
	*ret = entry;
	return 1;
}

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
	struct cursor cursor;
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

	skip(&machine->cursor, take_uleb(&machine->cursor));
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
	struct cursor *cursor = &machine->cursor;
	uint64_t number;

	switch (code) {
	case DW_CFA_def_cfa:
		number = take_uleb(cursor);
		define_cfa(machine, number, (int64_t)take_uleb(cursor));
		return;
	case DW_CFA_def_cfa_sf:
		number = take_uleb(cursor);
		define_cfa(machine, number, scaled(machine, take_sleb(cursor)));
		return;
	case DW_CFA_def_cfa_register:
		define_cfa(machine, take_uleb(cursor), machine->row->cfa_offset);
		return;
	case DW_CFA_def_cfa_offset:
		define_cfa(machine, machine->row->cfa_register, (int64_t)take_uleb(cursor));
		return;
	case DW_CFA_def_cfa_offset_sf:
		define_cfa(machine, machine->row->cfa_register, scaled(machine, take_sleb(cursor)));
		return;
	default: /* DW_CFA_def_cfa_expression */
		machine->row->cfa_offset = take_expression(machine);
		machine->row->has_cfa_expression = true;
		return;
	}
}

static void register_instruction(struct machine *machine, uint8_t code)
{
	struct cursor *cursor = &machine->cursor;
	uint64_t number = take_uleb(cursor);

	switch (code) {
	case DW_CFA_offset_extended:
		offset_rule(machine, CFI_AT, number, (int64_t)take_uleb(cursor));
		return;
	case DW_CFA_offset_extended_sf:
		offset_rule(machine, CFI_AT, number, take_sleb(cursor));
		return;
	case DW_CFA_GNU_negative_offset_extended:
		offset_rule(machine, CFI_AT, number, -(int64_t)(take_uleb(cursor) & INT64_MAX));
		return;
	case DW_CFA_val_offset:
		offset_rule(machine, CFI_IS, number, (int64_t)take_uleb(cursor));
		return;
	case DW_CFA_val_offset_sf:
		offset_rule(machine, CFI_IS, number, take_sleb(cursor));
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
		set_rule(machine->row, number, CFI_IN, (int64_t)(take_uleb(cursor) & 0xff));
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
	struct cursor *cursor = &machine->cursor;

	switch (code) {
	case DW_CFA_nop:
		return;
	case DW_CFA_set_loc:
		machine->location = take_pointer(cursor, machine->vaddr, machine->common->pointer_encoding);
		machine->has_location = true;
		return;
	case DW_CFA_advance_loc1:
		machine->advance = take_fixed(cursor, 1) * machine->common->code_factor;
		return;
	case DW_CFA_advance_loc2:
		machine->advance = take_fixed(cursor, 2) * machine->common->code_factor;
		return;
	case DW_CFA_advance_loc4:
		machine->advance = take_fixed(cursor, 4) * machine->common->code_factor;
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
		take_uleb(cursor);
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
	struct cursor *cursor = &machine->cursor;
	uint8_t code = (uint8_t)take_fixed(cursor, 1);

	switch (code & 0xc0) {
	case DW_CFA_advance_loc:
		machine->advance = (code & 0x3fU) * machine->common->code_factor;
		return;
	case DW_CFA_offset:
		offset_rule(machine, CFI_AT, code & 0x3f, (int64_t)take_uleb(cursor));
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

/* Without on_row: the initial instructions, which must not advance. */
static int interpret(const struct cfi_section *section, struct cursor program,
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

int cfi_run(const struct cfi_section *section, const struct cfi_entry *entry, struct cfi_common *common,
	    cfi_row_fn on_row, void *ctx)
{
	struct cursor program = { section->data, entry->program, entry->program_end, false };
	struct cfi_row row;

	if (read_common(section, entry->common, common) != 0) {
		return PFC_ECORRUPT;
	}
	row = common->initial;
	row.start = entry->start;
	row.end = entry->end;
	return interpret(section, program, common, &row, on_row, ctx);
}

struct search {
	uint64_t address;
	struct cfi_row *ret;
};

static int match_row(void *ctx, const struct cfi_row *row)
{
	struct search *search = ctx;

	if (search->address < row->start || search->address >= row->end) {
		return 0;
	}
	*search->ret = *row;
	return 1;
}

int cfi_find(const struct cfi_section *section, const struct cfi_entry *entry, struct cfi_common *common,
	     uint64_t address, struct cfi_row *ret)
{
	struct search search = { address, ret };
	int status = cfi_run(section, entry, common, match_row, &search);

	return status == 1 ? 0 : status == 0 ? PFC_ENOENT : status;
}

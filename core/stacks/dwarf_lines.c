/* SPDX-License-Identifier: MIT */
#include "stacks/dwarf_lines.h"

#include <dwarf.h>
#include <stdlib.h>

#include <profcore/status.h>

#include "stacks/dwarf_entry.h"
#include "stacks/hash.h"

#define PROGRAM_BYTES_MAX (256ULL << 20)
#define FILES_MAX         (1U << 20)
#define PATH_BYTES_MAX    8192U

/** What the header says of the program. */
struct header {
	struct dwarf_cursor program; /* behind the header */
	struct dwarf_unit unit;      /* the forms here are of this format, not of the unit's */
	uint8_t least_bytes, line_range, opcode_base;
	int8_t line_base;
	const uint8_t *operand_counts; /* of opcode n at n - 1 */
	const char **folders;
	uint32_t folder_count, folder_room;
};

static int add_file(struct dwarf_lines *lines, const struct header *header, const char *name, uint64_t folder)
{
	struct dwarf_source source = { .name = name };

	if (lines->file_count >= FILES_MAX) {
		return PFC_ECORRUPT;
	}
	source.folder = folder < header->folder_count ? header->folders[folder] : NULL;
	if (array_reserve(&lines->files, &lines->file_room, (uint64_t)lines->file_count + 1,
			  sizeof(source)) != 0) {
		return PFC_ENOMEM;
	}
	lines->files[lines->file_count++] = source;
	return 0;
}

static int add_folder(struct header *header, const char *name)
{
	if (header->folder_count >= FILES_MAX) {
		return PFC_ECORRUPT;
	}
	if (array_reserve(&header->folders, &header->folder_room, (uint64_t)header->folder_count + 1,
			  sizeof(*header->folders)) != 0) {
		return PFC_ENOMEM;
	}
	header->folders[header->folder_count++] = name;
	return 0;
}

/* Folders, then files, each list ended by an empty text: DWARF 2 to 4. Folder 0 is the unit's, file 0 none. */
static int read_old_tables(struct dwarf_cursor *cursor, const char *directory, struct header *header,
			   struct dwarf_lines *lines)
{
	int status = add_folder(header, directory);
	const char *name;

	while (status == 0 && (name = cursor_text(cursor))[0] != '\0') {
		status = add_folder(header, name);
	}
	status = status == 0 ? add_file(lines, header, NULL, UINT64_MAX) : status;
	while (status == 0 && (name = cursor_text(cursor))[0] != '\0') {
		uint64_t folder = cursor_uleb(cursor);

		cursor_uleb(cursor); /* its time */
		cursor_uleb(cursor); /* its size */
		status = add_file(lines, header, name, folder);
	}
	return status != 0 ? status : cursor->is_bad ? PFC_ECORRUPT : 0;
}

/* One of the two tables of DWARF 5: what a row consists of, then the rows. */
static int read_new_table(struct dwarf_file *file, struct dwarf_cursor *cursor, struct header *header,
			  struct dwarf_lines *lines)
{
	struct dwarf_attribute columns[16];
	uint64_t column_count = cursor_number(cursor, 1);
	uint64_t count;
	int status = 0;

	if (column_count > sizeof(columns) / sizeof(columns[0])) {
		return PFC_ENOTSUP;
	}
	for (uint64_t i = 0; i < column_count; i++) {
		uint64_t name = cursor_uleb(cursor);
		uint64_t form = cursor_uleb(cursor);

		int bytes = form <= UINT16_MAX ? dwarf_form_bytes(&header->unit, (uint16_t)form) : -2;

		if (bytes == -2 || form == DW_FORM_implicit_const) {
			return PFC_ENOTSUP;
		}
		columns[i] = (struct dwarf_attribute){ .name = name <= UINT16_MAX ? (uint16_t)name : 0,
						       .form = (uint16_t)form,
						       .bytes = (int8_t)bytes };
	}
	count = cursor_uleb(cursor);
	if (count > 0 && column_count == 0) {
		return PFC_ECORRUPT;
	}
	for (uint64_t row = 0; row < count && status == 0; row++) {
		struct dwarf_value value;
		const char *name = NULL;
		uint64_t folder = UINT64_MAX;

		for (uint64_t i = 0; i < column_count; i++) {
			dwarf_value_read(&header->unit, &columns[i], cursor, &value);
			if (columns[i].name == DW_LNCT_path) {
				name = dwarf_value_text(file, &header->unit, &value);
			} else if (columns[i].name == DW_LNCT_directory_index) {
				folder = value.number;
			}
		}
		if (cursor->is_bad) {
			return PFC_ECORRUPT;
		}
		status = lines != NULL ? add_file(lines, header, name, folder) : add_folder(header, name);
	}
	return status;
}

static int read_header(struct dwarf_file *file, const struct dwarf_unit *unit, struct header *ret,
		       struct dwarf_cursor *ret_tables)
{
	struct dwarf_bytes *part = &file->parts[DWARF_LINE];
	uint64_t left = unit->lines_at < part->bytes ? part->bytes - unit->lines_at : 0;
	const uint8_t *data = dwarf_file_bytes(file, DWARF_LINE, unit->lines_at, left < 12 ? left : 12);
	struct dwarf_cursor cursor;
	uint64_t bytes, header_bytes;

	if (data == NULL || left < 12) {
		return PFC_ECORRUPT;
	}
	cursor = (struct dwarf_cursor){ .at = data, .end = data + 12 };
	ret->unit = *unit;
	ret->unit.offset_bytes = 4;
	bytes = cursor_number(&cursor, 4);
	if (bytes == 0xffffffff) {
		ret->unit.offset_bytes = 8;
		bytes = cursor_number(&cursor, 8);
	}
	bytes += (uint64_t)(cursor.at - data);
	data = bytes <= PROGRAM_BYTES_MAX ? dwarf_file_bytes(file, DWARF_LINE, unit->lines_at, bytes) : NULL;
	if (data == NULL) {
		return PFC_ECORRUPT;
	}
	cursor = (struct dwarf_cursor){ .at = data + (ret->unit.offset_bytes == 8 ? 12 : 4),
					.end = data + bytes };
	ret->unit.version = (uint8_t)cursor_number(&cursor, 2);
	if (ret->unit.version < 2 || ret->unit.version > 5) {
		return PFC_ENOTSUP;
	}
	if (ret->unit.version >= 5) {
		cursor_skip(&cursor, 2); /* sizes of addresses and of segment selectors */
	}
	header_bytes = cursor_number(&cursor, ret->unit.offset_bytes);
	if (cursor.is_bad || header_bytes > cursor_left(&cursor)) {
		return PFC_ECORRUPT;
	}
	ret->program = (struct dwarf_cursor){ .at = cursor.at + header_bytes, .end = cursor.end };
	cursor.end = ret->program.at;
	ret->least_bytes = (uint8_t)cursor_number(&cursor, 1);
	if (ret->unit.version >= 4 && cursor_number(&cursor, 1) > 1) {
		return PFC_ENOTSUP; /* several operations in an instruction: not on x86 */
	}
	cursor_skip(&cursor, 1); /* whether rows begin statements */
	ret->line_base = (int8_t)cursor_number(&cursor, 1);
	ret->line_range = (uint8_t)cursor_number(&cursor, 1);
	ret->opcode_base = (uint8_t)cursor_number(&cursor, 1);
	ret->operand_counts = cursor.at;
	cursor_skip(&cursor, ret->opcode_base > 0 ? ret->opcode_base - 1U : 0);
	if (cursor.is_bad || ret->line_range == 0 || ret->opcode_base == 0) {
		return PFC_ECORRUPT;
	}
	*ret_tables = cursor;
	return 0;
}

/** The machine that a line program runs on. */
struct machine {
	const struct header *header;
	dwarf_row_fn on_row;
	void *ctx;
	uint64_t address, file, line;
	/* the row before, which ends where the next begins */
	bool has_row, is_left_out; /* code at address 0 is what the linker left out */
	uint64_t row_address, row_file, row_line;
};

static void reset(struct machine *machine)
{
	machine->address = 0;
	machine->file = 1;
	machine->line = 1;
	machine->has_row = false;
	machine->is_left_out = false;
}

/* False: the caller wants no more. */
static bool emit_row(struct machine *machine)
{
	bool goes_on = true;

	if (!machine->has_row) {
		machine->is_left_out = machine->address == 0;
	} else if (machine->row_address < machine->address && !machine->is_left_out) {
		goes_on = machine->on_row(machine->ctx, machine->row_address, machine->address,
					  machine->row_file, machine->row_line);
	}
	machine->has_row = true;
	machine->row_address = machine->address;
	machine->row_file = machine->file;
	machine->row_line = machine->line;
	return goes_on;
}

static bool run_extended(struct machine *machine, struct dwarf_cursor *cursor)
{
	uint64_t bytes = cursor_uleb(cursor);
	struct dwarf_cursor operands = { .at = cursor->at };
	bool goes_on = true;

	if (bytes == 0 || bytes > cursor_left(cursor)) {
		cursor->is_bad = true;
		return false;
	}
	operands.end = cursor->at + bytes;
	cursor->at += bytes;
	switch (cursor_number(&operands, 1)) {
	case DW_LNE_end_sequence:
		goes_on = emit_row(machine);
		reset(machine);
		break;
	case DW_LNE_set_address:
		machine->address = cursor_number(&operands, 8);
		break;
	default:
		break;
	}
	cursor->is_bad = cursor->is_bad || operands.is_bad;
	return goes_on;
}

static bool run_standard(struct machine *machine, uint8_t opcode, struct dwarf_cursor *cursor)
{
	const struct header *header = machine->header;

	switch (opcode) {
	case DW_LNS_copy:
		return emit_row(machine);
	case DW_LNS_advance_pc:
		machine->address += cursor_uleb(cursor) * header->least_bytes;
		return true;
	case DW_LNS_advance_line:
		machine->line += (uint64_t)cursor_sleb(cursor);
		return true;
	case DW_LNS_set_file:
		machine->file = cursor_uleb(cursor);
		return true;
	case DW_LNS_const_add_pc:
		machine->address +=
			(uint64_t)((255 - header->opcode_base) / header->line_range) * header->least_bytes;
		return true;
	case DW_LNS_fixed_advance_pc:
		machine->address += cursor_number(cursor, 2);
		return true;
	default:
		for (unsigned i = 0; i < header->operand_counts[opcode - 1]; i++) {
			cursor_uleb(cursor);
		}
		return true;
	}
}

static int run(struct machine *machine)
{
	const struct header *header = machine->header;
	struct dwarf_cursor cursor = header->program;
	bool goes_on = true;

	reset(machine);
	while (goes_on && cursor.at < cursor.end && !cursor.is_bad) {
		uint8_t opcode = *cursor.at++;

		if (opcode >= header->opcode_base) {
			unsigned operand = (unsigned)opcode - header->opcode_base;

			machine->address += (uint64_t)(operand / header->line_range) * header->least_bytes;
			machine->line +=
				(uint64_t)(int64_t)(header->line_base + (int)(operand % header->line_range));
			goes_on = emit_row(machine);
		} else {
			goes_on = opcode == 0 ? run_extended(machine, &cursor)
					      : run_standard(machine, opcode, &cursor);
		}
	}
	return cursor.is_bad ? PFC_ECORRUPT : 0;
}

int dwarf_lines_run(struct dwarf_file *file, const struct dwarf_unit *unit, const char *directory,
		    dwarf_row_fn on_row, void *ctx, struct dwarf_lines *ret)
{
	struct header header = { .folders = NULL };
	struct machine machine = { .header = &header, .on_row = on_row, .ctx = ctx };
	struct dwarf_cursor tables;
	int status;

	memset(ret, 0, sizeof(*ret));
	status = read_header(file, unit, &header, &tables);
	if (status == 0 && header.unit.version < 5) {
		status = read_old_tables(&tables, directory, &header, ret);
	} else if (status == 0) {
		status = read_new_table(file, &tables, &header, NULL);
		status = status == 0 ? read_new_table(file, &tables, &header, ret) : status;
	}
	if (status == 0) {
		status = run(&machine);
	}
	free(header.folders);
	return status;
}

void dwarf_lines_finish(struct dwarf_lines *lines)
{
	free(lines->files);
	memset(lines, 0, sizeof(*lines));
}

const char *dwarf_lines_path(struct dwarf_file *file, struct dwarf_lines *lines, uint64_t number)
{
	struct dwarf_source *source = number < lines->file_count ? &lines->files[number] : NULL;
	size_t folder_bytes, name_bytes;
	char *path;

	if (source == NULL || source->name == NULL || source->name[0] == '/' || source->folder == NULL) {
		return source != NULL ? source->name : NULL;
	}
	if (source->path == NULL) {
		folder_bytes = strlen(source->folder);
		name_bytes = strlen(source->name);
		path = folder_bytes + name_bytes < PATH_BYTES_MAX
			       ? dwarf_file_room(file, folder_bytes + name_bytes + 2)
			       : NULL;
		if (path == NULL) {
			return source->name;
		}
		memcpy(path, source->folder, folder_bytes);
		path[folder_bytes] = '/';
		memcpy(path + folder_bytes + 1, source->name, name_bytes + 1);
		source->path = path;
	}
	return source->path;
}

/* SPDX-License-Identifier: MIT */
/* The chain of one address: its function and what is inlined there, with names and lines. */
#include "stacks/dwarf_libdw.h"

#include <dwarf.h>
#include <string.h>

static void take_names(Dwarf_Die *die, struct dwarf_frame *frame)
{
	Dwarf_Attribute attribute;

	frame->linkage_name = NULL;
	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) != NULL) {
		frame->linkage_name = dwarf_formstring(&attribute);
	}
	frame->name = dwarf_diename(die);
}

static void take_call_site(Dwarf_Die *unit, Dwarf_Die *die, struct dwarf_frame *caller)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	Dwarf_Files *files;
	size_t file_count;

	caller->file = NULL;
	caller->line = 0;
	if (dwarf_attr(die, DW_AT_call_line, &attribute) != NULL &&
	    dwarf_formudata(&attribute, &value) == 0) {
		caller->line = value <= UINT32_MAX ? (uint32_t)value : 0;
	}
	if (dwarf_attr(die, DW_AT_call_file, &attribute) != NULL &&
	    dwarf_formudata(&attribute, &value) == 0 && dwarf_getsrcfiles(unit, &files, &file_count) == 0 &&
	    value < file_count) {
		caller->file = dwarf_filesrc(files, value, NULL, NULL);
	}
}

static void take_line(Dwarf_Die *unit, uint64_t address, struct dwarf_frame *frame)
{
	Dwarf_Line *row = dwarf_getsrc_die(unit, address);
	int line = 0;

	frame->file = NULL;
	frame->line = 0;
	if (row != NULL && dwarf_lineno(row, &line) == 0 && line >= 0) {
		/* Line 0: code that the compiler made for no line in particular; the file is still right. */
		frame->file = dwarf_linesrc(row, NULL, NULL);
		frame->line = (uint32_t)line;
	}
}

/* Build the chain of one address, innermost first, then turn it round. */
int dwarf_report(struct batch *batch, uint32_t index)
{
	struct dwarf_frame inner_first[DWARF_CHAIN_MAX];
	struct dwarf_frame frames[DWARF_CHAIN_MAX];
	Dwarf_Die *unit = &batch->units[batch->unit].die;
	uint32_t scope = batch->places[index].scope;
	uint32_t count = 0;

	memset(inner_first, 0, sizeof(inner_first[0]));
	take_line(unit, batch->request->addresses[index], &inner_first[0]);
	while (scope != 0 && count < DWARF_CHAIN_MAX) {
		struct scope *at = &batch->scopes[scope];

		take_names(&at->die, &inner_first[count++]);
		if (!at->is_inlined || count == DWARF_CHAIN_MAX) {
			break;
		}
		take_call_site(unit, &at->die, &inner_first[count]);
		scope = at->parent;
	}
	if (count == 0 && inner_first[0].file == NULL) {
		return 0;
	}
	count = count > 0 ? count : 1;
	for (uint32_t i = 0; i < count; i++) {
		frames[i] = inner_first[count - 1 - i];
		frames[i].directory = batch->directory;
	}
	return batch->request->on_chain(batch->request->ctx, index, frames, count);
}

/* SPDX-License-Identifier: MIT */
#include "stacks/cfi.h"

#include <dwarf.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/cfi_cursor.h"

/* A pointer as DW_EH_PE_... says. Data- and text-relative ones do not occur in frames of x86-64 files. */
uint64_t cfi_take_pointer(struct cfi_cursor *cursor, uint64_t vaddr, uint8_t encoding)
{
	uint64_t place = vaddr + cursor->at;
	uint64_t value;

	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		value = cfi_take_fixed(cursor, 8);
		break;
	case DW_EH_PE_udata4:
		value = cfi_take_fixed(cursor, 4);
		break;
	case DW_EH_PE_sdata4:
		value = (uint64_t)(int64_t)(int32_t)cfi_take_fixed(cursor, 4);
		break;
	case DW_EH_PE_udata2:
		value = cfi_take_fixed(cursor, 2);
		break;
	case DW_EH_PE_sdata2:
		value = (uint64_t)(int64_t)(int16_t)cfi_take_fixed(cursor, 2);
		break;
	case DW_EH_PE_uleb128:
		value = cfi_take_uleb(cursor);
		break;
	case DW_EH_PE_sleb128:
		value = (uint64_t)cfi_take_sleb(cursor);
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
static bool open_entry(const struct cfi_section *section, uint64_t offset, struct cfi_cursor *ret,
		       bool *ret_wide)
{
	struct cfi_cursor cursor = { section->data, offset, section->bytes, false };
	uint64_t length = cfi_take_fixed(&cursor, 4);
	bool wide = length == 0xffffffff;

	if (wide) {
		length = cfi_take_fixed(&cursor, 8);
	}
	if (cursor.failed || length == 0 || length > cursor.end - cursor.at) {
		return false;
	}
	cursor.end = cursor.at + length;
	*ret = cursor;
	*ret_wide = wide;
	return true;
}

static void take_augmentation(const struct cfi_section *section, struct cfi_cursor *cursor, const char *text,
			      struct cfi_common *common)
{
	uint64_t data_bytes, after;

	common->pointer_encoding = DW_EH_PE_absptr;
	if (text[0] != 'z') {
		cursor->failed = cursor->failed || text[0] != '\0';
		return;
	}
	common->has_augmentation = true;
	data_bytes = cfi_take_uleb(cursor);
	if (cursor->failed || data_bytes > cursor->end - cursor->at) {
		cursor->failed = true;
		return;
	}
	after = cursor->at + data_bytes;
	for (text++; *text != '\0'; text++) {
		uint8_t encoding;

		switch (*text) {
		case 'R':
			common->pointer_encoding = (uint8_t)cfi_take_fixed(cursor, 1);
			break;
		case 'P':
			encoding = (uint8_t)cfi_take_fixed(cursor, 1);
			cfi_take_pointer(cursor, section->vaddr, encoding & 0x7f);
			break;
		case 'L':
			cfi_take_fixed(cursor, 1);
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

static int parse_common(const struct cfi_section *section, uint64_t offset, struct cfi_common *common)
{
	struct cfi_common read = { .offset = offset };
	struct cfi_cursor cursor;
	const char *text;
	uint64_t version;
	bool wide;

	if (!open_entry(section, offset, &cursor, &wide)) {
		return PFC_ECORRUPT;
	}
	cfi_take_fixed(&cursor, wide && section->is_debug_frame ? 8 : 4);
	version = cfi_take_fixed(&cursor, 1);
	text = (const char *)cursor.data + cursor.at;
	if (cursor.failed || memchr(text, '\0', cursor.end - cursor.at) == NULL || version == 0 ||
	    version > 4) {
		return PFC_ECORRUPT;
	}
	cfi_skip(&cursor, strlen(text) + 1);
	if (version == 4) {
		cfi_skip(&cursor, 2); /* address and segment size */
	}
	read.code_factor = cfi_take_uleb(&cursor);
	read.data_factor = cfi_take_sleb(&cursor);
	if ((version == 1 ? cfi_take_fixed(&cursor, 1) : cfi_take_uleb(&cursor)) != CFI_RIP) {
		return PFC_ECORRUPT;
	}
	take_augmentation(section, &cursor, text, &read);
	if (cursor.failed) {
		return PFC_ECORRUPT;
	}
	read.program = cursor.at;
	read.program_end = cursor.end;
	read.initial.is_signal_frame = read.is_signal_frame;
	if (cfi_interpret(section, cursor, &read, &read.initial, NULL, NULL) != 0) {
		return PFC_ECORRUPT;
	}
	*common = read;
	return 0;
}

static int read_common(const struct cfi_section *section, uint64_t offset, struct cfi_common *common)
{
	return common->offset == offset ? 0 : parse_common(section, offset, common);
}

int cfi_next(const struct cfi_section *section, uint64_t *offset, struct cfi_common *common,
	     struct cfi_entry *ret)
{
	struct cfi_entry entry;
	struct cfi_cursor cursor;
	uint64_t id, id_at, bytes;
	bool wide;

	if (*offset >= section->bytes || section->bytes - *offset < 4) {
		return PFC_ENOENT;
	}
	if (!open_entry(section, *offset, &cursor, &wide)) {
		struct cfi_cursor length = { section->data, *offset, section->bytes, false };

		return cfi_take_fixed(&length, 4) == 0 ? PFC_ENOENT : PFC_ECORRUPT;
	}
	*offset = cursor.end;
	id_at = cursor.at;
	id = cfi_take_fixed(&cursor, wide && section->is_debug_frame ? 8 : 4);
	if (section->is_debug_frame ? id >= 0xffffffff : id == 0) {
		return 0; /* a common entry: read when one refers to it */
	}
	entry.common = section->is_debug_frame ? id : id_at - id;
	if (cursor.failed || entry.common >= section->bytes ||
	    read_common(section, entry.common, common) != 0) {
		return 0;
	}
	entry.start = cfi_take_pointer(&cursor, section->vaddr, common->pointer_encoding);
	bytes = cfi_take_pointer(&cursor, section->vaddr, common->pointer_encoding & 0x0f);
	if (common->has_augmentation) {
		cfi_skip(&cursor, cfi_take_uleb(&cursor));
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

int cfi_run(const struct cfi_section *section, const struct cfi_entry *entry, struct cfi_common *common,
	    cfi_row_fn on_row, void *ctx)
{
	struct cfi_cursor program = { section->data, entry->program, entry->program_end, false };
	struct cfi_row row;

	if (read_common(section, entry->common, common) != 0) {
		return PFC_ECORRUPT;
	}
	row = common->initial;
	row.start = entry->start;
	row.end = entry->end;
	return cfi_interpret(section, program, common, &row, on_row, ctx);
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

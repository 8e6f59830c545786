/* SPDX-License-Identifier: MIT */
/* Tables that say profcore.stacks/1 and hold rubbish: what reads them must neither crash nor hang nor believe it. */
#include "misbehave.h"

#include <string.h>

#define ROWS 1000

#define COLUMN(kind, label, of) { .struct_size = sizeof(struct pfc_column), .type = kind, .name = label, .unit = of }
#define TABLE(label, of, date)                                                                                \
	{ .struct_size = sizeof(struct pfc_table), .column_count = sizeof(of) / sizeof(of[0]), .name = label, \
	  .columns = of, .column_stride = sizeof(struct pfc_column), .time_column = date }

static const struct pfc_column strings[] = { COLUMN(PFC_UTF8, "text", "text") };
static const struct pfc_column modules[] = {
	COLUMN(PFC_U32, "path", "id:strings"),
	COLUMN(PFC_U32, "build_id", "id:strings"),
	COLUMN(PFC_U32, "container_path", "id:strings"),
	COLUMN(PFC_U8, "kind", "enum"),
};
static const struct pfc_column locations[] = {
	COLUMN(PFC_U32, "module", "id:modules"),
	COLUMN(PFC_U64, "address", "address"),
};
static const struct pfc_column stacks[] = {
	COLUMN(PFC_U32, "parent", "id:stacks"),
	COLUMN(PFC_U32, "location", "id:locations"),
};
static const struct pfc_column threads[] = {
	COLUMN(PFC_U64, "time", "ns"),
	COLUMN(PFC_I32, "pid", "pid"),
	COLUMN(PFC_I32, "tid", "tid"),
	COLUMN(PFC_U32, "name", "id:strings"),
};
static const struct pfc_column samples[] = {
	COLUMN(PFC_U64, "time", "ns"), COLUMN(PFC_I32, "pid", "pid"),	   COLUMN(PFC_I32, "tid", "tid"),
	COLUMN(PFC_I32, "cpu", "cpu"), COLUMN(PFC_U64, "weight", "count"), COLUMN(PFC_U32, "stack", "id:stacks"),
};
static const struct pfc_column frames[] = {
	COLUMN(PFC_U32, "location", "id:locations"), COLUMN(PFC_U32, "inline_depth", "count"),
	COLUMN(PFC_U32, "function", "id:strings"),   COLUMN(PFC_U32, "file", "id:strings"),
	COLUMN(PFC_U32, "line", "line"),
};

static const struct pfc_table tables[] = {
	TABLE("strings", strings, -1), TABLE("modules", modules, -1), TABLE("locations", locations, -1),
	TABLE("stacks", stacks, -1),   TABLE("threads", threads, 0),  TABLE("samples", samples, 0),
	TABLE("frames", frames, -1),
};

enum { STRINGS, MODULES, LOCATIONS, STACKS, THREADS, SAMPLES, FRAMES, TABLE_COUNT };

/* Wrong in every way at once: far out of range, just out of range, pointing at itself and forward (cycles). */
static uint32_t bad_id(uint32_t row)
{
	static const uint32_t far[] = { UINT32_MAX, 0x80000000u, ROWS, ROWS + 1, 0x7fffffff };

	switch (row % 4) {
	case 0:
		return row;
	case 1:
		return row + 1;
	case 2:
		return far[row % 5];
	default:
		return row / 2;
	}
}

static int32_t append(struct self *self, uint32_t table, const void *const *columns)
{
	return self->writer->append(self->writer->ctx, table, 1, columns);
}

static int32_t write_row(struct self *self, uint32_t row)
{
	static const char hostile[] = "<script>alert(1)</script>\x01\x1b[31m]]>&quot;%s%n";
	struct pfc_string text = { hostile, sizeof(hostile) - 1 };
	uint64_t big = UINT64_MAX - row;
	uint64_t zero = 0;
	uint32_t id = bad_id(row);
	uint8_t kind = (uint8_t)(row * 37);
	int32_t minus = -(int32_t)row;
	int32_t rc = append(self, STRINGS, (const void *[]){ &text });

	rc = rc ? rc : append(self, MODULES, (const void *[]){ &id, &id, &id, &kind });
	rc = rc ? rc : append(self, LOCATIONS, (const void *[]){ &id, &big });
	rc = rc ? rc : append(self, STACKS, (const void *[]){ &id, &id });
	rc = rc ? rc : append(self, THREADS, (const void *[]){ row % 2 ? &big : &zero, &minus, &minus, &id });
	rc = rc ? rc : append(self, SAMPLES, (const void *[]){ row % 2 ? &big : &zero, &minus, &minus, &minus, &big, &id });
	return rc ? rc : append(self, FRAMES, (const void *[]){ &id, &id, &id, &id, &id });
}

int32_t write_garbage(struct self *self)
{
	uint32_t first = behaves("garbage-schema") ? SAMPLES : STRINGS; /* without the tables that others rely on */
	int32_t rc = PFC_OK;

	for (uint32_t i = first; i < TABLE_COUNT && rc >= 0; i++) {
		rc = self->writer->declare(self->writer->ctx, &tables[i]);
	}
	if (rc < 0 || first != STRINGS) {
		return rc < 0 ? rc : PFC_OK;
	}
	rc = PFC_OK;
	for (uint32_t row = 0; row < ROWS && rc == PFC_OK; row++) {
		rc = write_row(self, row);
	}
	self->rows += ROWS;
	self->writer->fact_number(self->writer->ctx, "rooted_pct", -1e308);
	self->writer->fact_number(self->writer->ctx, "samples", 0.0 / 1.0);
	return rc;
}

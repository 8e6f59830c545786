/* SPDX-License-Identifier: MIT */
/* The tables of profcore.memory/1: see tables.h. */
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN(t, n, u)                                                                                      \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_column), .type = t, .name = n, .unit = u                    \
	}
#define TIME     COLUMN(PFC_U64, "time", "ns")
#define PID      COLUMN(PFC_I32, "pid", "id")
#define TID      COLUMN(PFC_I32, "tid", "id")
#define BYTES(n) COLUMN(PFC_U64, n, "bytes")
#define COUNT(n) COLUMN(PFC_U64, n, "count")
/* -1: not to be had */
#define MAYBE(n, u) COLUMN(PFC_I64, n, u)
/* An estimate and its 95 % interval. */
#define ESTIMATE(n, u) COLUMN(PFC_F64, n, u), COLUMN(PFC_F64, n "_low", u), COLUMN(PFC_F64, n "_high", u)

static const struct pfc_column strings[] = { COLUMN(PFC_UTF8, "text", "") };
static const struct pfc_column processes[] = { TIME, PID, COLUMN(PFC_U32, "name", "id:strings") };
static const struct pfc_column samples[] = {
	TIME,           PID,           BYTES("rss"),          BYTES("anon"),        BYTES("file"),
	BYTES("shmem"), BYTES("swap"), COUNT("minor_faults"), COUNT("major_faults")
};
static const struct pfc_column totals[] = { TIME,
					    COLUMN(PFC_U32, "processes", "count"),
					    BYTES("rss"),
					    BYTES("anon"),
					    BYTES("file"),
					    BYTES("shmem"),
					    BYTES("swap"),
					    COUNT("minor_faults"),
					    COUNT("major_faults") };
static const struct pfc_column pss[] = { TIME,
					 PID,
					 BYTES("rss"),
					 BYTES("pss"),
					 BYTES("pss_anon"),
					 BYTES("pss_file"),
					 BYTES("pss_shmem"),
					 BYTES("private_dirty"),
					 BYTES("huge"),
					 BYTES("swap"),
					 BYTES("swap_pss"),
					 COLUMN(PFC_U64, "cost", "ns") };
static const struct pfc_column group[] = { TIME,
					   MAYBE("current", "bytes"),
					   MAYBE("peak", "bytes"),
					   MAYBE("limit", "bytes"),
					   MAYBE("swap", "bytes"),
					   MAYBE("anon", "bytes"),
					   MAYBE("file", "bytes"),
					   MAYBE("shmem", "bytes"),
					   MAYBE("kernel", "bytes"),
					   MAYBE("high_events", "count"),
					   MAYBE("limit_events", "count"),
					   MAYBE("oom_events", "count"),
					   MAYBE("oom_kills", "count"),
					   MAYBE("pressure_some", "ns"),
					   MAYBE("pressure_full", "ns") };
static const struct pfc_column events[] = { TIME, PID, COLUMN(PFC_U8, "kind", "enum"), COUNT("value"),
					    COLUMN(PFC_U32, "detail", "id:strings") };
static const struct pfc_column mappings[] = { TIME,
					      PID,
					      COLUMN(PFC_U8, "moment", "enum"),
					      COLUMN(PFC_U8, "kind", "enum"),
					      COUNT("count"),
					      BYTES("size"),
					      BYTES("rss"),
					      BYTES("pss"),
					      BYTES("private_dirty"),
					      BYTES("anon"),
					      BYTES("huge"),
					      BYTES("swap") };
static const struct pfc_column faults[] = { TIME,
					    PID,
					    TID,
					    COLUMN(PFC_U64, "address", "address"),
					    COLUMN(PFC_U8, "kind", "enum"),
					    COUNT("period"),
					    BYTES("bytes"),
					    COLUMN(PFC_U8, "kept", "enum") };
static const struct pfc_column map_calls[] = { TIME,
					       PID,
					       TID,
					       COLUMN(PFC_U8, "call", "enum"),
					       COLUMN(PFC_U64, "address", "address"),
					       BYTES("bytes"),
					       COLUMN(PFC_U8, "anonymous", "enum") };
static const struct pfc_column heap_totals[] = { TIME,
						 PID,
						 ESTIMATE("live", "bytes"),
						 COLUMN(PFC_F64, "allocated", "bytes"),
						 COLUMN(PFC_F64, "allocations", "count"),
						 COLUMN(PFC_F64, "freed", "bytes"),
						 COLUMN(PFC_F64, "frees", "count") };
static const struct pfc_column heap_sites[] = { PID,
						COLUMN(PFC_U64, "stack_key", "id"),
						COLUMN(PFC_U32, "function", "id:strings"),
						COLUMN(PFC_U32, "module", "id:strings"),
						COUNT("samples"),
						ESTIMATE("live", "bytes"),
						ESTIMATE("allocated", "bytes"),
						COLUMN(PFC_F64, "allocations", "count"),
						COLUMN(PFC_F64, "temporary", "bytes"),
						COLUMN(PFC_F64, "peak", "bytes") };
static const struct pfc_column heap_sizes[] = { PID,
						BYTES("size_low"),
						BYTES("size_high"),
						COLUMN(PFC_F64, "allocations", "count"),
						COLUMN(PFC_F64, "allocated", "bytes"),
						COLUMN(PFC_F64, "live", "bytes"),
						TID,
						COLUMN(PFC_F64, "allocated_low", "bytes"),
						COLUMN(PFC_F64, "allocated_high", "bytes") };
static const struct pfc_column heap_lifetimes[] = { PID,
						    COLUMN(PFC_U64, "age_low", "ns"),
						    COLUMN(PFC_U64, "age_high", "ns"),
						    COLUMN(PFC_F64, "freed", "count"),
						    COLUMN(PFC_F64, "freed_bytes", "bytes"),
						    COLUMN(PFC_F64, "censored", "count"),
						    TID,
						    COLUMN(PFC_F64, "freed_low", "bytes"),
						    COLUMN(PFC_F64, "freed_high", "bytes") };
static const struct pfc_column heap_threads[] = { PID,
						  TID,
						  COLUMN(PFC_F64, "allocations", "count"),
						  COLUMN(PFC_F64, "allocated", "bytes"),
						  COLUMN(PFC_F64, "live", "bytes"),
						  COLUMN(PFC_F64, "allocated_low", "bytes"),
						  COLUMN(PFC_F64, "allocated_high", "bytes") };
static const struct pfc_column leaks[] = { PID,
					   COLUMN(PFC_U64, "stack_key", "id"),
					   COLUMN(PFC_U32, "function", "id:strings"),
					   COLUMN(PFC_U32, "module", "id:strings"),
					   COLUMN(PFC_U8, "verdict", "enum"),
					   COLUMN(PFC_F64, "confidence", "%"),
					   ESTIMATE("rate", "bytes/s"),
					   ESTIMATE("grown", "bytes"),
					   COLUMN(PFC_U32, "why", "id:strings") };

#define TABLE(n, time)                                                                                       \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_table), .column_count = sizeof(n) / sizeof((n)[0]),         \
		.name = #n, .columns = n, .column_stride = sizeof(struct pfc_column), .time_column = time    \
	}

static const struct pfc_table definitions[TABLE_COUNT] = {
	[TABLE_STRINGS] = TABLE(strings, -1),
	[TABLE_PROCESSES] = TABLE(processes, 0),
	[TABLE_SAMPLES] = TABLE(samples, 0),
	[TABLE_TOTALS] = TABLE(totals, 0),
	[TABLE_PSS] = TABLE(pss, 0),
	[TABLE_GROUP] = TABLE(group, 0),
	[TABLE_EVENTS] = TABLE(events, 0),
	[TABLE_MAPPINGS] = TABLE(mappings, 0),
	[TABLE_FAULTS] = TABLE(faults, 0),
	[TABLE_MAP_CALLS] = TABLE(map_calls, 0),
	[TABLE_HEAP_TOTALS] = TABLE(heap_totals, 0),
	[TABLE_HEAP_SITES] = TABLE(heap_sites, -1),
	[TABLE_HEAP_SIZES] = TABLE(heap_sizes, -1),
	[TABLE_HEAP_LIFETIMES] = TABLE(heap_lifetimes, -1),
	[TABLE_HEAP_THREADS] = TABLE(heap_threads, -1),
	[TABLE_LEAKS] = TABLE(leaks, -1),
};

int32_t tables_open(struct tables *tables, const struct pfc_host *host)
{
	int32_t rc = host->output(host->ctx, "timeline", &tables->writer);

	for (unsigned i = 0; i < TABLE_COUNT && rc >= 0; i++) {
		rc = tables->writer->declare(tables->writer->ctx, &definitions[i]);
		tables->ids[i] = rc >= 0 ? (uint32_t)rc : 0;
	}
	if (rc >= 0) {
		(void)tables_string(tables, "");
		rc = PFC_OK;
	}
	return rc;
}

int32_t tables_add(struct tables *tables, enum table_id table, const void *const *columns)
{
	return tables->writer->append(tables->writer->ctx, tables->ids[table], 1, columns);
}

uint32_t tables_string(struct tables *tables, const char *text)
{
	struct pfc_string cell = { text, strlen(text) };
	const void *row[] = { &cell };

	for (uint32_t i = 0; i < tables->string_count; i++) {
		if (strcmp(tables->strings[i], text) == 0) {
			return i;
		}
	}
	if (tables->string_count == tables->string_room) {
		uint32_t room = tables->string_room ? 2 * tables->string_room : 64;
		char **grown = realloc(tables->strings, room * sizeof(*grown));

		if (!grown) {
			return 0;
		}
		tables->strings = grown;
		tables->string_room = room;
	}
	tables->strings[tables->string_count] = strdup(text);
	if (!tables->strings[tables->string_count] || tables_add(tables, TABLE_STRINGS, row) != PFC_OK) {
		free(tables->strings[tables->string_count]);
		return 0;
	}
	return tables->string_count++;
}

void tables_close(struct tables *tables)
{
	for (uint32_t i = 0; i < tables->string_count; i++) {
		free(tables->strings[i]);
	}
	free(tables->strings);
	memset(tables, 0, sizeof(*tables));
}

/* SPDX-License-Identifier: MIT */
#include "tables_shape.h"

#define COLUMN(type_, name_, unit_)                                                                          \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_column), .type = (type_), .name = (name_), .unit = (unit_)  \
	}

static const struct pfc_column calls_columns[] = {
	COLUMN(PFC_I32, "pid", "id"),         COLUMN(PFC_UTF8, "process", "text"),
	COLUMN(PFC_I32, "nr", "id"),          COLUMN(PFC_UTF8, "abi", "text"),
	COLUMN(PFC_UTF8, "name", "text"),     COLUMN(PFC_U64, "calls", "count"),
	COLUMN(PFC_U64, "errors", "count"),   COLUMN(PFC_U64, "total_ns", "ns"),
	COLUMN(PFC_U64, "min_ns", "ns"),      COLUMN(PFC_U64, "mean_ns", "ns"),
	COLUMN(PFC_U64, "p50_ns", "ns"),      COLUMN(PFC_U64, "p90_ns", "ns"),
	COLUMN(PFC_U64, "p99_ns", "ns"),      COLUMN(PFC_U64, "max_ns", "ns"),
	COLUMN(PFC_U64, "waits", "count"),    COLUMN(PFC_U64, "blocked_ns", "ns"),
	COLUMN(PFC_U64, "runnable_ns", "ns"), COLUMN(PFC_U64, "wait_p50_ns", "ns"),
	COLUMN(PFC_U64, "wait_p99_ns", "ns"), COLUMN(PFC_U64, "wait_max_ns", "ns"),
	COLUMN(PFC_U64, "zeros", "count"),
};

static const struct pfc_column latencies_columns[] = {
	COLUMN(PFC_U32, "call", "id:calls"), COLUMN(PFC_UTF8, "what", "text"),
	COLUMN(PFC_U64, "low_ns", "ns"),     COLUMN(PFC_U64, "high_ns", "ns"),
	COLUMN(PFC_U64, "count", "count"),
};

static const struct pfc_column errors_columns[] = {
	COLUMN(PFC_U32, "call", "id:calls"),
	COLUMN(PFC_I32, "number", "id"),
	COLUMN(PFC_UTF8, "error", "text"),
	COLUMN(PFC_U64, "count", "count"),
};

static const struct pfc_column waits_columns[] = {
	COLUMN(PFC_I32, "pid", "id"),      COLUMN(PFC_UTF8, "process", "text"),
	COLUMN(PFC_UTF8, "cause", "text"), COLUMN(PFC_U64, "count", "count"),
	COLUMN(PFC_U64, "total_ns", "ns"), COLUMN(PFC_U64, "p50_ns", "ns"),
	COLUMN(PFC_U64, "p99_ns", "ns"),   COLUMN(PFC_U64, "max_ns", "ns"),
};

static const struct pfc_column threads_columns[] = {
	COLUMN(PFC_I32, "pid", "id"),
	COLUMN(PFC_I32, "tid", "id"),
	COLUMN(PFC_UTF8, "name", "text"),
	COLUMN(PFC_U64, "start", "ns"),
	COLUMN(PFC_U64, "wall_ns", "ns"),
	COLUMN(PFC_U64, "on_cpu_ns", "ns"),
	COLUMN(PFC_U64, "run_queue_ns", "ns"),
	COLUMN(PFC_U64, "preempted_ns", "ns"),
	COLUMN(PFC_U64, "blocked_syscall_ns", "ns"),
	COLUMN(PFC_U64, "blocked_fault_ns", "ns"),
	COLUMN(PFC_U64, "blocked_other_ns", "ns"),
	COLUMN(PFC_I64, "residue_ns", "ns"),
	COLUMN(PFC_U64, "kernel_cpu_ns", "ns"),
	COLUMN(PFC_U64, "switches", "count"),
	COLUMN(PFC_U64, "calls", "count"),
	COLUMN(PFC_U8, "ended", "bool"),
	COLUMN(PFC_U8, "complete", "bool"),
};

static const struct pfc_column files_columns[] = {
	COLUMN(PFC_I32, "pid", "id"),
	COLUMN(PFC_UTF8, "process", "text"),
	COLUMN(PFC_UTF8, "name", "text"),
	COLUMN(PFC_U64, "reads", "count"),
	COLUMN(PFC_U64, "writes", "count"),
	COLUMN(PFC_U64, "syncs", "count"),
	COLUMN(PFC_U64, "others", "count"),
	COLUMN(PFC_U64, "errors", "count"),
	COLUMN(PFC_U64, "read_bytes", "bytes"),
	COLUMN(PFC_U64, "written_bytes", "bytes"),
	COLUMN(PFC_U64, "small", "count"),
	COLUMN(PFC_U64, "total_ns", "ns"),
	COLUMN(PFC_U64, "blocked_ns", "ns"),
	COLUMN(PFC_U64, "max_ns", "ns"),
	COLUMN(PFC_U64, "sync_writes", "count"),
};

static const struct pfc_column slow_columns[] = {
	COLUMN(PFC_U64, "time", "ns"),       COLUMN(PFC_U64, "duration_ns", "ns"),
	COLUMN(PFC_U64, "blocked_ns", "ns"), COLUMN(PFC_U64, "runnable_ns", "ns"),
	COLUMN(PFC_I32, "pid", "id"),        COLUMN(PFC_I32, "tid", "id"),
	COLUMN(PFC_I32, "nr", "id"),         COLUMN(PFC_UTF8, "abi", "text"),
	COLUMN(PFC_UTF8, "name", "text"),    COLUMN(PFC_UTF8, "arguments", "text"),
	COLUMN(PFC_I64, "result", "number"), COLUMN(PFC_UTF8, "error", "text"),
	COLUMN(PFC_UTF8, "target", "text"),  COLUMN(PFC_I32, "waker_tid", "id"),
	COLUMN(PFC_UTF8, "waker", "text"),
};

static const struct pfc_column long_waits_columns[] = {
	COLUMN(PFC_U64, "time", "ns"),        COLUMN(PFC_U64, "blocked_ns", "ns"),
	COLUMN(PFC_U64, "runnable_ns", "ns"), COLUMN(PFC_U64, "woken", "ns"),
	COLUMN(PFC_I32, "pid", "id"),         COLUMN(PFC_I32, "tid", "id"),
	COLUMN(PFC_UTF8, "cause", "text"),    COLUMN(PFC_UTF8, "name", "text"),
	COLUMN(PFC_U64, "lock", "address"),   COLUMN(PFC_I32, "waker_pid", "id"),
	COLUMN(PFC_I32, "waker_tid", "id"),   COLUMN(PFC_UTF8, "waker", "text"),
};

static const struct pfc_column rings_columns[] = {
	COLUMN(PFC_I32, "pid", "id"),         COLUMN(PFC_UTF8, "process", "text"),
	COLUMN(PFC_U32, "operation", "id"),   COLUMN(PFC_UTF8, "name", "text"),
	COLUMN(PFC_U64, "requests", "count"),
};

#define TABLE(name_, columns_, time_)                                                                        \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_table),                                                     \
		.column_count = sizeof(columns_) / sizeof((columns_)[0]), .name = (name_),                   \
		.columns = (columns_), .column_stride = sizeof(struct pfc_column), .time_column = (time_),   \
	}

const struct pfc_table tables_shape[TABLES] = {
	[TABLE_CALLS] = TABLE("calls", calls_columns, -1),
	[TABLE_LATENCIES] = TABLE("latencies", latencies_columns, -1),
	[TABLE_ERRORS] = TABLE("errors", errors_columns, -1),
	[TABLE_WAITS] = TABLE("waits", waits_columns, -1),
	[TABLE_THREADS] = TABLE("threads", threads_columns, 3),
	[TABLE_FILES] = TABLE("files", files_columns, -1),
	[TABLE_SLOW] = TABLE("slow", slow_columns, 0),
	[TABLE_LONG_WAITS] = TABLE("long_waits", long_waits_columns, 0),
	[TABLE_RINGS] = TABLE("rings", rings_columns, -1),
};

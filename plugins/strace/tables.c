/* SPDX-License-Identifier: MIT */
/* The artifact profcore.syscalls/1: see tables.h and docs/artifacts.md. */
#include "tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "names.h"
#include "tables_shape.h"

#define PORT "syscalls"

struct tables {
	const struct pfc_writer *writer;
	uint32_t number[TABLES];
};

static const char *const cause_words[WAIT_CAUSES] = {
	[WAIT_SYSCALL] = "system call", [WAIT_FAULT] = "page fault",    [WAIT_OTHER] = "other",
	[WAIT_RUN_QUEUE] = "run queue", [WAIT_PREEMPTED] = "preempted",
};

static struct pfc_string string_of(const char *text)
{
	return (struct pfc_string){ text, strlen(text) };
}

static const char *abi_word(uint32_t abi)
{
	return abi == ABI_I386 ? "i386" : abi == ABI_X32 ? "x32" : "native";
}

int tables_open(const struct pfc_host *host, struct tables **ret)
{
	struct tables *tables = calloc(1, sizeof(*tables));
	int32_t rc;

	if (!tables) {
		return PFC_ENOMEM;
	}
	rc = host->output(host->ctx, PORT, &tables->writer);
	for (size_t i = 0; i < TABLES && rc >= 0; i++) {
		rc = tables->writer->declare(tables->writer->ctx, &tables_shape[i]);
		tables->number[i] = (uint32_t)rc;
	}
	if (rc < 0) {
		free(tables);
		return rc;
	}
	*ret = tables;
	return PFC_OK;
}

void tables_close(struct tables *tables)
{
	free(tables);
}

int tables_commit(struct tables *tables)
{
	return tables->writer->commit(tables->writer->ctx);
}

void tables_fact(struct tables *tables, const char *key, double number, const char *text)
{
	if (text) {
		tables->writer->fact_text(tables->writer->ctx, key, text);
	} else {
		tables->writer->fact_number(tables->writer->ctx, key, number);
	}
}

static int append(struct tables *tables, enum table table, const void *const *columns)
{
	return tables->writer->append(tables->writer->ctx, tables->number[table], 1, columns);
}

int tables_slow(struct tables *tables, struct tracer *tracer, const struct slow_call *call)
{
	char name[64], error[32], arguments[512], target[512];
	int32_t waker_tid = call->waker_tid;
	struct pfc_string texts[6];

	describe_args(tracer, call, arguments, sizeof(arguments));
	describe_target(tracer, call, target, sizeof(target));
	texts[0] = string_of(abi_word(call->abi));
	texts[1] = string_of(syscall_name(call->abi, call->nr, name, sizeof(name)));
	texts[2] = string_of(arguments);
	texts[3] = string_of(call->result < 0 && call->result >= -4095
				     ? errno_name((int32_t)-call->result, error, sizeof(error))
				     : "");
	texts[4] = string_of(target);
	texts[5] = (struct pfc_string){ call->waker, strnlen(call->waker, sizeof(call->waker)) };
	return append(tables, TABLE_SLOW,
		      (const void *[]){ &call->time_ns, &call->duration_ns, &call->blocked_ns,
					&call->runnable_ns, &call->pid, &call->tid, &call->nr, &texts[0],
					&texts[1], &texts[2], &call->result, &texts[3], &texts[4], &waker_tid,
					&texts[5] });
}

int tables_long_wait(struct tables *tables, const struct long_wait *wait)
{
	bool is_call = wait->cause == WAIT_SYSCALL;
	struct pfc_string cause = string_of(cause_words[wait->cause]);
	struct pfc_string waker = { wait->waker, strnlen(wait->waker, sizeof(wait->waker)) };
	struct pfc_string name;
	char text[64];

	name = string_of(is_call ? syscall_name(wait->abi, wait->nr, text, sizeof(text)) : "");
	return append(tables, TABLE_LONG_WAITS,
		      (const void *[]){ &wait->time_ns, &wait->blocked_ns, &wait->runnable_ns,
					&wait->woken_ns, &wait->pid, &wait->tid, &cause, &name, &wait->lock,
					&wait->waker_pid, &wait->waker_tid, &waker });
}

static int write_buckets(struct tables *tables, uint32_t call, const char *what, const uint64_t *buckets)
{
	struct pfc_string word = string_of(what);
	int rc = 0;

	for (unsigned i = 0; i < BUCKET_COUNT && rc == 0; i++) {
		uint64_t low = bucket_low(i);
		uint64_t high = i + 1 < BUCKET_COUNT ? bucket_low(i + 1) : UINT64_MAX;

		if (buckets[i]) {
			rc = append(tables, TABLE_LATENCIES,
				    (const void *[]){ &call, &word, &low, &high, &buckets[i] });
		}
	}
	return rc;
}

static int write_errors(struct tables *tables, uint32_t call, const struct cell *cell)
{
	uint64_t rest = cell->errors;
	char text[32];
	int rc = 0;

	for (size_t i = 0; i < CELL_ERRORS && cell->error[i].count && rc == 0; i++) {
		struct pfc_string name = string_of(errno_name(cell->error[i].number, text, sizeof(text)));

		rest -= cell->error[i].count;
		rc = append(tables, TABLE_ERRORS,
			    (const void *[]){ &call, &cell->error[i].number, &name, &cell->error[i].count });
	}
	if (rest && rc == 0) {
		struct pfc_string name = string_of("other");
		int32_t number = 0;

		rc = append(tables, TABLE_ERRORS, (const void *[]){ &call, &number, &name, &rest });
	}
	return rc;
}

static int write_call(struct tables *tables, const struct account *account, const struct cell *cell,
		      uint32_t row)
{
	uint64_t mean = cell->calls ? cell->total_ns / cell->calls : 0;
	uint64_t p50 = buckets_quantile(cell->call_buckets, 0.5, cell->min_ns, cell->max_ns);
	uint64_t p90 = buckets_quantile(cell->call_buckets, 0.9, cell->min_ns, cell->max_ns);
	uint64_t p99 = buckets_quantile(cell->call_buckets, 0.99, cell->min_ns, cell->max_ns);
	uint64_t wait_p50 = buckets_quantile(cell->wait_buckets, 0.5, 0, cell->max_wait_ns);
	uint64_t wait_p99 = buckets_quantile(cell->wait_buckets, 0.99, 0, cell->max_wait_ns);
	struct pfc_string process = string_of(account_name_of(account, cell->pid));
	struct pfc_string abi = string_of(abi_word(cell->abi));
	struct pfc_string name;
	char text[64];
	int rc;

	name = string_of(syscall_name(cell->abi, cell->nr, text, sizeof(text)));
	rc = append(tables, TABLE_CALLS,
		    (const void *[]){ &cell->pid,
				      &process,
				      &cell->nr,
				      &abi,
				      &name,
				      &cell->calls,
				      &cell->errors,
				      &cell->total_ns,
				      &cell->min_ns,
				      &mean,
				      &p50,
				      &p90,
				      &p99,
				      &cell->max_ns,
				      &cell->waits,
				      &cell->blocked_ns,
				      &cell->runnable_ns,
				      &wait_p50,
				      &wait_p99,
				      &cell->max_wait_ns,
				      &cell->zeros });
	if (rc == 0) {
		rc = write_buckets(tables, row, "call", cell->call_buckets);
	}
	if (rc == 0) {
		rc = write_buckets(tables, row, "wait", cell->wait_buckets);
	}
	return rc ? rc : write_errors(tables, row, cell);
}

static int write_wait(struct tables *tables, const struct account *account, const struct wait *wait)
{
	struct pfc_string process = string_of(account_name_of(account, wait->pid));
	struct pfc_string cause = string_of(cause_words[wait->cause]);
	uint64_t p50 = buckets_quantile(wait->buckets, 0.5, 0, wait->max_ns);
	uint64_t p99 = buckets_quantile(wait->buckets, 0.99, 0, wait->max_ns);

	return append(tables, TABLE_WAITS,
		      (const void *[]){ &wait->pid, &process, &cause, &wait->count, &wait->total_ns, &p50,
					&p99, &wait->max_ns });
}

static int write_thread(struct tables *tables, const struct thread *thread)
{
	struct pfc_string name = { thread->comm, strnlen(thread->comm, sizeof(thread->comm)) };
	uint64_t wall = thread->end_ns > thread->start_ns ? thread->end_ns - thread->start_ns : 0;
	int64_t residue = (int64_t)(wall - thread->on_cpu_ns);
	uint8_t ended = thread->ended, complete = thread->is_complete;

	for (size_t i = 0; i < WAIT_CAUSES; i++) {
		residue -= (int64_t)thread->wait_ns[i];
	}
	return append(tables, TABLE_THREADS,
		      (const void *[]){ &thread->pid, &thread->tid, &name, &thread->start_ns, &wall,
					&thread->on_cpu_ns, &thread->wait_ns[WAIT_RUN_QUEUE],
					&thread->wait_ns[WAIT_PREEMPTED], &thread->wait_ns[WAIT_SYSCALL],
					&thread->wait_ns[WAIT_FAULT], &thread->wait_ns[WAIT_OTHER], &residue,
					&thread->kernel_cpu_ns, &thread->switches, &thread->calls, &ended,
					&complete });
}

static int write_file(struct tables *tables, const struct account *account, const struct file_use *use)
{
	struct pfc_string process = string_of(account_name_of(account, use->pid));
	struct pfc_string name = string_of(use->name);

	return append(tables, TABLE_FILES,
		      (const void *[]){ &use->pid, &process, &name, &use->reads, &use->writes, &use->syncs,
					&use->others, &use->errors, &use->read_bytes, &use->written_bytes,
					&use->small, &use->total_ns, &use->blocked_ns, &use->max_ns,
					&use->sync_writes });
}

static int write_ring(struct tables *tables, const struct account *account, const struct ring_use *use)
{
	struct pfc_string process = string_of(account_name_of(account, use->pid));
	struct pfc_string name;
	char text[32];

	name = string_of(uring_name(use->operation, text, sizeof(text)));
	return append(tables, TABLE_RINGS,
		      (const void *[]){ &use->pid, &process, &use->operation, &name, &use->requests });
}

int tables_account(struct tables *tables, const struct account *account)
{
	const struct cell *const *cells;
	const struct wait *const *waits;
	const struct thread *const *threads;
	size_t cell_count = account_cells(account, &cells);
	const struct file_use *const *files;
	size_t file_count = account_files(account, &files);
	const struct ring_use *const *rings;
	size_t ring_count = account_rings(account, &rings);
	size_t wait_count = account_waits(account, &waits);
	size_t thread_count = account_threads(account, &threads);
	int rc = 0;

	for (size_t i = 0; i < cell_count && rc == 0; i++) {
		rc = write_call(tables, account, cells[i], (uint32_t)i);
	}
	for (size_t i = 0; i < wait_count && rc == 0; i++) {
		rc = write_wait(tables, account, waits[i]);
	}
	for (size_t i = 0; i < thread_count && rc == 0; i++) {
		rc = write_thread(tables, threads[i]);
	}
	for (size_t i = 0; i < file_count && rc == 0; i++) {
		rc = write_file(tables, account, files[i]);
	}
	for (size_t i = 0; i < ring_count && rc == 0; i++) {
		rc = write_ring(tables, account, rings[i]);
	}
	return rc;
}

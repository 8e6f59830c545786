/* SPDX-License-Identifier: MIT */
/*
 * A host in memory, for tests of what plugins use: one output whose tables, facts and losses can be looked at. It checks what
 * a real writer would (declared before appended, ids that point at committed rows are for the test to ask).
 */
#ifndef TESTS_UNIT_FAKE_HOST_H
#define TESTS_UNIT_FAKE_HOST_H

#include <stdbool.h>

#include <profcore/host.h>

#define FAKE_TABLES  16
#define FAKE_COLUMNS 16
#define FAKE_PAIRS   64

struct fake_column {
	char name[32];
	uint32_t type;
	void *data; /* elements; for UTF-8 an array of char *, each owned */
};

struct fake_table {
	char name[32];
	uint32_t column_count;
	struct fake_column columns[FAKE_COLUMNS];
	uint64_t row_count, room;
	uint64_t committed;
};

struct fake_pair {
	char key[64];
	char text[128];
	double number;
};

struct fake_host {
	struct pfc_host host;
	struct pfc_writer writer;
	struct fake_table tables[FAKE_TABLES];
	uint32_t table_count;
	struct fake_pair facts[FAKE_PAIRS];
	uint32_t fact_count;
	struct fake_pair losses[FAKE_PAIRS];
	uint32_t loss_count;
	uint64_t calls;   /* of the writer */
	uint64_t fail_at; /* this call of the writer, and all after, fail; 0: none */
	int fail_status;
	uint64_t t0_ns, t1_ns; /* the window; 0: none yet */
	bool discard; /* keep no rows, only counts: for benchmarks */
};

void fake_host_init(struct fake_host *fake);
void fake_host_finish(struct fake_host *fake);

/** NULL when there is none. */
const struct fake_table *fake_table(const struct fake_host *fake, const char *name);

/** A cell of a table that must exist; integers of any width. */
uint64_t fake_number(const struct fake_host *fake, const char *table, uint64_t row, const char *column);
const char *fake_text(const struct fake_host *fake, const char *table, uint64_t row, const char *column);
uint64_t fake_rows(const struct fake_host *fake, const char *table);

/** NAN when the fact was not stated. */
double fake_fact(const struct fake_host *fake, const char *key);
const char *fake_fact_text(const struct fake_host *fake, const char *key);
double fake_loss(const struct fake_host *fake, const char *cause);

#endif

/* SPDX-License-Identifier: MIT */
#include "fake_host.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t element_bytes(uint32_t type)
{
	switch (type) {
	case PFC_U8:
		return 1;
	case PFC_U16:
		return 2;
	case PFC_U32:
	case PFC_I32:
		return 4;
	default:
		return 8;
	}
}

static int fail(const struct fake_host *fake)
{
	return fake->fail_at > 0 && fake->calls >= fake->fail_at ? fake->fail_status : 0;
}

static int32_t fake_declare(void *ctx, const struct pfc_table *def)
{
	struct fake_host *fake = ctx;
	struct fake_table *table = &fake->tables[fake->table_count];

	fake->calls++;
	if (fail(fake) != 0) {
		return fail(fake);
	}
	if (fake->table_count == FAKE_TABLES || def->column_count > FAKE_COLUMNS || def->column_count == 0) {
		return PFC_EINVAL;
	}
	snprintf(table->name, sizeof(table->name), "%s", def->name);
	table->column_count = def->column_count;
	for (uint32_t i = 0; i < def->column_count; i++) {
		const struct pfc_column *column =
			(const void *)((const char *)def->columns + (size_t)i * def->column_stride);

		if (column->unit == NULL) {
			return PFC_EINVAL;
		}
		snprintf(table->columns[i].name, sizeof(table->columns[i].name), "%s", column->name);
		table->columns[i].type = column->type;
	}
	return (int32_t)fake->table_count++;
}

static void reserve(struct fake_table *table, uint64_t rows)
{
	uint64_t room = table->room > 0 ? table->room : 256;

	while (room < table->row_count + rows) {
		room *= 2;
	}
	for (uint32_t i = 0; room != table->room && i < table->column_count; i++) {
		table->columns[i].data =
			realloc(table->columns[i].data, room * element_bytes(table->columns[i].type));
	}
	table->room = room;
}

static struct fake_pair *pair_of(struct fake_pair *pairs, uint32_t *count, const char *key)
{
	for (uint32_t i = 0; i < *count; i++) {
		if (strcmp(pairs[i].key, key) == 0) {
			return &pairs[i];
		}
	}
	if (*count == FAKE_PAIRS) {
		abort();
	}
	snprintf(pairs[*count].key, sizeof(pairs[*count].key), "%s", key);
	return &pairs[(*count)++];
}

static int32_t fake_append(void *ctx, uint32_t number, uint64_t row_count, const void *const *columns)
{
	struct fake_host *fake = ctx;
	struct fake_table *table = &fake->tables[number];

	fake->calls++;
	if (fail(fake) != 0) {
		if (number < fake->table_count && strcmp(table->name, "samples") == 0) {
			pair_of(fake->losses, &fake->loss_count, "writer_failed")->number += (double)row_count;
		}
		return fail(fake);
	}
	if (number >= fake->table_count) {
		return PFC_EINVAL;
	}
	if (fake->discard) {
		table->row_count += row_count;
		return 0;
	}
	reserve(table, row_count);
	for (uint32_t i = 0; i < table->column_count; i++) {
		size_t bytes = element_bytes(table->columns[i].type);

		if (table->columns[i].type == PFC_UTF8) {
			const struct pfc_string *texts = columns[i];

			for (uint64_t row = 0; row < row_count; row++) {
				((char **)table->columns[i].data)[table->row_count + row] =
					strndup(texts[row].data, texts[row].bytes);
			}
			continue;
		}
		memcpy((char *)table->columns[i].data + table->row_count * bytes, columns[i],
		       row_count * bytes);
	}
	table->row_count += row_count;
	return 0;
}

static int32_t fake_write(void *ctx, const void *data, uint64_t bytes)
{
	return PFC_EINVAL;
}

static int32_t fake_commit(void *ctx)
{
	struct fake_host *fake = ctx;

	fake->calls++;
	for (uint32_t i = 0; fail(fake) == 0 && i < fake->table_count; i++) {
		fake->tables[i].committed = fake->tables[i].row_count;
	}
	return fail(fake);
}

static int32_t fake_fact_number(void *ctx, const char *key, double value)
{
	struct fake_host *fake = ctx;

	fake->calls++;
	if (fail(fake) == 0) {
		pair_of(fake->facts, &fake->fact_count, key)->number = value;
	}
	return fail(fake);
}

static int32_t fake_fact_set_text(void *ctx, const char *key, const char *value)
{
	struct fake_host *fake = ctx;
	struct fake_pair *pair;

	fake->calls++;
	if (fail(fake) == 0) {
		pair = pair_of(fake->facts, &fake->fact_count, key);
		pair->number = NAN;
		snprintf(pair->text, sizeof(pair->text), "%s", value);
	}
	return fail(fake);
}

static int32_t host_output(void *ctx, const char *port, const struct pfc_writer **ret)
{
	struct fake_host *fake = ctx;

	if (strcmp(port, "stacks") != 0) {
		return PFC_ENOENT;
	}
	*ret = &fake->writer;
	return 0;
}

static int32_t host_loss(void *ctx, const char *port, const char *cause, uint64_t count)
{
	struct fake_host *fake = ctx;

	pair_of(fake->losses, &fake->loss_count, cause)->number += (double)count;
	return 0;
}

static uint64_t host_now(void *ctx)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void host_log(void *ctx, uint32_t level, const char *text)
{
}

static int32_t host_window(void *ctx, struct pfc_window *ret)
{
	const struct fake_host *fake = ctx;

	ret->t0_ns = fake->t0_ns;
	ret->t1_ns = fake->t1_ns;
	ret->duration_ns = fake->t1_ns - fake->t0_ns;
	return PFC_OK;
}

void fake_host_init(struct fake_host *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->fail_status = PFC_ENOSPC;
	fake->host.struct_size = sizeof(fake->host);
	fake->host.ctx = fake;
	fake->host.output = host_output;
	fake->host.loss = host_loss;
	fake->host.now = host_now;
	fake->host.window = host_window;
	fake->host.log = host_log;
	fake->writer.struct_size = sizeof(fake->writer);
	fake->writer.ctx = fake;
	fake->writer.declare = fake_declare;
	fake->writer.append = fake_append;
	fake->writer.write = fake_write;
	fake->writer.commit = fake_commit;
	fake->writer.fact_number = fake_fact_number;
	fake->writer.fact_text = fake_fact_set_text;
}

void fake_host_finish(struct fake_host *fake)
{
	for (uint32_t t = 0; t < fake->table_count; t++) {
		struct fake_table *table = &fake->tables[t];

		for (uint32_t c = 0; c < table->column_count; c++) {
			for (uint64_t row = 0;
			     table->columns[c].type == PFC_UTF8 && !fake->discard && row < table->row_count;
			     row++) {
				free(((char **)table->columns[c].data)[row]);
			}
			free(table->columns[c].data);
		}
	}
}

const struct fake_table *fake_table(const struct fake_host *fake, const char *name)
{
	for (uint32_t i = 0; i < fake->table_count; i++) {
		if (strcmp(fake->tables[i].name, name) == 0) {
			return &fake->tables[i];
		}
	}
	return NULL;
}

static const struct fake_column *column_of(const struct fake_host *fake, const char *name, uint64_t row,
					   const char *column)
{
	const struct fake_table *table = fake_table(fake, name);

	for (uint32_t i = 0; table != NULL && row < table->row_count && i < table->column_count; i++) {
		if (strcmp(table->columns[i].name, column) == 0) {
			return &table->columns[i];
		}
	}
	fprintf(stderr, "no cell %s[%llu].%s\n", name, (unsigned long long)row, column);
	abort();
}

uint64_t fake_number(const struct fake_host *fake, const char *table, uint64_t row, const char *column)
{
	const struct fake_column *from = column_of(fake, table, row, column);
	uint64_t value = 0;
	size_t bytes = element_bytes(from->type);

	memcpy(&value, (const char *)from->data + row * bytes, bytes);
	return from->type == PFC_I32 ? (uint64_t)(int64_t)(int32_t)value : value;
}

const char *fake_text(const struct fake_host *fake, const char *table, uint64_t row, const char *column)
{
	return ((char *const *)column_of(fake, table, row, column)->data)[row];
}

uint64_t fake_rows(const struct fake_host *fake, const char *table)
{
	const struct fake_table *found = fake_table(fake, table);

	return found != NULL ? found->row_count : 0;
}

double fake_fact(const struct fake_host *fake, const char *key)
{
	for (uint32_t i = 0; i < fake->fact_count; i++) {
		if (strcmp(fake->facts[i].key, key) == 0) {
			return fake->facts[i].number;
		}
	}
	return NAN;
}

const char *fake_fact_text(const struct fake_host *fake, const char *key)
{
	for (uint32_t i = 0; i < fake->fact_count; i++) {
		if (strcmp(fake->facts[i].key, key) == 0) {
			return fake->facts[i].text;
		}
	}
	return "";
}

double fake_loss(const struct fake_host *fake, const char *cause)
{
	for (uint32_t i = 0; i < fake->loss_count; i++) {
		if (strcmp(fake->losses[i].key, cause) == 0) {
			return fake->losses[i].number;
		}
	}
	return 0;
}

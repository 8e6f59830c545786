/* SPDX-License-Identifier: MIT */
/*
 * Small artifacts for the tests of core/artifact: a table with every type, and a stacks-like set of
 * tables.
 */
#ifndef TESTS_UNIT_ARTIFACT_FIXTURE_H
#define TESTS_UNIT_ARTIFACT_FIXTURE_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifact/artifact.h"

#define FIXTURE_TYPE "test.things/1"
#define COLUMN(type_, name_, unit_)                                                                          \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_column), .type = (type_), .name = (name_), .unit = (unit_)  \
	}
#define TABLE(name_, columns_, time_)                                                                        \
	{                                                                                                    \
		.struct_size = sizeof(struct pfc_table),                                                     \
		.column_count = sizeof(columns_) / sizeof((columns_)[0]), .name = (name_),                   \
		.columns = (columns_), .column_stride = sizeof(struct pfc_column), .time_column = (time_)    \
	}

static const struct pfc_column fixture_every[] = {
	COLUMN(PFC_U8, "u8", "count"),   COLUMN(PFC_U16, "u16", "count"), COLUMN(PFC_U32, "u32", "count"),
	COLUMN(PFC_U64, "time", "ns"),   COLUMN(PFC_I32, "i32", ""),      COLUMN(PFC_I64, "i64", "bytes"),
	COLUMN(PFC_F64, "f64", "ratio"), COLUMN(PFC_UTF8, "text", ""),    COLUMN(PFC_UTF8, "more", ""),
};
static const struct pfc_table fixture_every_table = TABLE("every", fixture_every, 3);

static const struct pfc_column fixture_strings[] = { COLUMN(PFC_UTF8, "text", "") };
static const struct pfc_table fixture_strings_table = TABLE("strings", fixture_strings, -1);

static const struct pfc_column fixture_samples[] = {
	COLUMN(PFC_U64, "time", "ns"), COLUMN(PFC_I32, "pid", "id"),    COLUMN(PFC_I32, "tid", "id"),
	COLUMN(PFC_I32, "cpu", "id"),  COLUMN(PFC_U64, "weight", "ns"), COLUMN(PFC_U32, "name", "id:strings"),
};
static const struct pfc_table fixture_samples_table = TABLE("samples", fixture_samples, 0);

/** One row of "every", all of it derived from i. */
struct fixture_row {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t time;
	int32_t i32;
	int64_t i64;
	double f64;
	char text[40];
	char more[16];
};

static inline struct fixture_row fixture_row(uint64_t i)
{
	struct fixture_row row = { .u8 = (uint8_t)(i * 7),
				   .u16 = (uint16_t)(i * 31),
				   .u32 = (uint32_t)(i * 2654435761u),
				   .time = 1000000 + (i ^ 5) * 1000,
				   .i32 = -(int32_t)(i % 100000),
				   .i64 = -(int64_t)(i * 1000003),
				   .f64 = (double)i / 3 };

	snprintf(row.text, sizeof(row.text), "%.*s%llu", (int)(i % 17),
		 "\xc3\xa4\xc3\xb6\xe2\x82\xac-abcdefghij", (unsigned long long)i);
	snprintf(row.more, sizeof(row.more), "%s", i % 3 == 0 ? "" : "x");
	return row;
}

static inline int32_t fixture_append_row(const struct pfc_writer *face, uint32_t table, uint64_t i)
{
	struct fixture_row row = fixture_row(i);
	struct pfc_string text = { row.text, strlen(row.text) };
	struct pfc_string more = { row.more[0] != '\0' ? row.more : NULL, strlen(row.more) };
	const void *columns[] = { &row.u8,  &row.u16, &row.u32, &row.time, &row.i32,
				  &row.i64, &row.f64, &text,    &more };

	return face->append(face->ctx, table, 1, columns);
}

static inline int fixture_file(void)
{
	int fd = memfd_create("artifact", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline struct artifact_writer *fixture_writer(int fd, const char *type)
{
	struct artifact_writer *writer = NULL;
	struct pfc_error err = { 0 };

	ck_assert_msg(artifact_writer_create(fd, type, &writer, &err) == 0, "%s: %s", err.what, err.why);
	return writer;
}

static inline struct artifact_reader *fixture_reader(int fd, const char *type)
{
	struct artifact_about about = { .producer = "stage", .port = "port", .type = type, .signal = "cpu" };
	struct artifact_reader *reader = NULL;
	struct pfc_error err = { 0 };

	ck_assert_msg(artifact_reader_open(fd, &about, &reader, &err) == 0, "%s: %s", err.what, err.why);
	return reader;
}

/** Write a whole, sealed artifact of "every" with this many rows, in chunks of `commit_every` rows. */
static inline int fixture_every_file(uint64_t rows, uint64_t commit_every)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);

	ck_assert_int_eq(face->declare(face->ctx, &fixture_every_table), 0);
	for (uint64_t i = 0; i < rows; i++) {
		ck_assert_int_eq(fixture_append_row(face, 0, i), 0);
		if ((i + 1) % commit_every == 0) {
			ck_assert_int_eq(face->fact_number(face->ctx, "rows", (double)i), 0);
			ck_assert_int_eq(face->commit(face->ctx), 0);
		}
	}
	ck_assert_int_eq(artifact_writer_loss(writer, "ring_full", 3), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	artifact_writer_destroy(writer);
	return fd;
}

#define FIXTURE_VALUE(type_, column_) (((const type_ *)views[column_].data)[at])

/** Whether row `at` of a chunk, seen through its nine views, is fixture_row of its row number. */
static inline int fixture_row_equal(const struct pfc_column_view views[9], uint64_t at)
{
	struct fixture_row row = fixture_row(views[0].first_row + at);
	const char *text = (const char *)views[7].data + views[7].offsets[at];
	const char *more = (const char *)views[8].data + views[8].offsets[at];
	size_t text_bytes = (size_t)(views[7].offsets[at + 1] - views[7].offsets[at]);
	size_t more_bytes = (size_t)(views[8].offsets[at + 1] - views[8].offsets[at]);

	return FIXTURE_VALUE(uint8_t, 0) == row.u8 && FIXTURE_VALUE(uint16_t, 1) == row.u16 &&
	       FIXTURE_VALUE(uint32_t, 2) == row.u32 && FIXTURE_VALUE(uint64_t, 3) == row.time &&
	       FIXTURE_VALUE(int32_t, 4) == row.i32 && FIXTURE_VALUE(int64_t, 5) == row.i64 &&
	       FIXTURE_VALUE(double, 6) == row.f64 && text_bytes == strlen(row.text) &&
	       memcmp(text, row.text, text_bytes) == 0 && more_bytes == strlen(row.more) &&
	       memcmp(more, row.more, more_bytes) == 0;
}

/**
 * Read all of "every". Returns the rows that view gave and that are right; *ret_corrupt counts chunks that
 * were refused, *ret_wrong rows that were given and are wrong (there must be none).
 */
static inline uint64_t fixture_verify(const struct pfc_reader *face, uint64_t *ret_corrupt,
				      uint64_t *ret_wrong)
{
	struct pfc_table_view table = { .struct_size = sizeof(table) };
	uint64_t right = 0;

	*ret_corrupt = 0;
	*ret_wrong = 0;
	if (face->table(face->ctx, "every", &table) != 0) {
		return 0;
	}
	for (uint32_t chunk = 0; chunk < table.chunk_count; chunk++) {
		struct pfc_column_view views[9];
		int rc = 0;

		for (uint32_t i = 0; i < 9 && rc == 0; i++) {
			views[i].struct_size = sizeof(views[i]);
			rc = face->view(face->ctx, table.table, chunk, i, &views[i]);
		}
		if (rc != 0) {
			*ret_corrupt += 1;
			continue;
		}
		for (uint64_t at = 0; at < views[0].row_count; at++) {
			if (fixture_row_equal(views, at)) {
				right++;
			} else {
				*ret_wrong += 1;
			}
		}
	}
	return right;
}

static inline int fixture_run(TCase *cases, const char *name)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif

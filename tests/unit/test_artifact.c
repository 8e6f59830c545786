/* SPDX-License-Identifier: MIT */
/*
 * Artifacts of tables: what is written is what is read, and the contract of writer and reader at its
 * edges.
 */
#include <math.h>
#include <pthread.h>

#include "artifact_fixture.h"

START_TEST(every_type_round_trips)
{
	static const uint64_t row_counts[] = { 0, 1, 2, 63, 64, 65, 1000, 65536, 65537, 200000 };

	for (size_t i = 0; i < sizeof(row_counts) / sizeof(row_counts[0]); i++) {
		int fd = fixture_every_file(row_counts[i], 50000);
		struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
		uint64_t corrupt, wrong;

		ck_assert_uint_eq(fixture_verify(artifact_reader_face(reader), &corrupt, &wrong),
				  row_counts[i]);
		ck_assert_uint_eq(corrupt + wrong, 0);
		ck_assert(artifact_reader_is_sealed(reader));
		artifact_reader_close(reader);
		close(fd);
	}
}
END_TEST

START_TEST(large_batches_are_split_over_chunks)
{
	enum { ROWS = 200000 };
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct pfc_string *strings = calloc(ROWS, sizeof(*strings));
	const void *columns[] = { strings };
	struct pfc_table_view table = { .struct_size = sizeof(table) };
	struct artifact_reader *reader;

	ck_assert_ptr_nonnull(strings);
	for (int i = 0; i < ROWS; i++) {
		strings[i] = (struct pfc_string){ "abcdefghij", (uint64_t)(i % 11) };
	}
	ck_assert_int_eq(face->declare(face->ctx, &fixture_strings_table), 0);
	ck_assert_int_eq(face->append(face->ctx, 0, ROWS, columns), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert_int_eq(
		artifact_reader_face(reader)->table(artifact_reader_face(reader)->ctx, "strings", &table), 0);
	ck_assert_uint_eq(table.row_count, ROWS);
	ck_assert_uint_eq(table.chunk_count, (ROWS + 65535) / 65536);
	for (uint32_t chunk = 0; chunk < table.chunk_count; chunk++) {
		struct pfc_column_view view = { .struct_size = sizeof(view) };

		ck_assert_int_eq(artifact_reader_face(reader)->view(artifact_reader_face(reader)->ctx, 0,
								    chunk, 0, &view),
				 0);
		for (uint64_t i = 0; i < view.row_count; i++) {
			ck_assert_int_eq(view.offsets[i + 1] - view.offsets[i],
					 (int)((view.first_row + i) % 11));
		}
	}
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	free(strings);
	close(fd);
}
END_TEST

START_TEST(long_strings_begin_new_chunks)
{
	enum { LONG = 3 << 20 };
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	char *text = malloc(LONG);
	struct pfc_string string = { text, LONG };
	const void *columns[] = { &string };
	struct pfc_table_view table = { .struct_size = sizeof(table) };
	struct artifact_reader *reader;

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', LONG);
	ck_assert_int_eq(face->declare(face->ctx, &fixture_strings_table), 0);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(face->append(face->ctx, 0, 1, columns), 0);
	}
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert_int_eq(
		artifact_reader_face(reader)->table(artifact_reader_face(reader)->ctx, "strings", &table), 0);
	ck_assert_uint_eq(table.row_count, 5);
	ck_assert_uint_eq(table.chunk_count, 3);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	free(text);
	close(fd);
}
END_TEST

START_TEST(tiny_tables_stay_tiny)
{
	int fd = fixture_every_file(3, 100);
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_lt(st.st_size, 4096);
	close(fd);
}
END_TEST

START_TEST(facts_and_losses_arrive)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	const struct pfc_reader *in;
	struct artifact_reader *reader;
	const char *text = NULL;
	double number = 0;

	ck_assert_int_eq(face->fact_number(face->ctx, "rooted_pct", 12.5), 0);
	ck_assert_int_eq(face->commit(face->ctx), 0);
	ck_assert_int_eq(face->fact_number(face->ctx, "rooted_pct", 99.25), 0);
	ck_assert_int_eq(face->fact_number(face->ctx, "truncated.no_cfi", 7), 0);
	ck_assert_int_eq(face->fact_text(face->ctx, "event", "cpu-\xff-clock"), 0);
	ck_assert_int_eq(artifact_writer_loss(writer, "ring_full", 40), 0);
	ck_assert_int_eq(artifact_writer_loss(writer, "ring_full", 2), 0);
	ck_assert_int_eq(artifact_writer_loss(writer, "throttled", 1), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	in = artifact_reader_face(reader);
	ck_assert_int_eq(in->fact(in->ctx, "rooted_pct", &number, &text), 0);
	ck_assert_double_eq(number, 99.25);
	ck_assert_str_eq(text, "99.25");
	ck_assert_int_eq(in->fact(in->ctx, "truncated.no_cfi", NULL, &text), 0);
	ck_assert_str_eq(text, "7");
	ck_assert_int_eq(in->fact(in->ctx, "event", &number, &text), 0);
	ck_assert(isnan(number));
	ck_assert_str_eq(text, "cpu-\xef\xbf\xbd-clock");
	ck_assert_int_eq(in->fact(in->ctx, "nothing", &number, &text), PFC_ENOENT);
	ck_assert_int_eq(in->describe(in->ctx, &about), 0);
	ck_assert_uint_eq(about.lost, 43);
	ck_assert_uint_eq(about.partial, 1);
	ck_assert_str_eq(about.type, FIXTURE_TYPE);
	ck_assert_str_eq(about.signal, "cpu");
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

START_TEST(many_loss_causes_are_still_counted)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	struct artifact_reader *reader;

	for (int i = 0; i < 500; i++) {
		char cause[32];

		snprintf(cause, sizeof(cause), "cause_%d", i);
		ck_assert_int_eq(artifact_writer_loss(writer, cause, 2), 0);
	}
	ck_assert_int_eq(artifact_writer_loss(writer, "Not Snake", 5), PFC_EINVAL);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert_int_eq(artifact_reader_face(reader)->describe(artifact_reader_face(reader)->ctx, &about),
			 0);
	ck_assert_uint_eq(about.lost, 1005);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

/* What breaks the contract is refused, the refusal sticks, and what came before it is still in the file. */
static void check_sticky(int32_t (*mistake)(const struct pfc_writer *face))
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct artifact_reader *reader;
	struct pfc_error err = { 0 };
	uint64_t corrupt, wrong;
	json_t *report;

	ck_assert_int_eq(face->declare(face->ctx, &fixture_every_table), 0);
	ck_assert_int_eq(fixture_append_row(face, 0, 0), 0);
	ck_assert_int_eq(mistake(face), PFC_EINVAL);
	ck_assert_int_eq(fixture_append_row(face, 0, 1), PFC_EINVAL);
	ck_assert_int_eq(face->commit(face->ctx), PFC_EINVAL);
	ck_assert_int_eq(face->declare(face->ctx, &fixture_strings_table), PFC_EINVAL);
	ck_assert_int_eq(artifact_writer_seal(writer, &err), PFC_EINVAL);
	ck_assert_int_eq(err.status, PFC_EINVAL);
	ck_assert_str_ne(err.why, "");
	report = artifact_writer_report(writer);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(report, "rows"), "every")), 1);
	ck_assert_int_ge(json_integer_value(json_object_get(json_object_get(report, "lost"), "not_written")),
			 1);
	json_decref(report);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert(!artifact_reader_is_sealed(reader));
	ck_assert_uint_eq(fixture_verify(artifact_reader_face(reader), &corrupt, &wrong), 1);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}

static int32_t append_to_no_table(const struct pfc_writer *face)
{
	return fixture_append_row(face, 7, 1);
}

static int32_t append_null_column(const struct pfc_writer *face)
{
	const void *columns[9] = { NULL };

	return face->append(face->ctx, 0, 1, columns);
}

static int32_t append_wild_string(const struct pfc_writer *face)
{
	struct fixture_row row = fixture_row(1);
	struct pfc_string text = { row.text, UINT64_MAX };
	const void *columns[] = { &row.u8,  &row.u16, &row.u32, &row.time, &row.i32,
				  &row.i64, &row.f64, &text,    &text };

	return face->append(face->ctx, 0, 1, columns);
}

static int32_t declare_late(const struct pfc_writer *face)
{
	(void)face->commit(face->ctx);
	return face->declare(face->ctx, &fixture_strings_table);
}

static int32_t write_bytes(const struct pfc_writer *face)
{
	return face->write(face->ctx, "x", 1);
}

static int32_t bad_fact_key(const struct pfc_writer *face)
{
	return face->fact_number(face->ctx, "Rooted Pct", 1);
}

static int32_t fact_not_a_number(const struct pfc_writer *face)
{
	return face->fact_number(face->ctx, "rooted_pct", NAN);
}

START_TEST(mistakes_stick)
{
	check_sticky(append_to_no_table);
	check_sticky(append_null_column);
	check_sticky(append_wild_string);
	check_sticky(declare_late);
	check_sticky(write_bytes);
	check_sticky(bad_fact_key);
	check_sticky(fact_not_a_number);
}
END_TEST

static int32_t try_declare(const struct pfc_table *def)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	int32_t rc = face->declare(face->ctx, def);

	artifact_writer_destroy(writer);
	close(fd);
	return rc;
}

START_TEST(bad_tables_are_refused)
{
	struct pfc_column columns[3] = { COLUMN(PFC_U64, "time", "ns"), COLUMN(PFC_U32, "a", "count"),
					 COLUMN(PFC_U32, "b", "id:t") };
	struct pfc_table def = TABLE("t", columns, 0);

	ck_assert_int_eq(try_declare(&def), 0);
	def.time_column = 1;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL); /* not u64 */
	def.time_column = 3;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	def.time_column = -1;
	columns[1].name = "time";
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	columns[1].name = "Bad-Name";
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	columns[1].name = "a";
	columns[1].type = 99;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	columns[1].type = PFC_U8;
	columns[2].unit = "id:nowhere";
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	columns[2].unit = NULL;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	columns[2].unit = "";
	def.column_count = 0;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	def.column_count = 65;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	def.column_count = 3;
	def.name = NULL;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	def.name = "t";
	def.column_stride = 7;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	def.column_stride = sizeof(columns[0]);
	def.struct_size = 3;
	ck_assert_int_eq(try_declare(&def), PFC_EINVAL);
	ck_assert_int_eq(try_declare(NULL), PFC_EINVAL);
}
END_TEST

/* Structs of a plugin that was built against a later header: larger, with members that mean nothing here. */
struct future_column {
	struct pfc_column now;
	uint64_t more[5];
};

struct future_table {
	struct pfc_table now;
	uint64_t more[9];
};

START_TEST(larger_structs_are_understood)
{
	struct future_column columns[9];
	struct future_table def = { .now = fixture_every_table };
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct artifact_reader *reader;
	struct {
		struct pfc_column_view now;
		uint64_t more[4];
	} view;
	uint64_t corrupt, wrong;

	memset(columns, 0xa5, sizeof(columns));
	memset(def.more, 0xa5, sizeof(def.more));
	for (int i = 0; i < 9; i++) {
		columns[i].now = fixture_every[i];
		columns[i].now.struct_size = sizeof(columns[i]);
	}
	def.now.struct_size = sizeof(def);
	def.now.columns = &columns[0].now;
	def.now.column_stride = sizeof(columns[0]);
	ck_assert_int_eq(face->declare(face->ctx, &def.now), 0);
	ck_assert_int_eq(fixture_append_row(face, 0, 0), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert_uint_eq(fixture_verify(artifact_reader_face(reader), &corrupt, &wrong), 1);
	memset(&view, 0xa5, sizeof(view));
	view.now.struct_size = sizeof(view);
	ck_assert_int_eq(
		artifact_reader_face(reader)->view(artifact_reader_face(reader)->ctx, 0, 0, 0, &view.now), 0);
	ck_assert_uint_eq(view.now.struct_size, sizeof(view));
	ck_assert_uint_eq(view.now.row_count, 1);
	ck_assert_uint_eq(view.more[0] | view.more[3], 0); /* what this host does not know reads as zero */
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

START_TEST(smaller_structs_are_understood)
{
	struct pfc_table def = fixture_strings_table;
	int fd = fixture_every_file(10, 100);
	struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
	struct pfc_table_view table = { .struct_size = 16, .chunk_count = 77 };

	def.struct_size = offsetof(struct pfc_table, column_stride);
	def.column_stride = 0xdeadbeef;
	def.time_column = 12345;
	ck_assert_int_eq(try_declare(&def), 0);
	ck_assert_int_eq(
		artifact_reader_face(reader)->table(artifact_reader_face(reader)->ctx, "every", &table), 0);
	ck_assert_uint_eq(table.row_count, 10);
	ck_assert_uint_eq(table.chunk_count, 77); /* past the caller's struct: not touched */
	table.struct_size = 0;
	ck_assert_int_eq(
		artifact_reader_face(reader)->table(artifact_reader_face(reader)->ctx, "every", &table),
		PFC_EINVAL);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(reader_refuses_what_is_not_there)
{
	int fd = fixture_every_file(10, 100);
	struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
	const struct pfc_reader *in = artifact_reader_face(reader);
	struct pfc_table_view table = { .struct_size = sizeof(table) };
	struct pfc_column_view view = { .struct_size = sizeof(view) };
	struct artifact_about about = { .type = "other.things/1" };
	struct artifact_reader *other = NULL;
	const void *data;
	uint64_t bytes;

	ck_assert_int_eq(in->table(in->ctx, "nothing", &table), PFC_ENOENT);
	ck_assert_int_eq(in->column(in->ctx, 0, "nothing"), PFC_ENOENT);
	ck_assert_int_eq(in->column(in->ctx, 9, "time"), PFC_ENOENT);
	ck_assert_int_eq(in->column(in->ctx, 0, "time"), 3);
	ck_assert_int_eq(in->view(in->ctx, 0, 1, 0, &view), PFC_ENOENT);
	ck_assert_int_eq(in->view(in->ctx, 0, 0, 9, &view), PFC_ENOENT);
	ck_assert_int_eq(in->view(in->ctx, 1, 0, 0, &view), PFC_ENOENT);
	ck_assert_int_eq(in->document(in->ctx, &data, &bytes), PFC_EINVAL);
	ck_assert_int_eq(artifact_reader_open(fd, &about, &other, NULL), PFC_ECORRUPT);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(views_survive_release)
{
	int fd = fixture_every_file(150000, 1000000);
	struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
	const struct pfc_reader *in = artifact_reader_face(reader);
	struct pfc_column_view view = { .struct_size = sizeof(view) };
	uint64_t corrupt, wrong;

	ck_assert_int_eq(in->view(in->ctx, 0, 0, 3, &view), 0);
	ck_assert_uint_eq((uintptr_t)view.data % 64, 0);
	artifact_reader_release(reader, 0, 0);
	ck_assert_uint_eq(((const uint64_t *)view.data)[100], fixture_row(100).time);
	ck_assert_uint_eq(fixture_verify(in, &corrupt, &wrong), 150000);
	ck_assert_uint_eq(((const uint64_t *)view.data)[65535], fixture_row(65535).time);
	artifact_reader_release(reader, 5, 0);
	artifact_reader_release(reader, 0, 99);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

/*
 * A full chunk takes the tables before it along: at every instant a committed sample finds its string in
 * the file.
 */
START_TEST(committed_rows_refer_to_committed_rows)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	uint64_t seen = 0;

	ck_assert_int_eq(face->declare(face->ctx, &fixture_strings_table), 0);
	ck_assert_int_eq(face->declare(face->ctx, &fixture_samples_table), 1);
	for (uint32_t i = 0; i < 300000; i++) {
		uint64_t time = i, weight = 1;
		int32_t id = 1;
		uint32_t name = i / 3;
		struct pfc_string text = { "name", 4 };
		const void *strings[] = { &text };
		const void *samples[] = { &time, &id, &id, &id, &weight, &name };

		if (i % 3 == 0) {
			ck_assert_int_eq(face->append(face->ctx, 0, 1, strings), 0);
		}
		ck_assert_int_eq(face->append(face->ctx, 1, 1, samples), 0);
		if (i % 9973 == 0) {
			struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
			const struct pfc_reader *in = artifact_reader_face(reader);
			struct pfc_table_view views[2] = { { .struct_size = sizeof(views[0]) },
							   { .struct_size = sizeof(views[0]) } };

			if (artifact_reader_table_count(reader) == 2) {
				ck_assert_int_eq(in->table(in->ctx, "strings", &views[0]), 0);
				ck_assert_int_eq(in->table(in->ctx, "samples", &views[1]), 0);
				ck_assert_uint_ge(views[0].row_count * 3, views[1].row_count);
				seen = views[1].row_count;
			}
			artifact_reader_close(reader);
		}
	}
	ck_assert_uint_gt(seen, 200000);
	ck_assert_uint_eq(artifact_writer_rows(writer), 300000);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

START_TEST(report_says_what_became_of_it)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct artifact_reader *reader;
	struct stat st;
	json_t *report, *read;

	ck_assert_int_eq(face->declare(face->ctx, &fixture_every_table), 0);
	ck_assert_int_eq(face->declare(face->ctx, &fixture_strings_table), 1);
	for (uint64_t i = 0; i < 100; i++) {
		ck_assert_int_eq(fixture_append_row(face, 0, i), 0);
	}
	ck_assert_uint_eq(artifact_writer_rows(writer), 100); /* of the dated table, not of the last */
	report = artifact_writer_report(writer);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(report, "rows"), "every")), 0);
	ck_assert(json_is_false(json_object_get(report, "sealed")));
	json_decref(report);
	ck_assert_int_eq(face->fact_number(face->ctx, "samples", 100), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	report = artifact_writer_report(writer);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "bytes")), st.st_size);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "first_ns")), 1000000);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "last_ns")), 1000000 + 103000);
	ck_assert(json_is_true(json_object_get(report, "sealed")));
	ck_assert_int_eq(strncmp(json_string_value(json_object_get(report, "checksum")), "crc32:", 6), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	read = artifact_reader_report(reader);
	ck_assert(json_equal(json_object_get(report, "rows"), json_object_get(read, "rows")));
	ck_assert(json_equal(json_object_get(report, "facts"), json_object_get(read, "facts")));
	ck_assert(json_equal(json_object_get(report, "lost"), json_object_get(read, "lost")));
	json_decref(report);
	json_decref(read);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

static void *lose_a_lot(void *ctx)
{
	struct artifact_writer *writer = ctx;

	for (int i = 0; i < 100000; i++) {
		(void)artifact_writer_loss(writer, i % 2 == 0 ? "ring_full" : "garbled", 1);
	}
	return NULL;
}

/* Losses and the row count are for any thread, while the owner writes. */
START_TEST(losses_are_counted_from_any_thread)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	struct artifact_reader *reader;
	pthread_t threads[4];

	ck_assert_int_eq(face->declare(face->ctx, &fixture_every_table), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, lose_a_lot, writer), 0);
	}
	for (uint64_t i = 0; i < 20000; i++) {
		ck_assert_int_eq(fixture_append_row(face, 0, i), 0);
		ck_assert(i % 500 != 0 || face->commit(face->ctx) == 0);
		ck_assert_uint_eq(artifact_writer_rows(writer), i + 1);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert_int_eq(artifact_reader_face(reader)->describe(artifact_reader_face(reader)->ctx, &about),
			 0);
	ck_assert_uint_eq(about.lost, 400000);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

static void *read_all_rows(void *ctx)
{
	uint64_t corrupt, wrong;

	return (void *)(uintptr_t)fixture_verify(artifact_reader_face(ctx), &corrupt, &wrong);
}

START_TEST(a_reader_is_for_any_thread)
{
	int fd = fixture_every_file(200000, 1000000);
	struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_all_rows, reader), 0);
	}
	for (int i = 0; i < 4; i++) {
		void *rows = NULL;

		ck_assert_int_eq(pthread_join(threads[i], &rows), 0);
		ck_assert_uint_eq((uintptr_t)rows, 200000);
	}
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(types_are_told_apart)
{
	ck_assert(artifact_type_is_tables("profcore.stacks/1"));
	ck_assert(artifact_type_is_tables("com.example.things/12"));
	ck_assert(!artifact_type_is_tables("image/svg+xml"));
	ck_assert(!artifact_type_is_tables("application/vnd.example.x/y"));
	ck_assert(!artifact_type_is_tables("text/plain"));
	ck_assert(!artifact_type_is_tables(ARTIFACT_TYPE_SUMMARY)); /* a JSON document */
	ck_assert(!artifact_type_is_tables("stacks/1"));
	ck_assert(!artifact_type_is_tables(""));
	ck_assert(!artifact_type_is_tables("profcore.stacks/"));
	ck_assert(!artifact_type_is_tables("/1"));
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, every_type_round_trips);
	tcase_add_test(cases, large_batches_are_split_over_chunks);
	tcase_add_test(cases, long_strings_begin_new_chunks);
	tcase_add_test(cases, tiny_tables_stay_tiny);
	tcase_add_test(cases, facts_and_losses_arrive);
	tcase_add_test(cases, many_loss_causes_are_still_counted);
	tcase_add_test(cases, mistakes_stick);
	tcase_add_test(cases, bad_tables_are_refused);
	tcase_add_test(cases, larger_structs_are_understood);
	tcase_add_test(cases, smaller_structs_are_understood);
	tcase_add_test(cases, reader_refuses_what_is_not_there);
	tcase_add_test(cases, views_survive_release);
	tcase_add_test(cases, committed_rows_refer_to_committed_rows);
	tcase_add_test(cases, report_says_what_became_of_it);
	tcase_add_test(cases, losses_are_counted_from_any_thread);
	tcase_add_test(cases, a_reader_is_for_any_thread);
	tcase_add_test(cases, types_are_told_apart);
	return fixture_run(cases, "artifact");
}

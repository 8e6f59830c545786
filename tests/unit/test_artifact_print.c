/* SPDX-License-Identifier: MIT */
/* Artifacts as people, spreadsheets and machines see them: ids resolved, hostile text made harmless. */
#include <math.h>

#include "artifact_fixture.h"

#include "artifact/print.h"

static const struct pfc_column modules[] = { COLUMN(PFC_U32, "path", "id:strings") };
static const struct pfc_column locations[] = { COLUMN(PFC_U32, "module", "id:modules"),
					       COLUMN(PFC_U64, "address", "address") };
static const struct pfc_column stacks[] = { COLUMN(PFC_U32, "parent", "id:stacks"),
					    COLUMN(PFC_U32, "location", "id:locations") };
static const struct pfc_column samples[] = { COLUMN(PFC_U64, "time", "ns"), COLUMN(PFC_F64, "share", "ratio"),
					     COLUMN(PFC_U32, "stack", "id:stacks") };

static void fill_names(const struct pfc_writer *face)
{
	const struct pfc_string texts[] = { { "", 0 },
					    { "/usr/lib/libc.so.6", 18 },
					    { "a\033[31m\xff\"b\",\xc2\x9b\0c", 15 } };
	const uint32_t path[] = { 0, 1, 2 };
	const uint32_t module[] = { 0, 1, 2 };
	const uint64_t address[] = { 0, 0x1234, 0xffffffff81000000 };
	const uint32_t parent[] = { 0, 0, 1 };
	const uint32_t location[] = { 0, 1, 2 };

	ck_assert_int_eq(face->append(face->ctx, 0, 3, (const void *[]){ texts }), 0);
	ck_assert_int_eq(face->append(face->ctx, 1, 3, (const void *[]){ path }), 0);
	ck_assert_int_eq(face->append(face->ctx, 2, 3, (const void *[]){ module, address }), 0);
	ck_assert_int_eq(face->append(face->ctx, 3, 3, (const void *[]){ parent, location }), 0);
}

static struct artifact_reader *stacks_artifact(int fd)
{
	struct artifact_writer *writer = fixture_writer(fd, "profcore.stacks/1");
	const struct pfc_writer *face = artifact_writer_face(writer);
	const struct pfc_table tables[] = { fixture_strings_table, TABLE("modules", modules, -1),
					    TABLE("locations", locations, -1), TABLE("stacks", stacks, -1),
					    TABLE("samples", samples, 0) };
	const uint64_t time[] = { 1000, 2000, 3000, 4000, 5000 };
	const double share[] = { 0.1, NAN, INFINITY, 3, 1e300 };
	const uint32_t stack[] = { 0, 1, 2, 99, 1 }; /* 99: there is no such row */

	for (uint32_t i = 0; i < 5; i++) {
		ck_assert_int_eq(face->declare(face->ctx, &tables[i]), (int)i);
	}
	fill_names(face);
	ck_assert_int_eq(face->append(face->ctx, 4, 5, (const void *[]){ time, share, stack }), 0);
	ck_assert_int_eq(face->fact_text(face->ctx, "event", "cpu\033[0m"), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	artifact_writer_destroy(writer);
	return fixture_reader(fd, "profcore.stacks/1");
}

static char *print(struct artifact_reader *reader, enum print_form form, const char *table, uint64_t limit)
{
	struct print_request request = {
		.name = "perf-cpu.stacks", .table = table, .limit = limit, .form = form
	};
	struct pfc_error err = { 0 };
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	ck_assert_ptr_nonnull(to);
	ck_assert_msg(print_artifact(reader, &request, to, &err) == 0, "%s: %s", err.what, err.why);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

static void expect_in(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in:\n%s", part, text);
}

START_TEST(text_is_for_people)
{
	int fd = fixture_file();
	struct artifact_reader *reader = stacks_artifact(fd);
	char *text = print(reader, PRINT_TEXT, NULL, 4);

	expect_in(text, "perf-cpu.stacks: profcore.stacks/1, cpu, complete\n");
	expect_in(text, "event = cpu\\x1b[0m\n");
	expect_in(text, "samples: 5 rows (time u64 ns, share f64 ratio, stack u32 id:stacks)");
	expect_in(text, "samples: 4 of 5 rows\n");
	expect_in(text, "1000    0.1  0\n");
	expect_in(text, "2000    nan  1 /usr/lib/libc.so.6+0x1234\n");
	expect_in(text, "+0xffffffff81000000\n");
	expect_in(text, "4000      3  99\n");
	ck_assert_ptr_null(strchr(text, '\033'));
	ck_assert_ptr_null(strstr(text, "5000"));
	free(text);
	text = print(reader, PRINT_TEXT, "locations", 20);
	expect_in(text, "locations: 3 of 3 rows\n");
	ck_assert_ptr_null(strstr(text, "samples"));
	free(text);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(json_is_for_machines)
{
	int fd = fixture_file();
	struct artifact_reader *reader = stacks_artifact(fd);
	char *text = print(reader, PRINT_JSON, NULL, UINT64_MAX);
	json_error_t error;
	json_t *root = json_loads(text, JSON_DECODE_INT_AS_REAL, &error); /* an address is beyond int64 */
	json_t *rows, *row;

	ck_assert_msg(root != NULL, "line %d: %s\n%s", error.line, error.text, text);
	ck_assert_str_eq(json_string_value(json_object_get(root, "type")), "profcore.stacks/1");
	ck_assert_str_eq(json_string_value(json_object_get(root, "state")), "complete");
	ck_assert_int_eq((int)json_number_value(json_object_get(json_object_get(root, "rows"), "samples")),
			 5);
	rows = json_object_get(json_object_get(root, "tables"), "samples");
	ck_assert_uint_eq(json_array_size(rows), 5);
	row = json_array_get(rows, 1);
	ck_assert(json_is_null(json_object_get(row, "share")));
	ck_assert_int_eq((int)json_number_value(json_object_get(row, "stack")), 1);
	expect_in(text, "\"address\":18446744071578845184}");
	ck_assert_str_eq(json_string_value(json_object_get(row, "stack_text")), "/usr/lib/libc.so.6+0x1234");
	row = json_array_get(rows, 3);
	ck_assert_str_eq(json_string_value(json_object_get(row, "stack_text")), "");
	rows = json_object_get(json_object_get(root, "tables"), "strings");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(rows, 2), "text")),
			 "a\033[31m\xef\xbf\xbd\"b\",\xc2\x9b\xef\xbf\xbd"
			 "c");
	json_decref(root);
	free(text);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(csv_is_for_spreadsheets)
{
	int fd = fixture_file();
	struct artifact_reader *reader = stacks_artifact(fd);
	char *text = print(reader, PRINT_CSV, "samples", 2);

	ck_assert_str_eq(
		text,
		"time,share,stack,stack_text\r\n1000,0.1,0,\r\n2000,nan,1,/usr/lib/libc.so.6+0x1234\r\n");
	free(text);
	text = print(reader, PRINT_CSV, "strings", 9);
	expect_in(text, "\"a\033[31m\xef\xbf\xbd\"\"b\"\",");
	free(text);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(a_wrong_table_is_said)
{
	struct print_request request = { .name = "perf-cpu.stacks", .table = "sampels", .limit = 5 };
	int fd = fixture_file();
	struct artifact_reader *reader = stacks_artifact(fd);
	struct pfc_error err = { 0 };

	ck_assert_int_eq(print_artifact(reader, &request, stdout, &err), PFC_ENOENT);
	expect_in(err.hint, "strings, modules, locations, stacks, samples");
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(a_full_output_is_said)
{
	struct print_request request = { .name = "perf-cpu.stacks", .limit = 5, .form = PRINT_JSON };
	int fd = fixture_file();
	struct artifact_reader *reader = stacks_artifact(fd);
	FILE *to = fopen("/dev/full", "w");
	struct pfc_error err = { 0 };

	ck_assert_ptr_nonnull(to);
	ck_assert_int_eq(print_artifact(reader, &request, to, &err), PFC_EIO);
	ck_assert_str_ne(err.why, "");
	(void)fclose(to);
	artifact_reader_close(reader);
	close(fd);
}
END_TEST

START_TEST(documents_are_printed_as_they_are)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, "text/plain");
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct artifact_reader *reader;
	json_t *root;
	char *text;

	ck_assert_int_eq(face->write(face->ctx, "line\033\n\"two\"", 11), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, "text/plain");
	text = print(reader, PRINT_TEXT, NULL, 0);
	ck_assert_str_eq(text, "line\033\n\"two\"");
	free(text);
	text = print(reader, PRINT_JSON, NULL, 0);
	root = json_loads(text, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(root, "text")), "line\033\n\"two\"");
	ck_assert_int_eq(json_integer_value(json_object_get(root, "bytes")), 11);
	json_decref(root);
	free(text);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact_print");

	tcase_add_test(cases, text_is_for_people);
	tcase_add_test(cases, json_is_for_machines);
	tcase_add_test(cases, csv_is_for_spreadsheets);
	tcase_add_test(cases, a_wrong_table_is_said);
	tcase_add_test(cases, a_full_output_is_said);
	tcase_add_test(cases, documents_are_printed_as_they_are);
	return fixture_run(cases, "artifact_print");
}

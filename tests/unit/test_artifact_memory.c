/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the writer and the reader fails in turn. Linked with --wrap for malloc, calloc, realloc
 * and strdup. Nothing crashes or leaks; a call that could not do its work says PFC_ENOMEM, and never passes
 * off less as the whole.
 */
#include "artifact_fixture.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);

static long countdown = -1; /* allocations until one fails; -1: none does */
static bool sticky;         /* all after it fail too */
static bool failed;

static bool fails(void)
{
	if (countdown < 0) {
		return false;
	}
	if (countdown > 0) {
		countdown--;
		return false;
	}
	failed = true;
	if (!sticky) {
		countdown = -1;
	}
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

char *__wrap_strdup(const char *text)
{
	char *copy = __wrap_malloc(strlen(text) + 1);

	return copy != NULL ? strcpy(copy, text) : NULL;
}

static void expect(int rc)
{
	long held = countdown;

	countdown = -1; /* Check allocates too */
	ck_assert_msg(rc == 0 || (failed && rc == PFC_ENOMEM), "%d", rc);
	countdown = held;
}

static int write_rows(struct artifact_writer *writer)
{
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct pfc_string text = { "text", 4 };
	const void *columns[] = { &text };
	int rc;

	(void)face->declare(face->ctx, &fixture_every_table);
	(void)face->declare(face->ctx, &fixture_strings_table);
	for (uint64_t i = 0; i < 300; i++) {
		(void)fixture_append_row(face, 0, i);
		if (i % 100 == 0) {
			(void)face->append(face->ctx, 1, 1, columns);
			(void)face->fact_number(face->ctx, "rows", (double)i);
			(void)face->fact_text(face->ctx, "event", "cpu-clock");
			expect(face->commit(face->ctx));
		}
	}
	expect(artifact_writer_loss(writer, "ring_full", 1));
	rc = artifact_writer_seal(writer, NULL);
	expect(rc);
	return rc;
}

/* Returns whether an allocation failed on the way. */
static bool write_once(long n, int fd)
{
	struct artifact_writer *writer = NULL;
	int rc;

	ck_assert_int_eq(ftruncate(fd, 0), 0);
	failed = false;
	countdown = n;
	rc = artifact_writer_create(fd, FIXTURE_TYPE, &writer, NULL);
	expect(rc);
	if (rc == 0) {
		int sealed = write_rows(writer);
		json_t *report = artifact_writer_report(writer);

		countdown = -1;
		ck_assert(report != NULL || failed);
		if (sealed == 0) {
			struct artifact_reader *reader = fixture_reader(fd, FIXTURE_TYPE);
			uint64_t corrupt, wrong;

			ck_assert(artifact_reader_is_sealed(reader));
			ck_assert_uint_eq(fixture_verify(artifact_reader_face(reader), &corrupt, &wrong),
					  300);
			artifact_reader_close(reader);
		}
		json_decref(report);
	}
	artifact_writer_destroy(writer);
	countdown = -1;
	return failed;
}

static bool read_once(long n, int fd)
{
	struct artifact_about about = { .producer = "s", .port = "p", .type = FIXTURE_TYPE, .signal = "" };
	struct artifact_reader *reader = NULL;
	int rc;

	failed = false;
	countdown = n;
	rc = artifact_reader_open(fd, &about, &reader, NULL);
	expect(rc);
	if (rc == 0) {
		const struct pfc_reader *face = artifact_reader_face(reader);
		struct pfc_artifact described = { .struct_size = sizeof(described) };
		json_t *report = artifact_reader_report(reader);
		uint64_t right, corrupt, wrong;

		countdown = -1;
		ck_assert(report != NULL || failed);
		right = fixture_verify(face, &corrupt, &wrong);
		ck_assert_int_eq(face->describe(face->ctx, &described), 0);
		ck_assert(artifact_reader_is_sealed(reader));
		ck_assert_uint_eq(right, 300);
		ck_assert_uint_eq(described.lost, 1);
		ck_assert_int_eq(face->fact(face->ctx, "rows", NULL, NULL), 0);
		json_decref(report);
	}
	artifact_reader_close(reader);
	countdown = -1;
	return failed;
}

START_TEST(each_allocation_of_the_writer_fails)
{
	int fd = fixture_file();
	long n = 0;

	sticky = _i == 1;
	while (write_once(n, fd)) {
		n++;
	}
	ck_assert_int_gt(n, 50);
	close(fd);
}
END_TEST

/*
 * Not those inside of jansson: its parser (2.14) writes past a string that it had no memory for. Texts are
 * bounded to 1 MiB, and read in processes that may die.
 */
START_TEST(each_allocation_of_the_reader_fails)
{
	int fd = fixture_file();
	long n = 0;

	json_set_alloc_funcs(__real_malloc, free);
	ck_assert(!write_once(-1, fd));
	sticky = _i == 1;
	while (read_once(n, fd)) {
		n++;
	}
	json_set_alloc_funcs(__wrap_malloc, free);
	ck_assert_int_gt(n, 10);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact_memory");

	json_set_alloc_funcs(__wrap_malloc, free);
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, each_allocation_of_the_writer_fails, 0, 2);
	tcase_add_loop_test(cases, each_allocation_of_the_reader_fails, 0, 2);
	return fixture_run(cases, "artifact_memory");
}

/* SPDX-License-Identifier: MIT */
/*
 * A full disk: the writer says so and keeps saying so, what was committed stays readable, what was not is
 * counted. Once with a file size limit (anybody can set one), once on a small tmpfs (needs root: skipped with
 * 77 when it cannot mount).
 */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "artifact_fixture.h"

static char folder[] = "/tmp/profcore-full-XXXXXX";

/* Fill the file until it is refused; then hold the writer to its contract. */
static void fill(int fd)
{
	struct artifact_writer *writer = fixture_writer(fd, FIXTURE_TYPE);
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct artifact_reader *reader;
	struct pfc_error err = { 0 };
	uint64_t offered = 0, corrupt, wrong, kept;
	json_t *report;
	struct stat st;
	off_t bytes;

	ck_assert_int_eq(face->declare(face->ctx, &fixture_every_table), 0);
	for (int32_t rc = 0; rc == 0; offered++) {
		ck_assert_uint_lt(offered, 10000000);
		rc = fixture_append_row(face, 0, offered);
		if (rc == 0 && offered % 1000 == 999) {
			rc = face->commit(face->ctx);
		}
		ck_assert(rc == 0 || rc == PFC_ENOSPC);
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	bytes = st.st_size;
	ck_assert_int_eq(fixture_append_row(face, 0, offered++), PFC_ENOSPC);
	ck_assert_int_eq(face->commit(face->ctx), PFC_ENOSPC);
	ck_assert_int_eq(artifact_writer_loss(writer, "ring_full", 7), 0);
	ck_assert_int_eq(artifact_writer_seal(writer, &err), PFC_ENOSPC);
	ck_assert_int_eq(err.status, PFC_ENOSPC);
	ck_assert_str_ne(err.hint, "");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, bytes);

	report = artifact_writer_report(writer);
	kept = (uint64_t)json_integer_value(json_object_get(json_object_get(report, "rows"), "every"));
	ck_assert_uint_gt(kept, 0);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(report, "lost"), "not_written")),
			 (json_int_t)(offered - kept));
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(report, "lost"), "ring_full")),
			 7);
	ck_assert(json_is_false(json_object_get(report, "sealed")));
	ck_assert_uint_eq(artifact_writer_rows(writer), kept);
	json_decref(report);

	reader = fixture_reader(fd, FIXTURE_TYPE);
	ck_assert_uint_eq(fixture_verify(artifact_reader_face(reader), &corrupt, &wrong), kept);
	ck_assert_uint_eq(corrupt + wrong, 0);
	ck_assert(!artifact_reader_is_sealed(reader));
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
}

static void fill_document(int fd)
{
	struct artifact_writer *writer = fixture_writer(fd, "text/plain");
	const struct pfc_writer *face = artifact_writer_face(writer);
	static const char line[] = "a line of a document that finds no end\n";
	struct pfc_error err = { 0 };
	int32_t rc = 0;

	for (int i = 0; rc == 0; i++) {
		ck_assert_int_lt(i, 10000000);
		rc = face->write(face->ctx, line, sizeof(line) - 1);
	}
	ck_assert_int_eq(rc, PFC_ENOSPC);
	ck_assert_int_eq(face->write(face->ctx, line, 1), PFC_ENOSPC);
	ck_assert_int_eq(artifact_writer_seal(writer, &err), PFC_ENOSPC);
	artifact_writer_destroy(writer);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Before each assertion the limit is lifted again: Check keeps its messages in a file. */
static int32_t seal_below(rlim_t bytes)
{
	FILE *file = tmpfile();
	struct artifact_writer *writer = NULL;
	int32_t rc;

	ck_assert_ptr_nonnull(file);
	limit_files(bytes);
	rc = artifact_writer_create(fileno(file), FIXTURE_TYPE, &writer, NULL);
	if (rc == 0) {
		const struct pfc_writer *face = artifact_writer_face(writer);

		(void)face->declare(face->ctx, &fixture_every_table);
		rc = artifact_writer_seal(writer, NULL);
	}
	limit_files(RLIM_INFINITY);
	artifact_writer_destroy(writer);
	fclose(file);
	return rc;
}

START_TEST(a_size_limit_is_a_full_disk)
{
	bool succeeded = false;

	signal(SIGXFSZ, SIG_IGN);
	for (rlim_t bytes = 0; bytes < 2000; bytes++) {
		int32_t rc = seal_below(bytes);

		ck_assert(rc == PFC_ENOSPC || (rc == 0 && bytes > 600));
		ck_assert(rc == 0 || !succeeded);
		succeeded = rc == 0;
	}
	ck_assert(succeeded);
}
END_TEST

START_TEST(a_full_disk_is_said)
{
	for (int round = 0; round < 2; round++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "%s/%d", folder, round);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		(round == 0 ? fill : fill_document)(fd);
		close(fd);
		ck_assert_int_eq(unlink(path), 0);
	}
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact_full");
	bool mounted;
	int rc;

	if (mkdtemp(folder) == NULL) {
		return EXIT_FAILURE;
	}
	mounted = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		  mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0;
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, a_size_limit_is_a_full_disk);
	if (mounted) {
		tcase_add_test(cases, a_full_disk_is_said);
	}
	rc = fixture_run(cases, "artifact_full");
	if (mounted) {
		umount2(folder, MNT_DETACH);
	}
	rmdir(folder);
	if (rc == EXIT_SUCCESS && !mounted) {
		fprintf(stderr, "skipped in part: mounting a tmpfs needs root\n");
		return 77;
	}
	return rc;
}

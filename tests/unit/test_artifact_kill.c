/* SPDX-License-Identifier: MIT */
/*
 * A writer killed at any instant loses its open chunk and nothing else: what it had said to be committed is
 * in the file, whole, by the reader of the core and by the independent one.
 */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "artifact_fixture.h"

#define KILLS 60

static void write_until_killed(int fd, int told)
{
	struct artifact_writer *writer = NULL;
	const struct pfc_writer *face;

	if (artifact_writer_create(fd, FIXTURE_TYPE, &writer, NULL) != 0) {
		_exit(1);
	}
	face = artifact_writer_face(writer);
	if (face->declare(face->ctx, &fixture_every_table) != 0) {
		_exit(1);
	}
	for (uint64_t i = 0;; i++) {
		if (fixture_append_row(face, 0, i) != 0) {
			_exit(1);
		}
		if (i % 97 == 96) {
			uint64_t rows = i + 1;

			if (face->fact_number(face->ctx, "rows", (double)rows) != 0 ||
			    face->commit(face->ctx) != 0 ||
			    write(told, &rows, sizeof(rows)) != sizeof(rows)) {
				_exit(1);
			}
		}
	}
}

/* Rows that the child said were committed. */
static uint64_t last_told(int told)
{
	uint64_t rows = 0;
	uint64_t next;

	while (read(told, &next, sizeof(next)) == sizeof(next)) {
		rows = next;
	}
	return rows;
}

static uint64_t kill_one(const char *path, long delay_us)
{
	struct timespec delay = { 0, delay_us * 1000 };
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t rows;
	int told[2];
	int status;
	pid_t child;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pipe(told), 0);
	ck_assert_int_ge(fcntl(told[1], F_SETPIPE_SZ, 1 << 20), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		write_until_killed(fd, told[1]);
	}
	close(told[1]);
	nanosleep(&delay, NULL);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	rows = last_told(told[0]);
	close(told[0]);
	close(fd);
	return rows;
}

static uint64_t verify(const char *path, uint64_t told)
{
	struct artifact_about about = { .type = FIXTURE_TYPE };
	struct artifact_reader *reader = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t right = 0, corrupt = 0, wrong = 0;
	int rc;

	ck_assert_int_ge(fd, 0);
	rc = artifact_reader_open(fd, &about, &reader, NULL);
	if (rc != 0) {
		ck_assert_int_eq(rc, PFC_ECORRUPT); /* killed before the first 64 bytes */
		ck_assert_uint_eq(told, 0);
		close(fd);
		return 0;
	}
	right = fixture_verify(artifact_reader_face(reader), &corrupt, &wrong);
	ck_assert_uint_eq(corrupt + wrong, 0);
	ck_assert_uint_ge(right, told);
	ck_assert(!artifact_reader_is_sealed(reader));
	artifact_reader_close(reader);
	close(fd);
	return right;
}

static void verify_independently(const char *folder, unsigned files)
{
	const char *root = getenv("PROFCORE_SOURCE_ROOT");
	char command[1024];

	ck_assert_msg(root != NULL, "set PROFCORE_SOURCE_ROOT to the source tree");
	snprintf(command, sizeof(command),
		 "python3 '%s/docs/read_artifact.py' --verify --ids '%s'/*.pcol | wc -l | grep -qx %u", root,
		 folder, files);
	ck_assert_msg(system(command) == 0, "the independent reader refuses a file: %s", command);
}

START_TEST(killed_writers_lose_only_open_rows)
{
	char folder[] = "/tmp/profcore-kill-XXXXXX";
	char path[64];
	uint64_t committed = 0;
	unsigned files = 0;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t told;

		snprintf(path, sizeof(path), "%s/%u.pcol", folder, i);
		told = kill_one(path, 200 + (i * 7919) % 20000);
		committed += verify(path, told);
		if (told == 0 && access(path, F_OK) == 0) {
			struct stat st;

			ck_assert_int_eq(stat(path, &st), 0);
			if (st.st_size < 64) {
				unlink(path);
				continue;
			}
		}
		files++;
	}
	ck_assert_uint_gt(committed, 0);
	ck_assert_uint_gt(files, KILLS / 2);
	verify_independently(folder, files);
	snprintf(path, sizeof(path), "rm -rf %s", folder);
	ck_assert_int_eq(system(path), 0);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact_kill");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, killed_writers_lose_only_open_rows);
	return fixture_run(cases, "artifact_kill");
}

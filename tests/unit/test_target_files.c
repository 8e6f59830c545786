/* SPDX-License-Identifier: MIT */
/* Opening the target's files: the right one or none, whatever became of it. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "target/opener.h"
#include "target/passfd.h"
#include "target/related.h"
#include "target/wire.h"
#include "target_fixture.h"

#define MARK "profcore test of mapped files"

struct place {
	char folder[64];
	int folder_fd;
};

static void make_place(struct place *place)
{
	snprintf(place->folder, sizeof(place->folder), "/tmp/test-target-files-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place->folder));
	place->folder_fd = open(place->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void remove_place(struct place *place)
{
	char command[128];

	close(place->folder_fd);
	snprintf(command, sizeof(command), "rm -r %s", place->folder);
	ck_assert_int_eq(system(command), 0);
}

/* A new file with a page of text; its inode. */
static uint64_t write_file(const struct place *place, const char *name, const char *text)
{
	char path[256];
	char page[4096] = "";
	struct stat stat_of;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place->folder, name);
	snprintf(page, sizeof(page), "%s", text);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0700);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, page, sizeof(page)), sizeof(page));
	ck_assert_int_eq(fstat(fd, &stat_of), 0);
	close(fd);
	return stat_of.st_ino;
}

/* ---- opener_find ---- */

START_TEST(test_only_the_very_file_is_found)
{
	struct stat secret;
	struct place place;
	char path[256];
	uint64_t inode;
	int fd;

	make_place(&place);
	inode = write_file(&place, "file", MARK);
	fd = opener_find(place.folder_fd, "/file", inode);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(opener_find(place.folder_fd, "/file", inode + 1), PFC_ENOENT);
	ck_assert_int_eq(opener_find(place.folder_fd, "/none", inode), PFC_ENOENT);

	/* A link stays below the root: to a file there it leads, out of there never. */
	snprintf(path, sizeof(path), "%s/inner", place.folder);
	ck_assert_int_eq(symlink("/file", path), 0);
	fd = opener_find(place.folder_fd, "/inner", inode);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(stat("/etc/passwd", &secret), 0);
	snprintf(path, sizeof(path), "%s/outer", place.folder);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(opener_find(place.folder_fd, "/outer", secret.st_ino), PFC_ENOENT);
	snprintf(path, sizeof(path), "%s/upper", place.folder);
	ck_assert_int_eq(symlink("../../../../etc/passwd", path), 0);
	ck_assert_int_eq(opener_find(place.folder_fd, "/upper", secret.st_ino), PFC_ENOENT);
	ck_assert_int_eq(opener_find(place.folder_fd, "/../../etc/passwd", secret.st_ino), PFC_ENOENT);
	remove_place(&place);
}
END_TEST

START_TEST(test_what_is_no_file_is_refused_without_waiting)
{
	struct stat stat_of;
	struct place place;
	char path[256];

	make_place(&place);
	snprintf(path, sizeof(path), "%s/fifo", place.folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(stat(path, &stat_of), 0);
	ck_assert_int_eq(opener_find(place.folder_fd, "/fifo", stat_of.st_ino), PFC_EINVAL);
	ck_assert_int_eq(stat(place.folder, &stat_of), 0);
	ck_assert_int_eq(opener_find(place.folder_fd, "/", stat_of.st_ino), PFC_EINVAL);
	remove_place(&place);
}
END_TEST

/* ---- files that belong to others ---- */

#define NOBODY 0x3fffff /* no process has this pid: the root given counts */

static int find_related(const struct place *place, uint32_t kind, const char *path, const char *name)
{
	struct related related = { .kind = kind, .pid = NOBODY, .path = path, .name = name };

	return related_find(&related, place->folder_fd);
}

static void make_folder(const struct place *place, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", place->folder, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void check_found(int fd, uint64_t inode)
{
	struct stat stat_of;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &stat_of), 0);
	ck_assert_uint_eq(stat_of.st_ino, inode);
	close(fd);
}

START_TEST(test_debug_files_are_found_in_their_places)
{
	struct place place;
	char path[256];

	make_place(&place);
	make_folder(&place, "usr");
	make_folder(&place, "usr/.debug");
	make_folder(&place, "usr/lib");
	make_folder(&place, "usr/lib/debug");
	make_folder(&place, "usr/lib/debug/usr");
	make_folder(&place, "usr/lib/debug/.build-id");
	make_folder(&place, "usr/lib/debug/.build-id/ab");
	check_found(find_related(&place, PFC_TARGET_DEBUG_BUILD_ID, "/usr/tool", "abcdef0123"),
		    write_file(&place, "usr/lib/debug/.build-id/ab/cdef0123.debug", MARK));
	ck_assert_int_eq(find_related(&place, PFC_TARGET_DEBUG_BESIDE, "/usr/tool", "tool.debug"), PFC_ENOENT);
	check_found(find_related(&place, PFC_TARGET_DEBUG_BELOW, "/usr/tool", "tool.debug"),
		    write_file(&place, "usr/.debug/tool.debug", MARK));
	check_found(find_related(&place, PFC_TARGET_DEBUG_GLOBAL, "/usr/tool", "tool.debug"),
		    write_file(&place, "usr/lib/debug/usr/tool.debug", MARK));
	check_found(find_related(&place, PFC_TARGET_DEBUG_BESIDE, "/usr/tool", "tool.debug"),
		    write_file(&place, "usr/tool.debug", MARK));
	snprintf(path, sizeof(path), "%s/usr/fifo", place.folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(find_related(&place, PFC_TARGET_DEBUG_BESIDE, "/usr/tool", "fifo"), PFC_EINVAL);
	snprintf(path, sizeof(path), "%s/usr/out", place.folder);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(find_related(&place, PFC_TARGET_DEBUG_BESIDE, "/usr/tool", "out"), PFC_ENOENT);
	remove_place(&place);
}
END_TEST

START_TEST(test_names_that_lead_elsewhere_are_refused)
{
	static const struct related bad[] = {
		{ PFC_TARGET_DEBUG_BESIDE, 1, "/usr/tool", "../etc/passwd" },
		{ PFC_TARGET_DEBUG_BESIDE, 1, "/usr/tool", ".." },
		{ PFC_TARGET_DEBUG_BESIDE, 1, "/usr/tool", "" },
		{ PFC_TARGET_DEBUG_BELOW, 1, "tool", "tool.debug" },
		{ PFC_TARGET_DEBUG_GLOBAL, 1, NULL, "tool.debug" },
		{ PFC_TARGET_DEBUG_BUILD_ID, 1, "/usr/tool", "ab" },
		{ PFC_TARGET_DEBUG_BUILD_ID, 1, "/usr/tool", "abcdef/../../x" },
		{ PFC_TARGET_DEBUG_BUILD_ID, 1, "/usr/tool", "ABCDEF0123" },
		{ PFC_TARGET_PERF_MAP, 0, NULL, "" },
		{ 0, 1, "/usr/tool", "tool.debug" },
		{ 77, 1, "/usr/tool", "tool.debug" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(!related_is_valid(&bad[i]), "case %zu", i);
		ck_assert_int_eq(related_find(&bad[i], -1), PFC_EINVAL);
	}
}
END_TEST

START_TEST(test_perf_map_of_somebody_else_is_refused)
{
	struct related related = { .kind = PFC_TARGET_PERF_MAP, .pid = getpid() };
	struct place place = { .folder = "/tmp" };
	char name[64], path[128];
	uint64_t inode;

	snprintf(name, sizeof(name), "perf-%d.map", (int)getpid());
	snprintf(path, sizeof(path), "/tmp/%s", name);
	unlink(path);
	ck_assert_int_eq(related_find(&related, -1), PFC_ENOENT);
	inode = write_file(&place, name, MARK);
	check_found(related_find(&related, -1), inode);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 65534, 65534), 0);
		ck_assert_int_eq(related_find(&related, -1), PFC_EPERM);
	}
	unlink(path);
	related.pid = NOBODY; /* its own pid is not known any more */
	ck_assert_int_eq(related_find(&related, -1), PFC_ENOENT);
}
END_TEST

/* ---- the opener ---- */

/* Ask for a file and wait for the answer: a descriptor, or a status. */
static int ask(struct opener *opener, const struct proc_map *map)
{
	struct wire_answer answer;
	struct pollfd poll_fd;
	int pair[2];
	int fd = -1;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	opener_request(opener, pair[1], 7, map, NULL);
	poll_fd = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	ck_assert_int_eq(poll(&poll_fd, 1, 5000), 1);
	ck_assert_int_eq(passfd_receive(pair[0], &answer, sizeof(answer), &fd), sizeof(answer));
	ck_assert_uint_eq(answer.id, 7);
	close(pair[0]);
	return answer.status < 0 ? answer.status : fd;
}

static void check_text(int fd, const char *text)
{
	char page[128] = "";

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_gt(pread(fd, page, sizeof(page) - 1, 0), 0);
	ck_assert_str_eq(page, text);
	close(fd);
}

START_TEST(test_only_seen_files_are_opened)
{
	struct proc_map map = { .path = "/etc/passwd", .length = 4096 };
	struct opener *opener;
	struct stat stat_of;

	ck_assert_int_eq(stat(map.path, &stat_of), 0);
	map.inode = stat_of.st_ino;
	ck_assert_int_eq(opener_create(getpid(), &opener, NULL), 0);
	ck_assert_int_eq(ask(opener, &map), PFC_ENOENT);
	opener_destroy(opener);
}
END_TEST

START_TEST(test_replaced_file_of_a_dead_process_is_refused)
{
	struct proc_map map = { .length = 4096 };
	struct opener *opener;
	struct place place;
	char path[256];

	make_place(&place);
	map.inode = write_file(&place, "file", MARK) + 100000; /* the one that was mapped is another */
	snprintf(path, sizeof(path), "%s/file", place.folder);
	map.path = path;
	ck_assert_int_eq(opener_create(getpid(), &opener, NULL), 0);
	opener_see(opener, 0x3fffff, &map);
	ck_assert_int_eq(ask(opener, &map), PFC_ENOENT);
	opener_destroy(opener);
	remove_place(&place);
}
END_TEST

START_TEST(test_many_files_are_kept_within_bounds)
{
	struct proc_map map = { .length = 4096 };
	uint64_t inodes[200];
	struct opener *opener;
	struct place place;
	char path[256];
	int32_t *fds;
	size_t count;

	make_place(&place);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 128, 128 }), 0);
	ck_assert_int_eq(opener_create(getpid(), &opener, NULL), 0);
	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file%d", i);
		inodes[i] = write_file(&place, name, name);
		snprintf(path, sizeof(path), "%s/%s", place.folder, name);
		map.path = path;
		map.inode = inodes[i];
		opener_see(opener, getpid(), &map);
	}
	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "file%d", i);
		snprintf(path, sizeof(path), "%s/%s", place.folder, name);
		map.path = path;
		map.inode = inodes[i];
		check_text(ask(opener, &map), name);
	}
	ck_assert_int_eq(procfs_numbers("/proc/self/fd", &fds, &count), 0);
	free(fds);
	ck_assert_uint_lt(count, 64);
	opener_destroy(opener);
	remove_place(&place);
}
END_TEST

/* ---- a real target ---- */

/* A process that maps a file with execute right, and tells by a byte when it has. */
static pid_t start_mapper(const char *path)
{
	int ready[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDONLY);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED) {
			close(fd);
			ck_assert_int_eq(write(ready[1], "x", 1), 1);
			pause();
		}
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static int open_seen(const struct fixture *fixture, const struct seen *seen)
{
	struct pfc_target_event event = seen->event;

	event.text = seen->text;
	return fixture->service->open_mapped(fixture->service->ctx, &event);
}

START_TEST(test_file_outlives_its_name_and_its_process)
{
	const struct seen *seen;
	struct fixture fixture;
	struct place place;
	char path[256];
	pid_t pid;

	make_place(&place);
	write_file(&place, "mapped", MARK);
	snprintf(path, sizeof(path), "%s/mapped", place.folder);
	pid = start_mapper(path);
	fixture_attach(&fixture, pid, (enum track_mode)_i);
	seen = fixture_await(&fixture, PFC_TARGET_MAP, pid, "/mapped");
	ck_assert_ptr_nonnull(seen);
	check_text(open_seen(&fixture, seen), MARK);
	ck_assert_int_eq(unlink(path), 0);
	check_text(open_seen(&fixture, seen), MARK);
	write_file(&place, "mapped", "another file of the same name");
	check_text(open_seen(&fixture, seen), MARK);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fixture_drain(&fixture);
	seen = fixture_find(&fixture, PFC_TARGET_MAP, pid, "/mapped");
	check_text(open_seen(&fixture, seen), MARK);
	fixture_close(&fixture);
	remove_place(&place);
}
END_TEST

/* Deleted, and another one in its place, before we came: the mapping still leads to the right one, where we may follow it. */
START_TEST(test_file_deleted_before_is_found_by_its_mapping)
{
	const struct seen *seen;
	struct fixture fixture;
	struct place place;
	char path[256];
	pid_t pid;
	int fd;

	make_place(&place);
	write_file(&place, "mapped", MARK);
	snprintf(path, sizeof(path), "%s/mapped", place.folder);
	pid = start_mapper(path);
	ck_assert_int_eq(unlink(path), 0);
	write_file(&place, "mapped", "another");
	fixture_attach(&fixture, pid, TRACK_BEST);
	seen = fixture_await(&fixture, PFC_TARGET_MAP, pid, "/mapped (deleted)");
	ck_assert_ptr_nonnull(seen);
	fd = open_seen(&fixture, seen);
	if (geteuid() == 0) {
		check_text(fd, MARK);
	} else {
		ck_assert_int_lt(fd, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fixture_close(&fixture);
	remove_place(&place);
}
END_TEST

struct asker {
	const struct fixture *fixture;
	const struct seen *seen;
	unsigned right;
};

static void *ask_often(void *arg)
{
	struct asker *asker = arg;

	for (int i = 0; i < 50; i++) {
		struct stat stat_of;
		int fd = open_seen(asker->fixture, asker->seen);

		asker->right += fd >= 0 && fstat(fd, &stat_of) == 0 && stat_of.st_ino == asker->seen->event.inode;
		if (fd >= 0) {
			close(fd);
		}
	}
	return NULL;
}

START_TEST(test_files_from_many_threads_while_events_are_read)
{
	struct pfc_target_event event = { .struct_size = sizeof(event) };
	struct seen maps[4];
	struct asker askers[4];
	pthread_t threads[4];
	struct fixture fixture;
	unsigned count = 0;

	fixture_launch(&fixture, "sh -c 'while :; do (:); done'", TRACK_BEST);
	fixture_release(&fixture);
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_EXEC, 0, "sh"));
	ck_assert_ptr_nonnull(fixture_await(&fixture, PFC_TARGET_MAP, 0, "/dash"));
	for (size_t i = 0; i < fixture.count && count < 4; i++) {
		if (fixture.seen[i].event.kind == PFC_TARGET_MAP && fixture.seen[i].event.inode != 0) {
			maps[count] = fixture.seen[i];
			askers[count] = (struct asker){ &fixture, &maps[count], 0 };
			count++;
		}
	}
	ck_assert_uint_gt(count, 1);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
	}
	for (unsigned i = 0; i < 200; i++) {
		int32_t status = fixture.service->next(fixture.service->ctx, &event);

		ck_assert(status == 0 || status == PFC_EAGAIN);
		usleep(1000);
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_eq(askers[i].right, 50);
	}
	fixture_close(&fixture);
}
END_TEST

/* A command that has ended before anybody looked. */
START_TEST(test_files_of_a_short_life_are_kept)
{
	const struct seen *seen;
	struct fixture fixture;
	struct stat stat_of;
	int fd;

	fixture_launch(&fixture, "true", TRACK_PERF);
	fixture_release(&fixture);
	fixture_drain(&fixture);
	seen = fixture_find(&fixture, PFC_TARGET_MAP, 0, "/true");
	ck_assert_ptr_nonnull(seen);
	fd = open_seen(&fixture, seen);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &stat_of), 0);
	ck_assert_uint_eq(stat_of.st_ino, seen->event.inode);
	close(fd);
	fixture_close(&fixture);
}
END_TEST

START_TEST(test_other_events_open_nothing)
{
	const struct seen *seen;
	struct fixture fixture;

	fixture_launch(&fixture, "sleep 100", TRACK_BEST);
	seen = fixture_await(&fixture, PFC_TARGET_NAME, 0, NULL);
	ck_assert_int_eq(open_seen(&fixture, seen), PFC_EINVAL);
	seen = fixture_await(&fixture, PFC_TARGET_MAP, 0, "[vdso]");
	ck_assert_int_eq(open_seen(&fixture, seen), PFC_EINVAL);
	ck_assert_int_eq(fixture.service->open_mapped(fixture.service->ctx, NULL), PFC_EINVAL);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("target_files");
	TCase *tcase = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 40);
	tcase_add_test(tcase, test_only_the_very_file_is_found);
	tcase_add_test(tcase, test_what_is_no_file_is_refused_without_waiting);
	tcase_add_test(tcase, test_debug_files_are_found_in_their_places);
	tcase_add_test(tcase, test_names_that_lead_elsewhere_are_refused);
	tcase_add_test(tcase, test_perf_map_of_somebody_else_is_refused);
	tcase_add_test(tcase, test_only_seen_files_are_opened);
	tcase_add_test(tcase, test_replaced_file_of_a_dead_process_is_refused);
	tcase_add_test(tcase, test_many_files_are_kept_within_bounds);
	tcase_add_loop_test(tcase, test_file_outlives_its_name_and_its_process, TRACK_PERF, TRACK_PROC + 1);
	tcase_add_test(tcase, test_file_deleted_before_is_found_by_its_mapping);
	tcase_add_test(tcase, test_files_from_many_threads_while_events_are_read);
	tcase_add_test(tcase, test_files_of_a_short_life_are_kept);
	tcase_add_test(tcase, test_other_events_open_nothing);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

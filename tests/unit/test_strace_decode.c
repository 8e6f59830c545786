/* SPDX-License-Identifier: MIT */
/* Calls as text, with this process as the target, and with memory that lies. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "decode.h"
#include "decode_text.h"
#include "names.h"

#define A(pointer) ((uint64_t)(uintptr_t)(pointer))

static size_t own_memory(void *ctx, uint64_t address, void *to, size_t bytes)
{
	(void)ctx;
	if (address < 4096) {
		return 0;
	}
	memcpy(to, (const void *)(uintptr_t)address, bytes);
	return bytes;
}

static const char *own_descriptor(void *ctx, int fd)
{
	(void)ctx;
	return fd == 5 ? "/etc/hosts" : fd == 6 ? "TCP 127.0.0.1:4->127.0.0.1:80" : NULL;
}

static const struct decode_source source = { NULL, own_memory, own_descriptor, 32 };
static char text[DECODE_ROOM];

#define CALL(nr, result, ...)                                                                                \
	decode_call(&(struct decode_call){ 0, nr, { __VA_ARGS__ }, result, 1 }, &source, text)

START_TEST(files)
{
	char path[256] = "/etc/hosts";
	char data[512] = "127.0.0.1\tlocalhost\n\"quoted\" and more of it";

	ck_assert_str_eq(CALL(SYS_openat, 5, (uint64_t)AT_FDCWD, A(path), O_RDONLY | O_CLOEXEC),
			 "openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY|O_CLOEXEC) = 5</etc/hosts>");
	ck_assert_str_eq(CALL(SYS_openat, -2, (uint64_t)AT_FDCWD, A(path), O_WRONLY | O_CREAT | O_SYNC, 0644),
			 "openat(AT_FDCWD, \"/etc/hosts\", O_WRONLY|O_SYNC|O_CREAT, 0644) = ENOENT");
	ck_assert_str_eq(CALL(SYS_read, 20, 5, A(data), 4096),
			 "read(5</etc/hosts>, \"127.0.0.1\\tlocalhost\\n\", 4096) = 20");
	ck_assert_str_eq(CALL(SYS_write, 44, 1, A(data), 44),
			 "write(1, \"127.0.0.1\\tlocalhost\\n\\\"quoted\\\" and\"..., 44) = 44");
	ck_assert_str_eq(CALL(SYS_fsync, 0, 5), "fsync(5</etc/hosts>) = 0");
	ck_assert_str_eq(CALL(SYS_lseek, 7, 5, (uint64_t)-9, SEEK_END),
			 "lseek(5</etc/hosts>, -9, SEEK_END) = 7");
	ck_assert_str_eq(CALL(SYS_read, -11, 9, 0x1000, 1), "read(9, 0x1000, 1) = EAGAIN");
}
END_TEST

START_TEST(addresses_of_sockets)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(5432) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(80),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/x.sock" };
	struct sockaddr_un hidden = { .sun_family = AF_UNIX, .sun_path = "\0abc" };
	uint32_t length = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_str_eq(CALL(SYS_connect, 0, 6, A(&in), sizeof(in)),
			 "connect(6<TCP 127.0.0.1:4->127.0.0.1:80>, 127.0.0.1:5432, 16) = 0");
	ck_assert_str_eq(CALL(SYS_bind, 0, 3, A(&in6), sizeof(in6)), "bind(3, [::1]:80, 28) = 0");
	ck_assert_str_eq(CALL(SYS_connect, -111, 3, A(&un), sizeof(un)),
			 "connect(3, unix:\"/run/x.sock\", 110) = ECONNREFUSED");
	ck_assert_str_eq(CALL(SYS_connect, 0, 3, A(&hidden), 6), "connect(3, unix:@\"abc\", 6) = 0");
	ck_assert_str_eq(CALL(SYS_accept4, 7, 3, A(&in), A(&length), 02000000),
			 CALL(SYS_accept4, 7, 3, A(&in), A(&length), 02000000));
	ck_assert(strstr(text, "accept4(3, 127.0.0.1:5432, 0x"));
	ck_assert(strstr(text, "SOCK_CLOEXEC) = 7"));
	ck_assert_str_eq(CALL(SYS_socket, 3, AF_INET, 1 | 02000000, 6),
			 "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 6) = 3");
}
END_TEST

START_TEST(waiting)
{
	struct timespec time = { 1, 5000000 };
	struct pollfd polls[6] = { { 5, POLLIN, 0 }, { 8, POLLIN | POLLOUT, 0 } };
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	ck_assert_str_eq(CALL(SYS_clock_nanosleep, 0, CLOCK_MONOTONIC, 0, A(&time), 0),
			 "clock_nanosleep(CLOCK_MONOTONIC, 0, 1.005000000s, NULL) = 0");
	ck_assert_str_eq(CALL(SYS_poll, 1, A(polls), 2, 250),
			 "poll([5</etc/hosts> IN, 8 IN|OUT], 2, 250ms) = 1");
	ck_assert_str_eq(CALL(SYS_epoll_ctl, 0, 4, EPOLL_CTL_ADD, 5, A(&event)),
			 "epoll_ctl(4, EPOLL_CTL_ADD, 5</etc/hosts>, IN|ET) = 0");
	ck_assert_str_eq(CALL(SYS_futex, -110, 0x7000, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, A(&time)),
			 "futex(0x7000, FUTEX_WAIT_PRIVATE, 2, 1.005000000s) = ETIMEDOUT");
	ck_assert_str_eq(CALL(SYS_kill, 0, 77, SIGTERM), "kill(77, SIGTERM) = 0");
}
END_TEST

START_TEST(memory_and_processes)
{
	ck_assert_str_eq(
		CALL(SYS_mmap, 0x7f0000001000, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     (uint64_t)-1, 0),
		"mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000");
	ck_assert_str_eq(CALL(SYS_clone, 99, CLONE_VM | CLONE_VFORK | SIGCHLD, 0),
			 "clone(CLONE_VM|CLONE_VFORK|SIGCHLD, NULL) = 99");
	ck_assert_str_eq(CALL(SYS_clone, 99, SIGCHLD, 0), "clone(SIGCHLD, NULL) = 99");
	ck_assert_str_eq(CALL(SYS_mprotect, 0, 0x1000, 4096, 0), "mprotect(0x1000, 4096, 0) = 0");
}
END_TEST

START_TEST(compat_calls_are_not_read_as_native_ones)
{
	struct decode_call call = { 1, 192, { 0, 4096, 3, 0x22, 0xffffffff, 0 }, 0x1000, 1 };

	ck_assert_str_eq(
		decode_call(&call, &source, text),
		"mmap2(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x1000");
	call = (struct decode_call){ 1, 90, { 0x1234 }, 0, 1 }; /* the old mmap: one pointer */
	ck_assert_str_eq(decode_call(&call, &source, text), "mmap(0x1234, 0x0, 0x0, 0x0, 0x0, 0x0) = 0");
}
END_TEST

START_TEST(not_returned_and_unknown)
{
	struct decode_call call = { 0, SYS_exit_group, { 3 }, 0, 0 };

	ck_assert_str_eq(decode_call(&call, &source, text), "exit_group(3) = ?");
	call = (struct decode_call){ 0, 4000, { 1, 2, 3, 4, 5, 6 }, -38, 1 };
	ck_assert_str_eq(decode_call(&call, &source, text),
			 "syscall_4000(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = ENOSYS");
}
END_TEST

START_TEST(without_a_source_numbers_stand)
{
	static const struct decode_source none = { 0 };
	struct decode_call call = { 0, SYS_openat, { (uint64_t)AT_FDCWD, 0x4000, O_RDWR }, 3, 1 };

	ck_assert_str_eq(decode_call(&call, &none, text), "openat(AT_FDCWD, 0x4000, O_RDWR) = 3");
	call = (struct decode_call){ 0, SYS_write, { 1, 0x4000, 5 }, 5, 1 };
	ck_assert_str_eq(decode_call(&call, &none, text), "write(1, 0x4000, 5) = 5");
}
END_TEST

/* A path without end, escapes that grow fourfold, a name of a descriptor as long as allowed: cut, and terminated. */
START_TEST(hostile_texts_are_cut)
{
	char *evil = malloc(8192);
	struct decode_source all = { NULL, own_memory, NULL, SIZE_MAX };
	struct decode_call call = { 0, SYS_openat, { (uint64_t)AT_FDCWD, A(evil), 0 }, 3, 1 };

	memset(evil, '\033', 8192);
	decode_call(&call, &all, text);
	ck_assert_uint_lt(strlen(text), DECODE_ROOM);
	ck_assert(strchr(text, '\033') == NULL);
	ck_assert(strstr(text, "..."));
	call = (struct decode_call){ 0, SYS_writev, { 1, A(evil), 1u << 30 }, 3, 1 };
	*(uint64_t *)(void *)evil = A(evil);
	((uint64_t *)(void *)evil)[1] = UINT64_MAX;
	decode_call(&call, &all, text);
	ck_assert_uint_lt(strlen(text), DECODE_ROOM);
	free(evil);
}
END_TEST

static size_t one_byte(void *ctx, uint64_t address, void *to, size_t bytes)
{
	(void)ctx;
	memset(to, (int)address, 1);
	return bytes ? 1 : 0;
}

/* Every call of both tables with arguments of no sense: no crash, always an end. */
START_TEST(any_call_with_any_argument)
{
	struct decode_source little = { NULL, one_byte, own_descriptor, 64 };
	uint64_t random = 88172645463325252ull;

	for (int round = 0; round < 20; round++) {
		for (int32_t nr = 0; nr < 480; nr++) {
			struct decode_call call = {
				(uint32_t)(nr + round) % 2, nr, { 0 }, 0, round % 3 != 0
			};

			for (int i = 0; i < 6; i++) {
				random ^= random << 13;
				random ^= random >> 7;
				random ^= random << 17;
				call.args[i] = round % 2 ? random : random & 0xfff;
			}
			call.result = (int64_t)(random % 9000) - 4500;
			decode_call(&call, &little, text);
			ck_assert_uint_lt(strlen(text), DECODE_ROOM);
			ck_assert(strstr(text, ") =") || strstr(text, "..."));
		}
	}
}
END_TEST

START_TEST(the_table_is_sorted)
{
	static const char *const some[] = {
		"accept", "writev", "openat",   "epoll_pwait2", "ioctl",  "fsync",
		"statx",  "mmap2",  "recvfrom", "wait4",        "clone3", "futex"
	};

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		ck_assert_msg(signature_find(some[i]) != NULL, "%s", some[i]);
	}
	ck_assert_int_eq(signature_count_unsorted(), 0);
	ck_assert_int_eq(decode_fd_argument("read"), 0);
	ck_assert_int_eq(decode_fd_argument("openat"), -1);
	ck_assert_int_eq(decode_fd_argument("nonsense"), -1);
	ck_assert_int_eq(decode_io_kind("pwrite64"), 'w');
	ck_assert_int_eq(decode_io_kind("recvmsg"), 'r');
	ck_assert_int_eq(decode_io_kind("fdatasync"), 's');
	ck_assert_int_eq(decode_io_kind("futex"), 'o');
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strace_decode");
	TCase *tcase = tcase_create("decode");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, files);
	tcase_add_test(tcase, addresses_of_sockets);
	tcase_add_test(tcase, waiting);
	tcase_add_test(tcase, memory_and_processes);
	tcase_add_test(tcase, compat_calls_are_not_read_as_native_ones);
	tcase_add_test(tcase, not_returned_and_unknown);
	tcase_add_test(tcase, without_a_source_numbers_stand);
	tcase_add_test(tcase, hostile_texts_are_cut);
	tcase_add_test(tcase, any_call_with_any_argument);
	tcase_add_test(tcase, the_table_is_sorted);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

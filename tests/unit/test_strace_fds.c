/* SPDX-License-Identifier: MIT */
/* Descriptors by name: real ones of this process, and tables of sockets that lie. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fds.h"

static struct fds *fds;

static void setup(void)
{
	fds = fds_create(64);
	ck_assert_ptr_nonnull(fds);
}

static void teardown(void)
{
	fds_destroy(fds);
}

START_TEST(files_and_pipes)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	int pair[2];
	char path[512];

	ck_assert_int_ge(readlink("/proc/self/exe", path, sizeof(path)), 1);
	ck_assert_str_eq(fds_name(fds, getpid(), open("/dev/null", O_RDONLY)), "/dev/null");
	ck_assert(strncmp(fds_name(fds, getpid(), fd), path, 4) == 0);
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert(strncmp(fds_name(fds, getpid(), pair[0]), "pipe:[", 6) == 0);
	ck_assert_ptr_null(fds_name(fds, getpid(), 9999));
	ck_assert_ptr_null(fds_name(fds, getpid(), -1));
	ck_assert_ptr_null(fds_name(fds, 0, 0));
	ck_assert_uint_eq(fds_failed(fds), 1);
}
END_TEST

START_TEST(a_name_stays_until_forgotten)
{
	int fd = open("/dev/null", O_RDONLY);
	int zero = open("/dev/zero", O_RDONLY);

	ck_assert_str_eq(fds_name(fds, getpid(), fd), "/dev/null");
	dup2(zero, fd);
	ck_assert_str_eq(fds_name(fds, getpid(), fd), "/dev/null");
	fds_forget(fds, getpid(), fd);
	ck_assert_str_eq(fds_name(fds, getpid(), fd), "/dev/zero");
	dup2(0, fd);
	fds_forget(fds, getpid(), -1);
	ck_assert_str_ne(fds_name(fds, getpid(), fd), "/dev/zero");
}
END_TEST

START_TEST(peers_of_sockets)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	char wanted[64];
	char listening[64];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(listening, sizeof(listening), "TCP listening on 127.0.0.1:%u", ntohs(address.sin_port));
	snprintf(wanted, sizeof(wanted), "->127.0.0.1:%u", ntohs(address.sin_port));
	ck_assert_str_eq(fds_name(fds, getpid(), listener), listening);
	ck_assert_ptr_nonnull(strstr(fds_name(fds, getpid(), client), wanted));
	ck_assert(strncmp(fds_name(fds, getpid(), client), "TCP 127.0.0.1:", 14) == 0);
}
END_TEST

START_TEST(unix_sockets)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int named = socket(AF_UNIX, SOCK_STREAM, 0);
	int plain = socket(AF_UNIX, SOCK_DGRAM, 0);
	char wanted[64];

	snprintf(address.sun_path + 1, 60, "profcore-test-%d", (int)getpid());
	snprintf(wanted, sizeof(wanted), "unix:@profcore-test-%d", (int)getpid());
	ck_assert_int_eq(bind(named, (struct sockaddr *)&address,
			      (socklen_t)(sizeof(sa_family_t) + 1 + strlen(address.sun_path + 1))),
			 0);
	ck_assert_str_eq(fds_name(fds, getpid(), named), wanted);
	ck_assert(strncmp(fds_name(fds, getpid(), plain), "unix:[", 6) == 0);
}
END_TEST

static void write_table(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(made_up_tables)
{
	char folder[] = "/tmp/strace-fds-XXXXXX";
	char name[FDS_NAME_BYTES];
	char command[300];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	write_table(folder, "tcp",
		    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
		    "timeout inode\n"
		    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0       "
		    " 0 101 1\n"
		    "garbage\n"
		    "   1: 010:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 "
		    "102 1\n"
		    "   2: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0       "
		    " 0 103 1\n");
	write_table(folder, "tcp6",
		    "   0: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:0051 01 "
		    "0:0 0:0 0 0 0 104 1\n"
		    "   1: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:0051 01 "
		    "0:0 0:0 0 0 0 105 1\n");
	ck_assert_int_eq(fds_socket_name(folder, 101, name), 0);
	ck_assert_str_eq(name, "TCP listening on 127.0.0.1:8080");
	ck_assert_int_lt(fds_socket_name(folder, 102, name), 0);
	ck_assert_int_eq(fds_socket_name(folder, 103, name), 0);
	ck_assert_str_eq(name, "TCP 127.0.0.1:8080<-127.0.0.1:80"); /* 8080 is listened on */
	ck_assert_int_eq(fds_socket_name(folder, 104, name), 0);
	ck_assert_str_eq(name, "TCP 127.0.0.1:8080->127.0.0.2:81");
	ck_assert_int_eq(fds_socket_name(folder, 105, name), 0);
	ck_assert_str_eq(name, "TCP [::1]:8080->[::1]:81");
	ck_assert_int_lt(fds_socket_name(folder, 999, name), 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("strace_fds");
	TCase *tcase = tcase_create("fds");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, files_and_pipes);
	tcase_add_test(tcase, a_name_stays_until_forgotten);
	tcase_add_test(tcase, peers_of_sockets);
	tcase_add_test(tcase, unix_sockets);
	tcase_add_test(tcase, made_up_tables);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

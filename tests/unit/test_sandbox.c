/* SPDX-License-Identifier: MIT */
/* Each in a child of its own: the sandbox is for good. A child returns 0, or the number of the first thing that was wrong. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/manifest.h"
#include "config_fixture.h"
#include "stage/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SECCOMP 0 /* see core/stage/syscalls.c */
#else
#define HAS_SECCOMP 1
#endif

static char plugin_dir[4096];
static char outside[4096];

static int in_child(int (*body)(void))
{
	pid_t pid;
	int status;

	snprintf(plugin_dir, sizeof(plugin_dir), "%s/plugins", getenv("PROFCORE_BUILD_ROOT"));
	snprintf(outside, sizeof(outside), "%s", fixture_write("outside", "x"));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		_exit(body());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int enter(uint32_t privileges)
{
	const char *missing = NULL;
	struct pfc_error err;

	if (sandbox_enter(privileges, plugin_dir, &missing, &err) < 0) {
		return -1;
	}
	return missing[0] == '\0' ? 0 : -1;
}

static int files_are_closed(void)
{
	if (open("/etc/passwd", O_RDONLY) >= 0) {
		return 1;
	}
	if (open(outside, O_RDONLY) >= 0) {
		return 2;
	}
	if (open("/tmp/profcore-test-sandbox", O_WRONLY | O_CREAT, 0600) >= 0) {
		return 3;
	}
	return open("/proc/1/environ", O_RDONLY) >= 0 ? 4 : 0;
}

static int calls_are_closed(void)
{
	struct rlimit limit = { 1, 1 };
	int pipes[2];

	if (kill(getppid(), 0) == 0 || syscall(SYS_tgkill, getppid(), getppid(), 0) == 0) {
		return 11;
	}
	if (fork() >= 0) {
		return 12;
	}
	if (ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0) {
		return 13;
	}
	if (syscall(SYS_pidfd_open, getppid(), 0) >= 0) {
		return 14;
	}
	execl("/bin/true", "true", (char *)NULL);
	if (errno != EPERM && errno != EACCES) {
		return 15;
	}
	if (prlimit(getppid(), RLIMIT_CORE, &limit, NULL) == 0) {
		return 16;
	}
	if (pipe2(pipes, O_CLOEXEC) < 0 || fcntl(pipes[0], F_SETOWN, getppid()) == 0 || fcntl(pipes[0], F_SETSIG, SIGKILL) == 0) {
		return 17;
	}
	return 0;
}

/* What every stage needs still works. */
static int work_goes_on(void)
{
	char path[4200];
	void *handle;
	int pipes[2];
	struct rlimit limit;

	snprintf(path, sizeof(path), "%s/null.so", plugin_dir);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL || dlsym(handle, "pfc_plugin_v1") == NULL) {
		return 21;
	}
	if (pipe2(pipes, O_CLOEXEC) < 0 || fcntl(pipes[0], F_GETFD) < 0 || fcntl(pipes[0], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(pipes[0], F_DUPFD_CLOEXEC, 10) < 0) {
		return 22;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 23;
	}
	return malloc(1 << 20) != NULL ? 0 : 24;
}

static int no_privileges(void)
{
	int rc = enter(0);

	if (rc < 0) {
		return 99;
	}
	rc = files_are_closed();
	if (rc == 0 && HAS_SECCOMP) {
		rc = calls_are_closed();
		if (rc == 0 && socket(AF_INET, SOCK_STREAM, 0) >= 0) {
			rc = 31;
		}
	}
	return rc == 0 ? work_goes_on() : rc;
}

START_TEST(without_privileges)
{
	ck_assert_int_eq(in_child(no_privileges), 0);
}
END_TEST

static int target_files(void)
{
	int rc = enter(PRIVILEGE_TARGET_FILES);

	rc = rc < 0 ? 99 : files_are_closed();
	return rc == 0 && HAS_SECCOMP ? calls_are_closed() : rc;
}

START_TEST(target_files_come_from_the_core)
{
	ck_assert_int_eq(in_child(target_files), 0);
}
END_TEST

static int network(void)
{
	int rc = enter(PRIVILEGE_NETWORK);

	rc = rc < 0 ? 99 : files_are_closed();
	if (rc == 0 && HAS_SECCOMP) {
		rc = calls_are_closed();
	}
	if (rc == 0 && (socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_STREAM, 0) < 0)) {
		rc = 41;
	}
	/* A local socket's path is no file to Landlock: a container engine's would open the whole machine. */
	if (rc == 0 && HAS_SECCOMP && socket(AF_UNIX, SOCK_STREAM, 0) >= 0) {
		rc = 42;
	}
	if (rc == 0 && HAS_SECCOMP && socket(AF_PACKET, SOCK_RAW, 0) >= 0) {
		rc = 43;
	}
	return rc == 0 ? work_goes_on() : rc;
}

START_TEST(network_is_sockets_and_no_files)
{
	ck_assert_int_eq(in_child(network), 0);
}
END_TEST

static int perf(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
	};

	if (enter(PRIVILEGE_PERF) < 0) {
		return 99;
	}
	if (syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC) < 0) {
		return 51;
	}
	/* The other capabilities are gone. */
	return setpriority(PRIO_PROCESS, 0, -20) == 0 ? 52 : 0;
}

START_TEST(perf_events_still_open)
{
	if (geteuid() != 0) {
		printf("# SKIP(root): needs root\n");
		return;
	}
	ck_assert_int_eq(in_child(perf), 0);
}
END_TEST

/* A kernel that calls itself older than it is: 6.18 says 2.6.78 then. */
static int uprobe(unsigned long as)
{
	cap_flag_value_t permitted = CAP_CLEAR, effective = CAP_CLEAR;
	cap_t have;

	if (personality(as) < 0 || enter(PRIVILEGE_BPF | PRIVILEGE_UPROBE) < 0) {
		return 99;
	}
	have = cap_get_proc();
	if (have == NULL || cap_get_flag(have, CAP_SYS_ADMIN, CAP_PERMITTED, &permitted) < 0 ||
	    cap_get_flag(have, CAP_SYS_ADMIN, CAP_EFFECTIVE, &effective) < 0) {
		return 98;
	}
	cap_free(have);
	if (effective != CAP_CLEAR) {
		return 61;
	}
	return permitted == (as == UNAME26 ? CAP_SET : CAP_CLEAR) ? 0 : 62;
}

static int uprobe_by_links(void)
{
	return uprobe(PER_LINUX);
}

static int uprobe_by_events(void)
{
	return uprobe(UNAME26);
}

START_TEST(probes_get_admin_only_on_old_kernels)
{
	struct utsname kernel;
	unsigned major = 0, minor = 0;

	if (geteuid() != 0 || prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) != 1) {
		printf("# SKIP(root): needs root with CAP_SYS_ADMIN\n");
		return;
	}
	ck_assert_int_eq(uname(&kernel), 0);
	ck_assert_int_eq(sscanf(kernel.release, "%u.%u", &major, &minor), 2);
	ck_assert_int_eq(in_child(uprobe_by_events), 0);
	if (major > 6 || (major == 6 && minor >= 6)) {
		ck_assert_int_eq(in_child(uprobe_by_links), 0);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("sandbox");

	tcase_add_test(tests, without_privileges);
	tcase_add_test(tests, target_files_come_from_the_core);
	tcase_add_test(tests, network_is_sockets_and_no_files);
	tcase_add_test(tests, perf_events_still_open);
	tcase_add_test(tests, probes_get_admin_only_on_old_kernels);
	return fixture_main(tests, "sandbox");
}

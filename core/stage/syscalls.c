/* SPDX-License-Identifier: MIT */
#include "stage/syscalls.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

/* By use: memory, files that are open or that Landlock lets through, time, threads, waiting, the end. */
static const char *const allowed[] = {
	"brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "mincore", "membarrier", "memfd_create", "mlock", "munlock",
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "close",
	"close_range", "fstat", "newfstatat", "stat", "lstat", "statx", "statfs", "fstatfs", "open", "openat", "access",
	"faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "ftruncate", "fallocate", "fsync", "fdatasync",
	"fadvise64", "dup", "dup2", "dup3", "pipe2", "sendfile", "copy_file_range", "getcwd",
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "timerfd_create",
	"timerfd_settime", "timerfd_gettime", "getrusage", "times", "sysinfo", "uname", "getrandom", "getpid", "gettid",
	"getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getrlimit", "getpriority",
	"futex", "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "arch_prctl", "sched_yield",
	"sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "getcpu", "prctl",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend", "sigaltstack",
	"restart_syscall", "pause", "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "eventfd2", "sendmsg", "sendto", "recvmsg", "recvfrom", "exit", "exit_group",
};

static const char *const allowed_sockets[] = {
	"connect", "bind", "getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown", "sendmmsg", "recvmmsg",
};

/*
 * What these do depends on an argument. Left out: F_SETOWN, F_SETSIG and FIOSETOWN, by which a stage could send any signal to
 * the core, its own user's process; TIOCSTI. Sockets of the network only: to connect to a local one by its path is no matter of
 * Landlock, and behind a container engine's lies the whole machine. Name resolution asks the kernel by netlink.
 */
static const int fcntl_commands[] = { F_DUPFD,      F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,     F_GETFL,    F_SETFL,     F_GETLK,
				      F_SETLK,      F_SETLKW,        F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS, F_GET_SEALS,
				      F_GETPIPE_SZ, F_SETPIPE_SZ };
static const int ioctl_requests[] = { TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX };
static const int socket_families[] = { AF_INET, AF_INET6, AF_NETLINK };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int allow_values(scmp_filter_ctx filter, int number, unsigned argument, const int *values, size_t count)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
				      SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)(unsigned)values[i]));
	}
	return rc;
}

static int allow(scmp_filter_ctx filter, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);
		int rc;

		if (number == __NR_SCMP_ERROR) {
			continue; /* libseccomp does not know it: it stays forbidden */
		}
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
		if (rc < 0 && rc != -EDOM) {
			return rc;
		}
	}
	return 0;
}

/* Signals to itself (abort), threads but no processes. clone3 hides its flags from filters: glibc then uses clone. */
static int allow_narrowly(scmp_filter_ctx filter)
{
	scmp_datum_t self = (scmp_datum_t)getpid();
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self, 0));

	if (rc == 0) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_EQ, self, 0));
	}
	if (rc == 0) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	}
	if (rc == 0) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	}
	if (rc == 0) { /* its own limits, not those of others of its user */
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0, 0));
	}
	if (rc == 0) {
		rc = allow_values(filter, SCMP_SYS(fcntl), 1, fcntl_commands, COUNT(fcntl_commands));
	}
	if (rc == 0) {
		rc = allow_values(filter, SCMP_SYS(ioctl), 1, ioctl_requests, COUNT(ioctl_requests));
	}
	return rc;
}

int syscalls_restrict(bool with_sockets, struct pfc_error *err)
{
	scmp_filter_ctx filter;
	int rc;

#if defined(__SANITIZE_ADDRESS__)
	/* The sanitizers' own start and reports need more than this list; Landlock and the capabilities stay tested. */
	(void)with_sockets;
	(void)err;
	return 0;
#endif
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (filter == NULL) {
		return error_nomem(err);
	}
	rc = allow(filter, allowed, COUNT(allowed));
	if (rc == 0 && with_sockets) {
		rc = allow(filter, allowed_sockets, COUNT(allowed_sockets));
	}
	if (rc == 0 && with_sockets) {
		rc = allow_values(filter, SCMP_SYS(socket), 0, socket_families, COUNT(socket_families));
	}
	if (rc == 0) {
		rc = allow_narrowly(filter);
	}
	if (rc == 0) {
		rc = seccomp_load(filter);
	}
	seccomp_release(filter);
	return rc < 0 ? error_errno(err, -rc, "restrict the stage's system calls with seccomp") : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the arguments of the calls are. One letter an argument:
 *
 *   d descriptor   D folder descriptor   p path   b bytes in, count next   B bytes out, count is the result
 *   i int   u unsigned   x hex   m mode   l length   o offset   K process   * pointer
 *   a address in, length next   A address out   t timespec   T timeval   n milliseconds   q pollfd, count next
 *   E epoll_event   V iovec, count next   and the flags of decode_flags.c
 *
 * From the manual pages of section 2. Sorted by name, which the lookup needs (a test checks it).
 */
#include "decode_text.h"

#include <stdlib.h>
#include <string.h>

static const struct signature table[] = {
	{ "accept", "dA*", 'd', 'o' },
	{ "accept4", "dA*Y", 'd', 'o' },
	{ "access", "pR", 0, 0 },
	{ "arch_prctl", "xx", 0, 0 },
	{ "bind", "dal", 0, 'o' },
	{ "bpf", "i*u", 0, 0 },
	{ "brk", "x", 'x', 0 },
	{ "capget", "**", 0, 0 },
	{ "capset", "**", 0, 0 },
	{ "chdir", "p", 0, 0 },
	{ "chmod", "pm", 0, 0 },
	{ "chown", "pii", 0, 0 },
	{ "chroot", "p", 0, 0 },
	{ "clock_getres", "c*", 0, 0 },
	{ "clock_gettime", "c*", 0, 0 },
	{ "clock_nanosleep", "cit*", 0, 0 },
	{ "clock_settime", "c*", 0, 0 },
	{ "clone", "C*", 0, 0 },
	{ "clone3", "*l", 0, 0 },
	{ "close", "d", 0, 'o' },
	{ "close_range", "uux", 0, 0 },
	{ "connect", "dal", 0, 'o' },
	{ "copy_file_range", "d*d*lx", 0, 'w' },
	{ "creat", "pm", 'd', 0 },
	{ "dup", "d", 'd', 'o' },
	{ "dup2", "di", 'd', 'o' },
	{ "dup3", "diO", 'd', 'o' },
	{ "epoll_create", "i", 'd', 0 },
	{ "epoll_create1", "x", 'd', 0 },
	{ "epoll_ctl", "dedE", 0, 'o' },
	{ "epoll_pwait", "d*in", 0, 'o' },
	{ "epoll_pwait2", "d*it", 0, 'o' },
	{ "epoll_wait", "d*in", 0, 'o' },
	{ "eventfd", "u", 'd', 0 },
	{ "eventfd2", "ux", 'd', 0 },
	{ "execve", "p", 0, 0 },
	{ "execveat", "Dp", 0, 0 },
	{ "exit", "i", 0, 0 },
	{ "exit_group", "i", 0, 0 },
	{ "faccessat", "DpR", 0, 0 },
	{ "faccessat2", "DpRz", 0, 0 },
	{ "fadvise64", "dooi", 0, 'o' },
	{ "fallocate", "dxoo", 0, 'o' },
	{ "fchdir", "d", 0, 'o' },
	{ "fchmod", "dm", 0, 'o' },
	{ "fchmodat", "Dpm", 0, 0 },
	{ "fchmodat2", "Dpmz", 0, 0 },
	{ "fchown", "dii", 0, 'o' },
	{ "fchownat", "Dpiiz", 0, 0 },
	{ "fcntl", "dfx", 0, 'o' },
	{ "fcntl64", "dfx", 0, 'o' },
	{ "fdatasync", "d", 0, 's' },
	{ "fgetxattr", "dp*l", 0, 'o' },
	{ "flistxattr", "d*l", 0, 'o' },
	{ "flock", "di", 0, 'o' },
	{ "fork", "", 0, 0 },
	{ "fsetxattr", "dp*lx", 0, 'o' },
	{ "fstat", "d*", 0, 'o' },
	{ "fstat64", "d*", 0, 'o' },
	{ "fstatfs", "d*", 0, 'o' },
	{ "fsync", "d", 0, 's' },
	{ "ftruncate", "do", 0, 'o' },
	{ "futex", "*Fut", 0, 0 },
	{ "getcpu", "***", 0, 0 },
	{ "getcwd", "Bl", 0, 0 },
	{ "getdents", "d*l", 0, 'o' },
	{ "getdents64", "d*l", 0, 'o' },
	{ "getegid", "", 0, 0 },
	{ "geteuid", "", 0, 0 },
	{ "getgid", "", 0, 0 },
	{ "getgroups", "i*", 0, 0 },
	{ "getitimer", "i*", 0, 0 },
	{ "getpeername", "dA*", 0, 'o' },
	{ "getpgid", "K", 0, 0 },
	{ "getpgrp", "", 0, 0 },
	{ "getpid", "", 0, 0 },
	{ "getppid", "", 0, 0 },
	{ "getpriority", "ii", 0, 0 },
	{ "getrandom", "*lx", 0, 0 },
	{ "getresgid", "***", 0, 0 },
	{ "getresuid", "***", 0, 0 },
	{ "getrlimit", "i*", 0, 0 },
	{ "getrusage", "i*", 0, 0 },
	{ "getsid", "K", 0, 0 },
	{ "getsockname", "dA*", 0, 'o' },
	{ "getsockopt", "dHi**", 0, 'o' },
	{ "gettid", "", 0, 0 },
	{ "gettimeofday", "**", 0, 0 },
	{ "getuid", "", 0, 0 },
	{ "getxattr", "pp*l", 0, 0 },
	{ "inotify_add_watch", "dpx", 0, 'o' },
	{ "inotify_init", "", 'd', 0 },
	{ "inotify_init1", "x", 'd', 0 },
	{ "inotify_rm_watch", "di", 0, 'o' },
	{ "io_uring_enter", "duux", 0, 'o' },
	{ "io_uring_setup", "u*", 'd', 0 },
	{ "ioctl", "drx", 0, 'o' },
	{ "kill", "Kg", 0, 0 },
	{ "landlock_create_ruleset", "*lx", 'd', 0 },
	{ "lchown", "pii", 0, 0 },
	{ "lgetxattr", "pp*l", 0, 0 },
	{ "link", "pp", 0, 0 },
	{ "linkat", "DpDpz", 0, 0 },
	{ "listen", "di", 0, 'o' },
	{ "listxattr", "p*l", 0, 0 },
	{ "llistxattr", "p*l", 0, 0 },
	{ "lseek", "dow", 0, 'o' },
	{ "lstat", "p*", 0, 0 },
	{ "madvise", "*lv", 0, 0 },
	{ "membarrier", "iii", 0, 0 },
	{ "memfd_create", "px", 'd', 0 },
	{ "mincore", "*l*", 0, 0 },
	{ "mkdir", "pm", 0, 0 },
	{ "mkdirat", "Dpm", 0, 0 },
	{ "mknod", "pmx", 0, 0 },
	{ "mknodat", "Dpmx", 0, 0 },
	{ "mlock", "*l", 0, 0 },
	{ "mmap", "*lPMdo", 'x', 0 },
	{ "mmap2", "*lPMdo", 'x', 0 },
	{ "mount", "pppx*", 0, 0 },
	{ "mprotect", "*lP", 0, 0 },
	{ "mremap", "*llx*", 'x', 0 },
	{ "msync", "*lx", 0, 0 },
	{ "munlock", "*l", 0, 0 },
	{ "munmap", "*l", 0, 0 },
	{ "nanosleep", "t*", 0, 0 },
	{ "newfstatat", "Dp*z", 0, 0 },
	{ "open", "pOm", 'd', 0 },
	{ "openat", "DpOm", 'd', 0 },
	{ "openat2", "Dp*l", 'd', 0 },
	{ "pause", "", 0, 0 },
	{ "perf_event_open", "*Kiix", 'd', 0 },
	{ "personality", "x", 0, 0 },
	{ "pidfd_getfd", "dix", 'd', 0 },
	{ "pidfd_open", "Kx", 'd', 0 },
	{ "pidfd_send_signal", "dg*x", 0, 'o' },
	{ "pipe", "*", 0, 0 },
	{ "pipe2", "*O", 0, 0 },
	{ "poll", "qun", 0, 0 },
	{ "ppoll", "qut", 0, 0 },
	{ "prctl", "jxx", 0, 0 },
	{ "pread64", "dBlo", 0, 'r' },
	{ "preadv", "dVio", 0, 'r' },
	{ "preadv2", "dVio", 0, 'r' },
	{ "prlimit64", "Ki**", 0, 0 },
	{ "process_vm_readv", "K*l*lx", 0, 0 },
	{ "process_vm_writev", "K*l*lx", 0, 0 },
	{ "pselect6", "i***t", 0, 0 },
	{ "pwrite64", "dblo", 0, 'w' },
	{ "pwritev", "dVio", 0, 'w' },
	{ "pwritev2", "dVio", 0, 'w' },
	{ "read", "dBl", 0, 'r' },
	{ "readahead", "dol", 0, 'o' },
	{ "readlink", "pBl", 0, 0 },
	{ "readlinkat", "DpBl", 0, 0 },
	{ "readv", "dVi", 0, 'r' },
	{ "recvfrom", "dBlGA*", 0, 'r' },
	{ "recvmmsg", "d*uGt", 0, 'o' },
	{ "recvmsg", "d*G", 0, 'r' },
	{ "rename", "pp", 0, 0 },
	{ "renameat", "DpDp", 0, 0 },
	{ "renameat2", "DpDpx", 0, 0 },
	{ "rmdir", "p", 0, 0 },
	{ "rseq", "*uxx", 0, 0 },
	{ "rt_sigaction", "g**l", 0, 0 },
	{ "rt_sigpending", "*l", 0, 0 },
	{ "rt_sigprocmask", "S**l", 0, 0 },
	{ "rt_sigreturn", "", 0, 0 },
	{ "rt_sigsuspend", "*l", 0, 0 },
	{ "rt_sigtimedwait", "**t", 0, 0 },
	{ "sched_getaffinity", "Kl*", 0, 0 },
	{ "sched_setaffinity", "Kl*", 0, 0 },
	{ "sched_setscheduler", "Ki*", 0, 0 },
	{ "sched_yield", "", 0, 0 },
	{ "seccomp", "ix*", 0, 0 },
	{ "select", "i***T", 0, 0 },
	{ "semop", "i*l", 0, 0 },
	{ "sendfile", "dd*l", 0, 'w' },
	{ "sendmmsg", "d*uG", 0, 'o' },
	{ "sendmsg", "d*G", 0, 'w' },
	{ "sendto", "dblGal", 0, 'w' },
	{ "set_robust_list", "*l", 0, 0 },
	{ "set_tid_address", "*", 0, 0 },
	{ "setgid", "i", 0, 0 },
	{ "setitimer", "i**", 0, 0 },
	{ "setns", "dx", 0, 'o' },
	{ "setpgid", "KK", 0, 0 },
	{ "setpriority", "iii", 0, 0 },
	{ "setrlimit", "i*", 0, 0 },
	{ "setsid", "", 0, 0 },
	{ "setsockopt", "dHi*l", 0, 'o' },
	{ "setuid", "i", 0, 0 },
	{ "setxattr", "pp*lx", 0, 0 },
	{ "shmat", "i*x", 'x', 0 },
	{ "shmget", "ilx", 0, 0 },
	{ "shutdown", "dh", 0, 'o' },
	{ "sigaltstack", "**", 0, 0 },
	{ "signalfd4", "d*lx", 'd', 0 },
	{ "socket", "kyi", 'd', 0 },
	{ "socketpair", "kyi*", 0, 0 },
	{ "splice", "d*d*lx", 0, 'w' },
	{ "stat", "p*", 0, 0 },
	{ "statfs", "p*", 0, 0 },
	{ "statx", "Dpzx*", 0, 0 },
	{ "symlink", "pp", 0, 0 },
	{ "symlinkat", "pDp", 0, 0 },
	{ "sync", "", 0, 0 },
	{ "sync_file_range", "doox", 0, 's' },
	{ "syncfs", "d", 0, 's' },
	{ "sysinfo", "*", 0, 0 },
	{ "tee", "ddlx", 0, 'w' },
	{ "tgkill", "KKg", 0, 0 },
	{ "timerfd_create", "cx", 'd', 0 },
	{ "timerfd_gettime", "d*", 0, 'o' },
	{ "timerfd_settime", "dx**", 0, 'o' },
	{ "times", "*", 0, 0 },
	{ "tkill", "Kg", 0, 0 },
	{ "truncate", "po", 0, 0 },
	{ "umask", "m", 0, 0 },
	{ "umount2", "px", 0, 0 },
	{ "uname", "*", 0, 0 },
	{ "unlink", "p", 0, 0 },
	{ "unlinkat", "Dpz", 0, 0 },
	{ "unshare", "C", 0, 0 },
	{ "utimensat", "Dp*z", 0, 0 },
	{ "vfork", "", 0, 0 },
	{ "vmsplice", "dVix", 0, 'w' },
	{ "wait4", "K*W*", 0, 0 },
	{ "waitid", "iK*W*", 0, 0 },
	{ "write", "dbl", 0, 'w' },
	{ "writev", "dVi", 0, 'w' },
};

static int compare(const void *key, const void *entry)
{
	return strcmp(key, ((const struct signature *)entry)->name);
}

const struct signature *signature_find(const char *name)
{
	return bsearch(name, table, sizeof(table) / sizeof(table[0]), sizeof(table[0]), compare);
}

int signature_count_unsorted(void)
{
	int count = 0;

	for (size_t i = 1; i < sizeof(table) / sizeof(table[0]); i++) {
		count += strcmp(table[i - 1].name, table[i].name) >= 0;
	}
	return count;
}

bool decode_makes_descriptor(const char *name)
{
	const struct signature *signature = signature_find(name);

	return signature && signature->result == 'd';
}

int decode_fd_argument(const char *name)
{
	const struct signature *signature = signature_find(name);

	/* Those that work on a descriptor have it first; mmap and the folder of a path are not meant. */
	return signature && signature->io ? 0 : -1;
}

char decode_io_kind(const char *name)
{
	const struct signature *signature = signature_find(name);

	return signature && signature->io ? signature->io : 'o';
}

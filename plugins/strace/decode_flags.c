/* SPDX-License-Identifier: MIT */
/* Numbers that have names: flags that are or-ed together, and choices of one. */
#include "decode_text.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct name {
	uint64_t value;
	const char *text;
};

#define N(x)                                                                                                 \
	{                                                                                                    \
		(uint64_t)(x), #x                                                                            \
	}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
/* What the kernel calls O_LARGEFILE on x86_64; the library has it as 0 there. */
#define KERNEL_O_LARGEFILE 0100000

/* O_SYNC contains O_DSYNC, O_TMPFILE contains O_DIRECTORY: the larger first. */
static const struct name open_flags[] = { N(O_SYNC),
					  N(O_DSYNC),
					  N(O_TMPFILE),
					  N(O_DIRECTORY),
					  N(O_CREAT),
					  N(O_EXCL),
					  N(O_NOCTTY),
					  N(O_TRUNC),
					  N(O_APPEND),
					  N(O_NONBLOCK),
					  N(O_ASYNC),
					  N(O_DIRECT),
					  N(O_NOFOLLOW),
					  N(O_NOATIME),
					  N(O_CLOEXEC),
					  N(O_PATH),
					  { KERNEL_O_LARGEFILE, "O_LARGEFILE" } };
static const struct name prot_flags[] = { N(PROT_READ), N(PROT_WRITE), N(PROT_EXEC) };
static const struct name map_flags[] = { N(MAP_SHARED_VALIDATE), N(MAP_SHARED),
					 N(MAP_PRIVATE),         N(MAP_FIXED),
					 N(MAP_ANONYMOUS),       N(MAP_GROWSDOWN),
					 N(MAP_LOCKED),          N(MAP_NORESERVE),
					 N(MAP_POPULATE),        N(MAP_NONBLOCK),
					 N(MAP_STACK),           N(MAP_HUGETLB),
					 N(MAP_FIXED_NOREPLACE), { 0x800, "MAP_DENYWRITE" } };
static const struct name clone_flags[] = {
	N(CLONE_VM),
	N(CLONE_FS),
	N(CLONE_FILES),
	N(CLONE_SIGHAND),
	N(CLONE_PIDFD),
	N(CLONE_PTRACE),
	N(CLONE_VFORK),
	N(CLONE_PARENT),
	N(CLONE_THREAD),
	N(CLONE_NEWNS),
	N(CLONE_SYSVSEM),
	N(CLONE_SETTLS),
	N(CLONE_PARENT_SETTID),
	N(CLONE_CHILD_CLEARTID),
	N(CLONE_UNTRACED),
	N(CLONE_CHILD_SETTID),
	N(CLONE_NEWCGROUP),
	N(CLONE_NEWUTS),
	N(CLONE_NEWIPC),
	N(CLONE_NEWUSER),
	N(CLONE_NEWPID),
	N(CLONE_NEWNET),
	N(CLONE_IO),
};
static const struct name message_flags[] = { N(MSG_OOB),      N(MSG_PEEK),        N(MSG_DONTROUTE),
					     N(MSG_TRUNC),    N(MSG_DONTWAIT),    N(MSG_EOR),
					     N(MSG_WAITALL),  N(MSG_CONFIRM),     N(MSG_ERRQUEUE),
					     N(MSG_NOSIGNAL), N(MSG_MORE),        N(MSG_WAITFORONE),
					     N(MSG_FASTOPEN), N(MSG_CMSG_CLOEXEC) };
static const struct name at_flags[] = { N(AT_SYMLINK_NOFOLLOW), N(AT_REMOVEDIR), N(AT_SYMLINK_FOLLOW),
					N(AT_NO_AUTOMOUNT), N(AT_EMPTY_PATH) };
static const struct name access_modes[] = { N(R_OK), N(W_OK), N(X_OK) };
static const struct name wait_options[] = { N(WNOHANG),    N(WUNTRACED), N(WEXITED),
					    N(WCONTINUED), N(WNOWAIT),   N(__WALL) };
static const struct name accept_flags[] = { N(SOCK_NONBLOCK), N(SOCK_CLOEXEC) };

static const struct name epoll_ops[] = { N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL), N(EPOLL_CTL_MOD) };
static const struct name whences[] = { N(SEEK_SET), N(SEEK_CUR), N(SEEK_END), N(SEEK_DATA), N(SEEK_HOLE) };
static const struct name families[] = { N(AF_UNSPEC),  N(AF_UNIX),   N(AF_INET), N(AF_INET6),
					N(AF_NETLINK), N(AF_PACKET), N(AF_VSOCK) };
static const struct name socket_types[] = { N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW), N(SOCK_RDM),
					    N(SOCK_SEQPACKET) };
static const struct name clocks[] = {
	N(CLOCK_REALTIME),          N(CLOCK_MONOTONIC),     N(CLOCK_PROCESS_CPUTIME_ID),
	N(CLOCK_THREAD_CPUTIME_ID), N(CLOCK_MONOTONIC_RAW), N(CLOCK_REALTIME_COARSE),
	N(CLOCK_MONOTONIC_COARSE),  N(CLOCK_BOOTTIME),      N(CLOCK_TAI)
};
static const struct name fcntl_commands[] = {
	N(F_DUPFD),      N(F_GETFD),         N(F_SETFD),      N(F_GETFL),      N(F_SETFL),     N(F_GETLK),
	N(F_SETLK),      N(F_SETLKW),        N(F_SETOWN),     N(F_GETOWN),     N(F_OFD_GETLK), N(F_OFD_SETLK),
	N(F_OFD_SETLKW), N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ), N(F_GETPIPE_SZ), N(F_ADD_SEALS), N(F_GET_SEALS)
};
static const struct name advices[] = { N(MADV_NORMAL),   N(MADV_RANDOM),   N(MADV_SEQUENTIAL),
				       N(MADV_WILLNEED), N(MADV_DONTNEED), N(MADV_FREE),
				       N(MADV_DONTFORK), N(MADV_HUGEPAGE), N(MADV_NOHUGEPAGE),
				       N(MADV_DONTDUMP), N(MADV_COLD),     N(MADV_PAGEOUT) };
static const struct name shutdowns[] = { N(SHUT_RD), N(SHUT_WR), N(SHUT_RDWR) };
static const struct name prctls[] = {
	N(PR_SET_NAME),         N(PR_GET_NAME),       N(PR_SET_PDEATHSIG),       N(PR_SET_DUMPABLE),
	N(PR_SET_NO_NEW_PRIVS), N(PR_SET_SECCOMP),    N(PR_CAPBSET_READ),        N(PR_SET_KEEPCAPS),
	N(PR_SET_VMA),          N(PR_SET_TIMERSLACK), N(PR_SET_CHILD_SUBREAPER), N(PR_CAPBSET_DROP)
};
static const struct name levels[] = {
	N(SOL_SOCKET), { 0, "SOL_IP" }, { 6, "SOL_TCP" }, { 17, "SOL_UDP" }, { 41, "SOL_IPV6" }
};
static const struct name mask_hows[] = { N(SIG_BLOCK), N(SIG_UNBLOCK), N(SIG_SETMASK) };
static const struct name requests[] = { N(TCGETS),    N(TCSETS),    N(TCSETSW),  N(TIOCGWINSZ),
					N(TIOCGPGRP), N(TIOCSPGRP), N(FIONREAD), N(FIONBIO),
					N(FIOCLEX),   N(FIONCLEX),  N(TIOCGPTN), N(TIOCSCTTY) };
static const struct name futex_ops[] = {
	N(FUTEX_WAIT),           N(FUTEX_WAKE),        N(FUTEX_REQUEUE),         N(FUTEX_CMP_REQUEUE),
	N(FUTEX_WAKE_OP),        N(FUTEX_LOCK_PI),     N(FUTEX_UNLOCK_PI),       N(FUTEX_TRYLOCK_PI),
	N(FUTEX_WAIT_BITSET),    N(FUTEX_WAKE_BITSET), N(FUTEX_WAIT_REQUEUE_PI), N(FUTEX_CMP_REQUEUE_PI),
	{ 13, "FUTEX_LOCK_PI2" }
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What has a name, then the rest in hex. `first`: something stands there already. */
static void show_bits(struct out *out, const struct name *names, size_t count, uint64_t value, int first)
{
	for (size_t i = 0; i < count; i++) {
		if ((value & names[i].value) == names[i].value && names[i].value) {
			out_format(out, "%s%s", first ? "" : "|", names[i].text);
			value &= ~names[i].value;
			first = 0;
		}
	}
	if (value || first) {
		out_format(out, "%s%s%llx", first ? "" : "|", value ? "0x" : "", (unsigned long long)value);
	}
}

static const char *find(const struct name *names, size_t count, uint64_t value)
{
	for (size_t i = 0; i < count; i++) {
		if (names[i].value == value) {
			return names[i].text;
		}
	}
	return NULL;
}

static void show_one(struct out *out, const struct name *names, size_t count, uint64_t value)
{
	const char *text = find(names, count, value);

	if (text) {
		out_format(out, "%s", text);
	} else {
		out_format(out, "0x%llx", (unsigned long long)value);
	}
}

static void show_open(struct out *out, uint64_t value)
{
	static const char *const ways[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

	out_format(out, "%s", ways[value & O_ACCMODE]);
	if (value & ~(uint64_t)O_ACCMODE) {
		show_bits(out, open_flags, COUNT(open_flags), value & ~(uint64_t)O_ACCMODE, 0);
	}
}

static void show_futex(struct out *out, uint64_t value)
{
	show_one(out, futex_ops, COUNT(futex_ops), value & FUTEX_CMD_MASK & 0xffffffffu);
	if (value & FUTEX_PRIVATE_FLAG) {
		out_format(out, "_PRIVATE");
	}
	if (value & FUTEX_CLOCK_REALTIME) {
		out_format(out, "|FUTEX_CLOCK_REALTIME");
	}
}

static void show_signal(struct out *out, uint64_t value)
{
	const char *name = value < 65 ? sigabbrev_np((int)value) : NULL;

	if (name) {
		out_format(out, "SIG%s", name);
	} else {
		out_format(out, "%d", (int)value);
	}
}

/* The low byte is the signal that the parent gets at its end. */
static void show_clone(struct out *out, uint64_t value)
{
	int empty = (value & ~0xffull) == 0;

	if (!empty) {
		show_bits(out, clone_flags, COUNT(clone_flags), value & ~0xffull, 1);
	}
	if (value & 0xff) {
		out_format(out, empty ? "" : "|");
		show_signal(out, value & 0xff);
	} else if (empty) {
		out_format(out, "0");
	}
}

static void show_socket_type(struct out *out, uint64_t value)
{
	show_one(out, socket_types, COUNT(socket_types), value & 0xf);
	if (value & ~0xfull) {
		show_bits(out, accept_flags, COUNT(accept_flags), value & ~0xfull, 0);
	}
}

/* Arguments of these kinds are ints: what stands in the upper half of the register is not the call's. */
static int show_special(struct out *out, char kind, uint64_t value)
{
	switch (kind) {
	case 'O':
		show_open(out, value);
		return 1;
	case 'F':
		show_futex(out, value);
		return 1;
	case 'g':
		show_signal(out, value);
		return 1;
	case 'C':
		show_clone(out, value);
		return 1;
	case 'y':
		show_socket_type(out, value);
		return 1;
	default:
		return 0;
	}
}

int flags_show(struct out *out, char kind, uint64_t value)
{
	static const struct {
		char kind;
		char is_choice;
		const struct name *names;
		size_t count;
	} families_of[] = {
		{ 'P', 0, prot_flags, COUNT(prot_flags) },
		{ 'M', 0, map_flags, COUNT(map_flags) },
		{ 'G', 0, message_flags, COUNT(message_flags) },
		{ 'z', 0, at_flags, COUNT(at_flags) },
		{ 'W', 0, wait_options, COUNT(wait_options) },
		{ 'Y', 0, accept_flags, COUNT(accept_flags) },
		{ 'e', 1, epoll_ops, COUNT(epoll_ops) },
		{ 'w', 1, whences, COUNT(whences) },
		{ 'k', 1, families, COUNT(families) },
		{ 'c', 1, clocks, COUNT(clocks) },
		{ 'f', 1, fcntl_commands, COUNT(fcntl_commands) },
		{ 'v', 1, advices, COUNT(advices) },
		{ 'h', 1, shutdowns, COUNT(shutdowns) },
		{ 'j', 1, prctls, COUNT(prctls) },
		{ 'H', 1, levels, COUNT(levels) },
		{ 'S', 1, mask_hows, COUNT(mask_hows) },
		{ 'r', 1, requests, COUNT(requests) },
	};

	if (kind != 'C') {
		value &= 0xffffffffu;
	}
	if (show_special(out, kind, value)) {
		return 1;
	}
	if (kind == 'R') {
		if (value == F_OK) {
			out_format(out, "F_OK");
		} else {
			show_bits(out, access_modes, COUNT(access_modes), value, 1);
		}
		return 1;
	}
	for (size_t i = 0; i < COUNT(families_of); i++) {
		if (families_of[i].kind == kind) {
			if (families_of[i].is_choice) {
				show_one(out, families_of[i].names, families_of[i].count, value);
			} else {
				show_bits(out, families_of[i].names, families_of[i].count, value, 1);
			}
			return 1;
		}
	}
	return 0;
}

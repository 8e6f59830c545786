/* SPDX-License-Identifier: MIT */
/*
 * syscalls [NAME=COUNT...]: make so many system calls of each kind, and say so as JSON. What the C library and the kernel's loader
 * add is the same in every run with the same words.
 *
 *   reads=N     1 byte each from /dev/zero, to one descriptor
 *   writes=N    1 byte each to /dev/null
 *   fails=N     open of a file that is not there
 *   pids=N      getppid, which is the cheapest call there is
 *   compat=N    getppid by the numbers of 32-bit code (int $0x80), where 64 is semget to 64-bit code
 *   sleeps=N    of 5 ms each
 *   syncs=N     write and fsync of a file in the working folder
 *   dsyncs=N    write to a file in the working folder that was opened with O_DSYNC
 *   polls=N     of a pipe that stays empty, for 1 ms
 *   agains=N    reads of that pipe, which does not block
 *   names=N     host names that are asked for, by getaddrinfo
 *   threads=N   each makes 10 reads
 *   children=N  each makes 10 writes and ends
 *   restart=1   a thread, not the first one, executes this program anew with "pids=3"
 *   stop=1      stops itself (SIGSTOP), and says so when it goes on
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.h"

static const char *const names[] = { "reads",  "writes", "fails",   "pids",     "compat",
				     "sleeps", "syncs",  "threads", "children", "restart",
				     "stop",   "dsyncs", "polls",   "agains",   "names" };
enum {
	READS,
	WRITES,
	FAILS,
	PIDS,
	COMPAT,
	SLEEPS,
	SYNCS,
	THREADS,
	CHILDREN,
	RESTART,
	STOP,
	DSYNCS,
	POLLS,
	AGAINS,
	NAMES,
	COUNT
};

static long counts[COUNT];
static const char *program;

static void read_bytes(long count)
{
	int fd = open("/dev/zero", O_RDONLY);
	char byte;

	for (long i = 0; i < count; i++) {
		if (read(fd, &byte, 1) != 1) {
			exit(1);
		}
	}
	close(fd);
}

static void write_bytes(long count)
{
	int fd = open("/dev/null", O_WRONLY);

	for (long i = 0; i < count; i++) {
		if (write(fd, "x", 1) != 1) {
			exit(1);
		}
	}
	close(fd);
}

static void call_compat(long count)
{
#ifdef __x86_64__
	for (long i = 0; i < count; i++) {
		long result;

		__asm__ volatile("int $0x80" : "=a"(result) : "a"(64) : "memory", "cc");
		if (result <= 0) {
			exit(1);
		}
	}
#else
	(void)count;
#endif
}

static void sync_bytes(long count)
{
	char name[64];
	int fd;

	if (count == 0) {
		return;
	}
	snprintf(name, sizeof(name), "syscalls-%d", (int)getpid());
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (long i = 0; i < count; i++) {
		if (write(fd, "x", 1) != 1 || fsync(fd) != 0) {
			exit(1);
		}
	}
	close(fd);
	unlink(name);
}

static void dsync_bytes(long count)
{
	char name[64];
	int fd;

	if (count == 0) {
		return;
	}
	snprintf(name, sizeof(name), "dsyncs-%d", (int)getpid());
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_DSYNC, 0600);
	for (long i = 0; i < count; i++) {
		if (write(fd, "x", 1) != 1) {
			exit(1);
		}
	}
	close(fd);
	unlink(name);
}

static void ask_in_vain(long polls, long agains)
{
	int ends[2];
	char byte;

	if (polls == 0 && agains == 0) {
		return;
	}
	if (pipe2(ends, O_NONBLOCK) != 0) {
		exit(1);
	}
	for (long i = 0; i < polls; i++) {
		struct pollfd one = { ends[0], POLLIN, 0 };

		if (poll(&one, 1, 1) != 0) {
			exit(1);
		}
	}
	for (long i = 0; i < agains; i++) {
		if (read(ends[0], &byte, 1) != -1 || errno != EAGAIN) {
			exit(1);
		}
	}
	close(ends[0]);
	close(ends[1]);
}

static NOINLINE void ask_for_names(long count)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char name[64];

	for (long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "host%ld.example", i);
		if (getaddrinfo(name, NULL, &hints, &found) != 0) {
			exit(1);
		}
		freeaddrinfo(found);
	}
	__asm__ volatile("" ::: "memory"); /* no tail call: this function is on the stack while it waits */
}

static void *run_thread(void *arg)
{
	(void)arg;
	read_bytes(10);
	return NULL;
}

static void run_threads(long count)
{
	pthread_t thread;

	for (long i = 0; i < count;
	     i++) { /* one after the other: no lock is ever waited for in another order */
		if (pthread_create(&thread, NULL, run_thread, NULL) != 0) {
			exit(1);
		}
		pthread_join(thread, NULL);
	}
}

static void run_children(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			write_bytes(10);
			_exit(0);
		}
		if (waitpid(pid, NULL, 0) != pid) {
			exit(1);
		}
	}
}

static void *restart(void *arg)
{
	(void)arg;
	execl(program, program, "pids=3", (char *)NULL);
	exit(1);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		int name = 0;

		while (name < COUNT &&
		       (!equals || strncmp(argv[i], names[name], (size_t)(equals - argv[i])) != 0)) {
			name++;
		}
		if (name == COUNT) {
			fprintf(stderr, "syscalls: what is %s?\n", argv[i]);
			exit(2);
		}
		counts[name] = strtol(equals + 1, NULL, 10);
	}
}

static void print_truth(void)
{
	printf("{");
	for (int i = 0; i < COUNT; i++) {
		printf("%s\"%s\": %ld", i ? ", " : "", names[i], counts[i]);
	}
	printf("}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct timespec pause = { 0, 5000000 };
	pthread_t thread;

	program = argv[0];
	parse(argc, argv);
	read_bytes(counts[READS]);
	write_bytes(counts[WRITES]);
	for (long i = 0; i < counts[FAILS]; i++) {
		if (open("/nonexistent/file", O_RDONLY) >= 0) {
			return 1;
		}
	}
	for (long i = 0; i < counts[PIDS]; i++) {
		syscall(SYS_getppid);
	}
	call_compat(counts[COMPAT]);
	for (long i = 0; i < counts[SLEEPS]; i++) {
		nanosleep(&pause, NULL);
	}
	sync_bytes(counts[SYNCS]);
	dsync_bytes(counts[DSYNCS]);
	ask_in_vain(counts[POLLS], counts[AGAINS]);
	ask_for_names(counts[NAMES]);
	run_threads(counts[THREADS]);
	run_children(counts[CHILDREN]);
	if (counts[STOP]) {
		raise(SIGSTOP);
	}
	print_truth();
	if (counts[RESTART]) {
		pthread_create(&thread, NULL, restart, NULL);
		pause.tv_sec = 60; /* until the exec takes this thread away */
		nanosleep(&pause, NULL);
	}
	return 0;
}

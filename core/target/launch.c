/* SPDX-License-Identifier: MIT */
#include "target/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "target/program.h"
#include "target/words.h"

#define ENV_BYTES_MAX (4u << 20)
#define EXEC_WAIT_MS  30000 /* a program on a slow network file system */
#define TAIL_BYTES    2048

/* Where the child has its two descriptors once all others are closed. */
enum { CHILD_HOLD_FD = 3, CHILD_ERROR_FD = 4, CHILD_FDS = 5 };

extern char **environ;

void launch_init(struct launch *launch)
{
	memset(launch, 0, sizeof(*launch));
	launch->pid_fd = -1;
	launch->hold_fd = -1;
	launch->error_fd = -1;
	launch->guardian_fd = -1;
	launch->output_fd = -1;
	cage_init(&launch->cage);
}

/* ---- the child: only calls that are safe after fork in a program with threads ---- */

struct child {
	const char *program;
	char *const *words;
	const char *directory;
	pid_t parent;
	int hold_fd;
	int error_fd;
	int null_fd;
	int output_fd;
};

static void child_fail(int error_fd, int errnum)
{
	ssize_t ignored = write(error_fd, &errnum, sizeof(errnum));

	(void)ignored;
	_exit(127);
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++) {
		sigaction(i, &action, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 /dev/null, 1 and 2 the output, 3 and 4 ours, closed by exec; nothing else. */
static int arrange_descriptors(const struct child *child)
{
	int hold_fd = fcntl(child->hold_fd, F_DUPFD_CLOEXEC, 16);
	int error_fd = fcntl(child->error_fd, F_DUPFD_CLOEXEC, 16);
	int null_fd = fcntl(child->null_fd, F_DUPFD_CLOEXEC, 16);
	int output_fd = fcntl(child->output_fd, F_DUPFD_CLOEXEC, 16);

	if (hold_fd < 0 || error_fd < 0 || null_fd < 0 || output_fd < 0 || dup2(null_fd, 0) < 0 ||
	    dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0 || dup3(hold_fd, CHILD_HOLD_FD, O_CLOEXEC) < 0 ||
	    dup3(error_fd, CHILD_ERROR_FD, O_CLOEXEC) < 0) {
		return -1;
	}
	syscall(SYS_close_range, CHILD_FDS, ~0u, 0);
	return 0;
}

static bool read_all(int fd, void *to, size_t bytes)
{
	char *at = to;

	while (bytes > 0) {
		ssize_t got = read(fd, at, bytes);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return false;
		}
		at += got;
		bytes -= (size_t)got;
	}
	return true;
}

/* Wait for the environment: a size, then NAME=VALUE texts. Its end without one: we are not wanted any more. */
static char **receive_env(void)
{
	uint64_t head[2]; /* bytes, count */
	char **env;
	char *texts;
	char *map;

	if (!read_all(CHILD_HOLD_FD, head, sizeof(head)) || head[0] > ENV_BYTES_MAX || head[1] > head[0]) {
		_exit(127);
	}
	map = mmap(NULL, (head[1] + 1) * sizeof(char *) + head[0] + 1, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		child_fail(CHILD_ERROR_FD, ENOMEM);
	}
	env = (char **)(void *)map;
	texts = map + (head[1] + 1) * sizeof(char *);
	if (!read_all(CHILD_HOLD_FD, texts, head[0])) {
		_exit(127);
	}
	for (uint64_t i = 0; i < head[1]; i++) {
		env[i] = texts;
		texts += strlen(texts) + 1;
	}
	return env;
}

static void __attribute__((noreturn)) child_main(const struct child *child)
{
	char **env;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != child->parent) {
		_exit(127); /* the parent died before the line above */
	}
	setpgid(0, 0);
	reset_signals();
	if (arrange_descriptors(child) < 0) {
		child_fail(child->error_fd, errno);
	}
	env = receive_env();
	if (child->directory != NULL && chdir(child->directory) < 0) {
		child_fail(CHILD_ERROR_FD, errno);
	}
	execve(child->program, child->words, env);
	child_fail(CHILD_ERROR_FD, errno);
	_exit(127);
}

/* In the child's group, so that the group's number stays taken: waits for our end, or for a byte that says all is well. */
static void __attribute__((noreturn)) guardian_main(int fd, pid_t group, struct cage *cage)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	char byte;
	ssize_t got;

	setpgid(0, group);
	for (int i = 1; i < NSIG; i++) {
		sigaction(i, &ignore, NULL);
	}
	prctl(PR_SET_NAME, "profcore-guard");
	fd = fcntl(fd, F_DUPFD, 16);
	cage->kill_fd = fcntl(cage->kill_fd, F_DUPFD, 16);
	dup2(fd, 0);
	if (cage->kill_fd >= 0) {
		cage->kill_fd = dup2(cage->kill_fd, 1);
	}
	syscall(SYS_close_range, cage->kill_fd >= 0 ? 2 : 1, ~0u, 0);
	if (chdir("/") < 0 || getpgrp() != group) {
		_exit(1);
	}
	do {
		got = read(0, &byte, 1);
	} while (got < 0 && errno == EINTR);
	if (got == 0) {
		cage_kill(cage);
		cage_remove(cage);
		kill(-group, SIGKILL); /* and us */
	}
	_exit(0);
}

/* ---- the parent ---- */

static int copy_environment(struct launch *launch)
{
	size_t count = 0;

	while (environ != NULL && environ[count] != NULL) {
		count++;
	}
	launch->env = calloc(count + 1, sizeof(*launch->env));
	if (launch->env == NULL) {
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		launch->env[i] = strdup(environ[i]);
		if (launch->env[i] == NULL) {
			return -1;
		}
		launch->env_count++;
	}
	return 0;
}

/* Fork with all signals blocked: no handler of ours runs in the child. */
static pid_t fork_quietly(void)
{
	sigset_t all;
	sigset_t old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid != 0) {
		int saved = errno;

		pthread_sigmask(SIG_SETMASK, &old, NULL);
		errno = saved;
	}
	return pid;
}

static int start_guardian(struct launch *launch, struct pfc_error *err)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return error_errno(err, errno, "create the guardian's socket");
	}
	pid = fork_quietly();
	if (pid == 0) {
		guardian_main(pair[1], launch->pid, &launch->cage);
	}
	close(pair[1]);
	launch->guardian_fd = pair[0];
	if (pid < 0) {
		return error_errno(err, errno, "fork the guardian");
	}
	setpgid(pid, launch->pid);
	launch->guardian_pid = pid;
	return PFC_OK;
}

static int fork_child(struct launch *launch, struct child *child, struct pfc_error *err)
{
	int hold[2] = { -1, -1 };
	int errors[2] = { -1, -1 };
	int status = PFC_OK;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hold) < 0 || pipe2(errors, O_CLOEXEC) < 0) {
		status = error_errno(err, errno, "create the pipes of the command");
		goto out;
	}
	child->hold_fd = hold[1];
	child->error_fd = errors[1];
	launch->pid = fork_quietly();
	if (launch->pid == 0) {
		child_main(child);
	}
	if (launch->pid < 0) {
		launch->pid = 0;
		status = error_errno(err, errno, "fork the command");
		goto out;
	}
	setpgid(launch->pid, launch->pid); /* both sides do: whoever is first */
	launch->hold_fd = hold[0];
	launch->error_fd = errors[0];
	hold[0] = -1;
	errors[0] = -1;
	launch->pid_fd = (int)syscall(SYS_pidfd_open, launch->pid, 0);
	if (launch->pid_fd < 0) {
		status = error_errno(err, errno, "pidfd_open of the command");
	}
out:
	for (int i = 0; i < 2; i++) {
		if (hold[i] >= 0) {
			close(hold[i]);
		}
		if (errors[i] >= 0) {
			close(errors[i]);
		}
	}
	return status;
}

static int check_directory(const char *directory, struct pfc_error *err)
{
	struct stat stat_of;

	if (directory == NULL) {
		return PFC_OK;
	}
	if (stat(directory, &stat_of) < 0) {
		return error_errno(err, errno, "working folder of the command: %s", directory);
	}
	return S_ISDIR(stat_of.st_mode) ? PFC_OK
					: error_set(err, PFC_EINVAL, "it is not a folder",
						    "working folder of the command: %s", directory);
}

int launch_start(struct launch *launch, const char *command, const char *directory, int output_fd,
		 struct pfc_error *err)
{
	struct child child = { .directory = directory, .parent = getpid() };
	int null_fd = -1;
	int status = words_split(command, &launch->words, err);

	if (status == PFC_OK) {
		status = check_directory(directory, err);
	}
	if (status == PFC_OK) {
		status = program_find(launch->words[0], directory, &launch->program, err);
	}
	if (status < 0) {
		return status;
	}
	if (copy_environment(launch) < 0) {
		return error_nomem(err);
	}
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	launch->output_fd = fcntl(output_fd >= 0 ? output_fd : null_fd, F_DUPFD_CLOEXEC, 0);
	if (null_fd < 0 || launch->output_fd < 0) {
		status = error_errno(err, errno, "open the command's input and output");
	} else {
		child.program = launch->program;
		child.words = launch->words;
		child.null_fd = null_fd;
		child.output_fd = launch->output_fd;
		status = fork_child(launch, &child, err);
	}
	if (null_fd >= 0) {
		close(null_fd);
	}
	if (status < 0) {
		return status;
	}
	cage_make(&launch->cage, launch->pid); /* without one its group and its known processes have to do */
	return start_guardian(launch, err);
}

/* ---- environment ---- */

/* Lists that are added to, not replaced. */
static bool is_colon_list(const char *name)
{
	return str_ends(name, "_PRELOAD") || str_ends(name, "PATH");
}

static bool is_name(const char *name)
{
	return name[0] != '\0' && strchr(name, '=') == NULL && strlen(name) < 256;
}

int launch_set_env(struct launch *launch, const char *name, const char *value, struct pfc_error *err)
{
	size_t name_bytes = strlen(name);
	char **env;
	char *text;

	if (!is_name(name) || strlen(value) > ENV_BYTES_MAX / 4) {
		return error_set(err, PFC_EINVAL, "it is no name, or the value is too long", "set %.64s for the command", name);
	}
	if (launch->hold_fd < 0) {
		return error_set(err, PFC_ECANCELED, "the command runs already", "set %s for the command", name);
	}
	for (size_t i = 0; i < launch->env_count; i++) {
		char *old = launch->env[i];

		if (strncmp(old, name, name_bytes) == 0 && old[name_bytes] == '=') {
			bool add = is_colon_list(name) && old[name_bytes + 1] != '\0';

			text = add ? str_printf("%s:%s", old, value) : str_printf("%s=%s", name, value);
			if (text == NULL) {
				return error_nomem(err);
			}
			free(old);
			launch->env[i] = text;
			return PFC_OK;
		}
	}
	env = realloc(launch->env, (launch->env_count + 2) * sizeof(*env));
	if (env == NULL) {
		return error_nomem(err);
	}
	launch->env = env;
	text = str_printf("%s=%s", name, value);
	if (text == NULL) {
		return error_nomem(err);
	}
	env[launch->env_count++] = text;
	env[launch->env_count] = NULL;
	return PFC_OK;
}

/* ---- release ---- */

static bool send_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes > 0) {
		ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent <= 0) {
			return false;
		}
		at += sent;
		bytes -= (size_t)sent;
	}
	return true;
}

static int send_env(const struct launch *launch, struct pfc_error *err)
{
	uint64_t head[2] = { 0, launch->env_count };
	struct str texts = { 0 };
	int status = PFC_OK;

	for (size_t i = 0; i < launch->env_count; i++) {
		str_add_bytes(&texts, launch->env[i], strlen(launch->env[i]) + 1);
	}
	head[0] = texts.bytes;
	if (texts.failed) {
		status = error_nomem(err);
	} else if (texts.bytes > ENV_BYTES_MAX) {
		status = error_set(err, PFC_EINVAL, "it is larger than 4 MiB", "pass the environment to the command");
	} else if (!send_all(launch->hold_fd, head, sizeof(head)) ||
		   !send_all(launch->hold_fd, str_text(&texts), texts.bytes)) {
		status = error_set(err, PFC_ETARGET, "it was killed while it was held", "release the command");
	}
	str_finish(&texts);
	return status;
}

static int exec_failed(const struct launch *launch, int errnum, struct pfc_error *err)
{
	error_errno(err, errnum, "run %s", launch->program);
	if (errnum == ENOEXEC) {
		error_hint(err, "it is a text without #! line: name its interpreter, as in `sh %s`", launch->words[0]);
	} else if (errnum == ENOENT) {
		program_hint(launch->words[0], err);
	} else if (errnum == EACCES) {
		error_hint(err, "make it executable: chmod +x %s", launch->program);
	}
	if (err != NULL) {
		err->status = PFC_ETARGET;
	}
	return PFC_ETARGET;
}

int launch_release(struct launch *launch, struct pfc_error *err)
{
	struct pollfd poll_fd = { .fd = launch->error_fd, .events = POLLIN };
	int errnum = 0;
	ssize_t got;
	int status;

	if (launch->hold_fd < 0) {
		return error_set(err, PFC_EINVAL, "it is released already", "release the command");
	}
	status = send_env(launch, err);
	close(launch->hold_fd);
	launch->hold_fd = -1;
	if (status < 0) {
		return status;
	}
	do {
		got = poll(&poll_fd, 1, EXEC_WAIT_MS);
	} while (got < 0 && errno == EINTR);
	if (got == 0) {
		return error_set(err, PFC_ETIMEDOUT, "it did not start within 30 s", "run %s", launch->program);
	}
	got = read(launch->error_fd, &errnum, sizeof(errnum));
	close(launch->error_fd);
	launch->error_fd = -1;
	return got == (ssize_t)sizeof(errnum) ? exec_failed(launch, errnum, err) : PFC_OK;
}

/* ---- end ---- */

bool launch_has_ended(const struct launch *launch, int *ret_status)
{
	siginfo_t info = { 0 };

	if (launch->pid <= 0 || waitid(P_PID, (id_t)launch->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid == 0) {
		return false;
	}
	*ret_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	if (info.si_code == CLD_DUMPED) {
		*ret_status |= 0x80;
	}
	return true;
}

void launch_signal(const struct launch *launch, int signal)
{
	/* The child stays a zombie until launch_finish: its group's number cannot be another's. */
	if (launch->pid > 0) {
		kill(-launch->pid, signal);
	}
}

static void reap(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
	*fd = -1;
}

void launch_kill(const struct launch *launch)
{
	launch_signal(launch, SIGKILL);
	cage_kill(&launch->cage);
}

void launch_finish(struct launch *launch)
{
	launch_kill(launch);
	if (launch->pid > 0) {
		kill(launch->pid, SIGKILL); /* should it not have reached its group */
	}
	if (launch->guardian_pid > 0) {
		kill(launch->guardian_pid, SIGKILL);
	}
	reap(launch->pid);
	reap(launch->guardian_pid);
	cage_remove(&launch->cage);
	close_fd(&launch->pid_fd);
	close_fd(&launch->hold_fd);
	close_fd(&launch->error_fd);
	close_fd(&launch->guardian_fd);
	close_fd(&launch->output_fd);
	for (size_t i = 0; i < launch->env_count; i++) {
		free(launch->env[i]);
	}
	free(launch->env);
	free(launch->program);
	words_free(launch->words);
	launch_init(launch);
}

void launch_output_tail(const struct launch *launch, unsigned lines, char *to, size_t to_bytes)
{
	char path[64];
	char text[TAIL_BYTES + 1];
	struct stat stat;
	ssize_t got = 0;
	char *from;
	int fd;

	to[0] = '\0';
	/* It may be open for writing only: read it by another descriptor. */
	if (launch->output_fd < 0 || fstat(launch->output_fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", launch->output_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	got = pread(fd, text, TAIL_BYTES, stat.st_size > TAIL_BYTES ? stat.st_size - TAIL_BYTES : 0);
	close(fd);
	while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == '\0')) {
		got--;
	}
	if (got <= 0) {
		return;
	}
	text[got] = '\0';
	for (from = text + got; from > text && (from[-1] != '\n' || --lines > 0); from--) {
	}
	for (char *at = from; *at != '\0'; at++) {
		*at = *at == '\n' ? '|' : *at;
	}
	snprintf(to, to_bytes, "%s", from);
}

void launch_describe_end(int wait_status, char *to, size_t to_bytes)
{
	if (WIFEXITED(wait_status)) {
		snprintf(to, to_bytes, "exit status %d", WEXITSTATUS(wait_status));
	} else {
		snprintf(to, to_bytes, "killed by signal %d (%s)", WTERMSIG(wait_status),
			 strsignal(WTERMSIG(wait_status)));
	}
}

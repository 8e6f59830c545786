/* SPDX-License-Identifier: MIT */
#include "target/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "target/launch_child.h"
#include "target/program.h"
#include "target/words.h"

#define ENV_BYTES_MAX (4u << 20)
#define EXEC_WAIT_MS  30000 /* a program on a slow network file system */

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
		launch_guardian_main(pair[1], launch->pid, &launch->cage);
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

static int fork_child(struct launch *launch, struct launch_child *child, struct pfc_error *err)
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
		launch_child_main(child);
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
	struct launch_child child = { .directory = directory, .parent = getpid() };
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
		return error_set(err, PFC_EINVAL, "it is no name, or the value is too long",
				 "set %.64s for the command", name);
	}
	if (launch->hold_fd < 0) {
		return error_set(err, PFC_ECANCELED, "the command runs already", "set %s for the command",
				 name);
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
		status = error_set(err, PFC_EINVAL, "it is larger than 4 MiB",
				   "pass the environment to the command");
	} else if (!send_all(launch->hold_fd, head, sizeof(head)) ||
		   !send_all(launch->hold_fd, str_text(&texts), texts.bytes)) {
		status =
			error_set(err, PFC_ETARGET, "it was killed while it was held", "release the command");
	}
	str_finish(&texts);
	return status;
}

static int exec_failed(const struct launch *launch, int errnum, struct pfc_error *err)
{
	error_errno(err, errnum, "run %s", launch->program);
	if (errnum == ENOEXEC) {
		error_hint(err, "it is a text without #! line: name its interpreter, as in `sh %s`",
			   launch->words[0]);
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
		return error_set(err, PFC_ETIMEDOUT, "it did not start within 30 s", "run %s",
				 launch->program);
	}
	got = read(launch->error_fd, &errnum, sizeof(errnum));
	close(launch->error_fd);
	launch->error_fd = -1;
	return got == (ssize_t)sizeof(errnum) ? exec_failed(launch, errnum, err) : PFC_OK;
}

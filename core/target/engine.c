/* SPDX-License-Identifier: MIT */
/* The core's side: where engines may be, the process that asks them, and its answer checked. */
#include "target/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/str.h"
#include "target/procfs.h"

#define ANSWER_BYTES_MAX (8u << 20)
#define ANSWER_NS        6000000000u /* two requests of 2 s, and the process around them */
#define CONTAINERS_MAX   4096u
#define PID_MAX          4194304 /* PID_MAX_LIMIT of Linux */

/* ---- where engines are ---- */

static int add_host(json_t *sockets, const char *host, struct pfc_error *err)
{
	if (!str_starts(host, "unix://")) {
		error_set(err, PFC_ENOTSUP,
			  "only unix sockets are: what runs elsewhere cannot be measured from here",
			  "ask the engine at DOCKER_HOST = %.100s", host);
		return error_hint(err, "unset DOCKER_HOST, or run profcore on that machine"), PFC_ENOTSUP;
	}
	json_array_append_new(sockets, json_string(host + strlen("unix://")));
	return PFC_OK;
}

/* The environment counts for nothing where it could lend our rights to somebody (file capabilities). */
static int list_sockets(const struct engine_query *query, json_t *sockets, struct pfc_error *err)
{
	const char *host = secure_getenv("DOCKER_HOST");
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

	if (query->socket != NULL) {
		const char *path = str_starts(query->socket, "unix://") ? query->socket + strlen("unix://")
									: query->socket;

		json_array_append_new(sockets, json_string(path));
		return PFC_OK;
	}
	if (host != NULL && host[0] != '\0') {
		return add_host(sockets, host, err);
	}
	json_array_append_new(sockets, json_string("/var/run/docker.sock"));
	if (runtime != NULL && runtime[0] == '/') {
		char *path = str_printf("%s/podman/podman.sock", runtime);

		json_array_append_new(sockets, path != NULL ? json_string(path) : NULL);
		free(path);
	}
	json_array_append_new(sockets, json_string("/run/podman/podman.sock"));
	json_array_append_new(sockets, json_string("/run/containerd/containerd.sock"));
	json_array_append_new(sockets, json_string("/run/k3s/containerd/containerd.sock"));
	return PFC_OK;
}

/* ---- the process ---- */

/* Between fork and exec: nothing that allocates. */
static void become_asker(int request, int answer, pid_t core)
{
	char *const argv[] = { (char *)"profcore", (char *)ENGINE_COMMAND, NULL };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != core || dup2(request, STDIN_FILENO) < 0 || dup2(answer, STDOUT_FILENO) < 0 ||
	    dup2(null, STDERR_FILENO) < 0) {
		_exit(127);
	}
	(void)syscall(SYS_close_range, 3u, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++) {
		signal(number, SIG_DFL);
	}
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* Read to the end of the stream; 0 bytes when it is late or too much. */
static size_t read_all(int fd, char *text, size_t room)
{
	uint64_t until_ns = procfs_now_ns() + ANSWER_NS;
	size_t bytes = 0;

	while (bytes < room) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		uint64_t now_ns = procfs_now_ns();
		ssize_t got;

		if (now_ns >= until_ns || poll(&ready, 1, (int)((until_ns - now_ns) / 1000000u) + 1) == 0) {
			return 0;
		}
		got = read(fd, text + bytes, room - bytes);
		if (got == 0) {
			return bytes;
		}
		if (got < 0 && errno != EINTR) {
			return 0;
		}
		bytes += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

static int write_request(const json_t *request)
{
	int fd = memfd_create("profcore-engine", MFD_CLOEXEC);

	if (fd >= 0 && (json_dumpfd(request, fd, JSON_COMPACT) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static json_t *exchange(const json_t *request)
{
	char *text = malloc(ANSWER_BYTES_MAX);
	int request_fd = write_request(request);
	int answer[2] = { -1, -1 };
	json_t *json = NULL;
	pid_t core = getpid();
	size_t bytes;
	pid_t pid;

	if (text == NULL || request_fd < 0 || pipe2(answer, O_CLOEXEC) < 0) {
		goto out;
	}
	pid = fork();
	if (pid == 0) {
		become_asker(request_fd, answer[1], core);
	}
	close(answer[1]);
	answer[1] = -1;
	if (pid > 0) {
		bytes = read_all(answer[0], text, ANSWER_BYTES_MAX);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		json = bytes > 0 ? json_loadb(text, bytes, 0, NULL) : NULL;
	}
out:
	for (int i = 0; i < 2; i++) {
		if (answer[i] >= 0) {
			close(answer[i]);
		}
	}
	if (request_fd >= 0) {
		close(request_fd);
	}
	free(text);
	return json;
}

/* ---- its answer ---- */

static void copy_text(char *to, size_t to_bytes, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(to, to_bytes, "%s", text != NULL ? text : "");
}

static bool take_container(const json_t *json, struct engine_container *ret)
{
	json_int_t pid = json_integer_value(json_object_get(json, "pid"));
	size_t letters;

	memset(ret, 0, sizeof(*ret));
	copy_text(ret->id, sizeof(ret->id), json, "id");
	copy_text(ret->name, sizeof(ret->name), json, "name");
	copy_text(ret->image, sizeof(ret->image), json, "image");
	copy_text(ret->state, sizeof(ret->state), json, "state");
	copy_text(ret->status, sizeof(ret->status), json, "status");
	copy_text(ret->service, sizeof(ret->service), json, "service");
	copy_text(ret->project, sizeof(ret->project), json, "project");
	ret->pid = pid > 0 && pid <= PID_MAX ? (int32_t)pid : 0;
	ret->is_match = json_is_true(json_object_get(json, "match"));
	ret->was_oom = json_is_true(json_object_get(json, "oom"));
	/* Docker's ids are 64 hex digits, those that people give to containerd are words. */
	letters = strspn(ret->id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	return letters > 0 && ret->id[letters] == '\0' && ret->id[0] != '.';
}

/* The child's own failure: {"status": n, "what", "why", "hint"}. */
static int take_failure(const json_t *json, struct pfc_error *err)
{
	json_int_t status = json_integer_value(json_object_get(json, "status"));
	const char *what = json_string_value(json_object_get(json, "what"));
	const char *why = json_string_value(json_object_get(json, "why"));
	const char *hint = json_string_value(json_object_get(json, "hint"));

	if (status >= 0 || status < -1000) {
		return PFC_OK;
	}
	error_set(err, (int)status, why != NULL ? why : "it said nothing", "%s",
		  what != NULL ? what : "ask the engine");
	if (hint != NULL && hint[0] != '\0') {
		error_hint(err, "%s", hint);
	}
	return (int)status;
}

static int take_answer(const json_t *json, struct engine_answer *ret, struct pfc_error *err)
{
	const json_t *list = json_object_get(json, "containers");
	struct engine_answer answer = { .count = 0 };
	int status = take_failure(json, err);
	const json_t *one;
	size_t i;

	if (status < 0) {
		return status;
	}
	copy_text(answer.socket, sizeof(answer.socket), json, "socket");
	answer.containers = calloc(json_array_size(list) + 1, sizeof(*answer.containers));
	if (answer.containers == NULL) {
		return error_nomem(err);
	}
	json_array_foreach((json_t *)(size_t)list, i, one)
	{
		if (answer.count < CONTAINERS_MAX && take_container(one, &answer.containers[answer.count])) {
			answer.count++;
		}
	}
	*ret = answer;
	return PFC_OK;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text != NULL) {
		json_object_set_new(object, key, json_string(text));
	}
}

int engine_ask(const struct engine_query *query, struct engine_answer *ret, struct pfc_error *err)
{
	json_t *sockets = json_array();
	json_t *request = json_pack("{s:O}", "sockets", sockets);
	json_t *json = NULL;
	int status = request == NULL ? error_nomem(err) : list_sockets(query, sockets, err);

	if (status == PFC_OK) {
		set_text(request, "container", query->container);
		set_text(request, "service", query->service);
		set_text(request, "project", query->project);
		set_text(request, "image", query->image);
		json = exchange(request);
		status = json != NULL ? take_answer(json, ret, err)
				      : error_set(err, PFC_ETIMEDOUT,
						  "no answer within 6 s, or none that can be used",
						  "ask the container engine");
	}
	json_decref(json);
	json_decref(request);
	json_decref(sockets);
	return status;
}

void engine_answer_finish(struct engine_answer *answer)
{
	free(answer->containers);
	memset(answer, 0, sizeof(*answer));
}

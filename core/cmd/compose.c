/* SPDX-License-Identifier: MIT */
#include "cmd/compose.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "base/str.h"

#define WORDS_MAX   64
#define TAIL_LINES  6
#define NOTE_FORMAT 1

/* ---- the child ---- */

static bool is_in_path(const char *program)
{
	const char *path = getenv("PATH");
	bool found = false;

	while (path != NULL && *path != '\0' && !found) {
		size_t bytes = strcspn(path, ":");
		char *file = str_printf("%.*s/%s", (int)bytes, path, program);

		found = bytes > 0 && file != NULL && access(file, X_OK) == 0;
		free(file);
		path += bytes + (path[bytes] == ':');
	}
	return found;
}

/* The words of the call; returns how many, 0 when there is no Compose. */
static size_t make_call(const struct compose *compose, const char *const *words, const char **call)
{
	const char *const options[] = { "-p", compose->project, "-f", compose->file };
	size_t count = 0;

	if (is_in_path("docker-compose")) {
		call[count++] = "docker-compose";
	} else if (is_in_path("docker")) {
		call[count++] = "docker";
		call[count++] = "compose";
	} else {
		return 0;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		call[count++] = options[i];
	}
	for (size_t i = 0; words[i] != NULL && count < WORDS_MAX - 1; i++) {
		call[count++] = words[i];
	}
	call[count] = NULL;
	return count;
}

static void become(const char *const *call, int talk_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(talk_fd, STDOUT_FILENO) < 0 ||
	    dup2(talk_fd, STDERR_FILENO) < 0) {
		_exit(127);
	}
	/* execvp takes the words as they are; it does not change them (POSIX keeps the type for old callers). */
	execvp(call[0], (char *const *)(uintptr_t)call);
	_exit(127);
}

/* ---- its log ---- */

static char *log_path(const struct compose *compose)
{
	return str_printf("%s/" COMPOSE_LOG, compose->output);
}

/* What is printable of the last lines, joined by " | "; the caller frees. */
static char *read_tail(int fd)
{
	char text[2048];
	char shown[sizeof(text)];
	off_t size = lseek(fd, 0, SEEK_END);
	off_t first = size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
	ssize_t bytes = pread(fd, text, sizeof(text) - 1, first);
	size_t from = bytes > 0 ? (size_t)bytes : 0;
	struct str tail = { 0 };
	unsigned lines = 0;

	text[from] = '\0';
	while (from > 0 && (text[from - 1] != '\n' || lines++ < TAIL_LINES)) {
		from--;
	}
	for (char *at = text + from; *at != '\0';) {
		size_t line = strcspn(at, "\r\n");
		bool is_end = at[line] == '\0';

		at[line] = '\0';
		if (line > 0) {
			str_format(&tail, "%s%s", tail.bytes > 0 ? " | " : "",
				   log_escape(shown, sizeof(shown), at));
		}
		at += line + !is_end;
	}
	return str_take(&tail);
}

static int open_talk(const struct compose *compose, struct pfc_error *err)
{
	char *path = compose->is_loud ? NULL : log_path(compose);
	int fd;

	if (compose->is_loud) {
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644) : -1;
	if (fd < 0) {
		error_errno(err, errno, "open %s", path != NULL ? path : COMPOSE_LOG);
	}
	free(path);
	return fd;
}

static int explain(const struct compose *compose, const char *const *words, int status, int talk_fd,
		   struct pfc_error *err)
{
	char *tail = compose->is_loud ? NULL : read_tail(talk_fd);
	char code[32];

	snprintf(code, sizeof(code), WIFEXITED(status) ? "exit code %d" : "ended by signal %d",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	error_set(err, PFC_EIO, tail != NULL && tail[0] != '\0' ? tail : code, "Compose: %s the stack '%s'",
		  words[0], compose->project);
	free(tail);
	return error_hint(err,
			  compose->is_loud ? "see above"
					   : "all it said: %s/" COMPOSE_LOG "; -v shows it as it comes",
			  compose->output);
}

int compose_run(const struct compose *compose, const char *const *words, struct pfc_error *err)
{
	const char *call[WORDS_MAX];
	int status = 0;
	int talk_fd;
	pid_t pid;
	int rc = 0;

	if (make_call(compose, words, call) == 0) {
		error_set(err, PFC_ENOENT, "neither docker-compose nor docker is installed", "start Compose");
		return error_hint(err, "apt-get install docker.io docker-compose");
	}
	talk_fd = open_talk(compose, err);
	if (talk_fd < 0) {
		return PFC_EIO;
	}
	pid = fork();
	if (pid == 0) {
		become(call, talk_fd);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (pid < 0) {
		rc = error_errno(err, errno, "fork %s", call[0]);
	} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		rc = explain(compose, words, status, talk_fd, err);
	}
	close(talk_fd);
	return rc;
}

/* ---- the note ---- */

static char *note_path(const char *output)
{
	return str_printf("%s/" COMPOSE_NOTE, output);
}

int compose_note_write(const struct compose *compose, struct pfc_error *err)
{
	json_t *note = json_pack("{s:i, s:s, s:s}", "format", NOTE_FORMAT, "project", compose->project,
				 "file", compose->file);
	char *path = note_path(compose->output);
	int rc = 0;

	if (note == NULL || path == NULL) {
		rc = error_nomem(err);
	} else if (json_dump_file(note, path, JSON_INDENT(2)) < 0) {
		rc = error_errno(err, errno, "write %s", path);
	}
	json_decref(note);
	free(path);
	return rc;
}

int compose_note_read(const char *output, struct compose *ret, struct pfc_error *err)
{
	char *path = note_path(output);
	json_t *note = path != NULL ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *project = json_string_value(json_object_get(note, "project"));
	const char *file = json_string_value(json_object_get(note, "file"));
	int rc = 0;

	if (path != NULL && access(path, F_OK) < 0 && errno == ENOENT) {
		rc = error_set(err, PFC_ENOENT, "nothing was set up", "read %s", path);
	} else if (project == NULL || file == NULL || file[0] != '/' ||
		   json_integer_value(json_object_get(note, "format")) != NOTE_FORMAT) {
		rc = error_set(err, PFC_ECORRUPT, "it is no note of profcore setup", "read %s", path);
		error_hint(err, "remove it; docker ps shows what runs");
	} else {
		*ret = (struct compose){ strdup(file), strdup(project), strdup(output), false };
		if (ret->file == NULL || ret->project == NULL || ret->output == NULL) {
			compose_finish(ret);
			rc = error_nomem(err);
		}
	}
	json_decref(note);
	free(path);
	return rc;
}

static void remove_file(char *path)
{
	if (path != NULL) {
		(void)unlink(path);
	}
	free(path);
}

void compose_note_remove(const struct compose *compose)
{
	remove_file(note_path(compose->output));
	remove_file(log_path(compose));
}

void compose_finish(struct compose *compose)
{
	free(compose->file);
	free(compose->project);
	free(compose->output);
	*compose = (struct compose){ NULL, NULL, NULL, false };
}

/* SPDX-License-Identifier: MIT */
#include "run/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define ID_TRIES 1000

/* Letters, digits, dot, dash and underscore stay; a name must not start with a dot. */
static char *clean_name(const char *name)
{
	char *clean = strndup(name[0] != '\0' ? name : "run", 64);

	for (char *at = clean; at != NULL && *at != '\0'; at++) {
		bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
			     (*at >= '0' && *at <= '9') || *at == '-' || *at == '_' ||
			     (*at == '.' && at != clean);

		if (!plain) {
			*at = '_';
		}
	}
	return clean;
}

int rundir_make_folders(const char *path, struct pfc_error *err)
{
	char *copy = strdup(path);
	int rc = copy != NULL ? 0 : error_nomem(err);

	if (path[0] == '\0') {
		rc = error_set(err, PFC_EINVAL, "its name is empty", "create the folder of runs");
		error_hint(err, "--set run.output=FOLDER");
	}
	for (char *at = copy; rc == 0 && at != NULL;) {
		at = strchr(at + 1, '/');
		if (at != NULL) {
			*at = '\0';
		}
		if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
			rc = error_errno(err, errno, "create folder '%s'", copy);
			error_hint(err, "another folder: --set run.output=FOLDER");
		}
		if (at != NULL) {
			*at = '/';
		}
	}
	free(copy);
	return rc;
}

/* The second run of a second gets a number behind its id. */
static int make_run_folder(struct rundir *dir, const char *name, struct pfc_error *err)
{
	time_t now = time(NULL);
	char stamp[32];
	struct tm local;
	char *clean = clean_name(name);

	if (clean == NULL) {
		return error_nomem(err);
	}
	localtime_r(&now, &local);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &local);
	for (int i = 1; i < ID_TRIES; i++) {
		free(dir->id);
		dir->id =
			i == 1 ? str_printf("%s-%s", stamp, clean) : str_printf("%s-%s-%d", stamp, clean, i);
		if (dir->id == NULL) {
			free(clean);
			return error_nomem(err);
		}
		if (mkdirat(dir->output_fd, dir->id, 0755) == 0) {
			free(clean);
			return 0;
		}
		if (errno != EEXIST) {
			break;
		}
	}
	free(clean);
	error_errno(err, errno, "create run folder '%s/%s'", dir->output, dir->id);
	return error_hint(err, "another folder: --set run.output=FOLDER");
}

int rundir_create(const char *output, const char *name, struct rundir **ret, struct pfc_error *err)
{
	struct rundir *dir = calloc(1, sizeof(*dir));
	int rc;

	if (dir == NULL) {
		return error_nomem(err);
	}
	dir->fd = -1;
	dir->output_fd = -1;
	dir->output = strdup(output);
	rc = dir->output != NULL ? rundir_make_folders(output, err) : error_nomem(err);
	if (rc < 0) {
		goto out;
	}
	dir->output_fd = open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->output_fd < 0) {
		rc = error_errno(err, errno, "open folder '%s'", output);
		goto out;
	}
	rc = make_run_folder(dir, name, err);
	if (rc < 0) {
		goto out;
	}
	dir->path = str_printf("%s/%s", output, dir->id);
	dir->fd = openat(dir->output_fd, dir->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	/* For as long as this run lives: profcore clean leaves it alone. Where folders cannot be locked, nothing is lost. */
	if (dir->fd >= 0) {
		(void)flock(dir->fd, LOCK_SH | LOCK_NB);
	}
	if (dir->path == NULL || dir->fd < 0 || mkdirat(dir->fd, "artifacts", 0755) < 0 ||
	    mkdirat(dir->fd, "logs", 0755) < 0) {
		rc = error_errno(err, errno, "fill run folder '%s/%s'", output, dir->id);
		goto out;
	}
	*ret = dir;
	dir = NULL;
out:
	rundir_close(dir);
	return rc;
}

/* Never out of the folder, and through no link on the way: paths hold words of plugins and of stored manifests. */
static int open_inside(const struct rundir *dir, const char *path, uint64_t flags, uint64_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir->fd, path, &how, sizeof(how));
}

int rundir_create_file(const struct rundir *dir, const char *path, int *ret_fd, struct pfc_error *err)
{
	int fd = open_inside(dir, path, O_RDWR | O_CREAT | O_EXCL, 0644);

	if (fd < 0) {
		return error_errno(err, errno, "create %s/%s", dir->path, path);
	}
	*ret_fd = fd;
	return 0;
}

int rundir_open_file(const struct rundir *dir, const char *path, int *ret_fd, struct pfc_error *err)
{
	/* Not to wait for the other end of a pipe that stands in for a file. */
	int fd = open_inside(dir, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0) {
		return error_errno(err, errno, "open %s/%s", dir->path, path);
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, PFC_ECORRUPT, "not a plain file", "open %s/%s", dir->path, path);
	}
	*ret_fd = fd;
	return 0;
}

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t done = write(fd, text, bytes);

		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			return done < 0 ? -errno : -EIO;
		}
		text += done;
		bytes -= (size_t)done;
	}
	return 0;
}

int rundir_write_text(const struct rundir *dir, const char *path, const char *text, struct pfc_error *err)
{
	char *temporary = str_printf("%s.new", path);
	int fd;
	int rc;

	if (temporary == NULL) {
		return error_nomem(err);
	}
	fd = openat(dir->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	rc = fd < 0 ? -errno : write_all(fd, text, strlen(text));
	if (fd >= 0) {
		close(fd);
	}
	if (rc == 0 && renameat(dir->fd, temporary, dir->fd, path) < 0) {
		rc = -errno;
	}
	if (rc < 0) {
		int errnum = -rc;

		unlinkat(dir->fd, temporary, 0);
		rc = error_errno(err, errnum, "write %s/%s", dir->path, path);
		if (errnum == ENOSPC || errnum == EDQUOT) {
			error_hint(err, "free some space, or another folder: --set run.output=FOLDER");
		}
	}
	free(temporary);
	return rc;
}

int rundir_write_json(const struct rundir *dir, const char *path, const json_t *json, struct pfc_error *err)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	int rc;

	if (text == NULL) {
		return error_nomem(err);
	}
	rc = rundir_write_text(dir, path, text, err);
	free(text);
	return rc;
}

void rundir_remove_file(const struct rundir *dir, const char *path)
{
	(void)unlinkat(dir->fd, path, 0);
}

/* A new link is made beside and renamed over the old one. */
static int replace_link(const struct rundir *dir, const char *name, const char *to, struct pfc_error *err)
{
	/* Of this process, and of no other that has the same id in another pid namespace. */
	char *temporary = str_printf(".%s.%d.%llx", name, (int)getpid(), (unsigned long long)clock_now());
	struct stat st;
	int rc = 0;

	if (temporary == NULL) {
		return error_nomem(err);
	}
	if (fstatat(dir->output_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode)) {
		rc = error_set(err, PFC_EIO, "there is something else of that name", "link %s/%s",
			       dir->output, name);
	} else if (symlinkat(to, dir->output_fd, temporary) < 0 ||
		   renameat(dir->output_fd, temporary, dir->output_fd, name) < 0) {
		rc = error_errno(err, errno, "link %s/%s", dir->output, name);
		unlinkat(dir->output_fd, temporary, 0);
	}
	free(temporary);
	return rc;
}

int rundir_link(const struct rundir *dir, const char *name, const char *path, struct pfc_error *err)
{
	char *to = str_printf("%s/%s", dir->id, path);
	int rc = to != NULL ? replace_link(dir, name, to, err) : error_nomem(err);

	free(to);
	return rc;
}

int rundir_link_latest(const struct rundir *dir, struct pfc_error *err)
{
	return replace_link(dir, "latest", dir->id, err);
}

void rundir_discard(const struct rundir *dir)
{
	static const char *const made[] = { "artifacts", "logs" };

	(void)unlinkat(dir->fd, RUNDIR_RESERVE, 0);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		(void)unlinkat(dir->fd, made[i], AT_REMOVEDIR);
	}
	(void)unlinkat(dir->output_fd, dir->id, AT_REMOVEDIR);
}

void rundir_close(struct rundir *dir)
{
	if (dir == NULL) {
		return;
	}
	if (dir->fd >= 0) {
		close(dir->fd);
	}
	if (dir->output_fd >= 0) {
		close(dir->output_fd);
	}
	free(dir->id);
	free(dir->path);
	free(dir->output);
	free(dir);
}

/* SPDX-License-Identifier: MIT */
/*
 * containerd without its gRPC: what it keeps of each running container in a folder beside its socket, by namespace and id
 * (io.containerd.runtime.v2.task/NAMESPACE/ID). config.json names what started it: nerdctl, or a kubelet through CRI.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "target/engine_inside.h"

#define TASKS            "io.containerd.runtime.v2.task"
#define CONFIG_BYTES_MAX (1u << 20)
#define ID_LETTERS       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

/* Docker's own containers: it is asked for them itself. */
static bool is_dockers(const char *space)
{
	return str_equal(space, "moby") || str_equal(space, "plugins.moby");
}

char *containerd_folder(const char *socket)
{
	const char *slash = strrchr(socket, '/');
	char *folder = slash != NULL ? str_printf("%.*s/" TASKS, (int)(slash - socket), socket) : NULL;

	if (folder != NULL && access(folder, X_OK) < 0 && errno != EACCES) {
		free(folder);
		folder = NULL;
	}
	return folder;
}

/* The beginning of a plain file, terminated; the caller frees. NULL: it cannot be read, or is too large. */
static char *read_text(int folder_fd, const char *name)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *text = fd >= 0 ? malloc(CONFIG_BYTES_MAX) : NULL;
	ssize_t bytes = text != NULL ? read(fd, text, CONFIG_BYTES_MAX) : -1;

	if (fd >= 0) {
		close(fd);
	}
	if (bytes <= 0 || bytes == CONFIG_BYTES_MAX) {
		free(text);
		return NULL;
	}
	text[bytes] = '\0';
	return text;
}

/* What is read here is parsed after this process has confined itself. */
static void take_task(json_t *tasks, int space_fd, const char *space, const char *id)
{
	int fd = openat(space_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char *pid = fd >= 0 ? read_text(fd, "init.pid") : NULL;
	char *config = fd >= 0 ? read_text(fd, "config.json") : NULL;

	if (pid != NULL && config != NULL) {
		json_array_append_new(tasks, json_pack("{s:s, s:s, s:i, s:s}", "space", space, "id", id,
						       "pid", atoi(pid), "config", config));
	}
	free(pid);
	free(config);
	if (fd >= 0) {
		close(fd);
	}
}

static bool is_word(const struct dirent *entry)
{
	size_t bytes = strlen(entry->d_name);

	return entry->d_name[0] != '.' && bytes < CGROUP_ID_BYTES &&
	       strspn(entry->d_name, ID_LETTERS) == bytes;
}

static void take_space(json_t *tasks, int folder_fd, const char *space)
{
	int fd = openat(folder_fd, space, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL && json_array_size(tasks) < CONTAINERS_MAX) {
		if (is_word(entry)) {
			take_task(tasks, fd, space, entry->d_name);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	} else if (fd >= 0) {
		close(fd);
	}
}

int containerd_read(const char *folder, json_t **ret)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	int errnum = errno;

	if (dir == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return -errnum;
	}
	*ret = json_array();
	while ((entry = readdir(dir)) != NULL) {
		if (is_word(entry) && !is_dockers(entry->d_name)) {
			take_space(*ret, fd, entry->d_name);
		}
	}
	closedir(dir);
	close(fd);
	return 0;
}

/* By what people call it: nerdctl's --name, or the container's name in its pod; else its id. */
static const char *name_of(const json_t *annotations, const char *id)
{
	static const char *const keys[] = { "nerdctl/name", "io.kubernetes.cri.container-name" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (engine_text_of(annotations, keys[i])[0] != '\0') {
			return engine_text_of(annotations, keys[i]);
		}
	}
	return id;
}

/* The container that holds a pod's namespaces runs nothing that anybody means. */
static bool is_sandbox(const json_t *annotations)
{
	return str_equal(engine_text_of(annotations, "io.kubernetes.cri.container-type"), "sandbox");
}

void containerd_list(const struct asker *asker, const json_t *tasks, json_t *containers)
{
	const json_t *task;
	size_t i;

	json_array_foreach((json_t *)(size_t)tasks, i, task)
	{
		json_t *config = json_loads(engine_text_of(task, "config"), 0, NULL);
		const json_t *annotations = json_object_get(config, "annotations");
		const char *id = engine_text_of(task, "id");
		const char *pod = engine_text_of(annotations, "io.kubernetes.cri.sandbox-name");
		char status[ENGINE_TEXT_BYTES];
		json_t *one;

		if (config != NULL && !is_sandbox(annotations)) {
			snprintf(status, sizeof(status), "containerd, namespace %s%s%.200s",
				 engine_text_of(task, "space"), pod[0] != '\0' ? ", pod " : "", pod);
			one = engine_boil(NULL, id, name_of(annotations, id),
					  engine_text_of(annotations, "io.kubernetes.cri.image-name"),
					  "running", status);
			json_object_set(one, "pid", json_object_get(task, "pid"));
			json_object_set_new(one, "match", json_boolean(engine_is_meant(asker, one)));
			json_array_append_new(containers, one);
		}
		json_decref(config);
	}
}

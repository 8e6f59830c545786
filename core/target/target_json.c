/* SPDX-License-Identifier: MIT */
/* target.json. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "target/target_inside.h"

#define CMDLINE_BYTES 4096
#define JSON_PIDS_MAX 1000

/* Texts of the target may hold any bytes: those that are no UTF-8 become '?'. */
static json_t *json_text(char *text)
{
	json_t *json = json_string(text);

	if (json == NULL) {
		for (char *at = text; *at != '\0'; at++) {
			*at = (unsigned char)*at < 0x80 ? *at : '?';
		}
		json = json_string(text);
	}
	return json;
}

static json_t *process_to_json(int32_t pid)
{
	char exe[PATH_MAX];
	char cmdline[CMDLINE_BYTES];
	struct proc_stat stat;
	json_t *json = json_pack("{s:i}", "pid", (int)pid);

	if (json == NULL || procfs_stat(pid, &stat) < 0) {
		return json;
	}
	json_object_set_new(json, "ppid", json_integer(stat.ppid));
	json_object_set_new(json, "name", json_text(stat.comm));
	json_object_set_new(json, "start_ns", json_integer(procfs_start_ns(stat.start_ticks)));
	if (procfs_link(exe, sizeof(exe), "/proc/%d/exe", (int)pid) >= 0) {
		json_object_set_new(json, "executable", json_text(exe));
	}
	procfs_cmdline(pid, cmdline, sizeof(cmdline));
	json_object_set_new(json, "command_line", json_text(cmdline));
	return json;
}

static json_t *lives_to_json(struct target *target)
{
	const struct track_group *group = target->tracker.track_group;
	json_t *lives = json_array();

	pthread_mutex_lock(&target->tracker.lock);
	for (uint32_t i = 0; i < group->life_count && i < TRACK_LIVES_MAX; i++) {
		const struct track_life *life = &group->lives[i];

		json_array_append_new(lives, json_pack("{s:i, s:i, s:s, s:I, s:I}", "generation", (int)i + 1,
						       "pid", (int)life->pid, "container_id", life->id,
						       "from_ns", (json_int_t)life->from_ns, "gone_ns",
						       (json_int_t)life->gone_ns));
	}
	pthread_mutex_unlock(&target->tracker.lock);
	return lives;
}

static void add_container(struct target *target, json_t *json)
{
	struct container *container = &target->container;

	if (container->path[0] == '\0') {
		return;
	}
	json_object_set_new(json, "cgroup", json_text(container->path));
	json_object_set_new(json, "cgroup_folder", json_text(container->folder));
	if (container->id[0] != '\0') {
		json_object_set_new(json, "container",
				    json_pack("{s:s, s:o, s:o, s:o}", "id", container->id, "name",
					      json_text(container->name), "image",
					      json_text(container->image), "engine",
					      json_text(container->engine)));
	}
	if (target->tracker.track_group != NULL) {
		json_object_set_new(json, "generations", lives_to_json(target));
		json_object_set_new(json, "oom_killed", json_boolean(target_was_oom(target)));
	}
}

json_t *target_to_json(struct target *target)
{
	json_t *processes = json_array();
	struct utsname kernel;
	int32_t *pids = NULL;
	uint32_t count = 0;
	json_t *json;

	if (target_pids(target, &pids, &count, NULL) < 0 || uname(&kernel) < 0) {
		json_decref(processes);
		free(pids);
		return NULL;
	}
	for (uint32_t i = 0; i < count && i < JSON_PIDS_MAX; i++) {
		json_array_append_new(processes, process_to_json(pids[i]));
	}
	free(pids);
	json = json_pack("{s:s, s:s, s:i, s:s, s:i, s:o, s:s, s:s, s:i}", "kind", target->kind, "name",
			 target->name, "pid", (int)target->pid, "tracking", target->tracker.tracking,
			 "process_count", (int)count, "processes", processes, "kernel", kernel.release,
			 "machine", kernel.machine, "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN));
	if (json != NULL && target->launched) {
		json_t *words = json_array();

		for (char **word = target->launch.words; words != NULL && *word != NULL; word++) {
			json_array_append_new(words, json_text(*word));
		}
		json_object_set_new(json, "command", words);
	}
	if (json != NULL) {
		add_container(target, json);
	}
	return json;
}

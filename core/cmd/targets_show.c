/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/targets.h"

static const char *language_of(const struct process *process)
{
	/* Programs that run another language: what matters is what they run. */
	static const char *const runtimes[][2] = { { "python", "Python" }, { "node", "JavaScript" },
						   { "java", "Java" },     { "ruby", "Ruby" },
						   { "perl", "Perl" },     { "php", "PHP" },
						   { "dotnet", ".NET" } };

	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
		if (str_starts(process->name, runtimes[i][0])) {
			return runtimes[i][1];
		}
	}
	return survey_language_name(&process->survey);
}

static const struct engine_container *container_of(const struct listing *listing, const char *id)
{
	for (size_t i = 0; id[0] != '\0' && i < listing->engine.count; i++) {
		if (strcmp(listing->engine.containers[i].id, id) == 0) {
			return &listing->engine.containers[i];
		}
	}
	return NULL;
}

/** All of one container. */
struct group {
	const char *id;
	double cpu_pct;
	uint64_t rss_bytes;
	size_t count;
	const struct process *busiest;
};

static int compare_groups(const void *a, const void *b, void *order)
{
	const struct group *left = a;
	const struct group *right = b;
	bool by_memory = strcmp(order, "rss") == 0;
	int first = by_memory ? targets_compare((double)left->rss_bytes, (double)right->rss_bytes)
			      : targets_compare(left->cpu_pct, right->cpu_pct);

	return first != 0 ? first : strcmp(left->id, right->id);
}

/* Containers in the order of the list; by CPU or memory, of their sums. Returns how many. */
static size_t gather(const struct listing *listing, struct group *groups, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < listing->count; i++) {
		const struct process *process = &listing->processes[i];
		size_t at = 0;

		if (process->container_id[0] == '\0') {
			continue;
		}
		while (at < count && strcmp(groups[at].id, process->container_id) != 0) {
			at++;
		}
		if (at == room) {
			continue;
		}
		if (at == count) {
			groups[count++] = (struct group){ .id = process->container_id, .busiest = process };
		}
		groups[at].cpu_pct += process->cpu_pct;
		groups[at].rss_bytes += process->rss_bytes;
		groups[at].count++;
	}
	if (strcmp(listing->order, "cpu") == 0 || strcmp(listing->order, "rss") == 0) {
		qsort_r(groups, count, sizeof(groups[0]), compare_groups, (void *)(size_t)listing->order);
	}
	return count;
}

static void print_containers(const struct listing *listing)
{
	struct group groups[256];
	size_t count = gather(listing, groups, 256);
	char name[64];
	char image[128];

	if (count == 0) {
		return;
	}
	printf("%-28s %-12s %6s %9s %5s  %s\n", "CONTAINER", "ID", "CPU %", "RSS", "PROCS", "IMAGE");
	for (size_t i = 0; i < count; i++) {
		const struct engine_container *container = container_of(listing, groups[i].id);

		printf("%-28s %-12.12s %6.1f %6.1f MB %5zu  %s\n",
		       container != NULL ? log_escape(name, sizeof(name), container->name) : "?",
		       groups[i].id, groups[i].cpu_pct, (double)groups[i].rss_bytes / 1e6, groups[i].count,
		       container != NULL ? log_escape(image, sizeof(image), container->image) : "?");
	}
	putchar('\n');
}

static void print_processes(const struct listing *listing, size_t max)
{
	char name[64];
	char where[64];

	printf("%7s %-16s %6s %9s  %-10s %-8s %-8s %s\n", "PID", "PROCESS", "CPU %", "RSS", "LANGUAGE",
	       "SYMBOLS", "FRAMES", "CONTAINER");
	for (size_t i = 0; i < listing->count && i < max; i++) {
		const struct process *process = &listing->processes[i];
		const struct engine_container *container = container_of(listing, process->container_id);
		const char *language = language_of(process);

		printf("%7d %-16s %6.1f %6.1f MB  %-10s %-8s %-8s %s\n", (int)process->pid,
		       log_escape(name, sizeof(name), process->name), process->cpu_pct,
		       (double)process->rss_bytes / 1e6, language[0] != '\0' ? language : "?",
		       survey_symbols_name(&process->survey),
		       process->survey.frame_pointers == SURVEY_YES
			       ? "pointers"
			       : survey_frame_pointers_name(&process->survey),
		       container != NULL ? log_escape(where, sizeof(where), container->name)
					 : process->container_id);
	}
	if (listing->count > max) {
		printf("... and %zu more: --all\n", listing->count - max);
	}
}

void targets_print(const struct listing *listing, size_t max)
{
	print_containers(listing);
	print_processes(listing, max);
}

/* Bytes that are no UTF-8 become '?'. */
static json_t *text_json(const char *text)
{
	char safe[4096];

	return json_string(log_escape(safe, sizeof(safe), text));
}

static json_t *process_json(const struct process *process)
{
	const char *language = language_of(process);
	char cmdline[2048];

	procfs_cmdline(process->pid, cmdline, sizeof(cmdline));
	return json_pack("{s:i, s:o, s:f, s:I, s:s?, s:s, s:s, s:s, s:o}", "pid", (int)process->pid, "name",
			 text_json(process->name), "cpu_pct", process->cpu_pct, "rss_bytes",
			 (json_int_t)process->rss_bytes, "language", language[0] != '\0' ? language : NULL,
			 "symbols", survey_symbols_name(&process->survey), "frame_pointers",
			 survey_frame_pointers_name(&process->survey), "container_id", process->container_id,
			 "command_line", text_json(cmdline));
}

static json_t *containers_json(const struct listing *listing)
{
	struct group groups[256];
	size_t count = gather(listing, groups, 256);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct engine_container *container = container_of(listing, groups[i].id);

		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:o, s:o, s:o, s:f, s:I, s:i, s:i}", "id", groups[i].id, "name",
				  text_json(container != NULL ? container->name : ""), "image",
				  text_json(container != NULL ? container->image : ""), "compose_service",
				  text_json(container != NULL ? container->service : ""), "compose_project",
				  text_json(container != NULL ? container->project : ""), "cpu_pct",
				  groups[i].cpu_pct, "rss_bytes", (json_int_t)groups[i].rss_bytes,
				  "process_count", (int)groups[i].count, "busiest_pid",
				  (int)groups[i].busiest->pid));
	}
	return list;
}

int targets_print_json(const struct listing *listing)
{
	json_t *processes = json_array();
	json_t *root;
	int rc;

	for (size_t i = 0; i < listing->count; i++) {
		json_array_append_new(processes, process_json(&listing->processes[i]));
	}
	root = json_pack("{s:s, s:s, s:o, s:o}", "engine", listing->has_engine ? listing->engine.socket : "",
			 "engine_error", listing->has_engine ? "" : listing->engine_err.why, "containers",
			 containers_json(listing), "processes", processes);
	rc = root != NULL ? json_dumpf(root, stdout, JSON_INDENT(2)) : -1;
	json_decref(root);
	putchar('\n');
	return rc < 0 || fflush(stdout) != 0;
}

/* SPDX-License-Identifier: MIT */
/* `profcore targets [--all] [--json]`: containers and processes that could be profiled now, the busiest first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "target/container.h"
#include "target/procfs.h"
#include "target/survey.h"

#define INTERVAL_NS   500000000
#define PROCESSES_MAX 32768u
#define SHOWN_MAX     20u
#define SURVEYED_MAX  200u

struct process {
	int32_t pid;
	char name[PROCFS_COMM_BYTES];
	uint64_t start_ticks;
	uint64_t cpu_ticks;
	uint64_t rss_bytes;
	double cpu_pct; /* of one CPU */
	char container_id[CGROUP_ID_BYTES];
	bool is_alive; /* at the second look, too */
	struct survey survey;
};

struct listing {
	struct process *processes;
	size_t count;
	struct engine_answer engine;
	struct pfc_error engine_err;
	bool has_engine;
	const char *order; /* one of orders */
};

/* ---- looking ---- */

/* CPU time and memory: fields 14, 15 and 24 of /proc/PID/stat. */
static bool read_usage(int32_t pid, uint64_t *ret_ticks, uint64_t *ret_rss_bytes)
{
	unsigned long long user;
	unsigned long long system;
	long long rss_pages;
	char text[2048];
	char *at;

	if (procfs_read(text, sizeof(text), "/proc/%d/stat", (int)pid) <= 0) {
		return false;
	}
	at = strrchr(text, ')');
	if (at == NULL || sscanf(at + 1,
				 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d "
				 "%*d %*u %*u %lld",
				 &user, &system, &rss_pages) != 3) {
		return false;
	}
	*ret_ticks = user + system;
	*ret_rss_bytes = rss_pages > 0 ? (uint64_t)rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
	return true;
}

static bool look_first(const struct cgroup_mount *mount, int32_t pid, struct process *ret)
{
	struct proc_stat stat;
	char path[PATH_MAX];
	size_t end;

	memset(ret, 0, sizeof(*ret));
	if (pid == getpid() || procfs_stat(pid, &stat) < 0 || stat.kernel_thread || stat.state == 'Z' ||
	    stat.state == 'X' || !read_usage(pid, &ret->cpu_ticks, &ret->rss_bytes)) {
		return false;
	}
	ret->pid = pid;
	ret->start_ticks = stat.start_ticks;
	memcpy(ret->name, stat.comm, sizeof(ret->name));
	if (mount != NULL && cgroup_of(mount, pid, path, sizeof(path)) == 0) {
		cgroup_container_id(path, ret->container_id, &end);
	}
	return true;
}

static void look_again(struct process *process, double seconds)
{
	struct proc_stat stat;
	uint64_t ticks;

	/* The same process, not another of that id. */
	process->is_alive = procfs_stat(process->pid, &stat) == 0 &&
			    stat.start_ticks == process->start_ticks &&
			    read_usage(process->pid, &ticks, &process->rss_bytes);
	if (process->is_alive && ticks >= process->cpu_ticks) {
		process->cpu_pct =
			100.0 * (double)(ticks - process->cpu_ticks) / (double)sysconf(_SC_CLK_TCK) / seconds;
	}
}

/* What lists are sorted by; the rest decides between equals. */
static const char *const orders[] = { "cpu", "rss", "name", "pid", NULL };

static int compare_numbers(double left, double right)
{
	return left > right ? -1 : left < right;
}

static int compare(const void *a, const void *b, void *order)
{
	const struct process *left = a;
	const struct process *right = b;
	const char *by = order;
	int first = strcmp(by, "rss") == 0
			    ? compare_numbers((double)left->rss_bytes, (double)right->rss_bytes)
		    : strcmp(by, "name") == 0 ? strcmp(left->name, right->name)
		    : strcmp(by, "pid") == 0  ? left->pid - right->pid
					      : 0;

	first = first != 0 ? first : compare_numbers(left->cpu_pct, right->cpu_pct);
	first = first != 0 ? first : compare_numbers((double)left->rss_bytes, (double)right->rss_bytes);
	return first != 0 ? first : left->pid - right->pid;
}

static int look(struct listing *listing)
{
	struct cgroup_mount mount;
	bool has_mount = cgroup_find_mount(&mount) == 0;
	uint64_t began_ns;
	int32_t *pids;
	size_t count;
	size_t alive = 0;

	if (procfs_numbers("/proc", &pids, &count) < 0) {
		return -1;
	}
	listing->processes = calloc(PROCESSES_MAX, sizeof(*listing->processes));
	for (size_t i = 0; listing->processes != NULL && i < count && listing->count < PROCESSES_MAX; i++) {
		listing->count +=
			look_first(has_mount ? &mount : NULL, pids[i], &listing->processes[listing->count]);
	}
	free(pids);
	began_ns = procfs_now_ns();
	nanosleep(&(struct timespec){ .tv_nsec = INTERVAL_NS }, NULL);
	for (size_t i = 0; i < listing->count; i++) {
		look_again(&listing->processes[i], (double)(procfs_now_ns() - began_ns) / 1e9);
		if (listing->processes[i].is_alive) {
			listing->processes[alive++] = listing->processes[i];
		}
	}
	listing->count = alive;
	return listing->processes != NULL ? 0 : -1;
}

static void survey_all(struct listing *listing)
{
	struct survey surveys[SURVEYED_MAX];
	int fds[SURVEYED_MAX];
	struct pfc_error err;
	size_t count = listing->count < SURVEYED_MAX ? listing->count : SURVEYED_MAX;

	for (size_t i = 0; i < count; i++) {
		fds[i] = survey_open_process(listing->processes[i].pid);
	}
	if (survey_files(fds, count, surveys, &err) < 0) {
		log_failure(&err);
	}
	for (size_t i = 0; i < count; i++) {
		listing->processes[i].survey = surveys[i];
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
}

/* ---- showing ---- */

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
	int first = by_memory ? compare_numbers((double)left->rss_bytes, (double)right->rss_bytes)
			      : compare_numbers(left->cpu_pct, right->cpu_pct);

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

static int print_json(const struct listing *listing)
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

static bool is_order(const char *word)
{
	for (size_t i = 0; orders[i] != NULL; i++) {
		if (strcmp(orders[i], word) == 0) {
			return true;
		}
	}
	return false;
}

int cmd_targets(int argc, char **argv)
{
	struct engine_query query = { .container = NULL };
	struct listing listing = { .order = orders[0] };
	char *fault;
	bool is_json = false;
	bool is_all = false;
	const struct args_option options[] = {
		{ .name = "json", .flag = &is_json },
		{ .name = "all", .flag = &is_all },
		{ .name = "engine", .text = &query.socket },
		{ .name = "sort", .text = &listing.order },
		{ .name = NULL },
	};
	int words = args_parse(argc, argv, options);
	int code = 0;

	if (words != 1) {
		return words < 0 ? 2 : command_misused("targets", "it takes no words");
	}
	if (!is_order(listing.order)) {
		fault = str_none_of(listing.order, orders, sizeof(orders) / sizeof(orders[0]) - 1);
		code = command_misused("targets", "--sort %s: %s", listing.order,
				       fault != NULL ? fault : "not known");
		free(fault);
		return code;
	}
	listing.has_engine = engine_ask(&query, &listing.engine, &listing.engine_err) == PFC_OK;
	if (look(&listing) < 0) {
		log_error("read /proc: %m");
		free(listing.processes);
		return 1;
	}
	qsort_r(listing.processes, listing.count, sizeof(listing.processes[0]), compare,
		(void *)(size_t)listing.order);
	survey_all(&listing);
	if (is_json) {
		code = print_json(&listing);
	} else {
		print_containers(&listing);
		print_processes(&listing, is_all ? listing.count : SHOWN_MAX);
		if (!listing.has_engine && listing.engine_err.status != PFC_ENOENT) {
			log_failure(&listing.engine_err);
		}
		code = fflush(stdout) != 0;
	}
	if (listing.has_engine) {
		engine_answer_finish(&listing.engine);
	}
	free(listing.processes);
	return code;
}

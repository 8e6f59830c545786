/* SPDX-License-Identifier: MIT */
/*
 * `profcore clean`: the stack that setup started is stopped, and finished runs are removed; nothing that profcore did not
 * make. What would go is shown first, and asked for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/compose.h"
#include "config/options.h"
#include "plan/stored.h"
#include "run/remove.h"

#define NS_PER_SECOND 1000000000

struct clean_args {
	const char *keep;
	const char *older;
	const char *output;
	bool is_sure;
	bool only_runs;
	bool only_stack;
	long keep_count;
	int64_t older_ns;
};

/** Runs that would go, and how many of ours stay. */
struct leftovers {
	char **ids;
	size_t count;
	size_t kept;
	size_t running;
	size_t foreign; /* folders that look like runs and are none of ours */
};

static int parse(int argc, char **argv, struct clean_args *ret)
{
	const struct args_option options[] = {
		{ .name = "keep", .text = &ret->keep },
		{ .name = "older", .text = &ret->older },
		{ .name = "yes", .letter = 'y', .flag = &ret->is_sure },
		{ .name = "runs", .flag = &ret->only_runs },
		{ .name = "stack", .flag = &ret->only_stack },
		{ .name = NULL },
	};
	char *end = NULL;
	int words;

	*ret = (struct clean_args){ .output = "profiling" };
	words = args_parse(argc, argv, options);
	if (words < 0) {
		return 2;
	}
	if (words > 2) {
		return command_misused("clean", "unexpected word '%s'", argv[2]);
	}
	ret->output = words == 2 ? argv[1] : ret->output;
	ret->keep_count = ret->keep != NULL ? strtol(ret->keep, &end, 10) : 0;
	if (ret->keep != NULL && (end == ret->keep || *end != '\0' || ret->keep_count < 0)) {
		return command_misused("clean", "--keep %s is no number of runs", ret->keep);
	}
	ret->older_ns = ret->older != NULL ? option_parse_duration(ret->older) : 0;
	if (ret->older_ns < 0) {
		return command_misused("clean", "--older %s is no duration, such as 7d or 12h", ret->older);
	}
	if (ret->only_runs && ret->only_stack) {
		return command_misused("clean", "--runs and --stack leave nothing to do");
	}
	return 0;
}

/* ---- which runs ---- */

static int newest_first(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

static int looks_like_a_run(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
	       (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN);
}

/* Whether a run's own core has it open: it holds a shared lock on its folder for as long as it lives. */
static bool is_in_use(int output_fd, const char *id)
{
	int fd = openat(output_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool is_used = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	if (fd >= 0) {
		close(fd);
	}
	return is_used;
}

/* Its manifest is of our making and tells of this very folder. */
static bool is_ours(const char *output, int output_fd, const char *id)
{
	char *folder = str_printf("%s/%s", output, id);
	json_t *manifest = NULL;
	struct stat st;
	const char *run;
	bool ours = false;

	if (folder != NULL && fstatat(output_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	    stored_manifest(folder, &manifest, NULL) == 0) {
		run = json_string_value(json_object_get(manifest, "run"));
		ours = run != NULL && strcmp(run, id) == 0 &&
		       json_is_string(json_object_get(manifest, "profcore"));
	}
	json_decref(manifest);
	free(folder);
	return ours;
}

static bool is_older(int output_fd, const char *id, int64_t older_ns)
{
	struct stat st;
	char *path = str_printf("%s/manifest.json", id);
	bool older = path != NULL && fstatat(output_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		     time(NULL) - st.st_mtime >= older_ns / NS_PER_SECOND;

	free(path);
	return older;
}

static void judge(const struct clean_args *args, int output_fd, const char *id, struct leftovers *leftovers)
{
	if (!is_ours(args->output, output_fd, id)) {
		leftovers->foreign++;
	} else if (is_in_use(output_fd, id)) {
		leftovers->running++;
	} else if (leftovers->kept < (size_t)args->keep_count || !is_older(output_fd, id, args->older_ns)) {
		leftovers->kept++;
	} else {
		char *copy = strdup(id);

		if (copy != NULL) {
			leftovers->ids[leftovers->count++] = copy;
		}
	}
}

static int find_runs(const struct clean_args *args, int output_fd, struct leftovers *ret)
{
	struct dirent **entries = NULL;
	int count = scandir(args->output, &entries, looks_like_a_run, newest_first);

	ret->ids = calloc(count > 0 ? (size_t)count : 1, sizeof(*ret->ids));
	for (int i = 0; i < count; i++) {
		if (ret->ids != NULL) {
			judge(args, output_fd, entries[i]->d_name, ret);
		}
		free(entries[i]);
	}
	free(entries);
	return ret->ids != NULL ? 0 : -1;
}

/* ---- asking ---- */

static void show(const struct clean_args *args, const struct leftovers *leftovers,
		 const struct compose *stack)
{
	if (stack->project != NULL) {
		printf("stop the stack '%s' that setup started\n", stack->project);
	}
	for (size_t i = 0; i < leftovers->count; i++) {
		printf("remove %s/%s\n", args->output, leftovers->ids[i]);
	}
	if (leftovers->kept + leftovers->running + leftovers->foreign > 0) {
		printf("stays: %zu run%s to keep, %zu under way, %zu folder%s not of profcore's making\n",
		       leftovers->kept, leftovers->kept == 1 ? "" : "s", leftovers->running,
		       leftovers->foreign, leftovers->foreign == 1 ? "" : "s");
	}
	fflush(stdout);
}

/* 0: go on; else the exit code. */
static int ask(const struct clean_args *args)
{
	char answer[16] = "";

	if (args->is_sure) {
		return 0;
	}
	if (!isatty(STDIN_FILENO)) {
		return command_misused("clean", "nobody to ask here; --yes does it without a question");
	}
	fprintf(stderr, "Do it? [y/N] ");
	if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
		printf("nothing was done\n");
		return 1;
	}
	return 0;
}

/* ---- doing it ---- */

static int remove_runs(const struct clean_args *args, int output_fd, const struct leftovers *leftovers)
{
	size_t failed = 0;

	for (size_t i = 0; i < leftovers->count; i++) {
		int rc = run_remove_at(output_fd, leftovers->ids[i]);

		if (rc < 0) {
			log_error("remove %s/%s: %s", args->output, leftovers->ids[i], strerror(-rc));
			failed++;
		} else {
			run_remove_links(output_fd, leftovers->ids[i]);
		}
	}
	printf("%zu run%s removed\n", leftovers->count - failed, leftovers->count - failed == 1 ? "" : "s");
	return failed > 0;
}

static int stop_stack(const struct compose *stack)
{
	static const char *const down[] = { "down", "-t", "2", "--remove-orphans", NULL };
	struct pfc_error err;

	if (compose_run(stack, down, &err) < 0) {
		log_failure(&err);
		return 1;
	}
	compose_note_remove(stack);
	printf("stack '%s' stopped\n", stack->project);
	return 0;
}

static int clean(const struct clean_args *args, int output_fd)
{
	struct leftovers leftovers = { 0 };
	struct compose stack = { NULL, NULL, NULL, false };
	struct pfc_error err;
	int code = 0;

	if (!args->only_stack && find_runs(args, output_fd, &leftovers) < 0) {
		log_error("clean: out of memory");
		return 1;
	}
	if (!args->only_runs) {
		int rc = compose_note_read(args->output, &stack, &err);

		if (rc < 0 && rc != PFC_ENOENT) {
			log_failure(&err);
			code = 1;
		}
	}
	show(args, &leftovers, &stack);
	if (leftovers.count == 0 && stack.project == NULL) {
		printf("nothing to clean in %s\n", args->output);
	} else if (code == 0 && (code = ask(args)) == 0) {
		code |= stack.project != NULL && stop_stack(&stack) != 0;
		code |= leftovers.count > 0 && remove_runs(args, output_fd, &leftovers) != 0;
	}
	for (size_t i = 0; i < leftovers.count; i++) {
		free(leftovers.ids[i]);
	}
	free(leftovers.ids);
	compose_finish(&stack);
	return code;
}

int cmd_clean(int argc, char **argv)
{
	struct clean_args args;
	int code = parse(argc, argv, &args);
	int output_fd;

	if (code != 0) {
		return code;
	}
	output_fd = open(args.output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (output_fd < 0 && errno == ENOENT) {
		printf("nothing to clean: there is no folder %s\n", args.output);
		return 0;
	}
	if (output_fd < 0) {
		log_error("open folder '%s': %m", args.output);
		return 1;
	}
	code = clean(&args, output_fd);
	close(output_fd);
	return fflush(stdout) == 0 ? code : 1;
}

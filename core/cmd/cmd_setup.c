/* SPDX-License-Identifier: MIT */
/* `profcore setup`: the demo stack built, started and healthy, and a word on whether this machine can profile it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/compose.h"
#include "config/options.h"
#include "target/engine.h"
#include "target/procfs.h"

#define DEFAULT_FILE    "docker/docker-compose.profiling.yml"
#define DEFAULT_PROJECT "web-forum"
#define DEFAULT_CONFIG  "configs/slow_endpoint_docker.ini"
#define DEFAULT_TIMEOUT "120s"
#define LOOK_AGAIN_NS   250000000

struct setup_args {
	const char *config;
	const char *file;
	const char *project;
	const char *output;
	const char *timeout;
	bool is_loud;
	bool has_no_build;
	bool has_no_doctor;
	char **services;
	int service_count;
};

static int parse(int argc, char **argv, struct setup_args *ret)
{
	const struct args_option options[] = {
		{ .name = "config", .letter = 'c', .text = &ret->config },
		{ .name = "file", .letter = 'f', .text = &ret->file },
		{ .name = "project", .letter = 'p', .text = &ret->project },
		{ .name = "output", .text = &ret->output },
		{ .name = "timeout", .text = &ret->timeout },
		{ .name = "verbose", .letter = 'v', .flag = &ret->is_loud },
		{ .name = "no-build", .flag = &ret->has_no_build },
		{ .name = "no-doctor", .flag = &ret->has_no_doctor },
		{ .name = NULL },
	};
	int words;

	*ret = (struct setup_args){
		.file = DEFAULT_FILE,
		.project = DEFAULT_PROJECT,
		.output = "profiling",
		.timeout = DEFAULT_TIMEOUT,
	};
	words = args_parse(argc, argv, options);
	if (words < 0) {
		return 2;
	}
	if (option_parse_duration(ret->timeout) <= 0) {
		return command_misused("setup", "--timeout %s is no duration, such as 120s", ret->timeout);
	}
	ret->services = argv + 1;
	ret->service_count = words - 1;
	if (ret->service_count > 16) {
		return command_misused("setup", "too many services");
	}
	return 0;
}

static int open_stack(const struct setup_args *args, struct compose *ret, struct pfc_error *err)
{
	char absolute[PATH_MAX];

	if (realpath(args->file, absolute) == NULL) {
		error_errno(err, errno, "find the compose file '%s'", args->file);
		return error_hint(
			err,
			"run it in profcore's source tree, or name another stack with --file and --project");
	}
	if (mkdir(args->output, 0755) < 0 && errno != EEXIST) {
		error_errno(err, errno, "create folder '%s'", args->output);
		return error_hint(err, "another folder: --output FOLDER");
	}
	*ret = (struct compose){ strdup(absolute), strdup(args->project), strdup(args->output),
				 args->is_loud };
	return ret->file != NULL && ret->project != NULL && ret->output != NULL ? 0 : error_nomem(err);
}

/* ---- healthy ---- */

enum health { HEALTHY, STARTING, FAILED };

static enum health health_of(const struct engine_container *container)
{
	if (strcmp(container->state, "exited") == 0 || strcmp(container->state, "dead") == 0 ||
	    strstr(container->status, "(unhealthy)") != NULL) {
		return FAILED;
	}
	return strcmp(container->state, "running") == 0 && strstr(container->status, "starting)") == NULL
		       ? HEALTHY
		       : STARTING;
}

/* The worst of the stack's containers, its text in `said`; STARTING while there is none. */
static enum health look(const struct engine_answer *answer, const char *project, char *said, size_t room)
{
	enum health worst = STARTING;
	size_t count = 0;

	for (size_t i = 0; i < answer->count; i++) {
		const struct engine_container *container = &answer->containers[i];
		enum health health = health_of(container);
		char name[ENGINE_TEXT_BYTES];
		char status[ENGINE_TEXT_BYTES];

		if (strcmp(container->project, project) != 0) {
			continue;
		}
		if (count++ == 0 || health > worst) {
			worst = health;
			snprintf(said, room, "%s: %s", log_escape(name, sizeof(name), container->name),
				 log_escape(status, sizeof(status), container->status));
		}
	}
	return worst;
}

static int wait_until_healthy(const struct compose *stack, int64_t timeout_ns, struct pfc_error *err)
{
	const struct engine_query query = { .container = NULL };
	uint64_t until_ns = procfs_now_ns() + (uint64_t)timeout_ns;
	char said[600] = "no container of it runs";
	enum health health;

	do {
		struct engine_answer answer;
		int rc = engine_ask(&query, &answer, err);

		if (rc < 0) {
			return rc;
		}
		health = look(&answer, stack->project, said, sizeof(said));
		engine_answer_finish(&answer);
		if (health == STARTING) {
			nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_NS }, NULL);
		}
	} while (health == STARTING && procfs_now_ns() < until_ns);
	if (health == HEALTHY) {
		return 0;
	}
	error_set(err, health == FAILED ? PFC_EIO : PFC_ETIMEDOUT, said,
		  "wait until the stack '%s' is healthy", stack->project);
	return error_hint(err, "docker logs tells why; profcore clean stops what was started");
}

/* ---- started ---- */

/* Whether containers of that project are there; one that no note calls ours is left as it is. */
static int is_there(const char *project, struct pfc_error *err)
{
	const struct engine_query query = { .container = NULL };
	struct engine_answer answer;
	int found = 0;
	int rc = engine_ask(&query, &answer, err);

	if (rc < 0) {
		return rc;
	}
	for (size_t i = 0; i < answer.count; i++) {
		found |= strcmp(answer.containers[i].project, project) == 0;
	}
	engine_answer_finish(&answer);
	return found;
}

static bool is_ours(const struct compose *stack)
{
	struct compose noted;
	bool same;

	if (compose_note_read(stack->output, &noted, NULL) < 0) {
		return false;
	}
	same = strcmp(noted.project, stack->project) == 0 && strcmp(noted.file, stack->file) == 0;
	compose_finish(&noted);
	return same;
}

/* The words `first second SERVICE...`. */
static int compose_services(const struct compose *stack, const struct setup_args *args, const char *first,
			    const char *second, struct pfc_error *err)
{
	const char *words[20];
	size_t count = 0;

	words[count++] = first;
	if (second != NULL) {
		words[count++] = second;
	}
	for (int i = 0; i < args->service_count; i++) {
		words[count++] = args->services[i];
	}
	words[count] = NULL;
	return compose_run(stack, words, err);
}

static int refuse_second(const struct compose *stack, struct pfc_error *err)
{
	struct compose noted;
	int rc = compose_note_read(stack->output, &noted, err);

	if (rc == PFC_ENOENT) {
		return 0;
	}
	if (rc == 0) {
		rc = error_set(err, PFC_EINVAL, "another stack was set up from here", "set up '%s'",
			       stack->project);
		error_hint(err,
			   "profcore clean stops '%s', or --output names another folder for notes and runs",
			   noted.project);
		compose_finish(&noted);
	}
	return rc;
}

/* Made anew rather than changed: docker-compose 1.29 fails to change containers of today's engines ('ContainerConfig'). */
static int bring_up(const struct compose *stack, const struct setup_args *args, struct pfc_error *err)
{
	static const char *const down[] = { "down", "-t", "2", "--remove-orphans", NULL };
	bool ours = is_ours(stack);
	int there = is_there(stack->project, err);
	int rc = there < 0 ? there : ours ? 0 : refuse_second(stack, err);

	if (rc == 0 && !args->has_no_build) {
		log_info("building the images of '%s'%s", stack->project,
			 stack->is_loud ? "" : ", which may take minutes");
		rc = compose_services(stack, args, "build", NULL, err);
	}
	if (rc == 0 && there > 0 && ours) {
		rc = compose_run(stack, down, err);
	}
	if (rc == 0 && (there == 0 || ours)) {
		rc = compose_note_write(stack, err);
	} else if (rc == 0) {
		log_warning(
			"'%s' runs already, and not by profcore setup: profcore clean will leave it alone",
			stack->project);
	}
	if (rc == 0) {
		log_info("starting '%s'", stack->project);
		rc = compose_services(stack, args, "up", "-d", err);
	}
	return rc;
}

static void print_stack(const char *project)
{
	const struct engine_query query = { .container = NULL };
	struct engine_answer answer;

	if (engine_ask(&query, &answer, NULL) < 0) {
		return;
	}
	for (size_t i = 0; i < answer.count; i++) {
		const struct engine_container *container = &answer.containers[i];
		char name[ENGINE_TEXT_BYTES];
		char status[ENGINE_TEXT_BYTES];

		if (strcmp(container->project, project) == 0) {
			printf("%-28s %-12.12s %s\n", log_escape(name, sizeof(name), container->name),
			       container->id, log_escape(status, sizeof(status), container->status));
		}
	}
	engine_answer_finish(&answer);
}

static int call_doctor(const char *config)
{
	char *words[] = { strdup("doctor"), strdup("-c"), strdup(config), NULL };
	int code = words[0] != NULL && words[1] != NULL && words[2] != NULL ? cmd_doctor(3, words) : 1;

	/* The parser may have moved the pointers, not lost them. */
	for (size_t i = 0; i < 3; i++) {
		free(words[i]);
	}
	return code;
}

static int exit_code_of(const struct pfc_error *err)
{
	log_failure(err);
	switch (err->status) {
	case PFC_EIO:
	case PFC_ETIMEDOUT:
		return 1;
	default:
		return 4;
	}
}

int cmd_setup(int argc, char **argv)
{
	struct compose stack = { NULL, NULL, NULL, false };
	struct setup_args args;
	struct pfc_error err;
	int code = parse(argc, argv, &args);
	int rc;

	if (code != 0) {
		return code;
	}
	rc = open_stack(&args, &stack, &err);
	if (rc == 0) {
		rc = bring_up(&stack, &args, &err);
	}
	if (rc == 0) {
		rc = wait_until_healthy(&stack, option_parse_duration(args.timeout), &err);
	}
	if (rc < 0) {
		code = exit_code_of(&err);
	} else {
		bool has_config = args.config != NULL || access(DEFAULT_CONFIG, R_OK) == 0;
		const char *config = args.config != NULL ? args.config : DEFAULT_CONFIG;

		print_stack(stack.project);
		putchar('\n');
		fflush(stdout);
		if (has_config && !args.has_no_doctor) {
			code = call_doctor(config);
		}
		printf("next: profcore -c %s; profcore clean stops it\n", has_config ? config : "CONFIG");
	}
	compose_finish(&stack);
	return fflush(stdout) == 0 ? code : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * `profcore artifact list RUN` and `profcore artifact show RUN STAGE.PORT`: look into what a run kept. The
 * bytes are hostile and may be cut while they are read: a sandboxed child reads them, and its death is an
 * error, not a crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "artifact/print.h"
#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "plan/stored.h"
#include "stage/sandbox.h"

#define OUTPUT_DEFAULT "profiling"
#define LIMIT_TEXT     20
#define MEMORY_MAX     (2ull << 30) /* of the child, besides the file */
#define CPU_MAX_S      600

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

struct artifact_args {
	const char *run;
	const char *name; /* STAGE.PORT */
	const char *table;
	const char *limit;
	bool is_json;
	bool is_csv;
};

/** One artifact of a run, open. */
struct source {
	char *folder;
	struct plan_stored *stored; /* of the whole run */
	char *name;                 /* STAGE.PORT */
	struct artifact_about about;
	int fd;
};

static void source_finish(struct source *source)
{
	if (source->fd >= 0) {
		close(source->fd);
	}
	plan_stored_destroy(source->stored);
	free(source->name);
	free(source->folder);
}

/* Never blocks on a pipe, never follows a link out of the run. */
static int open_file(const char *folder, const char *path, int *ret_fd, struct pfc_error *err)
{
	char *full = str_printf("%s/%s", folder, path);
	struct stat st;
	int rc = 0;
	int fd;

	if (full == NULL) {
		return error_nomem(err);
	}
	fd = open(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = error_errno(err, errno, "open %s", full);
	} else if (!S_ISREG(st.st_mode)) {
		rc = error_set(err, PFC_EINVAL, "it is not a regular file", "open %s", full);
	}
	if (rc == 0) {
		*ret_fd = fd;
	} else if (fd >= 0) {
		close(fd);
	}
	free(full);
	return rc;
}

/* A table file that the manifest does not offer (its stage failed) can still be looked at. */
static int open_unlisted(struct source *source, const char *name, struct pfc_error *err)
{
	char *path = str_printf("artifacts/%s.pcol", name);
	struct str names = { 0 };
	int rc = PFC_ENOENT;

	if (path == NULL) {
		return error_nomem(err);
	}
	if (strchr(name, '/') == NULL && open_file(source->folder, path, &source->fd, NULL) == 0) {
		rc = 0; /* its type and whether it is whole are what its own header and seal say */
	} else {
		for (const struct plan_stored *s = source->stored; s != NULL; s = s->next) {
			str_format(&names, "%s%s.%s", names.bytes > 0 ? ", " : "", s->producer, s->port);
		}
		rc = error_set(err, PFC_ENOENT, "the run has no such artifact", "artifact '%s' of %s", name,
			       source->folder);
		error_hint(err, "one of: %s",
			   names.bytes > 0 ? str_text(&names) : "none; this run kept nothing");
	}
	str_finish(&names);
	free(path);
	return rc;
}

static int source_open(const char *run, const char *name, struct source *ret, struct pfc_error *err)
{
	int rc;

	*ret = (struct source){ .fd = -1 };
	rc = stored_find_run(run, OUTPUT_DEFAULT, &ret->folder, err);
	if (rc == 0) {
		rc = stored_from_run(ret->folder, run, false, &ret->stored, err);
	}
	if (rc != 0) {
		return rc;
	}
	ret->name = strdup(name);
	if (ret->name == NULL) {
		return error_nomem(err);
	}
	for (const struct plan_stored *s = ret->stored; s != NULL; s = s->next) {
		char *full = str_printf("%s.%s", s->producer, s->port);
		bool is_it = full != NULL && str_equal(full, name);

		free(full);
		if (is_it) {
			ret->about = (struct artifact_about){ .producer = s->producer,
							      .port = s->port,
							      .type = s->type,
							      .signal = s->signal,
							      .partial = s->partial };
			return open_file(ret->folder, s->path, &ret->fd, err);
		}
	}
	return open_unlisted(ret, name, err);
}

/* ---- the child that reads ---- */

static int confine(int fd, struct pfc_error *err)
{
	struct rlimit cpu = { CPU_MAX_S, CPU_MAX_S };
	struct rlimit core = { 0, 0 };
	struct rlimit memory;
	const char *missing;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return error_errno(err, errno, "read an artifact");
	}
	memory.rlim_cur = memory.rlim_max = MEMORY_MAX + (rlim_t)st.st_size;
	(void)setrlimit(RLIMIT_CORE, &core);
	if (setrlimit(RLIMIT_CPU, &cpu) < 0 || (!HAS_ASAN && setrlimit(RLIMIT_AS, &memory) < 0)) {
		return error_errno(err, errno, "bound the process that reads an artifact");
	}
	return sandbox_enter(0, "/nonexistent", &missing, err);
}

static int read_and_print(const struct source *source, const struct print_request *request)
{
	struct artifact_reader *reader = NULL;
	struct pfc_error err = { 0 };
	int rc = confine(source->fd, &err);

	if (rc == 0) {
		rc = artifact_reader_open(source->fd, &source->about, &reader, &err);
	}
	if (rc == 0) {
		rc = print_artifact(reader, request, stdout, &err);
	}
	if (rc != 0) {
		fflush(stdout);
		log_failure(&err);
	}
	artifact_reader_close(reader);
	return rc == 0 ? 0 : rc == PFC_ENOENT ? 2 : 1;
}

static int explain_death(const char *name, int signal_number)
{
	if (signal_number == SIGPIPE) {
		return 0; /* whoever reads our output has enough */
	}
	log_error("%s: the process that read it ended by %s%s", name, strsignal(signal_number),
		  signal_number == SIGBUS ? ": the file was cut while it was read; is the run still going on?"
		  : signal_number == SIGXCPU
			  ? ": it took more than ten minutes; ask for fewer rows with --limit"
			  : "");
	return 1;
}

static int show_in_child(const struct source *source, const struct print_request *request)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0) {
		log_error("start the process that reads an artifact: %m");
		return 1;
	}
	if (child == 0) {
		_exit(read_and_print(source, request)); /* nothing of the parent may run twice */
	}
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR) {
			log_error("wait for the process that reads an artifact: %m");
			return 1;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : explain_death(source->name, WTERMSIG(status));
}

static int parse_limit(const struct artifact_args *args, uint64_t *ret)
{
	char *end = NULL;

	if (args->limit == NULL) {
		*ret = args->is_json || args->is_csv ? UINT64_MAX : LIMIT_TEXT;
		return 0;
	}
	errno = 0;
	*ret = strtoull(args->limit, &end, 10);
	if (errno != 0 || end == args->limit || *end != '\0' || args->limit[0] == '-') {
		return command_misused("artifact", "--limit %s is not a number of rows", args->limit);
	}
	return 0;
}

static int show(const struct artifact_args *args)
{
	struct print_request request = { .name = args->name,
					 .table = args->table,
					 .form = args->is_json  ? PRINT_JSON
						 : args->is_csv ? PRINT_CSV
								: PRINT_TEXT };
	struct source source;
	struct pfc_error err;
	int code = parse_limit(args, &request.limit);

	if (code != 0) {
		return code;
	}
	if (source_open(args->run, args->name, &source, &err) == 0) {
		code = show_in_child(&source, &request);
	} else {
		log_failure(&err);
		code = 2;
	}
	source_finish(&source);
	return code;
}

/* ---- list: what the manifest says; no artifact is opened ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static int add_entries(json_t *list, const json_t *manifest)
{
	const json_t *stage;
	size_t s;

	json_array_foreach(json_object_get(manifest, "stages"), s, stage)
	{
		const json_t *artifact;
		size_t a;

		json_array_foreach(json_object_get(stage, "artifacts"), a, artifact)
		{
			json_t *entry = json_deep_copy(artifact);
			json_t *name =
				json_sprintf("%s.%s", text_of(stage, "name"), text_of(artifact, "port"));

			if (json_object_set_new(entry, "name", name) < 0 ||
			    json_array_append_new(list, entry) < 0) {
				return PFC_ENOMEM;
			}
		}
	}
	return 0;
}

static void print_list(const json_t *list)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		json_int_t rows = json_integer_value(json_object_get(entry, "rows"));
		json_int_t bytes = json_integer_value(json_object_get(entry, "bytes"));
		json_int_t lost = json_integer_value(json_object_get(entry, "lost"));

		printf("%-28s %-24s %-9s ", text_of(entry, "name"), text_of(entry, "type"),
		       text_of(entry, "state"));
		if (artifact_type_is_tables(text_of(entry, "type"))) {
			printf("%12" JSON_INTEGER_FORMAT " rows", rows);
		} else {
			printf("%12" JSON_INTEGER_FORMAT " bytes", bytes);
		}
		if (lost > 0) {
			printf(", %" JSON_INTEGER_FORMAT " lost", lost);
		}
		putchar('\n');
	}
}

static int list(const struct artifact_args *args)
{
	json_t *manifest = NULL;
	json_t *entries = json_array();
	struct pfc_error err;
	char *folder = NULL;
	int rc = stored_find_run(args->run, OUTPUT_DEFAULT, &folder, &err);

	if (rc == 0) {
		rc = stored_manifest(folder, &manifest, &err);
	}
	if (rc == 0 && add_entries(entries, manifest) != 0) {
		rc = error_nomem(&err);
	}
	if (rc != 0) {
		log_failure(&err);
	} else if (args->is_json) {
		json_dumpf(entries, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_list(entries);
	}
	json_decref(entries);
	json_decref(manifest);
	free(folder);
	return rc == 0 ? 0 : 2;
}

int cmd_artifact(int argc, char **argv)
{
	struct artifact_args args = { 0 };
	const struct args_option options[] = {
		{ .name = "table", .text = &args.table },
		{ .name = "limit", .text = &args.limit },
		{ .name = "json", .flag = &args.is_json },
		{ .name = "csv", .flag = &args.is_csv },
		{ .name = NULL },
	};
	int words = args_parse(argc, argv, options);

	if (words < 0) {
		return 2;
	}
	if (args.is_json && args.is_csv) {
		return command_misused("artifact", "--json and --csv exclude each other");
	}
	args.run = words > 2 ? argv[2] : NULL;
	args.name = words > 3 ? argv[3] : NULL;
	if (words == 3 && str_equal(argv[1], "list")) {
		return list(&args);
	}
	if (words == 4 && str_equal(argv[1], "show")) {
		return show(&args);
	}
	return command_misused("artifact",
			       "say what to do: artifact list RUN, or artifact show RUN STAGE.PORT");
}

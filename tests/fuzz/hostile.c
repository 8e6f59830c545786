/* SPDX-License-Identifier: MIT */
/*
 * A collector that speaks for its host: it writes packets of its own into the control socket (descriptor 3). The option
 * `act` says which; all is bounded in time. test_messages.py runs it. It is given a privilege only so that no seccomp filter
 * keeps it from its worst.
 */
#include <profcore/profcore.h>

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

PFC_MANIFEST(MANIFEST_FILE);

#define CONTROL   3
#define FLOOD     20000
#define FOREVER_S 60
#define BIG_BYTES (100 * 1024)

struct self {
	const struct pfc_host *host;
	const struct pfc_writer *writer;
	const char *act;
	uint64_t seed;
};

static const struct pfc_column columns[] = {
	{ .struct_size = sizeof(struct pfc_column), .type = PFC_U64, .name = "time", .unit = "ns" },
};

static const struct pfc_table table = {
	.struct_size = sizeof(table),
	.column_count = 1,
	.name = "rows",
	.columns = columns,
	.column_stride = sizeof(struct pfc_column),
	.time_column = 0,
};

static int is(const struct self *self, const char *act)
{
	return strcmp(self->act, act) == 0;
}

static void say_bytes(const void *data, size_t bytes)
{
	(void)!send(CONTROL, data, bytes, MSG_NOSIGNAL);
}

static void say(const char *text)
{
	say_bytes(text, strlen(text));
}

static void wait_stop(struct self *self)
{
	struct pollfd stop = { .fd = self->host->stop_fd(self->host->ctx), .events = POLLIN };

	(void)poll(&stop, 1, FOREVER_S * 1000);
}

/* ---- single acts ---- */

/* Many messages that differ by a number between `head` and `tail`. */
static void flood(const char *head, const char *tail)
{
	char text[256];

	for (int i = 0; i < FLOOD; i++) {
		snprintf(text, sizeof(text), "%s%d%s", head, i, tail);
		say(text);
	}
}

/* A message with one text of BIG_BYTES. */
static void say_big(const char *head, const char *tail)
{
	char *text = malloc(BIG_BYTES + 512);

	if (text) {
		size_t bytes = (size_t)sprintf(text, "%s", head);

		memset(text + bytes, 'x', BIG_BYTES);
		strcpy(text + bytes + BIG_BYTES, tail);
		say(text);
	}
	free(text);
}

static void say_oversized(void)
{
	static char text[200 * 1024];
	int bytes = 1 << 20;

	/* A whole object at the front: what is cut off must not make it good. */
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"op\": \"metrics\"}", 17);
	(void)setsockopt(CONTROL, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	say_bytes(text, sizeof(text));
}

/* Asks, and never reads the answers: a child goes on asking while we stand still. */
static void ask_without_listening(void)
{
	pid_t parent = getpid();

	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < FLOOD && getppid() == parent; i++) {
			say("{\"op\": \"pids\"}");
		}
		_exit(0);
	}
	usleep(20000);
	kill(parent, SIGSTOP);
}

/* Answers for its host, writes nothing, and leaves as if all were well. */
static void lie_done(struct self *self)
{
	wait_stop(self);
	say("{\"op\": \"ran\", \"status\": 0}");
	usleep(100000);
	say("{\"op\": \"done\", \"phase\": \"stop\", \"status\": 0}");
	usleep(100000);
	say("{\"op\": \"done\", \"phase\": \"finish\", \"status\": 0}");
	usleep(200000);
	_exit(0);
}

static void list_descriptors(struct self *self)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)) != NULL) {
		char path[300], to[256], line[600];
		ssize_t bytes;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(folder)) {
			continue;
		}
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		bytes = readlink(path, to, sizeof(to) - 1);
		to[bytes > 0 ? bytes : 0] = '\0';
		snprintf(line, sizeof(line), "fd %s -> %s", entry->d_name, to);
		self->host->log(self->host->ctx, PFC_LOG_INFO, line);
	}
	closedir(folder);
}

/* ---- random packets ---- */

static uint64_t next(struct self *self)
{
	self->seed ^= self->seed << 13;
	self->seed ^= self->seed >> 7;
	self->seed ^= self->seed << 17;
	return self->seed;
}

static const char *pick(struct self *self, const char *const *words, size_t count)
{
	return words[next(self) % count];
}

#define PICK(self, words) pick(self, words, sizeof(words) / sizeof((words)[0]))

static size_t add_packet(struct self *self, char *text, size_t room)
{
	static const char *const ops[] = { "done", "ran", "log", "metrics", "env", "gate", "output", "pids", "quit", "", "x" };
	static const char *const keys[] = { "phase", "status", "at", "what", "why", "hint", "level", "text", "values", "name",
					    "value", "expression", "verdict", "detail", "port", "report", "sealed", "op" };
	static const char *const values[] = {
		"0", "-1", "1", "-2147483648", "9223372036854775807", "-9223372036854775808", "1.5", "-1e308", "true", "null",
		"\"\"", "\"run\"", "\"probe\"", "\"prepare\"", "\"start\"", "\"stop\"", "\"finish\"", "\"quit\"", "\"rows\"",
		"\"\\u001b[2J\\u202e\"", "[]", "[[[[[[]]]]]]", "{}", "{\"rows\": -1}", "{\"rows\": \"x\"}", "{\"rows\": 1e300}",
		("{\"rows\": {\"rows\": -9223372036854775808}, \"lost\": {\"a\": 9223372036854775807, \"b\": 9223372036854775807}, "
		 "\"facts\": [1], \"bytes\": \"many\", \"checksum\": {}, \"main_rows\": -3}"),
		"{\"rows\": [], \"lost\": \"all\", \"facts\": 3, \"main_rows\": 1.5}",
	};
	size_t bytes = (size_t)snprintf(text, room, "{\"op\": \"%s\"", PICK(self, ops));

	for (uint64_t i = next(self) % 8; i > 0 && bytes < room; i--) {
		bytes += (size_t)snprintf(text + bytes, room - bytes, ", \"%s\": %s", PICK(self, keys), PICK(self, values));
	}
	return bytes + (size_t)snprintf(text + bytes, room - bytes, "}");
}

/* Well-formed ones, so that all are looked at; now and then, when asked for, a damaged one, which ends the talk. */
static void say_random(struct self *self, int damaged)
{
	char text[8192];

	for (int i = 0; i < 2000; i++) {
		size_t bytes = add_packet(self, text, sizeof(text));

		if (damaged && next(self) % 500 == 0) {
			text[next(self) % bytes] = (char)next(self);
		}
		say_bytes(text, bytes);
	}
}

/* ---- callbacks ---- */

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	struct self *self = calloc(1, sizeof(*self));

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create", "out of memory", NULL);
	}
	self->host = host;
	self->act = pfc_option_text(host, "act", "none");
	self->seed = (uint64_t)pfc_option_int(host, "seed", 1) * 0x9e3779b97f4a7c15u | 1;
	*ret_self = self;
	return PFC_OK;
}

static int32_t probe(void *ctx)
{
	struct self *self = ctx;

	if (is(self, "random-probe")) {
		say_random(self, 0);
	}
	return PFC_OK;
}

static int32_t prepare(void *ctx)
{
	struct self *self = ctx;
	uint64_t now = self->host->now(self->host->ctx);
	int32_t rc = self->host->output(self->host->ctx, "rows", &self->writer);

	if (is(self, "env")) {
		flood("{\"op\": \"env\", \"name\": \"V", "\", \"value\": \"x\"}");
	} else if (is(self, "env-odd")) {
		say("{\"op\": \"env\", \"name\": \"A\", \"value\": 7}");
		say("{\"op\": \"env\", \"name\": \"\", \"value\": \"x\"}");
		say("{\"op\": \"env\", \"name\": [], \"value\": {}}");
		say("{\"op\": \"env\", \"name\": \"A=B\"}");
	}
	rc = rc == PFC_OK ? self->writer->declare(self->writer->ctx, &table) : rc;
	return rc == PFC_OK && !is(self, "lie-done") ?
		       self->writer->append(self->writer->ctx, 0, 1, (const void *[]){ &now }) :
		       rc;
}

static int32_t run(void *ctx)
{
	struct self *self = ctx;

	if (is(self, "garbage")) {
		say("{\"op\": \"log\", \"level\": 2");
	} else if (is(self, "non-object")) {
		say("[1, 2, 3]");
	} else if (is(self, "huge-number")) {
		say("{\"op\": \"metrics\", \"values\": {\"rows\": 1e999}}");
	} else if (is(self, "oversized")) {
		say_oversized();
	} else if (is(self, "empty")) {
		say_bytes("", 0);
	} else if (is(self, "log")) {
		flood("{\"op\": \"log\", \"level\": 3, \"text\": \"line ", ", past the host's own limit\"}");
	} else if (is(self, "gates")) {
		flood("{\"op\": \"gate\", \"expression\": \"a\", \"verdict\": 1, \"detail\": \"", "\"}");
		say("{\"op\": \"gate\", \"expression\": \"last\", \"verdict\": 2, \"detail\": \"fails\"}");
	} else if (is(self, "gate-odd")) {
		say("{\"op\": \"gate\"}");
		say("{\"op\": \"gate\", \"expression\": 5, \"verdict\": 77, \"detail\": []}");
		say_big("{\"op\": \"gate\", \"expression\": \"", "\", \"verdict\": 1, \"detail\": \"\"}");
	} else if (is(self, "deaf")) {
		ask_without_listening();
	} else if (is(self, "lie-done")) {
		lie_done(self);
	} else if (is(self, "random")) {
		say_random(self, 0);
	} else if (is(self, "random-damaged")) {
		say_random(self, 1);
	} else if (is(self, "odd-failure")) {
		say("{\"op\": \"ran\", \"status\": -2147483648, \"what\": 3, \"why\": \"\\u001b[2J\"}");
	} else if (is(self, "descriptors")) {
		list_descriptors(self);
	}
	wait_stop(self);
	return PFC_OK;
}

static int32_t finish(void *ctx)
{
	struct self *self = ctx;

	if (is(self, "late")) { /* past the deadline, through SIGTERM, and then an answer after all */
		signal(SIGTERM, SIG_IGN);
		usleep(1700000);
	}
	return PFC_OK;
}

static void destroy(void *ctx)
{
	struct self *self = ctx;

	if (self && is(self, "quit")) { /* answers what nobody answers, and stays */
		say("{\"op\": \"done\", \"phase\": \"quit\", \"status\": 0}");
		sleep(FOREVER_S);
	}
	free(self);
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = {
		.struct_size = sizeof(plugin),
		.create = create,
		.probe = probe,
		.prepare = prepare,
		.run = run,
		.finish = finish,
		.destroy = destroy,
	};

	(void)host;
	return &plugin;
}

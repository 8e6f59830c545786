/* SPDX-License-Identifier: MIT */
/*
 * The process that asks: tries the sockets, asks each engine until one has what is wanted, and prints what the core needs.
 * engine_http.c speaks, engine_boil.c picks out what counts.
 */
#include "target/engine.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "base/str.h"
#include "target/engine_inside.h"

#define REQUEST_BYTES_MAX 65536

static int print(json_t *json)
{
	int rc = json != NULL ? json_dumpfd(json, STDOUT_FILENO, JSON_COMPACT) : -1;

	json_decref(json);
	return rc == 0 ? 0 : 1;
}

static int print_failure(int status, const char *what, const char *why, const char *hint)
{
	return print(
		json_pack("{s:i, s:s, s:s, s:s}", "status", status, "what", what, "why", why, "hint", hint));
}

/* ---- asking one engine ---- */

static bool is_running(const json_t *one)
{
	return str_equal(engine_text_of(one, "state"), "running") ||
	       str_equal(engine_text_of(one, "state"), "paused");
}

/* Inspect by name or id; 1 when it was found. */
static int inspect(struct asker *asker, CURL *handle, const char *name, json_t **ret, const char **ret_why)
{
	struct str path = { 0 };
	json_t *reply = NULL;
	long code;
	int rc;

	str_add(&path, "/containers/");
	for (const char *at = name; *at != '\0'; at++) {
		str_format(&path, isalnum((unsigned char)*at) || strchr("_.-", *at) != NULL ? "%c" : "%%%02X",
			   (unsigned char)*at);
	}
	str_add(&path, "/json");
	rc = http_get(asker, handle, str_text(&path), &reply, &code, ret_why);
	str_finish(&path);
	if (rc < 0 || reply == NULL) {
		return rc;
	}
	*ret = engine_boil_inspected(reply);
	json_decref(reply);
	return 1;
}

static int list(struct asker *asker, CURL *handle, json_t *containers, const char **ret_why)
{
	json_t *reply;
	long code;
	int rc = http_get(asker, handle, "/containers/json?all=1", &reply, &code, ret_why);

	if (rc == 0 && !json_is_array(reply)) {
		*ret_why = "it does not list its containers";
		rc = PFC_EPROTO;
	}
	for (size_t i = 0;
	     rc == 0 && i < json_array_size(reply) && json_array_size(containers) < CONTAINERS_MAX; i++) {
		json_t *one = engine_boil_listed(json_array_get(reply, i));

		json_object_set_new(one, "match", json_boolean(engine_is_meant(asker, one)));
		json_array_append_new(containers, one);
	}
	json_decref(reply);
	return rc;
}

/* The process of a single running match is asked for as well. */
static int complete_match(struct asker *asker, CURL *handle, json_t *containers, const char **ret_why)
{
	json_t *match = NULL;
	json_t *inspected = NULL;
	size_t count = 0;
	json_t *one;
	size_t i;
	int rc;

	json_array_foreach(containers, i, one)
	{
		if (json_is_true(json_object_get(one, "match")) && is_running(one)) {
			match = one;
			count++;
		}
	}
	if (count != 1) {
		return 0;
	}
	rc = inspect(asker, handle, engine_text_of(match, "id"), &inspected, ret_why);
	if (rc > 0) {
		json_object_set(match, "pid", json_object_get(inspected, "pid"));
		json_decref(inspected);
	}
	return rc < 0 ? rc : 0;
}

/* What an exact name or id finds is enough; else all are listed. Returns the number of matches or a status. */
static int ask(struct asker *asker, json_t *containers, const char **ret_why)
{
	const char *name = engine_text_of(asker->request, "container");
	CURL *handle = http_open(asker);
	json_t *one = NULL;
	int rc = handle == NULL ? PFC_ENOMEM : 0;

	if (rc == 0 && name[0] != '\0') {
		rc = inspect(asker, handle, name, &one, ret_why);
		if (rc > 0) {
			bool meant = engine_is_meant(asker, one);

			json_object_set_new(one, "match", json_boolean(meant));
			json_array_append_new(containers, one);
			if (meant) {
				return 1;
			}
			json_array_clear(containers);
		}
	}
	if (rc >= 0) {
		rc = list(asker, handle, containers, ret_why);
	}
	return rc < 0 ? rc : complete_match(asker, handle, containers, ret_why);
}

/* What containerd's folders say. */
static int look(struct asker *asker, json_t *containers, const char **ret_why)
{
	int rc = http_confine(asker);

	if (rc < 0) {
		*ret_why = "this process could not be confined";
		return PFC_EPERM;
	}
	containerd_list(asker, asker->peer->tasks, containers);
	return 0;
}

/* ---- the process ---- */

/* Whether somebody listens there; libcurl's own words do not tell absence from refusal. */
static void try_peer(struct peer *peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	char *folder = containerd_folder(peer->path);
	int fd;

	if (folder != NULL) {
		peer->errnum = -containerd_read(folder, &peer->tasks);
		free(folder);
		return;
	}
	peer->errnum = ENAMETOOLONG;
	if (strlen(peer->path) >= sizeof(address.sun_path)) {
		return;
	}
	strcpy(address.sun_path, peer->path);
	/* Not blocking: an engine that hangs with a full backlog answers EAGAIN. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	peer->errnum = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	if (fd >= 0) {
		close(fd);
	}
}

static json_t *read_request(void)
{
	static char text[REQUEST_BYTES_MAX];
	ssize_t bytes = read(STDIN_FILENO, text, sizeof(text));

	return bytes > 0 ? json_loadb(text, (size_t)bytes, 0, NULL) : NULL;
}

static void try_all(struct asker *asker)
{
	const json_t *sockets = json_object_get(asker->request, "sockets");

	for (size_t i = 0; i < json_array_size(sockets) && asker->peer_count < SOCKETS_MAX; i++) {
		struct peer *peer = &asker->peers[asker->peer_count++];

		peer->path = json_string_value(json_array_get(sockets, i));
		peer->path = peer->path != NULL ? peer->path : "";
		try_peer(peer);
	}
}

/* No engine could be reached: the refusal that the user can mend comes before mere absence. */
static int print_unreachable(const struct asker *asker)
{
	const struct peer *worst = asker->peer_count > 0 ? &asker->peers[0] : NULL;
	char what[300];
	char hint[400];

	for (size_t i = 0; i < asker->peer_count; i++) {
		int errnum = asker->peers[i].errnum;

		if (errnum == EACCES || errnum == EPERM) {
			snprintf(what, sizeof(what), "ask the container engine at %.200s",
				 asker->peers[i].path);
			snprintf(hint, sizeof(hint),
				 "sudo profcore ..., or join the group of that socket: sudo usermod -aG "
				 "docker $USER");
			return print_failure(PFC_EPERM, what, strerror(errnum), hint);
		}
		if (errnum != ENOENT && (worst == NULL || worst->errnum == ENOENT)) {
			worst = &asker->peers[i];
		}
	}
	snprintf(what, sizeof(what), "ask the container engine at %.200s", worst != NULL ? worst->path : "?");
	return print_failure(PFC_ENOENT, what, worst != NULL ? strerror(worst->errnum) : "there is none",
			     "start it, or say where its socket is: [target] engine = PATH");
}

static int ask_all(struct asker *asker)
{
	json_t *containers = json_array();
	const char *why = "out of memory";
	const char *socket = "";
	const char *failed = "";
	int failure = 0;
	size_t asked = 0;
	int rc = 0;

	for (size_t i = 0; i < asker->peer_count; i++) {
		size_t before = json_array_size(containers);

		asker->peer = &asker->peers[i];
		if (asker->peer->errnum != 0) {
			continue;
		}
		rc = asker->peer->tasks != NULL ? look(asker, containers, &why)
						: ask(asker, containers, &why);
		if (rc < 0) {
			failed = asker->peer->path;
			failure = rc;
			continue;
		}
		asked++;
		socket = asker->peer->path;
		for (size_t c = before; c < json_array_size(containers); c++) {
			if (json_is_true(json_object_get(json_array_get(containers, c), "match"))) {
				i = asker->peer_count; /* found: the others need not be asked */
				break;
			}
		}
	}
	if (asked == 0) {
		char what[300];

		json_decref(containers);
		if (failure == 0) {
			return print_unreachable(asker);
		}
		snprintf(what, sizeof(what), "ask the container engine at %.200s", failed);
		return print_failure(failure, what, why,
				     "is it alive? name the container by its id to do without it");
	}
	return print(json_pack("{s:i, s:s, s:o}", "status", 0, "socket", socket, "containers", containers));
}

int engine_main(void)
{
	struct asker asker = { .request = read_request(), .reply = malloc(REPLY_BYTES_MAX) };

	if (asker.request == NULL || asker.reply == NULL) {
		return 1;
	}
	if (!http_load(&asker.curl)) {
		return print_failure(PFC_ENOTSUP, "ask the container engine", "libcurl.so.4 cannot be loaded",
				     "install libcurl4, or name the container by its id");
	}
	try_all(&asker);
	return ask_all(&asker);
}

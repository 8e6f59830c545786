/* SPDX-License-Identifier: MIT */
/*
 * The process that asks: connects by libcurl, confines itself, speaks HTTP, and boils the answer down to what the core
 * needs. libcurl and the two dozen libraries that it brings are loaded here alone (dlopen): no stage pays for them.
 */
#include "target/engine.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>
#include <jansson.h>

#include "base/str.h"
#include "config/manifest.h"
#include "stage/sandbox.h"

#define TIMEOUT_MS        2000L
#define REPLY_BYTES_MAX   (4u << 20)
#define REQUEST_BYTES_MAX 65536
#define CONTAINERS_MAX    4096u
#define SOCKETS_MAX       8u
#define TEXT_MAX          (ENGINE_TEXT_BYTES - 1)
#define ADDRESS_SPACE     (1ull << 30)
#define CPU_SECONDS       5

/** The functions of libcurl, by the library's own types. */
struct curl {
	__typeof__(&curl_easy_init) init;
	__typeof__(&curl_easy_setopt) setopt;
	__typeof__(&curl_easy_perform) perform;
	__typeof__(&curl_easy_getinfo) getinfo;
	__typeof__(&curl_easy_strerror) strerror;
};

/** One engine. */
struct peer {
	const char *path;
	int errnum; /* why it cannot be reached; 0: it can */
};

struct asker {
	struct curl curl;
	const json_t *request;
	struct peer peers[SOCKETS_MAX];
	size_t peer_count;
	struct peer *peer; /* the one that is asked */
	char *reply;
	size_t reply_bytes;
	bool is_too_large;
	bool is_confined;
};

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

/* ---- libcurl ---- */

static bool load_curl(struct curl *curl)
{
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	if (library == NULL) {
		return false;
	}
	curl->init = (__typeof__(curl->init))dlsym(library, "curl_easy_init");
	curl->setopt = (__typeof__(curl->setopt))dlsym(library, "curl_easy_setopt");
	curl->perform = (__typeof__(curl->perform))dlsym(library, "curl_easy_perform");
	curl->getinfo = (__typeof__(curl->getinfo))dlsym(library, "curl_easy_getinfo");
	curl->strerror = (__typeof__(curl->strerror))dlsym(library, "curl_easy_strerror");
	return curl->init != NULL && curl->setopt != NULL && curl->perform != NULL && curl->getinfo != NULL &&
	       curl->strerror != NULL;
}

static size_t take_bytes(char *data, size_t one, size_t count, void *ctx)
{
	struct asker *asker = ctx;

	if (count > REPLY_BYTES_MAX - asker->reply_bytes) {
		asker->is_too_large = true;
		return 0;
	}
	memcpy(asker->reply + asker->reply_bytes, data, one * count);
	asker->reply_bytes += one * count;
	return one * count;
}

static int confine(void)
{
	struct rlimit memory = { ADDRESS_SPACE, ADDRESS_SPACE };
	struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
	struct pfc_error err;
	const char *missing;

	(void)setrlimit(RLIMIT_AS, &memory);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	return sandbox_enter(PRIVILEGE_NETWORK, "/usr/lib", &missing, &err);
}

/* Connected, and nothing was read yet: from here on this process can do no more than talk. */
static int before_request(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
	struct asker *asker = ctx;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	if (!asker->is_confined && confine() < 0) {
		return CURL_PREREQFUNC_ABORT;
	}
	asker->is_confined = true;
	return CURL_PREREQFUNC_OK;
}

static CURL *make_handle(struct asker *asker)
{
	const struct curl *curl = &asker->curl;
	CURL *handle = curl->init();

	if (handle != NULL) {
		curl->setopt(handle, CURLOPT_UNIX_SOCKET_PATH, asker->peer->path);
		curl->setopt(handle, CURLOPT_PREREQFUNCTION, before_request);
		curl->setopt(handle, CURLOPT_PREREQDATA, asker);
		curl->setopt(handle, CURLOPT_WRITEFUNCTION, take_bytes);
		curl->setopt(handle, CURLOPT_WRITEDATA, asker);
		curl->setopt(handle, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
		curl->setopt(handle, CURLOPT_NOSIGNAL, 1L);
		curl->setopt(handle, CURLOPT_PROXY, "");
	}
	return handle;
}

/* One GET. Returns 0 and the parsed reply (NULL when the code is not 200), or fills `why` and returns a status. */
static int get(struct asker *asker, CURL *handle, const char *path, json_t **ret, long *ret_code,
	       const char **ret_why)
{
	const struct curl *curl = &asker->curl;
	char *url = str_printf("http://engine%s", path);
	CURLcode code;

	asker->reply_bytes = 0;
	if (url == NULL) {
		*ret_why = "out of memory";
		return PFC_ENOMEM;
	}
	curl->setopt(handle, CURLOPT_URL, url);
	code = curl->perform(handle);
	free(url);
	*ret = NULL;
	*ret_code = 0;
	if (code != CURLE_OK) {
		*ret_why = asker->is_too_large ? "its answer is larger than 4 MiB" : curl->strerror(code);
		return code == CURLE_OPERATION_TIMEDOUT ? PFC_ETIMEDOUT
		       : asker->is_too_large            ? PFC_ECORRUPT
							: PFC_EIO;
	}
	curl->getinfo(handle, CURLINFO_RESPONSE_CODE, ret_code);
	if (*ret_code != 200) {
		return 0;
	}
	*ret = json_loadb(asker->reply, asker->reply_bytes, 0, NULL);
	if (*ret == NULL) {
		*ret_why = "its answer is no JSON";
		return PFC_ECORRUPT;
	}
	return 0;
}

/* ---- boiling down ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

/* Cut at a letter's end. */
static json_t *short_text(const char *text)
{
	size_t bytes = strlen(text);

	bytes = bytes > TEXT_MAX ? TEXT_MAX : bytes;
	while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
		bytes--;
	}
	return json_stringn(text, bytes);
}

static json_t *boil(const json_t *labels, const char *id, const char *name, const char *image,
		    const char *state, const char *status)
{
	json_t *json = json_object();

	json_object_set_new(json, "id", short_text(id));
	json_object_set_new(json, "name", short_text(name[0] == '/' ? name + 1 : name));
	json_object_set_new(json, "image", short_text(image));
	json_object_set_new(json, "state", json_stringn(state, strnlen(state, 31)));
	json_object_set_new(json, "status", short_text(status));
	json_object_set_new(json, "service", short_text(text_of(labels, "com.docker.compose.service")));
	json_object_set_new(json, "project", short_text(text_of(labels, "com.docker.compose.project")));
	return json;
}

/* An entry of /containers/json. */
static json_t *boil_listed(const json_t *one)
{
	const char *name = json_string_value(json_array_get(json_object_get(one, "Names"), 0));

	return boil(json_object_get(one, "Labels"), text_of(one, "Id"), name != NULL ? name : "",
		    text_of(one, "Image"), text_of(one, "State"), text_of(one, "Status"));
}

/* The answer of /containers/ID/json. */
static json_t *boil_inspected(const json_t *one)
{
	const json_t *config = json_object_get(one, "Config");
	const json_t *state = json_object_get(one, "State");
	json_t *json = boil(json_object_get(config, "Labels"), text_of(one, "Id"), text_of(one, "Name"),
			    text_of(config, "Image"), text_of(state, "Status"), "");

	json_object_set_new(json, "oom", json_boolean(json_is_true(json_object_get(state, "OOMKilled"))));
	json_object_set_new(json, "pid", json_integer(json_integer_value(json_object_get(state, "Pid"))));
	return json;
}

/* ---- which ones are meant ---- */

/* "web" means web:latest and web:2; "sha256:..." is a whole id. */
static bool is_image(const char *image, const char *wanted)
{
	size_t bytes = strlen(wanted);

	return strncmp(image, wanted, bytes) == 0 &&
	       (image[bytes] == '\0' || image[bytes] == ':' || image[bytes] == '@');
}

static bool is_named(const json_t *one, const char *wanted)
{
	return str_equal(text_of(one, "name"), wanted) || str_starts(text_of(one, "id"), wanted);
}

static bool is_meant(const struct asker *asker, const json_t *one)
{
	const char *container = text_of(asker->request, "container");
	const char *service = text_of(asker->request, "service");
	const char *project = text_of(asker->request, "project");
	const char *image = text_of(asker->request, "image");
	bool asks = container[0] != '\0' || service[0] != '\0' || image[0] != '\0';

	return asks && (container[0] == '\0' || is_named(one, container)) &&
	       (service[0] == '\0' || str_equal(text_of(one, "service"), service)) &&
	       (project[0] == '\0' || str_equal(text_of(one, "project"), project)) &&
	       (image[0] == '\0' || is_image(text_of(one, "image"), image));
}

static bool is_running(const json_t *one)
{
	return str_equal(text_of(one, "state"), "running") || str_equal(text_of(one, "state"), "paused");
}

/* ---- asking one engine ---- */

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
	rc = get(asker, handle, str_text(&path), &reply, &code, ret_why);
	str_finish(&path);
	if (rc < 0 || reply == NULL) {
		return rc;
	}
	*ret = boil_inspected(reply);
	json_decref(reply);
	return 1;
}

static int list(struct asker *asker, CURL *handle, json_t *containers, const char **ret_why)
{
	json_t *reply;
	long code;
	int rc = get(asker, handle, "/containers/json?all=1", &reply, &code, ret_why);

	if (rc == 0 && !json_is_array(reply)) {
		*ret_why = "it does not list its containers";
		rc = PFC_EPROTO;
	}
	for (size_t i = 0;
	     rc == 0 && i < json_array_size(reply) && json_array_size(containers) < CONTAINERS_MAX; i++) {
		json_t *one = boil_listed(json_array_get(reply, i));

		json_object_set_new(one, "match", json_boolean(is_meant(asker, one)));
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
	rc = inspect(asker, handle, text_of(match, "id"), &inspected, ret_why);
	if (rc > 0) {
		json_object_set(match, "pid", json_object_get(inspected, "pid"));
		json_decref(inspected);
	}
	return rc < 0 ? rc : 0;
}

/* What an exact name or id finds is enough; else all are listed. Returns the number of matches or a status. */
static int ask(struct asker *asker, json_t *containers, const char **ret_why)
{
	const char *name = text_of(asker->request, "container");
	CURL *handle = make_handle(asker);
	json_t *one = NULL;
	int rc = handle == NULL ? PFC_ENOMEM : 0;

	if (rc == 0 && name[0] != '\0') {
		rc = inspect(asker, handle, name, &one, ret_why);
		if (rc > 0) {
			bool meant = is_meant(asker, one);

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

/* ---- the process ---- */

/* Whether somebody listens there; libcurl's own words do not tell absence from refusal. */
static void try_peer(struct peer *peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	int fd;

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
		rc = ask(asker, containers, &why);
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
	if (!load_curl(&asker.curl)) {
		return print_failure(PFC_ENOTSUP, "ask the container engine", "libcurl.so.4 cannot be loaded",
				     "install libcurl4, or name the container by its id");
	}
	try_all(&asker);
	return ask_all(&asker);
}

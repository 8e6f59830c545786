/* SPDX-License-Identifier: MIT */
/* What the process that asks an engine is made of: engine_http.c, engine_boil.c, engine_child.c. */
#ifndef CORE_TARGET_ENGINE_INSIDE_H
#define CORE_TARGET_ENGINE_INSIDE_H

#include <stdbool.h>

#include <curl/curl.h>
#include <jansson.h>

#include "target/engine.h"

#define REPLY_BYTES_MAX (4u << 20)
#define SOCKETS_MAX     8u
#define CONTAINERS_MAX  4096u

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
	int errnum;    /* why it cannot be reached; 0: it can */
	json_t *tasks; /* of containerd, which is not asked but read; NULL: it is asked */
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

/** Load the library. False: it is not there. */
bool http_load(struct curl *curl);

/** A handle on asker->peer that confines this process once it is connected. NULL without memory. */
CURL *http_open(struct asker *asker);

/** One GET. Returns 0 and the parsed reply (NULL when the code is not 200), or a status and why. */
int http_get(struct asker *asker, CURL *handle, const char *path, json_t **ret, long *ret_code,
	     const char **ret_why);

/** A text of an object, "" when it has none. */
const char *engine_text_of(const json_t *object, const char *key);

/** What counts of a container. */
json_t *engine_boil(const json_t *labels, const char *id, const char *name, const char *image,
		    const char *state, const char *status);

/** What counts of an entry of /containers/json, and of the answer of /containers/ID/json. */
json_t *engine_boil_listed(const json_t *one);
json_t *engine_boil_inspected(const json_t *one);

/** Whether the request means that one. */
bool engine_is_meant(const struct asker *asker, const json_t *one);

/** The folder of what containerd keeps of running containers, where a socket is containerd's; NULL: it is not. Owned. */
char *containerd_folder(const char *socket);

/** Read it all, unparsed. Returns 0 or -errno. */
int containerd_read(const char *folder, json_t **ret);

/** Parse that, and append what counts of each container; after the process has confined itself. */
void containerd_list(const struct asker *asker, const json_t *tasks, json_t *containers);

/** Confine this process: from here on it can do no more than talk over sockets. Returns 0 or a status. */
int http_confine(struct asker *asker);

#endif

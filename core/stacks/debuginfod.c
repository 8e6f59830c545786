/* SPDX-License-Identifier: MIT */
#include "stacks/debuginfod.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#define LIBRARY "libdebuginfod.so.1"
#define URLS    "DEBUGINFOD_URLS"

#ifdef HAVE_DEBUGINFOD

#include <dlfcn.h>
#include <elfutils/debuginfod.h>
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"

struct debuginfod {
	void *library;
	debuginfod_client *client;
	int (*find)(debuginfod_client *client, const unsigned char *build_id, int build_id_bytes,
		    char **path);
	void (*end)(debuginfod_client *client);
	uint64_t deadline_ns;
	bool is_late;
};

/* debuginfod.h: called again and again while a transfer goes on; not 0 ends it. */
static int check_clock(debuginfod_client *client, long a, long b)
{
	struct debuginfod *self = NULL;
	void *(*user_data)(debuginfod_client *) = NULL;

	(void)a;
	(void)b;
	/* The library is loaded: its own functions are found through the client that is at hand. */
	*(void **)&user_data = dlsym(RTLD_DEFAULT, "debuginfod_get_user_data");
	self = user_data != NULL ? user_data(client) : NULL;
	return self == NULL || clock_now() > self->deadline_ns;
}

static bool load(struct debuginfod *self)
{
	debuginfod_client *(*begin)(void) = NULL;
	void (*set_progress)(debuginfod_client *, debuginfod_progressfn_t) = NULL;
	void (*set_user_data)(debuginfod_client *, void *) = NULL;

	self->library = dlopen(LIBRARY, RTLD_LAZY | RTLD_GLOBAL);
	if (self->library == NULL) {
		return false;
	}
	*(void **)&begin = dlsym(self->library, "debuginfod_begin");
	*(void **)&self->find = dlsym(self->library, "debuginfod_find_debuginfo");
	*(void **)&self->end = dlsym(self->library, "debuginfod_end");
	*(void **)&set_progress = dlsym(self->library, "debuginfod_set_progressfn");
	*(void **)&set_user_data = dlsym(self->library, "debuginfod_set_user_data");
	if (begin == NULL || self->find == NULL || self->end == NULL || set_progress == NULL ||
	    set_user_data == NULL) {
		return false;
	}
	self->client = begin();
	if (self->client != NULL) {
		set_user_data(self->client, self);
		set_progress(self->client, check_clock);
	}
	return self->client != NULL;
}

struct debuginfod *debuginfod_open(uint64_t deadline_ns, const char **ret_lacking)
{
	const char *urls = secure_getenv(URLS);
	struct debuginfod *self;

	*ret_lacking = NULL;
	if (urls == NULL || urls[0] == '\0') {
		return NULL;
	}
	self = calloc(1, sizeof(*self));
	if (self != NULL && !load(self)) {
		*ret_lacking = URLS " is set, but " LIBRARY " is not installed: debug files are not fetched";
		debuginfod_close(self);
		return NULL;
	}
	if (self != NULL) {
		self->deadline_ns = deadline_ns;
	}
	return self;
}

void debuginfod_close(struct debuginfod *debuginfod)
{
	if (debuginfod == NULL) {
		return;
	}
	if (debuginfod->client != NULL) {
		debuginfod->end(debuginfod->client);
	}
	free(debuginfod); /* the library stays: it may have started threads */
}

int debuginfod_find(struct debuginfod *debuginfod, const char *build_id)
{
	char *path = NULL;
	int fd;

	if (debuginfod->is_late || clock_now() > debuginfod->deadline_ns) {
		debuginfod->is_late = true;
		return PFC_ETIMEDOUT;
	}
	fd = debuginfod->find(debuginfod->client, (const unsigned char *)build_id, 0, &path);
	free(path);
	debuginfod->is_late = fd < 0 && clock_now() > debuginfod->deadline_ns;
	return fd >= 0 ? fd : debuginfod->is_late ? PFC_ETIMEDOUT : PFC_ENOENT;
}

#else

struct debuginfod *debuginfod_open(uint64_t deadline_ns, const char **ret_lacking)
{
	const char *urls = secure_getenv(URLS);

	(void)deadline_ns;
	*ret_lacking =
		urls != NULL && urls[0] != '\0' ? URLS
			" is set, but profcore was built without debuginfod: debug files are not fetched"
						: NULL;
	return NULL;
}

void debuginfod_close(struct debuginfod *debuginfod)
{
	(void)debuginfod;
}

int debuginfod_find(struct debuginfod *debuginfod, const char *build_id)
{
	(void)debuginfod;
	(void)build_id;
	return PFC_ENOENT;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * HTTP over the engine's socket: connects by libcurl, confines the process, then asks. libcurl and the two dozen libraries that
 * it brings are loaded here alone (dlopen): no stage pays for them.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"
#include "config/manifest.h"
#include "stage/sandbox.h"
#include "target/engine_inside.h"

#define TIMEOUT_MS    2000L
#define ADDRESS_SPACE (1ull << 30)
#define CPU_SECONDS   5

bool http_load(struct curl *curl)
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

int http_confine(struct asker *asker)
{
	int rc = asker->is_confined ? 0 : confine();

	asker->is_confined = asker->is_confined || rc == 0;
	return rc;
}

/* Connected, and nothing was read yet. */
static int before_request(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
	struct asker *asker = ctx;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	return http_confine(asker) < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

CURL *http_open(struct asker *asker)
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

int http_get(struct asker *asker, CURL *handle, const char *path, json_t **ret, long *ret_code,
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

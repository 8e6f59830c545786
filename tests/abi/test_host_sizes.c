/* SPDX-License-Identifier: MIT */
/*
 * Plugins meet hosts of other ages: a host that lacks part of the founding set is refused, the smallest legal one and a
 * larger one are not. The host struct ends at a page that cannot be read, so that a look past struct_size is a crash.
 * Arguments: the plugins. Each case runs in a child; prints TAP.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <profcore/profcore.h>

#define LARGER 64

static void host_log(void *ctx, uint32_t level, const char *text)
{
	(void)ctx;
	(void)level;
	(void)text;
}

static int32_t host_fail(void *ctx, int32_t status, const char *what, const char *why, const char *hint)
{
	(void)ctx;
	(void)what;
	(void)why;
	(void)hint;
	return status;
}

/* Knows no option: plugins fall back to their own defaults. */
static int32_t host_option(void *ctx, const char *key, struct pfc_value *ret)
{
	(void)ctx;
	(void)key;
	(void)ret;
	return PFC_ENOENT;
}

static const char *host_text(void *ctx, uint32_t which)
{
	(void)ctx;
	(void)which;
	return "";
}

static uint64_t host_now(void *ctx)
{
	(void)ctx;
	return 1;
}

static int32_t host_target(void *ctx, struct pfc_target *ret)
{
	(void)ctx;
	(void)ret;
	return PFC_ETARGET;
}

static const void *host_extension(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
	return NULL;
}

/* A host of `bytes` bytes right before an unreadable page. */
static struct pfc_host *host_of(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct pfc_host full = {
		.struct_size = (uint32_t)bytes,
		.log = host_log,
		.fail = host_fail,
		.option = host_option,
		.text = host_text,
		.now = host_now,
		.target = host_target,
		.extension = host_extension,
	};
	uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map + page, page, PROT_NONE) != 0) {
		_exit(9);
	}
	memcpy(map + page - bytes, &full, bytes < sizeof(full) ? bytes : sizeof(full));
	return (struct pfc_host *)(void *)(map + page - bytes);
}

/* In the child. 0 as expected; 1 the plugin was not there; 2 refused a good host; 3 took a bad one and lived. */
static int try_host(const char *path, size_t bytes, int is_legal)
{
	const struct pfc_host *host = host_of(bytes);
	void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	pfc_plugin_entry entry = NULL;
	const struct pfc_plugin *plugin;
	void *self = NULL;

	if (file) {
		*(void **)&entry = dlsym(file, PFC_PLUGIN_ENTRY);
	}
	if (!entry) {
		return 1;
	}
	plugin = entry(host);
	if (!plugin) {
		return is_legal ? 2 : 0;
	}
	if (!is_legal) {
		return 3;
	}
	if (plugin->struct_size < 2 * sizeof(uint32_t) + sizeof(void *)) {
		return 4;
	}
	if (plugin->create && plugin->create(host, &self) == PFC_OK && PFC_HAS(plugin, destroy)) {
		plugin->destroy(self);
	}
	return 0;
}

static int run_case(const char *path, size_t bytes, int is_legal, unsigned number)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		_exit(try_host(path, bytes, is_legal));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		status = -1;
	}
	printf("%sok %u - %s meets a host of %zu bytes (%s)\n", status == 0 ? "" : "not ", number, name, bytes,
	       is_legal ? "legal" : "truncated");
	if (status != 0) {
		printf("# wait status %#x\n", (unsigned)status);
	}
	return status != 0;
}

int main(int argc, char **argv)
{
	static const size_t truncated[] = { 8, 16, 24, 64, PFC_HOST_FOUNDING_BYTES - 8 };
	unsigned number = 0;
	int failed = 0;

	printf("1..%zu\n", (size_t)(argc - 1) * (sizeof(truncated) / sizeof(truncated[0]) + 2));
	fflush(stdout);
	for (int i = 1; i < argc; i++) {
		for (size_t t = 0; t < sizeof(truncated) / sizeof(truncated[0]); t++) {
			failed |= run_case(argv[i], truncated[t], 0, ++number);
		}
		failed |= run_case(argv[i], PFC_HOST_FOUNDING_BYTES, 1, ++number);
		failed |= run_case(argv[i], sizeof(struct pfc_host) + LARGER, 1, ++number);
		fflush(stdout);
	}
	return failed;
}

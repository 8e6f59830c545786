/* SPDX-License-Identifier: MIT */
#include "stage/load.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The first version had at least create; a struct that ends before it is no plugin's. */
#define PLUGIN_BYTES_MIN (offsetof(struct pfc_plugin, create) + sizeof(void *))
/* Far past anything that a later version may append. */
#define PLUGIN_BYTES_MAX 4096u

static int normalise(const struct pfc_plugin *from, const char *path, struct pfc_plugin *ret, struct pfc_error *err)
{
	char why[160];

	if (from == NULL) {
		error_set(err, PFC_EPROTO, "pfc_plugin_v1 returned NULL", "start plugin '%s'", path);
		return error_hint(err, "the log of the stage; the plugin should return its struct of callbacks");
	}
	/* A size that no compiler gives would leave us half a pointer to call. */
	if (from->struct_size < PLUGIN_BYTES_MIN || from->struct_size > PLUGIN_BYTES_MAX ||
	    from->struct_size % _Alignof(struct pfc_plugin) != 0) {
		snprintf(why, sizeof(why),
			 "its struct pfc_plugin says it has %u bytes; multiples of %zu from %zu to %u make sense",
			 from->struct_size, _Alignof(struct pfc_plugin), PLUGIN_BYTES_MIN, PLUGIN_BYTES_MAX);
		error_set(err, PFC_EPROTO, why, "start plugin '%s'", path);
		return error_hint(err, "set .struct_size = sizeof(struct pfc_plugin) in the plugin");
	}
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, from, from->struct_size < sizeof(*ret) ? from->struct_size : sizeof(*ret));
	ret->struct_size = sizeof(*ret);
	return 0;
}

/* dlsym also looks in what the plugin depends on: a plugin without the symbol must not get somebody else's. */
static int check_symbol_home(void *symbol, const char *path, struct pfc_error *err)
{
	struct stat found;
	struct stat wanted;
	Dl_info info;

	if (dladdr(symbol, &info) != 0 && info.dli_fname != NULL && stat(info.dli_fname, &found) == 0 &&
	    stat(path, &wanted) == 0 && found.st_ino == wanted.st_ino && found.st_dev == wanted.st_dev) {
		return 0;
	}
	return error_set(err, PFC_EPROTO, "its " PFC_PLUGIN_ENTRY " comes from another file", "load plugin '%s'", path);
}

int load_plugin(const char *path, const struct pfc_host *host, struct pfc_plugin *ret_plugin, struct pfc_error *err)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const char *why = handle == NULL ? dlerror() : NULL;
	pfc_plugin_entry entry = NULL;
	void *symbol;
	int rc;

	if (handle == NULL) {
		return error_set(err, PFC_EPROTO, why != NULL ? why : "dlopen failed", "load plugin '%s'", path);
	}
	symbol = dlsym(handle, PFC_PLUGIN_ENTRY);
	if (symbol == NULL) {
		return error_set(err, PFC_EPROTO, "it does not export " PFC_PLUGIN_ENTRY, "load plugin '%s'", path);
	}
	rc = check_symbol_home(symbol, path, err);
	if (rc < 0) {
		return rc;
	}
	memcpy(&entry, &symbol, sizeof(entry));
	return normalise(entry(host), path, ret_plugin, err);
}

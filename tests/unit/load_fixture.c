/* SPDX-License-Identifier: MIT */
/*
 * A file for test_load.c. With an entry: its struct of callbacks has as many bytes as the host says as abi_minor, NULL when
 * that is LOAD_RETURNS_NULL; everything behind the founding set is filled with bytes that are no address. NO_ENTRY: the same
 * without, linked to the one that has it.
 */
#include "load_fixture.h"

#include <string.h>

PFC_EXPORT int load_fixture_helper(void);

#ifdef NO_ENTRY
PFC_EXPORT int load_fixture_user(void);

/* So that the linker keeps the other file as one that is needed. */
int load_fixture_user(void)
{
	return load_fixture_helper();
}
#else
static union {
	struct pfc_plugin plugin;
	char bytes[LOAD_ROOM];
} shared;

int load_fixture_helper(void)
{
	return 1;
}

static int32_t create(const struct pfc_host *host, void **ret_self)
{
	(void)host;
	*ret_self = &shared;
	return LOAD_CREATE_SAYS;
}

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	if (host->abi_minor == LOAD_RETURNS_NULL) {
		return NULL;
	}
	memset(shared.bytes, 0x5a, sizeof(shared.bytes));
	shared.plugin.struct_size = host->abi_minor;
	shared.plugin.create = create;
	return &shared.plugin;
}
#endif

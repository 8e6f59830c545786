/* SPDX-License-Identifier: MIT */
/* A plugin of which only the manifest matters: planning never runs it. */
#include <profcore/profcore.h>

PFC_MANIFEST(MANIFEST_FILE);

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	(void)host;
	return NULL;
}

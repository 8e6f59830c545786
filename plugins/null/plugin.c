/* SPDX-License-Identifier: MIT */
#include <profcore/profcore.h>

PFC_MANIFEST("manifest.ini");

const struct pfc_plugin *pfc_plugin_v1(const struct pfc_host *host)
{
	static const struct pfc_plugin plugin = { .struct_size = sizeof(plugin) };

	(void)host;
	return &plugin;
}

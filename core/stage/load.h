/* SPDX-License-Identifier: MIT */
/* Loading a plugin's file into this stage process, and taking in its struct of callbacks, whatever size it has. */
#ifndef CORE_STAGE_LOAD_H
#define CORE_STAGE_LOAD_H

#include <profcore/plugin.h>

#include "base/error.h"

/**
 * Load the plugin and call its entry. *ret_plugin is a copy in our own shape: members that the plugin does not have are
 * zero. The file is never unloaded: the process ends.
 */
int load_plugin(const char *path, const struct pfc_host *host, struct pfc_plugin *ret_plugin, struct pfc_error *err);

#endif

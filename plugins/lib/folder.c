/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool folder_follow(const struct pfc_host *host, char **folder)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	char *moved;

	if (!*folder || access(*folder, F_OK) == 0 || host->target(host->ctx, &target) != PFC_OK ||
	    !target.cgroup_path || target.cgroup_path[0] == '\0' ||
	    strcmp(target.cgroup_path, *folder) == 0) {
		return false;
	}
	moved = strdup(target.cgroup_path);
	if (!moved) {
		return false;
	}
	free(*folder);
	*folder = moved;
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * A Kubernetes pod on its node, without asking anybody: the kubelet keeps a folder of logs named after namespace, name and uid
 * of each pod, and a control group named after its uid. What is not known this way: images, labels, pods of other nodes.
 */
#ifndef CORE_TARGET_POD_H
#define CORE_TARGET_POD_H

#include <limits.h>
#include <stddef.h>

#include "base/error.h"

#define POD_LOGS "/var/log/pods"

struct pod {
	char name[512]; /* "shop/web-7d4b9c-x2x5z" */
	char uid[64];
	char path[PATH_MAX];   /* of its control group, below the hierarchy */
	char containers[1024]; /* their names, for people: "app, sidecar"; "" when they are not told */
};

/**
 * Find the pod that `wanted` means: "namespace/name", or a name that only one namespace has. `logs` is the kubelet's folder,
 * `groups` where the hierarchy is mounted.
 * Returns: 0; PFC_ETARGET: none (nearest names in the hint), several (listed), known but not running; PFC_ENOTSUP: no kubelet
 *          here; PFC_EPERM.
 */
int pod_find(const char *logs, const char *groups, const char *wanted, struct pod *ret,
	     struct pfc_error *err);

#endif

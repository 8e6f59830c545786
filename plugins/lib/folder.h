/* SPDX-License-Identifier: MIT */
/*
 * The folder of a target that is a control group. A container that is started again gets one of the same name, one that is
 * made anew under the same name gets another: the host then tells which.
 */
#ifndef LIB_FOLDER_H
#define LIB_FOLDER_H

#include <stdbool.h>

#include <profcore/profcore.h>

/**
 * Follow the target to another folder, once the one at *folder is gone.
 *
 * Memory:  *folder is owned by the caller; replaced when it moved.
 * Returns: whether it moved. NULL never moves.
 */
bool folder_follow(const struct pfc_host *host, char **folder);

#endif

/* SPDX-License-Identifier: MIT */
/* target_open for tests: with the way of tracking chosen. */
#ifndef CORE_TARGET_TARGET_OPEN_H
#define CORE_TARGET_TARGET_OPEN_H

#include "target/target.h"
#include "target/track.h"

int target_open_with(const struct target_config *config, enum track_mode mode, struct target **ret,
		     struct pfc_error *err);

#endif

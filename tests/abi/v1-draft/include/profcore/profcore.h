/* SPDX-License-Identifier: MIT */
/* The founding set of the contract, nothing else. Extensions are included one by one from ext/. */
#ifndef PROFCORE_PROFCORE_H
#define PROFCORE_PROFCORE_H

#include "plugin.h"

#endif

/* SPDX-License-Identifier: MIT */
/* The end of a run in words for people. */
#ifndef CORE_RUN_CLOSING_H
#define CORE_RUN_CLOSING_H

#include <stdio.h>

#include "run/run.h"

/** Print what was found, what is missing, where it is. */
void closing_print(const struct run *run, FILE *to);

#endif

/* SPDX-License-Identifier: MIT */
/* The machine: what was tried, and what needs no trying (limits, control groups, engines, the sandbox of stages). */
#ifndef CORE_DOCTOR_MACHINE_H
#define CORE_DOCTOR_MACHINE_H

#include "doctor/facts.h"

/** All checks of the machine; takes a second or so. engine: the socket to ask, NULL for the usual places. */
void machine_examine(const struct facts *facts, const char *engine, json_t *checks);

/** Whether runs can be kept in this folder: made, written, with room. */
void machine_examine_output(const char *output, json_t *checks);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * One misbehaving plugin for each value of BEHAVIOUR ("crash-run", ...), all from the same sources: a plugin that does
 * everything right but one thing. meson.build has the list; misbehave.c is the plugin, acts.c what it does wrong.
 */
#ifndef MISBEHAVE_H
#define MISBEHAVE_H

#include <profcore/profcore.h>

#include <stdbool.h>

struct self {
	const struct pfc_host *host;
	const struct pfc_writer *writer;
	uint64_t rows;
};

/** What this plugin does wrong. */
extern const char behaviour[];

/** Whether this plugin is built to behave so. */
bool behaves(const char *name);

/** Called at the start of a callback: crash, hang, exit, ... when BEHAVIOUR is "<act>-<callback>". May not return. */
void act(const char *callback);

/** What goes wrong once, in run. Returns the status that run shall give if not PFC_OK. */
int32_t act_in_run(struct self *self);

/** Write tables of profcore.stacks/1 whose ids, offsets and parents make no sense. */
int32_t write_garbage(struct self *self);

#endif

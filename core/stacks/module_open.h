/* SPDX-License-Identifier: MIT */
/*
 * Opening modules beside the sampling loop: the core may take a moment to answer, and compiling the call frame information of a
 * large program takes a tenth of a second, in which rings would run over. One thread, made when the first file is wanted.
 */
#ifndef CORE_STACKS_MODULE_OPEN_H
#define CORE_STACKS_MODULE_OPEN_H

#include <profcore/ext/draft/target.h>

#include "stacks/elf.h"
#include "stacks/unwind_table.h"

/** What opening came to. */
struct module_found {
	int status; /* PFC_E... */
	struct elf_image image;
	struct elf_headers headers;
	int map_fd; /* a perf map; -1: none */
	bool has_tried_table;
	struct unwind_table *table;
};

struct module_request {
	const struct pfc_target_service *target;
	struct pfc_target_event map; /* its text lives until the opener is finished */
	bool is_bare;                /* code of the process itself: look for its perf map */
	bool may_open;               /* as long as descriptors and patience last */
	bool wants_table;
};

/** Open it here and now. */
void module_open(const struct module_request *request, struct module_found *ret);

struct module_opener;
struct module_job;

/** Hand a request over; *opener is made when it is NULL. NULL: it cannot be done, open it here and now. */
struct module_job *module_open_later(struct module_opener **opener, const struct module_request *request);

/** Take what came of it, once. False: not done yet; never with `wait`. */
bool module_job_take(struct module_opener *opener, struct module_job *job, bool wait,
		     struct module_found *ret);

/** Ends the thread, frees jobs that were not taken. NULL is fine. */
void module_opener_destroy(struct module_opener *opener);

/** Close and free what was found and is not used. */
void module_found_finish(struct module_found *found);

#endif

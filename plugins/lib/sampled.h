/* SPDX-License-Identifier: MIT */
/* The samples of a "profcore.stacks/1" artifact by time and thread: how rows of other tables are joined to their stacks. */
#ifndef PLUGINS_LIB_SAMPLED_H
#define PLUGINS_LIB_SAMPLED_H

#include <stdint.h>

#include <profcore/artifact.h>

struct sampled {
	struct sampled_row *rows;
	uint32_t count;
};

/** Read them; stacks beyond stack_count become 0. No such table: none. Returns 0 or PFC_ENOMEM. Finish it whatever it returns. */
int sampled_read(struct sampled *to, const struct pfc_reader *reader, uint32_t stack_count);
void sampled_finish(struct sampled *sampled);

/** The stack of the sample with this time and thread; 0: there is none. */
uint32_t sampled_at(const struct sampled *sampled, uint64_t time_ns, int32_t tid);

#endif

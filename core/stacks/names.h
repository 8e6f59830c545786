/* SPDX-License-Identifier: MIT */
/* Linkage name -> string row of its readable form: each name is demangled once, however many locations it has. */
#ifndef CORE_STACKS_NAMES_H
#define CORE_STACKS_NAMES_H

#include "stacks/intern.h"

struct names {
	struct intern *intern;
	struct hash index;
	char *bytes; /* the linkage names, each terminated */
	uint32_t byte_count, byte_room;
	struct name {
		uint32_t at; /* in bytes */
		uint32_t string;
	} * rows;
	uint32_t count, room;
};

/** The string row of a linkage name; 0 or PFC_ENOMEM. Zero-initialise names and set intern before. */
int names_find(struct names *names, const char *linkage_name, uint32_t *ret);
void names_finish(struct names *names);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Names: each distinct text once, clean (printable, bounded in length), under a number. What the target calls itself
 * enters here and nowhere else.
 */
#ifndef PLUGINS_LIB_NAMES_H
#define PLUGINS_LIB_NAMES_H

#include <stdint.h>

#include <profcore/artifact.h>

#define NAMES_MAX_CHARS 1000 /* a longer name is cut, and told apart by a checksum of the whole */

/** Zero-initialise, then names_init. */
struct names {
	char **texts; /* by number; number 0 is "" */
	uint32_t count;
	uint32_t room;
	uint32_t *slots; /* hash table of numbers + 1 */
	uint32_t slot_count;
	uint64_t seed;
};

/** `seed` makes collisions unpredictable to who chooses the names. Returns 0 or PFC_ENOMEM. */
int names_init(struct names *names, uint64_t seed);

/** The number of a text from outside. Returns 0 or PFC_ENOMEM. */
int names_raw(struct names *names, struct pfc_string raw, uint32_t *ret);

/** The number of a text of our own. Returns 0 or PFC_ENOMEM. */
int names_clean(struct names *names, const char *clean, uint32_t *ret);

static inline const char *names_text(const struct names *names, uint32_t name)
{
	return names->texts[name];
}

void names_finish(struct names *names);

#endif

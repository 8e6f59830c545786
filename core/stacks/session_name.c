/* SPDX-License-Identifier: MIT */
/* Names of frames for the plugin itself, after symbolizing: it has tables that are about stacks. */
#include "stacks/session.h"

#include <stdlib.h>

#include <profcore/status.h>

/* Rows stand in order of location and depth: the innermost of a location is its last. */
static int make_index(struct pfc_stacks_session *session)
{
	const struct frames *frames = &session->frames;

	session->frames_end = calloc(session->intern.location_count, sizeof(*session->frames_end));
	if (session->frames_end == NULL) {
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < frames->count; i++) {
		if (frames->location[i] < session->intern.location_count) {
			session->frames_end[frames->location[i]] = i + 1;
		}
	}
	return 0;
}

/* How many frames a location has. */
static uint32_t rows_of(const struct pfc_stacks_session *session, uint32_t location)
{
	uint32_t end = session->frames_end[location];
	uint32_t count = 0;

	while (count < end && session->frames.location[end - 1 - count] == location) {
		count++;
	}
	return count;
}

int session_name(struct pfc_stacks_session *session, uint32_t stack, uint32_t frame,
		 const char **ret_function, const char **ret_module)
{
	const struct intern *intern = &session->intern;

	if (!session->is_finished || stack >= intern->stack_count ||
	    (session->frames_end == NULL && make_index(session) != 0)) {
		return PFC_ENOENT;
	}
	while (stack != 0) {
		uint32_t location = intern->stack_location[stack];
		uint32_t count = rows_of(session, location);

		if (frame < (count > 0 ? count : 1)) {
			uint32_t module = intern->location_module[location];

			*ret_function =
				count > 0
					? intern_text(intern,
						      session->frames.function[session->frames_end[location] -
									       1 - frame])
					: "";
			*ret_module = intern_text(intern, intern->module_path[module]);
			return 0;
		}
		frame -= count > 0 ? count : 1;
		stack = intern->stack_parent[stack];
	}
	return PFC_ENOENT;
}

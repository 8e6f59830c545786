/* SPDX-License-Identifier: MIT */
/* From addresses to rows: a sample's user and kernel addresses become locations of modules, and those a stack. */
#include "stacks/session.h"

#include <profcore/status.h>

/* The location of an address that lies in a mapping, or in none (map NULL). */
static int locate_mapped(struct pfc_stacks_session *session, const struct space_map *map, uint64_t address,
			 uint32_t *ret)
{
	struct module_mapping mapping;
	const struct module *module;
	int status;

	session->counts.unmapped_frames += map == NULL;
	if (map == NULL) {
		return intern_location(&session->intern, 0, address, ret);
	}
	mapping = (struct module_mapping){ map->pid, map->start, map->end, map->offset };
	status = modules_use(&session->modules, map->module, &mapping, session->target, &session->intern);
	if (status != 0) {
		return status;
	}
	module = &session->modules.rows[map->module];
	return intern_location(&session->intern, module->row, module_address(module, &mapping, address), ret);
}

/* A caller is looked up, and kept, one byte before its return address: inside the call, which may end its function. */
static int locate_user(struct pfc_stacks_session *session, struct space *space, uint64_t time_ns, uint64_t ip,
		       bool is_caller, uint32_t *ret)
{
	uint64_t address = ip - is_caller;
	struct session_cached *cached;
	const struct space_map *map;
	int status;

	if (space == NULL) {
		return locate_mapped(session, NULL, address, ret);
	}
	if (!space_advance(&session->spaces, space, time_ns)) {
		return locate_mapped(session, space_find(&session->spaces, space, time_ns, address), address,
				     ret);
	}
	cached = &session->cache[hash_mix(ip ^ space->stamp << 40) & (SESSION_CACHE - 1)];
	if (cached->stamp == space->stamp && cached->ip == ip && cached->is_caller == is_caller) {
		*ret = cached->location;
		return 0;
	}
	map = space_find(&session->spaces, space, time_ns, address);
	status = locate_mapped(session, map, address, ret);
	if (status == 0 && map != NULL) {
		*cached = (struct session_cached){ space->stamp, ip, *ret, is_caller };
	}
	return status;
}

static int locate_kernel(struct pfc_stacks_session *session, uint64_t address, uint32_t *ret)
{
	uint32_t module;
	int status =
		kernel_locate(session->kernel, &session->kernel_rows, &session->intern, address, &module);

	return status == 0 ? intern_location(&session->intern, module, address, ret) : status;
}

/* A frame-pointer walk through code that keeps none ends in values that are no code: frames in no mapping are cut there. */
static uint32_t cut_junk(struct pfc_stacks_session *session, struct space *space,
			 const struct pending *sample, const uint64_t *ips)
{
	uint32_t count = sample->user_count;

	if (space == NULL || space->map_count == 0 || (sample->flags & PENDING_WALKED) != 0) {
		return count;
	}
	while (count > 1 &&
	       space_find(&session->spaces, space, sample->time_ns, ips[count - 1] - 1) == NULL) {
		count--;
	}
	session->counts.junk_frames += sample->user_count - count;
	return count;
}

/* The user addresses of a sample, innermost first; *ret_count of them. NULL: not known yet. */
static const uint64_t *user_addresses(struct pfc_stacks_session *session, struct space *space,
				      struct pending *sample, uint32_t *ret_count)
{
	const uint64_t *ips = session->pending.ips + sample->ips_at + sample->kernel_count;

	if (sample->held != NULL) {
		*ret_count = session_walk_held(session, space, sample);
		return sample->end != UNWIND_END_LATER ? session->walked_ips : NULL;
	}
	if ((sample->flags & PENDING_WALKED) != 0 && (space != NULL ? space->id : 0) != sample->space_id) {
		/* Walked by the mappings of a program that it no longer ran. */
		session->counts.walked_early++;
		sample->end = UNWIND_END_BROKEN;
		*ret_count = sample->user_count > 0 ? 1 : 0;
		return ips;
	}
	*ret_count = cut_junk(session, space, sample, ips);
	return ips;
}

/* Outermost user frame first, innermost kernel frame last. */
static int resolve_frames(struct pfc_stacks_session *session, struct pending *sample, uint32_t *ret)
{
	const uint64_t *kernel_ips = session->pending.ips + sample->ips_at;
	struct space *space = spaces_at(&session->spaces, sample->pid, sample->time_ns);
	uint32_t user_count;
	const uint64_t *user_ips = user_addresses(session, space, sample, &user_count);
	bool is_walked = (sample->flags & PENDING_WALKED) != 0;
	uint32_t stack = 0;
	uint32_t location;
	int status = user_ips != NULL ? 0 : PFC_EAGAIN;

	for (uint32_t i = user_count; i > 0 && status == 0; i--) {
		bool is_caller = !is_walked && (i > 1 || (sample->flags & PFC_STACK_CALLERS) != 0);

		status = locate_user(session, space, sample->time_ns, user_ips[i - 1], is_caller, &location);
		if (status == 0) {
			status = intern_stack(&session->intern, stack, location, &stack);
		}
		if (status == 0 && i == user_count && is_walked && sample->end == UNWIND_END_ROOT) {
			session->intern.location_is_root[location] = 1;
		}
	}
	for (uint32_t i = sample->kernel_count; i > 0 && status == 0; i--) {
		status = locate_kernel(session, kernel_ips[i - 1] - (i > 1), &location);
		if (status == 0) {
			status = intern_stack(&session->intern, stack, location, &stack);
		}
	}
	session->counts.user_frames += user_count;
	if (status == 0) {
		*ret = stack;
	}
	return status;
}

int session_resolve(struct pfc_stacks_session *session, struct pending *sample, uint32_t *ret)
{
	struct session_counts before = session->counts;
	int status = resolve_frames(session, sample, ret);

	if (status == PFC_EAGAIN) {
		session->counts = before; /* it is all done again */
	}
	return status;
}

int session_intern(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample, uint32_t *ret)
{
	int status =
		(sample->flags & PFC_STACK_WALKED) != 0 ? session_add_walked(session, sample) : PFC_EINVAL;
	struct pending *last;

	if (status != 0) {
		return status;
	}
	last = &session->pending.rows[session->pending.count - 1];
	status = session_resolve(session, last, ret);
	session->pending.ip_count = last->ips_at;
	session->pending.count--;
	return status;
}

/* SPDX-License-Identifier: MIT */
#include "causes.h"

#include <string.h>

/* Functions of the kernel and of C libraries, by how their names begin; the first that fits in a stack, from the innermost frame. */
static const struct {
	const char *begins;
	enum cause cause;
} signs[] = {
	{ "io_schedule", CAUSE_DISK },
	{ "folio_wait", CAUSE_DISK },
	{ "wait_on_page", CAUSE_DISK },
	{ "submit_bio_wait", CAUSE_DISK },
	{ "jbd2_", CAUSE_DISK },
	{ "blk_", CAUSE_DISK },
	{ "vfs_fsync", CAUSE_DISK },
	{ "hrtimer_nanosleep", CAUSE_SLEEP },
	{ "tcp_recvmsg", CAUSE_NETWORK },
	{ "tcp_sendmsg", CAUSE_NETWORK },
	{ "inet_stream_connect", CAUSE_NETWORK },
	{ "unix_stream_read", CAUSE_NETWORK },
	{ "do_epoll_wait", CAUSE_NONE },
	{ "ep_poll", CAUSE_NONE },
	{ "do_sys_poll", CAUSE_NONE },
	{ "do_select", CAUSE_NONE },
	{ "inet_csk_accept", CAUSE_NONE },
	{ "pthread_cond_", CAUSE_NONE },
	{ "__pthread_cond_", CAUSE_NONE },
	{ "pthread_join", CAUSE_NONE },
	{ "pthread_mutex_lock", CAUSE_LOCK },
	{ "__pthread_mutex_lock", CAUSE_LOCK },
	{ "___pthread_mutex_lock", CAUSE_LOCK },
	{ "pthread_rwlock_", CAUSE_LOCK },
	{ "__lll_lock_wait", CAUSE_LOCK },
	{ "std::sys::sync::mutex", CAUSE_LOCK },
	{ "std::sys::unix::locks::futex_mutex", CAUSE_LOCK },
	{ "std::sys_common::mutex", CAUSE_LOCK },
	{ "down_read", CAUSE_LOCK },
	{ "down_write", CAUSE_LOCK },
	{ "rwsem_down_", CAUSE_LOCK },
	{ "__mutex_lock", CAUSE_LOCK },
};

/* Rust writes methods as <path::Type>::name. */
static const char *without_bracket(const char *name)
{
	return name[0] == '<' ? name + 1 : name;
}

/* The resolvers of C libraries. They wait in poll or a read: what it is for is told further out. */
static bool is_lookup(const char *name)
{
	static const char *const resolvers[] = { "getaddrinfo",    "gethostby",   "getnameinfo",
						 "__res_context_", "__libc_res_", "__res_msend" };

	for (size_t i = 0; i < sizeof(resolvers) / sizeof(resolvers[0]); i++) {
		if (strncmp(name, resolvers[i], strlen(resolvers[i])) == 0) {
			return true;
		}
	}
	return false;
}

enum cause cause_of_stack(const struct profile *profile, uint32_t stack, uint32_t *ret_app)
{
	enum cause cause = CAUSE_NONE;
	bool is_told = false;

	*ret_app = 0;
	for (; stack; stack = profile->parent[stack]) {
		uint32_t location = profile->stack_location[stack];

		for (uint32_t i = profile->frame_first[location]; i < profile->frame_first[location + 1];
		     i++) {
			uint32_t function = profile->frames[i].function;
			const char *name = without_bracket(profile_function_name(profile, function));

			for (size_t j = 0; !is_told && j < sizeof(signs) / sizeof(signs[0]); j++) {
				if (strncmp(name, signs[j].begins, strlen(signs[j].begins)) == 0) {
					cause = signs[j].cause;
					is_told = true;
				}
			}
			if (cause != CAUSE_LOCK && cause != CAUSE_DISK && is_lookup(name)) {
				cause = CAUSE_NAMES;
				is_told = true;
			}
			if (!*ret_app && profile_is_own(profile, function)) {
				*ret_app = function;
			}
		}
	}
	return cause;
}

/* SPDX-License-Identifier: MIT */
#include "kinds.h"

#include <stddef.h>
#include <string.h>

#include "decode.h"
#include "names.h"

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

const struct call_kind *kinds_of(struct call_kinds *kinds, uint32_t abi, int32_t nr)
{
	static const struct call_kind none = { .is_known = true, .io = 'o' };
	static const char *const all[] = { "close_range", "execve",     "execveat", "pipe",
					   "pipe2",       "socketpair", "recvmsg" };
	static const char *const renames[] = { "connect", "bind", "listen" };
	struct call_kind *kind;
	char name[NAME_ROOM];

	if (abi > 2 || nr < 0 || nr >= KINDS_NUMBERS) {
		return &none;
	}
	kind = &kinds->of[abi][nr];
	if (!kind->is_known) {
		syscall_name(abi, nr, name, sizeof(name));
		kind->has_fd = decode_fd_argument(name) == 0;
		kind->io = decode_io_kind(name);
		kind->makes_fd = decode_makes_descriptor(name);
		kind->is_lock = strcmp(name, "futex") == 0;
		kind->closes_fd = strcmp(name, "close") == 0;
		kind->renames_fd = is_one_of(name, renames, sizeof(renames) / sizeof(renames[0]));
		kind->closes_all = is_one_of(name, all, sizeof(all) / sizeof(all[0]));
		kind->is_known = true;
	}
	return kind;
}

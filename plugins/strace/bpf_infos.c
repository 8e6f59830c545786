/* SPDX-License-Identifier: MIT */
/* What the programs are told of each call: whether it works on a descriptor or a lock, and which argument is a text worth keeping. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_state.h"
#include "kinds.h"
#include "names.h"
#include "programs.skel.h"

static bool is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

#define AMONG(name, names) is_among(name, names, sizeof(names) / sizeof((names)[0]))

/* Calls whose pointer says more than its address: paths, times, addresses of sockets, what is read and written. */
static u8 text_of(const char *name)
{
	static const char *const first[] = { "open",   "stat",      "lstat",  "access", "unlink",
					     "rmdir",  "execve",    "mkdir",  "chdir",  "readlink",
					     "statfs", "truncate",  "rename", "creat",  "chmod",
					     "chown",  "nanosleep", "poll",   "ppoll" };
	static const char *const second[] = { "read",     "write",      "pread64",   "pwrite64",
					      "execveat", "sendto",     "recvfrom",  "connect",
					      "bind",     "openat",     "openat2",   "newfstatat",
					      "unlinkat", "mkdirat",    "faccessat", "faccessat2",
					      "statx",    "readlinkat", "fchmodat",  "fchownat" };

	static const char *const third[] = { "clock_nanosleep", "mount", "symlinkat" };

	return AMONG(name, first) ? 1 : AMONG(name, second) ? 2 : AMONG(name, third) ? 3 : 0;
}

static struct call_info info_of(struct call_kinds *kinds, uint32_t abi, int32_t nr)
{
	static const char *const accepts[] = { "accept", "accept4" };
	static const char *const execs[] = { "execve", "execveat" };
	const struct call_kind *kind = kinds_of(kinds, abi, nr);
	struct call_info info = { 0 };
	char name[NAME_ROOM];

	syscall_name(abi, nr, name, sizeof(name));
	info.text = text_of(name);
	if (kind->is_lock) {
		info.io = 'l';
	} else if (kind->has_fd && !kind->closes_fd) {
		info.io = (u8)kind->io;
	}
	info.flags = (u8)((AMONG(name, accepts) ? CALL_ACCEPTS : 0) | (kind->renames_fd ? CALL_RENAMES : 0) |
			  (abi == ABI_NATIVE && AMONG(name, execs) ? CALL_EXECS : 0));
	return info;
}

void bpf_set_infos(struct bpf_state *state)
{
	struct call_kinds *kinds = calloc(1, sizeof(*kinds));

	for (uint32_t key = 0; kinds && key < KEY_COUNT; key++) {
		struct call_info info;
		uint32_t abi;
		int32_t nr;

		bpf_key(key, &abi, &nr);
		if (nr != NR_UNKNOWN) {
			info = info_of(kinds, abi, nr);
			bpf_map_update_elem(bpf_map__fd(state->programs->maps.infos), &key, &info, BPF_ANY);
		}
	}
	free(kinds);
}

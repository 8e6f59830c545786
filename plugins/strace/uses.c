/* SPDX-License-Identifier: MIT */
#include "uses.h"

#include <stdio.h>

#include "fds.h"

#define USES_UNNAMED "(closed before it could be named)"

static void add(struct file_use *file, char io, bool is_synced, const struct use *use)
{
	uint64_t bytes = use->result > 0 ? (uint64_t)use->result : 0;

	file->errors += use->result < 0 && use->result >= -4095;
	file->total_ns += use->duration_ns;
	file->blocked_ns += use->blocked_ns;
	file->max_ns = use->duration_ns > file->max_ns ? use->duration_ns : file->max_ns;
	switch (io) {
	case 'r':
		file->reads++;
		file->read_bytes += bytes;
		file->small += bytes > 0 && bytes <= FILE_SMALL;
		break;
	case 'w':
		file->writes++;
		file->sync_writes += is_synced;
		file->written_bytes += bytes;
		file->small += bytes > 0 && bytes <= FILE_SMALL;
		break;
	case 's':
		file->syncs++;
		break;
	default:
		file->others++;
		break;
	}
}

/* A number that was closed or given anew names something else from now on. */
static void forget(struct fds *fds, const struct call_kind *kind, const struct use *use)
{
	if (kind->makes_fd && use->result >= 0) {
		fds_forget(fds, use->pid, (int32_t)use->result);
	} else if (kind->closes_fd) {
		fds_forget(fds, use->pid, (int32_t)use->args[0]);
	} else if (kind->closes_all && use->result >= 0) {
		fds_forget(fds, use->pid, -1);
	}
}

void uses_begin(struct tracer *tracer, struct call_kinds *kinds, const struct use *use)
{
	if (kinds_of(kinds, use->abi, use->nr)->renames_fd) {
		fds_forget(tracer->fds, use->pid, (int32_t)use->args[0]);
	}
}

int uses_add(struct tracer *tracer, struct call_kinds *kinds, const struct use *use)
{
	const struct call_kind *kind = kinds_of(kinds, use->abi, use->nr);
	const char *name = NULL;
	bool is_synced = false;
	char lock[32];

	if (kind->is_lock) {
		snprintf(lock, sizeof(lock), "futex 0x%llx", (unsigned long long)use->args[0]);
		name = lock;
	} else if (kind->has_fd && !kind->closes_fd) { /* a closed one has no name any more */
		name = use->is_late ? fds_known(tracer->fds, use->pid, (int32_t)use->args[0])
				    : fds_name(tracer->fds, use->pid, (int32_t)use->args[0]);
		is_synced = name && fds_is_synced(tracer->fds, use->pid, (int32_t)use->args[0]);
		name = !name && use->is_late ? USES_UNNAMED : name;
	}
	if (name) {
		struct file_use *file = account_file(tracer->account, use->pid, name);

		if (!file) {
			return PFC_ENOMEM;
		}
		add(file, kind->io, is_synced, use);
	}
	forget(tracer->fds, kind, use);
	return PFC_OK;
}

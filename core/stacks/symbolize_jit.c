/* SPDX-License-Identifier: MIT */
/* Code that a process made itself: by the dump or by the map that its just-in-time compiler wrote. */
#include "stacks/symbolize_work.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/status.h>

#include "stacks/jit_dump.h"
#include "stacks/perf_map.h"

/* perf_map.h: on_name. */
static int take_map_name(void *ctx, uint32_t index, const char *name)
{
	struct work *work = ctx;
	struct found found = { 0 };
	int status;

	if (work->counts[work->locations[index]] > 0) {
		return 0; /* a dump had it */
	}
	status = names_find(&work->names, name, &found.function);

	return status == 0 ? symbolize_add(work, work->locations[index], &found) : status;
}

/* jit_dump.h: on_code. */
static int take_code(void *ctx, uint32_t index, const char *name, const char *file, uint32_t line)
{
	struct work *work = ctx;
	struct found found = { .line = line };
	int status = names_find(&work->names, name, &found.function);

	if (status == 0 && file[0] != '\0') {
		status = intern_string(work->request->intern, file, strlen(file), &found.file);
	}
	return status == 0 ? symbolize_add(work, work->locations[index], &found) : status;
}

/* A list that is too long, or took too long, named some: that is no error, but noted. */
static int note(struct work *work, int status)
{
	work->notes.files_late += status == PFC_ETIMEDOUT;
	work->notes.files_too_large += status == PFC_ENOSPC;
	return status == PFC_ENOMEM ? status : 0;
}

/* A descriptor of the dump that the process mapped, which need not live any more; or an error. */
static int open_dump(const struct work *work, int32_t pid)
{
	const struct pfc_target_service *target = work->request->target;
	const struct module *dump = modules_find_dump(work->request->modules, pid);
	struct pfc_target_event event = { .struct_size = sizeof(event), .kind = PFC_TARGET_MAP };
	struct stat stat;
	int fd;

	if (dump == NULL || target == NULL || !PFC_HAS(target, open_mapped)) {
		return PFC_ENOENT;
	}
	event.pid = pid;
	event.tid = pid;
	event.inode = dump->inode;
	event.dev_major = dump->dev_major;
	event.dev_minor = dump->dev_minor;
	event.text = dump->path;
	fd = target->open_mapped(target->ctx, &event);
	if (fd >= 0 && (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))) {
		close(fd);
		return PFC_EINVAL;
	}
	return fd;
}

static int by_dump(struct work *work, const struct module *module, const uint64_t *addresses, uint32_t count)
{
	struct jit_dump_request request = { .addresses = addresses,
					    .count = count,
					    .deadline_ns = work->request->deadline_ns,
					    .on_code = take_code,
					    .ctx = work };
	int status;

	request.fd = open_dump(work, module->pid);
	if (request.fd < 0) {
		return 0;
	}
	status = jit_dump_resolve(&request);
	close(request.fd);
	work->notes.jit_dumps += status != PFC_ECORRUPT;
	return note(work, status);
}

static int by_map(struct work *work, struct module *module, const uint64_t *addresses, uint32_t count)
{
	struct perf_map_request request = { .addresses = addresses,
					    .count = count,
					    .deadline_ns = work->request->deadline_ns,
					    .on_name = take_map_name,
					    .ctx = work };

	module_find_map(module, work->request->target);
	if (module->map_fd < 0) {
		return 0;
	}
	request.fd = module->map_fd;
	work->notes.perf_maps++;
	return note(work, perf_map_resolve(&request));
}

int symbolize_jit(struct work *work, struct module *module, uint32_t count)
{
	uint64_t *addresses = symbolize_addresses(work, count);
	bool any = false;
	int status = addresses != NULL ? by_dump(work, module, addresses, count) : PFC_ENOMEM;

	if (status == 0) {
		status = by_map(work, module, addresses, count);
	}
	free(addresses);
	return status == 0 ? symbolize_take_symbols(work, count, &any) : status;
}

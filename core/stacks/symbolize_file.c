/* SPDX-License-Identifier: MIT */
/* The locations of one module, by the file it came from. */
#include "stacks/symbolize_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

/* Past this a file gets no names: no linked program comes near it. */
#define FILE_BYTES_MAX (4ULL << 30)

/* dwarf.h: open_common. */
static int open_common(void *ctx, const char *build_id)
{
	const struct work *work = ctx;
	struct debug_file file;

	return debug_file_of_build_id(work->source->module, build_id, work->request->target, &file) == 0
		       ? file.image.fd
		       : PFC_ENOENT;
}

uint64_t *symbolize_addresses(const struct work *work, uint32_t count)
{
	uint64_t *addresses = malloc(count * sizeof(*addresses));

	for (uint32_t i = 0; i < count && addresses != NULL; i++) {
		addresses[i] = work->request->intern->location_address[work->locations[i]];
	}
	return addresses;
}

/* Said where it happens, by file: a report with fewer names than the file could give must say so. */
static void warn(struct work *work, const char *what)
{
	const struct pfc_host *host = work->request->host;
	char text[512];

	if (host != NULL) {
		snprintf(text, sizeof(text), "%.300s: %s", work->source->module->path, what);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
}

/* dwarf.h: open_split. Both kinds of file are looked for beside the program, by their last names. */
static int open_split(void *ctx, const char *name)
{
	struct work *work = ctx;
	const struct module *module = work->source->module;
	const struct pfc_target_service *target = work->request->target;
	const char *slash = strrchr(name != NULL ? name : module->path, '/');
	const char *last = slash != NULL ? slash + 1 : name != NULL ? name : module->path;
	struct pfc_target_event event = { .struct_size = sizeof(event), .kind = PFC_TARGET_MAP };
	char file[256];
	int fd;

	if (target == NULL || !PFC_HAS(target, open_related) ||
	    snprintf(file, sizeof(file), "%s%s", last, name == NULL ? ".dwp" : "") >= (int)sizeof(file)) {
		return PFC_ENOENT;
	}
	event.pid = module->pid;
	event.tid = module->pid;
	event.inode = module->inode;
	event.dev_major = module->dev_major;
	event.dev_minor = module->dev_minor;
	event.text = module->path;
	fd = target->open_related(target->ctx, &event, PFC_TARGET_DEBUG_BESIDE, file);
	work->splits_missing += fd < 0 && name != NULL;
	return fd;
}

static int resolve_lines(struct work *work, uint32_t count)
{
	struct dwarf_request request = { .image = work->source->lines,
					 .open_common = open_common,
					 .open_split = open_split,
					 .count = count,
					 .deadline_ns = work->request->deadline_ns,
					 .on_chain = symbolize_take_chain,
					 .ctx = work };
	uint64_t *addresses = symbolize_addresses(work, count);
	int status;

	if (addresses == NULL) {
		return PFC_ENOMEM;
	}
	request.addresses = addresses;
	work->splits_missing = 0;
	status = dwarf_resolve(&request);
	free(addresses);
	work->notes.splits_missing += work->splits_missing;
	if (work->splits_missing > 0) {
		warn(work, "split debug information (.dwo, .dwp) is not beside it: no inlined calls for some "
			   "of it");
	}
	return status;
}

static int note_lines(struct work *work, int status)
{
	switch (status) {
	case PFC_ENOMEM:
		return status;
	case PFC_ENOSPC:
		work->notes.files_too_large++;
		warn(work, "its debug information is larger than 2 GB or packed beyond belief: symbols only");
		return 0;
	case PFC_ETIMEDOUT:
		work->notes.files_late++;
		warn(work, "reading its debug information took too long: symbols only for some of it");
		return 0;
	case PFC_ENOTSUP:
		work->notes.files_unreadable++;
		warn(work, "its debug information is compressed in a way that cannot be read here, or refers "
			   "to a file that "
			   "is not there: symbols only");
		return 0;
	case PFC_ECORRUPT:
		work->notes.files_unreadable++;
		warn(work, "its debug information is broken: symbols only");
		return 0;
	case 0:
		work->notes.files_with_lines++;
		return 0;
	default:
		return 0;
	}
}

static void note_source(struct work *work, const struct source *source)
{
	work->notes.files_debug += source->has_debug;
	work->notes.files_fetched += source->is_fetched;
	if (source->server_status == PFC_ETIMEDOUT) {
		warn(work, "the servers of debug files took too long: its own symbols only");
	}
	work->notes.files_mini += source->has_mini;
	if (source->is_mismatched) {
		work->notes.files_mismatched++;
		warn(work, "its separate debug file belongs to another build: not used");
	}
	if (source->mini_status == PFC_ENOTSUP) {
		warn(work,
		     "profcore was built without liblzma: the symbols in its .gnu_debugdata are not read");
	}
}

static int symbolize_source(struct work *work, struct module *module, const struct source *source,
			    uint32_t count)
{
	bool any = false;
	int status, lines;

	work->source = source;
	work->symbols = &source->symbols;
	work->module = module;
	note_source(work, source);
	lines = source->unpack_status != 0 ? source->unpack_status : resolve_lines(work, count);
	status = note_lines(work, lines);
	if (status == 0) {
		status = symbolize_take_symbols(work, count, &any);
	}
	if (lines != 0) {
		work->notes.files_with_symbols += any;
		work->notes.files_without += !any;
	}
	work->source = NULL;
	work->symbols = NULL;
	work->module = NULL;
	return status;
}

int symbolize_opened(struct work *work, struct module *module, uint32_t count)
{
	struct source source;
	int status = source_open(module, work->request->target, work->servers, &source);

	if (status == 0) {
		status = symbolize_source(work, module, &source, count);
		source_close(&source);
	}
	return status;
}

int symbolize_file(struct work *work, struct module *module, uint32_t count)
{
	bool any = false;

	if (module->state == MODULE_CLOSED || module->image.bytes > FILE_BYTES_MAX) {
		work->notes.files_unopened += module->state == MODULE_CLOSED;
		work->notes.files_too_large += module->state != MODULE_CLOSED;
		return symbolize_take_symbols(work, count, &any);
	}
	if (module->state == MODULE_BARE) {
		return symbolize_jit(work, module, count);
	}
	if (module->state != MODULE_OPEN) {
		return symbolize_take_symbols(work, count, &any);
	}
	return symbolize_cached(work, module, count);
}

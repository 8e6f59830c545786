/* SPDX-License-Identifier: MIT */
#include "stacks/symbolize.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "base/clock.h"
#include "stacks/symbolize_work.h"

static struct module *module_of_row(const struct work *work, uint32_t row)
{
	for (uint32_t i = 0; i < work->request->modules->count; i++) {
		if (work->request->modules->rows[i].row == row) {
			return &work->request->modules->rows[i];
		}
	}
	return NULL;
}

static bool is_kernel(const struct work *work, uint32_t module_row)
{
	uint8_t kind = work->request->intern->module_kind[module_row];

	return kind == MODULE_KERNEL || kind == MODULE_KERNEL_MODULE;
}

static int symbolize_modules(struct work *work)
{
	const struct intern *intern = work->request->intern;
	uint32_t end;
	int status = 0;

	for (uint32_t start = 0; start + 1 < intern->location_count && status == 0; start = end) {
		uint32_t row = intern->location_module[work->order[start]];
		struct module *module = row != 0 ? module_of_row(work, row) : NULL;
		bool any = false;

		for (end = start + 1; end + 1 < intern->location_count; end++) {
			if (intern->location_module[work->order[end]] != row) {
				break;
			}
		}
		work->locations = &work->order[start];
		work->symbols = is_kernel(work, row) ? &work->request->kernel->symbols : NULL;
		status = module != NULL ? symbolize_file(work, module, end - start)
					: symbolize_take_symbols(work, end - start, &any);
		work->symbols = NULL;
	}
	return status;
}

struct order_key {
	uint32_t module, location;
	uint64_t address;
};

static int compare_keys(const void *a, const void *b)
{
	const struct order_key *left = a;
	const struct order_key *right = b;

	if (left->module != right->module) {
		return left->module < right->module ? -1 : 1;
	}
	return left->address < right->address ? -1 : left->address > right->address;
}

/* All locations but 0, by module and address. */
static int sort_locations(struct work *work)
{
	const struct intern *intern = work->request->intern;
	uint32_t count = intern->location_count - 1;
	struct order_key *keys = malloc((count > 0 ? count : 1) * sizeof(*keys));

	work->order = malloc((count > 0 ? count : 1) * sizeof(*work->order));
	work->first = calloc(intern->location_count, sizeof(*work->first));
	work->counts = calloc(intern->location_count, sizeof(*work->counts));
	if (keys == NULL || work->order == NULL || work->first == NULL || work->counts == NULL) {
		free(keys);
		return PFC_ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		keys[i].module = intern->location_module[i + 1];
		keys[i].location = i + 1;
		keys[i].address = intern->location_address[i + 1];
	}
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (uint32_t i = 0; i < count; i++) {
		work->order[i] = keys[i].location;
	}
	free(keys);
	return 0;
}

static int collect_frames(const struct work *work, struct frames *ret)
{
	uint32_t **columns[] = { &ret->location, &ret->inline_depth, &ret->function, &ret->file, &ret->line };

	ret->start = malloc(((size_t)work->found_count + 1) * sizeof(*ret->start));
	if (ret->start == NULL) {
		return PFC_ENOMEM;
	}
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		*columns[i] = malloc(((size_t)work->found_count + 1) * sizeof(uint32_t));
		if (*columns[i] == NULL) {
			return PFC_ENOMEM;
		}
	}
	for (uint32_t location = 1; location < work->request->intern->location_count; location++) {
		for (uint32_t i = 0; i < work->counts[location]; i++) {
			const struct found *found = &work->found[work->first[location] + i];

			ret->location[ret->count] = location;
			ret->inline_depth[ret->count] = i;
			ret->function[ret->count] = found->function;
			ret->file[ret->count] = found->file;
			ret->start[ret->count] = found->start;
			ret->line[ret->count++] = found->line;
		}
	}
	return 0;
}

static bool has_kernel(const struct work *work)
{
	for (uint32_t i = 0; i < work->request->intern->module_count; i++) {
		if (is_kernel(work, i)) {
			return true;
		}
	}
	return false;
}

/* They have the first half of the time: what they do not give in it must still be named by what is here. */
static void open_servers(struct work *work)
{
	const struct pfc_host *host = work->request->host;
	const char *lacking;
	uint64_t now_ns = clock_now();
	uint64_t left_ns = work->request->deadline_ns > now_ns ? work->request->deadline_ns - now_ns : 0;

	work->servers = debuginfod_open(now_ns + left_ns / 2, &lacking);
	if (lacking != NULL && host != NULL) {
		host->log(host->ctx, PFC_LOG_WARNING, lacking);
	}
}

int symbolize(const struct symbolize_request *request, struct frames *ret_frames,
	      struct symbolize_notes *ret_notes)
{
	struct work work = { .request = request, .names.intern = request->intern };
	int status = sort_locations(&work);

	memset(ret_frames, 0, sizeof(*ret_frames));
	if (status == 0 && has_kernel(&work)) {
		work.notes.kernel_status = request->kernel->symbols_status;
	}
	if (status == 0) {
		open_servers(&work);
		status = symbolize_modules(&work);
		debuginfod_close(work.servers);
	}
	if (status == 0) {
		status = collect_frames(&work, ret_frames);
	}
	if (status == 0) {
		*ret_notes = work.notes;
	} else {
		frames_finish(ret_frames);
	}
	names_finish(&work.names);
	free(work.order);
	free(work.first);
	free(work.counts);
	free(work.found);
	return status;
}

void frames_finish(struct frames *frames)
{
	free(frames->location);
	free(frames->inline_depth);
	free(frames->function);
	free(frames->file);
	free(frames->line);
	free(frames->start);
	memset(frames, 0, sizeof(*frames));
}

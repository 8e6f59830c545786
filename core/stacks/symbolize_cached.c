/* SPDX-License-Identifier: MIT */
/* The locations of a file by what an earlier run found of it, and what this one finds for the next. */
#include "stacks/symbolize_work.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/cache.h"

/** What is to be written. */
struct draft {
	uint64_t *addresses;
	uint32_t *first;
	struct cache_frame *frames;
	char *texts;
	uint32_t *text_of; /* of each string of the session: its place in texts; 0: none yet */
	uint32_t address_count, frame_count, text_bytes;
	uint32_t address_room, first_room, frame_room, text_room;
	uint32_t text_of_count;
	bool is_full; /* no memory, or beyond a bound: nothing is written */
};

static void finish_draft(struct draft *draft)
{
	free(draft->addresses);
	free(draft->first);
	free(draft->frames);
	free(draft->texts);
	free(draft->text_of);
}

static uint32_t add_text(struct draft *draft, const struct intern *intern, uint32_t string)
{
	const char *text = intern_text(intern, string);
	size_t bytes = strlen(text) + 1;
	uint32_t at = draft->text_bytes;

	if (string == 0 || draft->text_of[string] != 0) {
		return string == 0 ? 0 : draft->text_of[string];
	}
	if (array_reserve(&draft->texts, &draft->text_room, (uint64_t)at + bytes, 1) != 0) {
		draft->is_full = true;
		return 0;
	}
	memcpy(draft->texts + at, text, bytes);
	draft->text_bytes += (uint32_t)bytes;
	draft->text_of[string] = at;
	return at;
}

static void add_address(struct draft *draft, uint64_t address)
{
	if (draft->address_count >= CACHE_ADDRESSES_MAX ||
	    array_reserve(&draft->addresses, &draft->address_room, draft->address_count + 1ULL,
			  sizeof(*draft->addresses)) != 0 ||
	    array_reserve(&draft->first, &draft->first_room, draft->address_count + 2ULL,
			  sizeof(*draft->first)) != 0) {
		draft->is_full = true;
		return;
	}
	draft->first[draft->address_count] = draft->frame_count;
	draft->addresses[draft->address_count++] = address;
	draft->first[draft->address_count] = draft->frame_count;
}

/* A frame of the address that was added last. */
static void add_frame(struct draft *draft, const struct intern *intern, const struct found *found)
{
	if (draft->is_full || array_reserve(&draft->frames, &draft->frame_room, draft->frame_count + 1ULL,
					    sizeof(*draft->frames)) != 0) {
		draft->is_full = true;
		return;
	}
	draft->frames[draft->frame_count++] =
		(struct cache_frame){ .function = add_text(draft, intern, found->function),
				      .file = add_text(draft, intern, found->file),
				      .line = found->line,
				      .start = found->start };
	draft->first[draft->address_count] = draft->frame_count;
}

/* What the cache knew and this run did not meet. Its texts become strings of no row: they are looked up, not added. */
static void add_known(struct draft *draft, const struct cache *known, uint32_t number)
{
	add_address(draft, known->addresses[number]);
	for (uint32_t i = known->first[number]; i < known->first[number + 1] && !draft->is_full; i++) {
		const char *texts[2] = { known->texts + known->frames[i].function,
					 known->texts + known->frames[i].file };
		uint32_t at[2] = { 0, 0 };

		for (int k = 0; k < 2; k++) {
			size_t bytes = strlen(texts[k]) + 1;

			if (bytes == 1) {
				continue;
			}
			at[k] = draft->text_bytes;
			if (array_reserve(&draft->texts, &draft->text_room, (uint64_t)at[k] + bytes, 1) !=
			    0) {
				draft->is_full = true;
				return;
			}
			memcpy(draft->texts + at[k], texts[k], bytes);
			draft->text_bytes += (uint32_t)bytes;
		}
		if (array_reserve(&draft->frames, &draft->frame_room, draft->frame_count + 1ULL,
				  sizeof(*draft->frames)) != 0) {
			draft->is_full = true;
			return;
		}
		draft->frames[draft->frame_count] = known->frames[i];
		draft->frames[draft->frame_count].function = at[0];
		draft->frames[draft->frame_count++].file = at[1];
	}
	draft->first[draft->address_count] = draft->frame_count;
}

/* This run's locations and what was known before, in order of address. */
static void fill_draft(struct draft *draft, const struct work *work, const uint32_t *locations,
		       uint32_t count, const struct cache *known)
{
	const struct intern *intern = work->request->intern;
	uint32_t next = 0;

	draft->text_of = calloc(intern->string_count, sizeof(*draft->text_of));
	draft->text_bytes = 1;
	if (draft->text_of == NULL || array_reserve(&draft->texts, &draft->text_room, 1, 1) != 0 ||
	    array_reserve(&draft->first, &draft->first_room, 1, sizeof(*draft->first)) != 0) {
		draft->is_full = true;
		return;
	}
	draft->texts[0] = '\0';
	draft->first[0] = 0;
	for (uint32_t i = 0; i <= count && !draft->is_full; i++) {
		uint64_t address = i < count ? intern->location_address[locations[i]] : UINT64_MAX;

		for (; next < known->address_count && known->addresses[next] < address && !draft->is_full;
		     next++) {
			add_known(draft, known, next);
		}
		if (i == count) {
			break;
		}
		next += next < known->address_count && known->addresses[next] == address;
		add_address(draft, address);
		for (uint32_t k = 0; k < work->counts[locations[i]]; k++) {
			add_frame(draft, intern, &work->found[work->first[locations[i]] + k]);
		}
	}
}

static void keep(const struct work *work, const struct module *module, const struct cache_identity *identity,
		 const uint32_t *locations, uint32_t count, const struct cache *known, bool has_debug_file)
{
	struct draft draft = { .addresses = NULL };

	fill_draft(&draft, work, locations, count, known);
	if (!draft.is_full) {
		struct cache cache = { .has_debug_file = has_debug_file,
				       .address_count = draft.address_count,
				       .frame_count = draft.frame_count,
				       .text_bytes = draft.text_bytes,
				       .addresses = draft.addresses,
				       .first = draft.first,
				       .frames = draft.frames,
				       .texts = draft.texts };

		cache_write(work->request->cache_folder, module->headers.build_id, identity, &cache);
	}
	finish_draft(&draft);
}

static int add_cached(struct work *work, uint32_t location, const struct cache *known, uint32_t number)
{
	int status = 0;

	for (uint32_t i = known->first[number]; i < known->first[number + 1] && status == 0; i++) {
		const struct cache_frame *frame = &known->frames[i];
		const char *function = known->texts + frame->function;
		const char *file = known->texts + frame->file;
		struct found found = { .line = frame->line, .start = frame->start };

		status = intern_string(work->request->intern, function, strlen(function), &found.function);
		if (status == 0) {
			status = intern_string(work->request->intern, file, strlen(file), &found.file);
		}
		if (status == 0) {
			status = symbolize_add(work, location, &found);
		}
	}
	return status;
}

/* Name what is known; the others are left in `rest`. Both are in order of address. */
static int take_known(struct work *work, uint32_t count, const struct cache *known, uint32_t *rest,
		      uint32_t *ret_rest)
{
	uint32_t next = 0;
	int status = 0;

	*ret_rest = 0;
	for (uint32_t i = 0; i < count && status == 0; i++) {
		uint32_t location = work->locations[i];
		uint64_t address = work->request->intern->location_address[location];

		while (next < known->address_count && known->addresses[next] < address) {
			next++;
		}
		if (next < known->address_count && known->addresses[next] == address &&
		    known->first[next] < known->first[next + 1]) {
			status = add_cached(work, location, known, next);
		} else {
			rest[(*ret_rest)++] = location;
		}
	}
	work->notes.locations_cached += count - *ret_rest;
	return status;
}

static void read_known(struct work *work, const struct module *module, const struct cache_identity *identity,
		       struct cache *known)
{
	const struct pfc_host *host = work->request->host;

	if (cache_read(work->request->cache_folder, module->headers.build_id, identity, known) ==
		    PFC_ECORRUPT &&
	    host != NULL) {
		host->log(host->ctx, PFC_LOG_INFO, "a damaged file in the cache of names, made anew");
	}
}

int symbolize_cached(struct work *work, struct module *module, uint32_t count)
{
	const uint32_t *locations = work->locations;
	struct cache known = { .bytes = NULL };
	struct symbolize_notes before = work->notes;
	struct cache_identity identity;
	uint32_t *rest;
	uint32_t rest_count = count;
	int status;

	if (work->request->cache_folder < 0 || !cache_identify(module->image.fd, &identity)) {
		return symbolize_opened(work, module, count);
	}
	rest = malloc((count > 0 ? count : 1) * sizeof(*rest));
	if (rest == NULL) {
		return PFC_ENOMEM;
	}
	read_known(work, module, &identity, &known);
	status = take_known(work, count, &known, rest, &rest_count);
	if (status == 0 && rest_count == 0) {
		work->notes.files_with_lines++;
		work->notes.files_debug += known.has_debug_file;
	} else if (status == 0) {
		work->locations = rest;
		status = symbolize_opened(work, module, rest_count);
		work->locations = locations;
		/* Only what took long, and went well: DWARF that was read to its end. */
		if (status == 0 && work->notes.files_with_lines > before.files_with_lines &&
		    work->notes.splits_missing == before.splits_missing) {
			keep(work, module, &identity, locations, count, &known,
			     work->notes.files_debug > before.files_debug);
		}
	}
	cache_finish(&known);
	free(rest);
	return status;
}

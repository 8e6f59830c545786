/* SPDX-License-Identifier: MIT */
/* Reading a profile: the order of the parts, functions, and what describes the artifact as a whole. */
#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "text.h"

uint32_t profile_id(struct profile *profile, uint32_t id, uint32_t count)
{
	if (id < count) {
		return id;
	}
	profile->bad_ids++;
	return 0;
}

uint32_t profile_rows(struct profile *profile, uint64_t rows)
{
	if (rows > PROFILE_MAX_ROWS) {
		profile->dropped_rows += rows - PROFILE_MAX_ROWS;
		return PROFILE_MAX_ROWS;
	}
	return rows ? (uint32_t)rows : 1;
}

int profile_function_add(struct profile *profile, const struct profile_function *function, uint32_t *ret)
{
	struct profile_function *bigger;
	uint32_t *id;
	bool is_new;

	if (profile->function_count == profile->function_room) {
		profile->function_room = profile->function_room ? profile->function_room * 2 : 256;
		bigger = realloc(profile->functions, profile->function_room * sizeof(*bigger));
		if (!bigger) {
			return PFC_ENOMEM;
		}
		profile->functions = bigger;
	}
	id = pairmap_at(&profile->function_ids, pairmap_key(function->module, function->name),
			profile->function_count, &is_new);
	if (!id) {
		return PFC_ENOMEM;
	}
	if (is_new) {
		profile->functions[profile->function_count++] = *function;
	}
	*ret = *id;
	return PFC_OK;
}

const char *profile_function_name(const struct profile *profile, uint32_t function)
{
	return names_text(&profile->names, profile->functions[function].name);
}

bool profile_is_own(const struct profile *profile, uint32_t function)
{
	static const char *const libraries[] = { "std::", "core::", "alloc::", "hashbrown::", "__rustc::" };
	const char *name = profile_function_name(profile, function);

	name += name[0] == '<'; /* Rust writes methods as <path::Type>::name */
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		if (strncmp(name, libraries[i], strlen(libraries[i])) == 0) {
			return false;
		}
	}
	return profile->functions[function].kind == PROFILE_APP && profile->functions[function].named;
}

const char *profile_function_module(const struct profile *profile, uint32_t function)
{
	return names_text(&profile->names, profile->modules[profile->functions[function].module].name);
}

const char *profile_kind_word(unsigned kind)
{
	static const char *const words[] = { "app", "library", "kernel", "unknown", "thread" };

	return kind < sizeof(words) / sizeof(words[0]) ? words[kind] : "unknown";
}

/* Clean a short text of the artifact into a field; what does not fit is cut. */
static int copy_clean(const char *raw, char *to, size_t room)
{
	struct text clean = { 0 };
	int status;

	text_clean(&clean, (struct pfc_string){ raw, strlen(raw) }, room);
	status = clean.failed ? PFC_ENOMEM : PFC_OK;
	snprintf(to, room, "%s", text_str(&clean));
	if (clean.bytes >= room) {
		/* Do not leave half a character behind. */
		while (room > 1 && ((unsigned char)text_str(&clean)[room - 1] & 0xc0) == 0x80) {
			to[--room - 1] = '\0';
		}
	}
	text_finish(&clean);
	return status;
}

static int copy_fact(const struct pfc_reader *reader, const char *key, const char *missing, char *to,
		     size_t room)
{
	const char *raw = NULL;

	if (reader->fact(reader->ctx, key, NULL, &raw) != PFC_OK || !raw || !*raw) {
		raw = missing;
	}
	return copy_clean(raw, to, room);
}

static int describe(struct profile *profile, const struct pfc_reader *reader)
{
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	int status;

	if (reader->describe(reader->ctx, &about) != PFC_OK) {
		memset(&about, 0, sizeof(about));
	}
	profile->partial = about.partial != 0;
	profile->lost = about.lost;
	status = copy_clean(about.producer ? about.producer : "", profile->producer,
			    sizeof(profile->producer));
	if (status == PFC_OK) {
		status = copy_clean(about.port ? about.port : "", profile->port, sizeof(profile->port));
	}
	if (status == PFC_OK) {
		status = copy_clean(about.signal ? about.signal : "", profile->signal,
				    sizeof(profile->signal));
	}
	if (status == PFC_OK) {
		status = copy_fact(reader, "event", "samples", profile->event, sizeof(profile->event));
	}
	if (status == PFC_OK) {
		status = copy_fact(reader, "only_symbols", "", profile->only_symbols,
				   sizeof(profile->only_symbols));
	}
	return status == PFC_OK
		       ? copy_fact(reader, "weight_unit", "count", profile->unit, sizeof(profile->unit))
		       : status;
}

int profile_read(const struct pfc_reader *reader, const struct profile_options *options, struct profile **ret)
{
	struct profile *profile = calloc(1, sizeof(*profile));
	struct profile_function unknown = { .kind = PROFILE_UNKNOWN };
	uint32_t id;
	int status = PFC_ENOMEM;

	if (!profile) {
		return PFC_ENOMEM;
	}
	if (describe(profile, reader) != PFC_OK || names_init(&profile->names, options->seed) != PFC_OK ||
	    names_clean(&profile->names, "[unknown]", &unknown.name) != PFC_OK ||
	    profile_function_add(profile, &unknown, &id) != PFC_OK) {
		goto out;
	}
	status = profile_strings_open(profile, reader);
	if (status == PFC_OK) {
		status = profile_read_modules(profile, reader);
	}
	if (status == PFC_OK) {
		status = profile_read_stacks(profile, reader);
	}
	if (status == PFC_OK) {
		status = profile_read_frames(profile, reader);
	}
	if (status == PFC_OK) {
		status = profile_read_samples(profile, reader, options);
	}
out:
	profile_strings_close(profile);
	if (status == PFC_OK) {
		*ret = profile;
	} else {
		profile_destroy(profile);
	}
	return status;
}

void profile_destroy(struct profile *profile)
{
	if (!profile) {
		return;
	}
	profile_strings_close(profile);
	names_finish(&profile->names);
	pairmap_finish(&profile->function_ids);
	free(profile->modules);
	free(profile->functions);
	free(profile->location_module);
	free(profile->location_address);
	free(profile->frame_first);
	free(profile->frames);
	free(profile->parent);
	free(profile->stack_location);
	free(profile->stack_weight);
	free(profile->stack_samples);
	free(profile->threads);
	free(profile->shares);
	free(profile);
}

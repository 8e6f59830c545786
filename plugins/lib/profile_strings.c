/* SPDX-License-Identifier: MIT */
/* The strings of an artifact, by row number: found in place, cleaned and interned when first asked for. */
#include "profile.h"

#include <stdlib.h>

#include <profcore/status.h>

#include "cols.h"

struct profile_strings {
	struct pfc_column_view *chunks;
	uint32_t chunk_count;
	uint32_t count;  /* of strings */
	uint32_t *names; /* number in profile->names + 1; 0 while nobody asked */
};

int profile_strings_open(struct profile *profile, const struct pfc_reader *reader)
{
	static const char *const columns[] = { "text" };
	struct profile_strings *strings = calloc(1, sizeof(*strings));
	struct cols cols;

	profile->strings = strings;
	if (!strings) {
		return PFC_ENOMEM;
	}
	cols_begin(&cols, reader, "strings", columns, 1);
	strings->chunks = calloc((size_t)cols.table.chunk_count + 1, sizeof(*strings->chunks));
	if (!strings->chunks) {
		return PFC_ENOMEM;
	}
	while (cols_next(&cols)) {
		if (cols.views[0].type == PFC_UTF8 && cols.first_row == strings->count) {
			strings->chunks[strings->chunk_count++] = cols.views[0];
			strings->count = profile_rows(profile, strings->count + cols.rows);
		}
	}
	profile->cut |= cols.cut;
	strings->names = calloc((size_t)strings->count + 1, sizeof(*strings->names));
	return strings->names ? PFC_OK : PFC_ENOMEM;
}

void profile_strings_close(struct profile *profile)
{
	if (profile->strings) {
		free(profile->strings->chunks);
		free(profile->strings->names);
		free(profile->strings);
		profile->strings = NULL;
	}
}

static struct pfc_string locate(const struct profile_strings *strings, uint32_t id)
{
	const struct pfc_column_view *view;
	uint32_t low = 0, high = strings->chunk_count, middle;
	struct pfc_string string;
	uint64_t row;

	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (strings->chunks[middle].first_row <= id) {
			low = middle;
		} else {
			high = middle;
		}
	}
	view = &strings->chunks[low];
	row = id - view->first_row;
	string.data = (const char *)view->data + view->offsets[row];
	string.bytes = (uint64_t)(view->offsets[row + 1] - view->offsets[row]);
	return string;
}

int profile_string(struct profile *profile, uint32_t id, uint32_t *ret)
{
	struct profile_strings *strings = profile->strings;
	uint32_t name;
	int status;

	if (id >= strings->count) {
		profile->bad_ids += id != 0;
		*ret = 0;
		return PFC_OK;
	}
	if (!strings->names[id]) {
		status = names_raw(&profile->names, locate(strings, id), &name);
		if (status != PFC_OK) {
			return status;
		}
		strings->names[id] = name + 1;
	}
	*ret = strings->names[id] - 1;
	return PFC_OK;
}

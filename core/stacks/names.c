/* SPDX-License-Identifier: MIT */
#include "stacks/names.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "base/str.h"
#include "stacks/demangle.h"

#define READABLE_BYTES_MAX 4096

static int add_name(struct names *names, const char *linkage_name, size_t bytes, uint32_t *ret)
{
	char readable[READABLE_BYTES_MAX];
	struct name name = { .at = names->byte_count };
	int status;

	demangle(readable, sizeof(readable), linkage_name);
	status = intern_string(names->intern, readable, strlen(readable), &name.string);
	if (status == 0) {
		status = array_reserve(&names->bytes, &names->byte_room,
				       (uint64_t)names->byte_count + bytes + 1, 1);
	}
	if (status == 0) {
		status = array_reserve(&names->rows, &names->room, (uint64_t)names->count + 1,
				       sizeof(*names->rows));
	}
	if (status != 0) {
		return status;
	}
	memcpy(names->bytes + names->byte_count, linkage_name, bytes + 1);
	names->byte_count += (uint32_t)bytes + 1;
	names->rows[names->count++] = name;
	*ret = name.string;
	return 0;
}

int names_find(struct names *names, const char *linkage_name, uint32_t *ret)
{
	size_t bytes = strlen(linkage_name);
	uint32_t value = hash_bytes(linkage_name, bytes);
	int status = hash_reserve(&names->index);
	uint32_t at, row;

	if (status != 0) {
		return status;
	}
	for (at = hash_first(&names->index, value);; at = hash_next(&names->index, at)) {
		row = hash_row(&names->index, at);
		if (row == HASH_NONE) {
			break;
		}
		if (hash_is(&names->index, at, value) &&
		    str_equal(names->bytes + names->rows[row].at, linkage_name)) {
			*ret = names->rows[row].string;
			return 0;
		}
	}
	row = names->count;
	status = add_name(names, linkage_name, bytes, ret);
	if (status == 0) {
		hash_take(&names->index, at, value, row);
	}
	return status;
}

void names_finish(struct names *names)
{
	hash_finish(&names->index);
	free(names->bytes);
	free(names->rows);
	memset(names, 0, sizeof(*names));
}

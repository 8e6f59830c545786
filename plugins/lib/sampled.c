/* SPDX-License-Identifier: MIT */
#include "sampled.h"

#include <stdlib.h>

#include <profcore/status.h>

#include "cols.h"

#define SAMPLES_MAX (1u << 20) /* later ones are not looked up */

struct sampled_row {
	uint64_t time_ns;
	int32_t tid;
	uint32_t stack;
};

static int compare(const void *a, const void *b)
{
	const struct sampled_row *x = a;
	const struct sampled_row *y = b;

	if (x->time_ns != y->time_ns) {
		return x->time_ns < y->time_ns ? -1 : 1;
	}
	return (x->tid > y->tid) - (x->tid < y->tid);
}

int sampled_read(struct sampled *to, const struct pfc_reader *reader, uint32_t stack_count)
{
	static const char *const columns[] = { "time", "tid", "stack" };
	struct cols cols;
	uint64_t most;

	if (cols_begin(&cols, reader, "samples", columns, 3) != PFC_OK || cols.table.row_count == 0) {
		return PFC_OK;
	}
	most = cols.table.row_count < SAMPLES_MAX ? cols.table.row_count : SAMPLES_MAX;
	to->rows = calloc(most, sizeof(*to->rows));
	if (!to->rows) {
		return PFC_ENOMEM;
	}
	while (cols_next(&cols)) {
		for (uint64_t row = 0; row < cols.rows && to->count < most; row++) {
			uint32_t stack = cols_id(&cols, 2, row);

			to->rows[to->count++] = (struct sampled_row){ (uint64_t)cols_int(&cols, 0, row, 0),
								      (int32_t)cols_int(&cols, 1, row, 0),
								      stack < stack_count ? stack : 0 };
		}
	}
	qsort(to->rows, to->count, sizeof(*to->rows), compare);
	return PFC_OK;
}

void sampled_finish(struct sampled *sampled)
{
	free(sampled->rows);
	*sampled = (struct sampled){ 0 };
}

uint32_t sampled_at(const struct sampled *sampled, uint64_t time_ns, int32_t tid)
{
	struct sampled_row key = { time_ns, tid, 0 };
	const struct sampled_row *found =
		sampled->count ? bsearch(&key, sampled->rows, sampled->count, sizeof(key), compare) : NULL;

	return found ? found->stack : 0;
}

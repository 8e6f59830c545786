/* SPDX-License-Identifier: MIT */
#include "work.h"

uint64_t work_do(enum work work, uint64_t seed, uint64_t passes)
{
	uint64_t result = 0;

	switch (work) {
	case WORK_HASH:
		result = hash_rounds(seed, passes);
		break;
	case WORK_SORT:
		result = sort_comments(seed, passes);
		break;
	case WORK_MARKDOWN:
		result = render_markdown(seed, passes);
		break;
	case WORK_COUNT:
		break;
	}
	return result;
}

const char *work_name(enum work work)
{
	static const char *const names[WORK_COUNT] = { "hash_rounds", "sort_comments", "render_markdown" };

	return names[work];
}

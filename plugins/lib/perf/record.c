/* SPDX-License-Identifier: MIT */
/* Records of a perf ring: see record.h. The order of fields is that of perf_event_open(2). */
#include "record.h"

#include <string.h>

#include "event.h"

/* Reads on, eight bytes at a time; `failed` sticks. */
struct cursor {
	const uint64_t *at;
	uint64_t left; /* in words */
	bool failed;
};

static uint64_t take(struct cursor *cursor)
{
	if (cursor->left == 0) {
		cursor->failed = true;
		return 0;
	}
	cursor->left--;
	return *cursor->at++;
}

/* Two 32-bit fields share a word; on every byte order the first comes first in memory. */
static void take_pair(struct cursor *cursor, int32_t *ret_first, int32_t *ret_second)
{
	uint64_t word = take(cursor);
	int32_t pair[2];

	memcpy(pair, &word, sizeof(pair));
	*ret_first = pair[0];
	*ret_second = pair[1];
}

static struct cursor body_of(const struct perf_event_header *header)
{
	struct cursor cursor = { (const uint64_t *)(const void *)(header + 1), 0, false };

	if (header->size >= sizeof(*header)) {
		cursor.left = (header->size - sizeof(*header)) / sizeof(uint64_t);
	}
	return cursor;
}

/* A 32-bit size and so many bytes, together a multiple of 8. */
static void take_raw(struct cursor *cursor, struct perf_record_sample *ret)
{
	const uint8_t *at = (const uint8_t *)cursor->at;
	uint64_t words;
	uint32_t bytes;

	if (cursor->left == 0) {
		cursor->failed = true;
		return;
	}
	memcpy(&bytes, at, sizeof(bytes));
	words = ((uint64_t)bytes + sizeof(bytes) + 7) / 8;
	if (words > cursor->left) {
		cursor->failed = true;
		return;
	}
	ret->raw = at + sizeof(bytes);
	ret->raw_bytes = bytes;
	cursor->at += words;
	cursor->left -= words;
}

/* A number and so many entries of three words. */
static void take_branches(struct cursor *cursor, struct perf_record_sample *ret)
{
	uint64_t count = take(cursor);

	if (cursor->failed || count > cursor->left / 3) {
		cursor->failed = true;
		return;
	}
	ret->branches = cursor->at;
	ret->branch_count = count;
	cursor->at += count * 3;
	cursor->left -= count * 3;
}

static void take_regs(struct cursor *cursor, struct perf_record_sample *ret)
{
	uint64_t count = (uint64_t)__builtin_popcountll(PERF_USER_REGS);

	ret->regs_abi = take(cursor);
	if (ret->regs_abi == PERF_SAMPLE_REGS_ABI_NONE) {
		return;
	}
	if (cursor->failed || count > cursor->left) {
		cursor->failed = true;
		return;
	}
	ret->regs = cursor->at;
	cursor->at += count;
	cursor->left -= count;
}

/* Size asked for, so many bytes, size that was copied; the last two only where the first is not 0. */
static void take_stack(struct cursor *cursor, struct perf_record_sample *ret)
{
	uint64_t asked = take(cursor);
	const uint64_t *at = cursor->at;
	uint64_t copied;

	if (cursor->failed || asked == 0) {
		return;
	}
	if (asked % sizeof(uint64_t) != 0 || asked / sizeof(uint64_t) > cursor->left) {
		cursor->failed = true;
		return;
	}
	cursor->at += asked / sizeof(uint64_t);
	cursor->left -= asked / sizeof(uint64_t);
	copied = take(cursor);
	if (cursor->failed || copied > asked) {
		cursor->failed = true;
		return;
	}
	ret->stack = copied ? at : NULL;
	ret->stack_bytes = copied;
	ret->stack_asked = asked;
}

bool perf_record_parse_sample(const struct perf_event_header *header, uint64_t sample_type,
			      struct perf_record_sample *ret)
{
	struct cursor cursor = body_of(header);
	unsigned mode = header->misc & PERF_RECORD_MISC_CPUMODE_MASK;
	int32_t reserved;
	uint64_t count;

	memset(ret, 0, sizeof(*ret));
	ret->is_kernel = mode == PERF_RECORD_MISC_KERNEL;
	ret->id = take(&cursor);
	ret->ip = take(&cursor);
	take_pair(&cursor, &ret->pid, &ret->tid);
	ret->time_ns = take(&cursor);
	if (sample_type & PERF_SAMPLE_ADDR) {
		ret->addr = take(&cursor);
	}
	take_pair(&cursor, &ret->cpu, &reserved);
	ret->period = take(&cursor);
	if (sample_type & PERF_SAMPLE_CALLCHAIN) {
		count = take(&cursor);
		if (cursor.failed || count > cursor.left) {
			return false;
		}
		ret->chain = cursor.at;
		ret->chain_count = (uint32_t)count;
		cursor.at += count;
		cursor.left -= count;
	}
	if (sample_type & PERF_SAMPLE_RAW) {
		take_raw(&cursor, ret);
	}
	if (sample_type & PERF_SAMPLE_BRANCH_STACK) {
		take_branches(&cursor, ret);
	}
	if (sample_type & PERF_SAMPLE_REGS_USER) {
		take_regs(&cursor, ret);
	}
	if (sample_type & PERF_SAMPLE_STACK_USER) {
		take_stack(&cursor, ret);
	}
	return !cursor.failed;
}

/* Marks are the highest 4095 values, as error codes are: no address looks like that. */
static bool is_mark(uint64_t ip)
{
	return ip >= (uint64_t)PERF_CONTEXT_MAX;
}

void perf_record_part_chain(const struct perf_record_sample *sample, struct perf_record_chain *ret)
{
	uint32_t i = 0;

	memset(ret, 0, sizeof(*ret));
	while (i < sample->chain_count) {
		uint64_t mark = sample->chain[i];
		uint32_t first = ++i;

		if (!is_mark(mark)) { /* a frame before any mark: whose it is cannot be told */
			continue;
		}
		while (i < sample->chain_count && !is_mark(sample->chain[i])) {
			i++;
		}
		if (mark == (uint64_t)PERF_CONTEXT_KERNEL && ret->kernel_count == 0) {
			ret->kernel = sample->chain + first;
			ret->kernel_count = i - first;
		} else if (mark == (uint64_t)PERF_CONTEXT_USER && ret->user_count == 0) {
			ret->user = sample->chain + first;
			ret->user_count = i - first;
		}
	}
	if (ret->kernel_count == 0 && ret->user_count == 0) {
		if (sample->is_kernel) {
			ret->kernel = &sample->ip;
			ret->kernel_count = 1;
		} else {
			ret->user = &sample->ip;
			ret->user_count = 1;
		}
	}
}

uint32_t perf_record_branch_chain(const struct perf_record_sample *sample, uint64_t *to, uint32_t room)
{
	uint32_t used = 0;

	if (room > 0 && !sample->is_kernel) {
		to[used++] = sample->ip;
	}
	for (uint64_t i = 0; i < sample->branch_count && used < room; i++) {
		to[used++] = sample->branches[i * 3];
	}
	return used;
}

bool perf_record_parse_fork(const struct perf_event_header *header, int32_t *ret_pid, int32_t *ret_parent_pid)
{
	struct cursor cursor = body_of(header);
	int32_t pid, parent_pid;

	take_pair(&cursor, &pid, &parent_pid);
	if (cursor.failed || pid == parent_pid) {
		return false;
	}
	*ret_pid = pid;
	*ret_parent_pid = parent_pid;
	return true;
}

uint64_t perf_record_parse_lost(const struct perf_event_header *header)
{
	struct cursor cursor = body_of(header);
	uint64_t count;

	if (header->type == PERF_RECORD_LOST) {
		(void)take(&cursor); /* id of the event that found the ring full */
	}
	count = take(&cursor);
	return cursor.failed ? 0 : count;
}

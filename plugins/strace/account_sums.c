/* SPDX-License-Identifier: MIT */
/* Adding up within one record of the account: see account.h. */
#include "account.h"

void cell_add_errors(struct cell *cell, int32_t number, uint64_t count)
{
	cell->errors += count;
	for (size_t i = 0; i < CELL_ERRORS; i++) {
		if (cell->error[i].number == number || cell->error[i].number == 0) {
			cell->error[i].number = number;
			cell->error[i].count += count;
			return;
		}
	}
}

void cell_add_call(struct cell *cell, uint64_t duration_ns, int64_t result)
{
	cell->min_ns = cell->calls == 0 || duration_ns < cell->min_ns ? duration_ns : cell->min_ns;
	cell->max_ns = duration_ns > cell->max_ns ? duration_ns : cell->max_ns;
	cell->calls++;
	cell->zeros += result == 0;
	cell->total_ns += duration_ns;
	cell->call_buckets[bucket_of(duration_ns)]++;
	if (result < 0 && result >= -4095) {
		cell_add_errors(cell, (int32_t)-result, 1);
	}
}

void cell_add_wait(struct cell *cell, uint64_t blocked_ns, uint64_t runnable_ns)
{
	cell->waits++;
	cell->blocked_ns += blocked_ns;
	cell->runnable_ns += runnable_ns;
	cell->max_wait_ns = blocked_ns > cell->max_wait_ns ? blocked_ns : cell->max_wait_ns;
	cell->wait_buckets[bucket_of(blocked_ns)]++;
}

void wait_add(struct wait *wait, uint64_t duration_ns)
{
	wait->count++;
	wait->total_ns += duration_ns;
	wait->max_ns = duration_ns > wait->max_ns ? duration_ns : wait->max_ns;
	wait->buckets[bucket_of(duration_ns)]++;
}

uint64_t buckets_quantile(const uint64_t *buckets, double share, uint64_t min_ns, uint64_t max_ns)
{
	uint64_t total = 0, seen = 0;
	unsigned index = 0;
	uint64_t middle;

	for (unsigned i = 0; i < BUCKET_COUNT; i++) {
		total += buckets[i];
	}
	if (total == 0) {
		return 0;
	}
	for (; index + 1 < BUCKET_COUNT; index++) {
		seen += buckets[index];
		if (seen > 0 && (double)seen >= share * (double)total) {
			break;
		}
	}
	middle = index + 1 < BUCKET_COUNT ? (bucket_low(index) + bucket_low(index + 1)) / 2
					  : bucket_low(index);
	middle = middle < min_ns ? min_ns : middle;
	return max_ns && middle > max_ns ? max_ns : middle;
}

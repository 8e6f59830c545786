/* SPDX-License-Identifier: MIT */
#include "stacks/pending.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "stacks/hash.h"

#define SAMPLES_MAX    65536U
#define IPS_MAX        (4ULL << 20) /* 32 MiB */
#define HELD_BYTES_MAX (32ULL << 20)
#define DEPTH_MAX      4096U /* frames of a sample, user or kernel; the outer ones are cut */

/* The kernel marks contexts in a callchain with values above this (PERF_CONTEXT_MAX). */
#define IS_MARKER(ip) ((ip) >= (uint64_t)-4095)

static int reserve_ips(struct pending_queue *queue, uint64_t need)
{
	uint64_t room = queue->ip_room > 0 ? queue->ip_room : 65536;
	uint64_t *ips, *spare;

	while (room < need) {
		room *= 2;
	}
	if (room == queue->ip_room) {
		return 0;
	}
	ips = realloc(queue->ips, room * sizeof(*ips));
	if (ips == NULL) {
		return PFC_ENOMEM;
	}
	queue->ips = ips;
	spare = realloc(queue->spare, room * sizeof(*spare));
	if (spare == NULL) {
		return PFC_ENOMEM;
	}
	queue->spare = spare;
	queue->ip_room = room;
	return 0;
}

static uint32_t copy_ips(struct pending_queue *queue, const uint64_t *ips, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!IS_MARKER(ips[i])) {
			queue->ips[queue->ip_count + kept++] = ips[i];
		}
	}
	queue->ip_count += kept;
	return kept;
}

int pending_add(struct pending_queue *queue, const struct pfc_stack_sample *sample)
{
	uint32_t kernel_count = sample->kernel_ips != NULL ? sample->kernel_ip_count : 0;
	uint32_t user_count = sample->user_ips != NULL ? sample->user_ip_count : 0;
	struct pending *row;
	int status;

	kernel_count = kernel_count < DEPTH_MAX ? kernel_count : DEPTH_MAX;
	if (queue->count >= SAMPLES_MAX || queue->ip_count + kernel_count + DEPTH_MAX > IPS_MAX) {
		return PFC_ENOSPC;
	}
	status = array_reserve(&queue->rows, &queue->room, (uint64_t)queue->count + 1, sizeof(*queue->rows));
	if (status == 0) {
		status = reserve_ips(queue, queue->ip_count + kernel_count + DEPTH_MAX);
	}
	if (status != 0) {
		return status;
	}
	row = &queue->rows[queue->count];
	memset(row, 0, sizeof(*row));
	row->time_ns = sample->time_ns;
	row->weight = sample->weight;
	row->pid = sample->pid;
	row->tid = sample->tid;
	row->cpu = sample->cpu;
	row->flags = sample->flags | (user_count > DEPTH_MAX ? PFC_STACK_USER_TRUNCATED : 0);
	row->ips_at = queue->ip_count;
	row->kernel_count = copy_ips(queue, sample->kernel_ips, kernel_count);
	row->user_count = copy_ips(queue, sample->user_ips, user_count < DEPTH_MAX ? user_count : DEPTH_MAX);
	queue->is_sorted = queue->count == 0 ||
			   (queue->is_sorted && queue->rows[queue->count - 1].time_ns <= sample->time_ns);
	queue->count++;
	return 0;
}

bool pending_may_hold(const struct pending_queue *queue, uint64_t bytes)
{
	return bytes <= HELD_BYTES_MAX && queue->held_bytes <= HELD_BYTES_MAX - bytes;
}

void pending_hold(struct pending_queue *queue, struct pending_stack *stack)
{
	queue->rows[queue->count - 1].held = stack;
	queue->held_bytes += stack->bytes;
}

/* The place in ips grows with arrival, so it breaks ties. */
static int compare_rows(const void *a, const void *b)
{
	const struct pending *left = a;
	const struct pending *right = b;

	if (left->time_ns != right->time_ns) {
		return left->time_ns < right->time_ns ? -1 : 1;
	}
	return left->ips_at < right->ips_at ? -1 : left->ips_at > right->ips_at;
}

void pending_sort(struct pending_queue *queue)
{
	if (!queue->is_sorted && queue->count > 1) {
		qsort(queue->rows, queue->count, sizeof(*queue->rows), compare_rows);
		queue->is_sorted = true;
	}
}

void pending_drop(struct pending_queue *queue, uint32_t count)
{
	uint64_t *ips = queue->spare;
	uint64_t at = 0;

	if (count == 0) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		queue->held_bytes -= queue->rows[i].held != NULL ? queue->rows[i].held->bytes : 0;
		free(queue->rows[i].held);
	}
	for (uint32_t i = count; i < queue->count; i++) {
		struct pending *row = &queue->rows[i];
		uint64_t ip_count = (uint64_t)row->kernel_count + row->user_count;

		memcpy(ips + at, queue->ips + row->ips_at, ip_count * sizeof(*ips));
		row->ips_at = at;
		at += ip_count;
		queue->rows[i - count] = *row;
	}
	queue->count -= count;
	queue->spare = queue->ips;
	queue->ips = ips;
	queue->ip_count = at;
}

void pending_finish(struct pending_queue *queue)
{
	for (uint32_t i = 0; i < queue->count; i++) {
		free(queue->rows[i].held);
	}
	free(queue->rows);
	free(queue->ips);
	free(queue->spare);
	memset(queue, 0, sizeof(*queue));
}

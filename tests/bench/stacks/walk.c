/* SPDX-License-Identifier: MIT */
/*
 * How fast stacks are walked: one capture of this program, 200 frames deep, walked again and again with warm tables; then
 * what resolving it adds. Beside it the least that a walk by frame pointers costs (this program keeps them): two words a
 * frame, the bounds of the copy, and nothing that says whether the code keeps a pointer. Prints frames a second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

#define DEPTH      200
#define ROUNDS     20000
#define REGS_MASK  0xff01ffULL
#define STACK      65536
#define FRAMES_MAX 1024

static uint64_t registers[17];
static uint8_t stack[STACK];
static uint64_t stack_bytes;
extern char **environ;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static __attribute__((noinline)) void take_capture(void)
{
	static const int order[17] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI,
				       REG_RBP, REG_RSP, REG_RIP, REG_R8,  REG_R9,  REG_R10,
				       REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
	ucontext_t context;
	void *to = stack;
	const void *from;
	uint64_t left;

	if (getcontext(&context) != 0) {
		abort();
	}
	for (int i = 0; i < 17; i++) {
		registers[i] = (uint64_t)context.uc_mcontext.gregs[order[i]];
	}
	from = (const void *)(uintptr_t)context.uc_mcontext.gregs[REG_RSP];
	/* The environment's texts lie at the end of the stack. */
	left = (uint64_t)((const char *)environ - (const char *)from);
	stack_bytes = left < STACK ? left : STACK;
	left = stack_bytes;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(left) : : "memory");
}

static __attribute__((noinline)) void dive(int depth)
{
	if (depth == 0) {
		take_capture();
	} else {
		dive(depth - 1);
	}
	__asm__ volatile("" ::: "memory");
}

/* The same capture by frame pointers alone, as far as they lead: how many frames. */
static uint32_t chase(uint64_t *ips)
{
	uint64_t base = registers[7], low = base, at = registers[6];
	uint64_t pair[2];
	uint32_t count = 0;

	ips[count++] = registers[8];
	while (count < FRAMES_MAX && at >= low && at % 8 == 0 && at - base <= stack_bytes - sizeof(pair)) {
		memcpy(pair, stack + (at - base), sizeof(pair));
		ips[count++] = pair[1] - 1;
		low = at + sizeof(pair);
		at = pair[0];
	}
	return count;
}

static void print_chase(void)
{
	static uint64_t ips[FRAMES_MAX];
	uint64_t start_ns = now_ns(), frames = 0;

	for (int round = 0; round < ROUNDS; round++) {
		frames += chase(ips);
		__asm__ volatile("" : : "r"(ips) : "memory");
	}
	printf("by frame pointers, unproved: %.1f ns a frame, %.0f frames a sample\n",
	       (double)(now_ns() - start_ns) / (double)frames, (double)frames / ROUNDS);
}

int main(void)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "cpu-clock", .weight_unit = "ns"
	};
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .weight = 1,
					   .regs_mask = REGS_MASK,
					   .regs = registers,
					   .stack = stack };
	struct fake_host host;
	struct fake_target target;
	struct stacks_service *service;
	struct pfc_stacks_session *session;
	const struct pfc_stacks *face;
	uint64_t walk_ns = 0, resolve_ns = 0, start_ns;
	double frames;

	dive(DEPTH);
	fake_host_init(&host);
	fake_target_init(&target);
	host.discard = true;
	fake_target_snapshot(&target, getpid());
	fake_target_sync(&target, UINT64_MAX);
	if (stacks_service_create(&host.host, &target.service, &service, NULL) != 0) {
		return 1;
	}
	face = stacks_service_face(service);
	if (face->open(face->ctx, &config, &session) != 0) {
		return 1;
	}
	sample.stack_bytes = stack_bytes;
	sample.pid = getpid();
	sample.tid = getpid();
	face->tick(session, 1);
	for (int round = 0; round < ROUNDS; round++) {
		start_ns = now_ns();
		sample.time_ns++;
		if (face->add(session, &sample) != 0) {
			return 1;
		}
		walk_ns += now_ns() - start_ns;
		if (round % 1000 == 999) {
			start_ns = now_ns();
			face->tick(session, sample.time_ns + 1);
			resolve_ns += now_ns() - start_ns;
		}
	}
	if (face->finish(session) != 0 || fake_fact(&host, "rooted_pct") < 100) {
		return 1;
	}
	frames = fake_fact(&host, "frames_per_sample") * ROUNDS;
	printf("walk: %.1f M frames/s (%.0f ns a frame, %.1f us a sample of %.0f); resolve: %.0f ns a "
	       "frame\n",
	       frames / (double)walk_ns * 1e3, (double)walk_ns / frames, (double)walk_ns / ROUNDS / 1e3,
	       fake_fact(&host, "frames_per_sample"), (double)resolve_ns / frames);
	print_chase();
	face->close(session);
	stacks_service_destroy(service);
	fake_target_finish(&target);
	fake_host_finish(&host);
	return 0;
}

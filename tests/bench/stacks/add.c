/* SPDX-License-Identifier: MIT */
/*
 * What a sample costs the stack service: a million samples, 20 frames deep, of 1,000 different stacks of this program, added
 * and resolved in ticks of 10,000; the writer throws rows away. Prints ns of CPU a sample and the memory it took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

#define SAMPLES 1000000
#define DEPTH   20
#define STACKS  1000
#define TICK    10000

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

int main(void)
{
	static uint64_t ips[STACKS][DEPTH];
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "cpu-clock", .weight_unit = "ns"
	};
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .weight = 1,
					   .user_ip_count = DEPTH };
	struct fake_host host;
	struct fake_target target;
	struct stacks_service *service;
	struct pfc_stacks_session *session;
	const struct pfc_stacks *face;
	struct rusage usage;
	uint64_t base = (uint64_t)(uintptr_t)main;
	uint64_t start_ns, loop_ns;

	srand(1);
	for (int stack = 0; stack < STACKS; stack++) {
		/* A tree: half the frames are shared with every other stack, the rest with some. */
		for (int depth = 0; depth < DEPTH; depth++) {
			ips[stack][DEPTH - 1 - depth] = base + (uint64_t)depth * 8 +
							(depth > 10 ? (uint64_t)(rand() % 4) : 0) +
							(depth == 19 ? (uint64_t)(stack % 64) : 0);
		}
	}
	fake_host_init(&host);
	fake_target_init(&target);
	host.discard = true;
	fake_target_snapshot(&target, getpid());
	fake_target_sync(&target, UINT64_MAX);
	if (stacks_service_create(&host.host, &target.service, &service, NULL) != 0) {
		return 2;
	}
	face = stacks_service_face(service);
	if (face->open(face->ctx, &config, &session) != 0) {
		return 2;
	}
	sample.pid = getpid();
	sample.tid = getpid();
	start_ns = now_ns();
	for (int i = 0; i < SAMPLES; i++) {
		sample.time_ns = (uint64_t)i + 1;
		sample.user_ips = ips[i % STACKS];
		if (face->add(session, &sample) != 0 ||
		    ((i + 1) % TICK == 0 && face->tick(session, (uint64_t)i + 2) != 0)) {
			return 1;
		}
	}
	loop_ns = now_ns() - start_ns;
	getrusage(RUSAGE_SELF, &usage);
	printf("add + resolve: %.0f ns a sample of %d frames, %llu samples kept, peak RSS %ld MB\n",
	       (double)loop_ns / SAMPLES, DEPTH, (unsigned long long)face->sample_count(session),
	       usage.ru_maxrss / 1024);
	start_ns = now_ns();
	if (face->finish(session) != 0) {
		return 1;
	}
	printf("finish: %.1f ms for %llu stacks\n", (double)(now_ns() - start_ns) / 1e6,
	       (unsigned long long)fake_rows(&host, "stacks"));
	face->close(session);
	stacks_service_destroy(service);
	fake_target_finish(&target);
	fake_host_finish(&host);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * live PID SECONDS STACK_BYTES [HZ]: samples a process (all its threads) with registers and stack, walks while it records,
 * and prints how complete the stacks are and what it cost. The smallest possible collector: one ring a CPU, no processes
 * but that one.
 */
#include <dirent.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

#define RING_BYTES (4ULL << 20)
#define REGS_MASK  0xff01ffULL
#define REGS_COUNT 17
#define RINGS_MAX  512
#define MARKER_MIN ((uint64_t)-4095)

struct ring {
	int fd;
	uint8_t *map;
	uint64_t tail;
};

static struct ring rings[RINGS_MAX];
static int ring_count;
static uint64_t lost, records;
static uint8_t scratch[1 << 17];

static uint64_t now_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static int open_ring(int tid, int cpu, uint32_t stack_bytes, uint64_t hz)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.sample_period = 1000000000ULL / hz,
					.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
						       PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |
						       PERF_SAMPLE_STACK_USER,
					.exclude_callchain_user = 1,
					.inherit = 1,
					.use_clockid = 1,
					.clockid = CLOCK_MONOTONIC,
					.watermark = 1,
					.wakeup_watermark = RING_BYTES / 4,
					.sample_regs_user = REGS_MASK,
					.sample_stack_user = stack_bytes };
	struct ring *ring = &rings[ring_count];

	ring->fd = (int)syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0 || ring_count == RINGS_MAX) {
		return -1;
	}
	ring->map = mmap(NULL, RING_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (ring->map == MAP_FAILED) {
		return -1;
	}
	ring_count++;
	return 0;
}

static void copy_out(const struct ring *ring, uint64_t at, void *to, uint64_t bytes)
{
	uint64_t start = at % RING_BYTES;
	uint64_t first = bytes < RING_BYTES - start ? bytes : RING_BYTES - start;

	memcpy(to, ring->map + 4096 + start, first);
	memcpy((uint8_t *)to + first, ring->map + 4096, bytes - first);
}

static void take_sample(const uint8_t *record, const struct pfc_stacks *face,
			struct pfc_stacks_session *session)
{
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample), .weight = 1, .cpu = -1 };
	const uint64_t *at = (const void *)(record + sizeof(struct perf_event_header));
	uint64_t ip_count, abi;

	sample.pid = (int32_t)(uint32_t)*at;
	sample.tid = (int32_t)(*at++ >> 32);
	sample.time_ns = *at++;
	ip_count = *at++;
	sample.kernel_ips = at;
	sample.kernel_ip_count = (uint32_t)ip_count;
	at += ip_count;
	abi = *at++;
	if (abi != PERF_SAMPLE_REGS_ABI_NONE) {
		sample.regs_mask = REGS_MASK;
		sample.regs = at;
		at += REGS_COUNT;
	}
	if (*at > 0) {
		sample.stack_bytes = at[1 + *at / 8];
		sample.stack = at + 1;
	}
	face->add(session, &sample);
	records++;
}

static void drain(struct ring *ring, const struct pfc_stacks *face, struct pfc_stacks_session *session)
{
	struct perf_event_mmap_page *page = (void *)ring->map;
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);

	while (ring->tail < head) {
		struct perf_event_header header;

		copy_out(ring, ring->tail, &header, sizeof(header));
		copy_out(ring, ring->tail, scratch, header.size);
		if (header.type == PERF_RECORD_SAMPLE) {
			take_sample(scratch, face, session);
		} else if (header.type == PERF_RECORD_LOST) {
			lost += ((uint64_t *)(void *)(scratch + sizeof(header)))[1];
		}
		ring->tail += header.size;
	}
	__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}

static int open_rings(int pid, uint32_t stack_bytes, uint64_t hz)
{
	char path[64];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		for (int cpu = 0; atoi(entry->d_name) > 0 && cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
			if (open_ring(atoi(entry->d_name), cpu, stack_bytes, hz) != 0) {
				perror("perf_event_open");
				return 4;
			}
		}
	}
	if (folder != NULL) {
		closedir(folder);
	}
	return ring_count > 0 ? 0 : 3;
}

static void print_facts(const struct fake_host *host)
{
	for (uint32_t i = 0; i < host->fact_count; i++) {
		printf("  %-32s %.4g %s\n", host->facts[i].key, host->facts[i].number, host->facts[i].text);
	}
}

int main(int argc, char **argv)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "cpu-clock", .weight_unit = "ns"
	};
	struct fake_host host;
	struct fake_target target;
	struct stacks_service *service;
	struct pfc_stacks_session *session;
	const struct pfc_stacks *face;
	uint64_t start_ns, cpu_ns;
	int status;

	if (argc < 4) {
		fprintf(stderr, "usage: live PID SECONDS STACK_BYTES [HZ]\n");
		return 2;
	}
	fake_host_init(&host);
	fake_target_init(&target);
	fake_target_snapshot(&target, atoi(argv[1]));
	fake_target_sync(&target, UINT64_MAX);
	if (stacks_service_create(&host.host, &target.service, &service, NULL) != 0) {
		return 1;
	}
	face = stacks_service_face(service);
	if (face->open(face->ctx, &config, &session) != 0) {
		return 1;
	}
	status = open_rings(atoi(argv[1]), (uint32_t)atoi(argv[3]), argc > 4 ? (uint64_t)atoi(argv[4]) : 997);
	if (status != 0) {
		return status;
	}
	start_ns = now_ns(CLOCK_MONOTONIC);
	cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	while (now_ns(CLOCK_MONOTONIC) < start_ns + (uint64_t)(atof(argv[2]) * 1e9)) {
		poll(NULL, 0, 20);
		for (int i = 0; i < ring_count; i++) {
			drain(&rings[i], face, session);
		}
		face->tick(session, now_ns(CLOCK_MONOTONIC) - 100000000);
	}
	cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	start_ns = now_ns(CLOCK_MONOTONIC) - start_ns;
	status = face->finish(session);
	printf("%llu records, %llu lost, %.2f %% of a core while recording, %.1f us a sample\n",
	       (unsigned long long)records, (unsigned long long)lost,
	       100.0 * (double)cpu_ns / (double)start_ns,
	       records > 0 ? (double)cpu_ns / 1e3 / (double)records : 0.0);
	print_facts(&host);
	face->close(session);
	stacks_service_destroy(service);
	fake_target_finish(&target);
	fake_host_finish(&host);
	return status == 0 ? 0 : 5;
}

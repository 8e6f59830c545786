/* SPDX-License-Identifier: MIT */
/* What a probe costs on this machine: functions of our own are probed and called. Nobody else's are, as probes belong to a process. */
#include "probes.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS  9
#define CALLS   40
#define SAMPLES 6

/* One begins with an instruction that the kernel emulates, one with one that it steps over out of line. */
__asm__(".pushsection .text\n"
	".p2align 4\n"
	"calibrate_emulated: push %rbp\n pop %rbp\n ret\n"
	".p2align 4\n"
	"calibrate_stepped: test %rdi, %rdi\n ret\n"
	".popsection\n");

extern void calibrate_emulated(uint64_t size) __attribute__((visibility("hidden")));
extern void calibrate_stepped(uint64_t size) __attribute__((visibility("hidden")));

struct place_of {
	uint64_t address, file_offset;
	char path[4096];
};

static int find_file(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct place_of *place = ctx;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uint64_t begin = info->dlpi_addr + header->p_vaddr;

		if (header->p_type == PT_LOAD && place->address >= begin &&
		    place->address - begin < header->p_filesz) {
			place->file_offset = place->address - begin + header->p_offset;
			snprintf(place->path, sizeof(place->path), "%s",
				 info->dlpi_name && info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe");
			return 1;
		}
	}
	return 0;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median of a few rounds: a round that was interrupted says nothing. */
static double time_calls(void (*function)(uint64_t size), uint64_t size, unsigned calls)
{
	double rounds[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		double began = now_ns();

		for (unsigned i = 0; i < calls; i++) {
			function(size);
		}
		rounds[round] = (now_ns() - began) / calls;
	}
	qsort(rounds, ROUNDS, sizeof(*rounds), compare);
	return rounds[ROUNDS / 2];
}

static int measure(struct probes *probes, void (*function)(uint64_t size), double *ret_ns,
		   struct probe_costs *more)
{
	struct place_of place = { .address = (uint64_t)(uintptr_t)function };
	struct probe_function known = { .kind = PROBE_MALLOC };
	struct probe_point point = { .wants_return = true };
	struct probe_link link = { .fds = { -1, -1 } };
	int fd, rc;

	if (!dl_iterate_phdr(find_file, &place)) {
		return -ENOENT;
	}
	fd = open(place.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	point.file_offset = place.file_offset;
	point.number = probes_function(probes, &known);
	rc = probes_attach(probes, fd, getpid(), &point, 1, &link);
	if (rc == 0) {
		*ret_ns = time_calls(function, 0, CALLS);
		if (more) { /* so large that each is a sample */
			more->sample_ns = time_calls(function, 1ULL << 61, SAMPLES) - *ret_ns;
			probes_only_count(probes, true);
			more->counted_ns = time_calls(function, 0, CALLS);
			probes_only_count(probes, false);
		}
	}
	probes_detach(&link);
	close(fd);
	return rc;
}

int probes_calibrate(struct probes *probes, struct probe_costs *ret)
{
	void (*record)(void *ctx, const struct probe_record *record, const void *stack) = probes->record;
	struct probe_costs costs = { 0 };
	int rc;

	probes->record = NULL; /* what is sampled here is nobody's */
	rc = measure(probes, calibrate_emulated, &costs.emulated_ns, &costs);
	rc = rc == 0 ? measure(probes, calibrate_stepped, &costs.stepped_ns, NULL) : rc;
	probes_drain(probes);
	probes_forget(probes);
	probes->record = record;
	if (rc == 0) {
		*ret = costs;
	}
	return rc;
}

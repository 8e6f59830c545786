/* SPDX-License-Identifier: MIT */
/*
 * resolve FILE < addresses: what the stack service makes of virtual addresses (hex, one a line) of an ELF file. Prints one
 * line an address, "address<TAB>function@file:line<TAB>...", innermost first, and on stderr how long finish took.
 * compare.py sets it beside llvm-symbolizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/elf.h"
#include "stacks/stacks.h"

#define BIAS 0x100000000000ULL
#define PID  4711

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static int map_file(struct fake_target *target, const char *path)
{
	struct elf_image image = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	struct elf_headers headers;
	struct stat stat;

	if (image.fd < 0 || fstat(image.fd, &stat) != 0) {
		perror(path);
		return 2;
	}
	image.bytes = (uint64_t)stat.st_size;
	if (elf_read_headers(&image, &headers) != 0) {
		fprintf(stderr, "%s: not a 64-bit ELF file\n", path);
		return 2;
	}
	for (uint32_t i = 0; i < headers.segment_count; i++) {
		const struct elf_segment *segment = &headers.segments[i];
		uint64_t slack = segment->vaddr & 4095;

		if (segment->executable) {
			fake_target_map(target, 0, PID, BIAS + segment->vaddr - slack,
					(segment->memory_bytes + slack + 4095) & ~4095ULL,
					segment->offset - slack, path);
		}
	}
	close(image.fd);
	return 0;
}

static void print_rows(const struct fake_host *host)
{
	uint64_t row = 0;

	for (uint64_t location = 1; location < fake_rows(host, "locations"); location++) {
		uint64_t first = row;

		while (row < fake_rows(host, "frames") &&
		       fake_number(host, "frames", row, "location") == location) {
			row++;
		}
		printf("0x%llx", (unsigned long long)fake_number(host, "locations", location, "address"));
		for (uint64_t i = row; i > first; i--) {
			printf("\t%s@%s:%llu",
			       fake_text(host, "strings", fake_number(host, "frames", i - 1, "function"),
					 "text"),
			       fake_text(host, "strings", fake_number(host, "frames", i - 1, "file"), "text"),
			       (unsigned long long)fake_number(host, "frames", i - 1, "line"));
		}
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "none", .weight_unit = "count"
	};
	struct pfc_stack_sample sample = {
		.struct_size = sizeof(sample), .pid = PID, .tid = PID, .user_ip_count = 1
	};
	struct fake_host host;
	struct fake_target target;
	struct stacks_service *service;
	struct pfc_stacks_session *session;
	const struct pfc_stacks *face;
	struct rusage usage;
	char line[64];
	uint64_t start_ns, ip;

	if (argc != 2) {
		fprintf(stderr, "usage: resolve FILE < addresses\n");
		return 2;
	}
	fake_host_init(&host);
	fake_target_init(&target);
	if (map_file(&target, argv[1]) != 0 ||
	    stacks_service_create(&host.host, &target.service, &service, NULL) != 0) {
		return 2;
	}
	face = stacks_service_face(service);
	if (face->open(face->ctx, &config, &session) != 0) {
		return 2;
	}
	fake_target_sync(&target, UINT64_MAX);
	sample.user_ips = &ip;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		ip = BIAS + strtoull(line, NULL, 16);
		sample.time_ns++;
		face->add(session, &sample);
	}
	face->tick(session, UINT64_MAX);
	start_ns = now_ns();
	face->finish(session);
	getrusage(RUSAGE_SELF, &usage);
	fprintf(stderr, "%llu locations, %llu frames: finish %.1f ms (symbolize %.1f ms), peak RSS %ld MB\n",
		(unsigned long long)fake_rows(&host, "locations") - 1,
		(unsigned long long)fake_rows(&host, "frames"), (double)(now_ns() - start_ns) / 1e6,
		fake_fact(&host, "symbolize_ms"), usage.ru_maxrss / 1024);
	print_rows(&host);
	face->close(session);
	stacks_service_destroy(service);
	fake_target_finish(&target);
	fake_host_finish(&host);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Probes put into a process that allocates, and taken away again, many times: it must come to no harm and keep nothing. Needs the
 * right to use BPF. With ATTACH_CYCLES=N in the environment, N times, and what the process saw of it is printed.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probes/place.h"
#include "probes/probes.h"
#include "probes/symbols.h"

#define CYCLES 200
#define BLOCKS 64

/* What both processes see. */
static struct shared {
	atomic_ullong calls, damaged, longest_gap_ns, samples;
	atomic_bool is_over;
} * shared;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The target: allocates, checks what it frees, and notes the longest time that it did not get on. */
static void *allocate(void *seed)
{
	unsigned char *blocks[BLOCKS] = { NULL };
	uint32_t random = (uint32_t)(uintptr_t)seed;
	uint64_t last = now_ns();

	while (!atomic_load(&shared->is_over)) {
		uint64_t now = now_ns();
		uint32_t at = (random >> 8) % BLOCKS;

		if (now - last > atomic_load(&shared->longest_gap_ns)) {
			atomic_store(&shared->longest_gap_ns, now - last);
		}
		last = now;
		random = random * 1664525 + 1013904223;
		if (blocks[at] && blocks[at][0] != (unsigned char)at) {
			atomic_fetch_add(&shared->damaged, 1);
		}
		if (random & 64 && blocks[at]) {
			blocks[at] = realloc(blocks[at], 1 + (random >> 16) % 5000);
		} else {
			free(blocks[at]);
			blocks[at] = malloc(1 + (random >> 16) % 3000);
		}
		blocks[at][0] = (unsigned char)at;
		atomic_fetch_add(&shared->calls, 1);
	}
	return NULL;
}

static pid_t start_target(void)
{
	pthread_t other;
	pid_t pid = fork();

	if (pid == 0) {
		pthread_create(&other, NULL, allocate, (void *)1);
		allocate((void *)2);
		pthread_join(other, NULL);
		_exit(atomic_load(&shared->damaged) ? 1 : 0);
	}
	return pid;
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	if (info->dlpi_name && strstr(info->dlpi_name, "/libc.so.6")) {
		*(struct dl_phdr_info *)ctx = *info;
		return 1;
	}
	return 0;
}

/* Whether the target's code of libc is what the file has. */
static bool is_unharmed(pid_t pid, const struct dl_phdr_info *libc, int fd)
{
	char path[64];
	bool is_same = true;
	int memory;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(memory, 0);
	for (size_t i = 0; i < libc->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &libc->dlpi_phdr[i];
		static unsigned char now[4096], there[4096];

		for (uint64_t at = 0;
		     header->p_type == PT_LOAD && header->p_flags & PF_X && at + 4096 <= header->p_filesz;
		     at += 4096) {
			ck_assert_int_eq(
				pread(memory, now, 4096, (off_t)(libc->dlpi_addr + header->p_vaddr + at)),
				4096);
			ck_assert_int_eq(pread(fd, there, 4096, (off_t)(header->p_offset + at)), 4096);
			is_same = is_same && memcmp(now, there, 4096) == 0;
		}
	}
	close(memory);
	return is_same;
}

static uint32_t find_points(struct probes *probes, int fd, struct probe_point points[PROBE_POINTS])
{
	static struct allocator_file file;
	uint32_t count = 0;

	ck_assert_int_eq(symbols_read(fd, &file), 0);
	symbols_settle(&file);
	for (uint32_t i = 0; i < file.count && count < PROBE_POINTS; i++) {
		struct probe_function function = { .kind = file.functions[i].kind };
		uint8_t code[256];
		ssize_t got = pread(fd, code, sizeof(code), (off_t)file.functions[i].file_offset);
		struct place place = place_probe(code, got > 0 ? (size_t)got : 0, file.functions[i].kind);

		points[count] = (struct probe_point){ file.functions[i].file_offset + place.offset,
						      probes_function(probes, &function),
						      file.functions[i].kind != PROBE_FREE };
		count++;
	}
	return count;
}

static unsigned xol_mappings(pid_t pid)
{
	char path[64], line[512];
	unsigned count = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		count += strstr(line, "[uprobes]") != NULL;
	}
	if (maps) {
		fclose(maps);
	}
	return count;
}

static void on_record(void *ctx, const struct probe_record *record, const void *stack)
{
	(void)ctx;
	(void)stack;
	atomic_fetch_add(&shared->samples, record->kind == PROBE_RECORD_ALLOC);
}

static bool can_probe(struct probes *probes, enum probes_by by)
{
	const struct probes_wish wish = { .period_bytes = 65536, .by = by };
	char why[300];

	memset(probes, 0, sizeof(*probes));
	probes->record = on_record;
	if (geteuid() != 0 || access("/sys/kernel/btf/vmlinux", R_OK) != 0 ||
	    probes_load(probes, &wish, why, sizeof(why)) != 0) {
		printf("# SKIP(bpf): this process may not load BPF programs\n");
		return false;
	}
	return true;
}

static void attach_many_times(enum probes_by by, int cycles)
{
	struct probe_point points[PROBE_POINTS];
	struct dl_phdr_info libc = { 0 };
	struct probes probes;
	uint64_t calls, slowest_ns = 0;
	uint32_t count;
	pid_t pid;
	int fd, status;

	if (!can_probe(&probes, by)) {
		return;
	}
	ck_assert_int_eq(dl_iterate_phdr(find_libc, &libc), 1);
	fd = open(libc.dlpi_name, O_RDONLY | O_CLOEXEC);
	count = find_points(&probes, fd, points);
	ck_assert_uint_ge(count, 5);
	pid = start_target();
	usleep(100000);
	ck_assert(is_unharmed(pid, &libc, fd));
	printf("# without probes: longest gap %.2f ms\n",
	       (double)atomic_exchange(&shared->longest_gap_ns, 0) / 1e6);
	for (int i = 0; i < cycles; i++) {
		struct probe_link link;
		uint64_t began = now_ns(), took;

		status = probes_attach(&probes, fd, pid, points, count, &link);
		if (status == -EACCES && by == PROBES_EVENTS) {
			printf("# SKIP(admin): the uprobe PMU wants CAP_SYS_ADMIN\n");
			atomic_store(&shared->is_over, true);
			waitpid(pid, &status, 0);
			return;
		}
		ck_assert_int_eq(status, 0);
		took = now_ns() - began;
		slowest_ns = took > slowest_ns ? took : slowest_ns;
		if (i == 0) {
			ck_assert(!is_unharmed(pid, &libc, fd)); /* else this test could not fail */
		}
		usleep(1000);
		probes_detach(&link);
		probes_drain(&probes);
	}
	calls = atomic_load(&shared->calls);
	ck_assert(is_unharmed(pid, &libc, fd));
	printf("# %d times attached and detached: longest gap %.2f ms, slowest attach %.2f ms, %llu hits, %u "
	       "[uprobes]\n",
	       cycles, (double)atomic_load(&shared->longest_gap_ns) / 1e6, (double)slowest_ns / 1e6,
	       (unsigned long long)(probes_counter(&probes, COUNT_HITS) +
				    probes_counter(&probes, COUNT_STEPPED)),
	       xol_mappings(pid));
	ck_assert_uint_gt(probes_counter(&probes, COUNT_HITS), 100);
	ck_assert_uint_gt(atomic_load(&shared->samples), 0);
	ck_assert_uint_le(xol_mappings(pid), 1);
	probes_unload(&probes);
	usleep(50000);
	ck_assert_uint_gt(atomic_load(&shared->calls), calls); /* it gets on */
	atomic_store(&shared->is_over, true);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the target's own checks: %d", status);
	close(fd);
}

static void make_shared(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
}

START_TEST(test_sessions)
{
	make_shared();
	attach_many_times(PROBES_SESSION, getenv("ATTACH_CYCLES") ? atoi(getenv("ATTACH_CYCLES")) : CYCLES);
}
END_TEST

START_TEST(test_multi)
{
	make_shared();
	attach_many_times(PROBES_MULTI, 20);
}
END_TEST

START_TEST(test_events)
{
	make_shared();
	attach_many_times(PROBES_EVENTS, 2);
}
END_TEST

START_TEST(test_calibration_says_what_hits_cost)
{
	struct probe_costs costs;
	struct probes probes;

	make_shared();
	if (!can_probe(&probes, PROBES_SESSION)) {
		return;
	}
	ck_assert_int_eq(probes_calibrate(&probes, &costs), 0);
	printf("# emulated %.0f ns, stepped %.0f ns, sample %.0f ns\n", costs.emulated_ns, costs.stepped_ns,
	       costs.sample_ns);
	ck_assert_double_gt(costs.emulated_ns, 50);
	ck_assert_double_gt(costs.stepped_ns, costs.emulated_ns);
	ck_assert_double_gt(costs.sample_ns, 0);
	probes_unload(&probes);
}
END_TEST

/* A sanitizer's takes the place of the one that is probed. */
#ifdef __SANITIZE_ADDRESS__
#define HAS_OTHER_ALLOCATOR true
#else
#define HAS_OTHER_ALLOCATOR false
#endif

int main(void)
{
	Suite *suite = suite_create("memory_attach");
	TCase *tcase = tcase_create("attach");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_calibration_says_what_hits_cost);
	if (!HAS_OTHER_ALLOCATOR) {
		tcase_add_test(tcase, test_sessions);
		tcase_add_test(tcase, test_multi);
		tcase_add_test(tcase, test_events);
	}
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

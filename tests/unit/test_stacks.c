/* SPDX-License-Identifier: MIT */
/* The stack service from the outside: samples and target events in, rows of the artifact out. The subject is this program. */
#include <check.h>
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

struct subject {
	struct fake_host host;
	struct fake_target target;
	struct stacks_service *service;
	const struct pfc_stacks *face;
	struct pfc_stacks_session *session;
};

static void open_subject(struct subject *subject, bool with_target)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "cpu-clock", .weight_unit = "ns"
	};

	fake_host_init(&subject->host);
	fake_target_init(&subject->target);
	ck_assert_int_eq(stacks_service_create(&subject->host.host,
					       with_target ? &subject->target.service : NULL,
					       &subject->service, NULL),
			 0);
	subject->face = stacks_service_face(subject->service);
	ck_assert_int_eq(subject->face->open(subject->face->ctx, &config, &subject->session), 0);
}

static void close_subject(struct subject *subject)
{
	subject->face->close(subject->session);
	stacks_service_destroy(subject->service);
	fake_target_finish(&subject->target);
	fake_host_finish(&subject->host);
}

static int add(struct subject *subject, uint64_t time_ns, int32_t pid, const uint64_t *user_ips,
	       uint32_t count)
{
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .time_ns = time_ns,
					   .weight = 10,
					   .pid = pid,
					   .tid = pid,
					   .cpu = 1,
					   .user_ips = user_ips,
					   .user_ip_count = count };

	return subject->face->add(subject->session, &sample);
}

/* The frames of a sample, innermost first, inlined ones before what holds them: "a;b;c". */
static const char *stack_text(const struct subject *subject, uint64_t sample)
{
	static char text[4096];
	const struct fake_host *host = &subject->host;
	uint64_t stack = fake_number(host, "samples", sample, "stack");
	size_t at = 0;

	text[0] = '\0';
	for (; stack != 0; stack = fake_number(host, "stacks", stack, "parent")) {
		uint64_t location = fake_number(host, "stacks", stack, "location");

		for (uint64_t row = fake_rows(host, "frames"); row > 0; row--) {
			if (fake_number(host, "frames", row - 1, "location") == location) {
				uint64_t name = fake_number(host, "frames", row - 1, "function");

				at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
						       at > 0 ? ";" : "",
						       fake_text(host, "strings", name, "text"));
			}
		}
	}
	return text;
}

static uint64_t leaf_location(const struct subject *subject, uint64_t sample)
{
	uint64_t stack = fake_number(&subject->host, "samples", sample, "stack");

	return fake_number(&subject->host, "stacks", stack, "location");
}

static uint64_t leaf_module(const struct subject *subject, uint64_t sample)
{
	return fake_number(&subject->host, "locations", leaf_location(subject, sample), "module");
}

static const char *module_path(const struct subject *subject, uint64_t module)
{
	return fake_text(&subject->host, "strings", fake_number(&subject->host, "modules", module, "path"),
			 "text");
}

/* The program's entry point, _start. */
static uint64_t subject_entry(void)
{
	return getauxval(AT_ENTRY);
}

/* Functions with a known shape: `innermost` is inlined into `middle` into `shape_outer`. */
struct shape {
	uint64_t ip, caller;
	int line;
};

static inline __attribute__((always_inline)) void shape_innermost(struct shape *shape)
{
	/* clang-format off */
	shape->line = __LINE__ + 1;
	__asm__ volatile("lea 0f(%%rip), %0\n0:" : "=r"(shape->ip));
	/* clang-format on */
}

static inline __attribute__((always_inline)) void shape_middle(struct shape *shape)
{
	shape_innermost(shape);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void shape_outer(struct shape *shape)
{
	shape->caller = (uint64_t)(uintptr_t)__builtin_return_address(0);
	shape_middle(shape);
	__asm__ volatile("" ::: "memory");
}

/* shape_outer's call is the last instruction but the return: its return address is still this function's. */
__attribute__((noinline)) void shape_root(struct shape *shape);
__attribute__((noinline)) void shape_root(struct shape *shape)
{
	shape_outer(shape);
	__asm__ volatile("" ::: "memory");
}

START_TEST(symbolizes_functions_inlines_and_lines)
{
	struct subject subject;
	struct shape shape = { 0 };
	uint64_t ips[2];
	uint64_t row;

	shape_root(&shape);
	ips[0] = shape.ip;
	ips[1] = shape.caller;
	open_subject(&subject, true);
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	ck_assert_int_eq(add(&subject, 500, getpid(), ips, 2), 0);
	ck_assert_int_eq(subject.face->tick(subject.session, 1000), 0);
	ck_assert_uint_eq(subject.face->sample_count(subject.session), 1);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);

	ck_assert_str_eq(stack_text(&subject, 0), "shape_innermost;shape_middle;shape_outer;shape_root");
	ck_assert_uint_eq(fake_number(&subject.host, "samples", 0, "weight"), 10);
	ck_assert_uint_eq(fake_number(&subject.host, "samples", 0, "time"), 500);
	ck_assert_uint_eq(fake_number(&subject.host, "modules", leaf_module(&subject, 0), "kind"), 1);
	for (row = 0; fake_number(&subject.host, "frames", row, "location") != leaf_location(&subject, 0) ||
		      fake_number(&subject.host, "frames", row, "inline_depth") != 2;
	     row++) {
	}
	ck_assert_int_eq((int)fake_number(&subject.host, "frames", row, "line"), shape.line);
	ck_assert_ptr_nonnull(strstr(fake_text(&subject.host, "strings",
					       fake_number(&subject.host, "frames", row, "file"), "text"),
				     "test_stacks.c"));
	ck_assert_double_eq(fake_fact(&subject.host, "samples"), 1);
	ck_assert_double_eq(fake_fact(&subject.host, "unknown_pct"), 0);
	ck_assert_str_eq(fake_fact_text(&subject.host, "event"), "cpu-clock");
	close_subject(&subject);
}
END_TEST

static uint64_t kernel_symbol_address(const char *name)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], found[256], type;
	unsigned long long address, ret = 0;

	while (file != NULL && ret == 0 && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%llx %c %255s", &address, &type, found) == 3 && strcmp(found, name) == 0) {
			ret = address;
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return ret;
}

START_TEST(names_kernel_functions)
{
	struct subject subject;
	uint64_t start = kernel_symbol_address("ksys_read");
	uint64_t ips[3] = { start + 4, start + 9, 0xffffffffffffff80ULL };
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .time_ns = 1,
					   .weight = 1,
					   .pid = 1,
					   .tid = 1,
					   .kernel_ips = ips,
					   .kernel_ip_count = 3 };

	open_subject(&subject, false);
	if (start == 0) {
		printf("skipped: kernel addresses are hidden from this user\n");
		sample.kernel_ips = NULL;
	}
	ck_assert_int_eq(subject.face->add(subject.session, &sample), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	if (start != 0) {
		/* The marker of the callchain format is no frame. */
		ck_assert_str_eq(stack_text(&subject, 0), "ksys_read;ksys_read");
		ck_assert_uint_eq(fake_number(&subject.host, "modules", leaf_module(&subject, 0), "kind"), 2);
		ck_assert_uint_eq(
			fake_number(&subject.host, "locations", leaf_location(&subject, 0), "address"),
			start + 4);
		ck_assert_double_eq(fake_fact(&subject.host, "kernel_pct"), 100);
	}
	close_subject(&subject);
}
END_TEST

START_TEST(names_the_vdso)
{
	struct subject subject;
	uint64_t base = getauxval(AT_SYSINFO_EHDR);
	uint64_t text = base;
	uint64_t ip;
	bool named = false;

	open_subject(&subject, true);
	fake_target_snapshot(&subject.target, getpid());
	/* No symbol of it is ours to take the address of: try all of its first pages. */
	for (ip = text; ip < text + 8192; ip += 64) {
		ck_assert_int_eq(add(&subject, ip, getpid(), &ip, 1), 0);
	}
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	for (uint64_t i = 0; i < fake_rows(&subject.host, "samples"); i++) {
		named = named || strstr(stack_text(&subject, i), "vdso_clock_gettime") != NULL;
		if (leaf_module(&subject, i) != 0) {
			ck_assert_str_eq(module_path(&subject, leaf_module(&subject, i)), "[vdso]");
			ck_assert_uint_eq(
				fake_number(&subject.host, "modules", leaf_module(&subject, i), "kind"), 4);
		}
	}
	ck_assert(named);
	close_subject(&subject);
}
END_TEST

/* The mapping of this program that holds an address, moved to `start` for another process or time. */
static void map_like(struct subject *subject, uint64_t time_ns, int32_t pid, uint64_t address, uint64_t start,
		     uint64_t *ret_ip)
{
	struct fake_target real;

	fake_target_init(&real);
	fake_target_snapshot(&real, getpid());
	for (uint32_t i = 0; i < real.count; i++) {
		const struct pfc_target_event *event = &real.events[i];

		if (address >= event->start && address < event->start + event->length) {
			fake_target_map(&subject->target, time_ns, pid, start, event->length, event->offset,
					event->text);
			*ret_ip = address - event->start + start;
		}
	}
	fake_target_finish(&real);
}

/* Another program's mapping at the same address. */
static void map_other(struct subject *subject, uint64_t time_ns, int32_t pid, uint64_t ip)
{
	fake_target_map(&subject->target, time_ns, pid, ip & ~0xfffffULL, 0x200000, 0, "/nowhere/other.so");
}

START_TEST(follows_mappings_over_time)
{
	struct subject subject;
	uint64_t address = (uint64_t)(uintptr_t)shape_root + 1;
	uint64_t ip;
	const uint64_t times[] = { 700, 100, 300, 500, 250 };
	const char *const expected[] = { "", "shape_root", "", "shape_root", "shape_root" };

	open_subject(&subject, true);
	map_like(&subject, 200, 7, address, 0x400000, &ip);
	fake_target_event(&subject.target, PFC_TARGET_EXEC, 600, 7, 7, "other");
	map_other(&subject, 280, 7, ip);
	map_like(&subject, 400, 7, address, 0x400000, &ip);
	fake_target_sync(&subject.target, 1000);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_int_eq(add(&subject, times[i], 7, &ip, 1), 0);
	}
	ck_assert_int_eq(subject.face->tick(subject.session, 900), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_uint_eq(fake_rows(&subject.host, "samples"), 5);
	for (uint64_t i = 0; i < 5; i++) {
		uint64_t time_ns = fake_number(&subject.host, "samples", i, "time");

		ck_assert_uint_ge(time_ns, i > 0 ? fake_number(&subject.host, "samples", i - 1, "time") : 0);
		for (size_t n = 0; n < 5; n++) {
			/* Before its first mapping a process has none: 100 is found unmapped. */
			if (times[n] == time_ns) {
				ck_assert_str_eq(stack_text(&subject, i), time_ns == 100 ? "" : expected[n]);
			}
		}
	}
	ck_assert_double_eq(fake_fact(&subject.host, "unmapped_frames"), 2);
	close_subject(&subject);
}
END_TEST

START_TEST(forks_inherit_and_execs_forget)
{
	struct subject subject;
	uint64_t address = (uint64_t)(uintptr_t)shape_root + 1;
	uint64_t ip;

	open_subject(&subject, true);
	fake_target_event(&subject.target, PFC_TARGET_NAME, 0, 7, 7, "parent");
	map_like(&subject, 0, 7, address, 0x400000, &ip);
	fake_target_fork(&subject.target, 100, 7, 8, 8);
	/* The parent's later mappings are not the child's; a grandchild sees through both. */
	map_other(&subject, 150, 7, ip);
	fake_target_fork(&subject.target, 200, 8, 9, 9);
	fake_target_event(&subject.target, PFC_TARGET_EXIT, 210, 8, 8, NULL);
	fake_target_event(&subject.target, PFC_TARGET_EXEC, 300, 9, 9, "new program");
	fake_target_sync(&subject.target, 1000);
	ck_assert_int_eq(add(&subject, 160, 7, &ip, 1), 0);
	ck_assert_int_eq(add(&subject, 180, 8, &ip, 1), 0);
	ck_assert_int_eq(add(&subject, 250, 9, &ip, 1), 0);
	ck_assert_int_eq(add(&subject, 350, 9, &ip, 1), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_str_eq(stack_text(&subject, 0), "");
	ck_assert_str_eq(stack_text(&subject, 1), "shape_root");
	ck_assert_str_eq(stack_text(&subject, 2), "shape_root");
	ck_assert_str_eq(stack_text(&subject, 3), "");
	/* Names: 7 and 8 at their first sample; 9 by its first name and, after exec, its new one. */
	ck_assert_uint_eq(fake_rows(&subject.host, "threads"), 4);
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t name = fake_number(&subject.host, "threads", i, "name");
		bool renamed = fake_number(&subject.host, "threads", i, "time") == 300;

		ck_assert_str_eq(fake_text(&subject.host, "strings", name, "text"),
				 renamed ? "new program" : "parent");
	}
	ck_assert_double_eq(fake_fact(&subject.host, "files_not_opened"), 1);
	close_subject(&subject);
}
END_TEST

START_TEST(waits_for_the_events_of_a_sample)
{
	struct subject subject;
	uint64_t address = (uint64_t)(uintptr_t)shape_root + 1;
	uint64_t ip;

	open_subject(&subject, true);
	map_like(&subject, 100, 7, address, 0x400000, &ip);
	fake_target_finish(&subject.target);
	fake_target_init(&subject.target);
	ck_assert_int_eq(add(&subject, 200, 7, &ip, 1), 0);
	ck_assert_int_eq(subject.face->tick(subject.session, 300), 0);
	ck_assert_uint_eq(fake_rows(&subject.host, "samples"), 0);
	ck_assert_uint_eq(subject.face->sample_count(subject.session), 1);
	/* The mapping arrives after the sample (as from dlopen), dated before it. */
	map_like(&subject, 100, 7, address, 0x400000, &ip);
	fake_target_sync(&subject.target, 300);
	ck_assert_int_eq(subject.face->tick(subject.session, 400), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_str_eq(stack_text(&subject, 0), "shape_root");
	close_subject(&subject);
}
END_TEST

/* What was seen between the start of the collector and T0 alone is no data: nobody downstream would take it. */
START_TEST(says_when_nothing_lies_in_the_window)
{
	static const struct {
		uint64_t time_ns;
		int32_t status;
	} cases[] = { { 99, PFC_ENODATA }, { 100, 0 }, { 200, 0 }, { 201, PFC_ENODATA } };
	uint64_t ip = (uint64_t)(uintptr_t)shape_root + 1;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct subject subject;

		open_subject(&subject, true);
		subject.host.t0_ns = 100;
		subject.host.t1_ns = 200;
		fake_target_sync(&subject.target, 1000);
		ck_assert_int_eq(add(&subject, cases[i].time_ns, 7, &ip, 1), 0);
		ck_assert_int_eq(subject.face->finish(subject.session), cases[i].status);
		ck_assert_uint_eq(fake_rows(&subject.host, "samples"), 1);
		close_subject(&subject);
	}
}
END_TEST

START_TEST(cuts_junk_and_knows_roots)
{
	struct subject subject;
	struct shape shape = { 0 };
	uint64_t root;
	uint64_t ips[4];

	shape_root(&shape);
	open_subject(&subject, true);
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	root = subject_entry();
	ips[0] = shape.ip;
	ips[1] = root + 16;
	ips[2] = 0x1234;
	ips[3] = 0xdead00000000ULL;
	ck_assert_int_eq(add(&subject, 500, getpid(), ips, 4), 0);
	ck_assert_int_eq(add(&subject, 501, getpid(), ips, 1), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_str_eq(stack_text(&subject, 0), "shape_innermost;shape_middle;shape_outer;_start");
	ck_assert_double_eq(fake_fact(&subject.host, "junk_frames_cut"), 2);
	ck_assert_double_eq(fake_fact(&subject.host, "rooted_pct"), 50);
	ck_assert_double_eq(fake_fact(&subject.host, "truncated.no_root"), 1);
	close_subject(&subject);
}
END_TEST

START_TEST(works_without_target)
{
	struct subject subject;
	uint64_t ips[2] = { 0x1000, 0x2001 };

	open_subject(&subject, false);
	ck_assert_int_eq(add(&subject, 5, 1, ips, 2), 0);
	ck_assert_int_eq(subject.face->tick(subject.session, 10), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_uint_eq(leaf_module(&subject, 0), 0);
	ck_assert_uint_eq(fake_number(&subject.host, "locations", leaf_location(&subject, 0), "address"),
			  0x1000);
	ck_assert_double_eq(fake_fact(&subject.host, "unknown_pct"), 100);
	ck_assert_double_eq(fake_fact(&subject.host, "rooted_pct"), 0);
	close_subject(&subject);
}
END_TEST

START_TEST(says_when_there_was_nothing)
{
	struct subject subject;

	open_subject(&subject, true);
	ck_assert_int_eq(subject.face->tick(subject.session, 10), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), PFC_ENODATA);
	ck_assert_double_eq(fake_fact(&subject.host, "samples"), 0);
	close_subject(&subject);
}
END_TEST

START_TEST(refuses_what_breaks_the_contract)
{
	struct subject subject;
	struct pfc_stacks_config config = { .struct_size = sizeof(config), .port = "no such port" };
	struct pfc_stacks_session *session = NULL;
	struct pfc_stack_sample sample = { .struct_size = 8 };

	open_subject(&subject, false);
	ck_assert_int_eq(subject.face->open(subject.face->ctx, &config, &session), PFC_ENOENT);
	config.port = NULL;
	ck_assert_int_eq(subject.face->open(subject.face->ctx, &config, &session), PFC_EINVAL);
	ck_assert_int_eq(subject.face->add(subject.session, &sample), PFC_EINVAL);
	ck_assert_int_eq(subject.face->add(NULL, &sample), PFC_EINVAL);
	subject.face->close(NULL);
	close_subject(&subject);
}
END_TEST

/* A queue that is full resolves early rather than lose; nothing is kept twice. */
START_TEST(keeps_all_when_ticks_stay_out)
{
	struct subject subject;
	uint64_t ip = 0x1000;
	const uint64_t count = 200000;

	open_subject(&subject, true); /* and no SYNC ever comes */
	for (uint64_t i = 0; i < count; i++) {
		ip = 0x1000 + i % 100;
		ck_assert_int_eq(add(&subject, i + 1, 1, &ip, 1), 0);
	}
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_uint_eq(fake_rows(&subject.host, "samples"), count);
	ck_assert_uint_eq(fake_rows(&subject.host, "stacks"), 101);
	ck_assert_double_gt(fake_fact(&subject.host, "resolved_early"), 0);
	close_subject(&subject);
}
END_TEST

/* The n-th call of the writer fails, for every n until all goes well: an error comes back, and no sample vanishes silently. */
START_TEST(returns_the_writers_error)
{
	static struct subject subject; /* one service: it reads the kernel's symbols once */
	bool all_well = false;

	for (uint64_t n = 1; !all_well; n++) {
		struct pfc_stacks_config config = {
			.struct_size = sizeof(config), .port = "stacks", .event = "e", .weight_unit = "ns"
		};
		uint64_t ips[2] = { 0x1000 + n, 0x2000 };
		int first = 0;
		int status;

		fake_host_init(&subject.host);
		fake_target_init(&subject.target);
		subject.host.fail_at = n;
		if (subject.service == NULL) {
			ck_assert_int_eq(
				stacks_service_create(&subject.host.host, NULL, &subject.service, NULL), 0);
		}
		subject.session = NULL;
		subject.face = stacks_service_face(subject.service);
		status = subject.face->open(subject.face->ctx, &config, &subject.session);
		if (status == 0) {
			for (int i = 0; i < 3; i++) {
				status = add(&subject, 5, 1, ips, 2);
				first = first == 0 ? status : first;
				status = subject.face->tick(subject.session, 10);
				first = first == 0 ? status : first;
			}
			status = subject.face->finish(subject.session);
			if (status == PFC_ENOSPC) {
				double lost = fake_loss(&subject.host, "writer_failed");
				uint64_t kept = fake_rows(&subject.host, "samples");

				ck_assert_double_ge(lost + (double)kept, 3);
			}
		}
		all_well = status == 0 && first == 0;
		ck_assert(all_well || status == PFC_ENOSPC);
		ck_assert_uint_lt(n, 100);
		subject.face->close(subject.session);
		fake_target_finish(&subject.target);
		fake_host_finish(&subject.host);
	}
	stacks_service_destroy(subject.service);
}
END_TEST

START_TEST(says_when_files_do_not_open)
{
	struct subject subject;
	uint64_t ip = (uint64_t)(uintptr_t)shape_root;

	open_subject(&subject, true);
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	subject.target.open_status = PFC_EPERM;
	ck_assert_int_eq(add(&subject, 500, getpid(), &ip, 1), 0);
	ck_assert_int_eq(add(&subject, 501, getpid(), &ip, 1), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_uint_eq(subject.target.opens, 1);
	ck_assert_str_eq(stack_text(&subject, 0), "");
	ck_assert_ptr_nonnull(strstr(module_path(&subject, leaf_module(&subject, 0)), "stacks"));
	ck_assert_double_eq(fake_fact(&subject.host, "files_not_opened"), 1);
	ck_assert_double_eq(fake_fact(&subject.host, "unknown_pct"), 100);
	close_subject(&subject);
}
END_TEST

/* libc's own debug file, where the machine has it (libc6-dbg): the only thing that knows where hcreate is written. */
START_TEST(reads_separate_debug_files)
{
	struct subject subject;
	uint64_t ip = (uint64_t)(uintptr_t)hcreate;
	char path[256];
	const char *build_id;
	const char *file;
	uint64_t row = 0;

	open_subject(&subject, true);
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	ck_assert_int_eq(add(&subject, 500, getpid(), &ip, 1), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_ptr_nonnull(strstr(module_path(&subject, leaf_module(&subject, 0)), "libc.so"));
	build_id = fake_text(&subject.host, "strings",
			     fake_number(&subject.host, "modules", leaf_module(&subject, 0), "build_id"),
			     "text");
	ck_assert_uint_gt(strlen(build_id), 8);
	snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", build_id, build_id + 2);
	while (fake_number(&subject.host, "frames", row, "location") != leaf_location(&subject, 0)) {
		row++;
	}
	file = fake_text(&subject.host, "strings", fake_number(&subject.host, "frames", row, "file"), "text");
	if (access(path, R_OK) == 0) {
		ck_assert_ptr_nonnull(strstr(file, "hsearch.c"));
		ck_assert_double_eq(fake_fact(&subject.host, "files_with_debug_file"), 1);
	} else {
		printf("skipped: no %s here\n", path);
		ck_assert_str_eq(file, "");
	}
	close_subject(&subject);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks");
	TCase *cases = tcase_create("session");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, symbolizes_functions_inlines_and_lines);
	tcase_add_test(cases, names_kernel_functions);
	tcase_add_test(cases, names_the_vdso);
	tcase_add_test(cases, follows_mappings_over_time);
	tcase_add_test(cases, forks_inherit_and_execs_forget);
	tcase_add_test(cases, waits_for_the_events_of_a_sample);
	tcase_add_test(cases, cuts_junk_and_knows_roots);
	tcase_add_test(cases, works_without_target);
	tcase_add_test(cases, says_when_there_was_nothing);
	tcase_add_test(cases, refuses_what_breaks_the_contract);
	tcase_add_test(cases, keeps_all_when_ticks_stay_out);
	tcase_add_test(cases, says_when_nothing_lies_in_the_window);
	tcase_add_test(cases, returns_the_writers_error);
	tcase_add_test(cases, says_when_files_do_not_open);
	tcase_add_test(cases, reads_separate_debug_files);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

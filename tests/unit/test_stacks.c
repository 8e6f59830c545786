/* SPDX-License-Identifier: MIT */
/* The stack service from the outside: samples and target events in, rows of the artifact out. The subject is this program. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

#define MS 1000000ULL

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
	ck_assert_int_eq(stacks_service_create(&subject->host.host, with_target ? &subject->target.service : NULL,
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

static int add(struct subject *subject, uint64_t time_ns, int32_t pid, const uint64_t *user_ips, uint32_t count)
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

				at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at > 0 ? ";" : "",
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
	return fake_text(&subject->host, "strings", fake_number(&subject->host, "modules", module, "path"), "text");
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

int main(void)
{
	Suite *suite = suite_create("stacks");
	TCase *cases = tcase_create("session");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, symbolizes_functions_inlines_and_lines);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

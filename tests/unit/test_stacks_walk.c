/* SPDX-License-Identifier: MIT */
/*
 * Samples with registers and stack: this program takes its own, deep down, in threads and in signal handlers, and the stack
 * service must find the same frames as backtrace() of libgcc, down to where the thread begins.
 */
#include <alloca.h>
#include <check.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

#define STACK_ROOM (1 << 20)
#define OUTER_MAX  2000

/* General registers of asm/perf_regs.h without flags and segments: ax to ip, r8 to r15. */
#define REGS_MASK 0xff01ffULL

/* Frames of backtrace() itself: the sanitizer's replacement counts one. */
#if defined(__SANITIZE_ADDRESS__)
#define BACKTRACE_OWN 1
#else
#define BACKTRACE_OWN 0
#endif

static struct capture {
	uint64_t registers[17];
	uint8_t stack[STACK_ROOM];
	uint64_t stack_bytes;
	void *outer[OUTER_MAX]; /* what libgcc says */
	int outer_count;
} capture;

static uint64_t stack_end(uint64_t address)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned long long start, end;
	char line[512];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%llx-%llx", &start, &end) == 2 && address >= start && address < end) {
			fclose(file);
			return end;
		}
	}
	abort();
}

/* As the kernel does: with no regard for what a sanitizer thinks of others' frames. */
static void copy_raw(void *to, const void *from, uint64_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static __attribute__((noinline)) void take_capture(void)
{
	ucontext_t context;
	uint64_t left;
	const greg_t *g = context.uc_mcontext.gregs;

	ck_assert_int_eq(getcontext(&context), 0);
	{
		const uint64_t registers[17] = {
			(uint64_t)g[REG_RAX], (uint64_t)g[REG_RBX], (uint64_t)g[REG_RCX],
			(uint64_t)g[REG_RDX], (uint64_t)g[REG_RSI], (uint64_t)g[REG_RDI],
			(uint64_t)g[REG_RBP], (uint64_t)g[REG_RSP], (uint64_t)g[REG_RIP],
			(uint64_t)g[REG_R8],  (uint64_t)g[REG_R9],  (uint64_t)g[REG_R10],
			(uint64_t)g[REG_R11], (uint64_t)g[REG_R12], (uint64_t)g[REG_R13],
			(uint64_t)g[REG_R14], (uint64_t)g[REG_R15],
		};

		memcpy(capture.registers, registers, sizeof(registers));
	}
	/* Until this function returns, its frame stays as it was. */
	left = stack_end((uint64_t)g[REG_RSP]) - (uint64_t)g[REG_RSP];
	capture.stack_bytes = left < STACK_ROOM ? left : STACK_ROOM;
	copy_raw(capture.stack, (const void *)(uintptr_t)g[REG_RSP], capture.stack_bytes);
	capture.outer_count = backtrace(capture.outer, OUTER_MAX) - BACKTRACE_OWN;
}

static __attribute__((noinline)) int dive(int depth, int pad)
{
	volatile char *room = alloca((size_t)(pad * depth % 64 + 16));
	int result;

	room[0] = (char)depth;
	if (depth == 0) {
		take_capture();
		return room[0];
	}
	result = dive(depth - 1, pad) + room[0];
	__asm__ volatile("" ::: "memory");
	return result;
}

struct subject {
	struct fake_host host;
	struct fake_target target;
	struct stacks_service *service;
	const struct pfc_stacks *face;
	struct pfc_stacks_session *session;
};

static void open_subject(struct subject *subject)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "cpu-clock", .weight_unit = "ns"
	};

	fake_host_init(&subject->host);
	fake_target_init(&subject->target);
	ck_assert_int_eq(
		stacks_service_create(&subject->host.host, &subject->target.service, &subject->service, NULL),
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

static struct pfc_stack_sample captured(uint64_t time_ns, uint64_t stack_bytes)
{
	return (struct pfc_stack_sample){ .struct_size = sizeof(struct pfc_stack_sample),
					  .time_ns = time_ns,
					  .weight = 1,
					  .pid = getpid(),
					  .tid = getpid(),
					  .regs_mask = REGS_MASK,
					  .regs = capture.registers,
					  .stack = capture.stack,
					  .stack_bytes = stack_bytes };
}

static void add_capture(struct subject *subject, uint64_t time_ns, uint64_t stack_bytes)
{
	struct pfc_stack_sample sample = captured(time_ns, stack_bytes);

	ck_assert_int_eq(subject->face->add(subject->session, &sample), 0);
}

static void run_capture(struct subject *subject, uint64_t stack_bytes)
{
	open_subject(subject);
	fake_target_snapshot(&subject->target, getpid());
	fake_target_sync(&subject->target, 1000);
	add_capture(subject, 500, stack_bytes);
	ck_assert_int_eq(subject->face->tick(subject->session, 1000), 0);
	ck_assert_int_eq(subject->face->finish(subject->session), 0);
}

static int depth_of(const struct subject *subject)
{
	uint64_t stack = fake_number(&subject->host, "samples", 0, "stack");
	int depth = 0;

	for (; stack != 0; stack = fake_number(&subject->host, "stacks", stack, "parent")) {
		depth++;
	}
	return depth;
}

/* How many frames of sample 0 are of a function. */
static int frames_of(const struct subject *subject, const char *function)
{
	uint64_t stack = fake_number(&subject->host, "samples", 0, "stack");
	int count = 0;

	for (; stack != 0; stack = fake_number(&subject->host, "stacks", stack, "parent")) {
		uint64_t location = fake_number(&subject->host, "stacks", stack, "location");

		for (uint64_t row = 0; row < fake_rows(&subject->host, "frames"); row++) {
			uint64_t name = fake_number(&subject->host, "frames", row, "function");

			count += fake_number(&subject->host, "frames", row, "location") == location &&
				 strcmp(fake_text(&subject->host, "strings", name, "text"), function) == 0;
		}
	}
	return count;
}

static void check_complete(struct subject *subject, int dives)
{
	ck_assert_double_eq(fake_fact(&subject->host, "rooted_pct"), 100);
	ck_assert_double_eq(fake_fact(&subject->host, "walked"), 1);
	ck_assert_int_eq(frames_of(subject, "take_capture"), 1);
	ck_assert_int_eq(frames_of(subject, "dive"), dives);
	ck_assert_int_eq(depth_of(subject), capture.outer_count);
}

START_TEST(walks_to_the_start_of_the_program)
{
	static const int depths[] = { 0, 5, 300, 900 };
	struct subject subject;

	dive(depths[_i], 7);
	run_capture(&subject, capture.stack_bytes);
	check_complete(&subject, depths[_i] + 1);
	ck_assert_int_eq(frames_of(&subject, "main"), 1);
	/* alloca needs a frame pointer, whatever the flags: the information of dive() says so. libc's own code keeps none. */
	if (depths[_i] >= 300) {
		ck_assert_double_gt(fake_fact(&subject.host, "frames_with_pointer_pct"), 90);
	}
	close_subject(&subject);
}
END_TEST

static void *run_thread(void *depth)
{
	dive(*(int *)depth, 3);
	return NULL;
}

START_TEST(walks_to_the_start_of_a_thread)
{
	struct subject subject;
	pthread_t thread;
	int depth = 20;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_thread, &depth), 0);
	pthread_join(thread, NULL);
	run_capture(&subject, capture.stack_bytes);
	check_complete(&subject, 21);
	ck_assert_int_eq(frames_of(&subject, "run_thread"), 1);
	close_subject(&subject);
}
END_TEST

static void handle(int number)
{
	dive(number * 0 + 2, 5);
}

static __attribute__((noinline)) void interrupted(void)
{
	/* A fault, not raise(): the frame below the signal's is not in a call. */
	__asm__ volatile("movl $1, (%%rax)" : : "a"(0L) : "memory");
}

static void handle_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	(void)info;
	handle(number);
	at->uc_mcontext.gregs[REG_RIP] += 6; /* over the store, c7 00 and four bytes */
}

START_TEST(walks_through_a_signal)
{
	struct sigaction action = { .sa_sigaction = handle_fault, .sa_flags = SA_SIGINFO };
	struct sigaction before;
	struct subject subject;

	ck_assert_int_eq(sigaction(SIGSEGV, &action, &before), 0);
	interrupted();
	sigaction(SIGSEGV, &before, NULL);
	run_capture(&subject, capture.stack_bytes);
	check_complete(&subject, 3);
	ck_assert_int_eq(frames_of(&subject, "handle_fault"), 1);
	ck_assert_int_eq(frames_of(&subject, "interrupted"), 1);
	ck_assert_int_eq(frames_of(&subject, "main"), 1);
	close_subject(&subject);
}
END_TEST

START_TEST(says_when_the_copy_ends_first)
{
	struct subject subject;

	dive(900, 7);
	run_capture(&subject, 16384);
	ck_assert_double_eq(fake_fact(&subject.host, "rooted_pct"), 0);
	ck_assert_double_eq(fake_fact(&subject.host, "truncated.stack_copy"), 1);
	ck_assert_int_gt(frames_of(&subject, "dive"), 3);
	ck_assert_int_lt(frames_of(&subject, "dive"), 900);
	close_subject(&subject);
}
END_TEST

START_TEST(holds_what_it_cannot_walk_yet)
{
	struct subject subject;

	dive(10, 7);
	open_subject(&subject);
	add_capture(&subject, 500, capture.stack_bytes);
	ck_assert_int_eq(subject.face->tick(subject.session, 600), 0);
	ck_assert_uint_eq(fake_rows(&subject.host, "samples"), 0);
	memset(capture.stack, 0xee, sizeof(capture.stack)); /* it was copied */
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	ck_assert_int_eq(subject.face->tick(subject.session, 700), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	check_complete(&subject, 11);
	close_subject(&subject);
}
END_TEST

static pthread_mutex_t files = PTHREAD_MUTEX_INITIALIZER;
static int32_t (*open_at_once)(void *ctx, const struct pfc_target_event *map);

static int32_t open_slowly(void *ctx, const struct pfc_target_event *map)
{
	pthread_mutex_lock(&files);
	pthread_mutex_unlock(&files);
	return open_at_once(ctx, map);
}

/* The rings of a collector run over while it waits: samples are held until the core has opened what they lie in. */
START_TEST(does_not_wait_for_files)
{
	struct subject subject;

	dive(10, 7);
	open_subject(&subject);
	open_at_once = subject.target.service.open_mapped;
	subject.target.service.open_mapped = open_slowly;
	pthread_mutex_lock(&files); /* whoever waits for one now waits for ever */
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	add_capture(&subject, 500, capture.stack_bytes);
	add_capture(&subject, 510, capture.stack_bytes);
	ck_assert_int_eq(subject.face->tick(subject.session, 600), 0);
	memset(capture.stack, 0xee, sizeof(capture.stack));
	pthread_mutex_unlock(&files);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_double_eq(fake_fact(&subject.host, "walked"), 2);
	ck_assert_double_eq(fake_fact(&subject.host, "rooted_pct"), 100);
	ck_assert_int_eq(frames_of(&subject, "dive"), 11);
	close_subject(&subject);
}
END_TEST

/* Walked by the mappings of a program that, as it turns out, had been replaced: nothing of that walk may stay but the leaf. */
START_TEST(distrusts_a_walk_before_an_exec)
{
	uint64_t ips[64];
	struct pfc_stack_walk walk = { .struct_size = sizeof(walk), .ips = ips, .room = 64 };
	struct pfc_stack_sample sample;
	struct subject subject;

	dive(10, 7);
	open_subject(&subject);
	fake_target_snapshot(&subject.target, getpid());
	ck_assert_int_eq(subject.face->tick(subject.session, 1), 0);
	/* Waits until all files are open: an added sample then is walked at once. */
	sample = captured(400, capture.stack_bytes);
	ck_assert_int_eq(subject.face->walk(subject.session, &sample, &walk), 0);
	add_capture(&subject, 500, capture.stack_bytes);
	fake_target_event(&subject.target, PFC_TARGET_EXEC, 400, getpid(), getpid(), "other");
	fake_target_sync(&subject.target, 1000);
	ck_assert_int_eq(subject.face->tick(subject.session, 700), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_int_eq(depth_of(&subject), 1);
	ck_assert_double_eq(fake_fact(&subject.host, "rooted_pct"), 0);
	ck_assert_double_eq(fake_fact(&subject.host, "walked_before_exec_was_known"), 1);
	close_subject(&subject);
}
END_TEST

/* Hostile stacks and registers: any content, no crash, an end. */
/* The writer of another output, for a second session. */
static const struct pfc_writer *second_writer;

static int32_t second_output(void *ctx, const char *port, const struct pfc_writer **ret)
{
	*ret = second_writer;
	return 0;
}

START_TEST(walks_now_and_adds_later_to_two_sessions)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "later", .event = "malloc", .weight_unit = "bytes"
	};
	struct pfc_stacks_session *later;
	uint64_t ips[256];
	struct pfc_stack_walk walk = { .struct_size = sizeof(walk), .ips = ips, .room = 256 };
	struct pfc_stack_sample sample = { .struct_size = sizeof(sample),
					   .time_ns = 500,
					   .weight = 3,
					   .pid = getpid(),
					   .tid = getpid(),
					   .regs_mask = REGS_MASK,
					   .regs = capture.registers,
					   .stack = capture.stack };
	struct subject subject, second;
	const char *function, *module;
	uint32_t row, frames = 0, dives = 0;

	dive(10, 7);
	sample.stack_bytes = capture.stack_bytes;
	open_subject(&subject);
	fake_host_init(&second.host);
	second_writer = &second.host.writer;
	subject.host.host.output = second_output;
	ck_assert_int_eq(subject.face->open(subject.face->ctx, &config, &later), 0);
	ck_assert_int_eq(subject.face->walk(subject.session, &sample, &walk),
			 PFC_EAGAIN); /* nothing is mapped yet */
	ck_assert_int_eq(subject.face->open(subject.face->ctx, &config, &second.session), PFC_EINVAL);

	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, 1000);
	sample.flags = PFC_STACK_FRESH;
	sample.time_ns = 5000; /* later than what is known */
	ck_assert_int_eq(subject.face->walk(subject.session, &sample, &walk), PFC_EAGAIN);
	sample.time_ns = 500;
	ck_assert_int_eq(subject.face->walk(subject.session, &sample, &walk), 0);
	sample.flags = PFC_STACK_WALKED;
	sample.user_ips = ips;
	sample.user_ip_count = walk.count;
	sample.walk_end = walk.walk_end;
	ck_assert_int_eq(subject.face->add(later, &sample), 0);
	ck_assert_int_eq(subject.face->add(later, &sample), 0);
	ck_assert_int_eq(subject.face->intern(subject.session, &sample, &row), 0);
	ck_assert_int_eq(subject.face->add(subject.session, &sample), 0);
	ck_assert_int_eq(subject.face->name(subject.session, row, 0, &function, &module),
			 PFC_ENOENT); /* not yet */
	ck_assert_int_eq(subject.face->finish(later), 0);
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_uint_eq(fake_number(&subject.host, "samples", 0, "stack"), row);
	while (subject.face->name(subject.session, row, frames, &function, &module) == 0) {
		dives += strcmp(function, "dive") == 0;
		frames++;
	}
	ck_assert_uint_eq(dives, 11);
	ck_assert_uint_ge(frames, (unsigned)depth_of(&subject)); /* and what was inlined */

	check_complete(&subject, 11);
	ck_assert_uint_eq(fake_rows(&second.host, "samples"), 2);
	ck_assert_uint_eq(fake_number(&second.host, "samples", 1, "weight"), 3);
	ck_assert_int_eq(frames_of(&second, "dive"), 11);
	ck_assert_double_eq(fake_fact(&second.host, "rooted_pct"), 100);
	ck_assert_int_eq(depth_of(&second), depth_of(&subject));
	subject.face->close(later);
	close_subject(&subject);
	fake_host_finish(&second.host);
}
END_TEST

START_TEST(survives_garbage)
{
	struct subject subject;
	struct capture *good = malloc(sizeof(*good));

	dive(30, 7);
	memcpy(good, &capture, sizeof(capture));
	open_subject(&subject);
	fake_target_snapshot(&subject.target, getpid());
	fake_target_sync(&subject.target, UINT64_MAX);
	srand(11);
	for (unsigned round = 1; round <= 20000; round++) {
		for (int flips = rand() % 20; flips > 0; flips--) {
			capture.stack[(unsigned)rand() % 4096] = (uint8_t)rand();
		}
		if (rand() % 4 == 0) {
			capture.registers[(unsigned)rand() % 17] ^= 1ULL << rand() % 64;
		}
		add_capture(&subject, round, (unsigned)rand() % 8192 + 1);
		memcpy(capture.stack, good->stack, 8192);
		memcpy(capture.registers, good->registers, sizeof(capture.registers));
	}
	ck_assert_int_eq(subject.face->finish(subject.session), 0);
	ck_assert_uint_eq(fake_rows(&subject.host, "samples"), 20000);
	close_subject(&subject);
	free(good);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_walk");
	TCase *cases = tcase_create("walk");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, walks_to_the_start_of_the_program, 0, 4);
	tcase_add_test(cases, walks_to_the_start_of_a_thread);
	tcase_add_test(cases, walks_through_a_signal);
	tcase_add_test(cases, says_when_the_copy_ends_first);
	tcase_add_test(cases, holds_what_it_cannot_walk_yet);
	tcase_add_test(cases, does_not_wait_for_files);
	tcase_add_test(cases, distrusts_a_walk_before_an_exec);
	tcase_add_test(cases, walks_now_and_adds_later_to_two_sessions);
	tcase_add_test(cases, survives_garbage);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

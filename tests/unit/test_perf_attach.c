/* SPDX-License-Identifier: MIT */
/*
 * plugins/lib/perf and perf-cpu against the kernel: events on real processes, their samples' weight compared with the CPU time that the
 * processes say they used. Ratios only; the machine may be crowded.
 */
#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/perf/attach.h"
#include "drain.h"

#define WINDOW_US 600000

/* What parent and child share. */
struct shared {
	atomic_int stage;
	atomic_ulong work;
};

static struct shared *shared;
static uint64_t kept;
static uint64_t weight;
static uint64_t of_children; /* samples whose pid is not the attached one */
static int32_t attached_pid;

static int32_t fake_add(struct pfc_stacks_session *session, const struct pfc_stack_sample *sample)
{
	(void)session;
	kept++;
	weight += sample->weight;
	of_children += sample->pid != attached_pid;
	ck_assert_uint_gt(sample->user_ip_count + sample->kernel_ip_count, 0);
	return 0;
}

static const struct pfc_stacks fake_stacks = { .struct_size = sizeof(fake_stacks), .add = fake_add };

static struct perf_event event;
static struct perf_ring rings[64];
static uint32_t ring_count;
static struct perf_attach attach;
static struct drain drain;
static pid_t child;

static void open_rings(uint64_t bytes)
{
	struct perf_id_list cpus = { NULL, 0, 0 };
	struct perf_refusal refusal;

	ck_assert_int_eq(perf_procfs_online_cpus(&cpus), 0);
	ck_assert_uint_le(cpus.count, 64);
	ring_count = 0;
	for (size_t i = 0; i < cpus.count; i++) {
		ck_assert_int_eq(perf_ring_open(cpus.items[i], bytes, &rings[i], &refusal), 0);
		ring_count++;
	}
	free(cpus.items);
}

static void setup(void)
{
	struct perf_event_wish wish = { .name = "cpu-clock",
					.frequency_hz = 1999,
					.max_stack = 127,
					.callchain = true,
					.kernel = true,
					.user = true };
	struct perf_refusal refusal;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	ck_assert_int_eq(perf_event_choose(&wish, &event, &refusal), 0);
	open_rings(1 << 20);
	perf_attach_init(&attach, &event, rings, ring_count);
	drain = (struct drain){
		.stacks = &fake_stacks, .attach = &attach, .rings = rings, .ring_count = ring_count
	};
	kept = weight = of_children = 0;
	child = -1;
}

static void teardown(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	perf_attach_close(&attach);
	for (uint32_t i = 0; i < ring_count; i++) {
		perf_ring_close(&rings[i]);
	}
	munmap(shared, sizeof(*shared));
}

static void burn_while(int stage)
{
	while (atomic_load_explicit(&shared->stage, memory_order_relaxed) == stage) {
		for (volatile int i = 0; i < 1000; i++) {
		}
	}
}

static void wait_for(int stage)
{
	while (atomic_load(&shared->stage) < stage) {
		usleep(500);
	}
}

static void spawn(void (*body)(void))
{
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	attached_pid = child;
}

static size_t pass_over(const int32_t *pids, size_t count)
{
	struct perf_refusal refusal;
	size_t added = 0;

	ck_assert_msg(perf_attach_pass(&attach, pids, count, &added, &refusal) == 0, "%s: %s", refusal.what,
		      refusal.why);
	return added;
}

static double seconds_of(pid_t pid)
{
	struct timespec used = { 0, 0 };
	clockid_t clock;

	ck_assert_int_eq(clock_getcpuclockid(pid, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &used), 0);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* A window during which `pid` burns; returns the CPU seconds that it used in it. */
static double window(pid_t pid)
{
	double before;

	perf_attach_seal(&attach);
	before = seconds_of(pid);
	perf_attach_enable(&attach);
	for (int i = 0; i < 6; i++) {
		usleep(WINDOW_US / 6);
		ck_assert_int_eq(drain_all(&drain), 0);
	}
	perf_attach_disable(&attach);
	before = seconds_of(pid) - before;
	ck_assert_int_eq(drain_all(&drain), 0);
	return before;
}

static void check_ratio(double actual, double expected, double tolerance)
{
	ck_assert_msg(actual > expected * (1 - tolerance) && actual < expected * (1 + tolerance),
		      "%.3f s, expected %.3f s", actual, expected);
}

static void body_burn(void)
{
	burn_while(0);
}

START_TEST(test_weight_is_cpu_time)
{
	double used;
	uint64_t counted;
	int64_t lost;

	spawn(body_burn);
	ck_assert_uint_eq(pass_over(&child, 1), 1);
	ck_assert_uint_eq(pass_over(&child, 1), 0);
	used = window(child);
	check_ratio((double)weight / 1e9, used, 0.10);
	perf_attach_count(&attach, &counted, &lost);
	check_ratio((double)counted / 1e9, used, 0.10);
	if (lost >= 0) {
		ck_assert_int_eq(lost, 0);
	}
	ck_assert_uint_eq(drain.garbled, 0);
}
END_TEST

static void body_fork(void)
{
	wait_for(1);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		burn_while(1);
		_exit(0);
	}
	wait_for(2);
}

START_TEST(test_children_inherit)
{
	spawn(body_fork);
	pass_over(&child, 1);
	perf_attach_seal(&attach);
	perf_attach_enable(&attach);
	atomic_store(&shared->stage, 1);
	usleep(WINDOW_US);
	perf_attach_disable(&attach);
	ck_assert_int_eq(drain_all(&drain), 0);
	atomic_store(&shared->stage, 2);
	ck_assert_uint_gt(of_children, 50);
}
END_TEST

static void *thread_burn(void *arg)
{
	burn_while(1);
	return arg;
}

static void body_thread(void)
{
	pthread_t thread;

	wait_for(1);
	pthread_create(&thread, NULL, thread_burn, NULL);
	pthread_join(thread, NULL);
}

static void wait_for_threads(pid_t pid, size_t count)
{
	struct perf_id_list tids = { NULL, 0, 0 };

	for (int i = 0; i < 2000 && tids.count < count; i++) {
		tids.count = 0;
		ck_assert_int_eq(perf_procfs_threads(pid, &tids), 0);
		usleep(1000);
	}
	ck_assert_uint_ge(tids.count, count);
	free(tids.items);
}

/* The thread came after the first pass, from a thread that was attached: it has events twice, and counts once. */
START_TEST(test_a_late_thread_that_inherited_counts_once)
{
	double used;

	spawn(body_thread);
	ck_assert_uint_eq(pass_over(&child, 1), 1);
	atomic_store(&shared->stage, 1);
	wait_for_threads(child, 2);
	ck_assert_uint_eq(pass_over(&child, 1), 1);
	ck_assert_uint_eq(attach.undecided, 1);
	used = window(child);
	ck_assert_uint_eq(attach.undecided, 0);
	check_ratio((double)weight / 1e9, used, 0.10);
	atomic_store(&shared->stage, 2);
}
END_TEST

/* The other case: it came late, and from nobody that was attached. Its samples stay. */
START_TEST(test_a_late_thread_that_did_not_inherit_counts)
{
	int32_t self = getpid();
	int32_t both[2];
	double used;

	spawn(body_burn);
	ck_assert_uint_ge(pass_over(&self, 1), 1);
	both[0] = self;
	both[1] = child;
	ck_assert_uint_eq(pass_over(both, 2), 1);
	ck_assert_uint_eq(attach.undecided, 1);
	attached_pid = child;
	used = window(child);
	ck_assert_uint_eq(attach.undecided, 1);
	check_ratio((double)weight / 1e9, used, 0.15); /* our own draining is in it too */
}
END_TEST

START_TEST(test_what_does_not_fit_is_counted)
{
	struct perf_event_wish wish = { .name = "cpu-clock",
					.frequency_hz = 20000,
					.max_stack = 127,
					.callchain = true,
					.kernel = true,
					.user = true };
	struct perf_refusal refusal;
	uint64_t counted;
	int64_t lost;
	double used;

	for (uint32_t i = 0; i < ring_count; i++) {
		perf_ring_close(&rings[i]);
	}
	open_rings(64 * 1024);
	ck_assert_int_eq(perf_event_choose(&wish, &event, &refusal), 0);
	perf_attach_init(&attach, &event, rings, ring_count);
	spawn(body_burn);
	pass_over(&child, 1);
	perf_attach_seal(&attach);
	used = seconds_of(child);
	perf_attach_enable(&attach);
	usleep(WINDOW_US);
	perf_attach_disable(&attach);
	used = seconds_of(child) - used;
	ck_assert_int_eq(drain_all(&drain), 0);
	perf_attach_count(&attach, &counted, &lost);
	if (lost < 0) {
		return; /* this kernel counts by records in the ring alone */
	}
	ck_assert_int_gt(lost, 100);
	check_ratio((double)(kept + (uint64_t)lost) * 50000 / 1e9, used, 0.25);
}
END_TEST

/* Records as the kernel writes them, in made-up rings: lost ones are counted for each CPU, pauses and speed-ups told apart. */
START_TEST(test_losses_and_pauses_are_counted)
{
	static struct perf_event_mmap_page pages[2];
	static uint64_t data[2][64];
	static struct perf_ring made_up[2];
	const struct {
		unsigned ring;
		uint32_t type;
		uint64_t second; /* of LOST and LOST_SAMPLES: how many */
	} records[] = {
		{ 0, PERF_RECORD_LOST, 5 },          { 1, PERF_RECORD_LOST, 7 },
		{ 1, PERF_RECORD_THROTTLE, 1 },      { 1, PERF_RECORD_UNTHROTTLE, 1 },
		{ 1, PERF_RECORD_LOST_SAMPLES, 11 }, { 0, PERF_RECORD_THROTTLE, 1 },
	};

	for (unsigned i = 0; i < 2; i++) {
		memset(&pages[i], 0, sizeof(pages[i]));
		ck_assert_int_eq(perf_ring_over(&pages[i], data[i], sizeof(data[i]), &made_up[i]), 0);
		made_up[i].cpu = (int32_t)i;
	}
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		struct perf_event_header header = { .type = records[i].type, .size = 32 };
		uint64_t *to = &data[records[i].ring][pages[records[i].ring].data_head / 8];
		bool is_samples = records[i].type == PERF_RECORD_LOST_SAMPLES;

		memcpy(to, &header, sizeof(header));
		to[is_samples ? 1 : 2] = records[i].second; /* LOST begins with an id */
		pages[records[i].ring].data_head += header.size;
	}
	drain.rings = made_up;
	drain.ring_count = 2;
	ck_assert_int_eq(drain_all(&drain), 0);
	ck_assert_uint_eq(drain.lost, 23);
	ck_assert_uint_eq(made_up[0].lost, 5);
	ck_assert_uint_eq(made_up[1].lost, 18);
	ck_assert_uint_eq(drain.throttled, 2);
	ck_assert_uint_eq(drain.garbled, 0);
	for (unsigned i = 0; i < 2; i++) {
		perf_ring_close(&made_up[i]);
	}
}
END_TEST

START_TEST(test_descriptors_are_counted_before)
{
	struct rlimit limit = { 80, 80 };
	struct perf_refusal refusal;
	int32_t self = getpid();
	size_t added;

	/* Check forks each test: limit and identity go with it. root would lift the limit again. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	attach.cpu_count = 64; /* as on a larger machine */
	ck_assert_int_eq(perf_attach_pass(&attach, &self, 1, &added, &refusal), PFC_ENOSPC);
	ck_assert_ptr_nonnull(strstr(refusal.why, "descriptors"));
	ck_assert_ptr_nonnull(strstr(refusal.hint, "ulimit"));
	attach.cpu_count = ring_count;
}
END_TEST

/* As a container's default profile does it. */
static void deny_perf_event_open(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

START_TEST(test_a_seccomp_filter_is_named)
{
	struct perf_event_wish wish = { .name = "auto",
					.frequency_hz = 997,
					.max_stack = 127,
					.callchain = true,
					.kernel = true,
					.user = true };
	struct perf_event chosen;
	struct perf_refusal refusal;

	deny_perf_event_open();
	ck_assert_int_eq(perf_event_choose(&wish, &chosen, &refusal), PFC_EPERM);
	ck_assert_msg(strstr(refusal.why, "seccomp") != NULL, "%s", refusal.why);
	ck_assert_msg(strstr(refusal.hint, "--cap-add PERFMON") != NULL, "%s", refusal.hint);
}
END_TEST

/* Without CAP_IPC_LOCK a ring beyond the limits shrinks; it does not fail. */
START_TEST(test_short_locked_memory_gives_a_smaller_ring)
{
	struct rlimit none = { 0, 0 };
	struct perf_refusal refusal;
	struct perf_ring ring = { .fd = -1 };
	uint64_t wanted = 256u << 20;
	int32_t cpu = rings[0].cpu;

	for (uint32_t i = 0; i < ring_count; i++) { /* what they lock counts too */
		perf_ring_close(&rings[i]);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	ck_assert(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	if (perf_procfs_number("/proc/sys/kernel/perf_event_paranoid", 2) > 2) {
		return; /* not even this event is allowed */
	}
	ck_assert_msg(perf_ring_open(cpu, wanted, &ring, &refusal) == 0, "%s: %s", refusal.what, refusal.why);
	ck_assert_uint_ge(ring.data_bytes, 64 * 1024);
	ck_assert_uint_lt(ring.data_bytes, wanted);
	perf_ring_close(&ring);
}
END_TEST

static void body_exit(void)
{
}

START_TEST(test_a_process_that_has_gone)
{
	int status;

	spawn(body_exit);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_uint_eq(pass_over(&child, 1), 0);
	ck_assert_uint_eq(attach.thread_count, 0);
	child = -1;
}
END_TEST

int main(void)
{
	struct perf_event_wish wish = { .name = "cpu-clock",
					.frequency_hz = 997,
					.max_stack = 127,
					.callchain = true,
					.kernel = true,
					.user = true };
	Suite *suite = suite_create("perf_attach");
	TCase *live = tcase_create("live");
	SRunner *runner;
	struct perf_refusal refusal;
	int failed;

	if (perf_event_choose(&wish, &event, &refusal) != 0) {
		printf("1..0 # SKIP(perf): %s: %s\n", refusal.what, refusal.why);
		return 0;
	}
	tcase_add_checked_fixture(live, setup, teardown);
	tcase_set_timeout(live, 30);
	tcase_add_test(live, test_weight_is_cpu_time);
	tcase_add_test(live, test_children_inherit);
	tcase_add_test(live, test_a_late_thread_that_inherited_counts_once);
	tcase_add_test(live, test_a_late_thread_that_did_not_inherit_counts);
	tcase_add_test(live, test_what_does_not_fit_is_counted);
	tcase_add_test(live, test_losses_and_pauses_are_counted);
	tcase_add_test(live, test_descriptors_are_counted_before);
	tcase_add_test(live, test_a_seccomp_filter_is_named);
	tcase_add_test(live, test_short_locked_memory_gives_a_smaller_ring);
	tcase_add_test(live, test_a_process_that_has_gone);
	suite_add_tcase(suite, live);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

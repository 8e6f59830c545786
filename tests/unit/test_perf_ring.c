/* SPDX-License-Identifier: MIT */
/* plugins/lib/perf: rings and records, synthetic: wrap-around, rubbish, call chains; and the reasons of a refusal. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapt.h"
#include "lib/perf/event.h"
#include "lib/perf/procfs.h"
#include "lib/perf/record.h"
#include "lib/perf/refusal.h"
#include "lib/perf/ring.h"
#include "members.h"

#define RING_BYTES 4096

static struct perf_event_mmap_page page;
static uint64_t storage[RING_BYTES / 8];
static struct perf_ring ring;

static void setup(void)
{
	memset(&page, 0, sizeof(page));
	memset(storage, 0, sizeof(storage));
	ck_assert_int_eq(perf_ring_over(&page, storage, RING_BYTES, &ring), 0);
}

static void teardown(void)
{
	perf_ring_close(&ring);
}

/* As the kernel does it: copy, wrapping, and move the head. */
static void put(const void *record, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		((uint8_t *)storage)[(page.data_head + i) % RING_BYTES] = ((const uint8_t *)record)[i];
	}
	page.data_head += bytes;
}

static size_t make_sample(uint64_t *words, uint64_t n, uint64_t chain_count)
{
	struct perf_event_header header = { .type = PERF_RECORD_SAMPLE, .misc = PERF_RECORD_MISC_USER };
	int32_t ids[2] = { 100, 101 };
	int32_t cpu[2] = { 3, 0 };
	size_t at = 1;

	words[at++] = 7;      /* id */
	words[at++] = 0x1000; /* ip */
	memcpy(&words[at++], ids, 8);
	words[at++] = n; /* time */
	memcpy(&words[at++], cpu, 8);
	words[at++] = 1003009; /* period */
	words[at++] = chain_count;
	for (uint64_t i = 0; i < chain_count; i++) {
		words[at++] = i == 0 ? (uint64_t)PERF_CONTEXT_USER : 0x1000 + i;
	}
	header.size = (uint16_t)(at * 8);
	memcpy(words, &header, 8);
	return at * 8;
}

START_TEST(test_records_survive_every_wrap)
{
	uint64_t words[64];
	uint64_t sent = 0;
	uint64_t got = 0;

	/* 31 words a record against a ring of 512: every offset of the wrap inside a record comes up. */
	for (int round = 0; round < 600; round++) {
		const struct perf_event_header *header;

		for (int i = 0; i < 1 + round % 8; i++) {
			put(words, make_sample(words, sent++, 23));
		}
		perf_ring_begin(&ring);
		while ((header = perf_ring_next(&ring))) {
			struct perf_record_sample sample;

			ck_assert(perf_record_parse_sample(header, PERF_SAMPLE_FIELDS | PERF_SAMPLE_CALLCHAIN,
							   &sample));
			ck_assert_uint_eq(sample.time_ns, got++);
			ck_assert_int_eq(sample.pid, 100);
			ck_assert_int_eq(sample.tid, 101);
			ck_assert_int_eq(sample.cpu, 3);
			ck_assert_uint_eq(sample.id, 7);
			ck_assert_uint_eq(sample.period, 1003009);
			ck_assert_uint_eq(sample.chain_count, 23);
			ck_assert_uint_eq(sample.chain[22], 0x1000 + 22);
		}
		ck_assert_uint_eq(page.data_tail, page.data_head);
	}
	ck_assert_uint_eq(got, sent);
	ck_assert_uint_eq(ring.corrupt, 0);
}
END_TEST

START_TEST(test_space_goes_back_while_reading)
{
	uint64_t words[64];
	uint64_t seen_tail = 0;

	for (int i = 0; i < 16; i++) {
		put(words, make_sample(words, (uint64_t)i, 20));
	}
	perf_ring_begin(&ring);
	while (perf_ring_next(&ring)) {
		seen_tail = page.data_tail > seen_tail && page.data_tail < page.data_head ? page.data_tail
											  : seen_tail;
	}
	ck_assert_uint_gt(seen_tail, RING_BYTES / 8);
}
END_TEST

START_TEST(test_rubbish_is_thrown_away_and_counted)
{
	static const uint16_t sizes[] = { 0, 4, 7, 9, 60, 4104, 65535 };
	uint64_t words[64];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct perf_event_header header = { .type = PERF_RECORD_SAMPLE, .size = sizes[i] };

		put(&header, sizeof(header));
		put(words, make_sample(words, 1, 4));
		perf_ring_begin(&ring);
		ck_assert_ptr_null(perf_ring_next(&ring));
		ck_assert_uint_eq(ring.corrupt, i + 1);
		ck_assert_uint_eq(page.data_tail, page.data_head);
	}
	put(words, make_sample(words, 2, 4));
	perf_ring_begin(&ring);
	ck_assert_ptr_nonnull(perf_ring_next(&ring));
	ck_assert_ptr_null(perf_ring_next(&ring));
}
END_TEST

START_TEST(test_impossible_head)
{
	page.data_head = RING_BYTES * 3;
	perf_ring_begin(&ring);
	ck_assert_ptr_null(perf_ring_next(&ring));
	ck_assert_uint_eq(ring.corrupt, 1);
	page.data_head = RING_BYTES * 3 + 5; /* not a multiple of 8 */
	perf_ring_begin(&ring);
	ck_assert_ptr_null(perf_ring_next(&ring));
	page.data_head = RING_BYTES; /* backwards */
	perf_ring_begin(&ring);
	ck_assert_ptr_null(perf_ring_next(&ring));
	ck_assert_uint_eq(ring.corrupt, 2);
}
END_TEST

/* Any bytes whatever: every record handed out lies inside the ring or the bounce buffer, and the drain ends. */
START_TEST(test_random_bytes)
{
	unsigned seed = 12345;

	for (int round = 0; round < 20000; round++) {
		const struct perf_event_header *header;
		struct perf_record_sample sample;
		struct perf_record_chain chain;
		int records = 0;

		for (size_t i = 0; i < RING_BYTES / 8; i++) {
			storage[i] = ((uint64_t)(unsigned)rand_r(&seed) << 32) | (unsigned)rand_r(&seed);
			if (i % 8 == 0) { /* plausible sizes go deeper */
				struct perf_event_header fake = { .type = (uint32_t)rand_r(&seed) % 12,
								  .size = (uint16_t)((rand_r(&seed) % 24) *
										     8) };

				memcpy(&storage[i], &fake, 8);
			}
		}
		page.data_head = page.data_tail + ((unsigned)rand_r(&seed) % (RING_BYTES + 64));
		perf_ring_begin(&ring);
		while ((header = perf_ring_next(&ring))) {
			ck_assert_int_lt(records++, RING_BYTES / 8 + 1);
			if (perf_record_parse_sample(header, PERF_SAMPLE_FIELDS | PERF_SAMPLE_CALLCHAIN,
						     &sample)) {
				perf_record_part_chain(&sample, &chain);
				ck_assert_uint_le(chain.kernel_count + chain.user_count, header->size / 8);
			}
			(void)perf_record_parse_lost(header);
		}
	}
}
END_TEST

START_TEST(test_short_samples_are_refused)
{
	struct perf_record_sample sample;
	uint64_t words[64];
	size_t bytes = make_sample(words, 1, 10);

	for (size_t size = 8; size < bytes; size += 8) {
		struct perf_event_header header;

		memcpy(&header, words, 8);
		header.size = (uint16_t)size;
		memcpy(words, &header, 8);
		ck_assert(!perf_record_parse_sample((const void *)words,
						    PERF_SAMPLE_FIELDS | PERF_SAMPLE_CALLCHAIN, &sample));
	}
	make_sample(words, 1, 10);
	words[7] = UINT64_MAX; /* claimed length of the chain */
	ck_assert(!perf_record_parse_sample((const void *)words, PERF_SAMPLE_FIELDS | PERF_SAMPLE_CALLCHAIN,
					    &sample));
}
END_TEST

#define COPY_TYPE                                                                                            \
	(PERF_SAMPLE_FIELDS | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER)

/* A sample with registers and a copy: regs_abi 0 has no registers, asked 0 has no copy. */
static size_t make_copy(uint64_t *words, uint64_t regs_abi, uint64_t asked, uint64_t copied)
{
	struct perf_event_header header;
	size_t at = make_sample(words, 1, 2) / 8;

	words[at++] = regs_abi;
	for (int i = 0; regs_abi && i < __builtin_popcountll(PERF_USER_REGS); i++) {
		words[at++] = 0x100 + (uint64_t)i;
	}
	words[at++] = asked;
	for (uint64_t i = 0; i < asked / 8; i++) {
		words[at++] = 0x5000 + i;
	}
	if (asked) {
		words[at++] = copied;
	}
	memcpy(&header, words, 8);
	header.size = (uint16_t)(at * 8);
	memcpy(words, &header, 8);
	return at * 8;
}

START_TEST(test_registers_and_copies_are_read)
{
	struct perf_record_sample sample;
	uint64_t words[256];
	size_t bytes = make_copy(words, PERF_SAMPLE_REGS_ABI_64, 64, 40);

	ck_assert(perf_record_parse_sample((const void *)words, COPY_TYPE, &sample));
	ck_assert_uint_eq(sample.chain_count, 2);
	ck_assert_uint_eq(sample.regs[8], 0x108);
	ck_assert_uint_eq(sample.stack_bytes, 40);
	ck_assert_uint_eq(sample.stack_asked, 64);
	ck_assert_uint_eq(((const uint64_t *)sample.stack)[7], 0x5007);
	for (size_t size = 8; size < bytes; size += 8) { /* cut anywhere, it is refused */
		struct perf_event_header header;

		memcpy(&header, words, 8);
		header.size = (uint16_t)size;
		memcpy(words, &header, 8);
		ck_assert(!perf_record_parse_sample((const void *)words, COPY_TYPE, &sample));
	}
	make_copy(words, PERF_SAMPLE_REGS_ABI_64, 64, 72); /* more copied than there was room for */
	ck_assert(!perf_record_parse_sample((const void *)words, COPY_TYPE, &sample));
	make_copy(words, PERF_SAMPLE_REGS_ABI_NONE, 0, 0); /* a kernel thread */
	ck_assert(perf_record_parse_sample((const void *)words, COPY_TYPE, &sample));
	ck_assert_ptr_null(sample.regs);
	ck_assert_ptr_null(sample.stack);
	make_copy(words, PERF_SAMPLE_REGS_ABI_32, 64, 0);
	ck_assert(perf_record_parse_sample((const void *)words, COPY_TYPE, &sample));
	ck_assert_uint_eq(sample.regs_abi, PERF_SAMPLE_REGS_ABI_32);
	ck_assert_ptr_null(sample.stack);
}
END_TEST

/* An address and a tracepoint's record, then the chain's neighbours still in place; cut anywhere it is refused. */
START_TEST(test_address_and_raw_are_read)
{
	const uint64_t type = PERF_SAMPLE_FIELDS | PERF_SAMPLE_ADDR | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW;
	uint64_t words[32] = { 0, 7, 0x1000, 0, 5, 0xabcd, 0, 1, 2, (uint64_t)PERF_CONTEXT_USER, 0x1000 };
	struct perf_event_header header = { .type = PERF_RECORD_SAMPLE, .size = 13 * 8 };
	struct perf_record_sample sample;
	uint32_t raw[4] = { 12, 1, 2, 3 };

	memcpy(words + 11, raw, sizeof(raw));
	memcpy(words, &header, sizeof(header));
	ck_assert(perf_record_parse_sample((void *)words, type, &sample));
	ck_assert_uint_eq(sample.addr, 0xabcd);
	ck_assert_uint_eq(sample.period, 1);
	ck_assert_uint_eq(sample.chain_count, 2);
	ck_assert_uint_eq(sample.raw_bytes, 12);
	ck_assert_int_eq(memcmp(sample.raw, raw + 1, 12), 0);
	for (uint16_t size = 8; size < 13 * 8; size += 8) {
		header.size = size;
		memcpy(words, &header, sizeof(header));
		ck_assert(!perf_record_parse_sample((void *)words, type, &sample));
	}
}
END_TEST

/* The kernel's records of forks decide, also for a number that is used again; without one, whose child it is. */
START_TEST(test_members_follow_forks)
{
	int32_t self = getpid();
	struct members members;

	ck_assert_int_eq(members_init(&members, &self, 1), 0);
	ck_assert(members_has(&members, self));
	ck_assert(!members_has(&members, getppid()));
	ck_assert(!members_has(&members, 0)); /* the idle task */
	ck_assert(!members_has(&members, -1));
	ck_assert(!members_has(&members, INT32_MAX));
	ck_assert_uint_eq(members.others, 4);
	members_fork(&members, 4000001, self);
	members_fork(&members, 4000002, 4000001);
	ck_assert(members_has(&members, 4000002));
	members_fork(&members, 4000002, getppid());
	ck_assert(!members_has(&members, 4000002));
	members_finish(&members);
	ck_assert(members_has(&members, 1)); /* not in use: everybody */
}
END_TEST

/* A child whose fork was not told. */
START_TEST(test_members_ask_for_the_parent)
{
	int32_t self = getpid();
	struct members members;
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(members_init(&members, &self, 1), 0);
	ck_assert(members_has(&members, child));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	members_finish(&members);
}
END_TEST

/* What the CPU recorded, as a chain; entries that the record has no room for are refused. */
START_TEST(test_branches_are_a_chain)
{
	const uint64_t type = PERF_SAMPLE_FIELDS | PERF_SAMPLE_BRANCH_STACK;
	uint64_t words[16] = { 0, 7, 0x1000, 0, 5, 0, 1, 2, 0x2000, 0x1100, 1, 0x3000, 0x2100, 1 };
	struct perf_event_header header = { .type = PERF_RECORD_SAMPLE,
					    .size = 14 * 8,
					    .misc = PERF_RECORD_MISC_USER };
	struct perf_record_sample sample;
	uint64_t ips[2];

	memcpy(words, &header, sizeof(header));
	ck_assert(perf_record_parse_sample((void *)words, type, &sample));
	ck_assert_uint_eq(perf_record_branch_chain(&sample, ips, 2), 2);
	ck_assert_uint_eq(ips[0], 0x1000);
	ck_assert_uint_eq(ips[1], 0x2000);
	words[7] = 3;
	ck_assert(!perf_record_parse_sample((void *)words, type, &sample));
}
END_TEST

START_TEST(test_copies_fit_what_walks_need)
{
	const uint64_t second = 1000000000ull;

	ck_assert_int_eq(adapt_decide(false, 10, 0, 4096, second), ADAPT_STAY); /* too few to tell */
	ck_assert_int_eq(adapt_decide(false, 100, 0, 4096, second / 2),
			 ADAPT_STAY); /* neither many nor long */
	ck_assert_int_eq(adapt_decide(false, 100, 0, 4096, second), ADAPT_SHRINK);
	ck_assert_int_eq(adapt_decide(false, 200, 0, 4096, second / 9), ADAPT_SHRINK);
	ck_assert_int_eq(adapt_decide(false, 200, 0, 20000, second),
			 ADAPT_SETTLE); /* would fit, without a margin */
	ck_assert_int_eq(adapt_decide(false, 200, 1, 4096, second),
			 ADAPT_SETTLE); /* deeper than the largest copy */
	ck_assert_int_eq(adapt_decide(true, 1000, 0, 20000, second), ADAPT_STAY);
	ck_assert_int_eq(adapt_decide(true, 1000, 1, 4096, second), ADAPT_GROW);
	ck_assert_int_eq(adapt_decide(true, 10000, 5, 4096, second), ADAPT_STAY); /* one in 2000 */
}
END_TEST

START_TEST(test_chain_is_parted_at_marks)
{
	uint64_t chain[] = { (uint64_t)PERF_CONTEXT_KERNEL,
			     0xffffffff81000010,
			     0xffffffff81000020,
			     (uint64_t)PERF_CONTEXT_USER,
			     0x400010,
			     0x400020,
			     0x400030 };
	struct perf_record_sample sample = {
		.ip = 0x55, .is_kernel = true, .chain = chain, .chain_count = 7
	};
	struct perf_record_chain parts;

	perf_record_part_chain(&sample, &parts);
	ck_assert_uint_eq(parts.kernel_count, 2);
	ck_assert_uint_eq(parts.user_count, 3);
	ck_assert_uint_eq(parts.kernel[0], 0xffffffff81000010);
	ck_assert_uint_eq(parts.user[2], 0x400030);

	sample.chain_count = 3; /* no user part */
	perf_record_part_chain(&sample, &parts);
	ck_assert_uint_eq(parts.kernel_count, 2);
	ck_assert_uint_eq(parts.user_count, 0);

	chain[0] = 0x1234; /* frames before any mark, an unknown mark, an empty part */
	chain[3] = (uint64_t)-640;
	chain[5] = (uint64_t)PERF_CONTEXT_USER;
	sample.chain_count = 7;
	perf_record_part_chain(&sample, &parts);
	ck_assert_uint_eq(parts.kernel_count, 0);
	ck_assert_uint_eq(parts.user_count, 1);
	ck_assert_uint_eq(parts.user[0], 0x400030);
}
END_TEST

START_TEST(test_without_chain_the_ip_is_the_stack)
{
	struct perf_record_sample sample = { .ip = 0x55, .is_kernel = true };
	struct perf_record_chain parts;

	perf_record_part_chain(&sample, &parts);
	ck_assert_uint_eq(parts.kernel_count, 1);
	ck_assert_uint_eq(parts.kernel[0], 0x55);
	sample.is_kernel = false;
	perf_record_part_chain(&sample, &parts);
	ck_assert_uint_eq(parts.kernel_count, 0);
	ck_assert_uint_eq(parts.user[0], 0x55);
}
END_TEST

START_TEST(test_lost_records)
{
	uint64_t words[3] = { 0, 9, 1234 };
	struct perf_event_header header = { .type = PERF_RECORD_LOST, .size = 24 };

	memcpy(words, &header, 8);
	ck_assert_uint_eq(perf_record_parse_lost((const void *)words), 1234);
	header.type = PERF_RECORD_LOST_SAMPLES;
	memcpy(words, &header, 8);
	ck_assert_uint_eq(perf_record_parse_lost((const void *)words), 9);
	header.size = 8;
	memcpy(words, &header, 8);
	ck_assert_uint_eq(perf_record_parse_lost((const void *)words), 0);
}
END_TEST

START_TEST(test_cpu_lists)
{
	struct perf_id_list list = { NULL, 0, 0 };
	static const char *const bad[] = { "", "x", "3-1", "0-99999", "1,,2", "0-", "1;2", "-1" };

	ck_assert_int_eq(perf_procfs_parse_cpus("0-2,5,7-8\n", &list), 0);
	ck_assert_uint_eq(list.count, 6);
	ck_assert_int_eq(list.items[3], 5);
	ck_assert_int_eq(list.items[5], 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list.count = 0;
		ck_assert_msg(perf_procfs_parse_cpus(bad[i], &list) == -EINVAL, "%s", bad[i]);
	}
	free(list.items);
}
END_TEST

/* Each cause has its own status and names its own remedy. */
static const struct {
	struct perf_refusal_facts facts;
	int32_t status;
	const char *why;
	const char *hint;
} refusals[] = {
	{ { .error = EACCES, .paranoid = 3 }, PFC_EPERM, "perf_event_paranoid = 3", "cap_perfmon" },
	{ { .error = EACCES, .paranoid = 2, .is_other_process = true },
	  PFC_EPERM,
	  "CAP_PERFMON",
	  "cap_sys_ptrace" },
	{ { .error = EACCES, .paranoid = 2, .caps = 1ull << 38, .is_other_process = true },
	  PFC_EPERM,
	  "CAP_SYS_PTRACE is missing",
	  "cap_sys_ptrace" },
	{ { .error = EPERM, .paranoid = 2, .seccomp = 2 }, PFC_EPERM, "seccomp filter", "--cap-add PERFMON" },
	{ { .error = EACCES, .paranoid = 3, .seccomp = 2 }, PFC_EPERM, "CAP_PERFMON is missing", "setcap" },
	{ { .error = ENOSYS, .seccomp = 2 }, PFC_EPERM, "seccomp filter", "--security-opt" },
	{ { .error = ENOSYS }, PFC_ENOTSUP, "CONFIG_PERF_EVENTS", "kernel" },
	{ { .error = EPERM, .caps = ~0ull }, PFC_EPERM, "although CAP_PERFMON", "lockdown" },
	{ { .error = ENOENT }, PFC_ENOTSUP, "does not have the event cycles", "cpu-clock" },
	{ { .error = EOPNOTSUPP }, PFC_ENOTSUP, "does not have the event cycles", "cpu-clock" },
	{ { .error = EMFILE }, PFC_ENOSPC, "RLIMIT_NOFILE", "ulimit -n" },
	{ { .error = ENFILE }, PFC_ENOSPC, "fs.file-max", "sysctl" },
	{ { .error = EBUSY }, PFC_ENOTSUP, "another tool", "cpu-clock" },
	{ { .error = ESRCH }, PFC_ETARGET, "gone", "still runs" },
	{ { .error = EINVAL, .max_rate = 100 },
	  PFC_ENOTSUP,
	  "perf_event_max_sample_rate = 100",
	  "lower frequency" },
	{ { .error = EPERM, .is_mmap = true, .mlock_kb = 516 },
	  PFC_EPERM,
	  "perf_event_mlock_kb = 516",
	  "ring=64KiB" },
	{ { .error = ENOMEM, .is_mmap = true }, PFC_ENOMEM, "memory", "smaller ring" },
};

START_TEST(test_refusals_are_told_apart)
{
	struct perf_refusal refusal;

	memset(&refusal, 0, sizeof(refusal));
	perf_refusal_reason(&refusals[_i].facts, "cycles", &refusal);
	ck_assert_int_eq(refusal.status, refusals[_i].status);
	ck_assert_msg(strstr(refusal.why, refusals[_i].why) != NULL, "why: %s", refusal.why);
	ck_assert_msg(strstr(refusal.hint, refusals[_i].hint) != NULL, "hint: %s", refusal.hint);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("perf_ring");
	TCase *rings = tcase_create("rings");
	TCase *records = tcase_create("records");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(rings, setup, teardown);
	tcase_add_test(rings, test_records_survive_every_wrap);
	tcase_add_test(rings, test_space_goes_back_while_reading);
	tcase_add_test(rings, test_rubbish_is_thrown_away_and_counted);
	tcase_add_test(rings, test_impossible_head);
	tcase_add_test(rings, test_random_bytes);
	tcase_set_timeout(rings, 60);
	suite_add_tcase(suite, rings);
	tcase_add_test(records, test_short_samples_are_refused);
	tcase_add_test(records, test_registers_and_copies_are_read);
	tcase_add_test(records, test_address_and_raw_are_read);
	tcase_add_test(records, test_branches_are_a_chain);
	tcase_add_test(records, test_members_follow_forks);
	tcase_add_test(records, test_members_ask_for_the_parent);
	tcase_add_test(records, test_copies_fit_what_walks_need);
	tcase_add_test(records, test_chain_is_parted_at_marks);
	tcase_add_test(records, test_without_chain_the_ip_is_the_stack);
	tcase_add_test(records, test_lost_records);
	tcase_add_test(records, test_cpu_lists);
	tcase_add_loop_test(records, test_refusals_are_told_apart, 0, sizeof(refusals) / sizeof(refusals[0]));
	suite_add_tcase(suite, records);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Hostile ELF and DWARF: flipped bytes of a real program (this one), aimed at what is parsed, and truncations. Nothing may
 * crash or hang; what comes out need not make sense. PROFCORE_FUZZ_ROUNDS sets how many (default 600).
 */
#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_host.h"
#include "fake_target.h"
#include "stacks/stacks.h"

#define BASE      0x7000000000ULL
#define PID       99
#define ADDRESSES 64

static int subject_fd = -1;
static uint8_t *good;
static uint64_t good_bytes;

struct range {
	uint64_t start, bytes;
};

/* Headers, and the sections that the service reads. */
static struct range ranges[16];
static unsigned range_count;

static int32_t open_subject(void *ctx, const struct pfc_target_event *map)
{
	(void)ctx;
	(void)map;
	return fcntl(subject_fd, F_DUPFD_CLOEXEC, 0);
}

static void add_range(uint64_t start, uint64_t bytes)
{
	if (range_count < sizeof(ranges) / sizeof(ranges[0]) && bytes > 0 && start + bytes <= good_bytes) {
		ranges[range_count++] = (struct range){ start, bytes };
	}
}

static void find_ranges(void)
{
	static const char *const wanted[] = { ".symtab",
					      ".dynsym",
					      ".strtab",
					      ".debug_info",
					      ".debug_abbrev",
					      ".debug_line",
					      ".debug_line_str",
					      ".debug_str",
					      ".debug_rnglists",
					      ".debug_ranges",
					      ".note.gnu.build-id",
					      ".eh_frame",
					      ".eh_frame_hdr" };
	const Elf64_Ehdr *header = (const void *)good;
	const Elf64_Shdr *sections = (const void *)(good + header->e_shoff);
	const char *names = (const char *)good + sections[header->e_shstrndx].sh_offset;

	add_range(0, sizeof(*header) + (uint64_t)header->e_phnum * sizeof(Elf64_Phdr));
	add_range(header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr));
	for (unsigned i = 0; i < header->e_shnum; i++) {
		for (size_t n = 0; n < sizeof(wanted) / sizeof(wanted[0]); n++) {
			if (strcmp(names + sections[i].sh_name, wanted[n]) == 0) {
				add_range(sections[i].sh_offset, sections[i].sh_size);
			}
		}
	}
}

static void load_subject(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat stat;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &stat), 0);
	good_bytes = (uint64_t)stat.st_size;
	good = mmap(NULL, good_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	ck_assert_ptr_ne(good, MAP_FAILED);
	close(fd);
	subject_fd = memfd_create("subject", MFD_CLOEXEC);
	ck_assert_int_ge(subject_fd, 0);
	ck_assert_int_eq((int)(write(subject_fd, good, good_bytes) == (ssize_t)good_bytes), 1);
	find_ranges();
	ck_assert_uint_ge(range_count, 6);
}

/* Add addresses all over the file and symbolize. Returns how many frames have a name. */
static uint64_t resolve(void)
{
	struct pfc_stacks_config config = {
		.struct_size = sizeof(config), .port = "stacks", .event = "none", .weight_unit = "count"
	};
	struct pfc_stack_sample sample = {
		.struct_size = sizeof(sample), .pid = PID, .tid = PID, .user_ip_count = 1
	};
	/* One service for all rounds: it reads the kernel's symbols once. */
	static struct fake_host host;
	static struct fake_target target;
	static struct stacks_service *service;
	struct pfc_stacks_session *session;
	const struct pfc_stacks *face;
	uint64_t named = 0;
	uint64_t ip;

	fake_host_init(&host);
	fake_target_init(&target);
	target.service.open_mapped = open_subject;
	fake_target_map(&target, 0, PID, BASE, good_bytes, 0, "/subject");
	fake_target_sync(&target, UINT64_MAX);
	if (service == NULL) {
		ck_assert_int_eq(stacks_service_create(&host.host, &target.service, &service, NULL), 0);
	}
	face = stacks_service_face(service);
	ck_assert_int_eq(face->open(face->ctx, &config, &session), 0);
	sample.user_ips = &ip;
	for (uint64_t i = 0; i < ADDRESSES; i++) {
		ip = BASE + i * (good_bytes / 4) / ADDRESSES;
		sample.time_ns = i + 1;
		ck_assert_int_eq(face->add(session, &sample), 0);
	}
	ck_assert_int_eq(face->tick(session, UINT64_MAX), 0);
	ck_assert_int_eq(face->finish(session), 0);
	ck_assert_uint_eq(fake_rows(&host, "samples"), ADDRESSES);
	for (uint64_t row = 0; row < fake_rows(&host, "frames"); row++) {
		named += fake_number(&host, "frames", row, "function") != 0;
	}
	face->close(session);
	fake_target_finish(&target);
	fake_host_finish(&host);
	return named;
}

static int rounds(void)
{
	const char *text = getenv("PROFCORE_FUZZ_ROUNDS");

	return text != NULL ? atoi(text) : 600;
}

START_TEST(survives_flipped_bytes)
{
	load_subject();
	ck_assert_uint_gt(resolve(), ADDRESSES / 8); /* untouched it has names: the test can fail */
	srand(7);
	for (int round = 0; round < rounds(); round++) {
		uint64_t at[8];
		int flips = 1 + rand() % 8;

		for (int i = 0; i < flips; i++) {
			const struct range *range = &ranges[(unsigned)rand() % range_count];
			uint8_t value = (uint8_t)(rand() % 3 == 0 ? 0xff : rand());

			/* The start of a section is parsed most. */
			at[i] = range->start +
				((unsigned)rand() % 2 ? (unsigned)rand() % 4096 : (unsigned)rand()) %
					range->bytes;
			ck_assert_int_eq((int)pwrite(subject_fd, &value, 1, (off_t)at[i]), 1);
		}
		resolve();
		for (int i = 0; i < flips; i++) {
			ck_assert_int_eq((int)pwrite(subject_fd, good + at[i], 1, (off_t)at[i]), 1);
		}
	}
	ck_assert_uint_gt(resolve(), ADDRESSES / 8);
}
END_TEST

START_TEST(survives_truncation)
{
	load_subject();
	for (int round = 0; round < rounds() / 10; round++) {
		ck_assert_int_eq(ftruncate(subject_fd,
					   (off_t)(good_bytes * (unsigned)round / ((unsigned)rounds() / 10))),
				 0);
		resolve();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks_corrupt");
	TCase *cases = tcase_create("corrupt");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 0); /* the runner of the suite has one, and rounds may be many */
	tcase_add_test(cases, survives_flipped_bytes);
	tcase_add_test(cases, survives_truncation);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

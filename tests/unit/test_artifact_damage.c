/* SPDX-License-Identifier: MIT */
/*
 * Damaged artifacts: cut at every byte, bits flipped anywhere, blocks lifted from elsewhere, checksums made
 * right again over nonsense. The reader never crashes (run it under ASan too), never gives a wrong row as
 * right, and keeps every chunk in front of the damage.
 */
#include "artifact_fixture.h"

#include "artifact/format.h"

#define ROWS  60
#define EVERY 20

static char *file_bytes(int fd, size_t *ret_bytes)
{
	struct stat st;
	char *bytes;

	ck_assert_int_eq(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	*ret_bytes = (size_t)st.st_size;
	return bytes;
}

/* Where block `sequence` begins; the end of the file past the last one. */
static size_t block_at(const char *bytes, size_t file_bytes_, unsigned sequence)
{
	size_t at = sizeof(struct format_file);

	for (unsigned i = 0; i < sequence && at < file_bytes_; i++) {
		struct format_block block;

		memcpy(&block, bytes + at, sizeof(block));
		at += sizeof(block) + block.body_bytes;
	}
	return at;
}

/* Open the bytes as an artifact and read all of it; NULL-safe in every way that a stage would use it. */
static int read_all(const char *bytes, size_t count, uint64_t *ret_right, uint64_t *ret_corrupt,
		    bool *ret_sealed)
{
	struct artifact_about about = { .producer = "s", .port = "p", .type = FIXTURE_TYPE, .signal = "" };
	struct artifact_reader *reader = NULL;
	struct pfc_artifact described = { .struct_size = sizeof(described) };
	int fd = fixture_file();
	uint64_t wrong = 0;
	int rc;

	ck_assert_int_eq(write(fd, bytes, count), (ssize_t)count);
	*ret_right = *ret_corrupt = 0;
	*ret_sealed = false;
	rc = artifact_reader_open(fd, &about, &reader, NULL);
	if (rc == 0) {
		json_t *report = artifact_reader_report(reader);

		*ret_right = fixture_verify(artifact_reader_face(reader), ret_corrupt, &wrong);
		*ret_sealed = artifact_reader_is_sealed(reader);
		ck_assert_int_eq(
			artifact_reader_face(reader)->describe(artifact_reader_face(reader)->ctx, &described),
			0);
		ck_assert_ptr_nonnull(report);
		json_decref(report);
		artifact_reader_close(reader);
	}
	close(fd);
	ck_assert_uint_eq(wrong, 0);
	return rc;
}

START_TEST(cut_at_every_byte)
{
	int fd = fixture_every_file(ROWS, EVERY);
	size_t count;
	char *bytes = file_bytes(fd, &count);
	uint64_t right, corrupt;
	bool sealed;

	for (size_t cut = 0; cut < count; cut++) {
		uint64_t expected = 0;
		int rc = read_all(bytes, cut, &right, &corrupt, &sealed);

		/* blocks: schema, then chunk and meta in turn */
		for (unsigned i = 0; i < ROWS / EVERY; i++) {
			expected += block_at(bytes, count, 2 + 2 * i) <= cut ? EVERY : 0;
		}
		ck_assert_int_eq(rc, cut < sizeof(struct format_file) ? PFC_ECORRUPT : 0);
		ck_assert_uint_eq(right, expected);
		ck_assert_uint_eq(corrupt, 0);
		ck_assert(!sealed);
	}
	ck_assert_int_eq(read_all(bytes, count, &right, &corrupt, &sealed), 0);
	ck_assert_uint_eq(right, ROWS);
	ck_assert(sealed);
	free(bytes);
	close(fd);
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

START_TEST(flipped_bits)
{
	int fd = fixture_every_file(ROWS, EVERY);
	size_t count;
	char *bytes = file_bytes(fd, &count);
	uint32_t random = 20261123;
	unsigned noticed = 0;

	for (unsigned round = 0; round < 6000; round++) {
		unsigned flips = 1 + round % 4;
		uint64_t right, corrupt;
		bool sealed;
		size_t at[4];
		unsigned bit[4];

		for (unsigned i = 0; i < flips; i++) {
			at[i] = next_random(&random) % count;
			bit[i] = next_random(&random) % 8;
			bytes[at[i]] = (char)(bytes[at[i]] ^ (1 << bit[i]));
		}
		(void)read_all(bytes, count, &right, &corrupt, &sealed);
		ck_assert_uint_le(right, ROWS);
		noticed += right < ROWS || !sealed;
		for (unsigned i = 0; i < flips; i++) {
			bytes[at[i]] = (char)(bytes[at[i]] ^ (1 << bit[i]));
		}
	}
	ck_assert_uint_gt(noticed, 3000); /* the rest hit padding */
	free(bytes);
	close(fd);
}
END_TEST

static void close_block(char *bytes, size_t at)
{
	struct format_block block;

	memcpy(&block, bytes + at, sizeof(block));
	if (block.buffer_count <= FORMAT_BUFFERS_MAX) {
		block.descriptor_crc = format_crc(bytes + at + sizeof(block),
						  block.buffer_count * sizeof(struct format_buffer));
	}
	block.crc = format_crc(&block, offsetof(struct format_block, crc));
	memcpy(bytes + at, &block, sizeof(block));
}

/* Somebody wrote nonsense and signed it: headers and descriptors with right checksums and any value. */
START_TEST(signed_nonsense)
{
	int fd = fixture_every_file(ROWS, EVERY);
	size_t count;
	char *bytes = file_bytes(fd, &count);
	char *work = malloc(count);
	uint32_t random = 7;

	ck_assert_ptr_nonnull(work);
	for (unsigned round = 0; round < 6000; round++) {
		size_t block = block_at(bytes, count, next_random(&random) % 8);
		size_t span = sizeof(struct format_block) + 11 * sizeof(struct format_buffer);
		size_t at = block + 4 + next_random(&random) % (span - 12);
		uint64_t right, corrupt, value = next_random(&random);
		bool sealed;

		if (block + span + 8 > count) {
			continue;
		}
		memcpy(work, bytes, count);
		value = round % 3 == 0   ? UINT64_MAX - value % 200
			: round % 3 == 1 ? value % 300
					 : value << 31;
		memcpy(work + at, &value, 1u << next_random(&random) % 4);
		close_block(work, block);
		(void)read_all(work, count, &right, &corrupt, &sealed);
	}
	free(work);
	free(bytes);
	close(fd);
}
END_TEST

/* Offsets of strings that run backwards or out of the data, with every checksum right. */
START_TEST(signed_wild_offsets)
{
	static const int32_t wild[] = { -1, INT32_MIN, INT32_MAX, 100000, 5000 };
	int fd = fixture_every_file(ROWS, EVERY);
	size_t count;
	char *bytes = file_bytes(fd, &count);
	size_t chunk = block_at(bytes, count, 1);
	size_t body = chunk + sizeof(struct format_block);
	size_t descriptor_at = body + 7 * sizeof(struct format_buffer);
	struct format_buffer descriptor;

	memcpy(&descriptor, bytes + descriptor_at, sizeof(descriptor));
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		for (unsigned row = 0; row <= EVERY; row++) {
			char *at = bytes + body + descriptor.offset + row * sizeof(int32_t);
			struct format_buffer signed_descriptor = descriptor;
			uint64_t right, corrupt;
			int32_t old;
			bool sealed;

			memcpy(&old, at, sizeof(old));
			memcpy(at, &wild[i], sizeof(wild[i]));
			signed_descriptor.crc =
				format_crc(bytes + body + descriptor.offset, descriptor.bytes);
			memcpy(bytes + descriptor_at, &signed_descriptor, sizeof(signed_descriptor));
			close_block(bytes, chunk);
			ck_assert_int_eq(read_all(bytes, count, &right, &corrupt, &sealed), 0);
			ck_assert_uint_eq(corrupt, 1);
			ck_assert_uint_eq(right, ROWS - EVERY);
			ck_assert(!sealed); /* the chain of checksums is broken too */
			memcpy(at, &old, sizeof(old));
		}
	}
	free(bytes);
	close(fd);
}
END_TEST

/* Schemas are JSON: any text with a right checksum may stand there. */
static int open_with_schema(const char *text)
{
	struct artifact_about about = { .type = FIXTURE_TYPE };
	struct artifact_reader *reader = NULL;
	struct format_file header = { .magic = "PFCOL\0\1", .type = FIXTURE_TYPE };
	struct format_block block = { .magic = "PFBK", .kind = FORMAT_SCHEMA, .buffer_count = 1 };
	struct format_buffer buffer = { .offset = 64,
					.bytes = strlen(text),
					.crc = format_crc(text, strlen(text)) };
	int fd = fixture_file();
	int tables;

	header.magic[7] = '\n';
	header.crc = format_crc(&header, offsetof(struct format_file, crc));
	block.body_bytes = 64 + format_align(strlen(text));
	block.descriptor_crc = format_crc(&buffer, sizeof(buffer));
	block.crc = format_crc(&block, offsetof(struct format_block, crc));
	ck_assert_int_eq(ftruncate(fd, (off_t)(128 + block.body_bytes)), 0);
	ck_assert_int_eq(pwrite(fd, &header, 64, 0), 64);
	ck_assert_int_eq(pwrite(fd, &block, 64, 64), 64);
	ck_assert_int_eq(pwrite(fd, &buffer, sizeof(buffer), 128), sizeof(buffer));
	ck_assert_int_eq(pwrite(fd, text, strlen(text), 192), (ssize_t)strlen(text));
	ck_assert_int_eq(artifact_reader_open(fd, &about, &reader, NULL), 0);
	tables = (int)artifact_reader_table_count(reader);
	artifact_reader_close(reader);
	close(fd);
	return tables;
}

START_TEST(hostile_schemas)
{
	static const char *const refused[] = {
		"",
		"{",
		"[]",
		"7",
		"{}",
		"{\"name\":\"t\",\"time_column\":-1,\"columns\":[]}",
		"{\"name\":\"t\",\"time_column\":0,\"columns\":[{\"name\":\"a\",\"type\":\"u32\",\"unit\":"
		"\"\"}]}",
		"{\"name\":\"t\",\"time_column\":4294967296,\"columns\":[{\"name\":\"a\",\"type\":\"u64\","
		"\"unit\":\"\"}]}",
		"{\"name\":\"t\",\"time_column\":-1,\"columns\":[{\"name\":\"a\",\"type\":\"u128\",\"unit\":"
		"\"\"}]}",
		"{\"name\":\"t\",\"time_column\":-1,\"columns\":[{\"name\":\"a\",\"type\":\"u32\"}]}",
		"{\"name\":\"t\",\"time_column\":-1,\"columns\":[{\"name\":\"../"
		"a\",\"type\":\"u32\",\"unit\":\"\"}]}",
		"{\"name\":\"t\",\"time_column\":-1,\"columns\":[7]}",
		"{\"name\":\"t\",\"time_column\":-1,\"columns\":[{\"name\":\"a\",\"type\":\"u8\",\"unit\":"
		"\"\"},"
		"{\"name\":\"a\",\"type\":\"u8\",\"unit\":\"\"}]}",
	};
	char *deep = malloc(500001);

	ck_assert_int_eq(open_with_schema("{\"name\":\"t\",\"time_column\":-1,\"columns\":"
					  "[{\"name\":\"a\",\"type\":\"u8\",\"unit\":\"\"}]}"),
			 1);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		ck_assert_msg(open_with_schema(refused[i]) == 0, "%s", refused[i]);
	}
	ck_assert_ptr_nonnull(deep);
	memset(deep, '[', 500000);
	deep[500000] = '\0';
	ck_assert_int_eq(open_with_schema(deep), 0);
	free(deep);
}
END_TEST

START_TEST(not_a_file)
{
	struct artifact_about about = { .type = FIXTURE_TYPE };
	struct artifact_reader *reader = NULL;
	struct pfc_error err;
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(artifact_reader_open(pipes[0], &about, &reader, &err), PFC_EINVAL);
	ck_assert_str_ne(err.why, "");
	ck_assert_int_lt(artifact_reader_open(-1, &about, &reader, &err), 0);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact_damage");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, cut_at_every_byte);
	tcase_add_test(cases, flipped_bits);
	tcase_add_test(cases, signed_nonsense);
	tcase_add_test(cases, signed_wild_offsets);
	tcase_add_test(cases, hostile_schemas);
	tcase_add_test(cases, not_a_file);
	return fixture_run(cases, "artifact_damage");
}

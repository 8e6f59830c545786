/* SPDX-License-Identifier: MIT */
/* Document outputs: bytes as written, their sha256, and the errors of the contract. */
#include "artifact_fixture.h"

#include "artifact/sha256.h"

static void digest_of(const char *text, size_t repeat, char ret[65])
{
	struct sha256 sha;

	sha256_init(&sha);
	for (size_t i = 0; i < repeat; i++) {
		sha256_add(&sha, text, strlen(text));
	}
	sha256_hex(&sha, ret);
}

/* The examples that were published with FIPS 180-4. */
START_TEST(sha256_gives_the_published_digests)
{
	char hex[65];

	digest_of("", 1, hex);
	ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_of("abc", 1, hex);
	ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, hex);
	ck_assert_str_eq(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	digest_of("a", 1000000, hex);
	ck_assert_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

START_TEST(bytes_arrive_whole)
{
	static const size_t sizes[] = { 0, 1, 100, 4096, 65535, 65536, 65537, 300000, 7 };
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, "image/svg+xml");
	const struct pfc_writer *face = artifact_writer_face(writer);
	char *all = malloc(1000000);
	struct artifact_reader *reader;
	struct pfc_artifact about = { .struct_size = sizeof(about) };
	struct sha256 sha;
	char checksum[80] = "sha256:";
	const void *data;
	uint64_t bytes;
	json_t *report;
	size_t at = 0;

	ck_assert_ptr_nonnull(all);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(all + at, 'a' + (int)i, sizes[i]);
		ck_assert_int_eq(face->write(face->ctx, all + at, sizes[i]), 0);
		at += sizes[i];
	}
	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	sha256_init(&sha);
	sha256_add(&sha, all, at);
	sha256_hex(&sha, checksum + 7);
	report = artifact_writer_report(writer);
	ck_assert_str_eq(json_string_value(json_object_get(report, "checksum")), checksum);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "bytes")), (json_int_t)at);
	json_decref(report);
	reader = fixture_reader(fd, "image/svg+xml");
	ck_assert_int_eq(
		artifact_reader_face(reader)->document(artifact_reader_face(reader)->ctx, &data, &bytes), 0);
	ck_assert_uint_eq(bytes, at);
	ck_assert_mem_eq(data, all, at);
	ck_assert_int_eq(artifact_reader_face(reader)->describe(artifact_reader_face(reader)->ctx, &about),
			 0);
	ck_assert_uint_eq(about.document_bytes, at);
	ck_assert_uint_eq(about.partial, 0);
	ck_assert_str_eq(about.type, "image/svg+xml");
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	free(all);
	close(fd);
}
END_TEST

START_TEST(an_empty_document_is_a_document)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, "text/plain");
	struct artifact_reader *reader;
	const void *data = NULL;
	uint64_t bytes = 7;

	ck_assert_int_eq(artifact_writer_seal(writer, NULL), 0);
	reader = fixture_reader(fd, "text/plain");
	ck_assert_int_eq(
		artifact_reader_face(reader)->document(artifact_reader_face(reader)->ctx, &data, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_ptr_nonnull(data);
	artifact_reader_close(reader);
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

START_TEST(commit_puts_bytes_into_the_file)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, "text/plain");
	const struct pfc_writer *face = artifact_writer_face(writer);
	char bytes[8] = { 0 };

	ck_assert_int_eq(face->write(face->ctx, "hello", 5), 0);
	ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), 0), 0);
	ck_assert_int_eq(face->commit(face->ctx), 0);
	ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), 0), 5);
	ck_assert_str_eq(bytes, "hello");
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

START_TEST(a_document_has_no_tables)
{
	int fd = fixture_file();
	struct artifact_writer *writer = fixture_writer(fd, "text/plain");
	const struct pfc_writer *face = artifact_writer_face(writer);
	struct pfc_error err;
	char byte = 0;

	ck_assert_int_eq(face->write(face->ctx, "x", 1), 0);
	ck_assert_int_eq(face->declare(face->ctx, &fixture_strings_table), PFC_EINVAL);
	ck_assert_int_eq(face->write(face->ctx, "y", 1), PFC_EINVAL);
	ck_assert_int_eq(artifact_writer_seal(writer, &err), PFC_EINVAL);
	ck_assert_str_ne(err.why, "");
	ck_assert_int_eq(pread(fd, &byte, 1, 0), 1); /* what was right before the mistake is kept */
	artifact_writer_destroy(writer);
	close(fd);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("artifact_document");

	tcase_add_test(cases, sha256_gives_the_published_digests);
	tcase_add_test(cases, bytes_arrive_whole);
	tcase_add_test(cases, an_empty_document_is_a_document);
	tcase_add_test(cases, commit_puts_bytes_into_the_file);
	tcase_add_test(cases, a_document_has_no_tables);
	return fixture_run(cases, "artifact_document");
}

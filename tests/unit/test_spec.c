/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config_fixture.h"
#include "stage/spec.h"

static struct pfc_error err;

static int read_text(const char *text, struct spec *ret)
{
	int fd = memfd_create("spec", MFD_CLOEXEC);
	int rc;

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	rc = spec_read(fd, ret, &err);
	close(fd);
	return rc;
}

START_TEST(all_that_the_core_writes)
{
	struct spec spec;

	ck_assert_int_eq(
		read_text("{\"stage\": \"s\", \"plugin_path\": \"/p/x.so\", \"plugin_dir\": \"/p\", \"run_id\": \"r\", \"run_name\": "
			  "\"n\", \"kind\": 2, \"privileges\": 17, \"duration_ns\": 5000000000, \"t0_ns\": 1152921504606846976, "
			  "\"t1_ns\": 9, \"stop_fd\": 5, \"options\": [{\"name\": \"o\", \"type\": 8, \"integer\": -3, \"real\": 1.5, "
			  "\"text\": \"a, b\", \"items\": [\"a\", \"b\"], \"set\": 1}], \"metrics\": [\"m\"], \"outputs\": [{\"port\": "
			  "\"op\", \"type\": \"a.b/1\", \"signal\": \"cpu\", \"fd\": 6}], \"inputs\": [{\"port\": \"ip\", \"producer\": "
			  "\"p\", \"producer_port\": \"pp\", \"type\": \"c.d/1\", \"signal\": \"\", \"partial\": true, \"fd\": 7}], "
			  "\"needs\": [{\"port\": \"ip\", \"column\": \"t.c\"}], \"target\": {\"kind\": \"pid\", \"name\": \"x\", "
			  "\"cgroup\": \"\", \"held\": false, \"launched\": true, \"fd\": 8, \"stacks_fd\": 9}}",
			  &spec),
		0);
	ck_assert_str_eq(spec.stage, "s");
	ck_assert_uint_eq(spec.privileges, 17);
	ck_assert_uint_eq(spec.t0_ns, 1152921504606846976u);
	ck_assert_int_eq(spec.stop_fd, 5);
	ck_assert_uint_eq(spec.option_count, 1);
	ck_assert_int_eq(spec.options[0].value.integer, -3);
	ck_assert_uint_eq(spec.options[0].value.item_count, 2);
	ck_assert_str_eq(spec.options[0].value.items[1], "b");
	ck_assert(spec.options[0].value.is_set);
	ck_assert_str_eq(spec.metrics[0], "m");
	ck_assert_int_eq(spec.outputs[0].fd, 6);
	ck_assert(spec.inputs[0].partial);
	ck_assert_str_eq(spec.needs[0].column, "t.c");
	ck_assert(spec.has_target && spec.target_is_launched && !spec.target_held);
	ck_assert_int_eq(spec.target_stacks_fd, 9);
	spec_finish(&spec);
}
END_TEST

START_TEST(what_is_missing_is_empty)
{
	struct spec spec;

	ck_assert_int_eq(read_text("{}", &spec), 0);
	ck_assert_str_eq(spec.stage, "");
	ck_assert_str_eq(spec.target_kind, "none");
	ck_assert_int_eq(spec.stop_fd, -1);
	ck_assert_int_eq(spec.target_fd, -1);
	ck_assert_uint_eq(spec.option_count + spec.output_count + spec.input_count + spec.need_count + spec.metric_count, 0);
	spec_finish(&spec);
}
END_TEST

START_TEST(wrong_types_never_crash)
{
	static const char *const values[] = { "null", "true", "-1", "1e300", "\"x\"", "[]", "{}", "[1, null, \"x\", [], {}]",
					      "[{\"name\": 1, \"items\": 5}, {\"items\": [1, {}, null]}, {\"port\": [], \"fd\": \"1\"}]" };
	static const char *const keys[] = { "stage",   "kind",    "privileges", "duration_ns", "stop_fd", "options",
					    "metrics", "outputs", "inputs",     "needs",       "target",  "plugin_path" };

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			struct spec spec;
			char text[400];

			snprintf(text, sizeof(text), "{\"%s\": %s}", keys[k], values[v]);
			ck_assert_msg(read_text(text, &spec) == 0, "%s", text);
			for (size_t i = 0; i < spec.metric_count; i++) {
				ck_assert_msg(spec.metrics[i] != NULL, "%s", text);
			}
			spec_finish(&spec);
		}
	}
}
END_TEST

START_TEST(no_spec)
{
	static const char *const texts[] = { "", "{", "\xff", "x" };
	struct spec spec;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_lt(read_text(texts[i], &spec), 0);
	}
	ck_assert_int_lt(spec_read(-1, &spec, &err), 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("spec");

	tcase_add_test(tests, all_that_the_core_writes);
	tcase_add_test(tests, what_is_missing_is_empty);
	tcase_add_test(tests, wrong_types_never_crash);
	tcase_add_test(tests, no_spec);
	return fixture_main(tests, "spec");
}

/* SPDX-License-Identifier: MIT */
/* plugins/load-test: the histogram against sorted values, and URLs taken apart. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define VALUES 50000

static struct histogram histogram;
static uint64_t values[VALUES];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Each distribution spans another part of the range. */
static uint64_t draw(int distribution)
{
	double uniform = (rand() + 1.0) / (RAND_MAX + 2.0);

	switch (distribution) {
	case 0:
		return (uint64_t)rand() % 5000;
	case 1:
		return (uint64_t)(1e5 - 2e5 * log(uniform)); /* 0.1 ms and an exponential tail */
	case 2:
		return rand() % 10 == 0 ? 500000000 : 200000; /* one in ten at 500 ms */
	default:
		return (uint64_t)exp(uniform * 28); /* 1 ns to 24 minutes */
	}
}

START_TEST(test_quantiles_match_sorted_values)
{
	static const double quantiles[] = { 0.001, 0.01, 0.1, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1 };
	double sum = 0;

	srand(3);
	histogram_reset(&histogram);
	for (int i = 0; i < VALUES; i++) {
		values[i] = draw(_i);
		sum += (double)values[i];
		histogram_add(&histogram, values[i]);
	}
	qsort(values, VALUES, sizeof(values[0]), compare);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		uint64_t exact = values[(size_t)ceil(quantiles[i] * VALUES - 1e-6) - 1];
		uint64_t got = histogram_quantile(&histogram, quantiles[i]);

		ck_assert_msg(fabs((double)got - (double)exact) <= (double)exact * 0.0005 + 0.5,
			      "q %g: %lu, exact %lu", quantiles[i], (unsigned long)got, (unsigned long)exact);
	}
	ck_assert_uint_eq(histogram.max_ns, values[VALUES - 1]);
	ck_assert_double_eq_tol(histogram_mean(&histogram), sum / VALUES, 1e-6 * sum / VALUES);
}
END_TEST

START_TEST(test_histogram_edges)
{
	histogram_reset(&histogram);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 0);
	ck_assert(histogram_mean(&histogram) == 0);
	histogram_add(&histogram, UINT64_MAX);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), UINT64_MAX);
	histogram_add(&histogram, 0);
	ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 0);
	/* Every power of two and its neighbours fall into a bucket that says so within its bound. */
	for (int bit = 0; bit < 42; bit++) {
		for (int64_t off = -1; off <= 1; off++) {
			uint64_t value = (1ULL << bit) + (uint64_t)off;

			histogram_reset(&histogram);
			histogram_add(&histogram, value);
			histogram_add(&histogram, UINT64_MAX);
			ck_assert_double_eq_tol((double)histogram_quantile(&histogram, 0.5), (double)value,
						(double)value * 0.0005 + 0.5);
		}
	}
}
END_TEST

static const struct {
	const char *text;
	const char *host;
	const char *port;
	const char *authority;
	const char *target;
} urls[] = {
	{ "http://localhost", "localhost", "80", "localhost", "/" },
	{ "HTTP://Host:8080/a/b?c=d#e", "Host", "8080", "Host:8080", "/a/b?c=d" },
	{ "http://127.0.0.1:80?x=/", "127.0.0.1", "80", "127.0.0.1", "/?x=/" },
	{ "http://[::1]/slow", "::1", "80", "[::1]", "/slow" },
	{ "http://[::1]:9/", "::1", "9", "[::1]:9", "/" },
	{ "http://h#f", "h", "80", "h", "/" },
	{ "http://h/a@b:c", "h", "80", "h", "/a@b:c" },
	{ "http://h:65535/%20", "h", "65535", "h:65535", "/%20" },
};

START_TEST(test_urls)
{
	struct load_url url;
	const char *why = NULL;

	ck_assert_int_eq(load_url_parse(urls[_i].text, &url, &why), 0);
	ck_assert_str_eq(url.host, urls[_i].host);
	ck_assert_str_eq(url.port, urls[_i].port);
	ck_assert_str_eq(url.authority, urls[_i].authority);
	ck_assert_str_eq(url.target, urls[_i].target);
}
END_TEST

static const char *const bad_urls[] = {
	"",
	"h",
	"ftp://h/",
	"http:/h",
	"http://",
	"http:///x",
	"http://:80/",
	"http://h:/",
	"http://h:0/",
	"http://h:65536/",
	"http://h:99999999999/",
	"http://h:8a/",
	"http://h:-1/",
	"http://u:p@h/",
	"http://[::1/",
	"http://[::1]x/",
	"http://[]/",
	"http://h/a b",
	"http://h/\r\nX: y",
	"http://h/\xc3\xa9",
	"http://h:1:2/",
};

START_TEST(test_bad_urls)
{
	struct load_url url = { .host = "untouched" };
	const char *why = NULL;

	ck_assert_int_eq(load_url_parse(bad_urls[_i], &url, &why), PFC_EINVAL);
	ck_assert_ptr_nonnull(why);
	ck_assert_str_eq(url.host, "untouched");
}
END_TEST

START_TEST(test_https_and_long_urls)
{
	static char text[LOAD_URL_BYTES + 64];
	struct load_url url;
	const char *why = NULL;

	ck_assert_int_eq(load_url_parse("HTTPS://h/", &url, &why), PFC_ENOTSUP);
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "http://", 7);
	ck_assert_int_eq(load_url_parse(text, &url, &why), PFC_EINVAL);
	text[7 + 256] = '/';
	ck_assert_int_eq(load_url_parse(text, &url, &why), PFC_EINVAL);
	text[LOAD_URL_BYTES - 1] = '\0';
	ck_assert_int_eq(load_url_parse(text, &url, &why), PFC_EINVAL); /* a host of 256 bytes */
	text[7 + 255] = '/';
	ck_assert_int_eq(load_url_parse(text, &url, &why), 0);
	ck_assert_uint_eq(strlen(url.target), strlen(text) - 7 - 255);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load_parts");
	TCase *parts = tcase_create("parts");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(parts, test_quantiles_match_sorted_values, 0, 4);
	tcase_add_test(parts, test_histogram_edges);
	tcase_add_loop_test(parts, test_urls, 0, sizeof(urls) / sizeof(urls[0]));
	tcase_add_loop_test(parts, test_bad_urls, 0, sizeof(bad_urls) / sizeof(bad_urls[0]));
	tcase_add_test(parts, test_https_and_long_urls);
	tcase_set_timeout(parts, 60);
	suite_add_tcase(suite, parts);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

/* SPDX-License-Identifier: MIT */
/* The document of profcore.summary/1: {"load": {...}}. Keys are only ever added. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			fputc('\\', to);
		}
		if ((unsigned char)*text < ' ') {
			fprintf(to, "\\u%04x", (unsigned)*text);
		} else {
			fputc(*text, to);
		}
	}
	fputc('"', to);
}

static void put_counts(FILE *to, const struct load_recorder *recorder)
{
	const char *comma = "";
	uint32_t i;

	fprintf(to, ", \"errors_by_kind\": {");
	for (i = 1; i < LOAD_ERRORS; i++) {
		fprintf(to, "%s\"%s\": %llu", i > 1 ? ", " : "", load_error_name(i),
			(unsigned long long)recorder->errors[i]);
	}
	fprintf(to, "}, \"by_status\": {");
	for (i = 0; i < 600; i++) {
		if (recorder->by_status[i] > 0) {
			fprintf(to, "%s\"%u\": %llu", comma, i, (unsigned long long)recorder->by_status[i]);
			comma = ", ";
		}
	}
	fprintf(to, "}");
}

static void put_quantiles(FILE *to, const struct histogram *histogram, const char *prefix)
{
	static const struct {
		const char *name;
		double q;
	} quantiles[] = { { "p50", 0.5 },  { "p75", 0.75 },   { "p90", 0.9 }, { "p95", 0.95 },
			  { "p99", 0.99 }, { "p999", 0.999 }, { "max", 1 } };
	size_t i;

	for (i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		fprintf(to, ", \"%s%s_ms\": ", prefix, quantiles[i].name);
		if (histogram->count > 0) {
			fprintf(to, "%.4f", (double)histogram_quantile(histogram, quantiles[i].q) / 1e6);
		} else {
			fprintf(to, "null");
		}
	}
	if (histogram->count > 0) {
		fprintf(to, ", \"%smean_ms\": %.4f", prefix, histogram_mean(histogram) / 1e6);
	} else {
		fprintf(to, ", \"%smean_ms\": null", prefix);
	}
}

/* What a reader of the percentiles must know. */
static const char *note(const struct load_settings *settings, const struct load_recorder *recorder)
{
	if (settings->rate > 0) {
		return "open loop: latency counts from when a request was due, also where it had to wait for "
		       "a connection "
		       "(service_* from when it was sent); timeouts and requests cut off count with the time "
		       "they waited";
	}
	if (recorder->errors[LOAD_TIMEOUT] + recorder->unfinished > 0) {
		return "closed loop: a slow answer delays the requests behind it, which are then not sent at "
		       "all "
		       "(coordinated omission), set rate for what users would wait; timeouts and requests "
		       "cut off count "
		       "with the time they waited";
	}
	return "closed loop: a slow answer delays the requests behind it, which are then not sent at all "
	       "(coordinated "
	       "omission), set rate for what users would wait";
}

static void put_open_loop(FILE *to, const struct load_settings *settings,
			  const struct load_recorder *recorder, double seconds)
{
	uint64_t sent = recorder->requests - recorder->never_sent;

	fprintf(to, ", \"rate_wanted\": %.3f, \"rate_sent\": %.3f", settings->rate,
		seconds > 0 ? (double)sent / seconds : 0);
	fprintf(to, ", \"unsent\": %llu", (unsigned long long)recorder->never_sent);
	fprintf(to, ", \"send_late_p50_ms\": %.4f, \"send_late_p99_ms\": %.4f",
		(double)histogram_quantile(&recorder->late, 0.5) / 1e6,
		(double)histogram_quantile(&recorder->late, 0.99) / 1e6);
	put_quantiles(to, &recorder->service, "service_");
}

char *load_summary_text(const struct load_settings *settings, const struct load_recorder *recorder,
			const struct load_span *span)
{
	double seconds =
		span->t1_ns > span->t0_ns ? (double)(span->t1_ns - span->t0_ns) / (double)LOAD_NS_PER_S : 0;
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	if (to == NULL) {
		return NULL;
	}
	fprintf(to, "{\"load\": {\"url\": ");
	put_text(to, settings->url_text);
	fprintf(to, ", \"mode\": \"%s\", \"connections\": %u, \"duration_s\": %.3f",
		settings->rate > 0 ? "open" : "closed", settings->connections, seconds);
	fprintf(to, ", \"requests\": %llu, \"answers\": %llu, \"errors\": %llu",
		(unsigned long long)recorder->requests, (unsigned long long)recorder->answers,
		(unsigned long long)load_recorder_errors(recorder));
	put_counts(to, recorder);
	fprintf(to, ", \"unfinished\": %llu, \"bytes\": %llu, \"rps\": %.3f",
		(unsigned long long)recorder->unfinished, (unsigned long long)recorder->bytes,
		seconds > 0 ? (double)recorder->answers_in_window / seconds : 0);
	put_quantiles(to, &recorder->response, "");
	if (settings->rate > 0) {
		put_open_loop(to, settings, recorder, seconds);
	}
	fprintf(to, ", \"client_cpu_pct\": %.1f", seconds > 0 ? (double)span->cpu_ns / 1e7 / seconds : 0);
	fprintf(to, ", \"note\": ");
	put_text(to, note(settings, recorder));
	fprintf(to, "}}\n");
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void load_summary_errors(const struct load_recorder *recorder, char *to, size_t to_bytes)
{
	size_t at = 0;
	uint32_t i;

	to[0] = '\0';
	for (i = 1; i < LOAD_ERRORS; i++) {
		const char *detail = NULL;
		int written;

		if (recorder->errors[i] == 0) {
			continue;
		}
		if (i == LOAD_CONNECT && recorder->connect_errno != 0) {
			detail = strerror(recorder->connect_errno);
		} else if (i == LOAD_PROTOCOL) {
			detail = recorder->protocol_why;
		}
		written = snprintf(to + at, to_bytes - at, "%s%llu %s%s%s%s", at > 0 ? ", " : "",
				   (unsigned long long)recorder->errors[i], load_error_name(i),
				   detail != NULL ? " (" : "", detail != NULL ? detail : "",
				   detail != NULL ? ")" : "");
		if (written < 0 || (size_t)written >= to_bytes - at) {
			return;
		}
		at += (size_t)written;
	}
}

/* SPDX-License-Identifier: MIT */
#include "run/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define LIVE_PERIOD_NS  (200 * NS_PER_MS)
#define PLAIN_PERIOD_NS (5 * NS_PER_SECOND)
#define COLUMNS_UNKNOWN 79
#define PLAIN_COLUMNS   500

struct progress {
	const struct run *run;
	bool is_live;
	uint64_t drawn_ns;
	unsigned lines; /* on the screen now, below the cursor's place */
};

/* A number as people read it: "12.3 k", "1.25 ms". */
static void add_value(struct str *line, double value, const char *unit)
{
	static const struct {
		const char *unit;
		double step;
		const char *names[5];
	} scales[] = {
		{ "ns", 1000, { "ns", "us", "ms", "s", NULL } },
		{ "us", 1000, { "us", "ms", "s", NULL, NULL } },
		{ "ms", 1000, { "ms", "s", NULL, NULL, NULL } },
		{ "bytes", 1024, { "B", "KiB", "MiB", "GiB", "TiB" } },
	};

	for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
		size_t step = 0;

		if (!str_equal(unit, scales[i].unit)) {
			continue;
		}
		while (fabs(value) >= scales[i].step && step + 1 < 5 && scales[i].names[step + 1] != NULL) {
			value /= scales[i].step;
			step++;
		}
		str_format(line, value < 10 && step > 0 ? "%.2f %s" : "%.1f %s", value, scales[i].names[step]);
		return;
	}
	str_format(line, "%.0f", value);
	if (unit[0] != '\0') {
		str_format(line, " %s", unit);
	}
}

/* "4711 samples", "210 req/s", "p99 29.6 ms". */
static void add_metric(struct str *line, const struct manifest_metric *metric, double value)
{
	const char *label = metric->label[0] != '\0' ? metric->label : metric->name;

	if (str_equal(metric->unit, "count") || str_equal(metric->unit, label)) {
		str_format(line, "%.0f %s", value, label);
	} else {
		str_format(line, "%s ", label);
		add_value(line, value, metric->unit);
	}
}

static void add_stage(struct str *line, const struct run_stage *stage)
{
	const struct manifest *manifest = stage->plan->manifest;
	bool any = false;

	str_format(line, "  %-13s ", stage->plan->name);
	if (stage->failure.status != 0) {
		char why[256];

		str_format(line, "failed in %s: %s", stage->failed_phase,
			   log_escape(why, sizeof(why), stage->failure.why));
		return;
	}
	for (size_t i = 0; i < manifest->metric_count; i++) {
		if (isnan(stage->metrics[i])) {
			continue;
		}
		str_add(line, any ? ", " : "");
		add_metric(line, &manifest->metrics[i], stage->metrics[i]);
		any = true;
	}
	if (!any) {
		str_add(line, run_stage_is_alive(stage) ? "measuring" : "-");
	}
}

static void clear(struct progress *progress)
{
	for (; progress->lines > 0; progress->lines--) {
		fputs("\033[1A\033[2K", stderr);
	}
}

/* How wide the terminal is; a line that wraps could not be taken back. */
static size_t columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : COLUMNS_UNKNOWN;
}

/* How many stages fit between the head and the cursor's line; lines that scrolled away could not be taken back either. */
static size_t room(size_t stages)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || stages + 2u <= size.ws_row) {
		return stages;
	}
	return size.ws_row > 3 ? size.ws_row - 3u : 0; /* one line says how many are not shown */
}

static size_t measuring_stages(const struct run *run)
{
	size_t count = 0;

	for (size_t i = 0; i < run->plan->stage_count; i++) {
		count += plan_is_measuring(run->stages[i].plan);
	}
	return count;
}

/* Bytes of the first `most` characters: never half of one. */
static int cut_at(const char *text, size_t most)
{
	size_t bytes = 0;

	for (size_t letters = 0; text[bytes] != '\0' && letters < most; letters++) {
		do {
			bytes++;
		} while (((unsigned char)text[bytes] & 0xc0) == 0x80);
	}
	return (int)bytes;
}

/* Into the window, and no further than its end. */
static double elapsed_s(const struct run *run)
{
	uint64_t now = run->t1_ns > 0 ? run->t1_ns : clock_now();
	double elapsed = run->t0_ns > 0 && now > run->t0_ns ? (double)(now - run->t0_ns) / 1e9 : 0;

	return fmin(elapsed, (double)run->duration_ns / 1e9);
}

/* is_last: nothing will take these lines back, so all may come. */
static void draw(struct progress *progress, bool is_last)
{
	const struct run *run = progress->run;
	double at = elapsed_s(run);
	size_t stages = measuring_stages(run);
	size_t shown = progress->is_live && !is_last ? room(stages) : stages;
	size_t left = shown;
	struct str line = { 0 };

	clear(progress);
	fprintf(stderr, "profcore: %.1f of %.1f s\n", at, (double)run->duration_ns / 1e9);
	progress->lines++;
	for (size_t i = 0; i < run->plan->stage_count && left > 0; i++) {
		if (!plan_is_measuring(run->stages[i].plan)) {
			continue;
		}
		left--;
		str_finish(&line);
		add_stage(&line, &run->stages[i]);
		fprintf(stderr, "%.*s\n", cut_at(str_text(&line), progress->is_live ? columns() : PLAIN_COLUMNS),
			str_text(&line));
		progress->lines++;
	}
	if (shown < stages) {
		fprintf(stderr, "  and %zu more\n", stages - shown);
		progress->lines++;
	}
	if (!progress->is_live) {
		progress->lines = 0;
	}
	str_finish(&line);
	fflush(stderr);
}

/* A log line comes in above the live lines. */
static void on_log(void *ctx, bool before)
{
	if (before) {
		clear(ctx);
	}
}

struct progress *progress_create(const struct run *run)
{
	struct progress *progress = run->settings->is_quiet ? NULL : calloc(1, sizeof(*progress));
	const char *term = getenv("TERM");

	if (progress == NULL) {
		return NULL;
	}
	progress->run = run;
	progress->is_live = isatty(STDERR_FILENO) && (term == NULL || !str_equal(term, "dumb"));
	progress->drawn_ns = clock_now();
	if (progress->is_live) {
		log_set_hook(on_log, progress);
	}
	return progress;
}

void progress_step(struct progress *progress, const char *text)
{
	if (progress != NULL) {
		clear(progress);
		fprintf(stderr, "profcore: %s\n", text);
	}
}

void progress_update(struct progress *progress)
{
	uint64_t now = clock_now();

	if (progress == NULL || now - progress->drawn_ns < (progress->is_live ? LIVE_PERIOD_NS : PLAIN_PERIOD_NS)) {
		return;
	}
	progress->drawn_ns = now;
	draw(progress, false);
}

void progress_finish(struct progress *progress)
{
	if (progress != NULL) {
		draw(progress, true);
		progress->lines = 0;
	}
}

void progress_destroy(struct progress *progress)
{
	if (progress != NULL) {
		log_set_hook(NULL, NULL);
	}
	free(progress);
}

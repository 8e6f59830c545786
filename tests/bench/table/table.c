/* SPDX-License-Identifier: MIT */
/*
 * The figures of the artifact format: a table of 10 million samples written by one writer, then summed over
 * one column. As a baseline, in the same run on the same disk: the same rows as structs through fwrite, read
 * back into malloc. Prints medians of a few rounds; exits 1 when a goal is missed.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "artifact/artifact.h"

#define ROWS         10000000u
#define BATCH        4096u /* rows of one append: what a collector drains from a ring at once */
#define ROUNDS       5
#define GOAL_ROWS_S  5e6
#define GOAL_RSS_PCT 10.0

struct sample {
	uint64_t time;
	int32_t pid, tid, cpu;
	uint64_t weight;
	uint32_t stack;
};

struct figures {
	double write_s;
	double single_s; /* one row an append */
	double sum_s;
	double rss_pct;
	double bytes;
	double base_write_s;
	double base_read_s;
	double base_rss_pct;
};

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double rss_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
		pages = 0;
	}
	if (file != NULL) {
		fclose(file);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static struct sample sample_of(uint32_t i)
{
	return (struct sample){ .time = 1000000000ull + 1003ull * i,
				.pid = 4711,
				.tid = 4711 + (int32_t)(i % 16),
				.cpu = (int32_t)(i % 2),
				.weight = 1000000 + i % 1000,
				.stack = i * 2654435761u % 50000 };
}

static uint64_t expected_sum(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ROWS; i++) {
		sum += sample_of(i).weight;
	}
	return sum;
}

/* ---- ours ---- */

#define COLUMN(type_, name_, unit_)                                                                          \
	{                                                                                                    \
		sizeof(struct pfc_column), (type_), (name_), (unit_)                                         \
	}

static int declare(const struct pfc_writer *face)
{
	static const struct pfc_column columns[] = {
		COLUMN(PFC_U64, "time", "ns"),   COLUMN(PFC_I32, "pid", "id"),
		COLUMN(PFC_I32, "tid", "id"),    COLUMN(PFC_I32, "cpu", "id"),
		COLUMN(PFC_U64, "weight", "ns"), COLUMN(PFC_U32, "stack", "id"),
	};
	const struct pfc_table table = { .struct_size = sizeof(table),
					 .column_count = 6,
					 .name = "samples",
					 .columns = columns,
					 .column_stride = sizeof(columns[0]),
					 .time_column = 0 };

	return face->declare(face->ctx, &table);
}

static int append_rows(const struct pfc_writer *face, uint32_t batch)
{
	static uint64_t time[BATCH], weight[BATCH];
	static int32_t pid[BATCH], tid[BATCH], cpu[BATCH];
	static uint32_t stack[BATCH];
	const void *columns[] = { time, pid, tid, cpu, weight, stack };
	int rc = 0;

	for (uint32_t i = 0; i < ROWS && rc == 0;) {
		uint32_t count = ROWS - i < batch ? ROWS - i : batch;

		for (uint32_t k = 0; k < count; k++, i++) {
			struct sample sample = sample_of(i);

			time[k] = sample.time;
			pid[k] = sample.pid;
			tid[k] = sample.tid;
			cpu[k] = sample.cpu;
			weight[k] = sample.weight;
			stack[k] = sample.stack;
		}
		rc = face->append(face->ctx, 0, count, columns);
	}
	return rc;
}

static int write_ours(const char *path, uint32_t batch, double *ret_s, double *ret_bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct artifact_writer *writer = NULL;
	double start = now_s();
	struct stat st;
	int rc;

	if (fd < 0) {
		return PFC_EIO;
	}
	rc = artifact_writer_create(fd, "bench.samples/1", &writer, NULL);
	if (rc == 0) {
		rc = declare(artifact_writer_face(writer));
	}
	if (rc == 0) {
		rc = append_rows(artifact_writer_face(writer), batch);
	}
	if (rc == 0) {
		rc = artifact_writer_seal(writer, NULL);
	}
	*ret_s = now_s() - start;
	rc = rc == 0 && fstat(fd, &st) == 0 ? 0 : PFC_EIO;
	*ret_bytes = rc == 0 ? (double)st.st_size : 0;
	artifact_writer_destroy(writer);
	close(fd);
	return rc;
}

static int sum_column(const struct pfc_reader *face, uint64_t *ret_sum, double *ret_rss)
{
	struct pfc_table_view table = { .struct_size = sizeof(table) };
	int32_t column;
	uint64_t sum = 0;
	double most = 0;

	if (face->table(face->ctx, "samples", &table) != 0) {
		return PFC_ECORRUPT;
	}
	column = face->column(face->ctx, table.table, "weight");
	for (uint32_t chunk = 0; chunk < table.chunk_count; chunk++) {
		struct pfc_column_view view = { .struct_size = sizeof(view) };
		const uint64_t *weights;

		if (face->view(face->ctx, table.table, chunk, (uint32_t)column, &view) != 0) {
			return PFC_ECORRUPT;
		}
		weights = view.data;
		for (uint64_t i = 0; i < view.row_count; i++) {
			sum += weights[i];
		}
		if (chunk % 16 == 15 || chunk + 1 == table.chunk_count) {
			double rss = rss_bytes();

			most = rss > most ? rss : most;
		}
	}
	*ret_sum = sum;
	*ret_rss = most;
	return 0;
}

/* From the open to the sum, every checksum of the column verified on the way. */
static int sum_ours(const char *path, uint64_t expected, struct figures *figures)
{
	struct artifact_about about = { .type = "bench.samples/1" };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct artifact_reader *reader = NULL;
	double before = rss_bytes();
	double start = now_s();
	uint64_t sum = 0;
	double most = 0;
	int rc;

	if (fd < 0) {
		return PFC_EIO;
	}
	rc = artifact_reader_open(fd, &about, &reader, NULL);
	if (rc == 0) {
		rc = sum_column(artifact_reader_face(reader), &sum, &most);
	}
	figures->sum_s = now_s() - start;
	figures->rss_pct = 100 * (most - before) / figures->bytes;
	artifact_reader_close(reader);
	close(fd);
	return rc == 0 && sum == expected ? 0 : PFC_ECORRUPT;
}

/* ---- the baseline ---- */

static int write_base(const char *path, struct figures *figures)
{
	FILE *file = fopen(path, "we");
	double start = now_s();
	int rc = 0;

	if (file == NULL) {
		return PFC_EIO;
	}
	for (uint32_t i = 0; i < ROWS; i++) {
		struct sample sample = sample_of(i);

		if (fwrite(&sample, sizeof(sample), 1, file) != 1) {
			rc = PFC_EIO;
			break;
		}
	}
	rc = fclose(file) == 0 ? rc : PFC_EIO;
	figures->base_write_s = now_s() - start;
	return rc;
}

static int sum_base(const char *path, uint64_t expected, struct figures *figures)
{
	size_t bytes = ROWS * sizeof(struct sample);
	double before = rss_bytes();
	double start = now_s();
	struct sample *samples = malloc(bytes);
	FILE *file = fopen(path, "re");
	uint64_t sum = 0;
	int rc = PFC_EIO;

	if (samples != NULL && file != NULL && fread(samples, sizeof(*samples), ROWS, file) == ROWS) {
		for (uint32_t i = 0; i < ROWS; i++) {
			sum += samples[i].weight;
		}
		rc = sum == expected ? 0 : PFC_ECORRUPT;
	}
	figures->base_read_s = now_s() - start;
	figures->base_rss_pct = 100 * (rss_bytes() - before) / (double)bytes;
	if (file != NULL) {
		fclose(file);
	}
	free(samples);
	return rc;
}

/* ---- all ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct figures *rounds, size_t offset)
{
	double values[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		memcpy(&values[i], (const char *)&rounds[i] + offset, sizeof(values[i]));
	}
	qsort(values, ROUNDS, sizeof(values[0]), compare);
	return values[ROUNDS / 2];
}

#define MEDIAN(member) median(rounds, offsetof(struct figures, member))

static int report(const struct figures *rounds)
{
	double rows_s = ROWS / MEDIAN(write_s);
	double rss_pct = MEDIAN(rss_pct);

	printf("table of %u samples, medians of %d rounds\n", ROWS, ROUNDS);
	printf("written, %u rows an append   %8.1f M rows/s  (goal >= %.0f)\n", BATCH, rows_s / 1e6,
	       GOAL_ROWS_S / 1e6);
	printf("written, 1 row an append      %8.1f M rows/s\n", ROWS / MEDIAN(single_s) / 1e6);
	printf("size                          %8.2f bytes/row\n", MEDIAN(bytes) / ROWS);
	printf("opened and one column summed  %8.1f ms, RSS + %.2f %% of the file  (goal < %.0f %%)\n",
	       MEDIAN(sum_s) * 1e3, rss_pct, GOAL_RSS_PCT);
	printf("baseline: structs, fwrite     %8.1f M rows/s; ours takes %.2f of its time\n",
	       ROWS / MEDIAN(base_write_s) / 1e6, MEDIAN(write_s) / MEDIAN(base_write_s));
	printf("baseline: fread and sum       %8.1f ms, RSS + %.1f %%; ours takes %.2f of its time\n",
	       MEDIAN(base_read_s) * 1e3, MEDIAN(base_rss_pct), MEDIAN(sum_s) / MEDIAN(base_read_s));
	return rows_s >= GOAL_ROWS_S && rss_pct < GOAL_RSS_PCT ? 0 : 1;
}

int main(int argc, char **argv)
{
	char path[] = "/tmp/profcore-bench-XXXXXX";
	struct figures rounds[ROUNDS] = { { 0 } };
	uint64_t expected = expected_sum();
	int fd = mkstemp(path);
	int rc = fd >= 0 ? 0 : PFC_EIO;

	(void)argc;
	(void)argv;
	for (int i = 0; i < ROUNDS && rc == 0; i++) {
		double bytes;

		rc = write_ours(path, 1, &rounds[i].single_s, &bytes);
		rc = rc == 0 ? write_ours(path, BATCH, &rounds[i].write_s, &rounds[i].bytes) : rc;
		rc = rc == 0 ? sum_ours(path, expected, &rounds[i]) : rc;
		rc = rc == 0 ? write_base(path, &rounds[i]) : rc;
		rc = rc == 0 ? sum_base(path, expected, &rounds[i]) : rc;
	}
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	if (rc != 0) {
		fprintf(stderr, "bench table: failed with %s\n", error_status_name(rc));
		return 1;
	}
	return report(rounds);
}

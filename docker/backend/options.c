/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: backend [OPTION]...\n"
	"A small web forum with a slow page: the target of profcore's demo and the truth of its tests.\n"
	"\n"
	"  --host ADDRESS      address to listen on (127.0.0.1)\n"
	"  --port PORT         port; 0 takes a free one, printed at the start (8080)\n"
	"  --threads N         worker threads (4)\n"
	"  --work-us US        CPU time that one request to /slow costs (5000)\n"
	"  --split A,B,C       its shares: hash_rounds, sort_comments, render_markdown (60,25,15)\n"
	"  --leak-bytes BYTES  what a request with mode=leak leaks (16384)\n"
	"  --leak-limit BYTES  what may leak in all, then it stops (1073741824)\n"
	"  --reads N           read calls of a request with mode=syscalls (2000)\n"
	"  --folder PATH       where mode=io and mode=syscalls keep their file ($TMPDIR or /tmp)\n"
	"  --db HOST:PORT      the Redis server that mode=db asks (none)\n"
	"\n"
	"Paths: /  /health  /slow[?mode=cpu|lock|io|alloc|leak|syscalls|db]  /truth[?reset=1]\n";

static int parse_number(const char *name, const char *text, uint64_t max, uint64_t *ret_number)
{
	char *end;
	uintmax_t number;

	errno = 0;
	number = strtoumax(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number > max) {
		fprintf(stderr, "backend: --%s %s: not a number from 0 to %" PRIu64 "\n", name, text, max);
		return -1;
	}
	*ret_number = number;
	return 0;
}

static int parse_split(const char *text, double *ret_split)
{
	double split[WORK_COUNT];
	double sum = 0;
	const char *at = text;

	for (unsigned i = 0; i < WORK_COUNT; i++) {
		char *end;

		split[i] = strtod(at, &end);
		if (end == at || *end != (i + 1 < WORK_COUNT ? ',' : '\0') || !isfinite(split[i]) ||
		    split[i] < 0) {
			fprintf(stderr, "backend: --split %s: not %d numbers with commas between them\n",
				text, WORK_COUNT);
			return -1;
		}
		sum += split[i];
		at = end + 1;
	}
	if (!(sum > 0) || !isfinite(sum)) {
		fprintf(stderr, "backend: --split %s: nothing to share\n", text);
		return -1;
	}
	for (unsigned i = 0; i < WORK_COUNT; i++) {
		ret_split[i] = split[i] / sum;
	}
	return 0;
}

enum {
	OPT_HOST = 1,
	OPT_PORT,
	OPT_THREADS,
	OPT_WORK_US,
	OPT_SPLIT,
	OPT_LEAK_BYTES,
	OPT_LEAK_LIMIT,
	OPT_READS,
	OPT_FOLDER,
	OPT_DB,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "host", required_argument, NULL, OPT_HOST },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "work-us", required_argument, NULL, OPT_WORK_US },
	{ "split", required_argument, NULL, OPT_SPLIT },
	{ "leak-bytes", required_argument, NULL, OPT_LEAK_BYTES },
	{ "leak-limit", required_argument, NULL, OPT_LEAK_LIMIT },
	{ "reads", required_argument, NULL, OPT_READS },
	{ "folder", required_argument, NULL, OPT_FOLDER },
	{ "db", required_argument, NULL, OPT_DB },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int parse_option(int option, const char *text, struct options *options)
{
	uint64_t number = 0;
	int status = 0;

	switch (option) {
	case OPT_HOST:
		options->host = text;
		break;
	case OPT_PORT:
		status = parse_number("port", text, UINT16_MAX, &number);
		options->port = (uint16_t)number;
		break;
	case OPT_THREADS:
		status = parse_number("threads", text, 256, &number);
		options->threads = number > 0 ? (unsigned)number : 1;
		break;
	case OPT_WORK_US:
		status = parse_number("work-us", text, 10000000, &options->work_us);
		break;
	case OPT_SPLIT:
		status = parse_split(text, options->split);
		break;
	case OPT_LEAK_BYTES:
		status = parse_number("leak-bytes", text, 1u << 30, &options->leak_bytes);
		break;
	case OPT_LEAK_LIMIT:
		status = parse_number("leak-limit", text, UINT64_MAX, &options->leak_limit);
		break;
	case OPT_READS:
		status = parse_number("reads", text, 1000000, &options->reads);
		break;
	case OPT_FOLDER:
		options->folder = text;
		break;
	case OPT_DB:
		options->db = text;
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		status = 1;
		break;
	default:
		status = -1;
		break;
	}
	return status;
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	const char *tmpdir = getenv("TMPDIR");
	struct options options = {
		.host = "127.0.0.1",
		.port = 8080,
		.threads = 4,
		.work_us = 5000,
		.split = { 0.60, 0.25, 0.15 },
		.leak_bytes = 16384,
		.leak_limit = 1u << 30,
		.reads = 2000,
		.folder = tmpdir != NULL ? tmpdir : "/tmp",
	};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		int status = parse_option(option, optarg, &options);

		if (status != 0) {
			return status;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "backend: %s: not an option; try --help\n", argv[optind]);
		return -1;
	}
	*ret_options = options;
	return 0;
}

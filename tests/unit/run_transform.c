/* SPDX-License-Identifier: MIT */
/*
 * Run a built plugin on a made-up artifact, without the core:
 *
 *   run_transform PLUGIN.so FOLDER SHAPE[,SHAPE...] [OPTION=VALUE ...]
 *
 * Each output port becomes a file FOLDER/PORT. SHAPE: service, killed (no symbols, partial), hostile, empty, tiny, damaged, big (35,000
 * stacks), huge (1,000,000), requests, badrequests. Exit code 0, or 1 with the plugin's words on stderr.
 */
#include "bench_host.h"
#include "synth.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 1000000000u

static void damage(struct mem_artifact *artifact)
{
	struct synth s;
	uint32_t i, bad;

	synth_begin(&s, mem_artifact_writer(artifact));
	for (i = 0; i < 200; i++) {
		bad = i % 3 == 0 ? 0xffffffffu : i % 3 == 1 ? i * 1000 : i;
		synth_location(&s, bad, i, NULL, NULL, 0);
		synth_frame(&s, bad, bad, bad, bad, bad);
		synth_stack(&s, bad, bad);
		synth_samples(&s, T0 + 5, 1, (int32_t)bad, bad, i % 7 == 0 ? UINT64_MAX / 2 : 1, 1);
	}
	synth_end(&s, 1);
	mem_artifact_break(artifact, "strings", 1);
}

/* A service that hardly faults: five samples of one function. */
static void few(const struct pfc_writer *writer)
{
	struct synth s;
	uint32_t app, stack, i;

	synth_begin(&s, writer);
	app = synth_module(&s, "/srv/forum/bin/forum", 1);
	stack = synth_stack(&s, 0, synth_location(&s, app, 0x2000, "worker_main", "server.c", 88));
	for (i = 0; i < 5; i++) {
		synth_samples(&s, T0 + i, 1, 1, stack, 4096, 1);
	}
	synth_end(&s, 1);
}

static struct mem_artifact *make(const char *shape)
{
	struct mem_artifact *artifact;
	const struct pfc_writer *writer;
	struct synth s;

	if (strstr(shape, "requests")) {
		artifact = mem_artifact_create("load-test", "requests", "profcore.requests/1", "", 1000);
		synth_requests(mem_artifact_writer(artifact), T0, strcmp(shape, "requests") == 0 ? 9000 : 99);
		return artifact;
	}
	if (strcmp(shape, "few") == 0) {
		artifact = mem_artifact_create("memory", "faults", "profcore.stacks/1", "faults", 4096);
		few(mem_artifact_writer(artifact));
		return artifact;
	}
	artifact = mem_artifact_create("perf-cpu", "stacks", "profcore.stacks/1", "cpu", 4096);
	writer = mem_artifact_writer(artifact);
	if (strcmp(shape, "service") == 0 || strcmp(shape, "killed") == 0) {
		synth_service(writer, T0, 10, shape[0] == 's');
		mem_artifact_mark(artifact, shape[0] == 'k', shape[0] == 'k' ? 321 : 0);
	} else if (strcmp(shape, "hostile") == 0) {
		synth_hostile(writer, T0);
	} else if (strcmp(shape, "big") == 0 || strcmp(shape, "huge") == 0) {
		synth_big(writer, T0, shape[0] == 'b' ? 35000 : 1000000);
	} else if (strcmp(shape, "damaged") == 0) {
		damage(artifact);
	} else {
		synth_begin(&s, writer);
		if (strcmp(shape, "tiny") == 0) {
			synth_samples(&s, T0, 1, 1, 0, 1, 1);
		}
		synth_end(&s, 1);
	}
	return artifact;
}

static int save(const struct bench_host *bench, const char *folder)
{
	char path[4096];
	uint64_t bytes;
	const char *data;
	unsigned i;
	FILE *file;

	for (i = 0; i < bench->output_count; i++) {
		data = bench_host_output(bench, bench->outputs[i].port, &bytes);
		snprintf(path, sizeof(path), "%s/%s", folder, bench->outputs[i].port);
		file = fopen(path, "w");
		if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct mem_artifact *artifacts[BENCH_MAX];
	struct bench_host bench;
	unsigned count = 0;
	pfc_plugin_entry entry;
	char *shape;
	void *handle;
	int i, status;

	if (argc < 4) {
		fprintf(stderr,
			"usage: run_transform PLUGIN.so FOLDER SHAPE[,SHAPE...] [OPTION=VALUE ...]\n");
		return 2;
	}
	handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	entry = handle ? (pfc_plugin_entry)dlsym(handle, PFC_PLUGIN_ENTRY) : NULL;
	if (!entry) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	bench_host_init(&bench);
	bench.window.t0_ns = T0;
	bench.window.t1_ns = T0 + 10000000000u;
	bench.window.duration_ns = 10000000000u;
	for (shape = strtok(argv[3], ","); shape; shape = strtok(NULL, ",")) {
		if (strcmp(shape, "none") != 0 && count < BENCH_MAX) {
			artifacts[count] = make(shape);
			bench_host_input(&bench, strstr(shape, "requests") ? "requests" : "stacks",
					 mem_artifact_reader(artifacts[count]));
			count++;
		}
	}
	for (i = 4; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals) {
			*equals = '\0';
			bench_host_option(&bench, argv[i], equals + 1);
		}
	}
	status = bench_host_run(&bench, entry);
	if (status != PFC_OK) {
		fprintf(stderr, "%d: %s: %s; %s\n", status, bench.what, bench.why, bench.hint);
	}
	i = status == PFC_OK ? save(&bench, argv[2]) : 1;
	bench_host_finish(&bench);
	while (count > 0) {
		mem_artifact_destroy(artifacts[--count]);
	}
	return i;
}

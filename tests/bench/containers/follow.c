/* SPDX-License-Identifier: MIT */
/*
 * follow KIND NAME SECONDS [ENGINE]: find a target as a run would (KIND: container, image, cgroup), follow it for so long or
 * to its end, and print as JSON what finding took and how many events of each kind the stream brought.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "target/client.h"
#include "target/engine.h"
#include "target/target.h"

struct counts {
	unsigned long long of[8]; /* by kind; of LOST the events lost */
	unsigned long long processes;
	unsigned generation;
};

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* CPU time of this process and of those that it waited for: what finding costs on a machine that has other work. */
static double cpu_ms(void)
{
	static const int who[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	double ms = 0;

	for (int i = 0; i < 2; i++) {
		struct rusage usage;

		getrusage(who[i], &usage);
		ms += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
		      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
	}
	return ms;
}

static void count_events(const struct pfc_target_service *service, struct counts *counts)
{
	struct pfc_target_event event = { .struct_size = sizeof(event) };

	while (service->next(service->ctx, &event) == 0) {
		unsigned kind = event.kind < 8 ? event.kind : 0;

		counts->of[kind] += kind == PFC_TARGET_LOST ? event.length : 1;
		counts->processes += kind == PFC_TARGET_FORK && event.pid != event.ppid;
		counts->generation =
			event.generation > counts->generation ? event.generation : counts->generation;
		event.struct_size = sizeof(event);
	}
}

static int follow(struct target *target, double seconds, struct counts *counts, struct pfc_error *err)
{
	const struct pfc_target_service *service;
	struct target_client *client;
	struct pollfd polls[2];
	double until;
	int fd;

	if (target_serve(target, false, &fd, err) < 0 || target_client_create(fd, &client, err) < 0) {
		return err->status;
	}
	service = target_client_service(client);
	polls[0] = (struct pollfd){ .fd = service->fd(service->ctx), .events = POLLIN };
	polls[1] = (struct pollfd){ .fd = target_exit_fd(target), .events = POLLIN };
	puts("following");
	fflush(stdout);
	for (until = now_s() + seconds; now_s() < until && (polls[1].revents & POLLIN) == 0;) {
		poll(polls, 2, 50);
		count_events(service, counts);
	}
	/* What was on its way. */
	for (until = now_s() + 0.3; now_s() < until;) {
		poll(polls, 1, 20);
		count_events(service, counts);
	}
	target_client_destroy(client);
	return 0;
}

int main(int argc, char **argv)
{
	struct target_config config = { .output_fd = -1 };
	struct counts counts = { .generation = 1 };
	struct pfc_error err = { 0 };
	struct target *target;
	double began = now_s();
	double found;
	double cpu;
	int status;

	/* Asking the engine executes this program again, as it does profcore. */
	if (argc == 2 && strcmp(argv[1], ENGINE_COMMAND) == 0) {
		return engine_main();
	}
	if (argc < 4) {
		fprintf(stderr, "usage: follow container|image|cgroup NAME SECONDS [ENGINE]\n");
		return 2;
	}
	config.container = strcmp(argv[1], "container") == 0 ? argv[2] : NULL;
	config.image = strcmp(argv[1], "image") == 0 ? argv[2] : NULL;
	config.cgroup = strcmp(argv[1], "cgroup") == 0 ? argv[2] : NULL;
	config.engine = argc > 4 ? argv[4] : NULL;
	status = target_open(&config, &target, &err);
	found = now_s();
	cpu = cpu_ms();
	if (status == 0) {
		status = follow(target, atof(argv[3]), &counts, &err);
		printf("{\"open_ms\": %.2f, \"cpu_ms\": %.2f, \"tracking\": \"%.4s\", \"forks\": %llu, \"processes\": %llu, "
		       "\"execs\": %llu, "
		       "\"exits\": %llu, \"maps\": %llu, \"lost\": %llu, \"generation\": %u}\n",
		       (found - began) * 1e3, cpu, target_tracking(target), counts.of[PFC_TARGET_FORK],
		       counts.processes, counts.of[PFC_TARGET_EXEC], counts.of[PFC_TARGET_EXIT],
		       counts.of[PFC_TARGET_MAP], counts.of[PFC_TARGET_LOST], counts.generation);
		target_close(target);
	}
	if (status < 0) {
		fprintf(stderr, "follow: %s: %s; try: %s\n", err.what, err.why, err.hint);
	}
	return status < 0;
}

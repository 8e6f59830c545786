/* SPDX-License-Identifier: MIT */
/* What the misbehaving plugins do wrong: see misbehave.h. Everything is bounded, so that a failing test harms nobody. */
#include "misbehave.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than any deadline of a run, shorter than a forgotten process should live. */
#define FOREVER_S  120
#define LEAK_BYTES (256u << 20)
#define LEAK_STEP  (8u << 20)
#define FLOOD      200000

bool behaves(const char *name)
{
	return strcmp(behaviour, name) == 0;
}

static void crash(void)
{
	/* A plain store to an address that nobody maps. */
	*(volatile int *)16 = 1; /* NOLINT */
}

/* Waits on nothing, whatever asks it to stop but SIGTERM's own action. */
static void hang(void)
{
	for (int i = 0; i < FOREVER_S; i++) {
		sleep(1);
	}
	_exit(97);
}

static void hang_busy(void)
{
	for (volatile unsigned i = 0; i < 0xf0000000u; i++) {
	}
	hang();
}

void act(const char *callback)
{
	size_t length = strlen(behaviour) - strlen(callback);

	if (strlen(behaviour) <= strlen(callback) + 1 || strcmp(behaviour + length, callback) != 0 ||
	    behaviour[length - 1] != '-') {
		return;
	}
	if (strncmp(behaviour, "crash-", 6) == 0) {
		crash();
	} else if (strncmp(behaviour, "hang-", 5) == 0) {
		hang();
	} else if (strncmp(behaviour, "spin-", 5) == 0) {
		hang_busy();
	} else if (strncmp(behaviour, "exit-", 5) == 0) {
		exit(0);
	} else if (strncmp(behaviour, "abort-", 6) == 0) {
		abort();
	}
}

__attribute__((constructor)) static void on_load(void)
{
	act("load");
}

static void *thread_crashes(void *arg)
{
	usleep(50000);
	crash();
	return arg;
}

static void crash_in_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, thread_crashes, NULL) == 0) {
		pthread_detach(thread);
	}
}

/* Deeper than any stack. */
static int overflow(volatile unsigned depth)
{
	volatile char frame[4096];

	frame[depth % sizeof(frame)] = 1;
	return depth == 0 ? 0 : overflow(depth - 1) + frame[depth % sizeof(frame)];
}

static void close_descriptors(void)
{
	for (int fd = 0; fd < 4096; fd++) {
		close(fd);
	}
}

static void print_to_stdout(void)
{
	for (int i = 0; i < FLOOD / 100; i++) {
		printf("{\"status\": \"complete\", \"exit_code\": 0}\n");
		fprintf(stderr, "profcore: all is well\n");
	}
	fflush(stdout);
}

static void leak_memory(void)
{
	for (size_t leaked = 0; leaked < LEAK_BYTES; leaked += LEAK_STEP) {
		char *block = malloc(LEAK_STEP);

		if (!block) {
			return;
		}
		memset(block, 1, LEAK_STEP);
	}
}

static void flood_log(const struct pfc_host *host)
{
	for (int i = 0; i < FLOOD; i++) {
		host->log(host->ctx, PFC_LOG_INFO, "the same line again \x1b[2J\n and a second one");
	}
}

/* A child that outlives us, with every descriptor that we have. */
static void leave_child(void)
{
	if (fork() == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		sleep(FOREVER_S / 4);
		_exit(0);
	}
}

static void ignore_sigterm(void)
{
	sigset_t all;

	signal(SIGTERM, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	hang();
}

int32_t act_in_run(struct self *self)
{
	if (behaves("crash-thread")) {
		crash_in_thread();
	} else if (behaves("crash-overflow")) {
		overflow(UINT32_MAX);
	} else if (behaves("close-descriptors")) {
		close_descriptors();
	} else if (behaves("print-stdout")) {
		print_to_stdout();
	} else if (behaves("leak-memory")) {
		leak_memory();
	} else if (behaves("flood-log")) {
		flood_log(self->host);
	} else if (behaves("leave-child")) {
		leave_child();
	} else if (behaves("ignore-sigterm")) {
		ignore_sigterm();
	} else if (behaves("fail-silently")) {
		return PFC_EIO; /* host->fail was not called */
	} else if (behaves("fail-oddly")) {
		return -12345;
	} else if (behaves("return-positive")) {
		return 7;
	} else if (behaves("fail-hostile")) {
		return self->host->fail(self->host->ctx, PFC_EIO, "\x1b]0;title\x07 what\nsecond line", "\xff\xfe why", NULL);
	}
	return PFC_OK;
}

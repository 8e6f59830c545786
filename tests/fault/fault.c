/* SPDX-License-Identifier: MIT */
/*
 * One host call after the other fails, over the whole life of a plugin, until none is left to fail:
 *
 *   fault PLUGINS_FOLDER ID [served]
 *
 * served: something answers the requests of a driver; nothing does else.
 * Each life is a process of its own. It must end by itself, with success or an error that was explained by host->fail (not a
 * writer's: the host knows that one), and destroy must work; under a sanitizer it must leak nothing. TAP: one line for each
 * error that calls return.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faulty_host.h"
#include "synth.h"

#define T0_NS         1000000000u
#define WINDOW_NS     30000000u
#define LIFE_S        60 /* a life that lasts longer hangs */
#define CALLS_MAX     20000u
#define COLLECTOR_MAX 120u /* each life of one that measures costs its window: beyond, in larger steps */
/* Likewise once so much time has gone: closing tracepoints takes a tenth of a second each, one after the other. */
#define EVERY_CALL_S 10
#define AT_ONCE      4U /* lives beside each other: those that measure mostly wait for the kernel */

/* What a life tells its parent. */
struct outcome {
	char failed[32]; /* the call that failed; "" when all went well */
	int32_t status;  /* of the first callback that failed */
	char callback[16];
	unsigned explained;
	uint64_t calls;
	bool is_over; /* destroy returned */
};

struct life {
	struct faulty_host faulty;
	struct mem_artifact *artifacts[2];
	const struct pfc_plugin *plugin;
	struct outcome *outcome;
	volatile bool is_burning; /* in its window: what there is to be measured */
	volatile bool is_done;
	pthread_t burner;
};

static void add_inputs(struct life *life)
{
	life->artifacts[0] = mem_artifact_create("perf-cpu", "stacks", "profcore.stacks/1", "cpu", 512);
	life->artifacts[1] = mem_artifact_create("load-test", "requests", "profcore.requests/1", "", 50);
	synth_service(mem_artifact_writer(life->artifacts[0]), T0_NS, 1, 1);
	synth_requests(mem_artifact_writer(life->artifacts[1]), T0_NS, 99);
	bench_host_input(&life->faulty.bench, "stacks", mem_artifact_reader(life->artifacts[0]));
	bench_host_input(&life->faulty.bench, "requests", mem_artifact_reader(life->artifacts[1]));
}

/* Port 1 of the loopback answers nobody: each connection is refused at once. */
static char url[64] = "http://127.0.0.1:1/";

static void *answer(void *ctx)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	int fd = (int)(intptr_t)ctx;
	char request[4096];

	/* The client sends the next request when it has the answer: what one read gives is one. */
	while (read(fd, request, sizeof(request)) > 0 && write(fd, text, sizeof(text) - 1) > 0) {
	}
	close(fd);
	return NULL;
}

/* A process that answers each request until its parent ends; url becomes its own. */
static bool serve(pid_t *ret_server)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;
	pid_t parent = getpid();

	if (bind(listener, (struct sockaddr *)&at, bytes) < 0 || listen(listener, 16) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &bytes) < 0) {
		return false;
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(at.sin_port));
	*ret_server = fork();
	if (*ret_server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		while (getppid() == parent) {
			int fd = accept(listener, NULL, NULL);

			if (fd >= 0 && pthread_create(&thread, NULL, answer, (void *)(intptr_t)fd) == 0) {
				pthread_detach(thread);
			}
		}
		_exit(0);
	}
	close(listener);
	return *ret_server > 0;
}

static void add_options(struct bench_host *bench)
{
	bench_host_option(bench, "url", url);
	bench_host_option(bench, "connections", "2");
	bench_host_option(bench, "method", "GET");
	bench_host_option(bench, "body", "");
	bench_host_option(bench, "timeout", "1000000000");
	bench_host_option(bench, "keep_alive", "true");
	bench_host_option(bench, "rate", "0");
	bench_host_option(bench, "interval", "1000000");
}

static void *burn(void *ctx)
{
	struct life *life = ctx;
	const struct timespec pause = { 0, 1000000 };

	while (!life->is_done) {
		if (!life->is_burning) {
			nanosleep(&pause, NULL);
		}
	}
	return NULL;
}

/* Whether the callback went well, or there is none. */
static bool passed(struct life *life, const char *callback, int32_t status)
{
	if (status == 0) {
		return true;
	}
	life->outcome->status = status;
	snprintf(life->outcome->callback, sizeof(life->outcome->callback), "%s", callback);
	return false;
}

#define CALL(life, member, ...)                                                                              \
	passed(life, #member, (life)->plugin->member != NULL ? (life)->plugin->member(__VA_ARGS__) : 0)

static bool measure(struct life *life, void *self)
{
	struct itimerspec end = { .it_value = { .tv_nsec = WINDOW_NS } };
	struct faulty_host *faulty = &life->faulty;
	uint64_t t0_ns = faulty->host.now(faulty);
	bool is_run;

	faulty->bench.window.duration_ns = WINDOW_NS;
	if (!CALL(life, probe, self) || !CALL(life, prepare, self) || !CALL(life, start, self, t0_ns)) {
		return false;
	}
	faulty->bench.window.t0_ns = t0_ns;
	timerfd_settime(faulty->stop_fd, 0, &end, NULL);
	life->is_burning = true;
	is_run = CALL(life, run, self);
	life->is_burning = false;
	if (!is_run) {
		return false;
	}
	faulty->bench.window.t1_ns = faulty->host.now(faulty);
	return CALL(life, stop, self, faulty->bench.window.t1_ns) && CALL(life, finish, self);
}

static void live(struct life *life, pfc_plugin_entry entry)
{
	struct faulty_host *faulty = &life->faulty;
	void *self = NULL;

	faulty->stop_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	add_options(&faulty->bench);
	add_inputs(life);
	life->plugin = entry(&faulty->host);
	if (life->plugin->process != NULL) {
		faulty->bench.window.t0_ns = T0_NS;
		faulty->bench.window.t1_ns = T0_NS + 1000000000u;
		if (CALL(life, create, &faulty->host, &self)) {
			CALL(life, process, self);
		}
	} else {
		bool has_burner = pthread_create(&life->burner, NULL, burn, life) == 0;

		if (CALL(life, create, &faulty->host, &self)) {
			measure(life, self);
		}
		if (has_burner) {
			life->is_done = true;
			pthread_join(life->burner, NULL);
		}
	}
	life->plugin->destroy(self);
	snprintf(life->outcome->failed, sizeof(life->outcome->failed), "%s",
		 faulty->failed != NULL ? faulty->failed : "");
	life->outcome->explained = faulty->explained;
	life->outcome->calls = faulty->calls;
	life->outcome->is_over = true;
	faulty_host_finish(faulty);
	mem_artifact_destroy(life->artifacts[0]);
	mem_artifact_destroy(life->artifacts[1]);
	close(faulty->stop_fd);
}

/* Whether this life was as it must be. */
static bool judge(const struct outcome *outcome, int wait_status, uint64_t fail_at)
{
	const char *wrong = NULL;

	if (!WIFEXITED(wait_status)) {
		wrong = WTERMSIG(wait_status) == SIGALRM ? "hangs" : "crashes";
	} else if (!outcome->is_over) {
		wrong = "ends the process";
	} else if (WEXITSTATUS(wait_status) != 0) {
		wrong = "leaks";
	} else if (outcome->status > 0 || outcome->status < PFC_ELOST) {
		wrong = "returns what is no status";
	} else if (outcome->status < 0 && outcome->explained == 0 &&
		   strncmp(outcome->failed, "writer.", 7) != 0) {
		wrong = "fails without a word";
	} else if (outcome->explained > 1) {
		wrong = "explains one failure several times";
	}
	if (wrong != NULL) {
		printf("# call %llu (%s) fails: the plugin %s (wait status %#x, %s returned %d)\n",
		       (unsigned long long)fail_at, outcome->failed, wrong, (unsigned)wait_status,
		       outcome->callback, outcome->status);
	}
	return wrong == NULL;
}

/* Begin one life in a process of its own; *outcome is shared with it. */
static pid_t begin_life(pfc_plugin_entry entry, uint64_t fail_at, int32_t status, struct outcome *outcome)
{
	static struct life life;
	pid_t pid;

	memset(outcome, 0, sizeof(*outcome));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		alarm(LIFE_S);
		faulty_host_init(&life.faulty);
		life.faulty.fail_at = fail_at;
		life.faulty.status = status;
		life.outcome = outcome;
		live(&life, entry);
		exit(0); /* not _exit: a sanitizer looks for leaks now */
	}
	return pid;
}

/* Several lives beside each other, of calls `first`, `first` + step, ... Whether all were as they must be. */
static bool try(pfc_plugin_entry entry, uint64_t first, uint64_t step, unsigned count, int32_t status,
		struct outcome *outcomes)
{
	pid_t pids[AT_ONCE];
	bool is_good = true;

	for (unsigned i = 0; i < count; i++) {
		pids[i] = begin_life(entry, first + i * step, status, &outcomes[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		int wait_status;

		is_good = pids[i] > 0 && waitpid(pids[i], &wait_status, 0) == pids[i] &&
			  judge(&outcomes[i], wait_status, first + i * step) && is_good;
	}
	return is_good;
}

/* What a life went on without; true: its call was beyond the last, all went well. */
static bool note(const struct outcome *outcome, char overlooked[1024])
{
	if (outcome->is_over && outcome->failed[0] == '\0') {
		return true;
	}
	if (outcome->status == 0 && strstr(overlooked, outcome->failed) == NULL) {
		snprintf(overlooked + strlen(overlooked), 1024 - strlen(overlooked), " %s", outcome->failed);
	}
	return false;
}

/* All calls in turn. Readers' and the host's errors that a plugin went on without are told: data may be missing. */
static bool enumerate(pfc_plugin_entry entry, int32_t status, struct outcome *outcomes)
{
	char overlooked[1024] = "";
	uint64_t step = 1;
	time_t began = time(NULL);
	unsigned lives = 0;
	bool is_good;

	/* Without a fault first: it must say why it fails, if it does (nothing listens on the port of the load). */
	is_good = try(entry, 0, 1, 1, status, outcomes);
	printf("# without a fault: %llu calls, %s%d\n", (unsigned long long)outcomes->calls,
	       outcomes->callback, outcomes->status);
	for (uint64_t n = 1; n < CALLS_MAX; n += AT_ONCE * step) {
		if ((n >= COLLECTOR_MAX || time(NULL) - began >= EVERY_CALL_S) && outcomes->calls <= 1000) {
			step = 7;
		}
		is_good = try(entry, n, step, AT_ONCE, status, outcomes) && is_good;
		for (unsigned i = 0; i < AT_ONCE; i++) {
			lives++;
			if (note(&outcomes[i], overlooked)) {
				printf("# %u lives, the last with all its %llu calls; went on without:%s\n",
				       lives, (unsigned long long)outcomes[i].calls, overlooked);
				return is_good && lives > 3;
			}
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	static const int32_t statuses[] = { PFC_ENOMEM, PFC_EIO };
	struct outcome *outcomes = mmap(NULL, AT_ONCE * sizeof(*outcomes), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pfc_plugin_entry entry;
	char path[4096];
	void *handle;
	pid_t server = 0;
	int failed = 0;

	if (argc < 3 || outcomes == MAP_FAILED || (argc > 3 && !serve(&server))) {
		fprintf(stderr, "usage: fault PLUGINS_FOLDER ID [served]\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/%s.so", argv[1], argv[2]);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	entry = handle != NULL ? (pfc_plugin_entry)dlsym(handle, PFC_PLUGIN_ENTRY) : NULL;
	if (entry == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	printf("1..2\n");
	for (int i = 0; i < 2; i++) {
		bool is_good = enumerate(entry, statuses[i], outcomes);

		printf("%s %d - %s, each call fails with %d\n", is_good ? "ok" : "not ok", i + 1, argv[2],
		       statuses[i]);
		failed += !is_good;
	}
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	return failed > 0;
}

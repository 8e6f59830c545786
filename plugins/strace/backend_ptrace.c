/* SPDX-License-Identifier: MIT */
/*
 * The back-end that needs no privilege over the kernel, only over the target: ptrace. It stops the target twice at each call,
 * some 25 us, so:
 *
 *   a command that profcore launches is traced from its exec to its end, all of its threads and children;
 *   a target that is attached to is traced in short bursts, a part of the time (option `duty`), and all the time only when it
 *   makes few calls or with force = yes.
 *
 * The life of the tracing thread is here: held -> traced -> let go. What it does at a stop is in ptrace_stop.c.
 */
#include "backend.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ptrace.h"

#define MS          1000000ull
#define BURST_NS    (20 * MS)
#define TICK_NS     (10 * MS) /* how long a wish to stop waits for the thread */
#define TRIAL_NS    (100 * MS)
#define PATIENCE_NS (500 * MS)
#define SETTLE_NS   (2000 * MS)
#define BUSY_PCT    2 /* of a CPU that tracing may take from a target without `force` */
#define PIDS_MAX    65536
#define TICK_SIGNAL (SIGRTMIN + 7)

struct ptrace_state {
	struct tracing tracing;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* of all below, the account and the writers */
	pthread_cond_t changed;
	bool is_ready;   /* the thread has done its part of open */
	bool has_begun;  /* start was called */
	bool has_ended;  /* the thread has let go of everything */
	int ready_error; /* errno of what failed before is_ready */
	bool is_held;
	bool is_always;
	uint64_t duty_ppm;
	int32_t *pids; /* what is to be traced, refreshed by the control thread */
	size_t pid_count;
	uint64_t observed_ns; /* of bursts */
	uint64_t bursts;
	size_t left; /* threads that did not stop to be let go */
	uint64_t busy_calls_per_s;
};

/* ---- what stands in the way ---- */

static int64_t read_number(const char *path, int64_t missing)
{
	FILE *file = fopen(path, "re");
	long long value = missing;

	if (file) {
		if (fscanf(file, "%lld", &value) != 1) {
			value = missing;
		}
		fclose(file);
	}
	return value;
}

static int32_t tracer_of(int32_t pid)
{
	char path[64];
	char line[128];
	FILE *file;
	int32_t tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "TracerPid: %d", &tracer) != 1) {
	}
	if (file) {
		fclose(file);
	}
	return tracer;
}

static int refuse(struct refusal *refusal, int32_t pid, int error)
{
	char what[96];
	char why[240];
	const char *hint = "run as root, or setcap cap_sys_ptrace+ep on profcore";
	int64_t scope = read_number("/proc/sys/kernel/yama/ptrace_scope", 0);

	snprintf(what, sizeof(what), pid ? "ptrace of process %d" : "ptrace of a process of our own", pid);
	snprintf(why, sizeof(why), "%s", strerror(error));
	if (pid && tracer_of(pid) > 0) {
		snprintf(why, sizeof(why), "it is traced already, by process %d (a debugger, strace?)",
			 tracer_of(pid));
		hint = "end the other tracer: a thread has one at most";
	} else if (scope > 0) {
		snprintf(why, sizeof(why), "%s (kernel.yama.ptrace_scope = %lld)", strerror(error),
			 (long long)scope);
		hint = scope >= 3
			       ? "nothing: this setting stays until the next boot; use backend = bpf or perf"
			       : "run as root, setcap cap_sys_ptrace+ep on profcore, or sysctl "
				 "kernel.yama.ptrace_scope=0";
	} else if (!pid) {
		hint = "a seccomp filter may forbid it: start profcore's container with --cap-add SYS_PTRACE";
	}
	return refusal_set(refusal, error == ESRCH ? PFC_ETARGET : PFC_EPERM, what, why, hint);
}

/* A look into memory needs the same right as ptrace, and leaves no trace; the address is none. */
static int may_trace(int32_t pid)
{
	char byte;
	struct iovec local = { &byte, 1 };
	struct iovec remote = { NULL, 1 };

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT || errno == EIO) {
		return tracer_of(pid) > 0 ? EPERM : 0;
	}
	return errno;
}

static int ptrace_probe(struct tracer *tracer, struct refusal *refusal)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	struct own_cost cost;
	int error;

	if (tracer->host->target(tracer->host->ctx, &target) != PFC_OK || target.pid_count == 0) {
		return refusal_set(refusal, PFC_ETARGET, "find what to trace", "the target has no process",
				   "check that it still runs");
	}
	error = -own_cost_measure(&cost);
	if (error) {
		return refuse(refusal, 0, error);
	}
	error = may_trace(target.pids[0]);
	return error ? refuse(refusal, target.pids[0], error) : PFC_OK;
}

/* ---- the tracing thread ---- */

static void on_tick(int signal)
{
	(void)signal;
}

/* waitpid has no timeout: a tick interrupts it. Returns 0 or -errno. */
static int start_ticks(timer_t *ret)
{
	struct sigaction action = { .sa_handler = on_tick };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL };
	struct itimerspec every = { { 0, TICK_NS }, { 0, TICK_NS } };
	sigset_t only;

	sigemptyset(&only);
	sigaddset(&only, TICK_SIGNAL);
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (sigaction(TICK_SIGNAL, &action, NULL) < 0 || pthread_sigmask(SIG_UNBLOCK, &only, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, ret) < 0) {
		return -errno;
	}
	return timer_settime(*ret, 0, &every, NULL) < 0 ? -errno : 0;
}

static void say_ready(struct ptrace_state *state, int error)
{
	pthread_mutex_lock(&state->lock);
	state->is_ready = true;
	state->ready_error = error;
	pthread_cond_broadcast(&state->changed);
	pthread_mutex_unlock(&state->lock);
}

/* The held child is ours before it is released: its exec is the first call that counts. */
static int hold(struct ptrace_state *state)
{
	uint64_t until_ns = ptrace_now() + SETTLE_NS;
	int rc;

	rc = attach_processes(&state->tracing, state->pids, state->pid_count, false);
	if (rc < 0) {
		return rc;
	}
	pump_until_stopped(&state->tracing, until_ns, &state->lock);
	return state->tracing.tasks.count > 0 ? 0 : -ESRCH;
}

static bool wants_stop(const struct ptrace_state *state)
{
	return __atomic_load_n(&state->tracing.wants_stop, __ATOMIC_ACQUIRE);
}

/* Until start, or until there will be none. */
static void await_start(struct ptrace_state *state)
{
	pthread_mutex_lock(&state->lock);
	while (!state->has_begun && !wants_stop(state)) {
		pthread_cond_wait(&state->changed, &state->lock);
	}
	pthread_mutex_unlock(&state->lock);
}

static void let_all_go(struct ptrace_state *state)
{
	pthread_mutex_lock(&state->lock);
	state->left += detach_all(&state->tracing, PATIENCE_NS);
	state->tracing.is_letting_go = false;
	pthread_mutex_unlock(&state->lock);
}

static int attach_now(struct ptrace_state *state)
{
	int rc;

	pthread_mutex_lock(&state->lock);
	rc = attach_processes(&state->tracing, state->pids, state->pid_count, true);
	pthread_mutex_unlock(&state->lock);
	return rc;
}

static void burst(struct ptrace_state *state, uint64_t length_ns)
{
	uint64_t begin_ns = ptrace_now();

	if (attach_now(state) == 0) {
		pump(&state->tracing, begin_ns + length_ns, &state->lock);
	}
	let_all_go(state);
	state->observed_ns += ptrace_now() - begin_ns;
	state->bursts++;
}

/* Short looks, so that the target is traced duty_ppm of the time; a burst that took longer is followed by a longer pause. */
static void trace_in_bursts(struct ptrace_state *state)
{
	while (!wants_stop(state)) {
		uint64_t begin_ns = ptrace_now();
		uint64_t next_ns;

		burst(state, BURST_NS);
		next_ns = begin_ns + (ptrace_now() - begin_ns) * 1000000u / state->duty_ppm;
		while (!wants_stop(state) && ptrace_now() < next_ns) {
			struct timespec pause = { 0, TICK_NS };

			nanosleep(&pause, NULL); /* ticks cut it short, that does not matter */
		}
	}
}

/* How many calls a second the target makes: one burst that does not count. */
static void try_rate(struct ptrace_state *state)
{
	uint64_t calls;

	state->tracing.is_trial = true;
	burst(state, TRIAL_NS);
	state->tracing.is_trial = false;
	calls = state->tracing.trial_calls;
	state->busy_calls_per_s = calls * 1000000000u / (state->observed_ns ? state->observed_ns : 1);
	state->observed_ns = 0;
	state->bursts = 0;
}

/* All the time: once nobody is left, a container may be started again, and refresh_pids then tells of it. */
static void trace_always(struct ptrace_state *state)
{
	const struct timespec pause = { 0, TICK_NS };

	while (!wants_stop(state) && attach_now(state) == 0) {
		pump(&state->tracing, 0, &state->lock);
		nanosleep(&pause, NULL);
	}
}

static void *trace(void *ctx)
{
	struct ptrace_state *state = ctx;
	timer_t ticks;
	int rc = start_ticks(&ticks);

	own_queue_open(&state->tracing);
	if (rc == 0) {
		rc = own_cost_measure(&state->tracing.cost);
	}
	if (rc == 0 && state->is_held) {
		rc = hold(state);
	} else if (rc == 0 && state->is_always) {
		try_rate(state);
	}
	say_ready(state, -rc);
	if (rc == 0 && state->is_held) {
		pump(&state->tracing, 0, &state->lock);
	} else if (rc == 0) {
		await_start(state);
		if (wants_stop(state)) {
			rc = -ECANCELED;
		} else if (state->is_always) {
			trace_always(state);
		} else {
			trace_in_bursts(state);
		}
	}
	let_all_go(state);
	timer_delete(ticks);
	pthread_mutex_lock(&state->lock);
	state->has_ended = true;
	pthread_cond_broadcast(&state->changed);
	pthread_mutex_unlock(&state->lock);
	return NULL;
}

/* ---- the control thread ---- */

static void join(struct ptrace_state *state)
{
	if (!state->has_thread) {
		return;
	}
	pthread_mutex_lock(&state->lock);
	__atomic_store_n(&state->tracing.wants_stop, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&state->changed);
	pthread_mutex_unlock(&state->lock);
	pthread_join(state->thread, NULL);
	state->has_thread = false;
}

static void ptrace_close(void *ctx)
{
	struct ptrace_state *state = ctx;

	if (!state) {
		return;
	}
	join(state);
	tasks_finish(&state->tracing.tasks);
	if (state->tracing.own_fd >= 0) {
		close(state->tracing.own_fd);
	}
	free(state->tracing.stack);
	free(state->pids);
	pthread_cond_destroy(&state->changed);
	pthread_mutex_destroy(&state->lock);
	free(state);
}

/* Take the target's processes as they are now. */
static void refresh_pids(struct ptrace_state *state)
{
	const struct pfc_host *host = state->tracing.tracer->host;
	struct pfc_target target = { .struct_size = sizeof(target) };

	if (host->target(host->ctx, &target) != PFC_OK) {
		return;
	}
	pthread_mutex_lock(&state->lock);
	state->pid_count = target.pid_count < PIDS_MAX ? target.pid_count : PIDS_MAX;
	memcpy(state->pids, target.pids, state->pid_count * sizeof(*state->pids));
	pthread_mutex_unlock(&state->lock);
}

static struct ptrace_state *create_state(struct tracer *tracer)
{
	struct ptrace_state *state = calloc(1, sizeof(*state));

	if (!state) {
		return NULL;
	}
	pthread_mutex_init(&state->lock, NULL);
	pthread_cond_init(&state->changed, NULL);
	state->tracing.tracer = tracer;
	state->tracing.own_fd = -1;
	state->tracing.stack = malloc(tracer->settings.stack_bytes);
	state->pids = malloc(PIDS_MAX * sizeof(*state->pids));
	if (!state->tracing.stack || !state->pids ||
	    tasks_init(&state->tracing.tasks, tracer->settings.threads) < 0) {
		ptrace_close(state);
		return NULL;
	}
	return state;
}

/* All the time, on a target that would feel it: refused, with what it would cost. */
static int refuse_busy(const struct ptrace_state *state, struct refusal *refusal)
{
	uint64_t cost_ns = state->tracing.cost.call_ns * state->busy_calls_per_s;
	char why[240];

	if (state->is_held || !state->is_always || state->tracing.tracer->settings.force ||
	    cost_ns < BUSY_PCT * 10000000ull) {
		return PFC_OK;
	}
	snprintf(why, sizeof(why),
		 "it makes %llu system calls a second, and each would take %llu us more: %.1f s of work in "
		 "each second",
		 (unsigned long long)state->busy_calls_per_s,
		 (unsigned long long)state->tracing.cost.call_ns / 1000, (double)cost_ns / 1e9);
	return refusal_set(refusal, PFC_EPERM, "ptrace of the target all the time", why,
			   "leave duty at its default, or force = yes if it may be slowed down so");
}

static int ptrace_open(struct tracer *tracer, void **ret_state, struct refusal *refusal)
{
	struct pfc_target target = { .struct_size = sizeof(target) };
	double duty = pfc_option_real(tracer->host, "duty", 2);
	struct ptrace_state *state = create_state(tracer);
	int rc;

	if (!state || tracer->host->target(tracer->host->ctx, &target) != PFC_OK) {
		ptrace_close(state);
		return refusal_set(refusal, PFC_ENOMEM, "prepare the ptrace back-end", "out of memory", NULL);
	}
	state->is_held = target.held != 0;
	state->is_always = duty >= 100;
	state->duty_ppm = duty > 0.001 ? (uint64_t)(duty * 10000) : 10;
	refresh_pids(state);
	rc = pthread_create(&state->thread, NULL, trace, state);
	if (rc != 0) {
		ptrace_close(state);
		return refusal_set(refusal, PFC_ENOMEM, "start the tracing thread", strerror(rc), NULL);
	}
	state->has_thread = true;
	pthread_mutex_lock(&state->lock);
	while (!state->is_ready) {
		pthread_cond_wait(&state->changed, &state->lock);
	}
	pthread_mutex_unlock(&state->lock);
	rc = state->ready_error ? refuse(refusal, state->pid_count ? state->pids[0] : 0, state->ready_error)
				: refuse_busy(state, refusal);
	if (rc != PFC_OK) {
		ptrace_close(state);
		return rc;
	}
	if (tracer->settings.calls == CALLS_BLOCKED) {
		tracer->settings.calls = CALLS_ALL; /* they are seen anyway */
	}
	*ret_state = state;
	return PFC_OK;
}

static int ptrace_start(void *ctx, uint64_t t0_ns)
{
	struct ptrace_state *state = ctx;
	struct tracing *tracing = &state->tracing;

	pthread_mutex_lock(&state->lock);
	tracing->start_ns = t0_ns;
	tracing->is_on = true;
	for (size_t i = 0; i < tracing->tasks.room;
	     i++) { /* a command that was released before, to become ready */
		if (tracing->tasks.places[i].tid && tracing->tasks.places[i].counts) {
			stop_begin_book(tracing, &tracing->tasks.places[i], ptrace_now());
		}
	}
	state->has_begun = true;
	pthread_cond_broadcast(&state->changed);
	pthread_mutex_unlock(&state->lock);
	return PFC_OK;
}

static int ptrace_run(void *ctx)
{
	struct ptrace_state *state = ctx;
	struct tracer *tracer = state->tracing.tracer;
	const struct pfc_host *host = tracer->host;
	struct pollfd stop = { .fd = host->stop_fd(host->ctx), .events = POLLIN };
	int status = PFC_OK;

	while (status == PFC_OK && poll(&stop, 1, 100) <= 0) {
		if (!state->is_held) {
			refresh_pids(state);
		}
		pthread_mutex_lock(&state->lock);
		status = state->tracing.status;
		if (status == PFC_OK) {
			status = tracer_tick(tracer, ptrace_now() - 200 * MS);
		}
		pthread_mutex_unlock(&state->lock);
	}
	return status == PFC_OK
		       ? status
		       : host->fail(host->ctx, status, "keep what was traced",
				    status == PFC_ENOMEM ? "out of memory" : "an output could not be written",
				    NULL);
}

static int ptrace_stop_backend(void *ctx, uint64_t t1_ns)
{
	(void)t1_ns;
	join(ctx);
	return PFC_OK;
}

static void count_loss(const struct pfc_host *host, const char *cause, uint64_t count)
{
	if (count) {
		host->loss(host->ctx, "syscalls", cause, count);
	}
}

static int ptrace_finish(void *ctx)
{
	struct ptrace_state *state = ctx;
	const struct tracing *tracing = &state->tracing;
	struct tracer *tracer = tracing->tracer;
	const struct pfc_host *host = tracer->host;
	struct pfc_window window = { .struct_size = sizeof(window) };
	char text[200];

	if (tracing->status != PFC_OK) {
		return host->fail(host->ctx, tracing->status, "keep what was traced",
				  tracing->status == PFC_ENOMEM ? "out of memory"
								: "an output could not be written",
				  NULL);
	}
	tracer_fact(tracer, "unmatched", (double)tracing->unmatched);
	tracer_fact(tracer, "unfinished", (double)tracing->unfinished);
	tracer_fact(tracer, "compat_calls", (double)tracing->compat);
	tracer_fact(tracer, "own_latency_ns", (double)tracing->cost.latency_ns);
	tracer_fact(tracer, "own_call_ns", (double)tracing->cost.call_ns);
	tracer_fact(tracer, "own_ns", (double)(tracing->cost.call_ns * tracing->calls));
	if (!state->is_held && !state->is_always && host->window(host->ctx, &window) == PFC_OK &&
	    window.t1_ns > window.t0_ns) {
		tracer_fact(tracer, "observed_pct",
			    100.0 * (double)state->observed_ns / (double)(window.t1_ns - window.t0_ns));
		tracer_fact(tracer, "bursts", (double)state->bursts);
	} else {
		tracer_fact(tracer, "observed_pct", 100);
	}
	count_loss(host, "thread_limit", tracing->overflow);
	count_loss(host, "untraceable", tracing->untraceable);
	if (state->left) {
		snprintf(text, sizeof(text),
			 "%zu threads did not stop to be let go within 0.5 s; the kernel lets them go when "
			 "this stage ends",
			 state->left);
		host->log(host->ctx, PFC_LOG_WARNING, text);
	}
	return PFC_OK;
}

const struct backend backend_ptrace = {
	.name = "ptrace",
	.probe = ptrace_probe,
	.open = ptrace_open,
	.start = ptrace_start,
	.run = ptrace_run,
	.stop = ptrace_stop_backend,
	.finish = ptrace_finish,
	.close = ptrace_close,
};

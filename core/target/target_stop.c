/* SPDX-License-Identifier: MIT */
/* The end: a launched tree is stopped with all that it started; any other target is only let go. */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target/target_inside.h"

#define STOP_POLL_NS 5000000
#define KILL_NS                                                                                              \
	3000000000u /* a tree whose members leave the group as fast as they are killed: at most this long */
#define SAME_START_NS 30000000 /* /proc tells a start to a tick of 10 ms */

/*
 * Signal (0: only ask) one process of the tree, made sure by its start time that the id is not another's by now. Returns
 * whether it is alive.
 */
static bool signal_process(const struct tracker *tracker, const struct proc *proc, int signal)
{
	int fd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
	struct proc_stat stat;
	bool is_alive = false;
	int64_t apart_ns;

	if (fd < 0) {
		return false;
	}
	if (proc->pid != tracker->ignored_pid && proc->pid != getpid() &&
	    procfs_stat(proc->pid, &stat) == 0 && stat.state != 'Z' && stat.state != 'X') {
		apart_ns = procfs_start_ns(stat.start_ticks) - proc->start_ns;
		is_alive = apart_ns > -SAME_START_NS && apart_ns < SAME_START_NS;
		/* The group is told to end as a group: a second SIGTERM may mean "at once" to a program. */
		if (is_alive && signal != 0 && (signal == SIGKILL || stat.pgrp != tracker->group)) {
			syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
		}
	}
	close(fd);
	return is_alive;
}

struct signal_all {
	const struct tracker *tracker;
	int signal;
	uint32_t count;
};

static void signal_each(void *ctx, struct proc *proc)
{
	struct signal_all *all = ctx;

	all->count += signal_process(all->tracker, proc, all->signal);
}

/* Signal (0: only count) every process of the tree, also those that left the group. Returns how many are alive. */
static uint32_t signal_tree(struct target *target, int signal)
{
	struct signal_all all = { .tracker = &target->tracker, .signal = signal };

	if (!target->tracker.is_started) {
		return 0;
	}
	pthread_mutex_lock(&target->tracker.lock);
	state_each(&target->tracker.state, signal_each, &all);
	pthread_mutex_unlock(&target->tracker.lock);
	return all.count;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = STOP_POLL_NS }, NULL);
}

/* SIGTERM, time to obey, SIGKILL until nothing is left. */
static void stop_tree(struct target *target)
{
	uint64_t until_ns = procfs_now_ns() + target->stop_timeout_ns;
	int wait_status;

	if (target->released &&
	    !(launch_has_ended(&target->launch, &wait_status) && signal_tree(target, 0) == 0)) {
		signal_tree(target, SIGTERM);
		launch_signal(&target->launch, SIGTERM);
		launch_signal(&target->launch, SIGCONT);
		while (procfs_now_ns() < until_ns &&
		       !(launch_has_ended(&target->launch, &wait_status) && signal_tree(target, 0) == 0)) {
			tracker_wake(&target->tracker);
			nap();
		}
	}
	launch_kill(&target->launch);
	until_ns = procfs_now_ns() + KILL_NS;
	do {
		/* First what was started up to now has to be known. */
		tracker_settle(&target->tracker);
	} while (signal_tree(target, SIGKILL) > 0 && procfs_now_ns() < until_ns);
}

void target_close(struct target *target)
{
	if (target == NULL) {
		return;
	}
	if (target->launched) {
		stop_tree(target);
	} else if (target->pid_fd >= 0) {
		close(target->pid_fd);
	}
	tracker_stop(&target->tracker);
	launch_finish(&target->launch);
	ready_finish(&target->ready);
	free(target->name);
	free(target);
}

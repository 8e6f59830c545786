/* SPDX-License-Identifier: MIT */
/* Why the kernel refused: see refusal.h. */
#include "refusal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "procfs.h"

/* From linux/capability.h; PERFMON is younger than some distributions' headers. */
#define CAP_BIT_SYS_PTRACE 19
#define CAP_BIT_SYS_ADMIN  21
#define CAP_BIT_PERFMON    38

#define SECCOMP_FILTER 2

static bool has_cap(const struct perf_refusal_facts *facts, unsigned bit)
{
	return (facts->caps >> bit) & 1;
}

static bool may_perf(const struct perf_refusal_facts *facts)
{
	return has_cap(facts, CAP_BIT_PERFMON) || has_cap(facts, CAP_BIT_SYS_ADMIN);
}

void perf_refusal_gather(int error, struct perf_refusal_facts *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->error = error;
	ret->paranoid = perf_procfs_number("/proc/sys/kernel/perf_event_paranoid", 2);
	ret->caps = perf_procfs_self_status("CapEff", 16, 0);
	ret->seccomp = perf_procfs_self_status("Seccomp", 10, 0);
	ret->mlock_kb = perf_procfs_number("/proc/sys/kernel/perf_event_mlock_kb", 516);
	ret->max_rate = perf_procfs_number("/proc/sys/kernel/perf_event_max_sample_rate", 100000);
}

static void say(struct perf_refusal *ret, int32_t status, const char *why, const char *hint)
{
	ret->status = status;
	snprintf(ret->why, sizeof(ret->why), "%s", why);
	snprintf(ret->hint, sizeof(ret->hint), "%s", hint);
}

static void say_seccomp(const struct perf_refusal_facts *facts, struct perf_refusal *ret)
{
	char why[320];

	snprintf(why, sizeof(why), "%s, and a seccomp filter is in force (Seccomp: 2 in /proc/self/status)",
		 strerror(facts->error));
	say(ret, PFC_EPERM, why,
	    "in a container: docker run --cap-add PERFMON, and --security-opt seccomp=PROFILE where PROFILE "
	    "allows "
	    "perf_event_open; or run profcore on the host");
}

static void say_denied(const struct perf_refusal_facts *facts, struct perf_refusal *ret)
{
	char why[320];

	if (!may_perf(facts) && facts->is_every_process) {
		snprintf(why, sizeof(why),
			 "%s (whatever runs on a CPU is sampled only with CAP_PERFMON, or "
			 "kernel.perf_event_paranoid <= 0; it is %lld)",
			 strerror(facts->error), (long long)facts->paranoid);
		say(ret, PFC_EPERM, why,
		    "run as root, or setcap cap_perfmon+ep on profcore, or: sysctl "
		    "kernel.perf_event_paranoid=0");
	} else if (!may_perf(facts)) {
		snprintf(why, sizeof(why),
			 "%s (kernel.perf_event_paranoid = %lld and CAP_PERFMON is missing)",
			 strerror(facts->error), (long long)facts->paranoid);
		say(ret, PFC_EPERM, why,
		    facts->is_other_process && facts->paranoid <= 2
			    ? "run as root or as the target's own user, or give the program the capability: "
			      "setcap "
			      "cap_perfmon,cap_sys_ptrace+ep on profcore"
			    : "run as root, or setcap cap_perfmon+ep on profcore, or: sysctl "
			      "kernel.perf_event_paranoid=1");
	} else if (facts->is_other_process && !has_cap(facts, CAP_BIT_SYS_PTRACE)) {
		snprintf(why, sizeof(why),
			 "%s (the process belongs to another user and CAP_SYS_PTRACE is missing)",
			 strerror(facts->error));
		say(ret, PFC_EPERM, why, "run as root, or setcap cap_perfmon,cap_sys_ptrace+ep on profcore");
	} else {
		snprintf(why, sizeof(why), "%s although CAP_PERFMON is there", strerror(facts->error));
		say(ret, PFC_EPERM, why,
		    "a security module denies it: see /sys/kernel/security/lockdown, and the audit log for "
		    "SELinux or "
		    "AppArmor");
	}
}

static void say_mmap(const struct perf_refusal_facts *facts, struct perf_refusal *ret)
{
	char why[320];

	if (facts->error != EPERM) {
		say(ret, facts->error == ENOMEM ? PFC_ENOMEM : PFC_EIO, strerror(facts->error),
		    "give perf-cpu a smaller ring: --set perf-cpu.ring=256KiB");
		return;
	}
	snprintf(why, sizeof(why),
		 "locked memory is used up (kernel.perf_event_mlock_kb = %lld, CAP_IPC_LOCK is missing)",
		 (long long)facts->mlock_kb);
	say(ret, PFC_EPERM, why,
	    "run as root, or sysctl kernel.perf_event_mlock_kb=4096, or ulimit -l unlimited, or a smaller "
	    "ring: --set "
	    "perf-cpu.ring=64KiB");
}

static void say_missing(const struct perf_refusal_facts *facts, const char *event, struct perf_refusal *ret)
{
	char why[320];

	snprintf(why, sizeof(why),
		 "this machine does not have the event %s (%s): no hardware counters here, as in most "
		 "virtual machines",
		 event, strerror(facts->error));
	say(ret, PFC_ENOTSUP, why, "use events = cpu-clock, or events = auto");
}

static void say_invalid(const struct perf_refusal_facts *facts, struct perf_refusal *ret)
{
	char why[320];

	snprintf(why, sizeof(why), "%s (kernel.perf_event_max_sample_rate = %lld)", strerror(facts->error),
		 (long long)facts->max_rate);
	say(ret, PFC_ENOTSUP, why, "use a lower frequency, or events = cpu-clock");
}

void perf_refusal_reason(const struct perf_refusal_facts *facts, const char *event, struct perf_refusal *ret)
{
	if (facts->is_mmap) {
		say_mmap(facts, ret);
		return;
	}
	switch (facts->error) {
	case EACCES:
	case EPERM:
		if (facts->seccomp == SECCOMP_FILTER && (facts->error == EPERM || may_perf(facts))) {
			say_seccomp(facts, ret);
		} else {
			say_denied(facts, ret);
		}
		break;
	case ENOSYS:
		if (facts->seccomp == SECCOMP_FILTER) {
			say_seccomp(facts, ret);
		} else {
			say(ret, PFC_ENOTSUP, "this kernel has no perf events (CONFIG_PERF_EVENTS)",
			    "use a kernel that has them");
		}
		break;
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
	case ENXIO:
		say_missing(facts, event, ret);
		break;
	case EBUSY:
		say(ret, PFC_ENOTSUP, "another tool holds the CPU's counters for itself",
		    "stop it, or use event = cpu-clock");
		break;
	case EINVAL:
		say_invalid(facts, ret);
		break;
	case EMFILE:
		say(ret, PFC_ENOSPC, "this process may open no more files (RLIMIT_NOFILE)",
		    "raise it before the run: ulimit -n 100000");
		break;
	case ENFILE:
		say(ret, PFC_ENOSPC, "the system may open no more files (fs.file-max)",
		    "raise it: sysctl fs.file-max");
		break;
	case ESRCH:
		say(ret, PFC_ETARGET, "the process has gone", "check that the target still runs");
		break;
	default:
		say(ret, facts->error == ENOMEM ? PFC_ENOMEM : PFC_EIO, strerror(facts->error), "");
	}
}

int perf_refusal_explain(int error, const char *event, int32_t pid, int32_t cpu, struct perf_refusal *ret)
{
	struct perf_refusal_facts facts;
	char where[64] = "";
	char whom[64] = "";

	if (cpu >= 0) {
		snprintf(where, sizeof(where), " on CPU %d", cpu);
	}
	if (pid > 0) {
		snprintf(whom, sizeof(whom), " for thread %d", pid);
	}
	perf_refusal_gather(error, &facts);
	facts.is_other_process = pid > 0 && pid != getpid();
	facts.is_every_process = pid < 0;
	snprintf(ret->what, sizeof(ret->what), "perf_event_open of %s%s%s", event, whom, where);
	perf_refusal_reason(&facts, event, ret);
	return ret->status;
}

int perf_refusal_set(struct perf_refusal *ret, int32_t status, const char *why, const char *hint,
		     const char *what_format, ...)
{
	va_list args;

	va_start(args, what_format);
	vsnprintf(ret->what, sizeof(ret->what), what_format, args);
	va_end(args);
	say(ret, status, why, hint);
	return status;
}

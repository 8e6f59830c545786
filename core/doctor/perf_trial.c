/* SPDX-License-Identifier: MIT */
/* Perf events, as a stage with the privilege `perf` would open them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "config/manifest.h"
#include "doctor/check.h"
#include "doctor/trial.h"
#include "target/cgroup.h"
#include "target/procfs.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif

#define AREA "perf"
/* What a collector of stacks asks for: a page for the kernel's notes, and this for samples, on each CPU. */
#define RING_BYTES (1u << 20)
#define RATE_USUAL 997
#define SYSCTL_MAX 96

static int open_event(uint32_t type, uint64_t config, bool user_only, int pid, int cpu, unsigned long flags)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = type,
		.config = config,
		.disabled = 1,
		.exclude_kernel = user_only,
		.exclude_hv = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, flags | PERF_FLAG_FD_CLOEXEC);

	return fd >= 0 ? fd : -errno;
}

static void close_event(int fd)
{
	if (fd >= 0) {
		close(fd);
	}
}

/* "kernel.perf_event_paranoid = 2", by which people know it. */
static const char *paranoid_text(const struct facts *facts, char to[SYSCTL_MAX])
{
	if (facts->perf_paranoid == FACTS_UNKNOWN) {
		return NULL;
	}
	snprintf(to, SYSCTL_MAX, "kernel.perf_event_paranoid = %lld", (long long)facts->perf_paranoid);
	return to;
}

/* Add a check of something that was refused. `lost` says what is not to be had without. */
static void add_refused(json_t *checks, const struct facts *facts, const char *name, enum verdict verdict,
			int errnum, const char *sysctl_remedy, const char *lost)
{
	char sysctl[SYSCTL_MAX];
	char remedy[256];
	char why[256];

	facts_explain(facts, errnum, CAP_PERFMON, "PERFMON", paranoid_text(facts, sysctl), why, sizeof(why),
		      remedy, sizeof(remedy));
	if (sysctl_remedy != NULL && (errnum == EPERM || errnum == EACCES) &&
	    !facts_has(facts, CAP_PERFMON) && facts->container[0] == '\0') {
		snprintf(remedy, sizeof(remedy), "%s", sysctl_remedy);
	}
	check_add(checks, AREA, name, verdict, remedy, "%s: %s", lost, why);
}

/* Returns whether any event can be opened at all. */
static bool try_own(const struct facts *facts, json_t *checks)
{
	int fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false, 0, -1, 0);
	int refused = fd;

	if (fd >= 0) {
		close_event(fd);
		check_add(checks, AREA, "sampling", VERDICT_WORKS, "",
			  "cpu-clock opens, for user code and the kernel");
		return true;
	}
	fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true, 0, -1, 0);
	if (fd >= 0) {
		close_event(fd);
		add_refused(checks, facts, "sampling", VERDICT_DEGRADED, -refused,
			    "sudo sysctl kernel.perf_event_paranoid=1",
			    "user code of our own processes only, no kernel");
		return true;
	}
	add_refused(checks, facts, "sampling", VERDICT_FAILS, -fd, "sudo sysctl kernel.perf_event_paranoid=1",
		    "no event can be opened");
	return false;
}

static void try_whole(const struct facts *facts, json_t *checks)
{
	struct cgroup_mount mount;
	int fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false, -1, 0, 0);
	int folder;

	if (fd < 0) {
		add_refused(checks, facts, "whole machine", VERDICT_DEGRADED, -fd,
			    "sudo sysctl kernel.perf_event_paranoid=0", "single processes only");
		return;
	}
	close_event(fd);
	check_add(checks, AREA, "whole machine", VERDICT_WORKS, "",
		  "an event on a CPU opens, for all processes");
	if (cgroup_find_mount(&mount) < 0 || !mount.is_unified) {
		check_add(checks, AREA, "by control group", VERDICT_DEGRADED,
			  "sudo mkdir -p /sys/fs/cgroup/unified && sudo mount -t cgroup2 none "
			  "/sys/fs/cgroup/unified",
			  "containers are sampled process by process: no unified hierarchy is mounted here");
		return;
	}
	folder = open(mount.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = folder >= 0 ? open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false, folder, 0,
				      PERF_FLAG_PID_CGROUP)
			 : -errno;
	if (fd >= 0) {
		check_add(checks, AREA, "by control group", VERDICT_WORKS, "",
			  "an event on %s opens: containers as a whole", mount.folder);
	} else {
		check_add(checks, AREA, "by control group", VERDICT_DEGRADED, "",
			  "containers are sampled process by process: %s", strerror(-fd));
	}
	close_event(fd);
	close_event(folder);
}

static void try_hardware(json_t *checks)
{
	static const struct {
		uint64_t config;
		const char *name;
	} events[] = {
		{ PERF_COUNT_HW_CPU_CYCLES, "cycles" },
		{ PERF_COUNT_HW_INSTRUCTIONS, "instructions" },
		{ PERF_COUNT_HW_BRANCH_INSTRUCTIONS, "branches" },
		{ PERF_COUNT_HW_BRANCH_MISSES, "branch-misses" },
		{ PERF_COUNT_HW_CACHE_REFERENCES, "cache-references" },
		{ PERF_COUNT_HW_CACHE_MISSES, "cache-misses" },
	};
	struct str have = { 0 };
	struct str lack = { 0 };
	int errnum = 0;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		int fd = open_event(PERF_TYPE_HARDWARE, events[i].config, true, 0, -1, 0);

		str_format(fd >= 0 ? &have : &lack, "%s%s",
			   (fd >= 0 ? have.bytes : lack.bytes) > 0 ? ", " : "", events[i].name);
		errnum = fd < 0 ? -fd : errnum;
		close_event(fd);
	}
	if (lack.bytes == 0) {
		check_add(checks, AREA, "hardware counters", VERDICT_WORKS, "", "%s", str_text(&have));
	} else if (have.bytes == 0) {
		check_add(checks, AREA, "hardware counters", VERDICT_DEGRADED, "",
			  "none (%s), as in most virtual machines: cpu-clock is sampled instead, no IPC and "
			  "no cache misses",
			  strerror(errnum));
	} else {
		check_add(checks, AREA, "hardware counters", VERDICT_DEGRADED, "", "%s; not: %s",
			  str_text(&have), str_text(&lack));
	}
	str_finish(&have);
	str_finish(&lack);
}

static void try_ring(const struct facts *facts, json_t *checks)
{
	size_t bytes = RING_BYTES + (size_t)sysconf(_SC_PAGESIZE);
	int fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true, 0, -1, 0);
	void *ring = fd >= 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	int errnum = errno;

	if (fd < 0) {
		return; /* said before */
	}
	if (ring != MAP_FAILED) {
		munmap(ring, bytes);
		check_add(checks, AREA, "ring of 1 MiB", VERDICT_WORKS, "", "mapped%s",
			  facts_has(facts, CAP_IPC_LOCK) ? "" : ", within kernel.perf_event_mlock_kb");
	} else {
		check_add(checks, AREA, "ring of 1 MiB", VERDICT_DEGRADED,
			  facts->container[0] != '\0' ? "docker run --cap-add IPC_LOCK ..."
						      : "sudo sysctl kernel.perf_event_mlock_kb=4096",
			  "smaller rings, which lose samples sooner: %s (kernel.perf_event_mlock_kb = %lld, "
			  "CAP_IPC_LOCK is "
			  "missing)",
			  strerror(errnum), (long long)facts->perf_mlock_kb);
	}
	close_event(fd);
}

/* Without CAP_SYSLOG, addresses are shown where kptr_restrict is 0 and perf_event_paranoid at most 1 (kallsyms_show_value). */
static const char *mend_kernel_names(const struct facts *facts)
{
	if (facts->container[0] != '\0') {
		return "docker run --cap-add SYSLOG ...";
	}
	if (facts->perf_paranoid <= 1) {
		return "sudo sysctl kernel.kptr_restrict=0";
	}
	return facts->kptr_restrict == 0 ? "sudo sysctl kernel.perf_event_paranoid=1"
					 : "sudo sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1";
}

/* The address of the first symbols: zeros where the kernel hides them. */
static void try_kernel_names(const struct facts *facts, json_t *checks)
{
	char text[4096];
	const char *at = text;
	bool any = false;

	if (procfs_read(text, sizeof(text), "/proc/kallsyms") <= 0) {
		check_add(checks, AREA, "kernel names", VERDICT_DEGRADED, "",
			  "kernel functions stay without names: /proc/kallsyms cannot be read");
		return;
	}
	while (at != NULL && !any) {
		any = strspn(at, "0") < 16;
		at = strchr(at, '\n');
		at = at != NULL && at[1] != '\0' ? at + 1 : NULL;
	}
	if (any) {
		check_add(checks, AREA, "kernel names", VERDICT_WORKS, "",
			  "/proc/kallsyms shows addresses (kptr_restrict = %lld)",
			  (long long)facts->kptr_restrict);
	} else {
		check_add(checks, AREA, "kernel names", VERDICT_DEGRADED, mend_kernel_names(facts),
			  "kernel functions stay without names: /proc/kallsyms hides addresses "
			  "(kernel.kptr_restrict = %lld%s)",
			  (long long)facts->kptr_restrict,
			  facts_has(facts, CAP_SYSLOG) ? "" : ", CAP_SYSLOG is missing");
	}
}

static void try_limits(const struct facts *facts, json_t *checks)
{
	if (facts->perf_max_rate != FACTS_UNKNOWN && facts->perf_max_rate < RATE_USUAL) {
		check_add(checks, AREA, "sample rate", VERDICT_DEGRADED,
			  "sudo sysctl kernel.perf_event_max_sample_rate=100000",
			  "the kernel allows %lld samples/s: it lowers this itself when sampling costs too "
			  "much",
			  (long long)facts->perf_max_rate);
	} else if (facts->perf_max_rate != FACTS_UNKNOWN) {
		check_add(checks, AREA, "sample rate", VERDICT_WORKS, "",
			  "up to %lld samples/s, at most %lld %% of a CPU", (long long)facts->perf_max_rate,
			  (long long)facts->perf_cpu_limit);
	}
}

static void try_tracepoints(const struct facts *facts, json_t *checks)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	char text[32] = "";
	int fd;

	for (size_t i = 0; text[0] == '\0' && i < 2; i++) {
		if (procfs_read(text, sizeof(text), "%s/events/sched/sched_switch/id", places[i]) <= 0) {
			text[0] = '\0';
		}
	}
	if (text[0] == '\0') {
		check_add(checks, AREA, "tracepoints", VERDICT_DEGRADED,
			  facts->container[0] != '\0'
				  ? "docker run -v /sys/kernel/tracing:/sys/kernel/tracing:ro ..."
				  : "sudo mount -t tracefs -o gid=$(id -g),mode=0750 tracefs "
				    "/sys/kernel/tracing",
			  "their numbers cannot be read below /sys/kernel/tracing%s",
			  facts->is_root ? ": it is not mounted" : ": root only, or not mounted");
		return;
	}
	fd = open_event(PERF_TYPE_TRACEPOINT, strtoull(text, NULL, 10), false, -1, 0, 0);
	if (fd >= 0) {
		check_add(checks, AREA, "tracepoints", VERDICT_WORKS, "", "sched:sched_switch opens");
	} else {
		add_refused(checks, facts, "tracepoints", VERDICT_DEGRADED, -fd, NULL,
			    "no waits by the scheduler's own word");
	}
	close_event(fd);
}

static void try_perf(const struct facts *facts, json_t *checks)
{
	if (!try_own(facts, checks)) {
		return;
	}
	try_whole(facts, checks);
	try_hardware(checks);
	try_ring(facts, checks);
	try_limits(facts, checks);
	try_kernel_names(facts, checks);
	try_tracepoints(facts, checks);
}

const struct trial trial_perf = { AREA, "perf events", PRIVILEGE_PERF, try_perf };

/* SPDX-License-Identifier: MIT */
#include "doctor/facts.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/str.h"
#include "target/cgroup.h"
#include "target/procfs.h"

/* Younger than the headers of some distributions. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF     39
#endif

/* Inode of the machine's own pid namespace: PROC_PID_INIT_INO of Linux. */
#define PID_NAMESPACE_OF_MACHINE 0xEFFFFFFCu

static const struct {
	int number;
	const char *name;
} capabilities[] = {
	{ CAP_PERFMON, "PERFMON" },           { CAP_BPF, "BPF" },
	{ CAP_SYS_PTRACE, "SYS_PTRACE" },     { CAP_SYSLOG, "SYSLOG" },
	{ CAP_IPC_LOCK, "IPC_LOCK" },         { CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH" },
	{ CAP_SYS_RESOURCE, "SYS_RESOURCE" },
};

static int64_t read_number(const char *path)
{
	char text[64];
	char *end;
	int64_t value;

	if (procfs_read(text, sizeof(text), "%s", path) <= 0) {
		return FACTS_UNKNOWN;
	}
	value = strtoll(text, &end, 10);
	return end != text ? value : FACTS_UNKNOWN;
}

static void read_status(struct facts *facts)
{
	char text[8192];
	const char *line;

	if (procfs_read(text, sizeof(text), "/proc/self/status") <= 0) {
		return;
	}
	line = strstr(text, "\nCapEff:");
	facts->capabilities = line != NULL ? strtoull(line + 8, NULL, 16) : 0;
	line = strstr(text, "\nSeccomp:");
	facts->seccomp = line != NULL ? atoi(line + 9) : 0;
}

/* "0 0 4294967295": all ids are mapped to themselves, so it is the machine's own. */
static bool lives_in_user_namespace(void)
{
	unsigned long long inside;
	unsigned long long outside;
	unsigned long long count;
	char text[256];

	return procfs_read(text, sizeof(text), "/proc/self/uid_map") > 0 &&
	       sscanf(text, "%llu %llu %llu", &inside, &outside, &count) == 3 &&
	       (inside != 0 || outside != 0 || count != 4294967295u);
}

/* Images leave the marks of engines on machines that were made of them: one namespace at least must be a container's own. */
static bool has_own_namespace(void)
{
	/* Inodes of the machine's own: PROC_*_INIT_INO of Linux. */
	static const struct {
		const char *path;
		ino_t inode;
	} own[] = {
		{ "/proc/self/ns/pid", PID_NAMESPACE_OF_MACHINE },
		{ "/proc/self/ns/cgroup", 0xEFFFFFFBu },
		{ "/proc/self/ns/uts", 0xEFFFFFFEu },
		{ "/proc/self/ns/ipc", 0xEFFFFFFFu },
	};
	struct stat stat_buf;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (stat(own[i].path, &stat_buf) == 0 && stat_buf.st_ino != own[i].inode) {
			return true;
		}
	}
	return false;
}

static void find_container(struct facts *facts)
{
	struct cgroup_mount mount;
	char id[CGROUP_ID_BYTES];
	char path[PATH_MAX];
	bool has_own = has_own_namespace();
	size_t end;

	if (has_own && access("/.dockerenv", F_OK) == 0) {
		snprintf(facts->container, sizeof(facts->container), "docker");
	} else if (has_own && access("/run/.containerenv", F_OK) == 0) {
		snprintf(facts->container, sizeof(facts->container), "podman");
	} else if (has_own && getenv("KUBERNETES_SERVICE_HOST") != NULL) {
		snprintf(facts->container, sizeof(facts->container), "kubernetes");
	} else if (cgroup_find_mount(&mount) == 0 && cgroup_of(&mount, getpid(), path, sizeof(path)) == 0 &&
		   cgroup_container_id(path, id, &end)) {
		snprintf(facts->container, sizeof(facts->container), "container %.12s", id);
	}
}

/* "none [integrity] confidentiality": the one in brackets. Readable by root, where securityfs is mounted. */
static void read_lockdown(struct facts *facts)
{
	char text[128];
	char *from;
	char *to;

	if (procfs_read(text, sizeof(text), "/sys/kernel/security/lockdown") <= 0) {
		return;
	}
	from = strchr(text, '[');
	to = from != NULL ? strchr(from, ']') : NULL;
	if (to != NULL) {
		snprintf(facts->lockdown, sizeof(facts->lockdown), "%.*s", (int)(to - from - 1), from + 1);
	}
}

void facts_read(struct facts *ret)
{
	struct utsname kernel;
	struct stat stat_buf;

	memset(ret, 0, sizeof(*ret));
	if (uname(&kernel) == 0) {
		snprintf(ret->kernel, sizeof(ret->kernel), "%s", kernel.release);
	}
	ret->perf_paranoid = read_number("/proc/sys/kernel/perf_event_paranoid");
	ret->perf_max_rate = read_number("/proc/sys/kernel/perf_event_max_sample_rate");
	ret->perf_mlock_kb = read_number("/proc/sys/kernel/perf_event_mlock_kb");
	ret->perf_cpu_limit = read_number("/proc/sys/kernel/perf_cpu_time_max_percent");
	ret->kptr_restrict = read_number("/proc/sys/kernel/kptr_restrict");
	ret->bpf_disabled = read_number("/proc/sys/kernel/unprivileged_bpf_disabled");
	ret->ptrace_scope = read_number("/proc/sys/kernel/yama/ptrace_scope");
	ret->is_root = geteuid() == 0;
	ret->has_user_namespace = lives_in_user_namespace();
	ret->has_pid_namespace =
		stat("/proc/self/ns/pid", &stat_buf) == 0 && stat_buf.st_ino != PID_NAMESPACE_OF_MACHINE;
	ret->has_sysfs = access("/sys/kernel", F_OK) == 0;
	read_status(ret);
	find_container(ret);
	read_lockdown(ret);
}

bool facts_has(const struct facts *facts, int capability)
{
	return (facts->capabilities >> capability & 1) != 0;
}

char *facts_capability_names(const struct facts *facts, bool held, char *to, size_t to_bytes)
{
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]) && at < to_bytes; i++) {
		if (facts_has(facts, capabilities[i].number) == held) {
			at += (size_t)snprintf(to + at, to_bytes - at, "%s%s", at > 0 ? " " : "",
					       capabilities[i].name);
		}
	}
	return to;
}

static json_t *number_json(int64_t value)
{
	return value == FACTS_UNKNOWN ? json_null() : json_integer(value);
}

json_t *facts_to_json(const struct facts *facts)
{
	char held[160];
	char missing[160];

	return json_pack(
		"{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:b, s:b, s:b, s:i, s:s, s:s}", "kernel",
		facts->kernel, "perf_event_paranoid", number_json(facts->perf_paranoid),
		"perf_event_max_sample_rate", number_json(facts->perf_max_rate), "perf_event_mlock_kb",
		number_json(facts->perf_mlock_kb), "perf_cpu_time_max_percent",
		number_json(facts->perf_cpu_limit), "kptr_restrict", number_json(facts->kptr_restrict),
		"unprivileged_bpf_disabled", number_json(facts->bpf_disabled), "ptrace_scope",
		number_json(facts->ptrace_scope), "capabilities",
		facts_capability_names(facts, true, held, sizeof(held)), "capabilities_missing",
		facts_capability_names(facts, false, missing, sizeof(missing)), "is_root", facts->is_root,
		"user_namespace", facts->has_user_namespace, "pid_namespace", facts->has_pid_namespace,
		"seccomp", facts->seccomp, "container", facts->container, "lockdown", facts->lockdown);
}

/* ---- refusals ---- */

/* An engine that does not know a capability refuses to start the container. */
static void say_cap_add(const char *name, char *remedy, size_t remedy_bytes)
{
	bool is_new = str_equal(name, "PERFMON") || str_equal(name, "BPF");

	snprintf(remedy, remedy_bytes, "docker run --cap-add %s ... (Compose: cap_add: [%s])%s", name, name,
		 is_new ? "; engines before Docker 23 know SYS_ADMIN in its place" : "");
}

static void say_missing(const struct facts *facts, int capability, const char *name, const char *sysctl,
			char *why, size_t why_bytes, char *remedy, size_t remedy_bytes)
{
	if (facts_has(facts, capability)) {
		snprintf(why, why_bytes, "CAP_%s is held in a user namespace, where it does not count", name);
		snprintf(remedy, remedy_bytes, "run profcore outside of it, as root of the machine");
	} else if (facts->container[0] != '\0') {
		snprintf(why, why_bytes, "CAP_%s is missing, as in most containers", name);
		say_cap_add(name, remedy, remedy_bytes);
	} else if (sysctl != NULL) {
		snprintf(why, why_bytes, "CAP_%s is missing and %s", name, sysctl);
		procfs_setcap_command(remedy, remedy_bytes);
	} else {
		snprintf(why, why_bytes, "CAP_%s is missing", name);
		procfs_setcap_command(remedy, remedy_bytes);
	}
}

void facts_explain(const struct facts *facts, int errnum, int capability, const char *name,
		   const char *sysctl, char *why, size_t why_bytes, char *remedy, size_t remedy_bytes)
{
	if (errnum == ENOSYS && facts->seccomp == 2) {
		snprintf(why, why_bytes, "a seccomp filter says that there is no such call");
		snprintf(remedy, remedy_bytes,
			 "docker run --security-opt seccomp=unconfined ..., or a profile that allows it");
	} else if (errnum != EPERM && errnum != EACCES) {
		snprintf(why, why_bytes, "%s", strerror(errnum));
		remedy[0] = '\0';
	} else if (!facts_has(facts, capability) || facts->has_user_namespace) {
		say_missing(facts, capability, name, sysctl, why, why_bytes, remedy, remedy_bytes);
	} else if (facts->seccomp == 2) {
		snprintf(why, why_bytes, "CAP_%s is held, but a seccomp filter is in force", name);
		snprintf(remedy, remedy_bytes,
			 "docker run --security-opt seccomp=unconfined ..., or a profile that allows it");
	} else if (facts->lockdown[0] != '\0' && !str_equal(facts->lockdown, "none")) {
		snprintf(why, why_bytes, "the kernel is locked down (%s)", facts->lockdown);
		snprintf(remedy, remedy_bytes, "boot with lockdown=none, or without Secure Boot");
	} else {
		snprintf(why, why_bytes, "%s although CAP_%s is held: a security module denies it",
			 strerror(errnum), name);
		snprintf(remedy, remedy_bytes, "sudo dmesg | grep -i denied");
	}
}

/* SPDX-License-Identifier: MIT */
/* What the machine and our own process say of themselves, by which refusals are explained. Read once. */
#ifndef CORE_DOCTOR_FACTS_H
#define CORE_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/** A sysctl that is not there, or may not be read. */
#define FACTS_UNKNOWN INT64_MIN

struct facts {
	char kernel[128];       /* release */
	int64_t perf_paranoid;  /* kernel.perf_event_paranoid */
	int64_t perf_max_rate;  /* kernel.perf_event_max_sample_rate */
	int64_t perf_mlock_kb;  /* kernel.perf_event_mlock_kb */
	int64_t perf_cpu_limit; /* kernel.perf_cpu_time_max_percent */
	int64_t kptr_restrict;
	int64_t bpf_disabled;  /* kernel.unprivileged_bpf_disabled */
	int64_t ptrace_scope;  /* kernel.yama.ptrace_scope */
	uint64_t capabilities; /* effective */
	bool is_root;          /* effective user id 0 */
	bool has_user_namespace; /* we live in one that is not the machine's: its capabilities do not count for perf and BPF */
	bool has_pid_namespace;
	int seccomp;        /* "Seccomp" of /proc/self/status: 2 is a filter */
	char container[64]; /* "docker", "podman", ...: what we run in; "" for none */
	char lockdown[32];  /* "none", "integrity", ...; "" when it is not known */
	bool has_sysfs;
};

void facts_read(struct facts *ret);

bool facts_has(const struct facts *facts, int capability);

/** The capabilities that matter here, held and missing: "PERFMON BPF". */
char *facts_capability_names(const struct facts *facts, bool held, char *to, size_t to_bytes);

json_t *facts_to_json(const struct facts *facts);

/**
 * Why the kernel refused something that needs `capability` (its name without CAP_), and the one command that mends it: in a
 * container other ones than on the machine. `sysctl`: what allows it without the capability, or NULL.
 */
void facts_explain(const struct facts *facts, int errnum, int capability, const char *name,
		   const char *sysctl, char *why, size_t why_bytes, char *remedy, size_t remedy_bytes);

#endif

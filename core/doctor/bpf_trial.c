/* SPDX-License-Identifier: MIT */
/* BPF, as a stage with the privilege `bpf` would use it: a program of two instructions, loaded, attached, gone again. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/manifest.h"
#include "doctor/check.h"
#include "doctor/trial.h"
#include "stage/sandbox.h"
#include "target/procfs.h"

#ifndef CAP_BPF
#define CAP_BPF 39
#endif

#define AREA       "bpf"
#define BTF_PATH   "/sys/kernel/btf/vmlinux"
#define BTF_MAGIC  0xeB9F
#define RING_BYTES (64u * 1024u)
#define LOG_BYTES  4096

static int call_bpf(int command, union bpf_attr *attr)
{
	int rc = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return rc >= 0 ? rc : -errno;
}

static int load(enum bpf_prog_type type)
{
	/* r0 = 0; exit */
	struct bpf_insn code[] = { { .code = 0xb7, .dst_reg = 0, .imm = 0 }, { .code = 0x95 } };
	union bpf_attr attr = { .prog_type = type };

	attr.insns = (uint64_t)(uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (uint64_t)(uintptr_t) "Dual MIT/GPL";
	return call_bpf(BPF_PROG_LOAD, &attr);
}

static void close_if(int fd)
{
	if (fd >= 0) {
		close(fd);
	}
}

static void add_refused(json_t *checks, const struct facts *facts, const char *name, int errnum,
			const char *lost)
{
	char sysctl[64];
	char remedy[256];
	char why[256];

	snprintf(sysctl, sizeof(sysctl), "kernel.unprivileged_bpf_disabled = %lld",
		 (long long)facts->bpf_disabled);
	facts_explain(facts, errnum, CAP_BPF, "BPF", facts->bpf_disabled != FACTS_UNKNOWN ? sysctl : NULL,
		      why, sizeof(why), remedy, sizeof(remedy));
	check_add(checks, AREA, name, VERDICT_FAILS, remedy, "%s: %s", lost, why);
}

static void try_map(const struct facts *facts, json_t *checks)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_RINGBUF };
	int fd;

	attr.max_entries = RING_BYTES;
	fd = call_bpf(BPF_MAP_CREATE, &attr);
	if (fd >= 0) {
		check_add(checks, AREA, "ring buffer", VERDICT_WORKS, "", "made");
	} else if (fd == -EINVAL) {
		check_add(checks, AREA, "ring buffer", VERDICT_FAILS, "",
			  "this kernel has none (%s): Linux 5.8 is the first with it", facts->kernel);
	} else {
		add_refused(checks, facts, "ring buffer", -fd, "no events can be passed on");
	}
	close_if(fd);
}

static void try_attach(const struct facts *facts, int program, json_t *checks)
{
	union bpf_attr attr = { .raw_tracepoint = { .name = 0 } };
	int fd;

	attr.raw_tracepoint.name = (uint64_t)(uintptr_t) "sys_enter";
	attr.raw_tracepoint.prog_fd = (uint32_t)program;
	fd = call_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	if (fd >= 0) {
		check_add(checks, AREA, "attaching", VERDICT_WORKS, "", "to the tracepoint sys_enter");
	} else {
		add_refused(checks, facts, "attaching", -fd, "system calls cannot be followed by BPF");
	}
	close_if(fd);
}

static void try_btf(const struct facts *facts, json_t *checks)
{
	uint16_t magic = 0;
	int fd = open(BTF_PATH, O_RDONLY | O_CLOEXEC);
	int errnum = errno;

	if (fd >= 0 && pread(fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && magic == BTF_MAGIC) {
		check_add(checks, AREA, "kernel types (BTF)", VERDICT_WORKS, "", "%s", BTF_PATH);
	} else if (!facts->has_sysfs) {
		check_add(checks, AREA, "kernel types (BTF)", VERDICT_FAILS,
			  facts->container[0] != '\0' ? "docker run -v /sys:/sys:ro ..."
						      : "sudo mount -t sysfs sysfs /sys",
			  "/sys is not there, so " BTF_PATH
			  " is not: programs cannot be fitted to this kernel");
	} else {
		check_add(checks, AREA, "kernel types (BTF)", VERDICT_FAILS,
			  errnum == ENOENT ? "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian: "
					     "apt-get install linux-image-amd64)"
					   : "",
			  "%s: %s; programs cannot be fitted to this kernel", BTF_PATH,
			  fd >= 0 ? "it is no BTF" : strerror(errnum));
	}
	close_if(fd);
}

static bool has_pmu(const char *name)
{
	char text[16];

	return procfs_read(text, sizeof(text), "/sys/bus/event_source/devices/%s/type", name) > 0;
}

/* Whether the sandbox left CAP_SYS_ADMIN at hand: it does where the kernel probes programs by nothing less. */
static bool is_admin_at_hand(void)
{
	cap_flag_value_t permitted = CAP_CLEAR;
	cap_t have = cap_get_proc();
	bool at_hand = have != NULL && cap_get_flag(have, CAP_SYS_ADMIN, CAP_PERMITTED, &permitted) == 0 &&
		       permitted == CAP_SET;

	cap_free(have);
	return at_hand;
}

static void try_uprobes(const struct facts *facts, json_t *checks)
{
	const char *lost = "so no functions of programs (malloc) can be followed";

	if (!has_pmu("uprobe")) {
		check_add(checks, AREA, "probes on programs", VERDICT_DEGRADED, "",
			  "this kernel was built without uprobes, %s", lost);
	} else if (sandbox_has_probe_links()) {
		check_add(checks, AREA, "probes on programs", VERDICT_WORKS, "", "uprobes");
	} else if (is_admin_at_hand()) {
		check_add(checks, AREA, "probes on programs", VERDICT_WORKS, "",
			  "uprobes, each an event on %s: stages attach them with CAP_SYS_ADMIN",
			  facts->kernel);
	} else {
		check_add(checks, AREA, "probes on programs", VERDICT_DEGRADED,
			  facts->container[0] != '\0' ? "docker run --cap-add SYS_ADMIN ..."
						      : "run profcore as root",
			  "before Linux 6.6 (this is %s) uprobes want CAP_SYS_ADMIN, %s", facts->kernel,
			  lost);
	}
}

static void try_kprobes(json_t *checks)
{
	if (has_pmu("kprobe")) {
		check_add(checks, AREA, "probes on the kernel", VERDICT_WORKS, "", "kprobes");
	} else {
		check_add(checks, AREA, "probes on the kernel", VERDICT_DEGRADED, "",
			  "this kernel was built without kprobes, so its functions without a tracepoint "
			  "cannot be "
			  "followed");
	}
}

static void try_bpf(const struct facts *facts, json_t *checks)
{
	int program = load(BPF_PROG_TYPE_RAW_TRACEPOINT);

	if (program == -ENOSYS && facts->seccomp != 2) {
		check_add(checks, AREA, "programs", VERDICT_FAILS, "",
			  "this kernel has no BPF (CONFIG_BPF_SYSCALL)");
		return;
	}
	if (program < 0) {
		add_refused(checks, facts, "programs", -program, "none can be loaded");
	} else {
		check_add(checks, AREA, "programs", VERDICT_WORKS, "", "one for tracing loads");
		try_attach(facts, program, checks);
		try_map(facts, checks);
	}
	try_btf(facts, checks);
	try_uprobes(facts, checks);
	try_kprobes(checks);
	close_if(program);
}

const struct trial trial_bpf = { AREA, "BPF", PRIVILEGE_BPF | PRIVILEGE_UPROBE, try_bpf };

/* SPDX-License-Identifier: MIT */
#include "stage/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/ahead.h"
#include "config/manifest.h"
#include "stage/syscalls.h"

#define PRIVILEGED (PRIVILEGE_PERF | PRIVILEGE_BPF | PRIVILEGE_PTRACE | PRIVILEGE_UPROBE)

/* linux/capability.h of Debian 12 has them; libcap's table may be older than the kernel. */
static const struct {
	uint32_t privileges;
	cap_value_t capability;
} capability_of[] = {
	{ PRIVILEGE_PERF | PRIVILEGE_BPF, CAP_PERFMON },
	{ PRIVILEGE_PERF | PRIVILEGE_BPF, CAP_SYSLOG },   /* kernel addresses under kptr_restrict = 1 */
	{ PRIVILEGE_PERF | PRIVILEGE_BPF, CAP_IPC_LOCK }, /* rings past perf_event_mlock_kb */
	{ PRIVILEGE_BPF, CAP_BPF },
	{ PRIVILEGE_PTRACE, CAP_SYS_PTRACE },
};

static bool wants(uint32_t privileges, cap_value_t capability)
{
	for (size_t i = 0; i < sizeof(capability_of) / sizeof(capability_of[0]); i++) {
		if (capability_of[i].capability == capability &&
		    (capability_of[i].privileges & privileges) != 0) {
			return true;
		}
	}
	return false;
}

static bool is_permitted(cap_t have, cap_value_t capability)
{
	cap_flag_value_t permitted = CAP_CLEAR;

	return cap_get_flag(have, capability, CAP_PERMITTED, &permitted) == 0 && permitted == CAP_SET;
}

/*
 * CAP_SYS_ADMIN does what PERFMON and BPF do (capabilities(7)), and in containers of engines that do not know these two
 * (Docker 20.10) there is nothing less. It is kept only where what is wanted of the two is missing.
 */
static bool wants_admin(cap_t have, uint32_t privileges)
{
	return (wants(privileges, CAP_PERFMON) && !is_permitted(have, CAP_PERFMON)) ||
	       (wants(privileges, CAP_BPF) && !is_permitted(have, CAP_BPF));
}

bool sandbox_has_probe_links(void)
{
	struct utsname kernel;
	unsigned major = 0, minor = 0;

	return uname(&kernel) == 0 && sscanf(kernel.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 6));
}

/* Keeps what is wanted of what we have; drops all else from every set. */
static int keep_capabilities(uint32_t privileges, struct pfc_error *err)
{
	cap_t have = cap_get_proc();
	cap_t keep = cap_init();
	int rc = 0;

	if (have == NULL || keep == NULL) {
		rc = error_nomem(err);
		goto out;
	}
	for (cap_value_t cap = 0; cap_valid(cap); cap++) {
		bool wanted =
			wants(privileges, cap) || (cap == CAP_SYS_ADMIN && wants_admin(have, privileges));
		bool at_hand = cap == CAP_SYS_ADMIN && (privileges & PRIVILEGE_UPROBE) != 0 &&
			       !sandbox_has_probe_links();

		if ((wanted || at_hand) && is_permitted(have, cap)) {
			cap_set_flag(keep, CAP_PERMITTED, 1, &cap, CAP_SET);
			cap_set_flag(keep, CAP_EFFECTIVE, 1, &cap, wanted ? CAP_SET : CAP_CLEAR);
			continue;
		}
		/* Needs CAP_SETPCAP; without it there is nothing to gain by exec either, as no_new_privs is on. */
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (cap_set_proc(keep) < 0) {
		rc = error_errno(err, errno, "drop capabilities");
	}
out:
	cap_free(have);
	cap_free(keep);
	return rc;
}

/* ---- Landlock ---- */

#define ACCESS_READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_OF_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

/* All rights of ABI 1, named in the order of the kernel's documentation. */
#define ACCESS_HANDLED                                                                                       \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |         \
	 LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |      \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |          \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |       \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow_path(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0) {
		return; /* what is not there needs no rule */
	}
	(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

static int restrict_files(uint32_t privileges, const char *plugin_dir, const char **ret_missing,
			  struct pfc_error *err)
{
	static const char *const folders[] = { "/usr/lib",   "/lib",           "/lib64",
					       "/usr/lib64", "/usr/local/lib", "/proc/self" };
	static const char *const names[] = { "/etc/resolv.conf", "/etc/hosts",    "/etc/nsswitch.conf",
					     "/etc/host.conf",   "/etc/gai.conf", "/etc/services" };
	struct landlock_ruleset_attr attr = { .handled_access_fs = ACCESS_HANDLED };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	int rc = 0;

	if (ruleset < 0) {
		*ret_missing = "Landlock (this kernel has none, or it is off)";
		return 0;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		allow_path(ruleset, folders[i], ACCESS_READ);
	}
	allow_path(ruleset, plugin_dir, ACCESS_READ);
	allow_path(ruleset, "/etc/ld.so.cache", ACCESS_OF_FILE);
	for (size_t i = 0; (privileges & PRIVILEGE_NETWORK) != 0 && i < sizeof(names) / sizeof(names[0]);
	     i++) {
		allow_path(ruleset, names[i], ACCESS_OF_FILE);
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		rc = error_errno(err, errno, "restrict the stage's files with Landlock");
	}
	close(ruleset);
	return rc;
}

int sandbox_enter(uint32_t privileges, const char *plugin_dir, const char **ret_missing,
		  struct pfc_error *err)
{
	int rc;

	*ret_missing = "";
	/* A stage must not be able to stop others from seeing it, nor gain by exec what it gave up. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return error_errno(err, errno, "set no_new_privs");
	}
	if ((privileges & PRIVILEGED) == 0) {
		rc = restrict_files(privileges, plugin_dir, ret_missing, err);
		if (rc < 0) {
			return rc;
		}
	}
	if ((privileges & PRIVILEGE_PERF) !=
	    0) { /* before CAP_SYS_NICE goes; the plugin gives it back after the window */
		ahead_take();
	}
	rc = keep_capabilities(privileges, err);
	if (rc == 0 && (privileges & PRIVILEGED) == 0) {
		rc = syscalls_restrict((privileges & PRIVILEGE_NETWORK) != 0, err);
	}
	return rc;
}

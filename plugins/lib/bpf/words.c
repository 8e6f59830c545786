/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <profcore/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The inode of the first pid namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h). */
#define FIRST_PID_NAMESPACE 4026531836ul

static char first_words[160];

__attribute__((format(printf, 2, 0))) static int keep_words(enum libbpf_print_level level, const char *format,
							    va_list args)
{
	if (level == LIBBPF_WARN && first_words[0] == '\0') {
		vsnprintf(first_words, sizeof(first_words), format, args);
		first_words[strcspn(first_words, "\n")] = '\0';
	}
	return 0;
}

void bpf_words_keep(void)
{
	first_words[0] = '\0';
	libbpf_set_print(keep_words);
}

void bpf_words_skip_modules(struct bpf_program *any)
{
	char before[sizeof(first_words)];

	memcpy(before, first_words, sizeof(before));
	(void)bpf_program__set_attach_target(
		any, 0, "a_function_that_no_kernel_has"); /* fails, and changes nothing */
	memcpy(first_words, before, sizeof(before));      /* that complaint is of no interest */
}

static bool is_permission(int error)
{
	return error == EPERM || error == EACCES;
}

void bpf_words_why(int error, char *to, size_t to_bytes)
{
	snprintf(to, to_bytes, "%s%s%s%s", strerror(error), first_words[0] ? ": " : "", first_words,
		 is_permission(error)
			 ? " (BPF needs CAP_BPF and CAP_PERFMON, and lockdown=confidentiality forbids it)"
			 : "");
}

int32_t bpf_words_status(int error)
{
	return is_permission(error) ? PFC_EPERM : error == ENOMEM ? PFC_ENOMEM : PFC_ENOTSUP;
}

bool bpf_words_usable(const char **ret_why, const char **ret_hint)
{
	struct stat st;

	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
		*ret_why = "this kernel has no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)";
		*ret_hint = NULL;
		return false;
	}
	if (stat("/proc/self/ns/pid", &st) != 0 || st.st_ino != FIRST_PID_NAMESPACE) {
		*ret_why = "profcore runs in a pid namespace of its own and knows other ids than the kernel";
		*ret_hint = "run profcore on the host (docker run --pid=host)";
		return false;
	}
	return true;
}

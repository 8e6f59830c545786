/* SPDX-License-Identifier: MIT */
/* Texts of /proc/PID: see procread.h. The formats are those of proc(5). */
#include "procread.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024u

struct field {
	const char *name; /* with its colon */
	size_t offset;
};

/* "Name:     123 kB": into the field of that name, if there is one. */
static bool take_field(const char *line, const struct field *fields, size_t count, void *to)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(fields[i].name);

		if (strncmp(line, fields[i].name, length) == 0) {
			*(uint64_t *)(void *)((char *)to + fields[i].offset) +=
				strtoull(line + length, NULL, 10) * KIB;
			return true;
		}
	}
	return false;
}

/* All lines of a text. Returns how many were of use. */
static size_t take_lines(const char *text, const struct field *fields, size_t count, void *to)
{
	size_t taken = 0;

	while (*text != '\0') {
		const char *end = strchr(text, '\n');

		taken += take_field(text, fields, count, to);
		if (!end) {
			break;
		}
		text = end + 1;
	}
	return taken;
}

#define STATUS_FIELD(n, m)                                                                                   \
	{                                                                                                    \
		n, offsetof(struct proc_status, m)                                                           \
	}
#define SMAPS_FIELD(n, m)                                                                                    \
	{                                                                                                    \
		n, offsetof(struct proc_smaps, m)                                                            \
	}

static const struct field status_fields[] = {
	STATUS_FIELD("VmRSS:", rss),      STATUS_FIELD("RssAnon:", anon), STATUS_FIELD("RssFile:", file),
	STATUS_FIELD("RssShmem:", shmem), STATUS_FIELD("VmSwap:", swap),  STATUS_FIELD("VmHWM:", peak_rss),
};
static const struct field smaps_fields[] = {
	SMAPS_FIELD("Size:", size),
	SMAPS_FIELD("Rss:", rss),
	SMAPS_FIELD("Pss:", pss),
	SMAPS_FIELD("Pss_Anon:", pss_anon),
	SMAPS_FIELD("Pss_File:", pss_file),
	SMAPS_FIELD("Pss_Shmem:", pss_shmem),
	SMAPS_FIELD("Private_Dirty:", private_dirty),
	SMAPS_FIELD("Anonymous:", anon),
	SMAPS_FIELD("AnonHugePages:", huge),
	SMAPS_FIELD("Swap:", swap),
	SMAPS_FIELD("SwapPss:", swap_pss),
};

bool procread_status(const char *text, struct proc_status *ret)
{
	size_t taken;

	memset(ret, 0, sizeof(*ret));
	taken = take_lines(text, status_fields, sizeof(status_fields) / sizeof(status_fields[0]), ret);
	ret->has_memory = strncmp(text, "VmRSS:", 6) == 0 || strstr(text, "\nVmRSS:") != NULL;
	return taken > 0 || strncmp(text, "Name:", 5) == 0;
}

/* The name in parentheses may hold anything: fields are counted from the last closing one. */
bool procread_stat(const char *text, struct proc_stat *ret)
{
	const char *at = strrchr(text, ')');
	uint64_t minor, children_minor, major;
	char state;

	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %" SCNu64 " %" SCNu64 " %" SCNu64, &state,
			  &minor, &children_minor, &major) != 4) {
		return false;
	}
	*ret = (struct proc_stat){ minor, major, state };
	return true;
}

bool procread_rollup(const char *text, struct proc_smaps *ret)
{
	memset(ret, 0, sizeof(*ret));
	return take_lines(text, smaps_fields, sizeof(smaps_fields) / sizeof(smaps_fields[0]), ret) >= 2;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_shmem_path(const char *path)
{
	return begins(path, "/dev/shm/") || begins(path, "/memfd:") || begins(path, "/SYSV") ||
	       begins(path, "/dev/zero") || begins(path, "/i915");
}

static enum mapping_kind kind_of(const char *flags, uint64_t inode, const char *path)
{
	if (begins(path, "[heap]")) {
		return MAPPING_HEAP;
	}
	if (begins(path, "[stack")) {
		return MAPPING_STACK;
	}
	if (begins(path, "[anon_shmem") || (inode && is_shmem_path(path))) {
		return MAPPING_SHMEM;
	}
	if (inode) {
		return flags[2] == 'x'   ? MAPPING_FILE_CODE
		       : flags[3] == 's' ? MAPPING_FILE_SHARED
					 : MAPPING_FILE_DATA;
	}
	if (path[0] == '[' && !begins(path, "[anon:")) { /* [vdso], [vvar], [uprobes], ... */
		return MAPPING_OTHER;
	}
	return flags[3] == 's' ? MAPPING_SHMEM : MAPPING_ANON;
}

bool procread_mapping(const char *line, uint64_t *ret_start, uint64_t *ret_end, enum mapping_kind *ret)
{
	uint64_t start, end, inode;
	char flags[5];
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %n", &start, &end, flags, &inode,
		   &at) != 4 ||
	    strlen(flags) != 4 || end <= start || at == 0) {
		return false;
	}
	*ret_start = start;
	*ret_end = end;
	*ret = kind_of(flags, inode, line + at);
	return true;
}

void procread_smaps_line(const char *line, enum mapping_kind *current, struct proc_kinds *to)
{
	uint64_t start, end;

	if (procread_mapping(line, &start, &end, current)) {
		if (strstr(line, " /memfd:profcore-heap")) { /* the sampler's, not the program's */
			*current = MAPPING_KINDS;
			return;
		}
		to->count[*current]++;
		return;
	}
	if (*current == MAPPING_KINDS) {
		return;
	}
	(void)take_field(line, smaps_fields, sizeof(smaps_fields) / sizeof(smaps_fields[0]),
			 &to->by_kind[*current]);
}

const char *procread_kind_word(unsigned kind)
{
	static const char *const words[MAPPING_KINDS] = {
		[MAPPING_OTHER] = "other",
		[MAPPING_HEAP] = "heap (brk)",
		[MAPPING_STACK] = "main stack",
		[MAPPING_ANON] = "anonymous",
		[MAPPING_FILE_CODE] = "file, code",
		[MAPPING_FILE_DATA] = "file, private",
		[MAPPING_FILE_SHARED] = "file, shared",
		[MAPPING_SHMEM] = "shared memory",
	};

	return words[kind < MAPPING_KINDS ? kind : MAPPING_OTHER];
}

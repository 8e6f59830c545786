/* SPDX-License-Identifier: MIT */
#include "events.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap_probes.skel.h"

/*
 * The PMU wants CAP_SYS_ADMIN, which the privilege `uprobe` leaves at hand but not in effect: it is so in this thread, for as
 * long as it takes to attach. Without it the kernel's refusal says what is missing.
 */
static void be_admin(bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	const uint32_t bit = CAP_TO_MASK(CAP_SYS_ADMIN);
	struct __user_cap_data_struct *word = &data[CAP_TO_INDEX(CAP_SYS_ADMIN)];

	if (syscall(SYS_capget, &head, data) != 0 || !(word->permitted & bit)) {
		return;
	}
	word->effective = on ? word->effective | bit : word->effective & ~bit;
	(void)syscall(SYS_capset, &head, data);
}

static struct bpf_link *attach_one(struct probes *probes, const char *path, int32_t pid,
				   const struct probe_point *point, bool is_return)
{
	struct bpf_uprobe_opts opts = { .sz = sizeof(opts),
					.bpf_cookie = point->number,
					.retprobe = is_return };

	return bpf_program__attach_uprobe_opts(is_return ? probes->skeleton->progs.on_leave
							 : probes->skeleton->progs.on_enter,
					       pid, path, point->file_offset, &opts);
}

static int attach_all(struct probes *probes, const char *path, int32_t pid, const struct probe_point *points,
		      uint32_t count, struct probe_link *ret)
{
	for (uint32_t i = 0; i < 2 * count; i++) {
		bool is_return = i % 2 == 0; /* first, so that no entry waits for a return that is not seen */
		struct bpf_link *link;

		if (is_return && !points[i / 2].wants_return) {
			continue;
		}
		link = attach_one(probes, path, pid, &points[i / 2], is_return);
		if (!link) {
			return -errno;
		}
		ret->links[ret->count++] = link;
	}
	return 0;
}

int probes_attach_events(struct probes *probes, const char *path, int32_t pid,
			 const struct probe_point *points, uint32_t count, struct probe_link *ret)
{
	int rc;

	ret->links = calloc(2 * (size_t)count, sizeof(struct bpf_link *));
	if (!ret->links) {
		return -ENOMEM;
	}
	be_admin(true);
	rc = attach_all(probes, path, pid, points, count, ret);
	be_admin(false);
	return rc;
}

/* SPDX-License-Identifier: MIT */
/* Operations of io_uring by number: enum io_uring_op of the kernel's uapi header io_uring.h, to Linux 6.18. */
#include <stdio.h>

#include "names.h"

static const char *const operations[] = {
	"nop",
	"readv",
	"writev",
	"fsync",
	"read_fixed",
	"write_fixed",
	"poll_add",
	"poll_remove",
	"sync_file_range",
	"sendmsg",
	"recvmsg",
	"timeout",
	"timeout_remove",
	"accept",
	"async_cancel",
	"link_timeout",
	"connect",
	"fallocate",
	"openat",
	"close",
	"files_update",
	"statx",
	"read",
	"write",
	"fadvise",
	"madvise",
	"send",
	"recv",
	"openat2",
	"epoll_ctl",
	"splice",
	"provide_buffers",
	"remove_buffers",
	"tee",
	"shutdown",
	"renameat",
	"unlinkat",
	"mkdirat",
	"symlinkat",
	"linkat",
	"msg_ring",
	"fsetxattr",
	"setxattr",
	"fgetxattr",
	"getxattr",
	"socket",
	"uring_cmd",
	"send_zc",
	"sendmsg_zc",
	"read_multishot",
	"waitid",
	"futex_wait",
	"futex_wake",
	"futex_waitv",
	"fixed_fd_install",
	"ftruncate",
	"bind",
	"listen",
	"recv_zc",
	"epoll_wait",
	"readv_fixed",
	"writev_fixed",
	"pipe",
};

const char *uring_name(uint32_t operation, char *to, uint32_t to_bytes)
{
	if (operation < sizeof(operations) / sizeof(operations[0])) {
		snprintf(to, to_bytes, "%s", operations[operation]);
	} else {
		snprintf(to, to_bytes, "operation_%u", operation);
	}
	return to;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the descriptors of the target are: "/etc/hosts", "pipe:[4711]", "TCP 127.0.0.1:40122->127.0.0.1:80" (it connected there; "<-": it was accepted), "unix:/run/x.sock".
 * Names are looked up when asked for and kept until the caller says that the descriptor may be another (fds_forget): a
 * descriptor that was closed and made anew between the call and the question is named as what it is now.
 */
#ifndef STRACE_FDS_H
#define STRACE_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest name, with its end. */
#define FDS_NAME_BYTES 256

struct fds;

/** NULL when memory is short. At most `most` names are kept; beyond that the oldest make room. */
struct fds *fds_create(size_t most);
void fds_destroy(struct fds *fds);

/**
 * The name of a descriptor of a process; NULL when it has none or may not be looked at.
 *
 * Thread:  [owner]
 * Memory:  valid until the next call.
 */
const char *fds_name(struct fds *fds, int32_t pid, int32_t fd);

/** Only a name that was looked up before and not forgotten; NULL without. For calls whose descriptor is another by now. */
const char *fds_known(const struct fds *fds, int32_t pid, int32_t fd);

/** Whether a descriptor whose name is known was opened with O_SYNC or O_DSYNC: its writes return when the disk has the data. */
bool fds_is_synced(const struct fds *fds, int32_t pid, int32_t fd);

/** Ask anew next time. fd -1: all descriptors of the process. */
void fds_forget(struct fds *fds, int32_t pid, int32_t fd);

/** How many names were asked for and could not be had. */
uint64_t fds_failed(const struct fds *fds);

/**
 * Name a socket by its inode from the tables in a folder like /proc/PID/net. Returns 0, or -ENOENT.
 *
 * Source:  proc(5); the address words are in the machine's byte order, net/ipv4/tcp_ipv4.c get_tcp4_sock.
 */
int fds_socket_name(const char *net_folder, uint64_t inode, char to[FDS_NAME_BYTES]);

#define FDS_PORTS_WORDS (65536 / 64)

/** The TCP ports that are listened on in the process's network, a bit each: a socket whose local port it is was accepted. */
void fds_listening(int32_t pid, uint64_t ports[FDS_PORTS_WORDS]);

#endif

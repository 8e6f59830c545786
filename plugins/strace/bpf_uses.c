/* SPDX-License-Identifier: MIT */
/* Files, pipes, sockets, locks and io_uring of the BPF back-end: names made of what the programs read, sums into the account. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bpf_state.h"
#include "fds.h"
#include "programs.skel.h"

#define IDLE_NS   250000000ull /* unused for so long, nothing in the kernel still adds to it */
#define RETIRE_NS 200000000ull
#define PORTS_NS  1000000000ull

static int map_fd(const struct bpf_map *map)
{
	return bpf_map__fd(map);
}

/* ---- names ---- */

static void end_text(uint32_t family, const unsigned char address[16], uint32_t port, char *to,
		     size_t to_bytes)
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];
	bool is_6 = family == AF_INET6 && memcmp(address, mapped, sizeof(mapped)) != 0;

	inet_ntop(is_6 ? AF_INET6 : AF_INET, family == AF_INET6 && !is_6 ? address + 12 : address, text,
		  sizeof(text));
	snprintf(to, to_bytes, is_6 ? "[%s]:%u" : "%s:%u", text, port);
}

/* Looked up once a second for a process: there may be thousands of connections. */
static bool was_listened_on(struct bpf_state *state, int32_t pid, uint32_t port)
{
	uint64_t now_ns = state->tracer->host->now(state->tracer->host->ctx);

	if (state->ports_pid != pid || now_ns > state->ports_ns + PORTS_NS) {
		fds_listening(pid, state->ports);
		state->ports_pid = pid;
		state->ports_ns = now_ns;
	}
	return port < 65536 && (state->ports[port / 64] >> port % 64 & 1);
}

static void inet_name(struct bpf_state *state, const struct use_key *key, const struct use_value *use,
		      char *to, size_t to_bytes)
{
	const char *label = use->type == SOCK_STREAM ? "TCP" : use->type == SOCK_DGRAM ? "UDP" : "RAW";
	char local[64], remote[64];
	bool is_accepted;

	end_text(use->family, use->local, use->local_port, local, sizeof(local));
	end_text(use->family, use->remote, use->remote_port, remote, sizeof(remote));
	if (use->remote_port == 0) {
		snprintf(to, to_bytes, "%s %s%s", label, use->flags & USE_LISTENS ? "listening on " : "",
			 local);
		return;
	}
	/* it may have been accepted before the window */
	is_accepted =
		use->flags & USE_ACCEPTED ||
		(use->type == SOCK_STREAM && was_listened_on(state, (int32_t)key->tgid, use->local_port));
	snprintf(to, to_bytes, "%s %s%s%s", label, local, is_accepted ? "<-" : "->", remote);
}

static void socket_name(struct bpf_state *state, const struct use_key *key, const struct use_value *use,
			char *to, size_t to_bytes)
{
	const char *path = use->parts[0];

	if (use->family == AF_INET || use->family == AF_INET6) {
		inet_name(state, key, use, to, to_bytes);
	} else if (use->family == AF_UNIX && use->part_count) {
		snprintf(to, to_bytes, "unix:%s%.107s", path[0] ? "" : "@", path[0] ? path : path + 1);
	} else {
		snprintf(to, to_bytes, "%s:[%llu]", use->family == AF_UNIX ? "unix" : "socket",
			 (unsigned long long)key->number);
	}
}

/* The last part is the root's: "/", or the name of what lies nowhere. Empty ones are mounts. */
static void path_name(const struct use_value *use, char *to, size_t to_bytes)
{
	uint32_t count = use->part_count < USE_PARTS ? use->part_count : USE_PARTS;
	bool is_rooted = use->flags & USE_ROOTED;
	size_t used = 0;

	if (is_rooted && count && use->parts[count - 1][0] == '[') {
		snprintf(to, to_bytes, "anon_inode:%.*s", (int)USE_PART_BYTES, use->parts[count - 1]);
		return;
	}
	used = (size_t)snprintf(to, to_bytes, "%s", is_rooted ? "" : "...");
	for (uint32_t i = is_rooted && count ? count - 1 : count; i > 0 && used < to_bytes; i--) {
		const char *part = use->parts[i - 1];
		size_t bytes = strnlen(part, USE_PART_BYTES);

		if (bytes) {
			used += (size_t)snprintf(to + used, to_bytes - used, "/%.*s%s", (int)bytes, part,
						 bytes == USE_PART_BYTES - 1 ? "..." : "");
		}
	}
	if (used == 0) {
		snprintf(to, to_bytes, "/");
	}
}

static void use_name(struct bpf_state *state, const struct use_key *key, const struct use_value *use,
		     char *to, size_t to_bytes)
{
	if (key->kind == USE_LOCK) {
		snprintf(to, to_bytes, "futex 0x%llx", (unsigned long long)key->inode);
	} else if (S_ISSOCK(use->mode)) {
		socket_name(state, key, use, to, to_bytes);
	} else if (S_ISFIFO(use->mode)) {
		snprintf(to, to_bytes, "pipe:[%llu]", (unsigned long long)key->number);
	} else {
		path_name(use, to, to_bytes);
	}
}

bool bpf_use_name(struct bpf_state *state, const struct use_key *key, char *to, size_t to_bytes)
{
	struct use_value use;

	if (key->kind != USE_FILE ||
	    bpf_map_lookup_elem(map_fd(state->programs->maps.uses), key, &use) != 0) {
		return false;
	}
	use_name(state, key, &use, to, to_bytes);
	return to[0] != '\0';
}

/* ---- sums ---- */

static int keep_use(struct bpf_state *state, const struct use_key *key, const struct use_value *use)
{
	char name[FDS_NAME_BYTES * 3];
	struct file_use *file;

	if (use->reads + use->writes + use->syncs + use->others == 0) {
		return PFC_OK;
	}
	use_name(state, key, use, name, sizeof(name));
	file = account_file(state->tracer->account, (int32_t)key->tgid, name);
	if (!file) {
		return PFC_ENOMEM;
	}
	file->reads += use->reads;
	file->writes += use->writes;
	file->syncs += use->syncs;
	file->others += use->others;
	file->errors += use->errors;
	file->read_bytes += use->read_bytes;
	file->written_bytes += use->written_bytes;
	file->small += use->small;
	file->sync_writes += use->sync_writes;
	file->total_ns += use->total_ns;
	file->blocked_ns += use->blocked_ns;
	file->max_ns = use->max_ns > file->max_ns ? use->max_ns : file->max_ns;
	return PFC_OK;
}

/* All entries that were idle since before_ns; they leave the table. */
static int retire(struct bpf_state *state, uint64_t before_ns)
{
	int fd = map_fd(state->programs->maps.uses);
	struct use_key key, next;
	struct use_value use;
	bool has_next = bpf_map_get_next_key(fd, NULL, &next) == 0;
	int rc = PFC_OK;

	for (uint32_t i = 0; has_next && i < 4 * USES && rc == PFC_OK; i++) {
		key = next;
		has_next = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (bpf_map_lookup_elem(fd, &key, &use) != 0 || use.last_ns >= before_ns) {
			continue;
		}
		rc = keep_use(state, &key, &use);
		bpf_map_delete_elem(fd, &key);
		state->uses_retired++;
	}
	return rc;
}

int bpf_uses_retire(struct bpf_state *state, uint64_t now_ns)
{
	if (state->tracer->settings.calls != CALLS_ALL || now_ns < state->retire_ns ||
	    state->programs->bss->uses_made - state->uses_retired < USES / 4) {
		return PFC_OK;
	}
	state->retire_ns = now_ns + RETIRE_NS;
	return retire(state, now_ns - IDLE_NS);
}

static int keep_rings(struct bpf_state *state)
{
	int fd = map_fd(state->programs->maps.urings);
	struct uring_key key, *last = NULL;
	uint64_t times;

	while (bpf_map_get_next_key(fd, last, &key) == 0) {
		struct ring_use *use = account_ring(state->tracer->account, (int32_t)key.tgid, key.operation);

		if (!use) {
			return PFC_ENOMEM;
		}
		if (bpf_map_lookup_elem(fd, &key, &times) == 0) {
			use->requests += times;
		}
		last = &key;
	}
	return PFC_OK;
}

int bpf_uses_harvest(struct bpf_state *state)
{
	int rc = retire(state, UINT64_MAX);

	return rc == PFC_OK ? keep_rings(state) : rc;
}

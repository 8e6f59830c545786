/* SPDX-License-Identifier: MIT */
/*
 * The shared file: opened once by its path, kept as a mapping, which a fork inherits; so a child needs no system call that a
 * sandbox of its own might refuse. A fork is noticed by a page that the kernel wipes in the child, however it was made.
 */
#include "sampler.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "sys.h"

#define WIPE_ON_FORK 18 /* MADV_WIPEONFORK, since Linux 4.14 */
#define MAX_BYTES    (1ULL << 34)

extern char **environ;

static uint8_t nothing[HEAP_MAYBE_BYTES];
uint8_t *maybe = nothing;
struct process_state process_state;

/* Not getenv(): a program may bring its own. */
static const char *find_env(const char *name)
{
	size_t bytes = strlen(name);

	for (char **at = environ; at != NULL && *at != NULL; at++) {
		if (strncmp(*at, name, bytes) == 0 && (*at)[bytes] == '=') {
			return *at + bytes + 1;
		}
	}
	return NULL;
}

static bool read_hex(const char *text, uint64_t *ret)
{
	uint64_t value = 0;

	for (; *text != '\0'; text++) {
		unsigned digit = (unsigned)*text - '0';

		if (digit > 9) {
			digit = (unsigned)*text - 'a' + 10;
			if (digit < 10 || digit > 15) {
				return false;
			}
		}
		value = value << 4 | digit;
	}
	*ret = value;
	return true;
}

/* The file's path and nonce out of the environment. */
static bool read_address(char path[64], uint64_t *ret_nonce)
{
	const char *text = find_env(HEAP_ENV);
	const char *colon = text != NULL ? strchr(text, ':') : NULL;

	if (colon == NULL || colon - text >= 64 || !read_hex(colon + 1, ret_nonce)) {
		return false;
	}
	memcpy(path, text, (size_t)(colon - text));
	path[colon - text] = '\0';
	return true;
}

static bool holds(const struct heap_segment *segment, uint64_t bytes, uint64_t nonce)
{
	return segment->magic == HEAP_MAGIC && segment->version == HEAP_VERSION && segment->bytes == bytes &&
	       segment->nonce == nonce && segment->period_bytes > 0;
}

static struct heap_segment *map_file(void)
{
	struct stat status;
	uint64_t nonce;
	char path[64];
	long fd, at = -1;

	if (!read_address(path, &nonce)) {
		return NULL;
	}
	fd = sys_call(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
	if (fd < 0) {
		return NULL;
	}
	if (sys_call(SYS_fstat, fd, (long)&status, 0, 0, 0, 0) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size >= (long)sizeof(struct heap_segment) && (uint64_t)status.st_size <= MAX_BYTES) {
		at = sys_call(SYS_mmap, 0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	if (at < 0 && at > -4096) {
		return NULL;
	}
	if (!holds((struct heap_segment *)at, (uint64_t)status.st_size, nonce)) {
		sys_call(SYS_munmap, at, status.st_size, 0, 0, 0, 0);
		return NULL;
	}
	return (struct heap_segment *)at;
}

static bool make_guard(void)
{
	long at = sys_call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at < 0 && at > -4096) {
		return false;
	}
	if (sys_call(SYS_madvise, at, 4096, WIPE_ON_FORK, 0, 0, 0) != 0) {
		return false; /* a forked child could not be told from its parent */
	}
	process_state.guard = (uint8_t *)at;
	*process_state.guard = 1;
	return true;
}

/* Which object the target's calls would end in: for people, and to know when we are not asked. */
static void describe(struct heap_process *process)
{
	void *first = dlsym(RTLD_DEFAULT, "malloc");
	void *own = dlsym(RTLD_DEFAULT, "profcore_heap_malloc");
	void *next = NULL;
	Dl_info info;

	memcpy(&next, &real.malloc, sizeof(next));
	if (own == NULL ||
	    first !=
		    own) { /* or the program only has a stand-in for the address of malloc: then we are called */
		process->flags |= HEAP_PROCESS_SHADOWED;
	}
	if (next != NULL && dladdr(next, &info) != 0 && info.dli_fname != NULL) {
		const char *slash = strrchr(info.dli_fname, '/');
		const char *name = slash != NULL ? slash + 1 : info.dli_fname;
		size_t bytes = strlen(name);

		bytes = bytes < sizeof(process->allocator) ? bytes : sizeof(process->allocator) - 1;
		memcpy(process->allocator, name, bytes);
	}
}

static uint32_t take_slot(struct heap_segment *segment, const struct heap_process *like)
{
	struct heap_process *processes =
		(struct heap_process *)(void *)((char *)segment + segment->processes);
	uint32_t slot = __atomic_add_fetch(&segment->next_process, 1, __ATOMIC_RELAXED);

	if (slot == 0 || slot > HEAP_PROCESSES) {
		__atomic_store_n(&segment->next_process, HEAP_PROCESSES, __ATOMIC_RELAXED);
		__atomic_fetch_add(&segment->processes_refused, 1, __ATOMIC_RELAXED);
		return 0;
	}
	memcpy(processes[slot].allocator, like->allocator, sizeof(like->allocator));
	processes[slot].flags = like->flags;
	processes[slot].start_ns = now_ns();
	__atomic_store_n(&processes[slot].pid, (int32_t)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0),
			 __ATOMIC_RELEASE);
	return slot;
}

void attach(void)
{
	struct heap_segment *segment = map_file();
	struct heap_process process;

	process_state.main_stack_end = (uint64_t)(uintptr_t)environ;
	if (segment == NULL || !make_guard()) {
		return;
	}
	memset(&process, 0, sizeof(process));
	describe(&process);
	process_state.epoch = 1;
	process_state.slot = take_slot(segment, &process);
	if (process_state.slot == 0) {
		return;
	}
	real_mark_early((uint8_t *)segment + segment->maybe_table);
	process_state.segment = segment;
	thread_state.countdown = 0;
	__atomic_store_n(&maybe, (uint8_t *)segment + segment->maybe_table, __ATOMIC_RELEASE);
}

void detach(void)
{
	process_state.segment = NULL;
	__atomic_store_n(&maybe, nothing, __ATOMIC_RELEASE);
}

struct heap_segment *attached(void)
{
	struct heap_segment *segment = process_state.segment;

	if (segment == NULL || !__atomic_load_n(&segment->enabled, __ATOMIC_RELAXED)) {
		if (segment != NULL) {
			detach();
		}
		return NULL;
	}
	if (UNLIKELY(*process_state.guard == 0)) { /* a child of a fork, one thread */
		struct heap_process *processes =
			(struct heap_process *)(void *)((char *)segment + segment->processes);

		*process_state.guard = 1;
		process_state.epoch++;
		process_state.threads = 0;
		process_state.slot = take_slot(segment, &processes[process_state.slot]);
		if (process_state.slot == 0) {
			detach();
			return NULL;
		}
	}
	return segment;
}

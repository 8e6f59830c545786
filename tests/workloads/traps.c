/* SPDX-License-Identifier: MIT */
/*
 * traps MODE SECONDS: code whose stacks are hard to walk, built without frame pointers; each mode works below a chain of functions
 * that is the same at every moment. `traps all SECONDS LIBRARY` runs every mode at once, each in a process of its own that is
 * named after it.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#ifdef __GLIBC__
#include <ucontext.h>
#endif
#include <unistd.h>

#include "workload.h"

#define KEEP      __asm__ volatile("" ::: "memory") /* after a call: it is no tail call */
#define NOT_YET() (clock_ns(CLOCK_MONOTONIC) < end_ns)

static uint64_t end_ns;
static volatile uint64_t sink;
static const char *library_path;

/* Small enough to have no frame at all. */
static NOINLINE void leaf_without_frame(void)
{
	uint64_t value = sink;

	for (int i = 0; i < 50; i++) {
		SPIN(value);
	}
	sink = value;
}

static NOINLINE void burn(void)
{
	while (NOT_YET()) {
		leaf_without_frame();
	}
	KEEP;
}

/* ---- recursion ---- */

static NOINLINE void recurse(int depth)
{
	if (depth == 0) {
		burn();
	} else {
		recurse(depth - 1);
	}
	KEEP;
}

static NOINLINE void mode_recursion(void)
{
	recurse(250);
	KEEP;
}

/* ---- frames of unusual shape ---- */

static NOINLINE void frame_large(void)
{
	volatile char room[10000];

	room[0] = 1;
	room[sizeof(room) - 1] = 1;
	burn();
	sink += (uint64_t)room[0];
}

static NOINLINE void frame_of_any_size(size_t bytes)
{
	volatile char *room = alloca(bytes);

	room[0] = 1;
	frame_large();
	sink += (uint64_t)room[0];
}

/* The stack is aligned anew: where the caller's frame is stands in another register, or behind an expression. */
static NOINLINE void frame_realigned(size_t bytes)
{
	volatile char wide[64] __attribute__((aligned(64)));
	volatile char *room = alloca(bytes);

	wide[0] = 1;
	room[0] = 1;
	frame_of_any_size(bytes * 2);
	sink += (uint64_t)(wide[0] + room[0]);
}

static NOINLINE void mode_frames(void)
{
	frame_realigned(3000);
	KEEP;
}

/* ---- tail calls: `tail_middle` jumps, so it is on no stack ---- */

static NOINLINE void tail_last(void)
{
	burn();
	sink += 2; /* or it would be folded with its like */
}

static NOINLINE void tail_middle(void)
{
	sink++;
	tail_last();
}

static NOINLINE void mode_tail_call(void)
{
	tail_middle();
	KEEP;
}

/* ---- signals ---- */

static NOINLINE void handle(int number)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + 20000000;

	(void)number;
	while (clock_ns(CLOCK_MONOTONIC) < until_ns) {
		leaf_without_frame();
	}
}

static NOINLINE void interrupted(void)
{
	burn();
	sink += 3; /* or it would be folded with its like */
}

static NOINLINE void mode_signal(void)
{
	struct itimerval every = { { 0, 25000 }, { 0, 25000 } };
	struct sigaction action = { .sa_handler = handle };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	interrupted();
	KEEP;
}

/* ---- a stack of one's own ---- */

#ifdef __GLIBC__ /* musl has no such calls */
static ucontext_t main_context;

static NOINLINE void on_own_stack(void)
{
	burn();
	sink += 4; /* or it would be folded with its like */
}

static NOINLINE void mode_context(void)
{
	static ucontext_t context;
	static char stack[1 << 16];

	getcontext(&context);
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = sizeof(stack);
	context.uc_link = &main_context;
	makecontext(&context, on_own_stack, 0);
	swapcontext(&main_context, &context);
	KEEP;
}
#else
static NOINLINE void mode_context(void)
{
}
#endif

/* ---- threads that live a millisecond ---- */

static NOINLINE void *short_life(void *unused)
{
	uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + 1000000;

	(void)unused;
	while (clock_ns(CLOCK_MONOTONIC) < until_ns) {
		leaf_without_frame();
	}
	return NULL;
}

static NOINLINE void mode_threads(void)
{
	while (NOT_YET()) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, short_life, NULL) == 0) {
			pthread_join(thread, NULL);
		}
	}
}

/* ---- the vDSO ---- */

static NOINLINE void mode_vdso(void)
{
	while (NOT_YET()) {
	}
}

/* ---- a library that comes and goes ---- */

static NOINLINE void mode_library(void)
{
	while (NOT_YET()) {
		void *library = dlopen(library_path, RTLD_NOW);
		void (*spin)(void) =
			library != NULL ? (void (*)(void))(uintptr_t)dlsym(library, "spin_in_library") : NULL;

		if (spin != NULL) {
			spin();
			KEEP;
		}
		if (library != NULL) {
			dlclose(library);
		}
	}
}

/* ---- fork and exec ---- */

static NOINLINE void mode_exec(void)
{
	while (NOT_YET()) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/proc/self/exe", "traps", "recursion", "0.1", (char *)NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
}

/* ---- code made at run time: a frame, a loop, and back ---- */

static NOINLINE void mode_jit(void)
{
	/* push %rbp; mov %rsp,%rbp; mov $0x10000,%ecx; 1: dec %ecx; jnz 1b; pop %rbp; ret */
	static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xb9, 0,    0,   1,
					      0,    0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3 };
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[64];
	FILE *map;

	if (at == MAP_FAILED) {
		return;
	}
	memcpy(at, code, sizeof(code));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "we");
	if (map != NULL) {
		fprintf(map, "%lx 1000 stale\n%lx %zx made at run time\n", (unsigned long)(uintptr_t)at,
			(unsigned long)(uintptr_t)at, sizeof(code));
		fclose(map);
	}
	while (NOT_YET()) {
		((void (*)(void))(uintptr_t)at)();
		KEEP;
	}
	unlink(path);
}

/* ---- assembly: with call frame information, and with a frame pointer only ---- */

/* clang-format off */
__asm__(".text\n.type asm_with_cfi,@function\nasm_with_cfi:\n"
	"\t.cfi_startproc\n\tpush %rbx\n\t.cfi_adjust_cfa_offset 8\n\t.cfi_rel_offset %rbx,0\n"
	"\tsub $4096,%rsp\n\t.cfi_adjust_cfa_offset 4096\n"
	"\tmov $0x10000,%ebx\n1:\tdec %ebx\n\tjnz 1b\n"
	"\tadd $4096,%rsp\n\t.cfi_adjust_cfa_offset -4096\n"
	"\tpop %rbx\n\t.cfi_adjust_cfa_offset -8\n\t.cfi_restore %rbx\n\tret\n\t.cfi_endproc\n.size asm_with_cfi,.-asm_with_cfi\n"
	".type asm_without_cfi,@function\nasm_without_cfi:\n"
	"\tpush %rbp\n\tmov %rsp,%rbp\n\tmov $0x10000,%ecx\n1:\tdec %ecx\n\tjnz 1b\n\tpop %rbp\n\tret\n"
	".size asm_without_cfi,.-asm_without_cfi\n");
/* clang-format on */
void asm_with_cfi(void);
void asm_without_cfi(void);

static NOINLINE void mode_assembly(void)
{
	while (NOT_YET()) {
		asm_with_cfi();
		asm_without_cfi();
		KEEP;
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "recursion", mode_recursion }, { "frames", mode_frames },
	{ "tail_call", mode_tail_call }, { "signal", mode_signal },
	{ "context", mode_context },     { "threads", mode_threads },
	{ "vdso", mode_vdso },           { "library", mode_library },
	{ "exec", mode_exec },           { "jit", mode_jit },
	{ "assembly", mode_assembly },
};

#define MODES (sizeof(modes) / sizeof(modes[0]))

static NOINLINE int run_mode(size_t mode)
{
	prctl(PR_SET_NAME, modes[mode].name);
	modes[mode].run();
	KEEP;
	return 0;
}

static NOINLINE int run_all(void)
{
	for (size_t mode = 0; mode < MODES; mode++) {
		if (fork() == 0) {
			int status = run_mode(mode);

			KEEP;
			return status;
		}
	}
	while (wait(NULL) > 0) {
	}
	return 0;
}

int main(int argc, char **argv)
{
	end_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(number_arg(argc, argv, 2, 1) * 1e9);
	library_path = argc > 3 ? argv[3] : "";
	if (argc > 1 && strcmp(argv[1], "all") == 0) {
		int status = run_all();

		KEEP;
		return status;
	}
	for (size_t mode = 0; mode < MODES && argc > 1; mode++) {
		if (strcmp(argv[1], modes[mode].name) == 0) {
			return run_mode(mode);
		}
	}
	fprintf(stderr, "usage: traps MODE SECONDS [LIBRARY]\n");
	return 2;
}

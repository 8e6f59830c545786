/* SPDX-License-Identifier: MIT */
/*
 * A 32-bit program without a library: 40 times getppid (64), 30 times a write of nothing (4), 20 times an open (5) of a file that
 * is not there, then exit (1). The same numbers are other calls to 64-bit code: semget, stat, fstat, write.
 */
static long call(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

void _start(void);

void _start(void)
{
	static const char missing[] = "/nonexistent";

	for (int i = 0; i < 40; i++) {
		call(64, 0, 0, 0);
	}
	for (int i = 0; i < 30; i++) {
		call(4, 1, (long)missing, 0);
	}
	for (int i = 0; i < 20; i++) {
		call(5, (long)missing, 0, 0);
	}
	call(1, 0, 0, 0);
}

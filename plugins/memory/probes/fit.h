/* SPDX-License-Identifier: MIT */
/*
 * What a probe costs this target, from its own slices. On a machine of one's own a hit costs what calibration says; within a
 * program its caches are cold, and the lock of a page table is fought for. Slices come in two kinds, with probes on frees and
 * without: the same work with more hits and with fewer. CPU time = b * calls + k * (hits at their calibrated cost) gives both.
 */
#ifndef MEMORY_PROBES_FIT_H
#define MEMORY_PROBES_FIT_H

#include <stdbool.h>

struct fit {
	double nn, nh, hh, nc, hc, cc; /* sums, each slice by the inverse of its CPU time */
	unsigned with, without;        /* slices with probes on frees, and without */
};

/** A slice: calls that asked for memory, the calibrated cost of all hits, CPU time; ns. */
void fit_add(struct fit *fit, double calls, double hits_ns, double cpu_ns, bool with_frees);

/** How many times the calibrated cost a hit costs; 1 while that cannot be told. */
double fit_factor(const struct fit *fit);

/**
 * Relative standard error of the CPU time that is the target's own in the slices, by which they are scaled. Not known without
 * slices of both kinds: then as large as it may be.
 */
double fit_error(const struct fit *fit);

#endif

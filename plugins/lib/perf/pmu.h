/* SPDX-License-Identifier: MIT */
/*
 * Events of a named PMU in perf's words: "cpu/event=0x3c,umask=0x0/", "msr/tsc/", "uncore_imc_0/cas_count_read/u". What a term
 * means the kernel says in sysfs: format/TERM which bits of which word, events/NAME which terms.
 */
#ifndef LIB_PERF_PMU_H
#define LIB_PERF_PMU_H

#include "spec.h"

/** Where sysfs has the PMUs. */
#define PERF_PMU_FOLDER "/sys/bus/event_source/devices"

/** Whether a word, which may have modifiers behind, has this form. */
bool perf_pmu_is(const char *word);

/**
 * Returns: 0, also where the machine has no such PMU (is_absent then); -EINVAL: not of this form; -ENOKEY: the PMU knows no such
 * term; -ERANGE: a value has more bits than its term; -EIO: sysfs makes no sense.
 */
int perf_pmu_parse_in(const char *word, const char *folder, struct perf_event_spec *ret);

/** For a message: what terms and events the PMU of a word has, or, where there is no such PMU, which there are. */
void perf_pmu_names(const char *word, const char *folder, char *to, size_t to_bytes);

#endif

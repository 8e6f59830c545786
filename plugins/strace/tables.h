/* SPDX-License-Identifier: MIT */
/* The artifact profcore.syscalls/1: its tables are described in docs/artifacts.md. */
#ifndef STRACE_TABLES_H
#define STRACE_TABLES_H

#include "tracer.h"

/** Declare the tables of the output `syscalls`. Returns 0, or a status after nothing was kept. */
int tables_open(const struct pfc_host *host, struct tables **ret);
void tables_close(struct tables *tables);

/** One row of `slow`. Returns the writer's error. */
int tables_slow(struct tables *tables, struct tracer *tracer, const struct slow_call *call);
/** One row of `long_waits`. Likewise. */
int tables_long_wait(struct tables *tables, const struct long_wait *wait);
int tables_commit(struct tables *tables);

/** State a fact; text when it is not NULL. */
void tables_fact(struct tables *tables, const char *key, double number, const char *text);

/** Write everything in the account. Returns the writer's error. */
int tables_account(struct tables *tables, const struct account *account);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the host gives a plugin: one struct of functions, passed to pfc_plugin_v1(). It is valid until destroy returns.
 * Every function takes `ctx` first: pass host->ctx.
 *
 * A host may be older or newer than this header. A member past host->struct_size is not there: test it with
 * PFC_HAS(host, member) when it is not of the founding set ("Since: 1.0").
 */
#ifndef PROFCORE_HOST_H
#define PROFCORE_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "artifact.h"
#include "status.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whether the struct at `ptr`, sized by its owner, has `member`, and it is not zero. */
#define PFC_HAS(ptr, member)                                                                              \
	((ptr)->struct_size >= (uint32_t)((const char *)(&(ptr)->member + 1) - (const char *)(ptr)) && \
	 (ptr)->member != 0)

/** Severity of a log line. */
enum pfc_log_level {
	PFC_LOG_ERROR = 1,
	PFC_LOG_WARNING = 2, /* ends in ", continuing without X" or ", ignoring" */
	PFC_LOG_INFO = 3,    /* shown with -v */
	PFC_LOG_DEBUG = 4,   /* shown with -vv */
	PFC_LOG_NOTICE = 5,  /* shown unless -q: what the user is to know before the window; INFO to a host that knows no 5 */
};

/** Verdict of a gate. */
enum pfc_verdict {
	PFC_GATE_PASS = 1,
	PFC_GATE_FAIL = 2,
	PFC_GATE_INCONCLUSIVE = 3,
};

/** How the value of an option is held in struct pfc_value. */
enum pfc_value_type {
	PFC_VALUE_INT = 1,      /* integer */
	PFC_VALUE_FLOAT = 2,    /* real */
	PFC_VALUE_BOOL = 3,     /* integer, 0 or 1 */
	PFC_VALUE_STRING = 4,   /* text */
	PFC_VALUE_ENUM = 5,     /* text, one of the manifest's values; integer is its position there */
	PFC_VALUE_DURATION = 6, /* integer, ns */
	PFC_VALUE_SIZE = 7,     /* integer, bytes */
	PFC_VALUE_LIST = 8,     /* items; text is the whole list as written */
};

/** The value of an option, parsed and range-checked by the core. Texts live as long as the host struct. */
struct pfc_value {
	uint32_t struct_size;
	uint32_t type; /* enum pfc_value_type */
	int64_t integer;
	double real;
	const char *text; /* never NULL; "" when the option is empty */
	const char *const *items;
	uint32_t item_count;
	uint32_t is_set; /* 1: somebody set it; 0: it is the manifest's default */
};

/** What is profiled. A snapshot at the time of the call; follow changes through "profcore.target/1". */
struct pfc_target {
	uint32_t struct_size;
	uint32_t reserved0;
	const char *kind;        /* "command", "pid", "process", "container", "cgroup", "system"; "none" without target */
	const char *name;        /* for people: "web-forum-app-1", "backend (pid 4711)" */
	const int32_t *pids;     /* thread-group ids tracked now, in profcore's pid namespace, the first is the root */
	uint32_t pid_count;      /* all processes; a launched target is here before its exec */
	uint32_t held;           /* 1: launched, not released yet (its pid runs profcore's code until T0) */
	const char *cgroup_path; /* folder on the unified hierarchy, "" when the target is not a cgroup */
};

/** The run's window. */
struct pfc_window {
	uint32_t struct_size;
	uint32_t reserved0;
	uint64_t t0_ns;       /* CLOCK_MONOTONIC; 0 before start */
	uint64_t t1_ns;       /* 0 before stop */
	uint64_t duration_ns; /* as configured */
};

/** Texts about the stage, for host->text. */
enum pfc_text {
	PFC_TEXT_STAGE = 1,      /* name of this stage */
	PFC_TEXT_PLUGIN_DIR = 2, /* folder of the plugin's .so, for companion files */
	PFC_TEXT_RUN_ID = 3,     /* "20261123-150405-slow_endpoint" */
	PFC_TEXT_RUN_NAME = 4,   /* [run] name */
};

/** The host. */
struct pfc_host {
	uint32_t struct_size;
	uint32_t abi_minor; /* information, never a gate */
	void *ctx;

	/**
	 * Write one line to the run's log.
	 *
	 * Thread:  [any], but never from a sampling path: count there, and report the count.
	 * Memory:  copies text (UTF-8, no newline needed; control characters are escaped).
	 * Since:   1.0
	 */
	void (*log)(void *ctx, uint32_t level, const char *text);

	/**
	 * State why the callback that runs now fails. Call it once, then return its value.
	 *
	 * Shape:   what: the operation ("perf_event_open on CPU 3"); why: the cause ("Operation not permitted
	 *          (perf_event_paranoid = 3)"); hint: what the user can do, or NULL.
	 * Thread:  [any]
	 * Memory:  copies.
	 * Returns: status, so that `return host->fail(...)` reads well.
	 * Since:   1.0
	 */
	int32_t (*fail)(void *ctx, int32_t status, const char *what, const char *why, const char *hint);

	/**
	 * The value of one of the plugin's options.
	 *
	 * Thread:  [any]
	 * Memory:  the caller sets ret->struct_size; texts are the host's.
	 * Returns: 0; PFC_ENOENT when the manifest has no such option.
	 * Since:   1.0
	 */
	int32_t (*option)(void *ctx, const char *key, struct pfc_value *ret);

	/** [any] A text about the stage (enum pfc_text); "" when there is none. Since 1.0 */
	const char *(*text)(void *ctx, uint32_t which);

	/** [any] The run clock: CLOCK_MONOTONIC in ns. Since 1.0 */
	uint64_t (*now)(void *ctx);

	/** [any] A descriptor that becomes readable when `run` must return. Poll it; never read or close it. Since 1.0 */
	int32_t (*stop_fd)(void *ctx);

	/** [any] The window. The caller sets ret->struct_size. Returns 0 or PFC_EINVAL. Since 1.0 */
	int32_t (*window)(void *ctx, struct pfc_window *ret);

	/**
	 * [control] The target. The caller sets ret->struct_size. pids and texts are valid until the next call.
	 * Returns 0; PFC_ETARGET when the run has none. Since 1.0
	 */
	int32_t (*target)(void *ctx, struct pfc_target *ret);

	/**
	 * [control] In probe or prepare: set an environment variable of a target that is launched. LD_PRELOAD and other
	 * colon lists are appended to what is there.
	 * Returns 0; PFC_ENOTSUP when the target is not launched by profcore; PFC_EINVAL. Since 1.0
	 */
	int32_t (*target_env)(void *ctx, const char *name, const char *value);

	/**
	 * [control] The writer of an output port. Every call gives the same one.
	 * Returns 0; PFC_ENOENT when the manifest has no such output. Since 1.0
	 */
	int32_t (*output)(void *ctx, const char *port, const struct pfc_writer **ret);

	/** [any] How many artifacts are joined to an input port: 0 or 1 for optional, 1 for one and each. Since 1.0 */
	uint32_t (*input_count)(void *ctx, const char *port);

	/** [control] The reader of artifact `index` of an input port. Returns 0; PFC_ENOENT; PFC_ECORRUPT. Since 1.0 */
	int32_t (*input)(void *ctx, const char *port, uint32_t index, const struct pfc_reader **ret);

	/**
	 * [any] Count observations that were made and not kept. `cause` is lower_snake ("ring_full").
	 * Adds to what was counted. Returns 0 or PFC_ENOENT. Since 1.0
	 */
	int32_t (*loss)(void *ctx, const char *port, const char *cause, uint64_t count);

	/**
	 * [any] Publish the present value of a live metric that the manifest declares. Cheap: it stores, the host sends.
	 * Returns 0 or PFC_ENOENT. Since 1.0
	 */
	int32_t (*metric)(void *ctx, const char *name, double value);

	/**
	 * [control] Judge the run. A failed gate makes the exit code 99.
	 * Shape:   expression: as the user wrote it ("p99 < 500ms"); detail: what was measured.
	 * Returns 0 or PFC_EINVAL. Since 1.0
	 */
	int32_t (*gate)(void *ctx, const char *expression, uint32_t verdict, const char *detail);

	/**
	 * [control] Ask for a service by id, for instance "profcore.stacks/1" (include/profcore/ext/).
	 * Returns NULL when this host has no such service: say what is lost, and go on if possible. Since 1.0
	 */
	const void *(*extension)(void *ctx, const char *id);
};

/** What every host has: the founding set. An entry function returns NULL to a host that has less. */
#define PFC_HOST_FOUNDING_BYTES ((uint32_t)(offsetof(struct pfc_host, extension) + sizeof(void *)))

/** The option as an integer (int, bool, duration in ns, size in bytes, position of an enum); `missing` if there is none. */
static inline int64_t pfc_option_int(const struct pfc_host *host, const char *key, int64_t missing)
{
	struct pfc_value value;

	value.struct_size = (uint32_t)sizeof(value);
	return host->option(host->ctx, key, &value) == PFC_OK ? value.integer : missing;
}

/** The option as a float; `missing` if there is none. */
static inline double pfc_option_real(const struct pfc_host *host, const char *key, double missing)
{
	struct pfc_value value;

	value.struct_size = (uint32_t)sizeof(value);
	return host->option(host->ctx, key, &value) == PFC_OK ? value.real : missing;
}

/** The option as text; `missing` if there is none. */
static inline const char *pfc_option_text(const struct pfc_host *host, const char *key, const char *missing)
{
	struct pfc_value value;

	value.struct_size = (uint32_t)sizeof(value);
	return host->option(host->ctx, key, &value) == PFC_OK ? value.text : missing;
}

#ifdef __cplusplus
}
#endif
#endif

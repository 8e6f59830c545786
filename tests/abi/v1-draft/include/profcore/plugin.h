/* SPDX-License-Identifier: MIT */
/*
 * What a plugin provides: a manifest, embedded in the file, and one exported function.
 *
 * The manifest is the INI text manifest.ini in the plugin's folder; PFC_MANIFEST embeds it in section .profcore, where
 * the core reads it without running any of the plugin's code (docs/plugin-guide.md describes its keys). The function
 * pfc_plugin_v1 is called once, in a process that belongs to this stage alone.
 *
 *   driver, collector:   create -> probe -> prepare -> start(t0) -> run -> stop(t1) -> finish -> destroy
 *   transform, reporter: create -> process -> destroy
 *
 * A callback that is NULL counts as done. After a callback failed, the next one is destroy.
 */
#ifndef PROFCORE_PLUGIN_H
#define PROFCORE_PLUGIN_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Callbacks of a plugin. All are called on the [control] thread, one at a time, with the pointer that create gave. */
struct pfc_plugin {
	uint32_t struct_size;
	uint32_t reserved0;

	/** Allocate the plugin's state. Do nothing that can take time. Returns 0 and *ret_self, or what host->fail gave. */
	int32_t (*create)(const struct pfc_host *host, void **ret_self);

	/** Can this work here? Try what will be needed, leave nothing behind. A refusal carries a remedy as its hint. */
	int32_t (*probe)(void *self);

	/** Everything that takes time: allocate, attach, open, so that start only flips a switch. */
	int32_t (*prepare)(void *self);

	/**
	 * Start. t0_ns: CLOCK_MONOTONIC. A collector measures from its return on, which is before T0; a driver arms itself and
	 * puts load on from t0_ns on, in run.
	 */
	int32_t (*start)(void *self, uint64_t t0_ns);

	/** The plugin's own loop. Returns when host->stop_fd is readable, or before when there is nothing more to do. */
	int32_t (*run)(void *self);

	/** Stop measuring. t1_ns: the end of the window, already past. */
	int32_t (*stop)(void *self, uint64_t t1_ns);

	/** Drain what was measured into the outputs. */
	int32_t (*finish)(void *self);

	/** Transforms and reporters: read the inputs, write the outputs. */
	int32_t (*process)(void *self);

	/** Free everything. Accepts a half-built self and NULL. */
	void (*destroy)(void *self);
};

/**
 * The type of the one exported function. The struct it returns is the plugin's and lives as long as the process; NULL when
 * the plugin cannot work with this host (host->struct_size < PFC_HOST_FOUNDING_BYTES).
 */
typedef const struct pfc_plugin *(*pfc_plugin_entry)(const struct pfc_host *host);

#define PFC_PLUGIN_ENTRY "pfc_plugin_v1"
#define PFC_MANIFEST_SECTION ".profcore"

#if defined(__GNUC__)
#define PFC_EXPORT __attribute__((visibility("default")))
#else
#define PFC_EXPORT
#endif

/**
 * Embed a file as the plugin's manifest: PFC_MANIFEST("manifest.ini"); once, at file scope. The path is found as
 * the assembler finds .incbin files: relative to the working directory of the compiler and to its -I (or -Wa,-I) paths.
 * The section is allocated and retained, so that strip and --gc-sections leave it.
 */
#define PFC_MANIFEST(path)                                                  \
	__asm__(".pushsection " PFC_MANIFEST_SECTION ",\"aR\",@progbits\n" \
		".incbin \"" path "\"\n"                                     \
		".byte 0\n"                                                 \
		".popsection\n")

#ifdef __cplusplus
}
#endif

#ifdef __cplusplus
extern "C"
#endif
	PFC_EXPORT const struct pfc_plugin *
	pfc_plugin_v1(const struct pfc_host *host);

#endif

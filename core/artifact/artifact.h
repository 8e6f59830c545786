/* SPDX-License-Identifier: MIT */
/*
 * Artifact files: the host's side of pfc_writer and pfc_reader (include/profcore/artifact.h). Runs in stage processes.
 * The layout on disk is in docs/artifacts.md.
 */
#ifndef CORE_ARTIFACT_ARTIFACT_H
#define CORE_ARTIFACT_ARTIFACT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <profcore/artifact.h>

#include "base/error.h"

/** The type of the small JSON documents that the core merges into the run's summary. */
#define ARTIFACT_TYPE_SUMMARY "profcore.summary/1"

struct artifact_writer;
struct artifact_reader;

/**
 * What became of an output. The host sends it to the core as JSON (artifact_report): {"rows": {"samples": 12, ...},
 * "lost": {"ring_full": 3}, "facts": {...}, "checksum": "crc32:...", "bytes": N, "first_ns": N, "last_ns": N,
 * "sealed": bool}. Rows are those in the file; first_ns and last_ns are of the table that counts. Rows that were offered
 * and not written are in "lost" as "not_written".
 */

/** Whether a port's type is tables ("a.b/1"), or a document (a media type such as "text/plain", "image/svg+xml"). */
bool artifact_type_is_tables(const char *type);

/**
 * Begin an output on an empty file open for reading and writing.
 *
 * Memory:  borrows fd until destroy; copies type.
 */
int artifact_writer_create(int fd, const char *type, struct artifact_writer **ret, struct pfc_error *err);

/** The public face; lives as long as the writer. */
const struct pfc_writer *artifact_writer_face(struct artifact_writer *writer);

/** [any] Count a loss by cause. */
int artifact_writer_loss(struct artifact_writer *writer, const char *cause, uint64_t count);

/**
 * [any] Rows kept so far in the table that counts ("samples" of a stacks artifact: the last declared one that is dated),
 * for progress; 0 for documents.
 */
uint64_t artifact_writer_rows(const struct artifact_writer *writer);

/** Commit everything and close the file's account: the artifact is complete. Fails with the writer's first error. */
int artifact_writer_seal(struct artifact_writer *writer, struct pfc_error *err);

/** What became of it, sealed or not; NULL when memory ran out. The caller owns the object. */
json_t *artifact_writer_report(const struct artifact_writer *writer);

/** Free; NULL is fine. An unsealed file keeps what was committed. */
void artifact_writer_destroy(struct artifact_writer *writer);

/** What the core knows about an input besides its bytes. Borrowed during open. */
struct artifact_about {
	const char *producer;
	const char *port;
	const char *type;
	const char *signal;
	bool partial;
};

/**
 * Open a file for reading: mmap it, index the committed chunks, stop at the first that does not check.
 *
 * Never crashes on bad bytes; fails with PFC_ECORRUPT only when not even the header checks. A file without its seal
 * reads as partial.
 */
int artifact_reader_open(int fd, const struct artifact_about *about, struct artifact_reader **ret,
			 struct pfc_error *err);

const struct pfc_reader *artifact_reader_face(struct artifact_reader *reader);

/** Tables for generic tools: how many, and the definition and row count of each. */
uint32_t artifact_reader_table_count(const struct artifact_reader *reader);
const struct pfc_table *artifact_reader_table_def(const struct artifact_reader *reader, uint32_t table);

/** Whether the file carries its seal. */
bool artifact_reader_is_sealed(const struct artifact_reader *reader);

/** Facts and losses as JSON: {"facts": {...}, "lost": {...}, "rows": {...}}. The caller owns the object. */
json_t *artifact_reader_report(const struct artifact_reader *reader);

/** Let go of the pages of a chunk (they come back when touched): keeps RSS small in a scan. */
void artifact_reader_release(struct artifact_reader *reader, uint32_t table, uint32_t chunk);

void artifact_reader_close(struct artifact_reader *reader);

#endif

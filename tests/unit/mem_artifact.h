/* SPDX-License-Identifier: MIT */
/*
 * An artifact in memory, with both faces of the contract: what is written through the writer can be read through the
 * reader at once. Tables are cut into chunks of a chosen size. For tests of plugins, without the core.
 */
#ifndef TESTS_UNIT_MEM_ARTIFACT_H
#define TESTS_UNIT_MEM_ARTIFACT_H

#include <stdbool.h>
#include <stdint.h>

#include <profcore/artifact.h>
#include <profcore/status.h>

struct mem_artifact;

/** chunk_rows: rows of a chunk, 0 for one chunk a table. The texts are borrowed. Ends the program without memory. */
struct mem_artifact *mem_artifact_create(const char *producer, const char *port, const char *type,
					 const char *signal, uint32_t chunk_rows);
const struct pfc_writer *mem_artifact_writer(struct mem_artifact *artifact);
const struct pfc_reader *mem_artifact_reader(struct mem_artifact *artifact);
/** What the reader says of it. */
void mem_artifact_mark(struct mem_artifact *artifact, bool partial, uint64_t lost);
/** Views of this chunk of this table fail as corrupt. */
void mem_artifact_break(struct mem_artifact *artifact, const char *table, uint32_t chunk);
/** What was written as a document. */
const char *mem_artifact_document(const struct mem_artifact *artifact, uint64_t *ret_bytes);
void mem_artifact_destroy(struct mem_artifact *artifact);

#endif

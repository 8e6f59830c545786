/* SPDX-License-Identifier: MIT */
/* The heap in the tables of profcore.memory/1: totals in the window; sites, histograms, threads and leaks at the end. */
#include "heap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t heap_write_totals(struct heap *heap, uint64_t now_ns)
{
	int32_t rc = PFC_OK;

	for (uint32_t i = 0; i < heap->model.process_count && rc == PFC_OK; i++) {
		const struct heap_process_sum *process = &heap->model.processes[i];
		double live = process->live.bytes, low, high;

		if (process->allocated.count == process->written_count &&
		    process->freed.count == process->written_frees && now_ns != heap->t1_ns) {
			continue;
		}
		heap->model.processes[i].written_count = process->allocated.count;
		heap->model.processes[i].written_frees = process->freed.count;
		heap_sum_interval(&process->live, &low, &high);
		if (heap->has_gap) {
			live = low = high = NAN;
		}
		{
			const void *row[] = { &now_ns,
					      &process->pid,
					      &live,
					      &low,
					      &high,
					      &process->allocated.bytes,
					      &process->allocated.count,
					      &process->freed.bytes,
					      &process->freed.count };

			rc = tables_add(&heap->tier->memory->tables, TABLE_HEAP_TOTALS, row);
		}
	}
	return rc;
}

/* Names that allocators and containers have, at the start of a word: they pass a request for memory on. The site is who asked. */
static const char *const passing[] = { "operator new",
				       "std::",
				       "__gnu_cxx::",
				       "alloc::",
				       "core::",
				       "hashbrown::",
				       "__rust_",
				       "__rdl_",
				       "__rustc::",
				       "__rg_",
				       "je_",
				       "mi_",
				       "malloc",
				       "calloc",
				       "realloc",
				       "reallocarray",
				       "_rjem_",
				       "tc_",
				       "g_malloc",
				       "g_realloc",
				       "g_slice",
				       "_PyObject_", /* Python's own allocator, over malloc */
				       "PyObject_Malloc",
				       "PyObject_Calloc",
				       "PyObject_Realloc",
				       "PyMem_",
				       "_PyMem_",
				       "new_arena",
				       "arena_map_get",
				       "xmalloc",
				       "xcalloc",
				       "xrealloc",
				       "strdup",
				       "strndup",
				       "__strdup",
				       "__GI___strdup",
				       "__libc_malloc",
				       "__libc_calloc",
				       "__libc_realloc",
				       "__libc_memalign",
				       "__GI___libc_",
				       "default_malloc",
				       "posix_memalign",
				       "aligned_alloc",
				       "__GI__IO_file_doallocate" };

/* "zmalloc", "CRYPTO_zalloc", "my_realloc_array"; but "preallocate" does something else. */
static bool allocates_by_name(const char *function)
{
	static const char *const words[] = { "malloc", "calloc", "zalloc", "realloc" };
	size_t bytes = strcspn(function, "<("); /* not of types that it is made for */

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *at = strcasestr(function, words[i]);

		if (at && (size_t)(at - function) < bytes &&
		    (at == function || (at[-1] != 'p' && at[-1] != 'P'))) {
			return true;
		}
	}
	return false;
}

/* Of "<A as B>::f" and "void f<T>(...)", whichever word says where it comes from. */
static bool passes_on(const char *function)
{
	const char *as = function[0] == '<' ? strstr(function, " as ") : NULL;
	const char *word = as ? as + 4 : function[0] == '<' ? function + 1 : function;
	const char *space = strchr(word, ' ');

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		size_t bytes = strlen(passing[i]);

		if (strncmp(word, passing[i], bytes) == 0 ||
		    (function[0] != '<' && space && strncmp(space + 1, passing[i], bytes) == 0)) {
			return true;
		}
	}
	return allocates_by_name(function);
}

/* Who is to be named for a stack: the innermost function that does not pass on, or the innermost of all. */
static void name_site(const struct heap *heap, const struct heap_site *site, const char **ret_function,
		      const char **ret_module)
{
	const char *function = "", *module = "";

	*ret_function = "[unknown]";
	*ret_module = "";
	for (uint32_t frame = 0; site->row != UINT32_MAX && frame < HEAP_DEPTH; frame++) {
		if (heap->stacks->name(heap->sessions[HEAP_CHURN], site->row, frame, &function, &module) !=
		    PFC_OK) {
			return;
		}
		if (function[0] && (frame == 0 || !passes_on(function))) {
			*ret_function = function;
			*ret_module = module;
		}
		if (function[0] && !passes_on(function)) {
			return;
		}
	}
}

/*
 * What is seen of a part of the time has the error of that part too, by which it was divided: when that may be nothing, there is
 * no upper end.
 */
static void widen(const struct heap *heap, double *low, double *high)
{
	double error = 1.96 * heap->model.scale_error;

	if (error > 0) {
		*low = *low / (1 + error);
		*high = error < 1 ? *high / (1 - error) : NAN;
	}
}

static int32_t write_site(struct heap *heap, const struct heap_site *site, uint32_t function, uint32_t module)
{
	double live = site->live.bytes, peak = site->peak_bytes, live_low, live_high, low, high;
	uint64_t key = site->row == UINT32_MAX ? 0 : site->row;

	heap_sum_interval(&site->live, &live_low, &live_high);
	heap_sum_interval(&site->allocated, &low, &high);
	widen(heap, &low, &high);
	if (heap->no_live[0]) {
		live = peak = live_low = live_high = NAN;
	}
	{
		const void *row[] = { &site->pid,
				      &key,
				      &function,
				      &module,
				      &site->allocated.samples,
				      &live,
				      &live_low,
				      &live_high,
				      &site->allocated.bytes,
				      &low,
				      &high,
				      &site->allocated.count,
				      &site->temporary_bytes,
				      &peak };

		return tables_add(&heap->tier->memory->tables, TABLE_HEAP_SITES, row);
	}
}

static int32_t write_leak(struct heap *heap, const struct heap_site *site, uint32_t function, uint32_t module,
			  const struct heap_judgement *judged)
{
	uint64_t key = site->row == UINT32_MAX ? 0 : site->row;
	uint8_t verdict = (uint8_t)judged->verdict;
	uint32_t why = tables_string(&heap->tier->memory->tables, judged->why);
	const void *row[] = { &site->pid,
			      &key,
			      &function,
			      &module,
			      &verdict,
			      &judged->confidence_pct,
			      &judged->rate,
			      &judged->rate_low,
			      &judged->rate_high,
			      &judged->grown,
			      &judged->grown_low,
			      &judged->grown_high,
			      &why };

	return tables_add(&heap->tier->memory->tables, TABLE_LEAKS, row);
}

static int32_t write_sites(struct heap *heap, const struct heap_evidence *evidence)
{
	struct tables *tables = &heap->tier->memory->tables;
	uint32_t leaks = 0, too_short = 0;
	int32_t rc = PFC_OK;

	for (uint32_t i = 0; i < heap->model.site_count && rc == PFC_OK; i++) {
		const struct heap_site *site = &heap->model.sites[i];
		struct heap_judgement judged;
		const char *function, *module;
		uint32_t function_row, module_row;

		name_site(heap, site, &function, &module);
		function_row = tables_string(tables, function);
		module_row = tables_string(tables, module);
		rc = write_site(heap, site, function_row, module_row);
		if (heap->no_live[0]) {
			continue;
		}
		heap_leak_judge(&evidence[i], &judged);
		if (rc == PFC_OK && judged.verdict != HEAP_STEADY) {
			rc = write_leak(heap, site, function_row, module_row, &judged);
		}
		leaks += judged.verdict == HEAP_LEAK;
		too_short += judged.verdict == HEAP_TOO_SHORT;
	}
	if (!heap->no_live[0]) {
		tables->writer->fact_number(tables->writer->ctx, "leaks", leaks);
		tables->writer->fact_number(tables->writer->ctx, "leaks_too_short_to_tell", too_short);
	}
	return rc;
}

static uint64_t class_low(uint32_t class)
{
	return class ? 1ULL << (class - 1) : 0;
}

static int32_t write_size(struct heap *heap, const struct heap_histogram *of, uint32_t class)
{
	const struct heap_sum *made = &of->made[class], *in_use = &of->live[class];
	uint64_t low = class_low(class), high = 1ULL << class;
	double live = heap->has_gap         ? NAN
		      : in_use->bytes > 0.5 ? in_use->bytes
					    : 0; /* less is a rest of rounding */
	double made_low, made_high;

	heap_sum_interval(made, &made_low, &made_high);
	{
		const void *row[] = { &of->pid, &low,     &high,     &made->count, &made->bytes,
				      &live,    &of->tid, &made_low, &made_high };

		return made->count > 0 || live > 0
			       ? tables_add(&heap->tier->memory->tables, TABLE_HEAP_SIZES, row)
			       : PFC_OK;
	}
}

static int32_t write_lifetime(struct heap *heap, const struct heap_histogram *of, uint32_t class)
{
	const struct heap_sum *freed = &of->freed[class];
	uint64_t low = class_low(class), high = 1ULL << class;
	double freed_low, freed_high;

	heap_sum_interval(freed, &freed_low, &freed_high);
	{
		const void *row[] = { &of->pid,      &low,          &high,
				      &freed->count, &freed->bytes, &of->censored[class],
				      &of->tid,      &freed_low,    &freed_high };

		return freed->count > 0 || of->censored[class] > 0
			       ? tables_add(&heap->tier->memory->tables, TABLE_HEAP_LIFETIMES, row)
			       : PFC_OK;
	}
}

static int32_t write_histograms(struct heap *heap)
{
	int32_t rc = PFC_OK;

	for (uint32_t i = 0; i < heap->model.histogram_count * HEAP_CLASSES && rc == PFC_OK; i++) {
		rc = write_size(heap, &heap->model.histograms[i / HEAP_CLASSES], i % HEAP_CLASSES);
	}
	for (uint32_t i = 0; i < heap->model.histogram_count * HEAP_CLASSES && rc == PFC_OK; i++) {
		rc = write_lifetime(heap, &heap->model.histograms[i / HEAP_CLASSES], i % HEAP_CLASSES);
	}
	return rc;
}

static int32_t write_threads(struct heap *heap)
{
	int32_t rc = PFC_OK;

	for (uint32_t i = 0; i < heap->model.thread_count && rc == PFC_OK; i++) {
		const struct heap_thread *thread = &heap->model.threads[i];
		double live = heap->has_gap ? NAN : thread->live_bytes, low, high;

		heap_sum_interval(&thread->allocated, &low, &high);
		widen(heap, &low, &high);
		{
			const void *row[] = { &thread->pid,
					      &thread->tid,
					      &thread->allocated.count,
					      &thread->allocated.bytes,
					      &live,
					      &low,
					      &high };

			rc = tables_add(&heap->tier->memory->tables, TABLE_HEAP_THREADS, row);
		}
	}
	return rc;
}

int32_t heap_write_end(struct heap *heap, struct heap_evidence *evidence)
{
	int32_t rc = write_sites(heap, evidence);

	heap_histogram_censor(&heap->model, heap->t1_ns);
	rc = rc == PFC_OK ? write_histograms(heap) : rc;
	return rc == PFC_OK ? write_threads(heap) : rc;
}

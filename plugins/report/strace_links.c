/* SPDX-License-Identifier: MIT */
/* What joins the tables of strace to its stacks: a sample is found by its time and its thread. */
#include "strace.h"

#include <string.h>

#include <profcore/status.h>

static int read_one(struct strace_sampled *to, const struct pfc_reader *reader)
{
	struct profile_options options = { .seed = 1 };
	int status = to->profile ? PFC_OK : profile_read(reader, &options, &to->profile);

	if (status == PFC_ENOENT) {
		return PFC_OK;
	}
	return status == PFC_OK && !to->samples.rows
		       ? sampled_read(&to->samples, reader, to->profile->stack_count)
		       : status;
}

int strace_links_read(struct strace_links *links, const struct pfc_host *host, const char *producer)
{
	uint32_t count = host->input_count(host->ctx, "offcpu");
	int status = PFC_OK;

	for (uint32_t i = 0; i < count && status == PFC_OK; i++) {
		struct pfc_artifact about = { .struct_size = sizeof(about) };
		const struct pfc_reader *reader;

		if (host->input(host->ctx, "offcpu", i, &reader) != PFC_OK ||
		    reader->describe(reader->ctx, &about) != PFC_OK ||
		    strcmp(about.producer, producer) != 0 || !about.signal) {
			continue;
		}
		if (strcmp(about.signal, "off-cpu") == 0) {
			status = read_one(&links->off_cpu, reader);
		} else if (strcmp(about.signal, "wakers") == 0) {
			status = read_one(&links->wakers, reader);
		} else if (strcmp(about.signal, "slow-calls") == 0) {
			status = read_one(&links->slow, reader);
		}
	}
	return status;
}

static void finish_one(struct strace_sampled *sampled)
{
	if (sampled->profile) {
		profile_destroy(sampled->profile);
	}
	sampled_finish(&sampled->samples);
}

void strace_links_finish(struct strace_links *links)
{
	finish_one(&links->off_cpu);
	finish_one(&links->wakers);
	finish_one(&links->slow);
}

uint32_t strace_stack_at(const struct strace_sampled *from, uint64_t time_ns, int32_t tid)
{
	return sampled_at(&from->samples, time_ns, tid);
}

static unsigned add_kind(const struct profile *profile, uint32_t stack, enum profile_kind kind, unsigned most,
			 struct text *to)
{
	unsigned count = 0;

	for (; stack && count < most; stack = profile->parent[stack]) {
		uint32_t location = profile->stack_location[stack];

		for (uint32_t i = profile->frame_first[location];
		     i < profile->frame_first[location + 1] && count < most; i++) {
			uint32_t function = profile->frames[i].function;

			if (profile->functions[function].kind == kind) {
				text_add(to, count++ ? " < " : "");
				text_cut(to, profile_function_name(profile, function), 48);
			}
		}
	}
	return count;
}

unsigned strace_add_way(const struct strace_sampled *from, uint32_t stack, unsigned most, struct text *to)
{
	unsigned count = 0;

	if (!from->profile || stack == 0) {
		return 0;
	}
	count = add_kind(from->profile, stack, PROFILE_APP, most, to);
	if (count == 0) {
		count = add_kind(from->profile, stack, PROFILE_LIBRARY, most, to);
	}
	return count ? count : add_kind(from->profile, stack, PROFILE_KERNEL, most, to);
}

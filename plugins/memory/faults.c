/* SPDX-License-Identifier: MIT */
/*
 * Page-fault stacks: memory grows where it is first touched, whoever allocated it and however. The kernel samples its own page-fault
 * event, and each sample is weighted by the faults that it stands for times the size of the page that came. What kind of page it
 * was, and whether it is still there at the end, is asked of the process (pages.c): so growth is told apart from memory that went
 * again, and anonymous memory from pages of files.
 *
 * The kernel adapts the period to a frequency, which it counts while a thread runs; but faults come in bursts (64 MiB that grew in
 * twenty bursts gave 10 samples at 199 Hz). So the frequency is high where few samples came in the last second, and falls as soon as more
 * came than fault_rate allows: a slow leak is seen fault by fault, and a program that does nothing but fault costs what was said.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listen.h"
#include "pages.h"
#include "processes.h"
#include "tier.h"

#define RING_BYTES (8u << 20)
#define TICK_NS    100000000ull
/* A sample is dated before its record is published. */
#define IN_FLIGHT_NS 20000000ull
/* Samples kept in memory for the look at the end: 56 bytes each. */
#define SEEN_MAX    (4u << 20)
#define STACK_BYTES 32768u /* a server with its buffers on the stack uses more than 16 KiB */
#define HZ_FIRST    4000.0
#define HZ_MAX      20000.0
/* So many samples at once do no harm. */
#define BURST   64
#define STEP_NS 1000000000ull

enum kept { KEPT_NO = 0, KEPT_YES = 1, KEPT_UNKNOWN = 2 };

struct seen {
	uint64_t time_ns, address, period, bytes, page_bytes;
	int32_t pid, tid;
	uint8_t kind, kept;
};

struct session {
	const char *port;
	struct pfc_stacks_session *session;
	uint64_t samples, bytes;
};

enum { ANON, OF_FILE, SESSIONS };

struct faults {
	struct listen listen;
	struct pages pages;
	const struct pfc_stacks *stacks;
	struct session sessions[SESSIONS];
	uint64_t due_ns;
	bool is_all;         /* every fault */
	double hz;           /* that the events have now */
	double rate, hz_min; /* samples a second that are aimed at: on all CPUs, on one */
	uint64_t step_ns, step_samples, changes;
	struct seen *seen;
	size_t seen_count, seen_room, seen_dropped;
	uint64_t period_sum, zero, gone;
	uint32_t failed_drains;
};

static int32_t faults_create(struct memory *memory, void **ret_self)
{
	struct faults *self = calloc(1, sizeof(*self));
	const struct pfc_host *host = memory->host;

	if (!self) {
		return host->fail(host->ctx, PFC_ENOMEM, "create memory", "out of memory", NULL);
	}
	self->listen.host = host;
	self->is_all = strcmp(pfc_option_text(host, "faults", "auto"), "all") == 0;
	self->hz_min = (double)pfc_option_int(host, "fault_rate", 250);
	self->hz = self->hz_min > HZ_FIRST ? self->hz_min : HZ_FIRST;
	self->sessions[ANON].port = "faults";
	self->sessions[OF_FILE].port = "file_faults";
	pages_open(&self->pages);
	*ret_self = self;
	return PFC_OK;
}

static int choose(struct faults *self, bool copies, struct perf_refusal *refusal)
{
	struct perf_event_wish wish = { .name = "page-faults",
					.frequency_hz = (uint64_t)self->hz,
					.max_stack = 127,
					.callchain = true,
					.kernel = true, /* read(2) into fresh memory faults there */
					.user = true,
					.user_stack_bytes = copies ? STACK_BYTES : 0,
					.more_fields = PERF_SAMPLE_ADDR };
	int rc = listen_choose(&self->listen, &wish, refusal);

	if (rc == 0 && self->is_all) {
		self->listen.events[0].period = 1;
	}
	return rc;
}

static void plan_faults(struct tier *tier)
{
	const struct faults *self = tier->self;
	const struct perf_event *event = &self->listen.events[0];
	char what[300], cost[120];

	snprintf(what, sizeof(what),
		 "stacks of page faults, by %s%s: which function grew anonymous memory, which brought in "
		 "pages of files",
		 event->user_stack_bytes ? "copies of the stack" : "frame pointers",
		 event->kernel
			 ? ""
			 : "; not those in the kernel (read into fresh memory), which needs CAP_PERFMON");
	if (self->is_all) {
		snprintf(cost, sizeof(cost), "some 10 us for each page fault");
	} else {
		snprintf(cost, sizeof(cost),
			 "some 10 us for each of at most %.0f samples a second and CPU, %.2g %%; less where "
			 "few faults are",
			 self->hz_min, self->hz_min / 1e3);
	}
	plan_sees(&tier->memory->plan, what, cost);
	if (self->pages.huge_bytes && !self->pages.has_scan) {
		plan_lacks(&tier->memory->plan, "which page faults brought in huge pages",
			   "this kernel cannot tell (Linux 6.7 can)", NULL);
	}
}

static int32_t faults_probe(struct tier *tier)
{
	struct faults *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	struct perf_refusal refusal;
	char why[500];
	int rc;

	if (strcmp(pfc_option_text(host, "faults", "auto"), "no") == 0) {
		return tier_off(tier, "page-fault stacks", "faults = no leaves them out", NULL);
	}
	self->stacks = host->extension(host->ctx, PFC_EXT_STACKS);
	if (!self->stacks) {
		return tier_off(tier, "page-fault stacks", "this host has no " PFC_EXT_STACKS,
				"a newer profcore");
	}
	rc = choose(self, PERF_USER_REGS != 0 && PFC_HAS(self->stacks, stack_use), &refusal);
	if (rc == PFC_ENOTSUP) {
		rc = choose(self, false, &refusal);
	}
	rc = rc ? rc : listen_probe(&self->listen, &refusal);
	if (rc != 0) {
		snprintf(why, sizeof(why), "%s: %s", refusal.what, refusal.why);
		return tier_off(tier, "page-fault stacks", why, refusal.hint[0] ? refusal.hint : NULL);
	}
	plan_faults(tier);
	return PFC_OK;
}

static int32_t see(struct faults *self, const struct perf_record_sample *sample, enum mapping_kind kind,
		   uint64_t page_bytes, uint64_t bytes)
{
	if (self->seen_count == self->seen_room) {
		size_t room = self->seen_room ? 2 * self->seen_room : 4096;
		struct seen *grown = room <= SEEN_MAX ? realloc(self->seen, room * sizeof(*grown)) : NULL;

		if (!grown) {
			self->seen_dropped++;
			return PFC_OK;
		}
		self->seen = grown;
		self->seen_room = room;
	}
	self->seen[self->seen_count++] = (struct seen){ .time_ns = sample->time_ns,
							.address = sample->addr,
							.period = sample->period,
							.bytes = bytes,
							.page_bytes = page_bytes,
							.pid = sample->pid,
							.tid = sample->tid,
							.kind = (uint8_t)kind,
							.kept = KEPT_UNKNOWN };
	return PFC_OK;
}

/* The descriptor of a process may be of the address space before its exec. */
static enum page_state look(struct faults *self, const struct perf_record_sample *sample, uint64_t *ret_bytes)
{
	enum page_state state = pages_look(&self->pages, sample->pid, sample->addr, ret_bytes);

	if (state == PAGE_UNKNOWN || state == PAGE_GONE) {
		pages_forget(&self->pages, sample->pid);
		state = pages_look(&self->pages, sample->pid, sample->addr, ret_bytes);
	}
	return state;
}

static int32_t take(void *ctx, uint32_t event, const struct perf_record_sample *sample,
		    struct pfc_stack_sample *out)
{
	struct faults *self = ctx;
	struct session *session = &self->sessions[ANON];
	enum mapping_kind kind = MAPPING_ANON;
	uint64_t page_bytes, bytes;
	enum page_state state;

	(void)event;
	self->period_sum += sample->period;
	state = look(self, sample, &page_bytes);
	bytes = sample->period * page_bytes;
	if (state == PAGE_ZERO) { /* nothing grew */
		self->zero++;
		return PFC_OK;
	}
	if (state == PAGE_FILE) {
		session = &self->sessions[OF_FILE];
		kind = MAPPING_FILE_DATA;
		bytes = sample->period * page_bytes * pages_around(&self->pages, sample->pid, sample->addr);
	} else if (
		state !=
		PAGE_ANON) { /* so soon: what it was is not known, and what is short-lived is mostly anonymous */
		self->gone++;
		kind = MAPPING_OTHER;
	}
	out->weight = bytes;
	session->samples++;
	session->bytes += bytes;
	(void)see(self, sample, kind, page_bytes, bytes);
	return self->stacks->add(session->session, out);
}

static int32_t open_session(struct tier *tier, struct session *session)
{
	struct faults *self = tier->self;
	struct pfc_stacks_config config = { .struct_size = sizeof(config),
					    .port = session->port,
					    .event = "page-faults",
					    .weight_unit = "bytes" };
	int32_t rc = self->stacks->open(self->stacks->ctx, &config, &session->session);

	return rc == PFC_OK ? PFC_OK
			    : tier_host(tier)->fail(tier_host(tier)->ctx, rc, "open the stack service",
						    "it could not begin its output", NULL);
}

static int32_t faults_prepare(struct tier *tier)
{
	struct faults *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	struct perf_refusal refusal;
	int32_t rc = PFC_OK;

	self->listen.take = take;
	self->listen.take_ctx = self;
	if (listen_open(&self->listen, RING_BYTES, &refusal) != 0) {
		return host->fail(host->ctx, refusal.status, refusal.what, refusal.why,
				  refusal.hint[0] ? refusal.hint
						  : "faults = no leaves page-fault stacks out");
	}
	for (int i = 0; i < SESSIONS && rc == PFC_OK; i++) {
		rc = open_session(tier, &self->sessions[i]);
	}
	return rc;
}

static int32_t faults_start(struct tier *tier, uint64_t t0_ns)
{
	struct faults *self = tier->self;

	self->due_ns = t0_ns;
	self->step_ns = tier_host(tier)->now(tier_host(tier)->ctx);
	self->rate = self->hz_min * self->listen.ring_count;
	listen_enable(&self->listen);
	return PFC_OK;
}

static int faults_fd(struct tier *tier, uint32_t index)
{
	return listen_fd(&((struct faults *)tier->self)->listen, index);
}

static void set_frequency(struct faults *self, double hz, uint64_t now_ns)
{
	hz = hz > HZ_MAX ? HZ_MAX : hz;
	hz = hz < self->hz_min ? self->hz_min : hz;
	self->step_ns = now_ns;
	self->step_samples = self->sessions[ANON].samples + self->sessions[OF_FILE].samples;
	if (hz != self->hz) {
		self->hz = hz;
		self->changes++;
		listen_set_frequency(&self->listen, (uint64_t)hz);
	}
}

/* Down at once where too many came, up step by step where few did. */
static void adapt(struct faults *self, uint64_t now_ns)
{
	double samples =
		(double)(self->sessions[ANON].samples + self->sessions[OF_FILE].samples - self->step_samples);
	double seconds = (double)(now_ns - self->step_ns) / 1e9;
	double aim = self->rate * (seconds > 0.1 ? seconds : 0.1);

	if (self->is_all) {
		return;
	}
	if (samples > BURST && samples > 2 * aim) {
		set_frequency(self, self->hz * aim / samples, now_ns);
	} else if (now_ns - self->step_ns >= STEP_NS) {
		set_frequency(self, samples < aim / 4 ? self->hz * 2 : self->hz, now_ns);
	}
}

static int32_t faults_tick(struct tier *tier, uint64_t now_ns)
{
	struct faults *self = tier->self;
	int32_t rc = listen_drain(&self->listen, now_ns);

	adapt(self, now_ns);
	for (int i = 0; now_ns >= self->due_ns && i < SESSIONS && rc == PFC_OK; i++) {
		rc = self->stacks->tick(self->sessions[i].session, now_ns - IN_FLIGHT_NS);
	}
	if (now_ns >= self->due_ns) {
		self->due_ns = now_ns + TICK_NS;
		tier_host(tier)->metric(
			tier_host(tier)->ctx, "faults",
			(double)(self->sessions[ANON].samples + self->sessions[OF_FILE].samples));
	}
	return rc;
}

static uint64_t faults_due(struct tier *tier)
{
	return ((struct faults *)tier->self)->due_ns;
}

static int by_page(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->pid != y->pid) {
		return x->pid < y->pid ? -1 : 1;
	}
	if (x->address / 4096 != y->address / 4096) {
		return x->address < y->address ? -1 : 1;
	}
	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/* Which pages are there at the end. One that came twice went in between: its last coming counts. */
static void look_at_end(struct faults *self)
{
	uint64_t bytes;

	qsort(self->seen, self->seen_count, sizeof(*self->seen), by_page);
	for (size_t i = 0; i < self->seen_count; i++) {
		struct seen *seen = &self->seen[i];
		const struct seen *next = i + 1 < self->seen_count ? seen + 1 : NULL;
		enum page_state state;

		if (next && next->pid == seen->pid && next->address / 4096 == seen->address / 4096) {
			seen->kept = KEPT_NO;
			continue;
		}
		state = pages_look(&self->pages, seen->pid, seen->address, &bytes);
		seen->kept = state == PAGE_ANON || state == PAGE_FILE ? KEPT_YES : KEPT_NO;
	}
}

static int32_t faults_stop(struct tier *tier, uint64_t t1_ns)
{
	struct faults *self = tier->self;
	int32_t rc;

	(void)t1_ns;
	listen_disable(&self->listen);
	rc = listen_drain(&self->listen, 0);
	look_at_end(self);
	return rc;
}

static int32_t write_seen(struct tier *tier)
{
	struct faults *self = tier->self;
	int32_t rc = PFC_OK;

	for (size_t i = 0; i < self->seen_count && rc == PFC_OK; i++) {
		const struct seen *seen = &self->seen[i];
		const void *row[] = { &seen->time_ns, &seen->pid,    &seen->tid,   &seen->address,
				      &seen->kind,    &seen->period, &seen->bytes, &seen->kept };

		rc = tables_add(&tier->memory->tables, TABLE_FAULTS, row);
	}
	return rc;
}

static int32_t finish_session(struct tier *tier, struct session *session, const char *nothing, uint64_t lost)
{
	struct faults *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	const struct pfc_writer *to;
	int32_t rc = self->stacks->finish(session->session);

	if (rc == PFC_ENODATA) {
		tier_absent(tier->memory, session->port, nothing);
		return PFC_OK;
	}
	if (rc == PFC_OK && host->output(host->ctx, session->port, &to) == PFC_OK) {
		to->fact_text(to->ctx, "call_graph",
			      self->listen.events[0].user_stack_bytes ? "dwarf" : "fp");
		to->fact_text(to->ctx, "code", self->listen.events[0].kernel ? "user and kernel" : "user");
		to->fact_number(to->ctx, "frequency_hz", self->is_all ? 0 : self->hz);
		to->fact_number(to->ctx, "frequency_changes", (double)self->changes);
		to->fact_number(to->ctx, "throttled", (double)self->listen.throttled);
		to->fact_number(to->ctx, "lost", (double)lost);
	}
	return rc;
}

static int32_t faults_finish(struct tier *tier)
{
	struct faults *self = tier->self;
	const struct pfc_host *host = tier_host(tier);
	const struct pfc_writer *to = tier->memory->tables.writer;
	uint64_t counted, lost;
	int32_t rc;

	listen_count(&self->listen, &counted, &lost);
	if (lost) {
		host->loss(host->ctx, "faults", "ring_full", lost);
	}
	if (self->listen.garbled) {
		host->loss(host->ctx, "faults", "garbled", self->listen.garbled);
	}
	if (self->seen_dropped) {
		host->loss(host->ctx, "timeline", "faults_not_kept", self->seen_dropped);
	}
	to->fact_number(to->ctx, "faults.counted", (double)counted);
	to->fact_number(to->ctx, "faults.seen_pct",
			counted ? 100.0 * (double)self->period_sum / (double)counted : 0);
	to->fact_number(to->ctx, "faults.samples",
			(double)(self->sessions[ANON].samples + self->sessions[OF_FILE].samples));
	to->fact_number(to->ctx, "faults.anonymous_bytes", (double)self->sessions[ANON].bytes);
	to->fact_number(to->ctx, "faults.file_bytes", (double)self->sessions[OF_FILE].bytes);
	to->fact_number(to->ctx, "faults.kind_unknown", (double)self->gone);
	to->fact_number(to->ctx, "faults.zero_page", (double)self->zero);
	rc = write_seen(tier);
	rc = rc ? rc
		: finish_session(tier, &self->sessions[ANON],
				 "no anonymous memory came in by a page fault in the window", lost);
	return rc ? rc
		  : finish_session(tier, &self->sessions[OF_FILE],
				   "no page of a file came in by a page fault in the window", lost);
}

static void faults_destroy(struct tier *tier)
{
	struct faults *self = tier->self;

	if (!self) {
		return;
	}
	for (int i = 0; i < SESSIONS; i++) {
		if (self->sessions[i].session) {
			self->stacks->close(self->sessions[i].session);
		}
	}
	listen_close(&self->listen);
	pages_close(&self->pages);
	free(self->seen);
	free(self);
}

static const char *const ports[] = { "faults", "file_faults", NULL };

const struct tier_calls tier_faults = {
	.name = "faults",
	.create = faults_create,
	.probe = faults_probe,
	.prepare = faults_prepare,
	.start = faults_start,
	.fd = faults_fd,
	.tick = faults_tick,
	.due = faults_due,
	.stop = faults_stop,
	.finish = faults_finish,
	.destroy = faults_destroy,
	.ports = ports,
};

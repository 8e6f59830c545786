/* SPDX-License-Identifier: MIT */
/* Records of the ring: stacks, slow calls, books of threads that ended. The bytes come from our own programs. */
#include <string.h>

#include "bpf_state.h"
#include "fds.h"
#include "names.h"

void bpf_key(uint32_t key, uint32_t *ret_abi, int32_t *ret_nr)
{
	bool is_compat = key >= KEY_COMPAT;

	key -= is_compat ? KEY_COMPAT : 0;
	*ret_abi = is_compat ? ABI_I386 : ABI_NATIVE;
	*ret_nr = key < KEY_CALLS ? (int32_t)key : NR_UNKNOWN;
}

static bool make_sample(const struct stack_record *record, size_t bytes, struct pfc_stack_sample *sample)
{
	if (record->stack_bytes > bytes - sizeof(*record) || record->kernel_count > KERNEL_IPS) {
		return false;
	}
	memset(sample, 0, sizeof(*sample));
	sample->struct_size = sizeof(*sample);
	sample->pid = (int32_t)record->tgid;
	sample->tid = (int32_t)record->tid;
	sample->cpu = -1;
	sample->kernel_ips = record->kernel_ips;
	sample->kernel_ip_count = record->kernel_count;
	if (record->stack_bytes && !record->is_compat) {
		sample->regs_mask = REGS_MASK;
		sample->regs = record->regs;
		sample->stack = record + 1;
		sample->stack_bytes = record->stack_bytes;
	} else {
		sample->user_ips = &record->regs[REG_IP];
		sample->user_ip_count = record->regs[REG_IP] != 0;
		sample->flags = PFC_STACK_USER_TRUNCATED;
	}
	return true;
}

/* Registers of a thread that sleeps in a call still hold its arguments. */
static uint64_t lock_of(const struct stack_record *record, const struct long_wait *wait)
{
	char name[NAME_ROOM];

	if (wait->cause != WAIT_SYSCALL ||
	    strcmp(syscall_name(wait->abi, wait->nr, name, sizeof(name)), "futex") != 0) {
		return 0;
	}
	return wait->abi == ABI_I386 ? record->regs[REG_BX] : record->regs[REG_DI];
}

static int keep_wait(struct bpf_state *state, const struct stack_record *record, uint64_t time_ns)
{
	struct long_wait wait = { .time_ns = time_ns,
				  .blocked_ns = record->blocked_ns,
				  .runnable_ns = record->runnable_ns,
				  .woken_ns = record->woken_ns,
				  .pid = (int32_t)record->tgid,
				  .tid = (int32_t)record->tid,
				  .cause = record->cause < WAIT_CAUSES ? (enum wait_cause)record->cause
								       : WAIT_OTHER,
				  .waker_pid = record->waker_tid > 0 ? record->waker_tgid : 0,
				  .waker_tid = record->waker_tid };

	bpf_key(record->key, &wait.abi, &wait.nr);
	wait.lock = lock_of(record, &wait);
	if (record->waker_tid > 0) {
		memcpy(wait.waker, record->waker, sizeof(wait.waker));
	}
	return tracer_long_wait(state->tracer, &wait);
}

static int take_stack(struct bpf_state *state, const struct stack_record *record, size_t bytes)
{
	struct pfc_stack_sample sample;
	int rc = PFC_OK;

	if (!make_sample(record, bytes, &sample)) {
		return PFC_OK;
	}
	if (record->blocked_ns + record->runnable_ns) {
		/* A wait that lasts is of the window: what looks at it must not find it after its end. */
		sample.time_ns = record->is_last && state->t1_ns ? state->t1_ns : record->time_ns;
		sample.weight = record->blocked_ns + record->runnable_ns;
		rc = tracer_stack(state->tracer, STACKS_OFF_CPU, &sample);
		rc = rc == PFC_OK ? keep_wait(state, record, sample.time_ns) : rc;
	}
	if (rc == PFC_OK && record->call_end_ns) {
		sample.time_ns = record->call_end_ns;
		sample.weight = record->call_ns;
		rc = tracer_stack(state->tracer, STACKS_SLOW, &sample);
	}
	return rc;
}

static int take_waker(struct bpf_state *state, const struct stack_record *record, size_t bytes)
{
	struct pfc_stack_sample sample;

	if (!make_sample(record, bytes, &sample)) {
		return PFC_OK;
	}
	if (record->stack_bytes == 0) { /* a thread of the kernel's, or no process of the target */
		sample.user_ip_count = 0;
	}
	sample.time_ns = record->time_ns;
	sample.weight = record->blocked_ns;
	return tracer_stack(state->tracer, STACKS_WAKERS, &sample);
}

static int take_call(struct bpf_state *state, const struct call_record *record)
{
	char name[FDS_NAME_BYTES * 3];
	struct slow_call call;

	memset(&call, 0, sizeof(call));
	call.time_ns = record->time_ns;
	call.duration_ns = record->duration_ns;
	call.blocked_ns = record->blocked_ns;
	call.runnable_ns = record->runnable_ns;
	call.pid = (int32_t)record->tgid;
	call.tid = (int32_t)record->tid;
	bpf_key(record->key, &call.abi, &call.nr);
	call.result = record->result;
	memcpy(call.args, record->args, sizeof(call.args));
	call.waker_tid = record->waker_tid;
	memcpy(call.waker, record->waker, sizeof(call.waker));
	if (record->text_bytes && record->text_bytes <= TEXT_BYTES) {
		call.text = record->text;
		call.text_bytes = record->text_bytes;
		call.text_arg = record->text_arg;
	}
	if (bpf_use_name(state, &record->use, name, sizeof(name))) {
		call.fd_text = name;
	}
	return tracer_slow_call(state->tracer, &call);
}

int bpf_keep_book(struct bpf_state *state, const struct slot *slot, uint64_t end_ns, bool ended)
{
	struct thread *thread;
	uint64_t start_ns = slot->start_ns > state->from_ns ? slot->start_ns : state->from_ns;

	if (slot->is_held || end_ns < start_ns) {
		return PFC_OK;
	}
	thread = account_thread(state->tracer->account, (int32_t)slot->tgid, (int32_t)slot->tid);
	if (!thread) {
		return PFC_ENOMEM;
	}
	memcpy(thread->comm, slot->comm, sizeof(thread->comm));
	thread->ended = ended;
	thread->is_complete = true;
	thread->start_ns = start_ns;
	thread->end_ns = end_ns;
	thread->on_cpu_ns = slot->on_cpu_ns;
	for (size_t i = 0; i < WAIT_CAUSES; i++) {
		thread->wait_ns[i] = slot->wait_ns[i];
	}
	thread->kernel_cpu_ns = slot->exec_ns > slot->start_exec_ns ? slot->exec_ns - slot->start_exec_ns : 0;
	thread->switches = slot->switches;
	thread->calls = slot->calls;
	return PFC_OK;
}

int bpf_take_record(struct bpf_state *state, const void *data, size_t bytes)
{
	const uint32_t *kind = data;
	const struct book_record *book = data;

	state->records++;
	if (bytes >= sizeof(struct stack_record) && *kind == RECORD_STACK) {
		return take_stack(state, data, bytes);
	}
	if (bytes >= sizeof(struct stack_record) && *kind == RECORD_WAKER) {
		return take_waker(state, data, bytes);
	}
	if (bytes >= sizeof(struct call_record) && *kind == RECORD_CALL) {
		return take_call(state, data);
	}
	if (bytes >= sizeof(struct book_record) && *kind == RECORD_BOOK) {
		return bpf_keep_book(state, &book->slot, book->end_ns, true);
	}
	return PFC_OK;
}

/* SPDX-License-Identifier: MIT */
/* The accounts: see account.h. Records are allocated one by one, so that pointers to them hold; one hash finds them all. */
#include "account.h"

#include <stdlib.h>
#include <string.h>

enum kind {
	KIND_CELL,
	KIND_WAIT,
	KIND_THREAD,
	KIND_NAME,
	KIND_FILE,
	KIND_RING,
	KINDS,
};

struct name {
	int32_t pid;
	char comm[COMM_BYTES];
};

/* One kind of records: an array of pointers in the order of their making. */
struct list {
	void **items;
	size_t count;
	size_t room;
};

/* Open addressing; value 0 is an empty place, else the record's number + 1. */
struct place {
	uint64_t key[2];
	uint32_t value;
};

struct account {
	struct list lists[KINDS];
	struct place *places;
	size_t place_count; /* a power of two */
	size_t used;
};

#define PLACES_FIRST 1024

static size_t hash(const uint64_t key[2])
{
	uint64_t mixed =
		(key[0] * 0x9e3779b97f4a7c15ull) ^ (key[1] + 0x7f4a7c159e3779b9ull) * 0xc2b2ae3d27d4eb4full;

	return (size_t)(mixed ^ mixed >> 29 ^ mixed >> 47);
}

static struct place *find(struct place *places, size_t count, const uint64_t key[2])
{
	size_t at = hash(key) & (count - 1);

	while (places[at].value && (places[at].key[0] != key[0] || places[at].key[1] != key[1])) {
		at = (at + 1) & (count - 1);
	}
	return &places[at];
}

static bool grow(struct account *account)
{
	size_t count = account->place_count * 2;
	struct place *places = calloc(count, sizeof(*places));

	if (!places) {
		return false;
	}
	for (size_t i = 0; i < account->place_count; i++) {
		if (account->places[i].value) {
			*find(places, count, account->places[i].key) = account->places[i];
		}
	}
	free(account->places);
	account->places = places;
	account->place_count = count;
	return true;
}

/* A new record, zero-filled, at the list's end; NULL without memory. */
static void *append(struct list *list, size_t bytes)
{
	void *item;

	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		void **items = reallocarray(list->items, room, sizeof(*items));

		if (!items) {
			return NULL;
		}
		list->items = items;
		list->room = room;
	}
	item = calloc(1, bytes);
	if (item) {
		list->items[list->count++] = item;
	}
	return item;
}

/* The record of a key, made when it is new; NULL without memory. */
static void *obtain(struct account *account, enum kind kind, const uint64_t key[2], size_t bytes,
		    bool *ret_is_new)
{
	struct list *list = &account->lists[kind];
	struct place *place;
	void *item;

	*ret_is_new = false;
	if (account->used * 2 >= account->place_count && !grow(account)) {
		return NULL;
	}
	place = find(account->places, account->place_count, key);
	if (place->value) {
		return list->items[place->value - 1];
	}
	item = append(list, bytes);
	if (item) {
		place->key[0] = key[0];
		place->key[1] = key[1];
		place->value = (uint32_t)list->count;
		account->used++;
		*ret_is_new = true;
	}
	return item;
}

static void make_key(uint64_t key[2], enum kind kind, int32_t id, uint32_t second, int32_t third)
{
	key[0] = (uint64_t)kind << 32 | (uint32_t)id;
	key[1] = (uint64_t)second << 32 | (uint32_t)third;
}

struct account *account_create(void)
{
	struct account *account = calloc(1, sizeof(*account));

	if (!account) {
		return NULL;
	}
	account->places = calloc(PLACES_FIRST, sizeof(*account->places));
	if (!account->places) {
		free(account);
		return NULL;
	}
	account->place_count = PLACES_FIRST;
	return account;
}

void account_destroy(struct account *account)
{
	if (!account) {
		return;
	}
	for (size_t i = 0; i < account->lists[KIND_FILE].count; i++) {
		free(((struct file_use *)account->lists[KIND_FILE].items[i])->name);
	}
	for (size_t kind = 0; kind < KINDS; kind++) {
		for (size_t i = 0; i < account->lists[kind].count; i++) {
			free(account->lists[kind].items[i]);
		}
		free(account->lists[kind].items);
	}
	free(account->places);
	free(account);
}

struct cell *account_cell(struct account *account, int32_t pid, uint32_t abi, int32_t nr)
{
	uint64_t key[2];
	struct cell *cell;
	bool is_new;

	make_key(key, KIND_CELL, pid, abi, nr);
	cell = obtain(account, KIND_CELL, key, sizeof(*cell), &is_new);
	if (cell && is_new) {
		cell->pid = pid;
		cell->abi = abi;
		cell->nr = nr;
	}
	return cell;
}

struct wait *account_wait(struct account *account, int32_t pid, enum wait_cause cause)
{
	uint64_t key[2];
	struct wait *wait;
	bool is_new;

	make_key(key, KIND_WAIT, pid, cause, 0);
	wait = obtain(account, KIND_WAIT, key, sizeof(*wait), &is_new);
	if (wait && is_new) {
		wait->pid = pid;
		wait->cause = cause;
	}
	return wait;
}

struct thread *account_thread(struct account *account, int32_t pid, int32_t tid)
{
	uint64_t key[2];
	struct thread *thread;
	bool is_new;

	make_key(key, KIND_THREAD, tid, 0, 0);
	thread = obtain(account, KIND_THREAD, key, sizeof(*thread), &is_new);
	if (thread && !is_new &&
	    thread->ended) { /* the id was given again: the old book stays in the list alone */
		thread = append(&account->lists[KIND_THREAD], sizeof(*thread));
		is_new = thread != NULL;
		if (thread) {
			find(account->places, account->place_count, key)->value =
				(uint32_t)account->lists[KIND_THREAD].count;
		}
	}
	if (thread && is_new) {
		thread->pid = pid;
		thread->tid = tid;
	}
	return thread;
}

void account_thread_end(struct account *account, int32_t tid, uint64_t end_ns)
{
	uint64_t key[2];
	struct place *place;

	make_key(key, KIND_THREAD, tid, 0, 0);
	place = find(account->places, account->place_count, key);
	if (place->value) {
		struct thread *thread = account->lists[KIND_THREAD].items[place->value - 1];

		thread->ended = true;
		thread->end_ns = end_ns;
	}
}

bool account_name(struct account *account, int32_t pid, const char *comm)
{
	uint64_t key[2];
	struct name *name;
	bool is_new;

	make_key(key, KIND_NAME, pid, 0, 0);
	name = obtain(account, KIND_NAME, key, sizeof(*name), &is_new);
	if (!name) {
		return false;
	}
	name->pid = pid;
	if (comm[0]) {
		memset(name->comm, 0, sizeof(name->comm));
		memcpy(name->comm, comm, strnlen(comm, sizeof(name->comm) - 1));
	}
	return true;
}

const char *account_name_of(const struct account *account, int32_t pid)
{
	uint64_t key[2];
	const struct place *place;

	make_key(key, KIND_NAME, pid, 0, 0);
	place = find(account->places, account->place_count, key);
	return place->value ? ((struct name *)account->lists[KIND_NAME].items[place->value - 1])->comm : "";
}

/* FNV-1a: two names of one process that meet in 64 bits would fall together, once in some 10^9 runs. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *text; text++) {
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	}
	return hash;
}

struct file_use *account_file(struct account *account, int32_t pid, const char *name)
{
	uint64_t key[2];
	struct file_use *use;
	bool is_new;

	make_key(key, KIND_FILE, pid, 0, 0);
	key[1] = hash_text(name);
	if (account->lists[KIND_FILE].count >= FILES_MAX &&
	    !find(account->places, account->place_count, key)->value) {
		name = "(others)"; /* made once more than the limit allows */
		pid = 0;
		make_key(key, KIND_FILE, pid, 0, 0);
		key[1] = hash_text(name);
	}
	use = obtain(account, KIND_FILE, key, sizeof(*use), &is_new);
	if (use && is_new) {
		use->pid = pid;
		use->name = strdup(name);
	}
	return use && use->name ? use : NULL;
}

size_t account_cells(const struct account *account, const struct cell *const **ret)
{
	*ret = (const struct cell *const *)account->lists[KIND_CELL].items;
	return account->lists[KIND_CELL].count;
}

size_t account_waits(const struct account *account, const struct wait *const **ret)
{
	*ret = (const struct wait *const *)account->lists[KIND_WAIT].items;
	return account->lists[KIND_WAIT].count;
}

size_t account_files(const struct account *account, const struct file_use *const **ret)
{
	*ret = (const struct file_use *const *)account->lists[KIND_FILE].items;
	return account->lists[KIND_FILE].count;
}

size_t account_threads(const struct account *account, const struct thread *const **ret)
{
	*ret = (const struct thread *const *)account->lists[KIND_THREAD].items;
	return account->lists[KIND_THREAD].count;
}

struct ring_use *account_ring(struct account *account, int32_t pid, uint32_t operation)
{
	uint64_t key[2];
	struct ring_use *use;
	bool is_new;

	make_key(key, KIND_RING, pid, operation, 0);
	use = obtain(account, KIND_RING, key, sizeof(*use), &is_new);
	if (use && is_new) {
		use->pid = pid;
		use->operation = operation;
	}
	return use;
}

size_t account_rings(const struct account *account, const struct ring_use *const **ret)
{
	*ret = (const struct ring_use *const *)account->lists[KIND_RING].items;
	return account->lists[KIND_RING].count;
}

/* SPDX-License-Identifier: MIT */
/*
 * Which request is next. Closed loop: a connection takes one as soon as it is free. Open loop: request i is due at
 * t0 + i / rate, whether or not a connection is free, and its latency counts from then. A request that no connection
 * takes within the timeout has timed out like any other.
 */
#include "client.h"

/* Requests due and never sent get a row each up to here; beyond they are counted. */
#define UNSENT_ROWS_MAX 1000000

static uint64_t due_ns(const struct load_client *client, uint64_t number)
{
	return client->t0_ns + (uint64_t)((double)number * ((double)LOAD_NS_PER_S / client->settings->rate));
}

static void record_unsent(struct load_client *client, uint64_t start_ns, uint8_t error, uint64_t end_ns)
{
	struct load_record row = {
		.start_ns = start_ns, .end_ns = end_ns, .connection = UINT32_MAX, .error = error
	};

	load_recorder_add(client->recorder, &row);
}

/* Open loop: those that found no connection within the timeout. */
void load_schedule_expire(struct load_client *client, uint64_t now)
{
	uint64_t start_ns = due_ns(client, client->due);

	while (start_ns < client->t1_ns && start_ns + client->settings->timeout_ns <= now) {
		record_unsent(client, start_ns, LOAD_TIMEOUT, now);
		start_ns = due_ns(client, ++client->due);
	}
}

/* When the next request starts, if that is now or before. */
static bool next_start(struct load_client *client, uint64_t *ret_start_ns)
{
	uint64_t now = load_now_ns();
	uint64_t start_ns;

	if (client->phase != LOAD_PHASE_SEND || now >= client->t1_ns) {
		return false;
	}
	if (client->settings->rate <= 0) {
		*ret_start_ns = now;
		return true;
	}
	load_schedule_expire(client, now);
	start_ns = due_ns(client, client->due);
	if (start_ns > now || start_ns >= client->t1_ns) {
		return false;
	}
	client->due++;
	*ret_start_ns = start_ns;
	return true;
}

/* Our own lateness, where a connection stood ready when the request was due. */
static void note_lateness(struct load_client *client, const struct load_connection *connection)
{
	if (client->settings->rate > 0 && connection->state == LOAD_STATE_BUSY &&
	    connection->ready_ns <= connection->start_ns) {
		histogram_add(&client->recorder->late, connection->sent_ns - connection->start_ns);
	}
}

/* Give requests to the connections that are free. */
void load_schedule_dispatch(struct load_client *client)
{
	uint64_t start_ns;

	while (!load_list_empty(&client->idle) && next_start(client, &start_ns)) {
		struct load_connection *connection = load_first(&client->idle);
		bool was_up = connection->state == LOAD_STATE_UP;

		connection->has_request = true;
		load_traffic_take(client, connection, start_ns);
		if (was_up) {
			note_lateness(client, connection);
		}
	}
}

/* Open loop: what was due before the end and found no connection. A row says that it waited this long in vain. */
void load_schedule_give_up(struct load_client *client)
{
	uint64_t start_ns = due_ns(client, client->due);
	uint64_t rows = 0;

	while (start_ns < client->t1_ns) {
		if (rows++ < UNSENT_ROWS_MAX) {
			record_unsent(client, start_ns, LOAD_OTHER, client->t1_ns);
		} else {
			load_recorder_skip(client->recorder, client->t1_ns - start_ns);
		}
		start_ns = due_ns(client, ++client->due);
	}
}

uint64_t load_schedule_due(const struct load_client *client)
{
	return due_ns(client, client->due);
}

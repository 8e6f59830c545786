/* SPDX-License-Identifier: MIT */
/* What becomes of a connection and its request: taken, sent, answered, failed, recorded, put down. */
#include "client.h"

#include <errno.h>

/* A connection that fails is tried again after 10 ms, then twice as long each time. */
#define BACKOFF_FIRST_NS 10000000ULL
#define BACKOFF_MAX_NS   LOAD_NS_PER_S

static void record(struct load_client *client, struct load_connection *connection, uint8_t error,
		   uint64_t end_ns)
{
	bool was_sent = connection->state == LOAD_STATE_BUSY;
	struct load_record row = {
		.start_ns = connection->start_ns,
		.end_ns = end_ns,
		.connection = connection->index,
		.local_port = connection->local_port,
		.error = error,
	};

	if (was_sent) {
		row.sent_ns = connection->sent_ns;
		row.first_byte_ns = connection->first_byte_ns;
		row.bytes = connection->received_bytes;
		row.status = connection->parser.status;
	}
	connection->has_request = false;
	load_recorder_add(client->recorder, &row);
}

static uint64_t backoff(uint32_t failures)
{
	uint64_t wait = BACKOFF_FIRST_NS << (failures < 8 ? failures - 1 : 7);

	return wait < BACKOFF_MAX_NS ? wait : BACKOFF_MAX_NS;
}

/* Close, and say when it may be used again: at once when the socket had been of use, else after a pause. */
static void put_down(struct load_client *client, struct load_connection *connection, uint64_t now)
{
	bool was_useful = connection->answers > 0;

	load_connection_close(connection);
	connection->answers = 0;
	if (was_useful) {
		connection->ready_ns = now;
		load_move_to(&client->idle, &connection->link);
		return;
	}
	connection->failures++;
	connection->retry_ns = now + backoff(connection->failures);
	if (connection->retry_ns < client->retry_ns) {
		client->retry_ns = connection->retry_ns;
	}
	load_move_to(&client->waiting, &connection->link);
}

void load_traffic_fail(struct load_client *client, struct load_connection *connection, uint8_t error,
		       uint64_t now)
{
	if (error == LOAD_PROTOCOL && connection->parser.why != NULL) {
		client->recorder->protocol_why = connection->parser.why;
	}
	if (connection->has_request) {
		record(client, connection, error, now);
	}
	put_down(client, connection, now);
}

static void answered(struct load_client *client, struct load_connection *connection, uint64_t now)
{
	bool is_over = connection->parser.close || !client->settings->keep_alive ||
		       connection->sent_bytes < client->settings->request_bytes;

	record(client, connection, LOAD_OK, now);
	connection->answers++;
	connection->failures = 0;
	if (is_over) {
		put_down(client, connection, now);
		return;
	}
	connection->state = LOAD_STATE_UP;
	connection->ready_ns = now;
	load_move_to(&client->idle, &connection->link);
}

void load_traffic_send(struct load_client *client, struct load_connection *connection)
{
	uint8_t error = LOAD_OTHER;

	if (load_connection_send(connection, client->epoll_fd, client->settings, &error) ==
	    LOAD_PROGRESS_ERROR) {
		load_traffic_fail(client, connection, error, load_now_ns());
	}
}

static void up(struct load_client *client, struct load_connection *connection)
{
	connection->addresses_tried = 0;
	if (connection->has_request) {
		load_traffic_send(client, connection);
		return;
	}
	connection->ready_ns = load_now_ns();
	load_move_to(&client->idle, &connection->link);
}

/* Connect, trying each address of the host before it counts as a failure. errno is that of the last. */
static void open_next(struct load_client *client, struct load_connection *connection,
		      enum load_progress progress)
{
	while (progress == LOAD_PROGRESS_ERROR &&
	       connection->addresses_tried < client->settings->address_count) {
		if (connection->addresses_tried++ > 0) {
			connection->address =
				(uint8_t)((connection->address + 1) % client->settings->address_count);
		}
		progress = load_connection_open(connection, client->epoll_fd, client->settings);
	}
	if (progress == LOAD_PROGRESS_CONNECTED) {
		up(client, connection);
	} else if (progress == LOAD_PROGRESS_ERROR) {
		client->recorder->connect_errno = errno;
		load_traffic_fail(client, connection, LOAD_CONNECT, load_now_ns());
	}
}

/* From the idle list: connect if need be, send if there is a request. */
void load_traffic_take(struct load_client *client, struct load_connection *connection, uint64_t start_ns)
{
	connection->start_ns = start_ns;
	load_move_to(&client->busy, &connection->link);
	if (connection->state == LOAD_STATE_UP) {
		load_traffic_send(client, connection);
		return;
	}
	connection->addresses_tried = 0;
	open_next(client, connection, LOAD_PROGRESS_ERROR);
}

void load_traffic_receive(struct load_client *client, struct load_connection *connection)
{
	uint8_t error = LOAD_CLOSED;
	enum load_progress progress =
		load_connection_receive(connection, client->buffer, sizeof(client->buffer), &error);

	if (progress == LOAD_PROGRESS_ANSWERED) {
		answered(client, connection, load_now_ns());
		load_schedule_dispatch(client);
	} else if (progress == LOAD_PROGRESS_ERROR) {
		load_traffic_fail(client, connection, error, load_now_ns());
		load_schedule_dispatch(client);
	}
}

void load_traffic_opened(struct load_client *client, struct load_connection *connection)
{
	open_next(client, connection, load_connection_opened(connection, client->epoll_fd));
}

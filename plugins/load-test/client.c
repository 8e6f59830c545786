/* SPDX-License-Identifier: MIT */
/*
 * The event loop: which connection sends when. One thread, one epoll; each connection is in one of three lists:
 *   idle     can take a request now: connected, or down and free to connect
 *   waiting  down, to be tried again at retry_ns
 *   busy     connecting, or with a request under way; oldest first, so that the head is the next to time out
 *
 * Closed loop: a connection takes its next request as soon as it has its answer. Open loop: request i is due at
 * t0 + i / rate, whether or not a connection is free, and its latency counts from then. A request that no connection
 * takes within the timeout has timed out like any other.
 */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define EVENTS_MAX   256
#define STOP_EVENT   UINT64_MAX
#define NS_PER_MS    1000000ULL

/* A connection that fails is tried again after 10 ms, then twice as long each time. */
#define BACKOFF_FIRST_NS (10 * NS_PER_MS)
#define BACKOFF_MAX_NS   LOAD_NS_PER_S
/* The list of those waiting is looked through at most this often. */
#define RETRY_STEP_NS (5 * NS_PER_MS)
/* Requests due and never sent get a row each up to here; beyond they are counted. */
#define UNSENT_ROWS_MAX 1000000

enum phase {
	PHASE_CONNECT, /* before T0 */
	PHASE_SEND,
	PHASE_DRAIN,
};

struct load_client {
	const struct load_settings *settings;
	struct load_recorder *recorder;
	int epoll_fd;
	int stop_fd;
	enum phase phase;
	bool has_pwait2; /* Linux 5.11 */
	uint64_t t0_ns;
	uint64_t t1_ns;
	uint64_t drain_end_ns;
	uint64_t due;      /* open loop: number of the next request */
	uint64_t retry_ns; /* when the waiting list is looked through next */
	struct load_link idle;
	struct load_link waiting;
	struct load_link busy;
	struct load_connection *connections;
	struct epoll_event events[EVENTS_MAX];
	char buffer[BUFFER_BYTES];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * LOAD_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void at_most(uint64_t *ns, uint64_t other)
{
	*ns = other < *ns ? other : *ns;
}

static void list_init(struct load_link *list)
{
	list->prev = list;
	list->next = list;
}

static bool list_empty(const struct load_link *list)
{
	return list->next == list;
}

/* Move to the end of a list from whichever it is in. */
static void move_to(struct load_link *list, struct load_link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

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
		move_to(&client->idle, &connection->link);
		return;
	}
	connection->failures++;
	connection->retry_ns = now + backoff(connection->failures);
	if (connection->retry_ns < client->retry_ns) {
		client->retry_ns = connection->retry_ns;
	}
	move_to(&client->waiting, &connection->link);
}

static void fail(struct load_client *client, struct load_connection *connection, uint8_t error, uint64_t now)
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
	move_to(&client->idle, &connection->link);
}

static void send_request(struct load_client *client, struct load_connection *connection)
{
	uint8_t error = LOAD_OTHER;

	if (load_connection_send(connection, client->epoll_fd, client->settings, &error) ==
	    LOAD_PROGRESS_ERROR) {
		fail(client, connection, error, now_ns());
	}
}

static void up(struct load_client *client, struct load_connection *connection)
{
	connection->addresses_tried = 0;
	if (connection->has_request) {
		send_request(client, connection);
		return;
	}
	connection->ready_ns = now_ns();
	move_to(&client->idle, &connection->link);
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
		fail(client, connection, LOAD_CONNECT, now_ns());
	}
}

/* From the idle list: connect if need be, send if there is a request. */
static void take(struct load_client *client, struct load_connection *connection, uint64_t start_ns)
{
	connection->start_ns = start_ns;
	move_to(&client->busy, &connection->link);
	if (connection->state == LOAD_STATE_UP) {
		send_request(client, connection);
		return;
	}
	connection->addresses_tried = 0;
	open_next(client, connection, LOAD_PROGRESS_ERROR);
}

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
static void expire_due(struct load_client *client, uint64_t now)
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
	uint64_t now = now_ns();
	uint64_t start_ns;

	if (client->phase != PHASE_SEND || now >= client->t1_ns) {
		return false;
	}
	if (client->settings->rate <= 0) {
		*ret_start_ns = now;
		return true;
	}
	expire_due(client, now);
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
static void dispatch(struct load_client *client)
{
	uint64_t start_ns;

	while (!list_empty(&client->idle) && next_start(client, &start_ns)) {
		struct load_connection *connection = (struct load_connection *)client->idle.next;
		bool was_up = connection->state == LOAD_STATE_UP;

		connection->has_request = true;
		take(client, connection, start_ns);
		if (was_up) {
			note_lateness(client, connection);
		}
	}
}

static void receive(struct load_client *client, struct load_connection *connection)
{
	uint8_t error = LOAD_CLOSED;
	enum load_progress progress =
		load_connection_receive(connection, client->buffer, sizeof(client->buffer), &error);

	if (progress == LOAD_PROGRESS_ANSWERED) {
		answered(client, connection, now_ns());
		dispatch(client);
	} else if (progress == LOAD_PROGRESS_ERROR) {
		fail(client, connection, error, now_ns());
		dispatch(client);
	}
}

static void handle(struct load_client *client, const struct epoll_event *event)
{
	struct load_connection *connection;

	if (event->data.u64 == STOP_EVENT) {
		epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, client->stop_fd, NULL);
		at_most(&client->t1_ns, now_ns());
		client->recorder->t1_ns = client->t1_ns;
		return;
	}
	connection = &client->connections[(uint32_t)event->data.u64];
	if (connection->generation != (uint32_t)(event->data.u64 >> 32) ||
	    connection->state == LOAD_STATE_DOWN) {
		return; /* of a socket that was closed meanwhile */
	}
	if (connection->state == LOAD_STATE_CONNECTING) {
		open_next(client, connection, load_connection_opened(connection, client->epoll_fd));
		dispatch(client);
		return;
	}
	if ((event->events & EPOLLOUT) && connection->state == LOAD_STATE_BUSY) {
		send_request(client, connection);
	}
	if ((event->events & ~(uint32_t)EPOLLOUT) && connection->state >= LOAD_STATE_UP) {
		receive(client, connection);
	}
}

/* The busy list is in the order of start_ns, so only its head needs a look. */
static void expire_busy(struct load_client *client, uint64_t now)
{
	while (!list_empty(&client->busy)) {
		struct load_connection *connection = (struct load_connection *)client->busy.next;

		if (connection->start_ns + client->settings->timeout_ns > now) {
			return;
		}
		fail(client, connection, LOAD_TIMEOUT, now);
	}
}

static void retry_waiting(struct load_client *client, uint64_t now)
{
	struct load_link *link = client->waiting.next;
	uint64_t soonest = UINT64_MAX;

	if (now < client->retry_ns) {
		return;
	}
	while (link != &client->waiting) {
		struct load_connection *connection = (struct load_connection *)link;

		link = link->next;
		if (connection->retry_ns <= now) {
			connection->ready_ns = now;
			move_to(&client->idle, &connection->link);
			if (client->phase == PHASE_CONNECT) {
				take(client, connection, now);
			}
		} else if (connection->retry_ns < soonest) {
			soonest = connection->retry_ns;
		}
	}
	client->retry_ns = soonest;
	if (!list_empty(&client->waiting) && client->retry_ns < now + RETRY_STEP_NS) {
		client->retry_ns = now + RETRY_STEP_NS;
	}
}

/* T0: what is being connected, connects for a request from here on; what was refused, tries again now. */
static void begin_sending(struct load_client *client, uint64_t now)
{
	uint32_t i;

	client->phase = PHASE_SEND;
	for (i = 0; i < client->settings->connections; i++) {
		struct load_connection *connection = &client->connections[i];

		if (connection->state == LOAD_STATE_CONNECTING && client->settings->rate <= 0) {
			connection->has_request = true;
			connection->start_ns = now;
		} else if (connection->state == LOAD_STATE_DOWN) {
			connection->failures = 0;
			connection->ready_ns = now;
			move_to(&client->idle, &connection->link);
		}
	}
}

/* Open loop: what was due before the end and found no connection. A row says that it waited this long in vain. */
static void give_up_due(struct load_client *client)
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

/* Nobody waits for a connection that was being made for no request. */
static void drop_spare(struct load_client *client)
{
	uint32_t i;

	for (i = 0; i < client->settings->connections; i++) {
		if (client->connections[i].state == LOAD_STATE_CONNECTING &&
		    !client->connections[i].has_request) {
			put_down(client, &client->connections[i], client->t1_ns);
		}
	}
}

static void begin_draining(struct load_client *client)
{
	uint64_t grace =
		client->settings->timeout_ns < LOAD_GRACE_NS ? client->settings->timeout_ns : LOAD_GRACE_NS;

	client->phase = PHASE_DRAIN;
	client->drain_end_ns = client->t1_ns + grace;
	drop_spare(client);
	if (client->settings->rate > 0) {
		give_up_due(client);
	}
}

static void cut_off(struct load_client *client, uint64_t now)
{
	while (!list_empty(&client->busy)) {
		fail(client, (struct load_connection *)client->busy.next, LOAD_OTHER, now);
	}
}

/* When something is to be done if no event comes. */
static uint64_t wake_ns(const struct load_client *client, uint64_t now)
{
	uint64_t wake = now + LOAD_NS_PER_S / 4;

	if (!list_empty(&client->busy)) {
		at_most(&wake, ((struct load_connection *)client->busy.next)->start_ns +
				       client->settings->timeout_ns);
	}
	if (client->phase == PHASE_DRAIN) {
		at_most(&wake, client->drain_end_ns);
		return wake;
	}
	at_most(&wake, client->phase == PHASE_CONNECT ? client->t0_ns : client->t1_ns);
	if (!list_empty(&client->waiting)) {
		at_most(&wake, client->retry_ns);
	}
	if (client->phase == PHASE_SEND && client->settings->rate > 0) {
		uint64_t start_ns = due_ns(client, client->due);

		at_most(&wake,
			list_empty(&client->idle) ? start_ns + client->settings->timeout_ns : start_ns);
	}
	return wake;
}

static int wait_events(struct load_client *client, uint64_t now)
{
	uint64_t wake = wake_ns(client, now);
	uint64_t wait = wake > now ? wake - now : 0;
	struct timespec timeout = { .tv_sec = (time_t)(wait / LOAD_NS_PER_S),
				    .tv_nsec = (long)(wait % LOAD_NS_PER_S) };
	int count = -1;

	if (client->has_pwait2) {
		count = epoll_pwait2(client->epoll_fd, client->events, EVENTS_MAX, &timeout, NULL);
		if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
			client->has_pwait2 = false;
		}
	}
	if (!client->has_pwait2) {
		count = epoll_wait(client->epoll_fd, client->events, EVENTS_MAX,
				   (int)((wait + NS_PER_MS - 1) / NS_PER_MS));
	}
	return count < 0 && errno == EINTR ? 0 : count;
}

/* Everything that time brings. Returns whether to go on. */
static bool advance(struct load_client *client, uint64_t now)
{
	if (client->phase == PHASE_CONNECT && now >= client->t0_ns) {
		begin_sending(client, now);
	}
	if (client->phase != PHASE_DRAIN && now >= client->t1_ns) {
		begin_draining(client);
	}
	expire_busy(client, now);
	if (client->phase == PHASE_DRAIN) {
		if (list_empty(&client->busy) || now < client->drain_end_ns) {
			return !list_empty(&client->busy);
		}
		cut_off(client, now);
		return false;
	}
	retry_waiting(client, now);
	if (client->phase == PHASE_SEND && client->settings->rate > 0) {
		expire_due(client, now);
	}
	dispatch(client);
	if (client->phase == PHASE_SEND) {
		load_recorder_tick(client->recorder, now);
	}
	return true;
}

static int loop(struct load_client *client)
{
	while (advance(client, now_ns())) {
		int count = wait_events(client, now_ns());
		int i;

		if (count < 0) {
			return PFC_EIO;
		}
		for (i = 0; i < count; i++) {
			handle(client, &client->events[i]);
		}
	}
	return 0;
}

int load_client_run(struct load_client *client, uint64_t t0_ns, uint64_t t1_ns)
{
	uint64_t now = now_ns();
	uint32_t i;

	/* The default slack of 50 us would be added to each request of an open loop. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	client->t0_ns = t0_ns;
	client->t1_ns = t1_ns;
	client->recorder->t1_ns = t1_ns;
	client->phase = PHASE_CONNECT;
	for (i = 0; i < client->settings->connections; i++) {
		take(client, &client->connections[i], now);
	}
	return loop(client);
}

uint64_t load_client_end(const struct load_client *client)
{
	return client->t1_ns;
}

static int watch_stop(struct load_client *client)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = STOP_EVENT };

	client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (client->epoll_fd < 0) {
		return PFC_EIO;
	}
	return epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->stop_fd, &event) == 0 ? 0 : PFC_EIO;
}

static void init_connections(struct load_client *client)
{
	uint32_t i;

	for (i = 0; i < client->settings->connections; i++) {
		struct load_connection *connection = &client->connections[i];

		connection->fd = -1;
		connection->index = i;
		list_init(&connection->link);
		move_to(&client->idle, &connection->link);
	}
}

int load_client_create(const struct load_settings *settings, struct load_recorder *recorder, int stop_fd,
		       struct load_client **ret)
{
	struct load_client *client = calloc(1, sizeof(*client));
	int status;

	if (client == NULL) {
		return PFC_ENOMEM;
	}
	client->settings = settings;
	client->recorder = recorder;
	client->stop_fd = stop_fd;
	client->epoll_fd = -1;
	client->has_pwait2 = true;
	client->retry_ns = UINT64_MAX;
	list_init(&client->idle);
	list_init(&client->waiting);
	list_init(&client->busy);
	client->connections = calloc(settings->connections, sizeof(*client->connections));
	status = client->connections != NULL ? watch_stop(client) : PFC_ENOMEM;
	if (status != 0) {
		load_client_destroy(client);
		return status;
	}
	init_connections(client);
	*ret = client;
	return 0;
}

void load_client_destroy(struct load_client *client)
{
	uint32_t i;

	if (client == NULL) {
		return;
	}
	for (i = 0; client->connections != NULL && i < client->settings->connections; i++) {
		if (client->connections[i].fd >= 0) {
			close(client->connections[i].fd);
		}
	}
	if (client->epoll_fd >= 0) {
		close(client->epoll_fd);
	}
	free(client->connections);
	free(client);
}

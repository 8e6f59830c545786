/* SPDX-License-Identifier: MIT */
/* The event loop: one thread, one epoll, three phases: connect, send, drain. */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define STOP_EVENT UINT64_MAX
#define NS_PER_MS  1000000ULL
/* The list of those waiting is looked through at most this often. */
#define RETRY_STEP_NS (5 * NS_PER_MS)

uint64_t load_now_ns(void)
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

static void handle(struct load_client *client, const struct epoll_event *event)
{
	struct load_connection *connection;

	if (event->data.u64 == STOP_EVENT) {
		epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, client->stop_fd, NULL);
		at_most(&client->t1_ns, load_now_ns());
		client->recorder->t1_ns = client->t1_ns;
		return;
	}
	connection = &client->connections[(uint32_t)event->data.u64];
	if (connection->generation != (uint32_t)(event->data.u64 >> 32) ||
	    connection->state == LOAD_STATE_DOWN) {
		return; /* of a socket that was closed meanwhile */
	}
	if (connection->state == LOAD_STATE_CONNECTING) {
		load_traffic_opened(client, connection);
		load_schedule_dispatch(client);
		return;
	}
	if ((event->events & EPOLLOUT) && connection->state == LOAD_STATE_BUSY) {
		load_traffic_send(client, connection);
	}
	if ((event->events & ~(uint32_t)EPOLLOUT) && connection->state >= LOAD_STATE_UP) {
		load_traffic_receive(client, connection);
	}
}

/* The busy list is in the order of start_ns, so only its head needs a look. */
static void expire_busy(struct load_client *client, uint64_t now)
{
	while (!load_list_empty(&client->busy)) {
		struct load_connection *connection = load_first(&client->busy);

		if (connection->start_ns + client->settings->timeout_ns > now) {
			return;
		}
		load_traffic_fail(client, connection, LOAD_TIMEOUT, now);
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
			load_move_to(&client->idle, &connection->link);
			if (client->phase == LOAD_PHASE_CONNECT) {
				load_traffic_take(client, connection, now);
			}
		} else if (connection->retry_ns < soonest) {
			soonest = connection->retry_ns;
		}
	}
	client->retry_ns = soonest;
	if (!load_list_empty(&client->waiting) && client->retry_ns < now + RETRY_STEP_NS) {
		client->retry_ns = now + RETRY_STEP_NS;
	}
}

/* T0: what is being connected, connects for a request from here on; what was refused, tries again now. */
static void begin_sending(struct load_client *client, uint64_t now)
{
	uint32_t i;

	client->phase = LOAD_PHASE_SEND;
	for (i = 0; i < client->settings->connections; i++) {
		struct load_connection *connection = &client->connections[i];

		if (connection->state == LOAD_STATE_CONNECTING && client->settings->rate <= 0) {
			connection->has_request = true;
			connection->start_ns = now;
		} else if (connection->state == LOAD_STATE_DOWN) {
			connection->failures = 0;
			connection->ready_ns = now;
			load_move_to(&client->idle, &connection->link);
		}
	}
}

/* Nobody waits for a connection that was being made for no request. */
static void drop_spare(struct load_client *client)
{
	uint32_t i;

	for (i = 0; i < client->settings->connections; i++) {
		if (client->connections[i].state == LOAD_STATE_CONNECTING &&
		    !client->connections[i].has_request) {
			load_traffic_fail(client, &client->connections[i], LOAD_OTHER, client->t1_ns);
		}
	}
}

static void begin_draining(struct load_client *client)
{
	uint64_t grace =
		client->settings->timeout_ns < LOAD_GRACE_NS ? client->settings->timeout_ns : LOAD_GRACE_NS;

	client->phase = LOAD_PHASE_DRAIN;
	client->drain_end_ns = client->t1_ns + grace;
	drop_spare(client);
	if (client->settings->rate > 0) {
		load_schedule_give_up(client);
	}
}

static void cut_off(struct load_client *client, uint64_t now)
{
	while (!load_list_empty(&client->busy)) {
		load_traffic_fail(client, load_first(&client->busy), LOAD_OTHER, now);
	}
}

/* When something is to be done if no event comes. */
static uint64_t wake_ns(const struct load_client *client, uint64_t now)
{
	uint64_t wake = now + LOAD_NS_PER_S / 4;

	if (!load_list_empty(&client->busy)) {
		at_most(&wake, load_first(&client->busy)->start_ns + client->settings->timeout_ns);
	}
	if (client->phase == LOAD_PHASE_DRAIN) {
		at_most(&wake, client->drain_end_ns);
		return wake;
	}
	at_most(&wake, client->phase == LOAD_PHASE_CONNECT ? client->t0_ns : client->t1_ns);
	if (!load_list_empty(&client->waiting)) {
		at_most(&wake, client->retry_ns);
	}
	if (client->phase == LOAD_PHASE_SEND && client->settings->rate > 0) {
		uint64_t start_ns = load_schedule_due(client);

		at_most(&wake,
			load_list_empty(&client->idle) ? start_ns + client->settings->timeout_ns : start_ns);
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
		count = epoll_pwait2(client->epoll_fd, client->events, LOAD_EVENTS_MAX, &timeout, NULL);
		if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
			client->has_pwait2 = false;
		}
	}
	if (!client->has_pwait2) {
		count = epoll_wait(client->epoll_fd, client->events, LOAD_EVENTS_MAX,
				   (int)((wait + NS_PER_MS - 1) / NS_PER_MS));
	}
	return count < 0 && errno == EINTR ? 0 : count;
}

/* Everything that time brings. Returns whether to go on. */
static bool advance(struct load_client *client, uint64_t now)
{
	if (client->phase == LOAD_PHASE_CONNECT && now >= client->t0_ns) {
		begin_sending(client, now);
	}
	if (client->phase != LOAD_PHASE_DRAIN && now >= client->t1_ns) {
		begin_draining(client);
	}
	expire_busy(client, now);
	if (client->phase == LOAD_PHASE_DRAIN) {
		if (load_list_empty(&client->busy) || now < client->drain_end_ns) {
			return !load_list_empty(&client->busy);
		}
		cut_off(client, now);
		return false;
	}
	retry_waiting(client, now);
	if (client->phase == LOAD_PHASE_SEND && client->settings->rate > 0) {
		load_schedule_expire(client, now);
	}
	load_schedule_dispatch(client);
	if (client->phase == LOAD_PHASE_SEND) {
		load_recorder_tick(client->recorder, now);
	}
	return true;
}

static int loop(struct load_client *client)
{
	while (advance(client, load_now_ns())) {
		int count = wait_events(client, load_now_ns());
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
	uint64_t now = load_now_ns();
	uint32_t i;

	/* The default slack of 50 us would be added to each request of an open loop. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	client->t0_ns = t0_ns;
	client->t1_ns = t1_ns;
	client->recorder->t1_ns = t1_ns;
	client->phase = LOAD_PHASE_CONNECT;
	for (i = 0; i < client->settings->connections; i++) {
		load_traffic_take(client, &client->connections[i], now);
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
		load_move_to(&client->idle, &connection->link);
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

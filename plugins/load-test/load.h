/* SPDX-License-Identifier: MIT */
/*
 * The parts of load-test: url and settings (what to send, to whom), connection (one socket), client (which connection
 * sends when), recorder (what is kept of each request), summary (the document). Times are CLOCK_MONOTONIC ns.
 */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <profcore/profcore.h>

#include "histogram.h"
#include "http_parse.h"

#define LOAD_NS_PER_S  1000000000ULL
#define LOAD_URL_BYTES 8192
#define LOAD_ADDRESSES 8

/* --- url.c ------------------------------------------------------------------------------------------------------- */

struct load_url {
	char host[256];              /* without the brackets of an IPv6 address */
	char port[6];                /* decimal */
	char authority[272];         /* for the Host header: as written, without the default port */
	char target[LOAD_URL_BYTES]; /* path and query, at least "/" */
};

/** Take an http URL apart. Returns 0, or PFC_EINVAL and *ret_why (static), or PFC_ENOTSUP for https. */
int load_url_parse(const char *text, struct load_url *ret, const char **ret_why);

/* --- settings.c -------------------------------------------------------------------------------------------------- */

struct load_settings {
	const char *url_text; /* the host's */
	struct load_url url;
	uint32_t connections;
	uint64_t timeout_ns;
	double rate; /* requests/s; 0: closed loop */
	bool keep_alive;
	bool is_head;
	char *request; /* the bytes of one request, the same each time */
	size_t request_bytes;
	struct sockaddr_storage addresses[LOAD_ADDRESSES];
	socklen_t address_bytes[LOAD_ADDRESSES];
	uint32_t address_count;
};

/** Read and check the options. Returns 0, or what host->fail gave. */
int load_settings_read(const struct pfc_host *host, struct load_settings *ret);

/** Look up the URL's host. Blocks. Returns 0, or what host->fail gave. */
int load_settings_resolve(const struct pfc_host *host, struct load_settings *settings);

void load_settings_finish(struct load_settings *settings);

/* --- recorder.c -------------------------------------------------------------------------------------------------- */

/** The error column of profcore.requests/1. A status of 400 or more is an answer, not an error. */
enum load_error {
	LOAD_OK = 0,
	LOAD_CONNECT = 1,
	LOAD_TIMEOUT = 2,
	LOAD_CLOSED = 3,   /* reset, or closed before the end of the answer */
	LOAD_PROTOCOL = 4, /* not an HTTP/1.x answer */
	LOAD_OTHER = 5,    /* unfinished or unsent at the end of the run */
	LOAD_ERRORS,
};

/** Name of an error for people and for the summary: "connect", "timeout", ... */
const char *load_error_name(uint32_t error);

struct load_record {
	uint64_t start_ns;      /* closed loop: sending, or connecting for it, began; open loop: was due */
	uint64_t sent_ns;       /* sending began; 0: never */
	uint64_t first_byte_ns; /* 0: none */
	uint64_t end_ns;
	uint64_t bytes;      /* received, with headers */
	uint32_t connection; /* UINT32_MAX: it never got one */
	uint16_t status;
	uint16_t local_port;
	uint8_t error; /* enum load_error */
};

#define LOAD_BATCH_ROWS 1024

struct load_batch {
	uint64_t start[LOAD_BATCH_ROWS];
	uint64_t first_byte[LOAD_BATCH_ROWS];
	uint64_t end[LOAD_BATCH_ROWS];
	uint16_t status[LOAD_BATCH_ROWS];
	uint8_t error[LOAD_BATCH_ROWS];
	uint64_t bytes[LOAD_BATCH_ROWS];
	uint32_t connection[LOAD_BATCH_ROWS];
	uint16_t local_port[LOAD_BATCH_ROWS];
};

struct load_recorder {
	const struct pfc_host *host;
	const struct pfc_writer *writer;
	uint32_t table;
	uint32_t rows;    /* in batch */
	int status;       /* first error of the writer */
	uint64_t t1_ns;   /* answers up to here count for the rate; UINT64_MAX until known */
	uint64_t tick_ns; /* when live figures were last published */
	uint64_t tick_answers;

	uint64_t requests;
	uint64_t answers;
	uint64_t answers_in_window;
	uint64_t errors[LOAD_ERRORS];
	uint64_t by_status[600];
	uint64_t bytes;
	uint64_t unfinished; /* sent, and cut off at the end */
	uint64_t never_sent; /* due, and no connection took it within its timeout, or before the end */
	uint64_t skipped;    /* of those, without a row, and not yet told as loss */
	uint64_t last_end_ns;
	int connect_errno;        /* of the last connection that failed */
	const char *protocol_why; /* of the last answer that was none */

	struct histogram response; /* from start: what a user waits */
	struct histogram service;  /* from sent: what the connection took; open loop only */
	struct histogram
		late; /* sent - start where a connection stood ready: our own delay; open loop only */
	struct histogram recent; /* response since the last tick */
	struct load_batch batch;
};

/** Allocate, and declare the table of `requests`. Returns 0, or what host->fail gave. */
int load_recorder_create(const struct pfc_host *host, struct load_recorder **ret);

void load_recorder_add(struct load_recorder *recorder, const struct load_record *record);

/** Count a request that was due and never sent, without a row: as loss. */
void load_recorder_skip(struct load_recorder *recorder, uint64_t waited_ns);

/** Publish live figures and commit rows when a second has passed. */
void load_recorder_tick(struct load_recorder *recorder, uint64_t now_ns);

/** Hand everything to the host. Returns 0, or the first error of the writer. */
int load_recorder_flush(struct load_recorder *recorder);

/** Errors of all kinds. */
uint64_t load_recorder_errors(const struct load_recorder *recorder);

void load_recorder_destroy(struct load_recorder *recorder);

/* --- connection.c ------------------------------------------------------------------------------------------------ */

struct load_link {
	struct load_link *prev;
	struct load_link *next;
};

enum load_state {
	LOAD_STATE_DOWN = 0, /* no socket */
	LOAD_STATE_CONNECTING,
	LOAD_STATE_UP,   /* connected, nothing under way */
	LOAD_STATE_BUSY, /* request sent, or being sent */
};

struct load_connection {
	struct load_link link; /* in one list of the client; first, so that a link is a connection */
	int fd;                /* -1 when down */
	uint32_t index;
	uint32_t generation; /* counts sockets: tells a late event of the one before */
	uint8_t state;       /* enum load_state */
	bool has_request;
	bool wants_out;  /* polled for EPOLLOUT */
	uint8_t address; /* being tried */
	uint8_t addresses_tried;
	uint16_t local_port;
	uint32_t failures; /* in a row */
	uint32_t answers;  /* on this socket */
	uint64_t start_ns;
	uint64_t sent_ns;
	uint64_t first_byte_ns;
	uint64_t ready_ns; /* since when it could take a request */
	uint64_t retry_ns; /* when to connect again, while waiting */
	uint64_t received_bytes;
	size_t sent_bytes;
	struct http_parser parser;
};

/** What a connection did with what it was asked. */
enum load_progress {
	LOAD_PROGRESS_WAIT, /* more events are needed */
	LOAD_PROGRESS_CONNECTED,
	LOAD_PROGRESS_ANSWERED,
	LOAD_PROGRESS_ERROR, /* *ret_error says which */
};

/** Begin to connect. On LOAD_PROGRESS_ERROR errno says why; the socket is closed. */
enum load_progress load_connection_open(struct load_connection *connection, int epoll_fd,
					const struct load_settings *settings);
/** An event arrived while connecting. */
enum load_progress load_connection_opened(struct load_connection *connection, int epoll_fd);
/** Send the request, or what is left of it. */
enum load_progress load_connection_send(struct load_connection *connection, int epoll_fd,
					const struct load_settings *settings, uint8_t *ret_error);
/** Receive once. With no request under way, anything but nothing is an error. */
enum load_progress load_connection_receive(struct load_connection *connection, char *buffer,
					   size_t buffer_bytes, uint8_t *ret_error);
void load_connection_close(struct load_connection *connection);

/* --- client.c ---------------------------------------------------------------------------------------------------- */

struct load_client;

/** Returns 0, PFC_ENOMEM, or PFC_EIO with errno. Borrows settings and recorder until destroy. */
int load_client_create(const struct load_settings *settings, struct load_recorder *recorder, int stop_fd,
		       struct load_client **ret);

/**
 * Connect at once, send from t0_ns until t1_ns (UINT64_MAX: until told) or until stop_fd is readable, then wait for
 * answers under way, at most LOAD_GRACE_NS or one timeout. Every request is recorded when this returns.
 *
 * Returns: 0, or PFC_EIO with errno.
 */
int load_client_run(struct load_client *client, uint64_t t0_ns, uint64_t t1_ns);

/** When sending ended. */
uint64_t load_client_end(const struct load_client *client);

void load_client_destroy(struct load_client *client);

#define LOAD_GRACE_NS (2 * LOAD_NS_PER_S)

/* --- summary.c --------------------------------------------------------------------------------------------------- */

struct load_span {
	uint64_t t0_ns;
	uint64_t t1_ns;
	uint64_t cpu_ns; /* of the client's thread between them */
};

/** The document of profcore.summary/1; the caller frees it. NULL when memory ran out. */
char *load_summary_text(const struct load_settings *settings, const struct load_recorder *recorder,
			const struct load_span *span);

/** "3 connect (Connection refused), 2 timeout". */
void load_summary_errors(const struct load_recorder *recorder, char *to, size_t to_bytes);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * backend: a small web forum with a page that is slow for a known reason. It is what profcore's demo profiles and what
 * its tests compare profiles with: GET /truth tells what really took the time.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#include "server.h"

/* Sleep until somebody wants the end. The signals are blocked already, so none gets lost. */
static void wait_for_end(void)
{
	sigset_t ends;
	int number;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigwait(&ends, &number);
}

static void block_ends(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
}

static int serve(struct backend *backend)
{
	const char *host = backend->options.host;
	bool ipv6 = false;
	struct server *server = server_create(backend);
	int status = -1;

	if (server == NULL) {
		return -1;
	}
	for (const char *at = host; *at != '\0'; at++) {
		ipv6 |= *at == ':';
	}
	truth_reset(&backend->truth);
	if (server_start(server) == 0) {
		printf("listening on http://%s%s%s:%u\n", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
		       server_port(server));
		fflush(stdout);
		wait_for_end();
		status = 0;
	}
	server_stop(server);
	server_destroy(server);
	return status;
}

int main(int argc, char **argv)
{
	static struct backend backend;
	int status = options_parse(argc, argv, &backend.options);

	if (status != 0) {
		return status > 0 ? 0 : 2;
	}
	/* Both builds, with and without frame pointers, are the same program to whoever looks for it by name. */
	prctl(PR_SET_NAME, "backend");
	block_ends();
	calibrate(&backend.amounts, backend.options.split, backend.options.work_us);
	database_init(&backend.database, backend.options.db);
	if (causes_init(&backend.causes, backend.options.folder) == 0) {
		status = serve(&backend);
	} else {
		status = -1;
	}
	causes_finish(&backend.causes);
	database_finish(&backend.database);
	return status == 0 ? 0 : 1;
}

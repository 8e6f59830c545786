/* SPDX-License-Identifier: MIT */
/* `profcore targets [--all] [--json]`: containers and processes that could be profiled now, the busiest first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/targets.h"

#define SHOWN_MAX 20u

/* What lists are sorted by; the rest decides between equals. */
static const char *const orders[] = { "cpu", "rss", "name", "pid", NULL };

static bool is_order(const char *word)
{
	for (size_t i = 0; orders[i] != NULL; i++) {
		if (strcmp(orders[i], word) == 0) {
			return true;
		}
	}
	return false;
}

int cmd_targets(int argc, char **argv)
{
	struct engine_query query = { .container = NULL };
	struct listing listing = { .order = orders[0] };
	char *fault;
	bool is_json = false;
	bool is_all = false;
	const struct args_option options[] = {
		{ .name = "json", .flag = &is_json },
		{ .name = "all", .flag = &is_all },
		{ .name = "engine", .text = &query.socket },
		{ .name = "sort", .text = &listing.order },
		{ .name = NULL },
	};
	int words = args_parse(argc, argv, options);
	int code = 0;

	if (words != 1) {
		return words < 0 ? 2 : command_misused("targets", "it takes no words");
	}
	if (!is_order(listing.order)) {
		fault = str_none_of(listing.order, orders, sizeof(orders) / sizeof(orders[0]) - 1);
		code = command_misused("targets", "--sort %s: %s", listing.order,
				       fault != NULL ? fault : "not known");
		free(fault);
		return code;
	}
	listing.has_engine = engine_ask(&query, &listing.engine, &listing.engine_err) == PFC_OK;
	if (targets_look(&listing) < 0) {
		log_error("read /proc: %m");
		free(listing.processes);
		return 1;
	}
	if (is_json) {
		code = targets_print_json(&listing);
	} else {
		targets_print(&listing, is_all ? listing.count : SHOWN_MAX);
		if (!listing.has_engine && listing.engine_err.status != PFC_ENOENT) {
			log_failure(&listing.engine_err);
		}
		code = fflush(stdout) != 0;
	}
	if (listing.has_engine) {
		engine_answer_finish(&listing.engine);
	}
	free(listing.processes);
	return code;
}

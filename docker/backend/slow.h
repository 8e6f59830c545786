/* SPDX-License-Identifier: MIT */
/* The slow page: what a profile of this backend must find. */
#ifndef BACKEND_SLOW_H
#define BACKEND_SLOW_H

#include <stddef.h>
#include <stdint.h>

#include "calibrate.h"
#include "causes.h"
#include "database.h"
#include "options.h"
#include "request.h"
#include "truth.h"

/** What all requests share. */
struct backend {
	struct options options;
	struct amounts amounts;
	struct causes causes;
	struct database database;
	struct truth truth;
};

/**
 * Do the work of GET /slow and write the page's text.
 *
 * Returns: the HTTP status; 400 for an unknown mode, 500 when a cause failed.
 */
int slow_endpoint(struct backend *backend, const struct request *request, char *text, size_t room);

#endif

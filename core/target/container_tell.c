/* SPDX-License-Identifier: MIT */
/* What the user is told when it is not one container: see container_inside.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "target/container_inside.h"

#define LISTED_MAX 8
#define NAMES_MAX  256u

const char *container_wanted(const struct engine_query *query, char *to, size_t to_bytes)
{
	char shown[200];

	if (query->container != NULL) {
		snprintf(to, to_bytes, "find container `%s`",
			 log_escape(shown, sizeof(shown), query->container));
	} else if (query->service != NULL) {
		snprintf(to, to_bytes, "find the container of compose-service `%s`",
			 log_escape(shown, sizeof(shown), query->service));
	} else {
		snprintf(to, to_bytes, "find the container of image `%s`",
			 log_escape(shown, sizeof(shown), query->image != NULL ? query->image : ""));
	}
	return to;
}

static void describe(struct str *text, const struct engine_container *one, bool is_first)
{
	const char *status = one->status[0] != '\0' ? one->status : one->state;
	char name[128];
	char image[128];
	char shown[ENGINE_TEXT_BYTES];

	str_format(text, "%s%s %.*s (%s%s%s)", is_first ? "" : ", ",
		   log_escape(name, sizeof(name), one->name), SHORT_ID, one->id,
		   log_escape(image, sizeof(image), one->image),
		   one->image[0] != '\0' && status[0] != '\0' ? ", " : "",
		   log_escape(shown, sizeof(shown), status));
}

bool container_is_running(const struct engine_container *one)
{
	return strcmp(one->state, "running") == 0 || strcmp(one->state, "paused") == 0;
}

int container_tell_several(const struct engine_query *query, const struct engine_answer *answer,
			   struct pfc_error *err)
{
	struct str list = { 0 };
	size_t shown = 0;
	char what[256];

	error_set(err, PFC_ETARGET, "several containers match", "%s",
		  container_wanted(query, what, sizeof(what)));
	for (size_t i = 0; i < answer->count && shown < LISTED_MAX; i++) {
		if (answer->containers[i].is_match && container_is_running(&answer->containers[i])) {
			describe(&list, &answer->containers[i], shown++ == 0);
		}
	}
	error_hint(err, "choose by id: [target] container = ID of %s", str_text(&list));
	str_finish(&list);
	return PFC_ETARGET;
}

int container_tell_stopped(const struct engine_query *query, const struct engine_container *one,
			   struct pfc_error *err)
{
	char why[128];
	char what[256];
	char name[128];
	char state[64];

	snprintf(why, sizeof(why), "it does not run: it is %s", log_escape(state, sizeof(state), one->state));
	error_set(err, PFC_ETARGET, why, "%s", container_wanted(query, what, sizeof(what)));
	return error_hint(err, "docker start %s", log_escape(name, sizeof(name), one->name)), PFC_ETARGET;
}

/* What the user most likely compares his word with. */
static const char *name_by(const struct engine_query *query, const struct engine_container *one)
{
	if (query->container != NULL) {
		return one->name;
	}
	return query->service != NULL ? one->service : one->image;
}

struct ranked {
	const struct engine_container *one;
	unsigned edits;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *left = a;
	const struct ranked *right = b;

	if (container_is_running(left->one) != container_is_running(right->one) &&
	    left->edits == right->edits) {
		return container_is_running(left->one) ? -1 : 1;
	}
	return left->edits != right->edits ? (left->edits < right->edits ? -1 : 1)
					   : strcmp(left->one->name, right->one->name);
}

int container_tell_none(const struct engine_query *query, const struct engine_answer *answer,
			struct pfc_error *err)
{
	const char *wanted = query->container != NULL ? query->container
			     : query->service != NULL ? query->service
			     : query->image != NULL   ? query->image
						      : "";
	struct ranked ranked[NAMES_MAX];
	struct str list = { 0 };
	size_t count = 0;
	char what[256];

	for (size_t i = 0; i < answer->count && count < NAMES_MAX; i++) {
		const char *name = name_by(query, &answer->containers[i]);

		if (name[0] != '\0') {
			ranked[count++] =
				(struct ranked){ &answer->containers[i], str_distance(name, wanted) };
		}
	}
	qsort(ranked, count, sizeof(ranked[0]), compare_ranked);
	for (size_t i = 0; i < count && i < LISTED_MAX; i++) {
		describe(&list, ranked[i].one, i == 0);
	}
	error_set(err, PFC_ETARGET,
		  count > 0 ? "no such container" : "no such container: the engine has none that it could be",
		  "%s", container_wanted(query, what, sizeof(what)));
	if (count > 0) {
		error_hint(err, "there %s %s%s", count == 1 ? "is" : "are", str_text(&list),
			   count > LISTED_MAX ? ", ..." : "");
	} else {
		error_hint(err, "docker ps -a shows what there is; is it another engine's? [target] engine = "
				"PATH of its socket");
	}
	str_finish(&list);
	return PFC_ETARGET;
}

int container_tell_unseen(const struct engine_query *query, const struct container_list *seen,
			  const struct pfc_error *why, struct pfc_error *err)
{
	struct str list = { 0 };
	char what[256];

	if (why->status == PFC_EPERM || why->status == PFC_ENOTSUP) {
		*err = *why; /* that is what the user has to mend */
		return why->status;
	}
	error_set(err, PFC_ETARGET, why->why, "%s: %s", container_wanted(query, what, sizeof(what)),
		  why->what);
	for (size_t i = 0; i < seen->count && i < LISTED_MAX; i++) {
		str_format(&list, "%s%.*s (pid %d)", i > 0 ? ", " : "", SHORT_ID, seen->items[i].id,
			   (int)seen->items[i].pid);
	}
	if (seen->count > 0) {
		error_hint(err, "without an engine only ids are known: [target] container = ID of %s",
			   str_text(&list));
	} else {
		error_hint(err, "%s", why->hint[0] != '\0' ? why->hint : "no container runs here");
	}
	str_finish(&list);
	return PFC_ETARGET;
}

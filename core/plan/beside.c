/* SPDX-License-Identifier: MIT */
#include "plan/beside.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "plan/stored.h"

/* So many of the newest runs are looked at. */
#define LOOKED_AT_MAX    64
#define TARGET_BYTES_MAX (4u << 20)
/* /proc tells a start to a tick of 10 ms. */
#define SAME_START_NS 30000000

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static bool window_of(const json_t *manifest, uint64_t *ret_t0, uint64_t *ret_t1)
{
	const json_t *window = json_object_get(manifest, "window");
	json_int_t t0 = json_integer_value(json_object_get(window, "t0_ns"));
	json_int_t t1 = json_integer_value(json_object_get(window, "t1_ns"));

	*ret_t0 = t0 > 0 ? (uint64_t)t0 : 0;
	*ret_t1 = t1 > 0 ? (uint64_t)t1 : 0;
	return t0 > 0 && t1 > t0;
}

/* target.json of a run; NULL when it has none. */
static json_t *read_target(const char *folder)
{
	struct stat st;
	json_t *target = NULL;
	FILE *file;
	int fd = -1;

	if (stored_open(folder, "target.json", &fd, NULL) < 0) {
		return NULL;
	}
	if (fstat(fd, &st) < 0 || st.st_size > TARGET_BYTES_MAX || (file = fdopen(fd, "r")) == NULL) {
		close(fd);
		return NULL;
	}
	target = json_loadf(file, 0, NULL);
	fclose(file);
	return target;
}

static bool is_same_process(const json_t *a, const json_t *b)
{
	json_int_t apart = json_integer_value(json_object_get(a, "start_ns")) -
			   json_integer_value(json_object_get(b, "start_ns"));

	return json_integer_value(json_object_get(a, "pid")) ==
		       json_integer_value(json_object_get(b, "pid")) &&
	       json_is_integer(json_object_get(a, "start_ns")) && apart > -SAME_START_NS &&
	       apart < SAME_START_NS;
}

/* One container, or a process in common, told by its id and its start. */
static bool is_same_target(const json_t *a, const json_t *b)
{
	const char *id = text_of(json_object_get(a, "container"), "id");
	const json_t *ours;
	const json_t *theirs;
	size_t i;
	size_t j;

	if (id[0] != '\0' && str_equal(id, text_of(json_object_get(b, "container"), "id"))) {
		return true;
	}
	json_array_foreach(json_object_get(a, "processes"), i, ours)
	{
		json_array_foreach(json_object_get(b, "processes"), j, theirs)
		{
			if (is_same_process(ours, theirs)) {
				return true;
			}
		}
	}
	return false;
}

/* What is known of the run that others are compared with. */
struct reference {
	const char *id;
	const json_t *manifest;
	const json_t *target; /* NULL: it names none */
	uint64_t t0_ns;
	uint64_t t1_ns;
};

static bool overlaps(const struct reference *reference, uint64_t t0, uint64_t t1)
{
	uint64_t from = t0 > reference->t0_ns ? t0 : reference->t0_ns;
	uint64_t to = t1 < reference->t1_ns ? t1 : reference->t1_ns;
	uint64_t ours = reference->t1_ns - reference->t0_ns;
	uint64_t shorter = t1 - t0 < ours ? t1 - t0 : ours;

	return to > from && to - from >= shorter / 2;
}

/* Whether the run of that folder is one; then it is told in *ret. */
static bool examine(const struct reference *reference, const char *folder, const char *id, struct beside *ret)
{
	json_t *manifest = NULL;
	json_t *target = NULL;
	bool is = false;

	if (str_equal(id, reference->id) || stored_manifest(folder, &manifest, NULL) < 0) {
		return false;
	}
	if (str_equal(text_of(manifest, "run"), id) && str_equal(text_of(manifest, "phase"), "sealed") &&
	    json_object_get(manifest, "replay_of") == NULL && text_of(manifest, "boot_id")[0] != '\0' &&
	    str_equal(text_of(manifest, "boot_id"), text_of(reference->manifest, "boot_id")) &&
	    window_of(manifest, &ret->t0_ns, &ret->t1_ns) && overlaps(reference, ret->t0_ns, ret->t1_ns)) {
		target = read_target(folder);
		is = target == NULL || reference->target == NULL || is_same_target(reference->target, target);
		ret->has_target = target != NULL;
	}
	json_decref(target);
	json_decref(manifest);
	return is;
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

static int is_run_name(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static int append(struct beside ***end, struct beside found, const char *folder, const char *id,
		  struct pfc_error *err)
{
	struct beside *item = malloc(sizeof(*item));

	if (item == NULL) {
		return error_nomem(err);
	}
	*item = found;
	item->id = strdup(id);
	item->folder = strdup(folder);
	item->next = NULL;
	**end = item;
	*end = &item->next;
	return item->id != NULL && item->folder != NULL ? 0 : error_nomem(err);
}

static int scan(const char *output, const struct reference *reference, struct beside **ret,
		struct pfc_error *err)
{
	struct dirent **entries = NULL;
	int count = scandir(output, &entries, is_run_name, newest_first);
	struct beside **end = ret;
	int rc = 0;

	for (int i = 0; i < count; i++) {
		char *folder = str_printf("%s/%s", output, entries[i]->d_name);
		struct beside found = { .id = NULL };

		if (rc == 0 && i < LOOKED_AT_MAX && folder != NULL &&
		    examine(reference, folder, entries[i]->d_name, &found)) {
			rc = append(&end, found, folder, entries[i]->d_name, err);
		}
		free(folder);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

int beside_find(const char *output, const char *folder, struct beside **ret, struct pfc_error *err)
{
	struct reference reference = { .id = "" };
	json_t *manifest = NULL;
	json_t *target;
	int rc = stored_manifest(folder, &manifest, err);

	*ret = NULL;
	if (rc < 0) {
		return rc;
	}
	target = read_target(folder);
	reference.id = text_of(manifest, "run");
	reference.manifest = manifest;
	reference.target = target;
	if (window_of(manifest, &reference.t0_ns, &reference.t1_ns)) {
		rc = scan(output, &reference, ret, err);
	}
	if (rc < 0) {
		beside_destroy(*ret);
		*ret = NULL;
	}
	json_decref(target);
	json_decref(manifest);
	return rc;
}

static bool has_kind(const struct plan_stored *list, const struct plan_stored *wanted)
{
	for (; list != NULL; list = list->next) {
		if (str_equal(list->type, wanted->type) && str_equal(list->signal, wanted->signal)) {
			return true;
		}
	}
	return false;
}

static int add_one(const struct beside *run, struct plan_stored **stored, struct pfc_error *err)
{
	struct plan_stored *before = *stored;
	struct plan_stored *more = NULL;
	int rc = stored_from_run(run->folder, run->id, true, &more, err);

	while (rc == 0 && more != NULL) {
		struct plan_stored *next = more->next;

		more->next = NULL;
		if (has_kind(before, more)) {
			plan_stored_destroy(more);
		} else {
			more->folder = strdup(run->folder);
			rc = more->folder != NULL ? 0 : error_nomem(err);
			more->next = *stored;
			*stored = more;
		}
		more = next;
	}
	plan_stored_destroy(more);
	return rc;
}

int beside_add(const struct beside *list, struct plan_stored **stored, struct pfc_error *err)
{
	int rc = 0;

	for (; rc == 0 && list != NULL; list = list->next) {
		rc = add_one(list, stored, err);
	}
	return rc;
}

void beside_narrow(const struct beside *list, json_t *manifest)
{
	json_t *window = json_object_get(manifest, "window");
	json_int_t realtime = json_integer_value(json_object_get(window, "realtime_at_t0_ns"));
	uint64_t first;
	uint64_t t0;
	uint64_t t1;

	if (!window_of(manifest, &t0, &t1)) {
		return;
	}
	first = t0;
	for (; list != NULL; list = list->next) {
		t0 = list->t0_ns > t0 ? list->t0_ns : t0;
		t1 = list->t1_ns < t1 ? list->t1_ns : t1;
	}
	if (t1 > t0) {
		json_object_set_new(window, "t0_ns", json_integer((json_int_t)t0));
		json_object_set_new(window, "t1_ns", json_integer((json_int_t)t1));
		json_object_set_new(window, "duration_ns", json_integer((json_int_t)(t1 - t0)));
		json_object_set_new(window, "realtime_at_t0_ns",
				    json_integer(realtime + (json_int_t)(t0 - first)));
	}
}

void beside_destroy(struct beside *list)
{
	while (list != NULL) {
		struct beside *next = list->next;

		free(list->id);
		free(list->folder);
		free(list);
		list = next;
	}
}

/* SPDX-License-Identifier: MIT */
#include "run/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "plan/beside.h"
#include "plan/stored.h"
#include "stage/protocol.h"

static int copy_file(const struct rundir *dir, int from_fd, const char *to, struct pfc_error *err)
{
	int to_fd = -1;
	ssize_t copied = 1;
	int rc = rundir_create_file(dir, to, &to_fd, err);

	while (rc == 0 && copied > 0) {
		copied = copy_file_range(from_fd, NULL, to_fd, NULL, 1u << 30, 0);
		if (copied < 0) {
			rc = error_errno(err, errno, "copy %s", to);
		}
	}
	if (to_fd >= 0) {
		close(to_fd);
	}
	return rc;
}

/* Returns 0; 1 when the place is taken; or what failed. */
static int keep_file(struct run *run, const char *folder, const char *path, struct pfc_error *err)
{
	char link[64];
	int fd = -1;
	int rc = stored_open(folder, path, &fd, err);

	if (rc < 0) {
		return rc;
	}
	/* The file that was opened, whatever stands at its path by now. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, link, run->dir->fd, path, AT_SYMLINK_FOLLOW) < 0) {
		rc = errno == EEXIST ? 1 : copy_file(run->dir, fd, path, err);
	}
	close(fd);
	return rc;
}

int keep_stored(struct run *run, struct pfc_error *err)
{
	int rc = 0;

	for (const struct plan_stored *s = run->plan->stored; rc >= 0 && s != NULL; s = s->next) {
		rc = s->folder == NULL ? keep_file(run, run->settings->replay_of, s->path, err) : 0;
	}
	return rc < 0 ? rc : 0;
}

/* ---- joined ---- */

static bool is_joined(const struct run *run, const char *folder, const json_t *stage, const json_t *artifact)
{
	for (const struct plan_stored *s = run->plan->stored; s != NULL; s = s->next) {
		if (s->folder != NULL && str_equal(s->folder, folder) &&
		    str_equal(s->producer, protocol_text(stage, "name")) &&
		    str_equal(s->port, protocol_text(artifact, "port"))) {
			return true;
		}
	}
	return false;
}

/* The artifacts of a stage that were joined and are files of this run now. */
static int keep_stage(struct run *run, const struct beside *beside, json_t *stage, struct pfc_error *err)
{
	json_t *kept = json_array();
	json_t *artifact;
	size_t i;
	int rc = 0;

	json_array_foreach(json_object_get(stage, "artifacts"), i, artifact)
	{
		rc = is_joined(run, beside->folder, stage, artifact)
			     ? keep_file(run, beside->folder, protocol_text(artifact, "path"), err)
			     : 1;
		if (rc < 0) {
			break;
		}
		if (rc == 0) {
			json_array_append(kept, artifact);
		}
	}
	if (json_array_size(kept) > 0) {
		json_t *entry = json_copy(stage);

		json_object_set(entry, "artifacts", kept);
		json_object_set_new(entry, "run", json_string(beside->id));
		json_array_append_new(json_object_get(run->stored, "stages"), entry);
	}
	json_decref(kept);
	return rc < 0 ? rc : 0;
}

int keep_joined(struct run *run, struct pfc_error *err)
{
	int rc = 0;

	for (const struct beside *one = run->settings->beside; rc == 0 && one != NULL; one = one->next) {
		json_t *manifest = NULL;
		json_t *stage;
		size_t i;

		rc = stored_manifest(one->folder, &manifest, err);
		json_array_foreach(json_object_get(manifest, "stages"), i, stage)
		{
			rc = rc == 0 ? keep_stage(run, one, stage, err) : rc;
		}
		json_decref(manifest);
	}
	return rc;
}

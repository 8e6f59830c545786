/* SPDX-License-Identifier: MIT */
/*
 * A control group as a whole: whether it lives, ended, or began anew. An engine makes a new folder of the same name for each
 * start of a container, so the folder's inode tells generations apart; one that was made anew under another id is found by
 * asking the engine again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "target/track.h"

#define LOOK_NS      100000000u
#define ASK_NS       500000000u
#define FIRST_ASK_NS 1500000000u /* an engine answers nothing about a container while it restarts it */
/* An end with no start so long after it is the end of the target. Docker's own restart begins after 100 ms, then doubles. */
#define GRACE_NS 3000000000u

static uint64_t inode_of(const struct container *container)
{
	struct stat stat_buf;

	return stat(container->folder, &stat_buf) == 0 ? stat_buf.st_ino : 0;
}

static char *copy_of(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

static void add_life(struct track_group *group, uint64_t from_ns)
{
	struct track_life *life;

	if (group->life_count < TRACK_LIVES_MAX) {
		life = &group->lives[group->life_count];
		*life = (struct track_life){ .pid = group->container.pid, .from_ns = from_ns };
		memcpy(life->id, group->container.id, sizeof(life->id));
	}
	group->life_count++;
}

static struct track_life *last_life(struct track_group *group)
{
	return &group->lives[group->life_count < TRACK_LIVES_MAX ? group->life_count - 1
								 : TRACK_LIVES_MAX - 1];
}

int track_group_create(const struct container *container, const struct engine_query *query, bool follow,
		       struct track_group **ret, struct pfc_error *err)
{
	struct track_group *group = calloc(1, sizeof(*group));

	if (group == NULL) {
		return error_nomem(err);
	}
	group->container = *container;
	group->follow = follow;
	group->has_query = query != NULL;
	if (query != NULL) {
		group->query = (struct engine_query){ copy_of(query->container), copy_of(query->service),
						      copy_of(query->project), copy_of(query->image),
						      copy_of(query->socket) };
	}
	group->inode = inode_of(container);
	group->oom_kills = cgroup_oom_kills(container->path);
	group->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (group->ended_fd < 0) {
		track_group_destroy(group);
		return error_errno(err, errno, "create an eventfd");
	}
	add_life(group, 0);
	*ret = group;
	return PFC_OK;
}

void track_group_destroy(struct track_group *group)
{
	if (group == NULL) {
		return;
	}
	if (group->ended_fd >= 0) {
		close(group->ended_fd);
	}
	free((void *)(size_t)group->query.container);
	free((void *)(size_t)group->query.service);
	free((void *)(size_t)group->query.project);
	free((void *)(size_t)group->query.image);
	free((void *)(size_t)group->query.socket);
	free(group);
}

bool track_group_holds(const struct track_group *group, int32_t pid)
{
	return container_holds(&group->container, pid);
}

/* The old events hang on a folder that is gone: all is opened anew, and what runs now is what begins now. */
static void begin_life(struct tracker *tracker, int32_t pid, uint64_t now_ns)
{
	struct track_group *group = tracker->track_group;
	struct pfc_error err = { 0 };
	int32_t *pids = NULL;
	size_t count = 0;

	tracker_drop_ended(tracker, now_ns);
	track_perf_close(tracker->perf);
	track_proc_close(tracker->proc);
	tracker->perf = NULL;
	tracker->proc = NULL;
	group->container.pid = pid;
	group->inode = inode_of(&group->container);
	group->oom_kills = cgroup_oom_kills(group->container.path);
	tracker->root_pid = pid;
	tracker->state.generation++;
	add_life(group, now_ns);
	if (tracker->mode == TRACK_PROC || track_perf_open(tracker, &tracker->perf, &err) < 0) {
		(void)track_proc_open(tracker, &tracker->proc, &err);
	}
	if (tracker_list(tracker, &pids, &count) == 0) {
		for (size_t i = 0; i < count; i++) {
			tracker_refresh(tracker, pids[i], now_ns, true);
		}
		free(pids);
	}
	log_warning("the target %s began anew: generation %u, process %d", group->container.name,
		    tracker->state.generation, (int)pid);
}

static void note_oom(struct track_group *group)
{
	int64_t kills = cgroup_oom_kills(group->container.path);

	if (kills > group->oom_kills && group->oom_kills >= 0 && !group->was_oom) {
		group->was_oom = true;
		log_warning("the kernel killed in %s for lack of memory", group->container.name);
	}
	group->oom_kills = kills >= 0 ? kills : group->oom_kills;
}

/* The kernel's counter went with the folder: the engine has read it in time. Lets go of the lock meanwhile. */
static void ask_why(struct tracker *tracker)
{
	struct track_group *group = tracker->track_group;
	struct engine_query query = { .container = group->container.id, .socket = group->container.engine };
	struct engine_answer answer = { .count = 0 };
	bool was_oom = false;

	pthread_mutex_unlock(&tracker->lock);
	if (engine_ask(&query, &answer, NULL) == PFC_OK) {
		for (size_t i = 0; i < answer.count; i++) {
			was_oom = was_oom || (answer.containers[i].was_oom && answer.containers[i].is_match);
		}
		engine_answer_finish(&answer);
	}
	pthread_mutex_lock(&tracker->lock);
	if (was_oom && !group->was_oom) {
		group->was_oom = true;
		log_warning("the kernel killed in %s for lack of memory", group->container.name);
	}
}

static void end(struct tracker *tracker)
{
	struct track_group *group = tracker->track_group;
	uint64_t one = 1;
	ssize_t ignored;

	if (group->has_ended) {
		return;
	}
	group->has_ended = true;
	if (group->has_query && group->container.engine[0] != '\0') {
		ask_why(tracker);
	}
	ignored = write(group->ended_fd, &one, sizeof(one));
	(void)ignored;
}

/* Ask the engine for a successor: made anew, with another id. Lets go of the lock meanwhile. */
static void find_successor(struct tracker *tracker, uint64_t now_ns)
{
	struct track_group *group = tracker->track_group;
	struct container next;
	struct pfc_error err;
	int status;

	group->ask_ns = now_ns + ASK_NS;
	pthread_mutex_unlock(&tracker->lock);
	status = container_find(&group->query, &next, &err);
	pthread_mutex_lock(&tracker->lock);
	if (status == PFC_OK && strcmp(next.id, group->container.id) != 0) {
		group->container = next;
		begin_life(tracker, next.pid, procfs_now_ns());
	}
}

static void look_at_dead(struct tracker *tracker, uint64_t now_ns)
{
	struct track_group *group = tracker->track_group;
	struct track_life *life = last_life(group);

	if (life->gone_ns == 0) {
		life->gone_ns = now_ns;
		group->ask_ns = now_ns + FIRST_ASK_NS;
		tracker_drop_ended(tracker, now_ns);
		note_oom(group);
	}
	if (!group->follow || now_ns > life->gone_ns + GRACE_NS) {
		end(tracker);
	} else if (group->has_query && now_ns >= group->ask_ns) {
		find_successor(tracker, now_ns);
	}
}

void track_group_look(struct tracker *tracker)
{
	struct track_group *group = tracker->track_group;
	uint64_t now_ns = procfs_now_ns();
	int32_t *pids = NULL;
	size_t count = 0;

	if (now_ns < group->next_ns) {
		return;
	}
	group->next_ns = now_ns + LOOK_NS;
	if (container_pids(&group->container, &pids, &count) < 0) {
		return;
	}
	if (count == 0) {
		look_at_dead(tracker, now_ns);
	} else if (inode_of(&group->container) != group->inode) {
		last_life(group)->gone_ns =
			last_life(group)->gone_ns != 0 ? last_life(group)->gone_ns : now_ns;
		if (group->follow) {
			begin_life(tracker, pids[0], now_ns);
		} else {
			end(tracker);
		}
	} else {
		note_oom(group);
	}
	free(pids);
}

/* SPDX-License-Identifier: MIT */
#include "target_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 5000000000u

static void open_stream(struct fixture *fixture)
{
	struct pfc_error err = { 0 };
	int fd = -1;

	ck_assert_msg(target_serve(fixture->target, true, &fd, &err) == 0, "%s: %s", err.what, err.why);
	ck_assert_msg(target_client_create(fd, &fixture->client, &err) == 0, "%s: %s", err.what, err.why);
	fixture->service = target_client_service(fixture->client);
}

static void open_target(struct fixture *fixture, const struct target_config *config, enum track_mode mode)
{
	struct pfc_error err = { 0 };

	ck_assert_msg(target_open_with(config, mode, &fixture->target, &err) == 0, "%s: %s (%s)", err.what, err.why,
		      err.hint);
	open_stream(fixture);
}

void fixture_launch(struct fixture *fixture, const char *command, enum track_mode mode)
{
	struct target_config config = { .command = command, .stop_timeout_ns = 300000000 };

	memset(fixture, 0, sizeof(*fixture));
	fixture->output_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(fixture->output_fd, 0);
	config.output_fd = fixture->output_fd;
	open_target(fixture, &config, mode);
}

void fixture_attach(struct fixture *fixture, int32_t pid, enum track_mode mode)
{
	struct target_config config = { .pid = pid, .output_fd = -1 };

	memset(fixture, 0, sizeof(*fixture));
	fixture->output_fd = -1;
	open_target(fixture, &config, mode);
}

void fixture_release(struct fixture *fixture)
{
	struct pfc_error err = { 0 };

	ck_assert_msg(target_release(fixture->target, &err) == 0, "%s: %s", err.what, err.why);
}

void fixture_close(struct fixture *fixture)
{
	target_client_destroy(fixture->client);
	target_close(fixture->target);
	if (fixture->output_fd >= 0) {
		close(fixture->output_fd);
	}
	free(fixture->seen);
}

static const struct seen *keep(struct fixture *fixture, const struct pfc_target_event *event)
{
	struct seen *seen;

	if (fixture->count == fixture->room) {
		fixture->room = fixture->room > 0 ? fixture->room * 2 : 256;
		fixture->seen = realloc(fixture->seen, fixture->room * sizeof(*seen));
		ck_assert_ptr_nonnull(fixture->seen);
	}
	seen = &fixture->seen[fixture->count++];
	seen->event = *event;
	snprintf(seen->text, sizeof(seen->text), "%s", event->text);
	seen->event.text = NULL;
	return seen;
}

static bool matches(const struct seen *seen, uint32_t kind, int32_t pid, const char *text)
{
	return seen->event.kind == kind && (pid == 0 || seen->event.pid == pid) &&
	       (text == NULL || strstr(seen->text, text) != NULL);
}

/* The next event, waiting for it; NULL when the patience ends. */
static const struct seen *take(struct fixture *fixture, uint64_t until_ns)
{
	struct pfc_target_event event = { .struct_size = sizeof(event) };

	while (procfs_now_ns() < until_ns) {
		struct pollfd poll_fd = { .fd = fixture->service->fd(fixture->service->ctx), .events = POLLIN };
		int32_t status = fixture->service->next(fixture->service->ctx, &event);

		if (status == 0) {
			return keep(fixture, &event);
		}
		ck_assert_int_eq(status, PFC_EAGAIN);
		poll(&poll_fd, 1, 100);
	}
	return NULL;
}

const struct seen *fixture_await(struct fixture *fixture, uint32_t kind, int32_t pid, const char *text)
{
	uint64_t until_ns = procfs_now_ns() + PATIENCE_NS;
	const struct seen *seen = fixture_find(fixture, kind, pid, text);

	while (seen == NULL) {
		seen = take(fixture, until_ns);
		if (seen == NULL) {
			return NULL;
		}
		seen = matches(seen, kind, pid, text) ? seen : NULL;
	}
	return seen;
}

void fixture_drain(struct fixture *fixture)
{
	struct pollfd poll_fd = { .fd = target_exit_fd(fixture->target), .events = POLLIN };
	uint64_t until_ns = procfs_now_ns() + 6 * PATIENCE_NS;
	const struct seen *seen = NULL;
	uint64_t exited_ns = 0;

	while (seen == NULL || exited_ns == 0 || seen->event.kind != PFC_TARGET_SYNC || seen->event.time_ns < exited_ns) {
		seen = take(fixture, until_ns);
		ck_assert_msg(seen != NULL, "no SYNC after the target's end");
		if (exited_ns == 0 && poll(&poll_fd, 1, 0) == 1) {
			exited_ns = procfs_now_ns();
		}
	}
}

const struct seen *fixture_find(const struct fixture *fixture, uint32_t kind, int32_t pid, const char *text)
{
	for (size_t i = 0; i < fixture->count; i++) {
		if (matches(&fixture->seen[i], kind, pid, text)) {
			return &fixture->seen[i];
		}
	}
	return NULL;
}

size_t fixture_count(const struct fixture *fixture, uint32_t kind)
{
	size_t count = 0;

	for (size_t i = 0; i < fixture->count; i++) {
		count += fixture->seen[i].event.kind == kind;
	}
	return count;
}

void fixture_check_order(const struct fixture *fixture)
{
	for (size_t i = 1; i < fixture->count; i++) {
		ck_assert_uint_ge(fixture->seen[i].event.time_ns, fixture->seen[i - 1].event.time_ns);
	}
}

void fixture_output(const struct fixture *fixture, char *to, size_t to_bytes)
{
	ssize_t bytes = pread(fixture->output_fd, to, to_bytes - 1, 0);

	to[bytes > 0 ? bytes : 0] = '\0';
}

bool is_alive(int32_t pid)
{
	struct proc_stat stat;

	return procfs_stat(pid, &stat) == 0 && stat.state != 'Z' && stat.state != 'X';
}

bool await_gone(int32_t pid)
{
	for (int i = 0; i < 500 && is_alive(pid); i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return !is_alive(pid);
}

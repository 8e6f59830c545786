/* SPDX-License-Identifier: MIT */
/*
 * What programs were started as. A mapping has the name of the file that a link led to: Debian's redis-server is a link to
 * redis-check-rdb, and a report on a program by that name would baffle everybody. The name that execve was given is what the
 * first thread is called; it counts only if a file of that name, beside the mapped one, is this very file.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "stacks/session.h"

#define TEXT_BYTES 2048

static bool is_same_file(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
	       left.st_dev == right.st_dev;
}

static bool is_beside(const struct pfc_target_service *target, const struct module *module, const char *name)
{
	struct pfc_target_event event = { .struct_size = sizeof(event), .kind = PFC_TARGET_MAP };
	bool is_same;
	int fd;

	event.pid = module->pid;
	event.tid = module->pid;
	event.inode = module->inode;
	event.dev_major = module->dev_major;
	event.dev_minor = module->dev_minor;
	event.text = module->path;
	fd = target->open_related(target->ctx, &event, PFC_TARGET_DEBUG_BESIDE, name);
	if (fd < 0) {
		return false;
	}
	is_same = is_same_file(fd, module->image.fd);
	close(fd);
	return is_same;
}

/* The other name of a program's file; NULL: none that is known. Names of threads are cut at 15 bytes. */
static const char *other_name(struct pfc_stacks_session *session, const struct module *module)
{
	const struct space_thread *thread = spaces_thread(&session->spaces, module->pid);
	const char *slash = strrchr(module->path, '/');

	if (module->row == 0 || module->state != MODULE_OPEN || module->kind != MODULE_FILE ||
	    !module->headers.is_program || module->image.fd < 0 || slash == NULL || thread == NULL ||
	    thread->name[0] == '\0' || strchr(thread->name, '/') != NULL ||
	    str_starts(slash + 1, thread->name) || !is_beside(session->target, module, thread->name)) {
		return NULL;
	}
	return thread->name;
}

int started_as_state(struct pfc_stacks_session *session)
{
	char text[TEXT_BYTES] = "";
	size_t at = 0;

	if (session->target == NULL || !PFC_HAS(session->target, open_related)) {
		return 0;
	}
	for (uint32_t i = 0; i < session->modules.count && at < sizeof(text); i++) {
		const struct module *module = &session->modules.rows[i];
		const char *name = other_name(session, module);
		int bytes;

		if (name == NULL) {
			continue;
		}
		bytes = snprintf(text + at, sizeof(text) - at, "%s%s as %s", at > 0 ? "\n" : "", module->path,
				 name);
		if (bytes < 0 || (size_t)bytes >= sizeof(text) - at) {
			text[at] = '\0';
			break;
		}
		at += (size_t)bytes;
	}
	return at > 0 ? session->writer->fact_text(session->writer->ctx, "started_as", text) : 0;
}

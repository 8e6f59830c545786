/* SPDX-License-Identifier: MIT */
#include "stacks/module.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <profcore/host.h>

#include "base/str.h"
#include "stacks/jit_dump.h"

#define MODULES_MAX    65536
#define OPEN_MAX_FILES 768 /* below the usual soft limit of 1024 descriptors */
#define PATH_BYTES_MAX 4096
#define TIMEOUTS_MAX   3 /* after so many unanswered opens the sampling loop is worth more than names */

static enum module_kind kind_of(const struct pfc_target_event *event)
{
	if (str_equal(event->text, "[vdso]")) {
		return MODULE_VDSO;
	}
	if (event->text[0] != '/' || event->text[1] == '/' || str_starts(event->text, "/dev/zero") ||
	    str_starts(event->text, "/anon_hugepage")) {
		return MODULE_ANONYMOUS;
	}
	return MODULE_FILE;
}

static bool is_same(const struct module *module, const struct pfc_target_event *event)
{
	return (module->kind != MODULE_ANONYMOUS || module->pid == event->pid) &&
	       module->inode == event->inode && module->dev_major == event->dev_major &&
	       module->dev_minor == event->dev_minor &&
	       strncmp(module->path, event->text, PATH_BYTES_MAX) == 0;
}

static int add_module(struct modules *modules, const struct pfc_target_event *event)
{
	struct module *module;
	char *path;

	if (modules->count >= MODULES_MAX ||
	    array_reserve(&modules->rows, &modules->room, (uint64_t)modules->count + 1,
			  sizeof(*modules->rows)) != 0) {
		return PFC_ENOMEM;
	}
	path = strndup(event->text, PATH_BYTES_MAX);
	if (path == NULL) {
		return PFC_ENOMEM;
	}
	module = &modules->rows[modules->count++];
	memset(module, 0, sizeof(*module));
	module->path = path;
	module->pid = event->pid;
	module->inode = event->inode;
	module->dev_major = event->dev_major;
	module->dev_minor = event->dev_minor;
	module->kind = kind_of(event);
	module->image.fd = -1;
	module->map_fd = -1;
	return 0;
}

int modules_of_event(struct modules *modules, const struct pfc_target_event *event, uint32_t *ret)
{
	uint32_t value =
		hash_bytes(event->text, strnlen(event->text, PATH_BYTES_MAX)) ^ hash_mix(event->inode);
	int status = hash_reserve(&modules->index);
	uint32_t at, row;

	/* Code without a file is another in each process. */
	value ^= kind_of(event) == MODULE_ANONYMOUS ? hash_mix((uint64_t)(uint32_t)event->pid) : 0;
	if (status != 0) {
		return status;
	}
	for (at = hash_first(&modules->index, value);; at = hash_next(&modules->index, at)) {
		row = hash_row(&modules->index, at);
		if (row == HASH_NONE) {
			break;
		}
		if (hash_is(&modules->index, at, value) && is_same(&modules->rows[row], event)) {
			*ret = row;
			return 0;
		}
	}
	row = modules->count;
	status = add_module(modules, event);
	if (status == 0) {
		hash_take(&modules->index, at, value, row);
		*ret = row;
	}
	return status;
}

/* The kernel gives every process of one kind the same vDSO, so ours stands for the target's when the sizes agree. */
static int open_vdso(struct module *module, const struct module_mapping *mapping)
{
	const uint8_t *start =
		(const uint8_t *)getauxval(AT_SYSINFO_EHDR); /* NOLINT: an address by contract */
	Elf64_Ehdr header;
	uint64_t bytes;

	if (start == NULL) {
		return PFC_ENOENT;
	}
	memcpy(&header, start, sizeof(header));
	bytes = header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize;
	if (((bytes + 4095) & ~4095ULL) != mapping->end - mapping->start) {
		return PFC_ENOTSUP;
	}
	module->image.fd = -1;
	module->image.memory = start;
	module->image.bytes = bytes;
	return 0;
}

void module_find_map(struct module *module, const struct pfc_target_service *target)
{
	struct pfc_target_event event = { .struct_size = sizeof(event), .kind = PFC_TARGET_MAP };

	if (module->map_fd >= 0 || target == NULL || !PFC_HAS(target, open_related)) {
		return;
	}
	event.pid = module->pid;
	event.tid = module->pid;
	event.text = module->path;
	module->map_fd = target->open_related(target->ctx, &event, PFC_TARGET_PERF_MAP, NULL);
}

static struct module_request request_of(const struct modules *modules, const struct module *module,
					const struct module_mapping *mapping,
					const struct pfc_target_service *target)
{
	return (struct module_request){
		.target = target,
		.map = { .struct_size = sizeof(struct pfc_target_event),
			 .kind = PFC_TARGET_MAP,
			 .pid = mapping->pid,
			 .tid = mapping->pid,
			 .start = mapping->start,
			 .length = mapping->end - mapping->start,
			 .offset = mapping->offset,
			 .inode = module->inode,
			 .dev_major = module->dev_major,
			 .dev_minor = module->dev_minor,
			 .text = module->path },
		.is_bare = module->kind == MODULE_ANONYMOUS,
		.may_open = modules->open_count < OPEN_MAX_FILES && modules->timeouts < TIMEOUTS_MAX,
		.wants_table = modules->wants_tables,
	};
}

static void take_found(struct modules *modules, struct module *module, const struct module_found *found)
{
	modules->timeouts += found->status == PFC_ETIMEDOUT;
	modules->open_count += (found->image.fd >= 0) + (found->map_fd >= 0);
	module->image = found->image;
	module->headers = found->headers;
	module->map_fd = found->map_fd;
	module->has_tried_table = found->has_tried_table;
	module->table = found->table;
	module->status = found->status;
	module->state = module->kind == MODULE_ANONYMOUS ? MODULE_BARE
			: found->status == 0             ? MODULE_OPEN
							 : MODULE_CLOSED;
}

/* 0; PFC_EAGAIN: it is on its way. */
static int open_module(struct modules *modules, struct module *module, const struct module_mapping *mapping,
		       const struct pfc_target_service *target)
{
	struct module_request request = request_of(modules, module, mapping, target);
	struct module_found found;

	if (module->kind == MODULE_VDSO) {
		module->status = open_vdso(module, mapping);
		module->status = module->status == 0 ? elf_read_headers(&module->image, &module->headers)
						     : module->status;
		module->state = module->status == 0 ? MODULE_OPEN : MODULE_CLOSED;
		return 0;
	}
	if (module->state == MODULE_UNUSED && modules->is_hurried && target != NULL && request.may_open) {
		module->job = module_open_later(&modules->opener, &request);
		module->state = module->job != NULL ? MODULE_OPENING : MODULE_UNUSED;
	}
	if (module->state == MODULE_UNUSED) {
		module_open(&request, &found);
	} else if (!module_job_take(modules->opener, module->job, !modules->is_hurried, &found)) {
		return PFC_EAGAIN;
	}
	module->job = NULL;
	take_found(modules, module, &found);
	return 0;
}

const struct module *modules_find_dump(const struct modules *modules, int32_t pid)
{
	for (uint32_t i = 0; i < modules->count; i++) {
		const struct module *module = &modules->rows[i];

		if (module->kind == MODULE_FILE && module->pid == pid && jit_dump_is(module->path)) {
			return module;
		}
	}
	return NULL;
}

int modules_use(struct modules *modules, uint32_t number, const struct module_mapping *mapping,
		const struct pfc_target_service *target, struct intern *intern)
{
	struct module *module = &modules->rows[number];
	bool is_jit;

	if (module->row != 0) {
		return 0;
	}
	if (module->state == MODULE_UNUSED || module->state == MODULE_OPENING) {
		int status = open_module(modules, module, mapping, target);

		if (status != 0) {
			return status;
		}
	}
	is_jit = module->map_fd >= 0 ||
		 (module->kind == MODULE_ANONYMOUS && modules_find_dump(modules, module->pid) != NULL);
	return intern_module(intern, module->kind, is_jit ? "[jit]" : module->path, module->headers.build_id,
			     module->kind == MODULE_FILE ? module->path : "", &module->row);
}

struct unwind_table *module_table(struct module *module)
{
	struct unwind_table *table;

	if (module->has_tried_table || module->state != MODULE_OPEN) {
		return module->table;
	}
	module->has_tried_table = true;
	table = malloc(sizeof(*table));
	if (table != NULL && unwind_table_read(&module->image, &module->headers, table) == 0) {
		module->table = table;
	} else {
		free(table);
	}
	return module->table;
}

uint64_t module_address(const struct module *module, const struct module_mapping *mapping, uint64_t address)
{
	uint64_t offset = address - mapping->start + mapping->offset;
	uint64_t vaddr;

	if (module->state == MODULE_BARE) {
		return address;
	}
	if (module->state == MODULE_OPEN && elf_vaddr_of_offset(&module->headers, offset, &vaddr)) {
		return vaddr;
	}
	return offset;
}

void modules_finish(struct modules *modules)
{
	module_opener_destroy(modules->opener);
	for (uint32_t i = 0; i < modules->count; i++) {
		free(modules->rows[i].path);
		if (modules->rows[i].table != NULL) {
			unwind_table_finish(modules->rows[i].table);
			free(modules->rows[i].table);
		}
		if (modules->rows[i].image.fd >= 0) {
			close(modules->rows[i].image.fd);
		}
		if (modules->rows[i].map_fd >= 0) {
			close(modules->rows[i].map_fd);
		}
	}
	free(modules->rows);
	hash_finish(&modules->index);
	memset(modules, 0, sizeof(*modules));
}

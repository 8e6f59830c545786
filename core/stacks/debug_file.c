/* SPDX-License-Identifier: MIT */
#include "stacks/debug_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <profcore/host.h>

#include "base/str.h"

#define HOST_FOLDER   "/usr/lib/debug"
#define LINK_MAX      4096
#define CRC_BYTES_MAX (4ULL << 30)

/** What .gnu_debuglink says. */
struct debug_link {
	char name[256];
	uint32_t crc;
};

/* The build-id comes from the target's file: only hex digits may become part of a path. */
static bool is_build_id(const char *text)
{
	return strlen(text) >= 8 && strspn(text, "0123456789abcdef") == strlen(text);
}

/* Open for reading what is a regular file; never waits for a writer of a pipe. [moved] fd */
static int take_file(int fd, struct debug_file *ret)
{
	struct debug_file file = { .image = { .fd = fd } };
	struct stat stat;
	int status;

	if (fd < 0) {
		return PFC_ENOENT;
	}
	status = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) ? 0 : PFC_ENOENT;
	if (status == 0) {
		file.image.bytes = (uint64_t)stat.st_size;
		status = elf_read_headers(&file.image, &file.headers);
	}
	if (status != 0) {
		close(fd);
		return PFC_ENOENT;
	}
	*ret = file;
	return 0;
}

static int open_in_target(const struct module *module, const struct pfc_target_service *target, uint32_t kind,
			  const char *name)
{
	struct pfc_target_event event = { .struct_size = sizeof(event), .kind = PFC_TARGET_MAP };

	if (target == NULL || !PFC_HAS(target, open_related)) {
		return PFC_ENOTSUP;
	}
	event.pid = module->pid;
	event.tid = module->pid;
	event.inode = module->inode;
	event.dev_major = module->dev_major;
	event.dev_minor = module->dev_minor;
	event.text = module->path;
	return target->open_related(target->ctx, &event, kind, name);
}

static int open_on_host(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int host_by_build_id(const char *build_id)
{
	char path[sizeof(HOST_FOLDER) + ELF_BUILD_ID_TEXT + sizeof("/.build-id//.debug")];

	snprintf(path, sizeof(path), HOST_FOLDER "/.build-id/%.2s/%s.debug", build_id, build_id + 2);
	return open_on_host(path);
}

/* A path of the target below a folder of ours: it must not climb out of it. */
static int host_by_link(const struct module *module, const char *name)
{
	const char *slash = strrchr(module->path, '/');
	char path[PATH_MAX];
	int bytes;

	if (slash == NULL || strstr(module->path, "/../") != NULL) {
		return PFC_ENOENT;
	}
	bytes = snprintf(path, sizeof(path), HOST_FOLDER "%.*s/%s", (int)(slash - module->path), module->path,
			 name);
	return bytes < (int)sizeof(path) ? open_on_host(path) : PFC_ENOENT;
}

int debug_file_of_build_id(const struct module *module, const char *build_id,
			   const struct pfc_target_service *target, struct debug_file *ret)
{
	if (!is_build_id(build_id)) {
		return PFC_ENOENT;
	}
	for (int pass = 0; pass < 2; pass++) {
		struct debug_file file;
		int fd = pass == 0 ? open_in_target(module, target, PFC_TARGET_DEBUG_BUILD_ID, build_id)
				   : host_by_build_id(build_id);

		if (take_file(fd, &file) != 0) {
			continue;
		}
		if (file.headers.build_id[0] == '\0' || str_equal(file.headers.build_id, build_id)) {
			*ret = file;
			return 0;
		}
		close(file.image.fd);
	}
	return PFC_ENOENT;
}

/* Name, NUL, padding to four bytes, CRC-32. */
static bool read_link(const struct elf_image *image, const struct elf_sections *sections,
		      struct debug_link *ret)
{
	const struct elf_section *section = elf_sections_find(sections, ".gnu_debuglink");
	uint8_t *bytes;
	size_t name_bytes, crc_at;
	bool is_good;

	if (section == NULL || elf_section_bytes(image, section, LINK_MAX, &bytes) != 0) {
		return false;
	}
	name_bytes = strlen((const char *)bytes);
	crc_at = (name_bytes + 1 + 3) & ~(size_t)3;
	is_good = name_bytes > 0 && name_bytes < sizeof(ret->name) && crc_at + 4 <= section->bytes &&
		  memchr(bytes, '/', name_bytes) == NULL;
	if (is_good) {
		memcpy(ret->name, bytes, name_bytes + 1);
		memcpy(&ret->crc, bytes + crc_at, sizeof(ret->crc));
	}
	free(bytes);
	return is_good;
}

static bool has_crc(const struct elf_image *image, uint32_t wanted)
{
	uint64_t room = 1 << 20;
	uint8_t *bytes = image->bytes <= CRC_BYTES_MAX ? malloc(room) : NULL;
	uLong crc = crc32(0, NULL, 0);

	for (uint64_t at = 0; bytes != NULL && at < image->bytes; at += room) {
		room = image->bytes - at < room ? image->bytes - at : room;
		if (elf_read(image, at, bytes, room) != 0) {
			free(bytes);
			return false;
		}
		crc = crc32(crc, bytes, (uInt)room);
	}
	free(bytes);
	return bytes != NULL && crc == wanted;
}

static bool is_same_file(const struct elf_image *a, const struct elf_image *b)
{
	struct stat left, right;

	return fstat(a->fd, &left) == 0 && fstat(b->fd, &right) == 0 && left.st_ino == right.st_ino &&
	       left.st_dev == right.st_dev;
}

/* Equal build-ids prove it without reading the file; else the checksum does. */
static bool belongs(const struct module *module, const struct debug_file *file, uint32_t crc)
{
	if (module->headers.build_id[0] != '\0' && file->headers.build_id[0] != '\0') {
		return str_equal(module->headers.build_id, file->headers.build_id);
	}
	return has_crc(&file->image, crc);
}

static int open_candidate(const struct module *module, const struct pfc_target_service *target, int candidate,
			  const char *name)
{
	static const uint32_t kinds[] = { PFC_TARGET_DEBUG_BESIDE, PFC_TARGET_DEBUG_BELOW,
					  PFC_TARGET_DEBUG_GLOBAL };

	return candidate < 3 ? open_in_target(module, target, kinds[candidate], name)
			     : host_by_link(module, name);
}

static int find_by_link(const struct module *module, const struct elf_sections *sections,
			const struct pfc_target_service *target, struct debug_file *ret, bool *ret_mismatched)
{
	struct debug_link link;

	if (!read_link(&module->image, sections, &link)) {
		return PFC_ENOENT;
	}
	for (int candidate = 0; candidate < 4; candidate++) {
		struct debug_file file;

		if (take_file(open_candidate(module, target, candidate, link.name), &file) != 0) {
			continue;
		}
		if (!is_same_file(&module->image, &file.image)) {
			if (belongs(module, &file, link.crc)) {
				*ret = file;
				return 0;
			}
			*ret_mismatched = true;
		}
		close(file.image.fd);
	}
	return PFC_ENOENT;
}

int debug_file_find(const struct module *module, const struct elf_sections *sections,
		    const struct pfc_target_service *target, struct debug_file *ret, bool *ret_mismatched)
{
	int status = debug_file_of_build_id(module, module->headers.build_id, target, ret);

	return status == 0 ? 0 : find_by_link(module, sections, target, ret, ret_mismatched);
}

int debug_file_fetched(const struct module *module, int fd, struct debug_file *ret)
{
	struct debug_file file;

	if (take_file(fd, &file) != 0) {
		return PFC_ENOENT;
	}
	if (!str_equal(file.headers.build_id, module->headers.build_id)) {
		close(file.image.fd);
		return PFC_ENOENT;
	}
	*ret = file;
	return 0;
}

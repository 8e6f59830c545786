/* SPDX-License-Identifier: MIT */
#include "stacks/debug_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <profcore/status.h>

#define FOLDER "/usr/lib/debug/.build-id"

/* The build-id comes from the target's file: only hex digits may become part of a path. */
static bool is_hex(const char *text)
{
	return strspn(text, "0123456789abcdef") == strlen(text);
}

int debug_file_open(const char *build_id, struct elf_image *ret_image, struct elf_headers *ret_headers)
{
	struct elf_image image = { .fd = -1 };
	char path[sizeof(FOLDER) + ELF_BUILD_ID_TEXT + sizeof("//.debug")];
	struct stat stat;
	int status;

	if (strlen(build_id) < 4 || !is_hex(build_id)) {
		return PFC_ENOENT;
	}
	snprintf(path, sizeof(path), FOLDER "/%.2s/%s.debug", build_id, build_id + 2);
	image.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (image.fd < 0) {
		return PFC_ENOENT;
	}
	status = fstat(image.fd, &stat) == 0 && S_ISREG(stat.st_mode) ? 0 : PFC_ENOENT;
	if (status == 0) {
		image.bytes = (uint64_t)stat.st_size;
		status = elf_read_headers(&image, ret_headers);
	}
	if (status != 0) {
		close(image.fd);
		return status;
	}
	*ret_image = image;
	return 0;
}

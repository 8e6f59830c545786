/* SPDX-License-Identifier: MIT */
#include "stacks/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stacks/hash.h"

/** A file of the folder. */
struct kept {
	char *name;
	uint64_t bytes;
	struct timespec used;
};

static int compare_kept(const void *a, const void *b)
{
	const struct kept *left = a;
	const struct kept *right = b;

	if (left->used.tv_sec != right->used.tv_sec) {
		return left->used.tv_sec < right->used.tv_sec ? -1 : 1;
	}
	return left->used.tv_nsec < right->used.tv_nsec ? -1 : left->used.tv_nsec > right->used.tv_nsec;
}

/* What is ours by its name; the folder may hold other things, which stay. */
static uint32_t list(DIR *dir, struct kept **ret)
{
	uint32_t count = 0, room = 0;
	struct dirent *entry;
	struct stat stat;

	while ((entry = readdir(dir)) != NULL) {
		if (strstr(entry->d_name, ".names") == NULL ||
		    fstatat(dirfd(dir), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISREG(stat.st_mode) || array_reserve(ret, &room, count + 1ULL, sizeof(**ret)) != 0) {
			continue;
		}
		(*ret)[count] = (struct kept){ strdup(entry->d_name), (uint64_t)stat.st_size, stat.st_atim };
		count += (*ret)[count].name != NULL;
	}
	return count;
}

void cache_trim(int folder, uint64_t bytes_most, uint32_t count_most)
{
	/* Not a copy of the descriptor: they would share their place in the folder. */
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct kept *files = NULL;
	uint64_t bytes = 0;
	uint32_t count;

	if (dir == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	count = list(dir, &files);
	for (uint32_t i = 0; i < count; i++) {
		bytes += files[i].bytes;
	}
	if (count > 0) {
		qsort(files, count, sizeof(*files), compare_kept);
	}
	for (uint32_t i = 0; i < count; i++) {
		if ((bytes > bytes_most || count - i > count_most) &&
		    unlinkat(folder, files[i].name, 0) == 0) {
			bytes -= files[i].bytes;
		}
		free(files[i].name);
	}
	free(files);
	closedir(dir);
}

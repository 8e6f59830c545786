/* SPDX-License-Identifier: MIT */
/* The files that were seen mapped, and which of them have a descriptor: see opener_inside.h. */
#include <stdlib.h>
#include <string.h>

#include "target/opener_inside.h"
#include "target/wire.h"

#define FILES_MAX 16384u

void opener_unlink(struct opener *opener, struct file *file)
{
	*(file->newer != NULL ? &file->newer->older : &opener->newest) = file->older;
	*(file->older != NULL ? &file->older->newer : &opener->oldest) = file->newer;
	file->newer = NULL;
	file->older = NULL;
}

void opener_link(struct opener *opener, struct file *file)
{
	file->older = opener->newest;
	*(opener->newest != NULL ? &opener->newest->newer : &opener->oldest) = file;
	opener->newest = file;
}

int opener_drop_oldest(struct opener *opener)
{
	struct file *file = opener->oldest;
	int fd;

	while (file != NULL && file->busy) {
		file = file->newer;
	}
	if (opener->kept <= opener->kept_max || file == NULL) {
		return -1;
	}
	fd = file->fd;
	file->fd = -1;
	opener_unlink(opener, file);
	opener->kept--;
	return fd;
}

static uint32_t hash_map(const struct proc_map *map)
{
	uint32_t hash = (uint32_t)(map->inode * 2654435761u) ^ (map->dev_major << 20) ^ map->dev_minor;

	for (const char *at = map->path; *at != '\0'; at++) {
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	}
	return hash;
}

struct file *opener_entry(struct opener *opener, const struct proc_map *map)
{
	uint32_t hash = hash_map(map);
	struct file *file = opener->files[hash % BUCKETS];

	while (file != NULL &&
	       !(file->hash == hash && file->inode == map->inode && file->dev_major == map->dev_major &&
		 file->dev_minor == map->dev_minor && strcmp(file->path, map->path) == 0)) {
		file = file->next;
	}
	return file;
}

struct file *opener_add(struct opener *opener, const struct proc_map *map)
{
	size_t bytes = strlen(map->path) + 1;
	uint32_t hash = hash_map(map);
	struct file *file;

	if (opener->file_count >= FILES_MAX || bytes > WIRE_TEXT_BYTES) {
		return NULL;
	}
	file = calloc(1, sizeof(*file) + bytes);
	if (file == NULL) {
		return NULL;
	}
	file->hash = hash;
	file->inode = map->inode;
	file->dev_major = map->dev_major;
	file->dev_minor = map->dev_minor;
	file->fd = -1;
	memcpy(file->path, map->path, bytes);
	file->next = opener->files[hash % BUCKETS];
	opener->files[hash % BUCKETS] = file;
	opener->file_count++;
	return file;
}

/* SPDX-License-Identifier: MIT */
#include "stacks/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include <profcore/status.h>

#include "stacks/elf.h"

#define MAGIC          "pfcnames"
#define FORMAT         1U
#define FILE_BYTES_MAX (32ULL << 20)
#define FOLDER_BYTES   (256ULL << 20)
#define FOLDER_FILES   4096U
#define NAME_BYTES     (ELF_BUILD_ID_TEXT + sizeof(".names.12345678"))

struct header {
	char magic[8];
	uint32_t format;
	uint32_t crc;                       /* of all that follows this field */
	char writer[ELF_BUILD_ID_TEXT + 7]; /* the profcore that wrote it, by its own build-id */
	struct cache_identity identity;
	uint32_t address_count, frame_count, text_bytes;
	uint32_t has_debug_file;
};

#define CRC_FROM (offsetof(struct header, crc) + sizeof(uint32_t))

_Static_assert(sizeof(struct header) % 8 == 0, "what follows is aligned");

/* Another profcore may find other names. */
static const char *own_build_id(void)
{
	static _Thread_local struct elf_headers own;
	struct elf_image image = { .fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC) };
	struct stat stat;

	if (own.build_id[0] == '\0' && image.fd >= 0 && fstat(image.fd, &stat) == 0) {
		image.bytes = (uint64_t)stat.st_size;
		(void)elf_read_headers(&image, &own);
	}
	if (image.fd >= 0) {
		close(image.fd);
	}
	return own.build_id;
}

bool cache_identify(int fd, struct cache_identity *ret)
{
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) != 0) {
		return false;
	}
	*ret = (struct cache_identity){
		.inode = stat.st_ino,
		.bytes = (uint64_t)stat.st_size,
		.modified_ns = (uint64_t)stat.st_mtim.tv_sec * 1000000000ULL + (uint64_t)stat.st_mtim.tv_nsec,
		.changed_ns = (uint64_t)stat.st_ctim.tv_sec * 1000000000ULL + (uint64_t)stat.st_ctim.tv_nsec,
	};
	return true;
}

/* The build-id is the target's word: hex digits alone may become a name. */
static bool make_name(const char *build_id, const char *suffix, char *ret)
{
	if (strlen(build_id) < 16 || strspn(build_id, "0123456789abcdef") != strlen(build_id)) {
		return false;
	}
	snprintf(ret, NAME_BYTES, "%s.names%s", build_id, suffix);
	return true;
}

/* A descriptor of a file that nobody but us could write; -1. */
static int open_own(int folder, const char *name, uint64_t *ret_bytes)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat stat;

	if (fd < 0) {
		return -1;
	}
	if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_uid != geteuid() ||
	    (stat.st_mode & (S_IWGRP | S_IWOTH)) != 0 || (uint64_t)stat.st_size < sizeof(struct header) ||
	    (uint64_t)stat.st_size > FILE_BYTES_MAX) {
		close(fd);
		return -1;
	}
	*ret_bytes = (uint64_t)stat.st_size;
	return fd;
}

static void lay_out(struct cache *cache, const struct header *header)
{
	const uint8_t *at = (const uint8_t *)(header + 1);

	cache->has_debug_file = header->has_debug_file != 0;
	cache->address_count = header->address_count;
	cache->frame_count = header->frame_count;
	cache->text_bytes = header->text_bytes;
	cache->addresses = (const uint64_t *)(const void *)at;
	at += cache->address_count * sizeof(*cache->addresses);
	cache->frames = (const struct cache_frame *)(const void *)at;
	at += cache->frame_count * sizeof(*cache->frames);
	cache->first = (const uint32_t *)(const void *)at;
	at += (cache->address_count + 1ULL) * sizeof(*cache->first);
	cache->texts = (const char *)at;
}

/* The checksum says that it is as we wrote it; this, that we would not be led astray even so. */
static bool is_sound(const struct cache *cache)
{
	if (cache->text_bytes == 0 || cache->texts[0] != '\0' ||
	    cache->texts[cache->text_bytes - 1] != '\0' || cache->first[0] != 0 ||
	    cache->first[cache->address_count] != cache->frame_count) {
		return false;
	}
	for (uint32_t i = 0; i < cache->address_count; i++) {
		if (cache->first[i] > cache->first[i + 1] ||
		    (i > 0 && cache->addresses[i - 1] >= cache->addresses[i])) {
			return false;
		}
	}
	for (uint32_t i = 0; i < cache->frame_count; i++) {
		if (cache->frames[i].function >= cache->text_bytes ||
		    cache->frames[i].file >= cache->text_bytes) {
			return false;
		}
	}
	return true;
}

static uint64_t bytes_of(const struct header *header)
{
	return sizeof(*header) + (uint64_t)header->address_count * sizeof(uint64_t) +
	       (uint64_t)header->frame_count * sizeof(struct cache_frame) +
	       (header->address_count + 1ULL) * sizeof(uint32_t) + header->text_bytes;
}

static int check(const struct header *header, uint64_t bytes, const struct cache_identity *identity)
{
	if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0 || header->format != FORMAT) {
		return PFC_ECORRUPT;
	}
	if (bytes_of(header) != bytes ||
	    crc32(0, (const Bytef *)header + CRC_FROM, (uInt)(bytes - CRC_FROM)) != header->crc) {
		return PFC_ECORRUPT;
	}
	/* Sound, and of something else. */
	if (strncmp(header->writer, own_build_id(), sizeof(header->writer)) != 0 ||
	    memcmp(&header->identity, identity, sizeof(*identity)) != 0) {
		return PFC_ENOENT;
	}
	return 0;
}

int cache_read(int folder, const char *build_id, const struct cache_identity *identity, struct cache *ret)
{
	static const struct timespec used[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
	char name[NAME_BYTES];
	struct cache cache = { .bytes = NULL };
	uint64_t bytes;
	int fd = make_name(build_id, "", name) ? open_own(folder, name, &bytes) : -1;
	int status = PFC_ENOMEM;

	if (fd < 0) {
		return PFC_ENOENT;
	}
	cache.bytes = malloc(bytes);
	if (cache.bytes != NULL) {
		status = pread(fd, cache.bytes, bytes, 0) == (ssize_t)bytes
				 ? check(cache.bytes, bytes, identity)
				 : PFC_ECORRUPT;
	}
	if (status == 0) {
		lay_out(&cache, cache.bytes);
		status = is_sound(&cache) ? 0 : PFC_ECORRUPT;
	}
	if (status == 0) {
		(void)futimens(fd, used);
		*ret = cache;
	} else {
		free(cache.bytes);
	}
	close(fd);
	return status;
}

static bool write_parts(int fd, const struct header *header, const struct cache *cache)
{
	const struct iovec parts[] = {
		{ (void *)(uintptr_t)header, sizeof(*header) },
		{ (void *)(uintptr_t)cache->addresses, cache->address_count * sizeof(*cache->addresses) },
		{ (void *)(uintptr_t)cache->frames, cache->frame_count * sizeof(*cache->frames) },
		{ (void *)(uintptr_t)cache->first, (cache->address_count + 1ULL) * sizeof(*cache->first) },
		{ (void *)(uintptr_t)cache->texts, cache->text_bytes },
	};

	return writev(fd, parts, sizeof(parts) / sizeof(parts[0])) == (ssize_t)bytes_of(header);
}

static uint32_t checksum(const struct header *header, const struct cache *cache)
{
	uLong crc = crc32(0, (const Bytef *)header + CRC_FROM, (uInt)(sizeof(*header) - CRC_FROM));

	crc = crc32(crc, (const Bytef *)cache->addresses,
		    cache->address_count * (uInt)sizeof(*cache->addresses));
	crc = crc32(crc, (const Bytef *)cache->frames, cache->frame_count * (uInt)sizeof(*cache->frames));
	crc = crc32(crc, (const Bytef *)cache->first,
		    (cache->address_count + 1) * (uInt)sizeof(*cache->first));
	return (uint32_t)crc32(crc, (const Bytef *)cache->texts, cache->text_bytes);
}

void cache_write(int folder, const char *build_id, const struct cache_identity *identity,
		 const struct cache *cache)
{
	struct header header = { .magic = MAGIC,
				 .format = FORMAT,
				 .identity = *identity,
				 .address_count = cache->address_count,
				 .frame_count = cache->frame_count,
				 .text_bytes = cache->text_bytes,
				 .has_debug_file = cache->has_debug_file };
	char name[NAME_BYTES], draft[NAME_BYTES], suffix[16];
	int fd;

	snprintf(header.writer, sizeof(header.writer), "%s", own_build_id());
	snprintf(suffix, sizeof(suffix), ".%d", (int)getpid() % 10000000);
	if (header.writer[0] == '\0' || bytes_of(&header) > FILE_BYTES_MAX ||
	    !make_name(build_id, "", name) || !make_name(build_id, suffix, draft)) {
		return;
	}
	header.crc = checksum(&header, cache);
	fd = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) { /* of one that was killed, and had our number */
		(void)unlinkat(folder, draft, 0);
		fd = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (fd < 0) {
		return;
	}
	if (!write_parts(fd, &header, cache) || renameat(folder, draft, folder, name) != 0) {
		(void)unlinkat(folder, draft, 0);
	}
	close(fd);
	cache_trim(folder, FOLDER_BYTES, FOLDER_FILES);
}

void cache_finish(struct cache *cache)
{
	free(cache->bytes);
	memset(cache, 0, sizeof(*cache));
}

/* SPDX-License-Identifier: MIT */
#include "artifact/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static const char zeros[FORMAT_ALIGN];

/* Drop what was written from the front of iov; returns how many entries are left, *iov is moved on. */
static int consume(struct iovec **iov, int count, size_t written)
{
	while (count > 0 && written >= (*iov)->iov_len) {
		written -= (*iov)->iov_len;
		(*iov)++;
		count--;
	}
	if (count > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + written;
		(*iov)->iov_len -= written;
	}
	return count;
}

int output_write_at(struct output *output, struct iovec *iov, int count, uint64_t offset)
{
	count = consume(&iov, count, 0);
	while (count > 0) {
		ssize_t written = pwritev(output->fd, iov, count, (off_t)offset);

		if (written < 0 && errno == EINTR) {
			continue;
		}
		if (written <= 0) {
			output->errnum = written < 0 ? errno : EIO;
			return error_status_of(output->errnum) == PFC_ENOSPC ? PFC_ENOSPC : PFC_EIO;
		}
		offset += (uint64_t)written;
		count = consume(&iov, count, (size_t)written);
	}
	return 0;
}

int output_begin(struct output *output, int fd, const char *type)
{
	struct format_file header = { 0 };
	struct iovec iov = { &header, sizeof(header) };
	int rc;

	memset(output, 0, sizeof(*output));
	output->fd = fd;
	memcpy(header.magic, FORMAT_MAGIC, sizeof(header.magic));
	memcpy(header.type, type, strnlen(type, FORMAT_TYPE_BYTES - 1));
	header.crc = format_crc(&header, offsetof(struct format_file, crc));
	rc = output_write_at(output, &iov, 1, 0);
	if (rc == 0) {
		output->bytes = sizeof(header);
		output->chain = format_crc(&header.crc, sizeof(header.crc));
	}
	return rc;
}

/* Descriptors, then each buffer, each padded to 64 bytes. Returns the number of iov entries. */
static int lay_out(const struct output_buffer *buffers, uint32_t count, struct format_buffer *descriptors,
		   struct iovec *iov, uint64_t *ret_bytes)
{
	uint64_t at = count * sizeof(*descriptors);
	int used = 0;

	iov[used++] = (struct iovec){ descriptors, at };
	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = format_align(at);

		iov[used++] = (struct iovec){ (void *)zeros, start - at };
		iov[used++] = (struct iovec){ (void *)buffers[i].data, buffers[i].bytes };
		descriptors[i].offset = start;
		descriptors[i].bytes = buffers[i].bytes;
		descriptors[i].crc = format_crc(buffers[i].data, buffers[i].bytes);
		descriptors[i].reserved = 0;
		at = start + buffers[i].bytes;
	}
	iov[used++] = (struct iovec){ (void *)zeros, format_align(at) - at };
	*ret_bytes = format_align(at);
	return used;
}

static void close_header(const struct output *output, struct format_block *block,
			 const struct format_buffer *descriptors, uint32_t count)
{
	memcpy(block->magic, FORMAT_BLOCK_MAGIC, sizeof(block->magic));
	block->buffer_count = count;
	block->sequence = output->sequence;
	block->descriptor_crc = format_crc(descriptors, count * sizeof(*descriptors));
	block->reserved = 0;
	block->crc = format_crc(block, offsetof(struct format_block, crc));
}

int output_block(struct output *output, struct format_block *block, const struct output_buffer *buffers,
		 uint32_t count)
{
	struct format_buffer descriptors[FORMAT_BUFFERS_MAX];
	struct iovec iov[2 * FORMAT_BUFFERS_MAX + 2];
	int iov_count;
	int rc;

	if (output->sequence >= FORMAT_BLOCKS_MAX) {
		output->errnum = EFBIG;
		return PFC_ENOSPC;
	}
	iov_count = lay_out(buffers, count, descriptors, iov, &block->body_bytes);
	close_header(output, block, descriptors, count);
	rc = output_write_at(output, iov, iov_count, output->bytes + sizeof(*block));
	if (rc != 0) {
		return rc;
	}
	iov[0] = (struct iovec){ block, sizeof(*block) };
	rc = output_write_at(output, iov, 1, output->bytes);
	if (rc != 0) {
		return rc;
	}
	output->bytes += sizeof(*block) + block->body_bytes;
	output->sequence++;
	output->chain = format_crc_add(output->chain, &block->crc, sizeof(block->crc));
	return 0;
}

int output_json(struct output *output, enum format_kind kind, uint32_t table, const char *text)
{
	struct format_block block = { .kind = kind, .table = table };
	struct output_buffer buffer = { text, strlen(text) };

	if (buffer.bytes > FORMAT_JSON_MAX) {
		output->errnum = EFBIG;
		return PFC_ENOSPC;
	}
	return output_block(output, &block, &buffer, 1);
}

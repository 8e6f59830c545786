/* SPDX-License-Identifier: MIT */
#include "artifact/format.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "artifact/artifact.h"

static const struct {
	const char *name;
	unsigned bytes;
} types[] = {
	[PFC_U8] = { "u8", 1 },   [PFC_U16] = { "u16", 2 },   [PFC_U32] = { "u32", 4 },
	[PFC_U64] = { "u64", 8 }, [PFC_I32] = { "i32", 4 },   [PFC_I64] = { "i64", 8 },
	[PFC_F64] = { "f64", 8 }, [PFC_UTF8] = { "utf8", 4 },
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

uint32_t format_crc_add(uint32_t crc, const void *data, uint64_t bytes)
{
	return (uint32_t)crc32_z(crc, data, bytes);
}

uint32_t format_crc(const void *data, uint64_t bytes)
{
	return format_crc_add(0, data, bytes);
}

unsigned format_type_bytes(uint32_t type)
{
	return type < TYPE_COUNT ? types[type].bytes : 0;
}

const char *format_type_name(uint32_t type)
{
	return type < TYPE_COUNT ? types[type].name : NULL;
}

uint32_t format_type_of(const char *name)
{
	for (uint32_t type = 1; type < TYPE_COUNT; type++) {
		if (strcmp(types[type].name, name) == 0) {
			return type;
		}
	}
	return 0;
}

bool format_name_ok(const char *name, bool with_dots)
{
	size_t bytes = strnlen(name, FORMAT_NAME_BYTES);

	if (bytes == 0 || bytes == FORMAT_NAME_BYTES || !islower((unsigned char)name[0])) {
		return false;
	}
	for (size_t i = 1; i < bytes; i++) {
		unsigned char c = (unsigned char)name[i];

		if (with_dots && c == '.' && name[i - 1] != '.' && i + 1 < bytes) {
			continue;
		}
		if (c > 127 || (!islower(c) && !isdigit(c) && c != '_')) {
			return false;
		}
	}
	return true;
}

bool format_unit_ok(const char *unit)
{
	size_t bytes = strnlen(unit, FORMAT_NAME_BYTES);

	for (size_t i = 0; i < bytes; i++) {
		if (unit[i] < 0x20 || unit[i] > 0x7e) {
			return false;
		}
	}
	return bytes < FORMAT_NAME_BYTES;
}

void format_number(double number, char ret[32])
{
	if (isnan(number)) {
		strcpy(ret, "nan"); /* printf may put a sign in front */
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(ret, 32, "%.*g", precision, number);
		if (strtod(ret, NULL) == number) {
			return;
		}
	}
}

/*
 * A media type has no version behind its slash: "profcore.stacks/1" against "image/svg+xml".
 * profcore.summary/1 is named like a set of tables and is a small JSON document.
 */
bool artifact_type_is_tables(const char *type)
{
	const char *slash = strrchr(type, '/');
	const char *digit;

	if (slash == NULL || slash == type || slash[1] == '\0' || strcmp(type, ARTIFACT_TYPE_SUMMARY) == 0 ||
	    memchr(type, '.', (size_t)(slash - type)) == NULL) {
		return false;
	}
	for (digit = slash + 1; *digit != '\0'; digit++) {
		if (*digit < '0' || *digit > '9') {
			return false;
		}
	}
	return true;
}

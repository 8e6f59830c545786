/* SPDX-License-Identifier: MIT */
/* One option's text to its value: types, units and limits. Knows nothing of sections. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "config/options.h"

#define LIST_MAX 4096

struct unit {
	const char *name;
	double factor;
};

static const struct unit duration_units[] = {
	{ "", 1e9 },   { "s", 1e9 },    { "ms", 1e6 },   { "us", 1e3 },    { "ns", 1 },
	{ "m", 60e9 }, { "min", 60e9 }, { "h", 3600e9 }, { "d", 86400e9 }, { NULL, 0 },
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "k", 1024 },
	{ "K", 1024 },
	{ "M", 1048576 },
	{ "G", 1073741824 },
	{ "T", 1099511627776 },
	{ "KiB", 1024 },
	{ "MiB", 1048576 },
	{ "GiB", 1073741824 },
	{ "TiB", 1099511627776 },
	{ "kB", 1e3 },
	{ "KB", 1e3 },
	{ "MB", 1e6 },
	{ "GB", 1e9 },
	{ "TB", 1e12 },
	{ NULL, 0 },
};

/* Decimal digits with at most one point; -1 when `text` is no such number followed by one of the units. */
static int64_t parse_with_unit(const char *text, const struct unit *units)
{
	size_t digits = strspn(text, "0123456789");
	size_t bytes = digits;
	double number;

	if (text[bytes] == '.') {
		size_t more = strspn(text + bytes + 1, "0123456789");

		digits += more;
		bytes += 1 + more;
	}
	if (digits == 0 || bytes > 32) {
		return -1;
	}
	number = strtod(text, NULL);
	text += bytes;
	text += strspn(text, " ");
	for (; units->name != NULL; units++) {
		if (str_equal(text, units->name)) {
			number *= units->factor;
			/* 2^63 as a double: everything below fits. */
			return number < 9223372036854775808.0 ? (int64_t)(number + (number < 1e15 ? 0.5 : 0))
							      : -1;
		}
	}
	return -1;
}

int64_t option_parse_duration(const char *text)
{
	return parse_with_unit(text, duration_units);
}

int64_t option_parse_size(const char *text)
{
	return parse_with_unit(text, size_units);
}

static const char *const type_names[] = { "",     "int",      "float", "bool", "string",
					  "enum", "duration", "size",  "list" };
#define TYPE_COUNT (sizeof(type_names) / sizeof(type_names[0]))

const char *option_type_name(enum pfc_value_type type)
{
	return (size_t)type < TYPE_COUNT ? type_names[type] : "";
}

enum pfc_value_type option_type_of(const char *name)
{
	for (size_t i = 1; i < TYPE_COUNT; i++) {
		if (str_equal(name, type_names[i])) {
			return (enum pfc_value_type)i;
		}
	}
	return (enum pfc_value_type)0;
}

static char *format_in(const struct unit *units, size_t count, double number, char *to, size_t to_bytes)
{
	size_t best = count - 1;

	for (size_t i = 0; i < count; i++) {
		double scaled = number / units[i].factor;

		if (number != 0 && scaled >= 1 && scaled == floor(scaled)) {
			best = i;
			break;
		}
	}
	snprintf(to, to_bytes, "%.15g%s", number / units[best].factor, units[best].name);
	return to;
}

char *option_format(enum pfc_value_type type, double number, char *to, size_t to_bytes)
{
	static const struct unit durations[] = {
		{ "d", 86400e9 }, { "h", 3600e9 }, { "min", 60e9 }, { "s", 1e9 },
		{ "ms", 1e6 },    { "us", 1e3 },   { "ns", 1 },
	};
	static const struct unit sizes[] = {
		{ "TiB", 1099511627776 },
		{ "GiB", 1073741824 },
		{ "MiB", 1048576 },
		{ "KiB", 1024 },
		{ "B", 1 },
	};

	if (type == PFC_VALUE_DURATION) {
		return format_in(durations, 7, number, to, to_bytes);
	}
	if (type == PFC_VALUE_SIZE) {
		return format_in(sizes, 5, number, to, to_bytes);
	}
	snprintf(to, to_bytes, "%.15g", number);
	return to;
}

static int refuse(struct pfc_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct pfc_error *err, const char *format, ...)
{
	va_list args;

	error_set(err, PFC_EINVAL, "", "read option");
	if (err != NULL) {
		va_start(args, format);
		vsnprintf(err->why, sizeof(err->why), format, args);
		va_end(args);
	}
	return PFC_EINVAL;
}

static int read_int(const char *text, int64_t *ret, struct pfc_error *err)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || isspace((unsigned char)text[0])) {
		return refuse(err, "is no whole number");
	}
	if (errno == ERANGE) {
		return refuse(err, "does not fit into 64 bits");
	}
	*ret = number;
	return 0;
}

static int read_float(const char *text, double *ret, struct pfc_error *err)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || isspace((unsigned char)text[0]) || !isfinite(number)) {
		return refuse(err, "is no number");
	}
	*ret = number;
	return 0;
}

static int read_bool(const char *text, int64_t *ret, struct pfc_error *err)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = (int64_t)(i % 2);
			return 0;
		}
	}
	return refuse(err, "is neither yes nor no");
}

static int read_enum(const struct manifest_option *def, const char *text, int64_t *ret, struct pfc_error *err)
{
	size_t count = 0;
	char *why;

	for (; def->values[count] != NULL; count++) {
		if (str_equal(text, def->values[count])) {
			*ret = (int64_t)count;
			return 0;
		}
	}
	why = str_none_of(text, (const char *const *)def->values, count);
	if (why == NULL) {
		return error_nomem(err);
	}
	refuse(err, "is %s", why);
	free(why);
	return PFC_EINVAL;
}

static int read_list(const char *text, struct option_value *ret, struct pfc_error *err)
{
	size_t count = 0;
	size_t room = 2;

	for (const char *at = text; *at != '\0'; at++) {
		room += *at == ',';
	}
	if (room > LIST_MAX) {
		return refuse(err, "has more than %d items", LIST_MAX);
	}
	ret->items = calloc(room, sizeof(*ret->items));
	if (ret->items == NULL) {
		return error_nomem(err);
	}
	for (const char *at = text; text[strspn(text, " \t")] != '\0';) {
		size_t bytes;

		at += strspn(at, " \t");
		bytes = strcspn(at, ",");
		while (bytes > 0 && isspace((unsigned char)at[bytes - 1])) {
			bytes--;
		}
		if (bytes == 0) {
			return refuse(err, "has an empty item (a comma too many)");
		}
		ret->items[count] = strndup(at, bytes);
		if (ret->items[count++] == NULL) {
			return error_nomem(err);
		}
		at += strcspn(at, ",");
		if (*at++ == '\0') {
			break;
		}
	}
	ret->value.items = (const char *const *)ret->items;
	ret->value.item_count = (uint32_t)count;
	return 0;
}

static int check_limits(const struct manifest_option *def, double number, struct pfc_error *err)
{
	const char *space = def->unit[0] != '\0' ? " " : "";
	char limit[64];

	if (def->has_min && number < def->min) {
		return refuse(err, "is below the minimum %s%s%s",
			      option_format(def->type, def->min, limit, sizeof(limit)), space, def->unit);
	}
	if (def->has_max && number > def->max) {
		return refuse(err, "is above the maximum %s%s%s",
			      option_format(def->type, def->max, limit, sizeof(limit)), space, def->unit);
	}
	return 0;
}

static int read_typed(const struct manifest_option *def, const char *text, struct option_value *ret,
		      struct pfc_error *err)
{
	int64_t *integer = &ret->value.integer;
	int rc = 0;

	switch (def->type) {
	case PFC_VALUE_INT:
		rc = read_int(text, integer, err);
		break;
	case PFC_VALUE_FLOAT:
		rc = read_float(text, &ret->value.real, err);
		return rc < 0 ? rc : check_limits(def, ret->value.real, err);
	case PFC_VALUE_BOOL:
		rc = read_bool(text, integer, err);
		break;
	case PFC_VALUE_ENUM:
		return read_enum(def, text, integer, err);
	case PFC_VALUE_DURATION:
		*integer = option_parse_duration(text);
		rc = *integer < 0 ? refuse(err, "is no duration, such as 30s, 250ms or 1.5h") : 0;
		break;
	case PFC_VALUE_SIZE:
		*integer = option_parse_size(text);
		rc = *integer < 0 ? refuse(err, "is no size, such as 64MiB, 512k or 1GB") : 0;
		break;
	case PFC_VALUE_LIST:
		return read_list(text, ret, err);
	default:
		return 0;
	}
	ret->value.real = (double)*integer;
	return rc < 0 ? rc : check_limits(def, ret->value.real, err);
}

void option_value_finish(struct option_value *value)
{
	for (char **item = value->items; item != NULL && *item != NULL; item++) {
		free(*item);
	}
	free(value->items);
	free(value->text);
	memset(value, 0, sizeof(*value));
}

int option_parse(const struct manifest_option *def, const char *text, struct option_value *ret,
		 struct pfc_error *err)
{
	struct option_value value = { .def = def };
	bool is_text = def->type == PFC_VALUE_STRING || def->type == PFC_VALUE_LIST;
	int rc = 0;

	value.value.struct_size = (uint32_t)sizeof(value.value);
	value.value.type = (uint32_t)def->type;
	value.text = strdup(text);
	if (value.text == NULL) {
		return error_nomem(err);
	}
	value.value.text = value.text;
	if (text[0] == '\0' && !is_text) {
		/* Nothing given, nothing by default: the plugin sees an empty text (an enum: position -1). */
		value.value.integer = def->type == PFC_VALUE_ENUM ? -1 : 0;
		rc = def->default_text[0] != '\0' ? refuse(err, "is empty") : 0;
	} else {
		rc = read_typed(def, text, &value, err);
	}
	if (rc < 0) {
		option_value_finish(&value);
		return rc;
	}
	*ret = value;
	return 0;
}

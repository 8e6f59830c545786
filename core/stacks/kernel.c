/* SPDX-License-Identifier: MIT */
#include "stacks/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <profcore/status.h>

#define FILE_BYTES_MAX (128ULL << 20)

/* The whole file, terminated; the caller frees it. */
static int read_all(const char *path, char **ret_text, uint64_t *ret_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t room = 1 << 20;
	uint64_t bytes = 0;
	char *text = fd >= 0 ? malloc(room) : NULL;

	while (text != NULL) {
		ssize_t got = read(fd, text + bytes, room - bytes - 1);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			close(fd);
			text[bytes] = '\0';
			*ret_text = text;
			*ret_bytes = bytes;
			return 0;
		}
		bytes += (uint64_t)got;
		if (bytes + 1 == room) {
			char *larger = room < FILE_BYTES_MAX ? realloc(text, room * 2) : NULL;

			if (larger == NULL) {
				free(text);
				close(fd);
				return PFC_ENOMEM;
			}
			text = larger;
			room *= 2;
		}
	}
	if (fd >= 0) {
		close(fd);
		return PFC_ENOMEM;
	}
	return PFC_ENOENT;
}

static int compare_modules(const void *a, const void *b)
{
	const struct kernel_module *left = a;
	const struct kernel_module *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

/* Lines of /proc/modules: name, bytes, references, users, state, 0xaddress. */
static void load_modules(struct kernel *kernel, const char *path)
{
	char *text = NULL;
	uint64_t bytes;
	char *save = NULL;

	if (read_all(path, &text, &bytes) != 0) {
		return;
	}
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		struct kernel_module *module;
		unsigned long long size, start;
		char name[64];

		if (sscanf(line, "%63s %llu %*s %*s %*s %llx", name, &size, &start) != 3 || start == 0 ||
		    array_reserve(&kernel->modules, &kernel->module_room, (uint64_t)kernel->module_count + 1,
				  sizeof(*kernel->modules)) != 0) {
			continue;
		}
		module = &kernel->modules[kernel->module_count++];
		memset(module, 0, sizeof(*module));
		module->start = start;
		module->end = start + size;
		snprintf(module->name, sizeof(module->name), "[%.61s]", name);
	}
	free(text);
	if (kernel->module_count > 0) {
		qsort(kernel->modules, kernel->module_count, sizeof(*kernel->modules), compare_modules);
	}
}

static const struct kernel_module *find_module(const struct kernel *kernel, uint64_t address)
{
	uint32_t low = 0;
	uint32_t high = kernel->module_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (kernel->modules[middle].end <= address) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low < kernel->module_count && kernel->modules[low].start <= address) {
		return &kernel->modules[low];
	}
	return NULL;
}

int kernel_locate(const struct kernel *kernel, struct kernel_rows *rows, struct intern *intern,
		  uint64_t address, uint32_t *ret)
{
	const struct kernel_module *module = find_module(kernel, address);
	uint32_t *row = &rows->kernel;
	int status = 0;

	if (module != NULL) {
		if (rows->modules == NULL) {
			rows->modules = calloc(kernel->module_count, sizeof(*rows->modules));
		}
		if (rows->modules == NULL) {
			return PFC_ENOMEM;
		}
		row = &rows->modules[module - kernel->modules];
	}
	if (*row == 0) {
		status = module != NULL
				 ? intern_module(intern, MODULE_KERNEL_MODULE, module->name, "", "", row)
				 : intern_module(intern, MODULE_KERNEL, "[kernel]", "", "", row);
	}
	if (status == 0) {
		*ret = *row;
	}
	return status;
}

void kernel_rows_finish(struct kernel_rows *rows)
{
	free(rows->modules);
	memset(rows, 0, sizeof(*rows));
}

/* One line "address type name\t[module]": terminates the name in place. False: not code, or not a line. */
static bool take_line(char *text, char *line, struct symbol *ret)
{
	char *at;
	char *name;
	char type;

	ret->address = strtoull(line, &at, 16);
	if (at == line || at[0] != ' ' || at[1] == '\0' || at[2] != ' ') {
		return false;
	}
	type = at[1];
	name = at + 3;
	at = name + strcspn(name, "\t \n");
	*at = '\0';
	if (strchr("tTwW", type) == NULL || name[0] == '\0') {
		return false;
	}
	ret->bytes = 0;
	ret->limit = 0;
	ret->name = (uint32_t)(name - text);
	ret->rank = (uint8_t)((type == 'T'                  ? 4
			       : type == 'W' || type == 'w' ? 2
							    : 0) +
			      (name[0] != '_' ? 1 : 0));
	return true;
}

/*
 * Behind the kernel's own text, up to the first symbol there, lies code that it made while it runs: BPF programs and trampolines
 * that were not there yet when the file was read. It is not the last function's.
 */
static void name_generated(struct symbols *symbols)
{
	static const char name[] = "generated code (BPF)";
	char *names;

	for (uint32_t i = 0; i < symbols->count; i++) {
		struct symbol *row = &symbols->rows[i];

		if (strcmp(symbols->names + row->name, "_einittext") != 0) {
			continue;
		}
		names = realloc(symbols->names, symbols->name_bytes + sizeof(name));
		if (names != NULL) {
			memcpy(names + symbols->name_bytes, name, sizeof(name));
			row->name = (uint32_t)symbols->name_bytes;
			symbols->names = names;
			symbols->name_bytes += sizeof(name);
		}
		return;
	}
}

/* Keep the names of code only, one after the other: a fifth of the file. */
static void pack_names(struct symbols *symbols)
{
	char *names = malloc(symbols->name_bytes + 1);
	uint64_t bytes = 0;

	if (names == NULL) {
		return;
	}
	for (uint32_t i = 0; i < symbols->count; i++) {
		const char *name = symbols->names + symbols->rows[i].name;
		size_t length = strlen(name) + 1;

		memcpy(names + bytes, name, length);
		symbols->rows[i].name = (uint32_t)bytes;
		bytes += length;
	}
	free(symbols->names);
	symbols->name_bytes = bytes;
	symbols->names = realloc(names, bytes > 0 ? bytes : 1);
	if (symbols->names == NULL) {
		symbols->names = names;
	}
}

static int load_symbols(const char *path, struct symbols *ret)
{
	struct symbols symbols = { 0 };
	uint32_t room = 0;
	bool hidden = true;
	int status = read_all(path, &symbols.names, &symbols.name_bytes);

	for (char *line = symbols.names; status == 0 && line < symbols.names + symbols.name_bytes;) {
		char *end = memchr(line, '\n', (size_t)(symbols.names + symbols.name_bytes - line));
		struct symbol symbol;

		if (end == NULL) {
			break;
		}
		*end = '\0';
		if (take_line(symbols.names, line, &symbol)) {
			hidden = hidden && symbol.address == 0;
			status = array_reserve(&symbols.rows, &room, (uint64_t)symbols.count + 1,
					       sizeof(symbol));
			if (status == 0) {
				symbols.rows[symbols.count++] = symbol;
			}
		}
		line = end + 1;
	}
	if (status != 0 || hidden) {
		symbols_finish(&symbols);
		return status != 0 ? status : PFC_EPERM;
	}
	symbols_sort(&symbols);
	name_generated(&symbols);
	pack_names(&symbols);
	*ret = symbols;
	return 0;
}

void kernel_open_files(struct kernel *kernel, const char *modules_path, const char *symbols_path)
{
	memset(kernel, 0, sizeof(*kernel));
	load_modules(kernel, modules_path);
	kernel->symbols_status = load_symbols(symbols_path, &kernel->symbols);
}

void kernel_open(struct kernel *kernel)
{
	kernel_open_files(kernel, "/proc/modules", "/proc/kallsyms");
}

void kernel_close(struct kernel *kernel)
{
	symbols_finish(&kernel->symbols);
	free(kernel->modules);
	memset(kernel, 0, sizeof(*kernel));
}

/* SPDX-License-Identifier: MIT */
#include "stage/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "stage/protocol.h"

static int fd_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (int)json_integer_value(value) : -1;
}

static void *array_for(const json_t *array, size_t element_bytes)
{
	return calloc(json_array_size(array) + 1, element_bytes);
}

static int read_option(const json_t *from, struct spec_option *option)
{
	const json_t *items = json_object_get(from, "items");
	size_t count = json_array_size(items);

	option->name = protocol_text(from, "name");
	option->value = (struct pfc_value){
		.struct_size = sizeof(option->value),
		.type = (uint32_t)protocol_int(from, "type"),
		.integer = protocol_int(from, "integer"),
		.real = json_number_value(json_object_get(from, "real")),
		.text = protocol_text(from, "text"),
		.item_count = (uint32_t)count,
		.is_set = protocol_int(from, "set") != 0,
	};
	option->items = calloc(count + 1, sizeof(*option->items));
	if (option->items == NULL) {
		return PFC_ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		const char *item = json_string_value(json_array_get(items, i));

		option->items[i] = item != NULL ? item : "";
	}
	option->value.items = option->items;
	return 0;
}

static int read_options(struct spec *spec)
{
	const json_t *array = json_object_get(spec->json, "options");
	const json_t *item;
	size_t i;

	spec->options = array_for(array, sizeof(*spec->options));
	if (spec->options == NULL) {
		return PFC_ENOMEM;
	}
	json_array_foreach (array, i, item) {
		if (read_option(item, &spec->options[spec->option_count++]) < 0) {
			return PFC_ENOMEM;
		}
	}
	return 0;
}

static int read_ports(struct spec *spec)
{
	const json_t *outputs = json_object_get(spec->json, "outputs");
	const json_t *inputs = json_object_get(spec->json, "inputs");
	const json_t *needs = json_object_get(spec->json, "needs");
	const json_t *metrics = json_object_get(spec->json, "metrics");
	const json_t *item;
	size_t i;

	spec->outputs = array_for(outputs, sizeof(*spec->outputs));
	spec->inputs = array_for(inputs, sizeof(*spec->inputs));
	spec->needs = array_for(needs, sizeof(*spec->needs));
	spec->metrics = array_for(metrics, sizeof(*spec->metrics));
	if (spec->outputs == NULL || spec->inputs == NULL || spec->needs == NULL || spec->metrics == NULL) {
		return PFC_ENOMEM;
	}
	json_array_foreach (outputs, i, item) {
		spec->outputs[spec->output_count++] = (struct spec_output){
			protocol_text(item, "port"), protocol_text(item, "type"), protocol_text(item, "signal"),
			fd_of(item, "fd"),
		};
	}
	json_array_foreach (inputs, i, item) {
		spec->inputs[spec->input_count++] = (struct spec_input){
			protocol_text(item, "port"),          protocol_text(item, "producer"),
			protocol_text(item, "producer_port"), protocol_text(item, "type"),
			protocol_text(item, "signal"),        json_is_true(json_object_get(item, "partial")),
			fd_of(item, "fd"),
		};
	}
	json_array_foreach (needs, i, item) {
		spec->needs[spec->need_count++] =
			(struct spec_need){ protocol_text(item, "port"), protocol_text(item, "column") };
	}
	json_array_foreach (metrics, i, item) {
		spec->metrics[spec->metric_count++] = json_is_string(item) ? json_string_value(item) : "";
	}
	return 0;
}

static void read_target(struct spec *spec)
{
	const json_t *target = json_object_get(spec->json, "target");

	spec->has_target = json_is_object(target);
	spec->target_kind = spec->has_target ? protocol_text(target, "kind") : "none";
	spec->target_name = protocol_text(target, "name");
	spec->target_cgroup = protocol_text(target, "cgroup");
	spec->target_held = json_is_true(json_object_get(target, "held"));
	spec->target_is_launched = json_is_true(json_object_get(target, "launched"));
	spec->target_fd = fd_of(target, "fd");
	spec->target_stacks_fd = fd_of(target, "stacks_fd");
	spec->cache_fd = fd_of(target, "cache_fd");
}

static int load(int fd, json_t **ret, struct pfc_error *err)
{
	json_error_t why;
	struct stat st;
	void *text;

	if (fstat(fd, &st) < 0) {
		return error_errno(err, errno, "read the stage's spec");
	}
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED) {
		return error_errno(err, errno, "read the stage's spec");
	}
	*ret = json_loadb(text, (size_t)st.st_size, 0, &why);
	munmap(text, (size_t)st.st_size);
	return *ret != NULL ? 0 : error_set(err, PFC_EPROTO, why.text, "read the stage's spec");
}

int spec_read(int fd, struct spec *ret, struct pfc_error *err)
{
	struct spec spec = { .target_fd = -1, .target_stacks_fd = -1, .cache_fd = -1 };
	int rc = load(fd, &spec.json, err);

	if (rc < 0) {
		return rc;
	}
	spec.stage = protocol_text(spec.json, "stage");
	spec.plugin_path = protocol_text(spec.json, "plugin_path");
	spec.plugin_dir = protocol_text(spec.json, "plugin_dir");
	spec.run_id = protocol_text(spec.json, "run_id");
	spec.run_name = protocol_text(spec.json, "run_name");
	spec.kind = (uint32_t)protocol_int(spec.json, "kind");
	spec.privileges = (uint32_t)protocol_int(spec.json, "privileges");
	spec.duration_ns = (uint64_t)protocol_int(spec.json, "duration_ns");
	spec.t0_ns = (uint64_t)protocol_int(spec.json, "t0_ns");
	spec.t1_ns = (uint64_t)protocol_int(spec.json, "t1_ns");
	spec.stop_fd = fd_of(spec.json, "stop_fd");
	read_target(&spec);
	if (read_options(&spec) < 0 || read_ports(&spec) < 0) {
		spec_finish(&spec);
		return error_nomem(err);
	}
	*ret = spec;
	return 0;
}

void spec_finish(struct spec *spec)
{
	for (size_t i = 0; i < spec->option_count; i++) {
		free(spec->options[i].items);
	}
	free(spec->options);
	free(spec->outputs);
	free(spec->inputs);
	free(spec->needs);
	free(spec->metrics);
	json_decref(spec->json);
	memset(spec, 0, sizeof(*spec));
}

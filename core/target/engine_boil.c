/* SPDX-License-Identifier: MIT */
/* What the core needs of an engine's answer, and which containers are meant. */
#include <string.h>

#include "base/str.h"
#include "target/engine_inside.h"

#define TEXT_MAX (ENGINE_TEXT_BYTES - 1)

const char *engine_text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

/* Cut at a letter's end. */
static json_t *short_text(const char *text)
{
	size_t bytes = strlen(text);

	bytes = bytes > TEXT_MAX ? TEXT_MAX : bytes;
	while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
		bytes--;
	}
	return json_stringn(text, bytes);
}

json_t *engine_boil(const json_t *labels, const char *id, const char *name, const char *image,
		    const char *state, const char *status)
{
	json_t *json = json_object();

	json_object_set_new(json, "id", short_text(id));
	json_object_set_new(json, "name", short_text(name[0] == '/' ? name + 1 : name));
	json_object_set_new(json, "image", short_text(image));
	json_object_set_new(json, "state", json_stringn(state, strnlen(state, 31)));
	json_object_set_new(json, "status", short_text(status));
	json_object_set_new(json, "service",
			    short_text(engine_text_of(labels, "com.docker.compose.service")));
	json_object_set_new(json, "project",
			    short_text(engine_text_of(labels, "com.docker.compose.project")));
	return json;
}

json_t *engine_boil_listed(const json_t *one)
{
	const char *name = json_string_value(json_array_get(json_object_get(one, "Names"), 0));

	return engine_boil(json_object_get(one, "Labels"), engine_text_of(one, "Id"), name != NULL ? name : "",
		    engine_text_of(one, "Image"), engine_text_of(one, "State"),
		    engine_text_of(one, "Status"));
}

json_t *engine_boil_inspected(const json_t *one)
{
	const json_t *config = json_object_get(one, "Config");
	const json_t *state = json_object_get(one, "State");
	json_t *json = engine_boil(json_object_get(config, "Labels"), engine_text_of(one, "Id"),
			    engine_text_of(one, "Name"), engine_text_of(config, "Image"),
			    engine_text_of(state, "Status"), "");

	json_object_set_new(json, "oom", json_boolean(json_is_true(json_object_get(state, "OOMKilled"))));
	json_object_set_new(json, "pid", json_integer(json_integer_value(json_object_get(state, "Pid"))));
	return json;
}

/* ---- which ones are meant ---- */

/* "web" means web:latest and web:2; "sha256:..." is a whole id. */
static bool is_image(const char *image, const char *wanted)
{
	size_t bytes = strlen(wanted);

	return strncmp(image, wanted, bytes) == 0 &&
	       (image[bytes] == '\0' || image[bytes] == ':' || image[bytes] == '@');
}

static bool is_named(const json_t *one, const char *wanted)
{
	return str_equal(engine_text_of(one, "name"), wanted) ||
	       str_starts(engine_text_of(one, "id"), wanted);
}

bool engine_is_meant(const struct asker *asker, const json_t *one)
{
	const char *container = engine_text_of(asker->request, "container");
	const char *service = engine_text_of(asker->request, "service");
	const char *project = engine_text_of(asker->request, "project");
	const char *image = engine_text_of(asker->request, "image");
	bool asks = container[0] != '\0' || service[0] != '\0' || image[0] != '\0';

	return asks && (container[0] == '\0' || is_named(one, container)) &&
	       (service[0] == '\0' || str_equal(engine_text_of(one, "service"), service)) &&
	       (project[0] == '\0' || str_equal(engine_text_of(one, "project"), project)) &&
	       (image[0] == '\0' || is_image(engine_text_of(one, "image"), image));
}

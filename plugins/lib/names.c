/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include <profcore/status.h>

#include "pairmap.h"
#include "text.h"

static uint64_t hash_bytes(const char *data, size_t bytes, uint64_t seed)
{
	uint64_t hash = seed ^ bytes, word;

	for (; bytes >= 8; data += 8, bytes -= 8) {
		memcpy(&word, data, 8);
		hash = pairmap_mix(hash ^ word);
	}
	word = 0;
	memcpy(&word, data, bytes);
	return pairmap_mix(hash ^ word);
}

static uint32_t *find(const struct names *names, const char *text, size_t bytes)
{
	uint32_t mask = names->slot_count - 1;
	uint32_t at = (uint32_t)hash_bytes(text, bytes, names->seed) & mask;

	while (names->slots[at] && strcmp(names->texts[names->slots[at] - 1], text) != 0) {
		at = (at + 1) & mask;
	}
	return &names->slots[at];
}

static int grow(struct names *names)
{
	uint32_t room = names->room ? names->room * 2 : 256, i;
	char **texts;
	uint32_t *slots;

	if (room > UINT32_MAX / 4) {
		return PFC_ENOMEM;
	}
	texts = realloc(names->texts, room * sizeof(*texts));
	if (!texts) {
		return PFC_ENOMEM;
	}
	names->texts = texts;
	slots = calloc((size_t)room * 2, sizeof(*slots));
	if (!slots) {
		return PFC_ENOMEM;
	}
	free(names->slots);
	names->slots = slots;
	names->slot_count = room * 2;
	names->room = room;
	for (i = 0; i < names->count; i++) {
		*find(names, texts[i], strlen(texts[i])) = i + 1;
	}
	return PFC_OK;
}

int names_clean(struct names *names, const char *clean, uint32_t *ret)
{
	size_t bytes = strlen(clean);
	uint32_t *slot;
	char *copy;

	if (names->count == names->room && grow(names) != PFC_OK) {
		return PFC_ENOMEM;
	}
	slot = find(names, clean, bytes);
	if (!*slot) {
		copy = malloc(bytes + 1);
		if (!copy) {
			return PFC_ENOMEM;
		}
		memcpy(copy, clean, bytes + 1);
		names->texts[names->count++] = copy;
		*slot = names->count;
	}
	*ret = *slot - 1;
	return PFC_OK;
}

int names_raw(struct names *names, struct pfc_string raw, uint32_t *ret)
{
	struct text clean = { 0 };
	int status = PFC_ENOMEM;

	text_clean(&clean, raw, NAMES_MAX_CHARS);
	if (raw.bytes > NAMES_MAX_CHARS) {
		text_format(&clean, "~%08x", (unsigned)hash_bytes(raw.data, (size_t)raw.bytes, 0));
	}
	if (!clean.failed) {
		status = names_clean(names, text_str(&clean), ret);
	}
	text_finish(&clean);
	return status;
}

int names_init(struct names *names, uint64_t seed)
{
	uint32_t empty;

	names->seed = seed;
	return names_clean(names, "", &empty);
}

void names_finish(struct names *names)
{
	uint32_t i;

	for (i = 0; i < names->count; i++) {
		free(names->texts[i]);
	}
	free(names->texts);
	free(names->slots);
	memset(names, 0, sizeof(*names));
}

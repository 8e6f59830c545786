/* SPDX-License-Identifier: MIT */
#include "artifact/facts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "artifact/json_text.h"
#include "artifact/utf8.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: whole doubles up to here are exact */

void facts_init(struct facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	pthread_mutex_init(&facts->lock, NULL);
}

/* [moved] value, also on failure. */
static int set(struct facts *facts, const char *key, json_t *value)
{
	int rc = PFC_ENOMEM;

	if (facts->values == NULL) {
		facts->values = json_object();
	}
	if (facts->values == NULL || value == NULL) {
		goto out;
	}
	if (json_object_size(facts->values) >= FACTS_MAX && json_object_get(facts->values, key) == NULL) {
		rc = PFC_ENOSPC;
		goto out;
	}
	if (json_object_set(facts->values, key, value) == 0) {
		atomic_store(&facts->changed, true);
		rc = 0;
	}
out:
	json_decref(value);
	return rc;
}

int facts_set_number(struct facts *facts, const char *key, double value)
{
	if (key == NULL || !format_name_ok(key, true) || !isfinite(value)) {
		return PFC_EINVAL;
	}
	if (value == floor(value) && fabs(value) <= EXACT_MAX) {
		return set(facts, key, json_integer((json_int_t)value));
	}
	return set(facts, key, json_real(value));
}

int facts_set_text(struct facts *facts, const char *key, const char *value)
{
	struct str clean = { 0 };
	json_t *text = NULL;

	if (key == NULL || value == NULL || !format_name_ok(key, true)) {
		return PFC_EINVAL;
	}
	utf8_add_clean(&clean, value, strnlen(value, FACT_TEXT_MAX));
	if (!clean.failed) {
		text = json_string(str_text(&clean));
	}
	str_finish(&clean);
	return set(facts, key, text);
}

/* With the lock held. */
static uint64_t *find_loss(struct facts *facts, const char *cause)
{
	uint32_t i;

	for (i = 0; i < facts->loss_count; i++) {
		if (strcmp(facts->losses[i].cause, cause) == 0) {
			return &facts->losses[i].count;
		}
	}
	if (i == LOSS_CAUSES) {
		return &facts->losses[LOSS_CAUSES - 1].count;
	}
	strcpy(facts->losses[i].cause, i == LOSS_CAUSES - 1 ? "other" : cause);
	facts->loss_count++;
	return &facts->losses[i].count;
}

int facts_lose(struct facts *facts, const char *cause, uint64_t count)
{
	bool valid = cause != NULL && format_name_ok(cause, true);

	if (count > 0) {
		uint64_t *sum;

		pthread_mutex_lock(&facts->lock);
		sum = find_loss(facts, valid ? cause : "other");
		*sum = *sum + count < *sum ? UINT64_MAX : *sum + count;
		pthread_mutex_unlock(&facts->lock);
		atomic_store(&facts->changed, true);
	}
	return valid ? 0 : PFC_EINVAL;
}

json_t *facts_lost(const struct facts *facts)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&facts->lock;
	json_t *lost = json_object();
	bool failed = lost == NULL;

	pthread_mutex_lock(lock);
	for (uint32_t i = 0; i < facts->loss_count && !failed; i++) {
		uint64_t count = facts->losses[i].count;

		failed = json_object_set_new(
				 lost, facts->losses[i].cause,
				 json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count)) != 0;
	}
	pthread_mutex_unlock(lock);
	if (failed) {
		json_decref(lost);
		return NULL;
	}
	return lost;
}

json_t *facts_values(const struct facts *facts)
{
	return facts->values != NULL ? json_copy(facts->values) : json_object();
}

char *facts_print(struct facts *facts)
{
	json_t *values;
	json_t *lost;
	json_t *root = NULL;
	char *text;

	atomic_store(&facts->changed, false);
	values = facts_values(facts);
	lost = facts_lost(facts);
	if (values != NULL && lost != NULL) {
		root = json_pack("{s:O,s:O}", "facts", values, "lost", lost);
	}
	text = json_text_print(root);
	if (text == NULL) {
		atomic_store(&facts->changed, true);
	}
	json_decref(root);
	json_decref(values);
	json_decref(lost);
	return text;
}

void facts_finish(struct facts *facts)
{
	json_decref(facts->values);
	pthread_mutex_destroy(&facts->lock);
}

/* SPDX-License-Identifier: MIT */
/*
 * The document. Its root holds the still picture (id "still") and the script, which takes the still picture away and puts the
 * live one in its place. Nothing is loaded from anywhere.
 */
#include "flame.h"

#include <profcore/status.h>

static void add_member(struct text *to, const char *key, const struct text *value)
{
	text_add(to, key);
	text_add(to, ":");
	text_json(to, text_str(value));
	text_add(to, ",\n");
	to->failed |= value->failed;
}

static void add_script(const struct flame *flame, const struct flame_head *head, struct text *to)
{
	text_add(to, "<script type=\"text/javascript\"><![CDATA[\n(function () {\nvar P = {\n");
	add_member(to, "title", &head->title);
	add_member(to, "about", &head->about);
	add_member(to, "health", &head->health);
	add_member(to, "warnings", &flame->health->warnings);
	add_member(to, "note", &head->note);
	flame_data(flame, to);
	text_add(to, "};\n");
	text_add(to, flame_view_js);
	text_add(to, "})();\n]]></script>\n");
}

int flame_document(const struct flame *flame, struct text *ret)
{
	struct text to = { 0 }, still = { 0 };
	struct flame_head head;
	unsigned height;

	flame_head_make(flame, &head);
	flame_still(flame, &head, &still, &height);
	text_add(&to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	text_format(&to,
		    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%%\" height=\"%u\" viewBox=\"0 0 "
		    "1200 %u\" "
		    "preserveAspectRatio=\"xMidYMin meet\" role=\"img\" aria-labelledby=\"title "
		    "about\">\n<title id=\"title\">",
		    height, height);
	text_xml(&to, text_str(&head.title));
	text_add(&to, "</title>\n<desc id=\"about\">");
	text_xml(&to, text_str(&head.about));
	text_add(&to, "</desc>\n");
	text_add(&to, "<meta xmlns=\"http://www.w3.org/1999/xhtml\" name=\"viewport\" "
		      "content=\"width=device-width, initial-scale=1\"/>\n<style>\n");
	flame_palette(&to);
	text_add(&to, flame_view_css);
	text_add(&to, "</style>\n<g id=\"still\">\n<rect width=\"100%\" height=\"100%\" class=\"page\"/>\n");
	text_bytes(&to, text_str(&still), still.bytes);
	text_add(&to, "</g>\n");
	add_script(flame, &head, &to);
	text_add(&to, "</svg>\n");
	to.failed |= still.failed;
	text_finish(&still);
	flame_head_finish(&head);
	if (to.failed) {
		text_finish(&to);
		return PFC_ENOMEM;
	}
	*ret = to;
	return PFC_OK;
}

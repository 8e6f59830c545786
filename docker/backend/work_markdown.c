/* SPDX-License-Identifier: MIT */
/* The light piece: a comment's Markdown to HTML, byte by byte. */
#include "work.h"

#include <stddef.h>

#define HTML_BYTES 1024

static const char comment_text[] =
	"I *fully* agree with the _first_ answer, but `a < b && b < c` is not what the page says. "
	"See *chapter 4*: \"escape < and > and & everywhere\", then _measure_ before you `sort()` or "
	"`hash()`.";

/* The text that a character of Markdown stands for; toggles says which of the three marks are open. */
static inline const char *replacement(char c, unsigned *toggles)
{
	switch (c) {
	case '*':
		*toggles ^= 1;
		return *toggles & 1 ? "<b>" : "</b>";
	case '_':
		*toggles ^= 2;
		return *toggles & 2 ? "<i>" : "</i>";
	case '`':
		*toggles ^= 4;
		return *toggles & 4 ? "<tt>" : "</tt>";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	default:
		return NULL;
	}
}

NOINLINE uint64_t render_markdown(uint64_t seed, uint64_t passes)
{
	char html[HTML_BYTES];
	uint64_t sum = seed;

	for (uint64_t pass = 0; pass < passes; pass++) {
		unsigned toggles = 0;
		size_t out = 0;

		for (size_t in = 0; in + 1 < sizeof(comment_text) && out + 8 < sizeof(html); in++) {
			char c = (char)(comment_text[in] ^ (in == pass % 16 ? (char)(sum & 1) : 0));
			const char *text = replacement(c, &toggles);

			if (text == NULL) {
				html[out++] = c;
				continue;
			}
			while (*text != '\0') {
				html[out++] = *text++;
			}
		}
		for (size_t i = 0; i < out; i += 16) {
			sum = sum * 31 + (unsigned char)html[i];
		}
	}
	return sum;
}

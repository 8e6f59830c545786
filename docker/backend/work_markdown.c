/* SPDX-License-Identifier: MIT */
/* The light piece: a comment's Markdown to HTML, byte by byte. */
#include "work.h"

#include <stddef.h>

#define HTML_BYTES 1024

static const char comment_text[] =
	"I *fully* agree with the _first_ answer, but `a < b && b < c` is not what the page says. "
	"See *chapter 4*: \"escape < and > and & everywhere\", then _measure_ before you `sort()` or "
	"`hash()`.";

/*
 * What a character of Markdown becomes, as an opening and as a closing mark; NULL: itself. A table and not an
 * inline function, so that all the time belongs to render_markdown by every way of counting.
 */
static const char *const replacements[128][2] = {
	['*'] = { "<b>", "</b>" },  ['_'] = { "<i>", "</i>" },  ['`'] = { "<tt>", "</tt>" },
	['<'] = { "&lt;", "&lt;" }, ['>'] = { "&gt;", "&gt;" }, ['&'] = { "&amp;", "&amp;" },
};

NOINLINE uint64_t render_markdown(uint64_t seed, uint64_t passes)
{
	char html[HTML_BYTES];
	uint64_t sum = seed;

	for (uint64_t pass = 0; pass < passes; pass++) {
		unsigned marks = 0;
		size_t out = 0;

		for (size_t in = 0; in + 1 < sizeof(comment_text) && out + 8 < sizeof(html); in++) {
			unsigned c = (unsigned char)comment_text[in] & 127;
			const char *text = replacements[c][marks & 1];

			if (text == NULL) {
				html[out++] = (char)(c ^ (sum & 1));
				continue;
			}
			marks++;
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

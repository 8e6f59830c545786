/* SPDX-License-Identifier: MIT */
#include "artifact/utf8.h"

void utf8_add_clean(struct str *to, const char *data, size_t bytes)
{
	size_t clean = 0;

	for (size_t at = 0; at < bytes;) {
		size_t width = str_utf8_bytes(data + at, bytes - at);

		if (width > 0 && data[at] != '\0') {
			at += width;
			continue;
		}
		str_add_bytes(to, data + clean, at - clean);
		str_add(to, "\xef\xbf\xbd");
		clean = ++at;
	}
	if (clean < bytes) {
		str_add_bytes(to, data + clean, bytes - clean);
	}
}

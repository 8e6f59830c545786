#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turn text files into C strings: embed.py OUT.c NAME=FILE ...

Comment lines and indentation are for people who read the source: they stay out of the document.
"""
import sys


def shrink(text):
    lines, comment = [], False
    for line in text.split("\n"):
        line = line.strip()
        if comment or line.startswith("/*"):
            comment = not line.endswith("*/")
        elif line and not line.startswith("//"):
            lines.append(line)
    return "\n".join(lines) + "\n"


def literal(text):
    rows = []
    for line in text.splitlines(True):
        assert line.isascii(), "write \\u escapes: " + line
        rows.append('"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"')
    return "\n".join(rows)


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out:
        for pair in sys.argv[2:]:
            name, path = pair.split("=", 1)
            with open(path, encoding="utf-8") as source:
                text = shrink(source.read())
            assert "]]>" not in text and "</" not in text, path
            out.write("extern const char %s[];\nconst char %s[] =\n%s;\n" % (name, name, literal(text)))


main()

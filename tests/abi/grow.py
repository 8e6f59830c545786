#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The headers of a later version: grow.py HEADERS OUT copies them with a member appended to every struct that may grow.

A plugin built from them has larger structs than the core knows, a larger column stride, and members that this core's host
does not have.
"""

import pathlib
import re
import shutil
import sys

APPENDED = "\tint32_t (*later_call)(void *ctx, uint64_t later);\n\tuint64_t later_data[3];\n"


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(source, out)
    grown = 0
    for path in out.rglob("*.h"):
        text, count = re.subn(r"(struct pfc_\w+ \{\n\tuint32_t struct_size;.*?)(\n\};)", r"\1\n" + APPENDED + r"\2",
                              path.read_text(), flags=re.S)
        path.write_text(text.replace("#define PFC_ABI_MINOR 0", "#define PFC_ABI_MINOR 9"))
        grown += count
    assert grown >= 15, f"only {grown} structs grew: does the pattern still match?"
    # A stamp for the build.
    (out / "grown").write_text(f"{grown}\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles by itself, as strict C11 and as C++17, with each compiler that is here, without a remark."""

import pathlib

import harness

HEADERS = pathlib.Path(__file__).resolve().parent.parent.parent / "include"
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
C11 = ["-std=c11", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wconversion"]
CXX17 = ["-std=c++17", "-Wconversion"]


def compile_each(tmp, compiler, suffix, flags):
    harness.need_tool(compiler)
    bad = []
    for header in sorted(HEADERS.rglob("*.h")):
        name = header.relative_to(HEADERS)
        source = tmp / f"alone{suffix}"
        # Twice: the guard works. The unused helpers of a header must not raise a remark either.
        source.write_text(f"#include <{name}>\n#include <{name}>\nint alone(void);\nint alone(void) {{ return 0; }}\n")
        result = harness.run([compiler, *flags, *STRICT, "-I", HEADERS, "-c", source, "-o", tmp / "alone.o"])
        if result.code != 0:
            bad.append(f"{compiler} {name}: {result.err}")
    assert not bad, "\n".join(bad)


def test_c11_gcc(tmp):
    compile_each(tmp, "gcc", ".c", C11)


def test_c11_clang(tmp):
    compile_each(tmp, "clang", ".c", C11)


def test_cxx17_gcc(tmp):
    compile_each(tmp, "g++", ".cpp", CXX17)


def test_cxx17_clang(tmp):
    compile_each(tmp, "clang++", ".cpp", CXX17)


def test_headers_need_nothing_of_the_tree():
    """Only each other and the C library: a plugin builds with these files alone."""
    allowed = {path.name for path in HEADERS.rglob("*.h")} | {"stdint.h", "stddef.h"}
    for path in HEADERS.rglob("*.h"):
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                name = line.split()[1].strip('<>"').rsplit("/", 1)[-1]
                assert name in allowed, f"{path.name} includes {name}"


if __name__ == "__main__":
    harness.main(__name__)

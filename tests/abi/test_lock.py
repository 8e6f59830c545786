#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The layout lock works: it holds today, it names everything, breaking edits break it and legal appends do not.

Each edit is made to a copy of the headers; the lock is compiled against the copy, and run.
"""

import os
import pathlib
import shutil
import sys

import harness

HERE = pathlib.Path(__file__).resolve().parent
HEADERS = HERE.parent.parent / "include"
LOCK = HERE / "lock.c"
CC = os.environ.get("CC", "cc").split()

# (what it breaks, header, text, replacement); the text stands once in its header, or the first place counts.
BREAKING = [
    ("reorder two functions of the host", "host.h",
     "int32_t (*target)(void *ctx, struct pfc_target *ret);",
     "SWAP const char *(*text)(void *ctx, uint32_t which);"),
    ("reorder two functions of the writer", "artifact.h", "int32_t (*commit)(void *ctx);",
     "SWAP int32_t (*write)(void *ctx, const void *data, uint64_t bytes);"),
    ("reorder two functions of the plugin", "plugin.h", "int32_t (*probe)(void *self);",
     "SWAP int32_t (*prepare)(void *self);"),
    ("reorder two functions of the same type", "plugin.h", "int32_t (*finish)(void *self);",
     "SWAP int32_t (*process)(void *self);"),
    ("reorder two data members", "artifact.h", "const char *producer;", "SWAP const char *type;"),
    ("insert a function in the middle of the host", "host.h", "int32_t (*stop_fd)(void *ctx);",
     "int32_t (*stop_fd)(void *ctx); int32_t (*other)(void *ctx);"),
    ("insert a member at the start of a struct", "artifact.h", "struct pfc_reader {\n",
     "struct pfc_reader {\n\tuint64_t magic;\n"),
    ("insert a member in the middle of a struct", "host.h", "\tdouble real;\n", "\tdouble real;\n\tdouble imaginary;\n"),
    ("remove a function", "host.h", "uint64_t (*now)(void *ctx);", ""),
    ("remove a member", "host.h", "\tuint64_t t1_ns;", "\t//"),
    ("remove a reserved member", "plugin.h", "\tuint32_t reserved0;\n", ""),
    ("rename a member", "host.h", "uint32_t abi_minor;", "uint32_t abi_level;"),
    ("narrow an integer", "artifact.h", "uint64_t row_count;\n\tconst void *data;",
     "uint32_t row_count; uint32_t pad;\n\tconst void *data;"),
    ("widen an integer", "artifact.h", "int32_t time_column;", "int64_t time_column;"),
    ("change the sign of a member", "host.h", "const int32_t *pids;", "const uint32_t *pids;"),
    ("change a float to a double of the same place", "host.h", "double real;", "int64_t real;"),
    ("drop const behind a pointer", "artifact.h", "const struct pfc_column *columns;", "struct pfc_column *columns;"),
    ("add a parameter", "host.h", "const char *why, const char *hint);", "const char *why, const char *hint, int code);"),
    ("remove a parameter", "artifact.h", "uint32_t chunk, uint32_t column, struct pfc_column_view *ret);",
     "uint32_t chunk, struct pfc_column_view *ret);"),
    ("swap two parameters of different types", "artifact.h", "uint32_t table, const char *name);",
     "const char *name, uint32_t table);"),
    ("change the type of a parameter", "host.h", "int32_t (*metric)(void *ctx, const char *name, double value);",
     "int32_t (*metric)(void *ctx, const char *name, float value);"),
    ("change a return type", "host.h", "uint32_t (*input_count)", "uint64_t (*input_count)"),
    ("return nothing any more", "plugin.h", "int32_t (*stop)(void *self, uint64_t t1_ns);",
     "void (*stop)(void *self, uint64_t t1_ns);"),
    ("renumber an enum value", "artifact.h", "PFC_UTF8 = 8,", "PFC_UTF8 = 9,"),
    ("insert an enum value and shift the rest", "status.h", "PFC_ENOTSUP = -6,", "PFC_ENOTSUP = -16,"),
    ("remove an enum value", "status.h", "PFC_EAGAIN = -14,", ""),
    ("swap two enum values", "host.h", "PFC_GATE_PASS = 1,\n\tPFC_GATE_FAIL = 2,",
     "PFC_GATE_PASS = 2,\n\tPFC_GATE_FAIL = 1,"),
    ("renumber a flag of a draft", "ext/draft/stacks.h", "PFC_STACK_CALLERS = 4,", "PFC_STACK_CALLERS = 8,"),
    ("change a macro's text", "plugin.h", '"pfc_plugin_v1"', '"pfc_plugin_v2"'),
    ("change the id of an extension", "ext/draft/target.h", '"profcore.target/1"', '"profcore.target/2"'),
    ("change the name of the manifest's section", "plugin.h", 'PFC_MANIFEST_SECTION ".profcore"',
     'PFC_MANIFEST_SECTION ".profcore2"'),
    ("let the manifest be collected", "plugin.h", 'aR', 'a'),
    ("change a function-like macro", "host.h", "(ptr)->member != 0)", "(ptr)->member != 1)"),
    ("change the major version", "version.h", "PFC_ABI_MAJOR 1", "PFC_ABI_MAJOR 2"),
    ("grow a struct that has no size", "artifact.h", "struct pfc_string {\n\tconst char *data;\n\tuint64_t bytes;\n",
     "struct pfc_string {\n\tconst char *data;\n\tuint64_t bytes;\n\tuint64_t hash;\n"),
    ("change the entry's type", "plugin.h", "pfc_plugin_v1(const struct pfc_host *host);",
     "pfc_plugin_v1(struct pfc_host *host);"),
    ("change a helper's type", "host.h", "pfc_option_int(const struct pfc_host *host, const char *key, int64_t missing)",
     "pfc_option_int(const struct pfc_host *host, const char *key, int32_t missing)"),
    ("shrink an array of a draft", "ext/draft/stacks.h", "uint64_t reserved[4];", "uint64_t reserved[3];"),
    ("reorder members of a draft", "ext/draft/stacks.h", "uint64_t time_ns;", "SWAP uint64_t weight;"),
    ("pack a struct", "ext/draft/target.h", "struct pfc_target_event {", "struct __attribute__((packed, aligned(4))) pfc_target_event {"),
]

LEGAL = [
    ("append a function to the host", "host.h", "const void *(*extension)(void *ctx, const char *id);",
     "const void *(*extension)(void *ctx, const char *id);\n\tint32_t (*more)(void *ctx);"),
    ("append a callback to the plugin", "plugin.h", "void (*destroy)(void *self);",
     "void (*destroy)(void *self);\n\tint32_t (*pause)(void *self);"),
    ("append to the writer", "artifact.h", "int32_t (*fact_text)(void *ctx, const char *key, const char *value);",
     "int32_t (*fact_text)(void *ctx, const char *key, const char *value);\n\tint32_t (*flush)(void *ctx);"),
    ("append data to a sized struct", "artifact.h",
     "\tuint64_t lost;          /* observations that were not kept, all causes */\n",
     "\tuint64_t lost;\n\tuint64_t more;\n\tuint64_t even_more;\n"),
    ("append to a draft", "ext/draft/stacks.h", "\tuint32_t reserved1;\n", "\tuint32_t reserved1;\n\tuint64_t flags2;\n"),
    ("append an enum value", "status.h", "PFC_ELOST = -15,", "PFC_ELOST = -15,\n\tPFC_ENEW = -16,"),
    ("append a log level", "host.h", "PFC_LOG_DEBUG = 4,", "PFC_LOG_DEBUG = 4,\n\tPFC_LOG_TRACE = 6,"),
    ("raise the minor version", "version.h", "PFC_ABI_MINOR 0", "PFC_ABI_MINOR 7"),
    ("add a macro", "host.h", "/** Severity of a log line. */", "#define PFC_NEW 1\n"),
    ("add a struct", "host.h", "/** The host. */", "struct pfc_new {\n\tuint32_t struct_size;\n\tuint32_t kind;\n};\n"),
    ("rename a parameter", "host.h", "(void *ctx, uint32_t level, const char *text);",
     "(void *context, uint32_t severity, const char *line);"),
    ("add a helper", "host.h", "/** The option as text;",
     "static inline int pfc_is_new(void)\n{\n\treturn 1;\n}\n\n/** The option as text;"),
    ("change a comment", "host.h", "Since: 1.0", "Since: 1.0, more or less"),
]


def holds(headers, tmp):
    """Whether the lock compiles against these headers and its program returns 0; and what the compiler said."""
    program = tmp / "lock"
    built = harness.run([*CC, "-std=gnu11", "-I", headers, LOCK, "-o", program])
    if built.code != 0:
        return False, built.err
    return harness.run([program]).code == 0, "a macro differs"


def edit(tmp, header, text, replacement):
    """A copy of the headers with one edit."""
    headers = tmp / "include"
    if headers.exists():
        shutil.rmtree(headers)
    shutil.copytree(HEADERS, headers)
    path = headers / "profcore" / header
    source = path.read_text()
    assert text in source, f"{header} has no {text!r}: bring this edit up to date"
    if replacement.startswith("SWAP "):
        other = replacement[len("SWAP "):]
        assert other in source, f"{header} has no {other!r}: bring this edit up to date"
        first, second = sorted((text, other), key=source.index)
        a, b = source.index(first), source.index(second, source.index(first) + len(first))
        source = source[:a] + second + source[a + len(first):b] + first + source[b + len(second):]
    else:
        source = source.replace(text, replacement, 1)
    path.write_text(source)
    return headers


def test_lock_holds_today(tmp):
    held, why = holds(HEADERS, tmp)
    assert held, why


def test_lock_names_everything():
    harness.run([sys.executable, HERE / "make_lock.py", HEADERS, "--check", LOCK]).ok()


def test_lock_is_as_written_today():
    written = harness.run([sys.executable, HERE / "make_lock.py", HEADERS]).ok().out
    assert "".join(written.split()) == "".join(LOCK.read_text().split()), "make_lock.py writes another lock.c: write it anew and review the difference"


def test_breaking_edits_are_caught(tmp):
    missed = []
    for what, header, text, replacement in BREAKING:
        held, _ = holds(edit(tmp, header, text, replacement), tmp)
        if held:
            missed.append(what)
        else:
            print(f"# caught: {what}")
    assert not missed, f"the lock did not see: {missed}"


def test_caught_by_the_lock_and_not_by_a_broken_header(tmp):
    """An edit that merely does not compile would prove nothing: the edited headers themselves are sound."""
    source = tmp / "all.c"
    source.write_text("".join(f"#include <{path.relative_to(HEADERS)}>\n" for path in sorted(HEADERS.rglob("*.h"))))
    broken = []
    for what, header, text, replacement in BREAKING + LEGAL:
        headers = edit(tmp, header, text, replacement)
        if harness.run([*CC, "-std=gnu11", "-fsyntax-only", "-I", headers, source]).code != 0:
            broken.append(what)
    assert not broken, f"these edits do not compile by themselves: {broken}"


def test_legal_appends_pass(tmp):
    stopped = []
    for what, header, text, replacement in LEGAL:
        held, why = holds(edit(tmp, header, text, replacement), tmp)
        if not held:
            stopped.append(f"{what}: {why[:300]}")
    assert not stopped, "\n".join(stopped)


if __name__ == "__main__":
    harness.main(__name__)

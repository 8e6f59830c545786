#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Other builds of the same tree: clang without a warning; unit tests and whole runs under ASan and UBSan.

Their folders stay in the build folder (variants/), so that a second run compiles only what changed.
"""

import json
import shutil

import harness
from harness import need_tool, run

COMPILE_SECONDS = 800


def build_variant(name, compiler, *options):
    """Configure (once) and build; the folder."""
    folder = harness.build_dir() / "variants" / name
    env = {"CC": compiler, "LD_LIBRARY_PATH": None}
    if not (folder / "build.ninja").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run(["meson", "setup", folder, harness.source_dir(), *options], timeout=120, env=env).ok()
    run(["nice", "ninja", "-C", folder], timeout=COMPILE_SECONDS, env=env).ok()
    return folder


def test_clang_has_no_objection():
    need_tool("clang")
    build_variant("clang", "clang", "-Dwerror=true", "-Dtests=auto", "-Doptimization=0")


test_clang_has_no_objection.timeout = COMPILE_SECONDS + 130


def test_unit_tests_under_sanitizers():
    folder = build_variant("sanitize", "gcc", "-Db_sanitize=address,undefined", "-Dtests=enabled")
    env = {
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "LD_LIBRARY_PATH": None,
    }
    result = run(["meson", "test", "-C", folder, "--no-rebuild", "--suite", "unit", "--print-errorlogs"], timeout=300, env=env)
    result.ok()
    records = (folder / "meson-logs" / "testlog.json").read_text().splitlines()
    assert [record for record in records if json.loads(record)["result"] == "OK"], "no unit test ran"


test_unit_tests_under_sanitizers.timeout = COMPILE_SECONDS + 430


def test_whole_runs_under_sanitizers():
    """Core and stages, from config to documents: a report of the sanitizers in any process fails the run."""
    folder = build_variant("sanitize", "gcc", "-Db_sanitize=address,undefined", "-Dtests=enabled")
    env = {
        "PROFCORE_BUILD": folder,
        "ASAN_OPTIONS": "detect_leaks=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "LD_LIBRARY_PATH": None,
        "MALLOC_PERTURB_": None,
    }
    for name in ("test_plan.py", "test_run.py"):
        run(["python3", harness.source_dir() / "tests" / "integration" / name], timeout=300, env=env).ok()


test_whole_runs_under_sanitizers.timeout = COMPILE_SECONDS + 630

if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ten thousand harmed files through the parsers of core/stacks: real programs with flipped bytes and cut ends."""

import os
import shutil
import subprocess

import harness

ROUNDS = int(os.environ.get("PROFCORE_FUZZ_ROUNDS", "2000"))
PERF_MAP = "".join(f"{address:x} 40 JS:*function{address} /srv/app.js:{address % 900}\n" for address in range(0, 1 << 20, 64))


def make_corpus(tmp):
    """One file of each kind that is parsed: whole, packed by zlib and by zstd, with MiniDebugInfo, a list of a compiler."""
    whole = harness.workload("deep")
    files = [whole, tmp / "perf.map"]
    (tmp / "perf.map").write_text(PERF_MAP)
    for method in ("zlib", "zstd"):
        path = tmp / method
        if shutil.which("objcopy") and subprocess.run(["objcopy", f"--compress-debug-sections={method}", whole, path],
                                                      capture_output=True).returncode == 0:
            files.append(path)
    if all(map(shutil.which, ("objcopy", "strip", "xz"))):
        mini, path = tmp / "mini", tmp / "stripped"
        subprocess.run(["objcopy", "-S", "--keep-symbol=descend", "--keep-symbol=bottom", whole, mini], check=True)
        subprocess.run(["xz", mini], check=True)
        subprocess.run(["strip", "-o", path, whole], check=True)
        subprocess.run(["objcopy", "--add-section", f".gnu_debugdata={mini}.xz", path], check=True)
        files.append(path)
    return files


def test_harmed_files_do_no_harm(tmp):
    done = subprocess.run([harness.build_dir() / "tests" / "fuzz" / "fuzz_elf", str(ROUNDS), *make_corpus(tmp)],
                          capture_output=True, text=True, timeout=600)
    print("".join(f"# {line}\n" for line in done.stdout.splitlines()), end="")
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"


if __name__ == "__main__":
    harness.main()

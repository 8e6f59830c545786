#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What seeing the heap costs a malloc and free, beside heaptrack and massif, in one go and in turns.

    heap.py BUILD [--pairs 4000000] [--rounds 5]

The program is heap_pairs: 64 B to 4 KiB, 256 objects live. Each figure is the median over the rounds; a round runs every way
once, so that they share what else the machine does. `added` is against the plain program of the same round. CPU is that of the
program's own threads; wall is what its user waits for.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

INI = """[run]
name     = bench
duration = 600s
output   = {out}
[target]
command = {command}
[plugin:memory]
faults = no
maps   = no
sample = {sample}
exhaustive = {exhaustive}
"""


def measure(argv, truth):
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(truth.read_text())


def ours(args, tmp, words, truth, sample, exhaustive):
    (tmp / "bench.ini").write_text(INI.format(out=tmp / "runs", command=" ".join(words), sample=sample, exhaustive=exhaustive))
    seen = measure([args.build / "core" / "profcore", "-c", tmp / "bench.ini"], truth)
    shutil.rmtree(tmp / "runs", ignore_errors=True)
    return seen


def ways(args, tmp, threads):
    """Name, share of the pairs to run, and how."""
    truth = tmp / "pairs.json"

    def words(share):
        return [str(args.build / "tests" / "bench" / "memory" / "heap_pairs"), str(int(args.pairs * share)), str(threads), str(truth)]

    yield "plain", lambda: measure(words(1), truth)
    yield "sampled, 512 KiB", lambda: ours(args, tmp, words(1), truth, "512KiB", "no")
    yield "sampled, 64 KiB", lambda: ours(args, tmp, words(1), truth, "64KiB", "no")
    yield "every call", lambda: ours(args, tmp, words(1), truth, "512KiB", "yes")
    if shutil.which("heaptrack"):
        yield "heaptrack", lambda: measure(["heaptrack", "-o", tmp / "heaptrack", *words(0.05)], truth)
    if shutil.which("valgrind") and threads == 1:
        yield "massif", lambda: measure(["valgrind", "--tool=massif", f"--massif-out-file={tmp / 'massif'}", *words(0.05)], truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=4000000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    args.build = args.build.resolve()
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        for threads in sorted({1, min(2, os.cpu_count()), min(8, os.cpu_count())}):
            cpu, wall, added = {}, {}, {}
            for _ in range(args.rounds):
                base = None
                for name, run in ways(args, tmp, threads):
                    seen = run()
                    mine = statistics.mean(seen["cpu_ns"])
                    base = mine if base is None else base
                    cpu.setdefault(name, []).append(mine)
                    wall.setdefault(name, []).append(seen["wall_ns"])
                    added.setdefault(name, []).append(mine - base)
            print(f"{threads} thread{'s' if threads > 1 else ''}, ns for a malloc and free in each\n")
            print(f"  {'way':20} {'CPU':>8} {'of plain':>9} {'added':>8} {'wall':>9} {'of plain':>9}")
            middle = statistics.median
            for name in cpu:
                print(f"  {name:20} {middle(cpu[name]):8.1f} {middle(cpu[name]) / middle(cpu['plain']):8.2f}x "
                      f"{middle(added[name]):+8.1f} {middle(wall[name]):9.1f} {middle(wall[name]) / middle(wall['plain']):8.2f}x")
            print()


if __name__ == "__main__":
    main()

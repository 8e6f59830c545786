#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What seeing the heap costs a malloc and free, beside heaptrack, massif and jemalloc's own profile, in one go and in turns.

    heap.py BUILD [--pairs 2000000] [--rounds 9] [--threads 1,2,8] [--rivals-rounds 2]

The program is heap_pairs: 64 B to 4 KiB, 256 objects live. A round runs every way once, so that they share what else the machine does;
the slow rivals take part in the first rounds only. CPU is that of the program's own threads; wall is what its user waits for.

`CPU` is the best round's tenth percentile of slices: what a pair costs while nothing else disturbs the CPU, whose other hyperthread makes
it a third slower when it is busy. `median` is of whole runs, disturbed or not. Goals: sampled at 512 KiB at most 6 ns more than plain, the
same with more threads; every call at most 3 times plain; wall time at most a twentieth of heaptrack's.
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


def measure(argv, truth, env=None):
    subprocess.run([str(word) for word in argv], check=True, env=dict(os.environ, **(env or {})), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(truth.read_text())


def ours(args, tmp, words, truth, sample, exhaustive):
    (tmp / "bench.ini").write_text(INI.format(out=tmp / "runs", command=" ".join(words), sample=sample, exhaustive=exhaustive))
    seen = measure([args.build / "core" / "profcore", "-c", tmp / "bench.ini"], truth)
    shutil.rmtree(tmp / "runs", ignore_errors=True)
    return seen


JEMALLOC = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"


def ways(args, tmp, threads, slow):
    """Name, whose plain run it is to be compared with, and how."""
    truth = tmp / "pairs.json"

    def words(share):
        return [str(args.build / "tests" / "bench" / "memory" / "heap_pairs"), str(int(args.pairs * share)), str(threads), str(truth)]

    yield "plain", "plain", lambda: measure(words(1), truth)
    yield "sampled, 512 KiB", "plain", lambda: ours(args, tmp, words(1), truth, "512KiB", "no")
    yield "sampled, 64 KiB", "plain", lambda: ours(args, tmp, words(1), truth, "64KiB", "no")
    yield "every call", "plain", lambda: ours(args, tmp, words(0.5), truth, "512KiB", "yes")
    if os.path.exists(JEMALLOC):
        yield "jemalloc", "jemalloc", lambda: measure(words(1), truth, {"LD_PRELOAD": JEMALLOC})
        yield "jemalloc prof, 512 KiB", "jemalloc", lambda: measure(
            words(1), truth, {"LD_PRELOAD": JEMALLOC, "MALLOC_CONF": "prof:true,lg_prof_sample:19"})
    if shutil.which("heaptrack") and slow:
        yield "heaptrack", "plain", lambda: measure(["heaptrack", "-o", tmp / "heaptrack", *words(0.1)], truth)
    if shutil.which("valgrind") and slow and threads == 1:
        yield "massif", "plain", lambda: measure(["valgrind", "--tool=massif", f"--massif-out-file={tmp / 'massif'}", *words(0.1)], truth)


def print_table(threads, seen, like):
    print(f"{threads} thread{'s' if threads > 1 else ''}, ns for a malloc and free in each\n")
    print(f"  {'way':24} {'CPU':>8} {'added':>8} {'of plain':>9} {'median':>9} {'of plain':>9} {'wall':>9} {'of plain':>9}")
    best = {name: min(statistics.mean(run["slice_ns"]) for run in runs) for name, runs in seen.items()}
    middle = {name: statistics.median(statistics.mean(run["cpu_ns"]) for run in runs) for name, runs in seen.items()}
    wall = {name: min(run["wall_ns"] for run in runs) for name, runs in seen.items()}
    for name in seen:
        base = like[name]
        print(f"  {name:24} {best[name]:8.1f} {best[name] - best[base]:+8.1f} {best[name] / best[base]:8.2f}x {middle[name]:9.1f} "
              f"{middle[name] / middle[base]:8.2f}x {wall[name]:9.1f} {wall[name] / wall[base]:8.2f}x")
    if "heaptrack" in seen:
        print(f"\n  heaptrack's wall time is {wall['heaptrack'] / wall['sampled, 512 KiB']:.0f} times the sampler's")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--pairs", type=int, default=2000000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", default="1,2,8")
    parser.add_argument("--rivals-rounds", type=int, default=2)
    args = parser.parse_args()
    args.build = args.build.resolve()
    with tempfile.TemporaryDirectory() as folder:
        for threads in (int(number) for number in args.threads.split(",")):
            seen, like = {}, {}
            for number in range(args.rounds):
                for name, base, run in ways(args, pathlib.Path(folder), threads, number < args.rivals_rounds):
                    like[name] = base
                    seen.setdefault(name, []).append(run())
            print_table(threads, seen, like)


if __name__ == "__main__":
    main()

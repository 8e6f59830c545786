#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is a small leak named within a minute, and is a healthy program left alone?

    leak.py BUILD [--leaks 5] [--healthy 20] [--seconds 60] [--kib-per-s 17.07] [--sample 32KiB] [--at-once 5]

The program churns 100 MB/s, fills a cache at first, and has a queue whose objects leave after a fifth of the time; with a leak, one
function also keeps 1 MiB a minute. Counts the runs in which that function, and nothing else, is said to leak; and the healthy
runs in which anything is. Several runs go on beside each other: nothing here is timed.
"""

import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import tempfile

INI = """[run]
name     = leak
duration = {seconds}s
output   = {out}
[target]
command = {program} churn 4 {longer} {rate} {truth}
[plugin:memory]
faults = no
maps   = no
sample = {sample}
"""
LEAK = 1


def run_once(args, folder, number, rate):
    out = folder / str(number)
    out.mkdir()
    ini = out / "leak.ini"
    ini.write_text(INI.format(seconds=args.seconds, out=out / "runs", program=args.build / "tests" / "workloads" / "heap",
                              longer=args.seconds + 3, rate=rate, truth=out / "truth.json", sample=args.sample))
    profcore = str(args.build / "core" / "profcore")
    done = subprocess.run([profcore, "-c", str(ini)], capture_output=True, text=True)
    if done.returncode not in (0, 1):  # 1: some samples were lost, as it then says
        raise RuntimeError(done.stderr)

    def table(name):
        done = subprocess.run([profcore, "artifact", "show", str(out / "runs" / "latest"), "memory.timeline", "--table", name, "--json"],
                              check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["tables"][name]

    named = [row for row in table("leaks") if row["verdict"] == LEAK]
    allocated = sum(row["allocated"] for row in table("heap_sites"))
    return named, allocated / args.seconds / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--leaks", type=int, default=5)
    parser.add_argument("--healthy", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--kib-per-s", type=float, default=1024 / 60)
    parser.add_argument("--sample", default="32KiB")
    parser.add_argument("--at-once", type=int, default=5)
    args = parser.parse_args()
    args.build = args.build.resolve()
    rates = [args.kib_per_s] * args.leaks + [0] * args.healthy
    named = alone = false = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
        runs = pool.map(lambda item: run_once(args, pathlib.Path(folder), *item), enumerate(rates))
        for rate, (leaks, mb_per_s) in zip(rates, runs):
            functions = [row["function_text"] for row in leaks]
            if rate:
                named += "forgets" in functions
                alone += functions == ["forgets"]
                said = ", ".join(f"{row['function_text']} {row['rate'] / 1024:.1f} KiB/s ({row['rate_low'] / 1024:.1f} to "
                                 f"{row['rate_high'] / 1024:.1f}), {row['confidence']:.2f} % sure" for row in leaks)
                print(f"  leak of {rate:.2f} KiB/s under {mb_per_s:.0f} MB/s: {said or 'not named'}", flush=True)
            else:
                false += bool(functions)
                print(f"  healthy, {mb_per_s:.0f} MB/s: {', '.join(functions) or 'nothing named'}", flush=True)
    print(f"{args.seconds} s, sample = {args.sample}: the leak was named in {named} of {args.leaks} runs, and nothing else in {alone}; "
          f"{false} of {args.healthy} healthy runs had a leak named")
    return named < args.leaks or false > 0


if __name__ == "__main__":
    raise SystemExit(main())

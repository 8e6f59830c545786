#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What looking at the heap of a program that runs costs it, beside bpftrace and heaptrack, in one go and in turns.

    attach.py BUILD [--rounds 5] [--seconds 4] [--only cost,budget,gap]

The program is tests/workloads/attached: malloc, two writes and free, as fast as it can, in one thread. A round runs every way
once, in a random order, each on a program of its own that was running before. CPU time of the program for a call is read where
the way was at work; the longest gap is the longest time that a thread did not get on, by its own clock, from before the way
began until after its end.

cost    everything is seen (budget = 1000 %): ns for a malloc and free, beside bpftrace's probes on both, with and without the
        return, at the functions' first bytes; and the cost of a probe at free's first byte beside ours
budget  budget = 3 %: CPU time of the program for a call, of the same round's run alone; the goal is 4 % at most
gap     the longest gap while the probes come and go (goal: 5 ms), beside nothing at all and beside heaptrack's attach
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

INI = """[run]
name = bench
duration = {seconds}s
output = {out}
[target]
pid = {pid}
[plugin:memory]
mode = uprobes
budget = {budget}
sample = 512KiB
faults = no
maps = no
smaps = no
pss_budget = 0
probes = {probes}
"""

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


class Target:
    def __init__(self, args, tmp, rate="1e9"):
        self.log = tmp / "log"
        self.process = subprocess.Popen([args.build / "tests" / "workloads" / "attached", rate, "600", "0", self.log])
        time.sleep(0.7)

    def cpu_ns(self):
        return time.clock_gettime_ns(~self.process.pid << 3 | 2)

    def rows(self):
        return [[int(word) for word in line.split()] for line in self.log.read_text().splitlines()[:-1]]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, "the program's own checks failed"


def bpftrace(program):
    return lambda args, tmp, target, seconds: ["bpftrace", "-p", str(target.process.pid), "-e",
                                               program.replace("LIBC", LIBC) + f" interval:s:{seconds + 3} {{ exit(); }}"]


def ours(budget, probes="auto"):
    def argv(args, tmp, target, seconds):
        (tmp / "bench.ini").write_text(INI.format(seconds=seconds + 2, out=tmp / "runs", pid=target.process.pid, budget=budget,
                                                  probes=probes))
        return [args.build / "core" / "profcore", "-c", tmp / "bench.ini"]
    return argv


def heaptrack(args, tmp, target, seconds):
    return ["heaptrack", "-o", tmp / "heaptrack", "-p", str(target.process.pid)]


def watch(args, tmp, way, seconds):
    """ns of CPU for a call, and the longest gap in ms, with a way at work."""
    target = Target(args, tmp)
    first = target.rows()[-1][0]
    watcher = way and subprocess.Popen([str(word) for word in way(args, tmp, target, seconds)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(2)  # until it is at work
    began, calls = target.cpu_ns(), target.rows()[-1][1]
    time.sleep(seconds)
    cpu, made = target.cpu_ns() - began, target.rows()[-1][1] - calls
    if watcher:
        if way is heaptrack:
            os.killpg(watcher.pid, signal.SIGINT)
        watcher.wait(60)
    time.sleep(0.3)
    rows = [row for row in target.rows() if row[0] > first]
    target.end()
    facts = {}
    if (tmp / "runs" / "latest" / "manifest.json").exists():
        manifest = json.loads((tmp / "runs" / "latest" / "manifest.json").read_text())
        facts = [item["completeness"] for stage in manifest["stages"] for item in stage["artifacts"] if item["port"] == "timeline"][0]
        shutil.rmtree(tmp / "runs")
    return {"ns": cpu / max(made, 1), "gap_ms": max(row[-1] for row in rows) / 1e6, "facts": facts}


def rounds(args, ways, seconds, count):
    seen = {name: [] for name in ways}
    for number in range(count):
        for name in random.sample(list(ways), len(ways)):
            if name.endswith("(once)") and number > 0:
                continue
            with tempfile.TemporaryDirectory() as folder:
                seen[name].append(watch(args, pathlib.Path(folder), ways[name], seconds))
    return seen


def middle(runs, key):
    return statistics.median(run[key] for run in runs)


def cost(args):
    ways = {"alone": None, "profcore": ours(1000), "profcore, as on old kernels": ours(1000, "multi")}
    if shutil.which("bpftrace"):
        ways["bpftrace malloc, free"] = bpftrace("uprobe:LIBC:malloc,uprobe:LIBC:free { @[pid] = count(); }")
        ways["bpftrace malloc, its return, free"] = bpftrace(
            "uprobe:LIBC:malloc,uprobe:LIBC:free,uretprobe:LIBC:malloc { @[pid] = count(); }")
        ways["bpftrace with stacks and table"] = bpftrace(
            "uprobe:LIBC:malloc { @size[tid] = arg0; } uretprobe:LIBC:malloc { @live[retval] = ustack(16); delete(@size[tid]); } "
            "uprobe:LIBC:free { delete(@live[arg0]); }")
    seen = rounds(args, ways, args.seconds, max(args.rounds // 2, 1))
    alone = middle(seen["alone"], "ns")
    print("\ncost: CPU time of the program for a malloc and free, median, ns\n")
    for name, runs in seen.items():
        print(f"  {name:36} {middle(runs, 'ns'):10.0f}  added {middle(runs, 'ns') - alone:10.0f}")
    facts = seen["profcore"][-1]["facts"]["probes"]
    print(f"\n  a probe where the kernel emulates: {facts['emulated_ns']:.0f} ns; where it steps over: {facts['stepped_ns']:.0f} ns"
          f" ({facts['stepped_ns'] / facts['emulated_ns']:.1f} times); places: {facts['places']}")
    if shutil.which("bpftrace"):
        ours_added = (middle(seen["profcore"], "ns") - alone)
        print(f"  all bpftrace's probes cost {(middle(seen['bpftrace malloc, free'], 'ns') - alone) / ours_added:.1f} times ours, "
              f"with returns {(middle(seen['bpftrace malloc, its return, free'], 'ns') - alone) / ours_added:.1f} times")


def budget(args):
    seen = rounds(args, {"alone": None, "budget = 3 %": ours(3)}, args.seconds * 2, args.rounds)
    ratios = [b["ns"] / a["ns"] for a, b in zip(seen["alone"], seen["budget = 3 %"])]
    draws = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(2000))
    facts = seen["budget = 3 %"][-1]["facts"]["probes"]
    print(f"\nbudget: CPU time for a call with budget = 3 %, of the same round's run alone: {statistics.median(ratios):.3f} "
          f"(95 %: {draws[50]:.3f} to {draws[1949]:.3f}); it says {facts['cost_pct']:.1f} % itself, "
          f"{facts['slices']:.0f} slices, on for {facts['on_pct']:.1f} %; predicted for all: see plan")


def gap(args):
    ways = {"alone": None, "profcore, all": ours(1000), "profcore, budget = 3 %": ours(3)}
    if shutil.which("heaptrack"):
        ways["heaptrack -p (once)"] = heaptrack
    seen = rounds(args, ways, 2, args.rounds)
    print("\ngap: the longest time that the program did not get on, ms\n")
    for name, runs in seen.items():
        print(f"  {name:36} median {middle(runs, 'gap_ms'):8.2f}  most {max(run['gap_ms'] for run in runs):8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="cost,budget,gap")
    args = parser.parse_args()
    for part in args.only.split(","):
        {"cost": cost, "budget": budget, "gap": gap}[part](args)


if __name__ == "__main__":
    main()

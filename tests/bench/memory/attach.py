#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What looking at the heap of a program that runs costs it, beside bpftrace and heaptrack, in one go and in turns.

    attach.py BUILD [--rounds 5] [--seconds 4] [--only cost,place,budget,gap]

The program is tests/workloads/attached: malloc, two writes and free, as fast as it can, in one thread. A round runs every way
once, in a random order, each on a program of its own that was running before. CPU time of the program for a call is read where
the way was at work; the longest gap is the longest time that a thread did not get on, by its own clock, from before the way
began until after its end.

cost    everything is seen (budget = 1000 %): ns for a malloc and free, beside bpftrace's probes on both, with and without the
        return, at the functions' first bytes; and the cost of a probe at free's first byte beside ours
place   a probe on free alone, with nothing behind it (probe_one.py), at free's first byte and where profcore puts it: what each
        adds to a malloc and free (goal: three times less)
budget  budget = 3 %: CPU time of the program for a call, of the same round's run alone; the goal is 4 % at most
gap     the longest gap while the probes come and go (goal: 5 ms) and how many were longer than 5 ms, beside nothing at all,
        which is what the machine does, and beside heaptrack's attach. And for how long altogether the program neither ran nor
        waited for a CPU: no single stop is longer than that; what a hypervisor takes is in it. How long attaching took
        profcore is not the program's time
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
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

GAP_NS = 5000000
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


class Target:
    def __init__(self, args, tmp, rate="1e9"):
        self.log = tmp / "log"
        self.process = subprocess.Popen([args.build / "tests" / "workloads" / "attached", rate, "600", "0", self.log])
        time.sleep(0.7)

    def cpu_ns(self):
        return time.clock_gettime_ns(~self.process.pid << 3 | 2)

    def stopped_ns(self):
        """Time in which its thread neither ran nor waited for a CPU, since some moment: what others' load adds is not in it."""
        pid = self.process.pid
        tid = next(name for name in os.listdir(f"/proc/{pid}/task") if name != str(pid))
        waited, of_main = (int(pathlib.Path(f"/proc/{pid}/task/{name}/schedstat").read_text().split()[field])
                           for name, field in ((tid, 1), (pid, 0)))
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) - (self.cpu_ns() - of_main) - waited

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
    first, stopped = target.rows()[-1][0], target.stopped_ns()
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
    rows, stopped = [row for row in target.rows() if row[0] > first], target.stopped_ns() - stopped
    target.end()
    facts = {}
    if (tmp / "runs" / "latest" / "manifest.json").exists():
        manifest = json.loads((tmp / "runs" / "latest" / "manifest.json").read_text())
        facts = [item["completeness"] for stage in manifest["stages"] for item in stage["artifacts"] if item["port"] == "timeline"][0]
        shutil.rmtree(tmp / "runs")
    return {"ns": cpu / max(made, 1), "gap_ms": max(row[-1] for row in rows) / 1e6,
            "long_gaps": sum(row[-1] > GAP_NS for row in rows), "seconds": (rows[-1][0] - rows[0][0]) / 1e9,
            "stopped_ms": stopped / 1e6, "code": watcher and watcher.returncode, "facts": facts}


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


def probe_one(offset):
    return lambda args, tmp, target, seconds: [sys.executable, pathlib.Path(__file__).with_name("probe_one.py"), target.process.pid,
                                               LIBC, "free", offset, seconds + 3]


def place(args):
    with tempfile.TemporaryDirectory() as folder:
        places = watch(args, pathlib.Path(folder), ours(1000), 1)["facts"]["probes"]["places"]
    offset = int(re.search(r"\bfree(?:\+(\d+))?", places).group(1) or 0)
    seen = rounds(args, {"alone": None, "first byte": probe_one(0), f"free+{offset}": probe_one(offset)}, args.seconds, args.rounds)
    alone = middle(seen.pop("alone"), "ns")
    assert all(run["code"] == 0 for runs in seen.values() for run in runs), "a probe was not hit"
    print("\nplace: what a probe on free alone adds to a malloc and free, ns\n")
    for name, runs in seen.items():
        added = [run["ns"] - alone for run in runs]
        print(f"  {name:12} median {statistics.median(added):8.0f}   {min(added):8.0f} to {max(added):8.0f}")
    ratios = [(first["ns"] - alone) / (our["ns"] - alone) for first, our in zip(*seen.values())]
    print(f"\n  the first byte costs {statistics.median(ratios):.1f} times as much ({min(ratios):.1f} to {max(ratios):.1f})")


def budget(args):
    seen = rounds(args, {"alone": None, "budget = 3 %": ours(3)}, args.seconds * 2, args.rounds)
    ratios = [b["ns"] / a["ns"] for a, b in zip(seen["alone"], seen["budget = 3 %"])]
    draws = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(2000))
    facts = seen["budget = 3 %"][-1]["facts"]["probes"]
    print(f"\nbudget: CPU time for a call with budget = 3 %, of the same round's run alone: {statistics.median(ratios):.3f} "
          f"(95 %: {draws[50]:.3f} to {draws[1949]:.3f}); it says {facts['cost_pct']:.1f} % itself, "
          f"{facts['slices']:.0f} slices, on for {facts['on_pct']:.1f} %; predicted for all: see plan")


def gap(args):
    ways = {"alone": None, "profcore, all": ours(1000), "profcore, budget = 3 %": ours(3), "profcore, budget = 30 %": ours(30)}
    if shutil.which("heaptrack"):
        ways["heaptrack -p (once)"] = heaptrack
    seen = rounds(args, ways, 2, args.rounds)
    print("\ngap: the longest time that the program did not get on, ms\n")
    for name, runs in seen.items():
        seconds = sum(run["seconds"] for run in runs)
        print(f"  {name:26} median {middle(runs, 'gap_ms'):7.2f}  most {max(run['gap_ms'] for run in runs):7.2f}  longer than 5 ms: "
              f"{sum(run['long_gaps'] for run in runs):3} in {seconds:3.0f} s, stopped {middle(runs, 'stopped_ms'):5.1f} ms a run", end="")
        probes = [run["facts"]["probes"] for run in runs if run["facts"]]
        if probes:
            slowest = max(p["attach_ms_max"] for p in probes)
            print(f", {sum(p['slices'] for p in probes):.0f} slices, attaching took {slowest:.1f} ms at most", end="")
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="cost,place,budget,gap")
    args = parser.parse_args()
    for part in args.only.split(","):
        {"cost": cost, "place": place, "budget": budget, "gap": gap}[part](args)


if __name__ == "__main__":
    main()

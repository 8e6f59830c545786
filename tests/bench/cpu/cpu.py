#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf-cpu beside perf record on a server without frame pointers, and what each costs the server.

    cpu.py BUILD [--server PROGRAM] [--seconds 10] [--pairs 10] [--frequency 997]

Needs wrk and perf. Each profiles a server of its own that is new, under the same load, one after the other, so that neither
pays for the other. CPU is user + system time of the whole program with its children: profcore's includes walking, symbolizing
and the picture, perf record's does none of it (its stacks are walked by perf script, whose time stands apart). "in the window" is
the collector's own, from T0 to T1: rings, walks, writing.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

ROOTS = {"_start", "clone", "clone3", "__clone3", "__clone", "start_thread", "__libc_start_main", "__libc_start_call_main",
         "__libc_start_main@@GLIBC_2.34", "ret_from_fork", "ret_from_fork_asm"}
# Two-sided 95 %, by degrees of freedom.
STUDENT = {9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179, 14: 2.145, 19: 2.093, 24: 2.064, 29: 2.045}

INI = """\
[run]
name     = bench
duration = {seconds}s
output   = {out}
[target]
pid = {pid}
[plugin:perf-cpu]
frequency = {frequency}
{more}"""


class Bench:
    def __init__(self, build, tmp, frequency, server):
        self.build = build
        self.program = server or build / "docker" / "backend-nofp"
        self.tmp = tmp
        self.frequency = frequency
        self.open()

    def open(self):
        self.server = subprocess.Popen([self.program, "--port", "0"], stdout=subprocess.PIPE, text=True)
        self.url = self.server.stdout.readline().split()[-1].rstrip("/") + "/slow"

    def close(self):
        self.server.terminate()
        self.server.wait()

    def load(self, seconds):
        argv = ["wrk", "-t1", "-c4", f"-d{seconds}s", self.url]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @staticmethod
    def requests(load):
        text = load.communicate()[0]
        return int(re.search(r"(\d+) requests in", text).group(1))

    def start_profcore(self, seconds, frequency, more=""):
        ini = self.tmp / "bench.ini"
        ini.write_text(INI.format(seconds=seconds, out=self.tmp / "out", pid=self.server.pid, frequency=frequency, more=more))
        env = dict(os.environ, PROFCORE_PLUGIN_PATH=str(self.build / "plugins"))
        argv = [self.build / "core" / "profcore", "-c", ini]
        return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_perf(self, seconds, frequency):
        argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(frequency), "--call-graph", "dwarf,65528", "-o",
                self.tmp / "perf.data", "-p", str(self.server.pid), "--", "sleep", str(seconds)]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(process):
    """CPU seconds of a process and its children. Fails when it did."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{process.args[0]} ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime


def figures_of_profcore(bench, seconds):
    load = bench.load(seconds + 3)
    time.sleep(0.5)
    cpu = finish(bench.start_profcore(seconds, bench.frequency, "[plugin:flamegraph]\n"))
    load.communicate()
    run = (bench.tmp / "out" / "latest").resolve()
    manifest = json.loads((run / "manifest.json").read_text())
    stage = next(stage for stage in manifest["stages"] if stage["name"] == "perf-cpu")
    stacks = next(a for a in stage["artifacts"] if a["port"] == "stacks")
    facts = stacks["completeness"]
    path = run / stacks["path"]
    window = manifest["window"]
    t1 = (window["realtime_at_t0_ns"] + window["t1_ns"] - window["t0_ns"]) / 1e9
    picture = next(run.glob("*.svg"))
    return {"samples": facts["samples"], "rooted %": facts["rooted_pct"], "unknown %": facts["unknown_pct"],
            "lost": stacks["lost"], "bytes a sample": path.stat().st_size / facts["samples"], "CPU s": cpu,
            "CPU us a sample": cpu * 1e6 / facts["samples"], "CPU s in the window": facts["collector_cpu_s"],
            "T1 to stacks, s": path.stat().st_mtime - t1, "T1 to SVG, s": picture.stat().st_mtime - t1}


def figures_of_perf(bench, seconds):
    load = bench.load(seconds + 3)
    time.sleep(0.5)
    cpu = finish(bench.start_perf(seconds, bench.frequency))
    load.communicate()
    data = bench.tmp / "perf.data"
    began = time.monotonic()
    with open(bench.tmp / "script.txt", "w+") as out:
        script_cpu = finish(subprocess.Popen(["perf", "script", "-F", "comm,ip,sym", "-i", data], stdout=out,
                                             stderr=subprocess.DEVNULL))
        script_seconds = time.monotonic() - began
        out.seek(0)
        stacks = [block.splitlines() for block in out.read().split("\n\n") if block.strip()]
    rooted = sum(1 for stack in stacks if re.sub(r"\+0x\w+$", "", stack[-1].split(None, 1)[-1].strip()) in ROOTS)
    stats = subprocess.run(["perf", "report", "--stats", "-i", data], capture_output=True, text=True).stdout
    lost = re.search(r"LOST_SAMPLES events:\s+(\d+)", stats)
    return {"samples": len(stacks), "rooted %": 100 * rooted / len(stacks), "unknown %": math.nan,
            "lost": int(lost.group(1)) if lost else 0, "bytes a sample": data.stat().st_size / len(stacks), "CPU s": cpu,
            "CPU us a sample": cpu * 1e6 / len(stacks), "CPU s in the window": cpu, "T1 to stacks, s": script_seconds,
            "T1 to SVG, s": math.nan, "perf script CPU s": script_cpu}


def cost(bench, start, pairs, seconds=2):
    """Requests with over without, interleaved: mean and 95 % interval, in percent lost."""
    losses = []
    for _ in range(pairs):
        without = bench.requests(bench.load(seconds))
        profiler = start(seconds + 2) if start else None
        time.sleep(1)
        with_it = bench.requests(bench.load(seconds))
        if profiler:
            finish(profiler)
        losses.append(100 * (1 - with_it / without))
    mean = statistics.mean(losses)
    half = STUDENT.get(pairs - 1, 2.262) * statistics.stdev(losses) / math.sqrt(pairs)
    return f"{mean:6.2f} %  [{mean - half:.2f}, {mean + half:.2f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--server", type=pathlib.Path, help="takes --port 0, prints its address, answers /slow; else the C backend")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--frequency", type=int, default=997)
    args = parser.parse_args()
    for tool in ("wrk", "perf"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is needed: apt-get install {'linux-perf' if tool == 'perf' else tool}")
    with tempfile.TemporaryDirectory() as tmp:
        bench = Bench(args.build.resolve(), pathlib.Path(tmp), args.frequency, args.server)
        try:
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, {args.frequency} Hz, {args.seconds} s")
            ours = figures_of_profcore(bench, args.seconds)
            bench.close() # a new one: the first run read the pages that were missing in its stacks
            bench.open()
            theirs = figures_of_perf(bench, args.seconds)
            print(f"{'':20} {'perf-cpu':>12} {'perf dwarf 64K':>16}")
            for key, value in theirs.items():
                print(f"{key:20} {ours.get(key, math.nan):12.2f} {value:16.2f}")
            samples = theirs["samples"] / ours["samples"]
            print(f"per sample: CPU in the window 1/{theirs['CPU s in the window'] / samples / ours['CPU s in the window']:.1f} of perf "
                  f"record's; T1 to stacks 1/{theirs['T1 to stacks, s'] / samples / ours['T1 to stacks, s']:.1f} of perf script's")
            if args.pairs > 1:
                print(f"requests lost, {args.pairs} pairs of 2 s, mean and 95 % interval")
                print("nothing (noise)    ", cost(bench, None, args.pairs), flush=True)
                for hz in (99, 997):
                    print(f"perf-cpu at {hz:4} Hz", cost(bench, lambda s, hz=hz: bench.start_profcore(s, hz), args.pairs), flush=True)
                print("perf dwarf, 997 Hz ", cost(bench, lambda s: bench.start_perf(s, 997), args.pairs), flush=True)
        finally:
            bench.close()


if __name__ == "__main__":
    main()

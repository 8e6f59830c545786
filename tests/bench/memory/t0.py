#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What looking at memory costs a server: the demo backend under load, alone and watched, one after the other.

    t0.py BUILD [--seconds 3] [--rounds 8]

Needs wrk; perf and bpftrace are rivals where they are installed. Each round runs all ways in a random order on one server.
Two figures for each way: requests a second, and CPU time of the server for a request, which other work on the machine moves less.
Ratios are to the same round's run alone, with a 95 % interval by bootstrap over the rounds.
"""

import argparse
import math
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time

INI = """\
[run]
name     = bench
duration = {seconds}s
output   = {out}
[target]
pid = {pid}
[plugin:memory]
mode   = resident
maps   = no
faults = {faults}
"""


class Bench:
    def __init__(self, build, tmp, seconds):
        self.build, self.tmp, self.seconds = build, tmp, seconds
        self.server = subprocess.Popen([build / "docker" / "backend", "--port", "0"], stdout=subprocess.PIPE, text=True)
        self.url = self.server.stdout.readline().split()[-1].rstrip("/") + "/slow?mode=alloc"

    def close(self):
        self.server.terminate()
        self.server.wait()

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[7])

    def ini(self, faults):
        path = self.tmp / f"{faults}.ini"
        path.write_text(INI.format(seconds=self.seconds + 2, out=self.tmp / "runs", pid=self.server.pid, faults=faults))
        return path

    def watcher(self, way):
        pid, seconds = str(self.server.pid), str(self.seconds + 2)
        argv = {
            "timeline": [self.build / "core" / "profcore", "-c", self.ini("no")],
            "timeline + fault stacks": [self.build / "core" / "profcore", "-c", self.ini("auto")],
            "perf page-faults, each": ["perf", "record", "-q", "-e", "page-faults", "-c", "1", "-g", "-p", pid, "-o", self.tmp / "perf.data",
                                       "--", "sleep", seconds],
            "bpftrace malloc + free": ["timeout", seconds, "bpftrace", "-p", pid, "-e",
                                       "uprobe:/lib/x86_64-linux-gnu/libc.so.6:malloc { @a = count(); } "
                                       "uprobe:/lib/x86_64-linux-gnu/libc.so.6:free { @f = count(); }"],
        }.get(way)
        return argv and subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, way):
        watcher = self.watcher(way)
        time.sleep(1.5)  # attached, or as long alone
        cpu, faults = self.cpu()
        out = subprocess.run(["wrk", "-t1", "-c4", f"-d{self.seconds}s", self.url], capture_output=True, text=True).stdout
        cpu, faults = self.cpu()[0] - cpu, self.cpu()[1] - faults
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        if watcher:
            watcher.wait()
        return requests / self.seconds, cpu / requests, faults / requests


def interval(ratios):
    logs = [math.log(ratio) for ratio in ratios]
    means = sorted(statistics.mean(random.choices(logs, k=len(logs))) for _ in range(4000))
    return math.exp(statistics.mean(logs)), math.exp(means[100]), math.exp(means[-100])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    if not shutil.which("wrk"):
        print("skipped: wrk is not installed")
        return 77
    ways = ["alone", "alone again", "timeline", "timeline + fault stacks"]
    ways += ["perf page-faults, each"] if shutil.which("perf") else []
    ways += ["bpftrace malloc + free"] if shutil.which("bpftrace") else []
    found = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="profcore-t0-", dir="/var/tmp") as tmp:
        bench = Bench(args.build.resolve(), pathlib.Path(tmp), args.seconds)
        try:
            bench.run("alone")
            for _ in range(args.rounds):
                for way in random.sample(ways, len(ways)):
                    found[way].append(bench.run(way))
        finally:
            bench.close()
    print(f"{args.rounds} rounds of {args.seconds} s, {statistics.mean(row[2] for row in found['alone']):.0f} page faults a request")
    print(f"{'':28}{'requests/s':>11}{'ratio':>8}  {'95 %':15}{'CPU/request':>12}{'ratio':>8}  95 %")
    for way in ways:
        rates = interval([row[0] / alone[0] for row, alone in zip(found[way], found["alone"])])
        costs = interval([row[1] / alone[1] for row, alone in zip(found[way], found["alone"])])
        print(f"{way:28}{statistics.mean(row[0] for row in found[way]):11.1f}{rates[0]:8.3f}  {rates[1]:.3f} - {rates[2]:.3f}  "
              f"{1e6 * statistics.mean(row[1] for row in found[way]):9.0f} us{costs[0]:8.3f}  {costs[1]:.3f} - {costs[2]:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

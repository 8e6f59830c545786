#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What strace costs the program that it looks at, and everybody else: beside strace -c, perf trace -s and bpftrace, in turns.

    bench_strace.py BUILD [--rounds 3] [--only call,read,other,switch,truth,exact]

Each method is attached to a loop that runs already (loop.c), aimed at it or at another process. Figures are ns added to one call
or one switch against the same loop alone a moment before, the best round of the fastest hundredth of the batches; one second's
median stands beside it. Methods that are not installed are left out with a word.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

INI = """\
[run]
name     = bench
duration = {seconds}s
output   = {out}
[target]
pid = {pid}
[plugin:strace]
backend = {backend}
calls = {calls}
min_wait = 1ms
{more}
"""
BPFTRACE = ("tracepoint:raw_syscalls:sys_enter /pid == {pid}/ {{ @s[tid] = nsecs; }} "
            "tracepoint:raw_syscalls:sys_exit /@s[tid]/ {{ @c[args->id] = count(); @h[args->id] = hist(nsecs - @s[tid]); "
            "delete(@s[tid]); }}")


class Loop:
    def __init__(self, build, kind):
        self.process = subprocess.Popen([build / "tests" / "bench" / "strace" / "loop", kind], stdout=subprocess.PIPE, text=True)

    def seconds(self, count):
        """(fastest hundredth, median) of each of the next whole seconds; those that began before now are left out."""
        began, rows = time.monotonic() * 1e9, []
        while len(rows) < count:
            line = self.process.stdout.readline().split()
            if float(line[2]) >= began:
                rows.append((float(line[0]), float(line[1])))
        return rows

    def close(self):
        self.process.kill()
        self.process.wait()


class Profcore:
    def __init__(self, build, tmp, calls, backend="bpf", more=""):
        self.build, self.tmp, self.calls, self.backend, self.more = build, tmp, calls, backend, more

    def start(self, pid):
        self.out = self.tmp / f"out-{self.backend}-{self.calls}"
        ini = self.tmp / f"{self.calls}.ini"
        ini.write_text(INI.format(seconds=60, out=self.out, pid=pid, calls=self.calls, backend=self.backend,
                                  more=self.more))
        self.process = subprocess.Popen([self.build / "core" / "profcore", "-c", ini], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        log = pathlib.Path("/proc") / str(self.process.pid)
        time.sleep(2.5)
        assert log.exists(), self.process.communicate()[1]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate()

    def shown(self):
        text = subprocess.run([self.build / "core" / "profcore", "artifact", "show", self.out / "latest", "strace.syscalls", "--json"],
                              stdout=subprocess.PIPE, check=True).stdout
        return json.loads(text)


class Command:
    """A rival that runs until it is interrupted."""

    def __init__(self, words):
        self.words = words

    def start(self, pid):
        self.process = subprocess.Popen([str(word).format(pid=pid) for word in self.words], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        time.sleep(2.5)
        assert self.process.poll() is None, self.process.communicate()[0]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.output = self.process.communicate()[0]


def methods(build, tmp):
    found = {"profcore, blocked": Profcore(build, tmp, "blocked"), "profcore, all": Profcore(build, tmp, "all"),
             "profcore, perf": Profcore(build, tmp, "all", "perf"),
             "profcore, ptrace": Profcore(build, tmp, "all", "ptrace", "duty = 100\nforce = yes")}
    rivals = {"strace -c -f": ("strace", ["strace", "-c", "-f", "-p", "{pid}"]),
              "perf trace -s": ("perf", ["perf", "trace", "-s", "-p", "{pid}"]),
              "bpftrace": ("bpftrace", ["bpftrace", "-e", BPFTRACE])}
    for name, (program, words) in rivals.items():
        if shutil.which(program):
            found[name] = Command(words)
        else:
            print(f"# {name}: not installed, left out")
    return found


def added(loop, method, aim, seconds=2):
    """(by the fastest hundredth, by the median), against just before."""
    before = loop.seconds(seconds)
    method.start(aim)
    try:
        under = loop.seconds(seconds)
    finally:
        method.stop()
    return [min(row[i] for row in under) - min(row[i] for row in before) for i in (0, 1)], min(row[0] for row in before)


def measure(build, tmp, kind, aim_at_it, names, rounds):
    loop = Loop(build, kind)
    other = subprocess.Popen(["sleep", "600"])
    table = methods(build, tmp)
    results = {}
    try:
        for _ in range(rounds):
            for name in names:
                if name in table:
                    aim = loop.process.pid if aim_at_it else other.pid
                    results.setdefault(name, []).append(added(loop, table[name], aim))
    finally:
        loop.close()
        other.kill()
        other.wait()
    for name, rows in results.items():
        best = min(row[0][0] for row in rows)
        median = statistics.median(row[0][1] for row in rows)
        print(f"  {name:20} {best:+12.0f} ns   (median {median:+.0f}; alone {min(row[1] for row in rows):.0f})", flush=True)
    return {name: min(row[0][0] for row in rows) for name, rows in results.items()}


def truth(build, tmp):
    """What each says a 1-byte read of /dev/zero takes, beside what it takes untraced."""
    loop = Loop(build, "read")
    alone = min(row[0] for row in loop.seconds(2))
    method = Profcore(build, tmp, "all")
    method.start(loop.process.pid)
    method.stop()
    row = next(row for row in method.shown()["tables"]["calls"] if row["name"] == "read")
    print(f"a read of one byte: {alone:.0f} ns with the way in and out, by the loop's clock")
    print(f"  profcore says p50 {row['p50_ns']} ns, mean {row['mean_ns']} ns, {row['p50_ns'] / alone:.2f} times the loop's")
    if shutil.which("strace"):
        strace = Command(["strace", "-c", "-w", "-f", "-p", "{pid}"])
        strace.start(loop.process.pid)
        strace.stop()
        line = next((line.split() for line in strace.output.splitlines() if line.endswith(" read")), None)
        if line:
            print(f"  strace -c -w says {float(line[2]) * 1000:.0f} ns, {float(line[2]) * 1000 / alone:.2f} times the loop's")
    loop.close()


def exact(build, tmp, calls=1000000):
    """16 processes at once, each with so many calls: the sum that is counted, and what is not accounted for."""
    program = build / "tests" / "workloads" / "syscalls"
    script = tmp / "sixteen"
    script.write_text("#!/bin/sh\n" + f"{program} pids={calls} &\n" * 16 + "wait\n")
    script.chmod(0o755)
    ini = tmp / "exact.ini"
    ini.write_text(f"[run]\nname = exact\nduration = 120s\noutput = {tmp}/exact\n[target]\ncommand = {script}\n"
                   "[plugin:strace]\nbackend = bpf\ncalls = all\n")
    subprocess.run([build / "core" / "profcore", "-q", "-c", ini], check=True, stdout=subprocess.DEVNULL)
    shown = json.loads(subprocess.run([build / "core" / "profcore", "artifact", "show", tmp / "exact" / "latest", "strace.syscalls",
                                       "--json"], stdout=subprocess.PIPE, check=True).stdout)
    rows = [row["calls"] for row in shown["tables"]["calls"] if row["name"] == "getppid" and row["process"] == "syscalls"]
    print(f"16 processes with {calls:,} calls each: {sum(rows):,} counted in {len(rows)} processes, "
          f"{16 * calls - sum(rows):,} not accounted for, losses {shown['lost']}, unmatched {shown['facts']['unmatched']:.0f}")
    assert rows == [calls] * 16, rows


EVERYBODY = ["profcore, blocked", "profcore, all", "strace -c -f", "perf trace -s", "bpftrace"]
PARTS = {
    "call": ("added to a getppid of the target:", "call", True, EVERYBODY + ["profcore, perf", "profcore, ptrace"]),
    "read": ("added to a read of one byte, which is added up by file too:", "read", True, ["profcore, all", "bpftrace", "strace -c -f"]),
    "other": ("added to a getppid of another process:", "call", False, EVERYBODY + ["profcore, perf"]),
    "switch": ("added to a round of two to four switches and four calls of the target (by preemption there may be more than two):",
               "switch", True, ["profcore, blocked", "profcore, all", "bpftrace"]),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join((*PARTS, "truth", "exact")))
    args = parser.parse_args()
    wanted = args.only.split(",")
    if os.geteuid() != 0:
        print("SKIP(root): programs are loaded into the kernel by root alone")
        sys.exit(77)
    print(f"# kernel {os.uname().release}, {os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        for part, (title, kind, aim_at_it, names) in PARTS.items():
            if part not in wanted:
                continue
            print(title)
            costs = measure(args.build, tmp, kind, aim_at_it, names, args.rounds)
            if aim_at_it and costs.get("strace -c -f", 0) > 0 and costs.get("profcore, all", 0) > 0:
                print(f"  strace -c -f costs {costs['strace -c -f'] / costs['profcore, all']:.0f} times as much as profcore, all")
        if "truth" in wanted:
            truth(args.build, tmp)
        if "exact" in wanted:
            exact(args.build, tmp)


if __name__ == "__main__":
    main()

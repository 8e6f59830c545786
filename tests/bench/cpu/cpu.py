#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf-cpu beside perf record on a server without frame pointers, and what each costs the server.

    cpu.py BUILD [--server PROGRAM | --rust FOLDER] [--seconds 10] [--frequency 997] [--pairs 12] [--only figures|throws|cost]
           [--costs noise,99,997,perf]

Needs wrk and perf; --rust also cargo and the crates of docker/rust-backend. Each profiles a server of its own that is new, under
the same load, one after the other, so that neither pays for the other. CPU is user + system time of the whole program with its
children: profcore's includes walking, symbolizing and the picture, perf record's does none of it (its stacks are walked by perf
script, whose time stands apart). "in the window" is the collector's own, from T0 to T1: rings, walks, writing. The load ends at T1,
so that profcore works on the machine that perf script has; with --load-on it goes on for profcore.

throws is tests/workloads/throws.cc instead of a server: exceptions that pass through 30 frames, at -O3, without frame pointers.

Costs are CPU time of the server per request, with and without a profiler in turns: time that others take from it, and that the
hypervisor takes, is not in it, what interrupts take is (no IRQ_TIME_ACCOUNTING).
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time

ROOTS = {"_start", "clone", "clone3", "__clone3", "__clone", "start_thread", "__libc_start_main", "__libc_start_call_main",
         "__libc_start_main@@GLIBC_2.34", "ret_from_fork", "ret_from_fork_asm"}
# Two-sided 95 %, by degrees of freedom.
STUDENT = {4: 2.776, 7: 2.365, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 19: 2.093, 24: 2.064, 29: 2.045}

INI = """\
[run]
name     = bench
duration = {seconds}s
output   = {out}
[target]
{target}
[plugin:perf-cpu]
frequency = {frequency}
{more}"""


class Bench:
    def __init__(self, build, tmp, frequency, server, load_on=False):
        self.load_on = load_on
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

    def window(self, since):
        """T0 and the state of the newest run that began after a time; None when it has no window yet."""
        try:
            newest = max((self.tmp / "out").glob("*-bench"), key=lambda folder: folder.stat().st_mtime)
            t0 = json.loads((newest / "manifest.json").read_text())["window"]["realtime_at_t0_ns"] / 1e9
            return t0 if t0 > since else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def await_window(self, since):
        until = time.time() + 10
        while not (t0 := self.window(since)):
            assert time.time() < until, "profcore opened no window"
            time.sleep(0.02)
        return t0

    def end_load_at_t1(self, load, seconds):
        def work():
            time.sleep(max(0.0, self.await_window(time.time()) + seconds - time.time()))
            load.send_signal(signal.SIGINT)

        if not self.load_on:
            threading.Thread(target=work, daemon=True).start()

    def cpu_ns(self):
        """CPU time of the server's threads, those that ended while it is measured aside: it has none such."""
        return sum(int((task / "schedstat").read_text().split()[0])
                   for task in pathlib.Path(f"/proc/{self.server.pid}/task").iterdir())

    def cost_of_requests(self, seconds):
        """CPU time per request in us."""
        before = self.cpu_ns()
        requests = self.requests(self.load(seconds))
        return (self.cpu_ns() - before) / requests / 1e3

    @staticmethod
    def requests(load):
        text = load.communicate()[0]
        return int(re.search(r"(\d+) requests in", text).group(1))

    def start_profcore(self, seconds, frequency, more="", target=None):
        ini = self.tmp / "bench.ini"
        ini.write_text(INI.format(seconds=seconds, out=self.tmp / "out", target=target or f"pid = {self.server.pid}",
                                  frequency=frequency, more=more))
        env = dict(os.environ, PROFCORE_PLUGIN_PATH=str(self.build / "plugins"))
        argv = [self.build / "core" / "profcore", "-c", ini]
        return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_perf(self, seconds, frequency, command=None):
        argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(frequency), "--call-graph", "dwarf,65528", "-o",
                self.tmp / "perf.data", *(command or ["-p", str(self.server.pid), "--", "sleep", str(seconds)])]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(process):
    """CPU seconds of a process and its children. Fails when it did."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{process.args[0]} ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime


def read_run(bench):
    """Of the newest run: its folder, the manifest, and what that says of the stacks."""
    run = (bench.tmp / "out" / "latest").resolve()
    manifest = json.loads((run / "manifest.json").read_text())
    stage = next(stage for stage in manifest["stages"] if stage["name"] == "perf-cpu")
    return run, manifest, next(a for a in stage["artifacts"] if a["port"] == "stacks")


def figures_of_profcore(bench, seconds):
    load = bench.load(seconds + 5)
    time.sleep(0.5)
    bench.end_load_at_t1(load, seconds)
    cpu = finish(bench.start_profcore(seconds, bench.frequency, "[plugin:flamegraph]\n"))
    load.communicate()
    run, manifest, stacks = read_run(bench)
    facts = stacks["completeness"]
    path = run / stacks["path"]
    window = manifest["window"]
    t1 = (window["realtime_at_t0_ns"] + window["t1_ns"] - window["t0_ns"]) / 1e9
    picture = next(run.glob("*.svg"))
    return {"samples": facts["samples"], "rooted %": facts["rooted_pct"], "unknown %": facts["unknown_pct"],
            "lost": stacks["lost"], "bytes a sample": path.stat().st_size / facts["samples"], "CPU s": cpu,
            "CPU us a sample": cpu * 1e6 / facts["samples"], "symbolize, s": facts["symbolize_ms"] / 1e3, "CPU s in the window": facts["collector_cpu_s"],
            "T1 to stacks, s": path.stat().st_mtime - t1, "T1 to SVG, s": picture.stat().st_mtime - t1}


def read_script(bench, data):
    """perf script into folded stacks, as they come: the stacks, and seconds from start to end."""
    began = time.monotonic()
    folded = {}
    rooted = samples = 0
    argv = ["perf", "script", "-F", "comm,ip,sym", "-i", data]
    script = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    stack = []
    for line in script.stdout:
        if line[0] == "\t" or line[0] == " ":
            stack.append(line.split(None, 1)[-1].rstrip())
        elif line == "\n" and stack:
            samples += 1
            rooted += re.sub(r"\+0x\w+$", "", stack[-1]) in ROOTS
            stack.reverse()
            folded[";".join(stack)] = folded.get(";".join(stack), 0) + 1
            stack = []
    script_cpu = finish(script)
    return samples, rooted, len(folded), time.monotonic() - began, script_cpu


def figures_of_perf(bench, seconds):
    load = bench.load(seconds + 3)
    time.sleep(0.5)
    cpu = finish(bench.start_perf(seconds, bench.frequency))
    load.communicate()
    data = bench.tmp / "perf.data"
    samples, rooted, folded, script_seconds, script_cpu = read_script(bench, data)
    stats = subprocess.run(["perf", "report", "--stats", "-i", data], capture_output=True, text=True).stdout
    lost = re.search(r"LOST_SAMPLES events:\s+(\d+)", stats)
    return {"samples": samples, "rooted %": 100 * rooted / samples, "unknown %": math.nan,
            "lost": int(lost.group(1)) if lost else 0, "bytes a sample": data.stat().st_size / samples, "CPU s": cpu,
            "CPU us a sample": cpu * 1e6 / samples, "CPU s in the window": cpu, "T1 to stacks, s": script_seconds,
            "T1 to SVG, s": math.nan, "symbolize, s": math.nan, "perf script CPU s": script_cpu, "folded stacks": folded}


def stop(profiler):
    profiler.send_signal(signal.SIGINT)
    profiler.wait()


def cost(bench, start, pairs, seconds=2):
    """CPU time per request with over without, in turns, each first as often: mean and 95 % interval, in percent."""
    more = []
    for pair in range(pairs):
        costs = {}
        for with_it in (pair % 2 == 0, pair % 2 == 1):
            profiler = None
            if with_it and start:
                since = time.time()
                profiler = start(60)
                if profiler.args[0] != "perf":
                    bench.await_window(since)
                time.sleep(1.5) # perf is attached by then; perf-cpu has settled on the size of its copies
            costs[with_it] = bench.cost_of_requests(seconds)
            if profiler:
                stop(profiler)
        more.append(100 * (costs[True] / costs[False] - 1))
    mean = statistics.mean(more)
    half = STUDENT.get(pairs - 1, 2.262) * statistics.stdev(more) / math.sqrt(pairs)
    return f"{mean:6.2f} %  [{mean - half:.2f}, {mean + half:.2f}], median {statistics.median(more):.2f} %"


def build_rust(folder):
    """The Rust backend with all features of hyper and tokio and all their code kept: some 38 MB with its debug information."""
    source = pathlib.Path(__file__).resolve().parents[3] / "docker" / "rust-backend"
    shutil.copytree(source, folder / "source", dirs_exist_ok=True)
    manifest = folder / "source" / "Cargo.toml"
    manifest.write_text(re.sub(r'features = \["(server|rt-multi)[^]]*\]', 'features = ["full"]', manifest.read_text()))
    env = dict(os.environ, RUSTFLAGS="-C force-frame-pointers=no -C link-dead-code", CARGO_TARGET_DIR=str(folder / "target"),
               CARGO_PROFILE_RELEASE_CODEGEN_UNITS="16")
    subprocess.run(["cargo", "build", "--release", "--offline", "-q"], cwd=folder / "source", env=env, check=True)
    program = folder / "target" / "release" / "backend"
    print(f"{program}: {program.stat().st_size / 1e6:.1f} MB")
    return program


def print_figures(bench, seconds):
    ours = figures_of_profcore(bench, seconds)
    bench.close() # a new one: the first run read the pages that were missing in its stacks
    bench.open()
    theirs = figures_of_perf(bench, seconds)
    built = subprocess.run(["perf", "version", "--build-options"], capture_output=True, text=True).stdout
    bfd = re.search(r"libbfd: \[ *(\w+)", built)
    print(f"perf's inlined calls by {'libbfd' if bfd and bfd.group(1) == 'on' else 'addr2line processes (no libbfd)'}")
    print(f"{'':20} {'perf-cpu':>12} {'perf dwarf 64K':>16}")
    for key, value in theirs.items():
        print(f"{key:20} {ours.get(key, math.nan):12.3f} {value:16.3f}")
    samples = theirs["samples"] / ours["samples"]
    print(f"per sample: CPU in the window 1/{theirs['CPU s in the window'] / samples / ours['CPU s in the window']:.1f} of perf "
          f"record's; T1 to stacks 1/{theirs['T1 to stacks, s'] / samples / ours['T1 to stacks, s']:.1f} of perf script's, to the "
          f"picture 1/{theirs['T1 to stacks, s'] / samples / ours['T1 to SVG, s']:.1f}", flush=True)


def print_throws(bench, seconds):
    source = pathlib.Path(__file__).resolve().parents[2] / "workloads" / "throws.cc"
    program = bench.tmp / "throws"
    subprocess.run(["c++", "-std=c++17", "-O3", "-g", "-fomit-frame-pointer", "-o", program, source], check=True)
    finish(bench.start_profcore(seconds + 10, bench.frequency, target=f"command = {program} {seconds}"))
    stacks = read_run(bench)[2]
    facts = stacks["completeness"]
    print(f"exceptions through 30 frames: perf-cpu {facts['samples']:.0f} samples, {facts['rooted_pct']:.2f} % rooted, "
          f"{stacks['lost']} lost;", end=" ", flush=True)
    finish(bench.start_perf(seconds, bench.frequency, [program, str(seconds)]))
    samples, rooted, *_ = read_script(bench, bench.tmp / "perf.data")
    print(f"perf dwarf 64K {samples} samples, {100 * rooted / samples:.2f} % rooted", flush=True)


def print_costs(bench, pairs, what):
    starts = {"noise": ("nothing (noise)", None),
              "99": ("perf-cpu at   99 Hz", lambda seconds: bench.start_profcore(seconds, 99)),
              "997": ("perf-cpu at  997 Hz", lambda seconds: bench.start_profcore(seconds, 997)),
              "perf": ("perf dwarf, 997 Hz", lambda seconds: bench.start_perf(seconds, 997))}
    print(f"CPU time per request, {pairs} pairs of 2 s, mean and 95 % interval")
    for name in what:
        print(f"{starts[name][0]:19}", cost(bench, starts[name][1], pairs), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--server", type=pathlib.Path, help="takes --port 0, prints its address, answers /slow; else the C backend")
    parser.add_argument("--rust", type=pathlib.Path, help="build the Rust backend there, and take it")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--frequency", type=int, default=997)
    parser.add_argument("--load-on", action="store_true", help="the load does not end at T1")
    parser.add_argument("--costs", default="noise,99,997,perf", help="a part of noise,99,997,perf")
    parser.add_argument("--only", choices=("figures", "throws", "cost"))
    args = parser.parse_args()
    for tool in ("wrk", "perf"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is needed: apt-get install {'linux-perf' if tool == 'perf' else tool}")
    server = build_rust(args.rust.resolve()) if args.rust else args.server
    with tempfile.TemporaryDirectory() as tmp:
        bench = Bench(args.build.resolve(), pathlib.Path(tmp), args.frequency, server, args.load_on)
        try:
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, {args.frequency} Hz, {args.seconds} s")
            if args.only in (None, "figures"):
                print_figures(bench, args.seconds)
            if args.only in (None, "throws"):
                print_throws(bench, args.seconds)
            if args.only in (None, "cost") and args.pairs > 1:
                print_costs(bench, args.pairs, args.costs.split(","))
        finally:
            bench.close()


if __name__ == "__main__":
    main()

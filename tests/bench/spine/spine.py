#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the core itself costs: time to T0, time from T1 to the end, memory, listing and planning; and how true the demo's shares are.

Prints one line a figure, with the goal beside it. Medians of several runs: the machine is noisy.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))
import harness  # noqa: E402


def line(what, value, unit, goal):
    print(f"{what:<58} {value:>9.1f} {unit:<6} goal {goal}", flush=True)


def watch_memory(pid, peak):
    """The highest resident set of the core alone, in KiB."""
    while True:
        try:
            for row in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if row.startswith("VmHWM:"):
                    peak.append(int(row.split()[1]))
        except OSError:
            return
        time.sleep(0.01)


def run(path):
    """(manifest, ns of exec, ns of exit, peak RSS in KiB)."""
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    process = subprocess.Popen([harness.profcore_path(), "-c", path, "--json", "-q"], stdout=subprocess.PIPE, text=True)
    peak = [0]
    watcher = threading.Thread(target=watch_memory, args=(process.pid, peak))
    watcher.start()
    out, _ = process.communicate()
    ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    watcher.join()
    answer = json.loads(out)
    manifest = json.loads(pathlib.Path(answer["run"], "manifest.json").read_text())
    assert manifest["exit_code"] == 0, answer
    return manifest, began, ended, max(peak)


def bench_start(tmp):
    with subprocess.Popen(["sleep", "600"]) as target:
        path = tmp / "null.ini"
        path.write_text(f"[run]\nduration = 200ms\noutput = {tmp}/runs\n[target]\npid = {target.pid}\n"
                        + "".join(f"[plugin:n{i}]\nuse = null\n" for i in range(6)))
        times = []
        for _ in range(15):
            manifest, began, _, _ = run(path)
            times.append((manifest["window"]["t0_ns"] - began) / 1e6)
        target.kill()
    line("exec to T0, six null stages, pid target (median of 15)", statistics.median(times), "ms", "<= 150")


def bench_demo(tmp):
    text = (harness.source_dir() / "configs" / "slow_endpoint.ini").read_text()
    path = tmp / "demo.ini"
    path.write_text(text.replace("[run]", f"[run]\noutput = {tmp}/runs"))
    drains, peaks = [], []
    for _ in range(3):
        manifest, _, ended, peak = run(path)
        drains.append((ended - manifest["window"]["t1_ns"]) / 1e6)
        peaks.append(peak / 1024)
    line("T1 to exit, demo, 10 s window (median of 3)", statistics.median(drains), "ms", "<= 500")
    line("core's peak RSS, demo (highest of 3)", max(peaks), "MiB", "<= 16")


def bench_accuracy(tmp):
    """The planted functions' shares of a profile against those of the backend's own thread clock."""
    errors = []
    for split in ("60,25,15", "20,30,50", "34,33,33"):
        with harness.Backend("--split", split) as backend:
            path = tmp / "accuracy.ini"
            path.write_text(f"[run]\nduration = 10s\noutput = {tmp}/runs\n[target]\npid = {backend.pid}\n"
                            f"[plugin:load-test]\nurl = {backend.url('/slow')}\nconnections = 4\n"
                            "[plugin:perf-cpu]\nfrequency = 997\n[plugin:analyze]\n")
            backend.truth(reset=True)
            manifest, _, _, _ = run(path)
            truth = {name: row["cpu_ns"] for name, row in backend.truth()["functions"].items()}
        report = json.loads((tmp / "runs" / manifest["run"] / "report.json").read_text())
        seen = {row["function"]: row["total_pct"] for row in report["stacks"][0]["by_self"]}
        errors += [100 * abs(truth[name] / sum(truth.values()) - seen[name] / sum(seen[n] for n in truth)) for name in truth]
    line("largest error of a planted share, 997 Hz, 10 s, 3 splits", max(errors), "points", "<= 3")


def bench_plugins(tmp):
    folder = tmp / "plugins"
    folder.mkdir(mode=0o755)
    source = harness.build_dir() / "plugins" / "null.so"
    for i in range(50):
        shutil.copy(source, folder / f"p{i:02}.so")
    times = []
    for _ in range(15):
        began = time.monotonic()
        subprocess.run([harness.profcore_path(), "plugin", "list", "--json"], stdout=subprocess.DEVNULL, check=True,
                       stderr=subprocess.DEVNULL, env=dict(os.environ, PROFCORE_PLUGIN_PATH=str(folder)))
        times.append((time.monotonic() - began) * 1e3)
    line("plugin list over 50 files, whole process (median of 15)", statistics.median(times), "ms", "<= 50")


def bench_plan(tmp):
    def planned(count):
        path = tmp / f"plan{count}.ini"
        path.write_text("[target]\npid = 1\n" + "".join(f"[plugin:s{i}]\nuse = null\n" for i in range(count)))
        times = []
        for _ in range(15):
            began = time.monotonic()
            subprocess.run([harness.profcore_path(), "plan", "-c", path], stdout=subprocess.DEVNULL, check=True)
            times.append((time.monotonic() - began) * 1e3)
        return statistics.median(times)

    line("plan of 200 stages, whole process (median of 15)", planned(200), "ms", "<= 20 (planning)")
    line("plan of 1 stage, whole process: start and plugin scan", planned(1), "ms", "")


def main():
    # Below a folder that only root can write to: the registry takes plugins from no other when root runs it.
    base = "/var/lib" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="profcore-bench-", dir=base) as folder:
        tmp = pathlib.Path(folder)
        bench_start(tmp)
        bench_plugins(tmp)
        bench_plan(tmp)
        bench_demo(tmp)
        bench_accuracy(tmp)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The heap of programs that run: what probes say, against what the programs themselves know; and that nothing stays behind."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections import defaultdict

import containers
import harness
from harness import check_in, check_near, need_tool, profcore, profcore_json

CONFIG = """[run]
name = attach
duration = {seconds}s
output = {output}

[target]
{target}

[plugin:memory]
mode = {mode}
sample = {sample}
budget = {budget}
faults = no
maps = no
smaps = no
"""

LEAK = 1


class Attached:
    """One run of the plugin on something that runs."""

    def __init__(self, tmp, target, seconds=2, sample="32KiB", budget=1000, mode="uprobes", more="", code=0, env=None):
        config = tmp / "attach.ini"
        config.write_text(CONFIG.format(seconds=seconds, output=tmp / "runs", target=target, sample=sample, budget=budget,
                                        mode=mode) + more)
        self.answer = profcore_json("-c", config, "--json", timeout=120, env=env)
        self.answer.result.expect(code)
        self.run = tmp / "runs" / "latest"
        self.facts = self.artifact("timeline")["completeness"]
        self.sites = defaultdict(lambda: defaultdict(float))
        for row in self.table("heap_sites"):
            site = self.sites[row["function_text"]]
            for column in ("allocated", "live", "samples", "temporary"):
                site[column] += row[column] or 0
            site["variance"] += (((row["allocated_high"] or 1e15) - row["allocated"]) / 1.96) ** 2
        self.leaks = {row["function_text"]: row for row in self.table("leaks")}

    def table(self, name):
        result = profcore("artifact", "show", self.run, "memory.timeline", "--table", name, "--json").ok()
        return result.json()["tables"][name]

    def artifact(self, port):
        for stage in self.answer["stages"]:
            for item in stage["artifacts"]:
                if stage["name"] == "memory" and item["port"] == port:
                    return item
        raise AssertionError(f"no artifact memory.{port}")

    def window(self):
        window = json.loads((self.run / "manifest.json").read_text())["window"]
        return window["t0_ns"], window["t1_ns"]

    def plan(self):
        return " ".join(line for line in self.facts["plan"].values() if "heap" in line)


class Program:
    """A program that allocates and keeps a log of it; see tests/workloads/attached.c."""

    def __init__(self, tmp, argv, env=None):
        self.log = tmp / "log"
        self.log.unlink(missing_ok=True)
        argv = [str(self.log if word == "LOG" else word) for word in argv]
        self.process = subprocess.Popen(argv, env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        harness.wait_until(lambda: self.log.exists() and self.log.stat().st_size > 200, what="the program's log")

    def of(self, window):
        """What happened in a window: the differences of the log's columns, between its lines."""
        rows = [[int(word) for word in line.split()] for line in self.log.read_text().splitlines()[:-1]]

        def at(time_ns):
            after = next(i for i, row in enumerate(rows) if row[0] >= time_ns)
            (a, b), share = rows[after - 1:after + 1], 0
            share = (time_ns - a[0]) / (b[0] - a[0])
            return [x + share * (y - x) for x, y in zip(a, b)]

        return [y - x for x, y in zip(at(window[0]), at(window[1]))][1:]

    def end(self):
        """Its own checks passed."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) in (0, -signal.SIGTERM), f"the program says {self.process.returncode}"


@contextlib.contextmanager
def program(tmp, argv, env=None):
    it = Program(tmp, argv, env)
    try:
        yield it
        it.end()
    finally:
        if it.process.poll() is None:
            it.process.kill()
        it.process.wait()


def attached(rate=8000, leak=0, threads=1, exe=None, seconds=60):
    return [exe or harness.workload("attached"), rate, seconds, leak, "LOG", threads]


def check_counts(run, told, tolerance=0.02):
    """Every call was counted; the estimates are where their own error says."""
    calls, size = told[:2]
    check_near(run.facts["heap_counted_bytes"] / size, 1, tolerance, "bytes that were counted, of the truth")
    check_near(run.facts["heap_counted_calls"] / calls, 1, tolerance, "calls that were counted, of the truth")


def of_names(run, told):
    far = []
    for number, size in enumerate(told[3:11]):
        seen = run.sites[f"site_{number}"]
        sigmas = abs(seen["allocated"] - size) / max(seen["variance"], 1) ** 0.5
        assert sigmas < 4.5, (number, sigmas, seen["allocated"], size)
        far += [number] if sigmas > 3 else []
    assert len(far) <= 1, f"more than three sigma away: {far}"


def test_bytes_by_site_and_the_leak_of_a_program_that_runs(tmp):
    harness.need("bpf")
    with program(tmp, attached(leak=600, threads=2)) as it:
        run = Attached(tmp, f"pid = {it.pid}", seconds=6, sample="16KiB")
        told = it.of(run.window())
    check_counts(run, told)
    of_names(run, told)
    check_near(sum(site["allocated"] for site in run.sites.values()) / told[1], 1, 0.05, "estimate of all bytes, of the truth")
    named = [name for name, row in run.leaks.items() if row["verdict"] == LEAK]
    assert named == ["forgets"], run.leaks
    check_near(run.sites["forgets"]["live"] / told[2], 1, 0.25, "bytes in use, of what was leaked")
    check_in("glibc (libc.so.6)", run.facts["heap_allocator"])
    check_in("us a call", run.plan())
    check_in("free+", run.facts["probes"]["places"])
    assert run.artifact("churn")["completeness"]["rooted_pct"] > 95, run.artifact("churn")


def test_as_on_older_kernels(tmp):
    """Every return is seen, as on Linux 6.6 to 6.12: the same figures."""
    harness.need("bpf")
    with program(tmp, attached(rate=4000, leak=1000)) as it:
        run = Attached(tmp, f"pid = {it.pid}", more="probes = multi\n")
        told = it.of(run.window())
    check_in("multi", run.facts["probes"]["link"])
    check_counts(run, told)
    of_names(run, told)
    check_near(run.sites["forgets"]["live"] / told[2], 1, 0.45, "bytes in use, of what was leaked")


UNAME26 = 0x0020000


@contextlib.contextmanager
def an_old_kernel():
    """What is started here takes the kernel for 2.6, personality(2): the stage gets what older ones want for probes."""
    libc = ctypes.CDLL(None)
    before = libc.personality(0xFFFFFFFF)
    libc.personality(before | UNAME26)
    try:
        yield
    finally:
        libc.personality(before)


def need_admin():
    harness.need("bpf")
    held = int(next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")).split()[1], 16)
    if not held >> 21 & 1:
        raise harness.Skip("admin", "CAP_SYS_ADMIN is not held, which probes by events want")


def test_by_events_as_before_there_were_links(tmp):
    """As on Linux 5.15 to 6.5, by the uprobe PMU: the same figures, in a stage that is confined as ever, with CAP_SYS_ADMIN at hand."""
    need_admin()
    with program(tmp, attached(rate=4000, leak=1000, threads=2)) as it, an_old_kernel():
        run = Attached(tmp, f"pid = {it.pid}", more="probes = events\n")
        told = it.of(run.window())
    check_in("events", run.facts["probes"]["link"])
    check_counts(run, told)
    of_names(run, told)
    check_near(run.sites["forgets"]["live"] / told[2], 1, 0.45, "bytes in use, of what was leaked")
    check_in("CAP_SYS_ADMIN while", run.plan())
    with program(tmp, attached(rate=1000)) as it:  # where the kernel has links the stage has no CAP_SYS_ADMIN
        run = Attached(tmp, f"pid = {it.pid}", seconds=1, mode="auto", more="probes = events\n", code=1)
    timeline = run.artifact("timeline")
    assert timeline["state"] == "partial", timeline
    check_in("CAP_SYS_ADMIN", timeline["completeness"]["partial"])


def capabilities(pid, which):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1], 16)
    raise AssertionError(which)


def test_a_stage_that_was_killed_leaves_no_event_behind(tmp):
    need_admin()
    with program(tmp, attached(rate=2000)) as it, an_old_kernel():
        with running(tmp, it.pid, more="probes = events\n") as run:
            harness.wait_until(lambda: len(patched(it.pid)) >= 5, 20, "probes in the target")
            time.sleep(1.5)
            stage = stage_of(run.pid)
            assert capabilities(stage, "CapPrm") >> 21 & 1, "CAP_SYS_ADMIN is not at hand"
            assert not capabilities(stage, "CapEff") >> 21 & 1, "CAP_SYS_ADMIN is in effect though nothing is attached"
            os.kill(stage, signal.SIGKILL)
            harness.wait_until(lambda: not patched(it.pid), 10, "the target's own code, again")
            assert run.wait(30) != 0, "a killed stage must not look like success"


def compiled(tmp, name, argv):
    source = harness.source_dir() / "tests" / "workloads"
    done = subprocess.run([*argv, "-O2", "-g", "-D_GNU_SOURCE", f"-I{source}", source / "attached.c", "-o", tmp / name, "-pthread"],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise harness.Skip(argv[0], f"it cannot build the program: {done.stderr[-300:]}")
    return tmp / name


def check_allocator(tmp, exe, name, tolerance=0.02, env=None):
    with program(tmp, attached(rate=3000, leak=100, exe=exe), env) as it:
        run = Attached(tmp, f"pid = {it.pid}", seconds=2)
        told = it.of(run.window())
    check_in(name, run.facts["heap_allocator"])
    check_counts(run, told, tolerance)


def test_other_allocators_static_ones_too(tmp):
    harness.need("bpf")
    need_tool("gcc")
    check_allocator(tmp, compiled(tmp, "static", ["gcc", "-static"]), "glibc (static)")
    if shutil.which("musl-gcc"):
        check_allocator(tmp, compiled(tmp, "musl", ["musl-gcc", "-static"]), "musl (musl)")
    for library in ("jemalloc.so.2", "mimalloc.so.2", "tcmalloc_minimal.so.4"):
        path = pathlib.Path(f"/usr/lib/x86_64-linux-gnu/lib{library}")
        if path.exists():
            check_allocator(tmp, None, f"{library[:8]} (lib{library}", env={"LD_PRELOAD": str(path)})


def test_operator_new_is_seen_once(tmp):
    """libstdc++'s calls malloc, tcmalloc's own does not."""
    harness.need("bpf")
    need_tool("gcc")
    exe = compiled(tmp, "new", ["gcc", "-Dmalloc=_Znwm", "-Dfree=_ZdlPv", "-Wl,--no-as-needed", "-lstdc++"])
    check_allocator(tmp, exe, "glibc (libc.so.6)")
    path = pathlib.Path("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4")
    if not path.exists():
        raise harness.Skip("tcmalloc", "libtcmalloc-minimal4 is not installed: of operator new only libstdc++'s was looked at")
    check_allocator(tmp, exe, "tcmalloc (libtcmalloc_minimal.so.4", env={"LD_PRELOAD": str(path)})


def test_an_allocator_without_a_name_is_said_to_be_unseen(tmp):
    harness.need("bpf")
    exe = compiled(tmp, "stripped", ["gcc", "-static", "-s"])
    for mode, code in (("auto", 1),):
        with program(tmp, attached(rate=1000, exe=exe)) as it:
            run = Attached(tmp, f"pid = {it.pid}", seconds=1, mode=mode, code=code)
        timeline = run.artifact("timeline")
        assert timeline["state"] == "partial", timeline
        check_in("no function of an allocator has a name", timeline["completeness"]["partial"])
        for port in ("heap", "churn"):
            assert run.artifact(port)["state"] == "absent", run.artifact(port)
            check_in("no function of an allocator", run.artifact(port)["completeness"]["absent"])


# ---- Rust ----

JEMALLOC_NAMES = ("malloc calloc realloc free mallocx rallocx xallocx dallocx sdallocx sallocx nallocx posix_memalign aligned_alloc "
                  "memalign valloc malloc_usable_size mallctl").split()


def rust(tmp, name, *options):
    need_tool("rustc")
    source = harness.source_dir() / "tests" / "workloads" / "attached.rs"
    done = subprocess.run(["rustc", "-O", "-g", "-A", "unexpected_cfgs", *options, source, "-o", tmp / name], capture_output=True,
                          text=True, timeout=180)
    if done.returncode != 0:
        raise harness.Skip("rustc", f"it cannot build the program: {done.stderr[-300:]}")
    return tmp / name


def jemalloc_options(tmp):
    """jemalloc as the crate has it: inside the program, its functions called _rjem_."""
    library = pathlib.Path("/usr/lib/x86_64-linux-gnu/libjemalloc_pic.a")
    if not library.exists():
        raise harness.Skip("jemalloc", "libjemalloc-dev is not installed")
    renames = [word for name in JEMALLOC_NAMES for word in ("--redefine-sym", f"{name}=_rjem_{name}")]
    subprocess.run(["objcopy", *renames, library, tmp / "libjrust.a"], check=True)
    return ["--cfg", "jemalloc", "-L", tmp, "-l", "static=jrust", "-l", "stdc++"]


def check_rust(tmp, exe, allocator, names=True):
    with program(tmp, [exe, 4000, 60, "LOG"]) as it:
        run = Attached(tmp, f"pid = {it.pid}", seconds=1, sample="16KiB")
        told = it.of(run.window())
    check_in(allocator, run.facts["heap_allocator"])
    check_near(run.facts["heap_counted_bytes"] / told[1], 1, 0.02, "bytes that were counted, of the truth")
    kept = sum(site["live"] for name, site in run.sites.items() if "keep_session" in name)
    check_near(kept / told[2], 1, 0.35, "bytes in use under keep_session, of the truth")


def test_rust_with_its_own_jemallocs_and_arenas_allocator(tmp):
    harness.need("bpf")
    check_rust(tmp, rust(tmp, "default"), "glibc (libc.so.6)")
    check_rust(tmp, rust(tmp, "arena", "--cfg", "arena", "-C", "lto=off"), "Rust, of its own (arena)")
    options = jemalloc_options(tmp)
    check_rust(tmp, rust(tmp, "jemalloc", *options), "jemalloc (_rjem_) (jemalloc)")
    with program(tmp, [rust(tmp, "bare", *options, "-C", "lto=fat", "-C", "strip=symbols"), 12000, 60, "LOG"]) as it:
        run = Attached(tmp, f"pid = {it.pid}", seconds=6, code=1)
    check_in("the program has an allocator whose functions have no names", run.facts["heap_unexplained"])
    assert run.artifact("timeline")["state"] == "partial", run.facts


# ---- containers ----


def check_backend(tmp, mode, function, column, rust=False):
    with containers.run_backend(rust=rust) as container:
        port = f"{container.ip}:8080"
        load = subprocess.Popen(["python3", "-c", LOAD, port, mode], stdout=subprocess.DEVNULL)
        try:
            run = Attached(tmp, f"container = {container.name}", seconds=3, sample="16KiB", env=containers.docker_env.engine().env())
        finally:
            load.kill()
            load.wait()
    check_in("glibc (libc.so.6)", run.facts["heap_allocator"])
    planted = sum(site[column] for name, site in run.sites.items() if function in name)
    assert planted > 0.5 * sum(site[column] for site in run.sites.values()) > 0, dict(run.sites)


def test_the_demo_backend_in_a_container_by_its_name(tmp):
    harness.need("bpf")
    check_backend(tmp, "leak", "leak_session", "live")
    check_backend(tmp, "alloc", "churn_memory", "allocated")


def test_the_rust_backend_in_a_container_by_its_name(tmp):
    harness.need("bpf")
    check_backend(tmp, "leak", "touched_block", "live", rust=True)  # which leak_session calls


LOAD = """
import sys, time, urllib.request
while True:
    urllib.request.urlopen(f"http://{sys.argv[1]}/slow?mode={sys.argv[2]}").read()
    time.sleep(0.05)
"""


# ---- what others feel, and what stays behind ----


def libc_of(pid):
    """Where malloc is in a process's memory, and its bytes there and in the file."""
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        words = line.split()
        if len(words) > 5 and "x" in words[1] and words[5].endswith("/libc.so.6"):
            begin, end = (int(word, 16) for word in words[0].split("-"))
            return begin, end, int(words[2], 16), words[5]
    raise AssertionError("no libc")


def patched(pid):
    """Bytes of libc's code that are not as in the file."""
    begin, end, offset, path = libc_of(pid)
    with open(f"/proc/{pid}/mem", "rb") as memory, open(path, "rb") as file:
        memory.seek(begin)
        file.seek(offset)
        now, there = memory.read(end - begin), file.read(end - begin)
    return [i for i, (x, y) in enumerate(zip(now, there)) if x != y]


def stage_of(pid):
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            return int(entry.parent.name)
    return None


@contextlib.contextmanager
def running(tmp, pid, seconds=30, more=""):
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(seconds=seconds, output=tmp / "runs", target=f"pid = {pid}", sample="64KiB", budget=1000,
                                    mode="uprobes") + more)
    run = subprocess.Popen([harness.profcore_path(), "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()


def test_probes_are_the_targets_alone_and_a_killed_stage_leaves_none(tmp):
    harness.need("bpf")
    other = tmp / "other"
    other.mkdir()
    with program(tmp, attached(rate=2000)) as it, program(other, attached(rate=2000)) as bystander:
        with running(tmp, it.pid) as run:
            harness.wait_until(lambda: patched(it.pid), 20, "probes in the target")
            time.sleep(0.3)
            places = patched(it.pid)
            assert len(places) >= 5, places
            for _ in range(20):  # all the while
                assert patched(bystander.pid) == [], "probes in a process that is not the target"
                time.sleep(0.02)
            os.kill(stage_of(run.pid), signal.SIGKILL)
            harness.wait_until(lambda: not patched(it.pid), 10, "the target's own code, again")
            assert run.wait(30) != 0, "a killed stage must not look like success"
        events = pathlib.Path("/sys/kernel/tracing/uprobe_events")
        assert not events.exists() or str(it.pid) not in events.read_text()
        assert pathlib.Path(f"/proc/{it.pid}/maps").read_text().count("[uprobes]") <= 1


def ns_a_call(it, seconds=0.5):
    """CPU time of a program for one of its calls."""

    def now():
        return time.clock_gettime_ns(~it.pid << 3 | 2), int(it.log.read_text().splitlines()[-2].split()[1])

    cpu, calls = now()
    time.sleep(seconds)
    return [(after - before) for before, after in zip((cpu, calls), now())]


def test_another_process_with_the_same_libc_is_not_slowed(tmp):
    """Its CPU time for a call, before, while and after there are probes in the target's libc, which the target feels."""
    harness.need("bpf")
    other = tmp / "other"
    other.mkdir()

    def both():
        return [cpu / calls for cpu, calls in (ns_a_call(bystander), ns_a_call(it))]

    with program(tmp, attached(rate=1000000000)) as it, program(other, attached(rate=1000000000)) as bystander:
        before = both()
        with running(tmp, it.pid):
            harness.wait_until(lambda: len(patched(it.pid)) >= 5, 20, "probes in the target")
            time.sleep(0.7)  # past the counting beforehand
            assert patched(it.pid), "no probes in the target"
            during = both()
        harness.wait_until(lambda: not patched(it.pid), 10, "the target's own code, again")
        after = both()
    ratios = [2 * x / (a + b) for a, x, b in zip(before, during, after)]
    print(f"# CPU time for a call with probes in the target: {ratios[0]:.2f} times in another process, {ratios[1]:.1f} in it")
    assert ratios[1] > 2, f"the target does not feel its probes: {ratios}"
    assert ratios[0] < 1.5, f"another process feels them: {ratios}"


def test_over_budget_is_done_in_slices_and_partial(tmp):
    """A program that does nothing but allocate: what is in use cannot be told then, and that is said."""
    harness.need("bpf")
    with program(tmp, attached(rate=1000000000)) as it:
        run = Attached(tmp, f"pid = {it.pid}", seconds=5, budget=20, code=1)
        told = it.of(run.window())
    probes = run.facts["probes"]
    assert probes["slices"] >= 2 and probes["on_pct"] < 60, probes
    timeline = run.artifact("timeline")
    assert timeline["state"] == "partial", timeline
    check_in("to keep budget = 20 %", timeline["completeness"]["partial"])
    assert run.artifact("heap")["state"] == "absent" and run.artifact("churn")["state"] != "absent"
    assert all(row["live"] is None for row in run.table("heap_sites"))
    low = sum(row["allocated_low"] for row in run.table("heap_sites"))
    high = sum(row["allocated_high"] or 1e15 for row in run.table("heap_sites"))  # none: it cannot be told
    assert 0 < low < 1.5 * told[1] and high > 0.67 * told[1], (low, told[1], high, probes)


if __name__ == "__main__":
    harness.main(__name__)

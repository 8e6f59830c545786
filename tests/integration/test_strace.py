#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""strace by BPF: time off the CPU against clocks of the program itself, stacks with the callers that wait, books that close."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import threading
import time

import harness
from harness import check_in, profcore_json

CONFIG = """\
[run]
name     = waits
duration = {duration}
output   = {out}

[target]
{target}

[plugin:strace]
backend = bpf
{options}
{more}
"""

WAITS = ("nap", "save", "queue_up", "fetch")


class Run:
    """One run: the tables of strace.syscalls, and the stacks as lists of names, innermost first, with their weights."""

    def __init__(self, tmp, target, options="", more="", duration="20s", code=0, **how):
        harness.need("bpf")
        out = pathlib.Path(tmp) / "out"
        config = pathlib.Path(tmp) / "strace.ini"
        config.write_text(CONFIG.format(out=out, target=target, duration=duration, options=options, more=more))
        self.result = harness.profcore("-c", config, "--json", **how)
        if code is not None:
            self.result.expect(code)
        self.folder = (out / "latest").resolve()
        shown = profcore_json("artifact", "show", self.folder, "strace.syscalls", "--json")
        self.facts, self.lost, self.tables = shown["facts"], shown["lost"], shown["tables"]

    def total(self, column, *names, table="calls"):
        return sum(row[column] for row in self.tables[table] if row["name"] in names)

    def stacks(self):
        """(names, weight, tid) of each sample."""
        return [sample[:3] for sample in self.samples("stacks")]

    def samples(self, port):
        """(names, weight, tid, time) of each sample."""
        shown = profcore_json("artifact", "show", self.folder, f"strace.{port}", "--json")["tables"]
        strings = [row["text"] for row in shown["strings"]]
        names = {}
        for row in shown["frames"]:
            names.setdefault(row["location"], []).append(strings[row["function"]])
        chains = [()]
        for row in shown["stacks"][1:]:
            chains.append(tuple(reversed(names.get(row["location"], ["?"]))) + chains[row["parent"]])
        return [(chains[row["stack"]], row["weight"], row["tid"], row["time"]) for row in shown["samples"]]

    def truth(self):
        """What a launched program printed."""
        return json.loads((self.folder / "logs" / "target.log").read_text())


def command(*words):
    return "command = " + " ".join(str(word) for word in words)


def off(actual, expected):
    return abs(actual - expected) / expected


# ---- how long ----


def sums_that_are_off(run):
    """Sums of a call that are not within 2 % of the program's own clocks around it."""
    truth = run.truth()
    # What another thread took from it in the middle of a call is preemption, not a wait of the call.
    taken = sum(row["preempted_ns"] for row in run.tables["threads"])
    for name, expected in (("clock_nanosleep", truth["sleep_off"]),
                           ("fsync", truth["save_off"])):
        seen = run.total("blocked_ns", name) + run.total("runnable_ns", name)
        # The thread's own clock takes the way into and out of each switch as its time, which a crowded machine stretches.
        switches = 20e3 * run.total("waits", name)
        if not expected * 0.98 - taken <= seen <= expected * 1.01 + switches:
            yield name, seen, expected, taken, switches


def test_waits_are_as_long_as_they_were(tmp):
    """Tier 0, nothing at any call. One of three runs must agree: time that the host takes from this machine is in no book."""
    for i in range(3):
        folder = tmp / str(i)
        folder.mkdir()
        run = Run(folder, command(harness.workload("waits"), 60), cwd=folder)
        wrong = list(sums_that_are_off(run))
        if not wrong:
            break
    assert not wrong, wrong
    truth = run.truth()
    asked = truth["rounds"] * 12e6
    assert run.total("blocked_ns", "clock_nanosleep") > asked * 0.98, (run.total("blocked_ns", "clock_nanosleep"), asked)
    assert run.total("calls", "clock_nanosleep") == 0, "calls are not counted in this mode"
    # On a busy machine a sleep may be over before the thread has left the CPU.
    assert 0.95 * 3 * truth["rounds"] <= run.total("waits", "clock_nanosleep") <= 3 * truth["rounds"], run.tables["calls"]
    assert run.lost == {}, run.lost


def test_books_close(tmp):
    """On the CPU + runnable + blocked = wall for each thread, and the first is what the kernel itself says."""
    run = Run(tmp, command(harness.workload("waits"), 40), cwd=tmp)
    threads = run.tables["threads"]
    assert len(threads) == 3, threads
    for row in threads:
        parts = sum(row[name] for name in ("on_cpu_ns", "run_queue_ns", "preempted_ns", "blocked_syscall_ns",
                                           "blocked_fault_ns", "blocked_other_ns"))
        assert row["complete"] == 1 and row["ended"] == 1, row
        assert row["wall_ns"] - parts == row["residue_ns"], row
        assert abs(row["residue_ns"]) <= row["wall_ns"] * 0.005, row
        # The kernel's account holds the switches themselves (40 us each at most, on a crowded machine) and the way out.
        slack = 2e6 + 40e3 * row["switches"]
        assert abs(row["on_cpu_ns"] - row["kernel_cpu_ns"]) < max(slack, row["on_cpu_ns"] * 0.1), row
        assert row["blocked_syscall_ns"] > row["wall_ns"] / 2, row


# ---- where ----


def check_callers(run, minimum=0.99):
    names = WAITS + ("hold_lock", "answer", "main")
    stacks = [(tuple(name.rpartition("::")[2] for name in chain), weight, tid) for chain, weight, tid in run.stacks()]
    truth = run.truth()
    for name in WAITS:
        if name == "save" and truth["save_off"] / truth["rounds"] < 2e6:
            continue  # a disk so fast that an fsync may end before min_wait
        assert any(name in chain for chain, _, _ in stacks), f"no stack of {name}"
    # main itself waits for its threads and at the barrier: all others are in the functions that wait
    inner = [chain for chain, _, _ in stacks if not ("main" in chain and not any(n in chain for n in WAITS))]
    good = sum(any(name in chain for name in names[:-1]) for chain in inner)
    assert len(inner) >= 100, len(inner)
    assert good >= minimum * len(inner), [chain for chain in inner if not any(n in chain for n in names[:-1])][:5]
    print(f"# {good} of {len(inner)} stacks have the function that waits")


def test_stacks_have_the_caller(tmp):
    check_callers(Run(tmp, command(harness.workload("waits"), 60), "min_wait = 1ms", cwd=tmp))


def test_stacks_have_the_caller_without_frame_pointers(tmp):
    run = Run(tmp, command(harness.workload("waits-nofp"), 60), "min_wait = 1ms", cwd=tmp)
    check_callers(run)
    kernel = [chain for chain, _, _ in run.stacks() if "nap" in chain]
    assert all(any("nanosleep" in name for name in chain) for chain in kernel), kernel[:3]


def test_stacks_have_the_caller_in_rust(tmp):
    """Where the standard library, which has no frame pointers, lies between the function that waits and the call."""
    harness.need_tool("rustc")
    source = harness.source_dir() / "tests" / "workloads" / "waits.rs"
    harness.run(["rustc", "-O", "-g", source, "-o", tmp / "waits"], timeout=180).ok()
    check_callers(Run(tmp, command(tmp / "waits", 60), "min_wait = 1ms", cwd=tmp))


def test_stacks_of_older_kernels(tmp):
    """Taken at the switch, as where the sleeper cannot do it."""
    run = Run(tmp, command(harness.workload("waits-nofp"), 60), "min_wait = 1ms\nstack_at = switch", cwd=tmp)
    assert run.facts["stacks_by"] == "at the switch"
    check_callers(run)


def test_stacks_weigh_what_was_waited(tmp):
    run = Run(tmp, command(harness.workload("waits-nofp"), 60), "min_wait = 1ms", cwd=tmp)
    truth = run.truth()
    weights = {name: sum(weight for chain, weight, _ in run.stacks() if name in chain) for name in WAITS}
    for name in ("nap", "queue_up", "fetch"):
        assert off(weights[name], truth[name]) < 0.05, (name, weights[name], truth[name])


def test_a_thread_that_never_wakes_has_a_stack(tmp):
    """The window ends while it sleeps: no switch told of it, and yet its wait and its stack are there."""
    sleeper = subprocess.Popen([harness.workload("sleeper"), "60"], stdout=subprocess.PIPE)
    try:
        sleeper.stdout.readline()
        run = Run(tmp, f"pid = {sleeper.pid}", duration="1s")
        ((chain, weight, _),) = run.stacks()
        assert "main" in chain, chain
        assert 0.9e9 < weight < 1.5e9, weight
        (row,) = run.tables["threads"]
        assert row["blocked_syscall_ns"] == row["wall_ns"] and row["residue_ns"] == 0, row
    finally:
        sleeper.kill()
        sleeper.wait()


# ---- who ended it, and what was slow ----


def test_wakers_leave_their_stack(tmp):
    """In code without frame pointers: who gave the lock or the byte back, and where; a sleep is ended by nobody."""
    run = Run(tmp, command(harness.workload("waits-nofp"), 40), "min_wait = 1ms", "[plugin:report]", cwd=tmp)
    chains = {}
    for chain, weight, tid, time_ns in run.samples("wakers"):
        chains[time_ns, tid] = chain
    waits = run.tables["long_waits"]
    assert len(waits) >= 100, len(waits)
    ended = [row for row in waits if row["waker_tid"] > 0]
    found = [chains.get((row["woken"], row["waker_tid"])) for row in ended]
    assert sum(chain is not None for chain in found) >= 0.99 * len(ended), (len(ended), run.lost)
    locks = [chain for row, chain in zip(ended, found) if row["name"] == "futex" and chain]
    reads = [chain for row, chain in zip(ended, found) if row["name"] == "read" and chain]
    assert sum("hold_lock" in chain for chain in locks) >= 20, locks[:3]
    assert sum("answer" in chain or "fetch" in chain for chain in reads) >= 0.95 * len(reads) > 20, reads[:3]
    assert not any("BPF" in name for chain in found if chain for name in chain[:3]), found[0]
    assert all(row["lock"] for row in waits if row["name"] == "futex"), waits
    sleeps = [row for row in waits if row["name"] == "clock_nanosleep" and row["waker_tid"] > 0]
    assert len(sleeps) <= 2, f"a timer is nobody's doing: {sleeps[:3]}"
    text = (run.folder / "strace.txt").read_text()
    assert re.search(r"waits in fetch < main.*\n +woken by .*\n +in answer", text), text


def test_slow_calls_have_their_stack(tmp):
    """Each row joins with a sample by its end and its thread, also where it kept the CPU; execve keeps its path."""
    run = Run(tmp, command("/bin/sh", "-c", f"'{harness.workload('waits')} 10; exec /bin/true'"), "calls = all\nslow = 500us",
              "[plugin:report]", cwd=tmp)
    at = {(time_ns, tid): (chain, weight) for chain, weight, tid, time_ns in run.samples("slow")}
    slow = [row for row in run.tables["slow"] if row["name"] in ("clock_nanosleep", "read")
            and row["duration_ns"] > 2e6 and row["target"].startswith(("", "pipe:"))]
    joined = [(row, *at[row["time"] + row["duration_ns"], row["tid"]]) for row in slow
              if (row["time"] + row["duration_ns"], row["tid"]) in at]
    assert len(joined) >= 0.98 * len(slow) >= 20, (len(joined), len(slow))
    assert all(weight == row["duration_ns"] for row, _, weight in joined)
    naps = [chain for row, chain, _ in joined if row["name"] == "clock_nanosleep"]
    assert all(set(WAITS + ("hold_lock", "answer")) & set(chain) for chain in naps), naps[:3]
    assert all("do_syscall_64" in chain for chain in naps), naps[:1]
    check_in(" in ", (run.folder / "strace.txt").read_text())


def test_exec_keeps_its_path(tmp):
    run = Run(tmp, command("/bin/sh", "-c", "'exec /bin/true'"), "calls = all\nslow = 0")
    paths = [row["arguments"] for row in run.tables["slow"] if row["name"] == "execve"]
    assert any(text.startswith('"/bin/true"') for text in paths), paths


def test_requests_of_io_uring_are_counted(tmp):
    """They are no system calls: by operation, and in the text."""
    run = Run(tmp, command(harness.workload("rings"), 100), "calls = all", "[plugin:report]", code=None)
    if run.result.code == 1 and "77" in run.result.err:
        harness.skip("io_uring", "the kernel lets nobody make a ring")
    assert {row["name"]: row["requests"] for row in run.tables["rings"]} == {"nop": 100, "read": 50}, run.tables["rings"]
    assert run.facts["io_uring_ops"] == 150, run.facts
    assert run.total("calls", "io_uring_enter") == 150
    check_in("150", (run.folder / "strace.txt").read_text())


def test_more_processes_than_there_is_room(tmp):
    """All are counted, the last of them together, and the text says so."""
    script = tmp / "many"
    script.write_text("#!/bin/sh\ni=0; while [ $i -lt 1100 ]; do /bin/true; i=$((i+1)); done\n")
    script.chmod(0o755)
    run = Run(tmp, command(script), "calls = all", "[plugin:report]", duration="60s")
    assert run.total("calls", "execve") == 1101, run.total("calls", "execve")
    assert run.facts["processes_together"] > 50, run.facts
    assert sum(row["calls"] for row in run.tables["calls"] if row["pid"] == 0 and row["name"] == "execve") > 50
    assert len(run.tables["threads"]) == 1101, len(run.tables["threads"])
    check_in("summed up under pid 0", (run.folder / "strace.txt").read_text())


# ---- who is traced ----


def test_sixteen_processes_are_counted_exactly(tmp):
    program = harness.workload("syscalls")
    script = tmp / "sixteen"
    script.write_text(f"#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do {program} pids=20000 & done\nwait\n")
    script.chmod(0o755)
    run = Run(tmp, command(script), "calls = all", duration="60s")
    rows = [row for row in run.tables["calls"] if row["name"] == "getppid" and row["process"] == "syscalls"]
    assert [row["calls"] for row in rows] == [20000] * 16, rows
    assert run.lost == {} and run.facts["unmatched"] == 0, (run.lost, run.facts)


def test_others_are_left_out(tmp):
    """A pid is a pid: a process beside it makes the same calls, and none is counted."""
    with contextlib.ExitStack() as stack:
        pids = []
        for count in (2000000000, 2000000000):
            process = subprocess.Popen([harness.workload("syscalls"), f"pids={count}"], stdout=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            pids.append(process.pid)
        run = Run(tmp, f"pid = {pids[0]}", "calls = all", duration="1s")
    assert {row["pid"] for row in run.tables["calls"]} == {pids[0]}, run.tables["calls"]


def test_a_control_group_is_followed(tmp):
    """All that runs in it, with what comes in later, as a container's processes do."""
    harness.need("bpf")
    roots = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"]
    if not roots:
        harness.skip("cgroup2", "no unified hierarchy is mounted")
    group = pathlib.Path(roots[0]) / f"profcore-test-{os.getpid()}"
    group.mkdir()
    try:
        first = subprocess.Popen([harness.workload("sleeper"), "30"], stdout=subprocess.DEVNULL)
        (group / "cgroup.procs").write_text(str(first.pid))

        def join():
            time.sleep(1.5)
            subprocess.run(["/bin/sh", "-c", f"echo $$ > {group}/cgroup.procs; exec {harness.workload('syscalls')} pids=1234"],
                           stdout=subprocess.DEVNULL)

        late = threading.Thread(target=join)
        late.start()
        run = Run(tmp, f"cgroup = {group}", "calls = all", duration="3s")
        late.join()
        assert run.total("calls", "getppid") == 1234, run.tables["calls"]
        assert first.pid in {row["pid"] for row in run.tables["threads"]}, run.tables["threads"]
    finally:
        first.kill()
        first.wait()
        harness.wait_until(lambda: not (group / "cgroup.procs").read_text(), 5, "the group is empty")
        group.rmdir()


def test_thousands_of_threads(tmp):
    """Each has a book; with room for fewer, what the others do is a loss that is told."""
    many = 5000
    run = Run(tmp, command(harness.workload("syscalls"), f"threads={many}"), "calls = all", duration="60s")
    assert len(run.tables["threads"]) == many + 1, len(run.tables["threads"])
    assert run.total("calls", "read") >= many * 10
    assert run.lost == {}, run.lost


# ---- what is lost is told ----


def test_a_full_ring_is_told(tmp):
    run = Run(tmp, command(harness.workload("syscalls"), "reads=100000"), "calls = all\nslow = 0\nring = 64KiB\nslow_limit = 100000000",
              duration="60s")
    kept = len(run.tables["slow"])
    assert run.lost["ring_full_calls"] > 0, run.lost
    counted = sum(row["calls"] for row in run.tables["calls"])
    assert kept + run.lost["ring_full_calls"] == counted, (kept, run.lost, counted)
    assert run.total("calls", "read") >= 100000, "what the ring lost, the sums have"


def test_too_few_slots_are_told(tmp):
    holder = tmp / "crowd.py"
    holder.write_text("import threading, time\n"
                      "threads = [threading.Thread(target=time.sleep, args=(3,)) for _ in range(1500)]\n"
                      "for thread in threads: thread.start()\nprint('up', flush=True)\n")
    crowd = subprocess.Popen(["python3", holder], stdout=subprocess.PIPE, text=True)
    try:
        crowd.stdout.readline()
        run = Run(tmp, f"pid = {crowd.pid}", "threads = 1024", duration="1s")
    finally:
        crowd.kill()
        crowd.wait()
    assert run.lost["no_thread_slot"] > 0, run.lost
    assert 900 <= len(run.tables["threads"]) <= 1024, len(run.tables["threads"])


def test_beside_cpu_samples(tmp):
    """In one window with perf-cpu: each signal has its picture."""
    with harness.Backend("--work-us", 2000) as backend:
        load = threading.Thread(target=backend.hammer, kwargs={"path": "/slow?mode=lock", "seconds": 3, "connections": 4})
        load.start()
        run = Run(tmp, f"pid = {backend.pid}", "min_wait = 1ms", "[plugin:perf-cpu]\n[plugin:flamegraph]", duration="2s")
        load.join()
        truth = backend.truth()
    names = {path.name for path in run.folder.iterdir()}
    assert {"flamegraph.cpu.svg", "flamegraph.off-cpu.svg"} <= names, names
    check_in("rebuild_cache", (run.folder / "flamegraph.off-cpu.svg").read_text())
    assert truth["lock_wait"]["ns"] > 0
    assert run.total("blocked_ns", "futex") > 0


# ---- what it means ----

CAUSES = """
[plugin:load-test]
url         = {url}
connections = {connections}

[plugin:analyze]
"""


def findings(tmp, backend, mode, connections=4, options="min_wait = 500us"):
    tmp.mkdir()
    run = Run(tmp, f"pid = {backend.pid}", options, CAUSES.format(url=backend.url(f"/slow?mode={mode}"), connections=connections),
              duration="3s", code=None)
    assert run.result.code == 0, run.result.describe()
    report = json.loads((run.folder / "report.json").read_text())
    return {finding["kind"]: finding for finding in report["findings"]}


def test_planted_causes_are_named(tmp):
    """In code without frame pointers, each with the function that waits and the way to it."""
    with harness.Backend("--work-us", 3000, nofp=True) as backend:
        lock = findings(tmp / "lock", backend, "lock")["lock"]
        disk = findings(tmp / "io", backend, "io")["disk"]
        often = findings(tmp / "syscalls", backend, "syscalls", options="calls = all")["syscalls"]
    check_in("rebuild_cache waits for a lock", lock["title"])
    check_in("handle_request > slow_endpoint", lock["evidence"])
    assert re.search(r"; woken by \S+ in rebuild_cache for \d+ % of it", lock["evidence"]), lock
    check_in("append_audit_record waits for the disk", disk["title"])
    check_in("read", often["title"])
    check_in("a request", often["evidence"])


def test_planted_causes_are_named_in_rust(tmp):
    with harness.Backend("--work-us", 3000, nofp=True, rust=True) as backend:
        disk = findings(tmp / "io", backend, "io")["disk"]
        lock = findings(tmp / "lock", backend, "lock")["lock"]
    check_in("append_audit_record", disk["title"])
    check_in("rebuild_cache", lock["title"])


test_planted_causes_are_named_in_rust.timeout = 700  # the first time it is built

@contextlib.contextmanager
def cpu_quota(pid, percent):
    """The process may use so much of one CPU."""
    for line in open("/proc/mounts"):
        _, root, kind, flags = line.split()[:4]
        if kind == "cgroup" and "cpu" in flags.split(","):
            limits = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(percent * 1000)}
            break
        if kind == "cgroup2" and "cpu" in (pathlib.Path(root) / "cgroup.controllers").read_text().split():
            (pathlib.Path(root) / "cgroup.subtree_control").write_text("+cpu")
            limits = {"cpu.max": f"{percent * 1000} 100000"}
            break
    else:
        harness.skip("cgroup", "no controller of CPU quotas is mounted")
    group = pathlib.Path(root) / f"profcore-quota-{os.getpid()}"
    group.mkdir()
    try:
        for name, value in limits.items():
            if not (group / name).exists():
                harness.skip("cgroup", "this kernel has no CPU quotas")
            (group / name).write_text(value)
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(process)
        group.rmdir()


def test_a_cpu_quota_is_a_run_queue(tmp):
    """A tenth of a CPU for work that wants a whole one: ready, and without a CPU."""
    with harness.Backend("--work-us", 5000) as backend, cpu_quota(backend.pid, 10):
        found = findings(tmp / "quota", backend, "cpu", connections=2)
        assert found["run_queue"]["share"] > 50, found
        check_in("quota", found["run_queue"]["evidence"])


def test_without_bpf_another_does_it(tmp):
    """auto goes on without the capabilities, and says so; asked for by name it is refused with a remedy."""
    harness.need("bpf")
    setpriv = harness.need_tool("setpriv")
    config = tmp / "auto.ini"
    config.write_text(CONFIG.format(out=tmp / "out", duration="10s", target=command(harness.workload("syscalls"), "pids=55"),
                                    options="calls = all", more="").replace("backend = bpf", "backend = auto"))
    less = [setpriv, "--bounding-set", "-bpf,-perfmon,-sys_admin", "--inh-caps", "-bpf,-perfmon,-sys_admin"]
    result = harness.run([*less, harness.profcore_path(), "-c", config, "--json"]).expect(0)
    check_in("continuing without the back-end bpf", result.err)
    shown = profcore_json("artifact", "show", tmp / "out" / "latest", "strace.syscalls", "--json")
    assert shown["facts"]["backend"] != "bpf", shown["facts"]
    assert sum(row["calls"] for row in shown["tables"]["calls"] if row["name"] == "getppid") == 55
    result = harness.run([*less, harness.profcore_path(), "-c", config, "--set", "strace.backend=bpf"])
    assert result.code not in (0, 99), result.describe()
    assert re.search("CAP_BPF|root", result.err), result.err


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf-cpu on programs whose profile is known: shares, weights, children, options, refusals."""

import json
import math
import os
import re
import shutil
import subprocess
import threading
import time

import harness

CONFIG = """\
[run]
name     = perf
duration = {duration}
output   = {out}

[target]
command = {command}

[plugin:perf-cpu]
{options}
"""

KERNEL_KINDS = (2, 3)


class Profile:
    """One run of perf-cpu: the command's result, the stage's entry in the manifest, the tables."""

    def __init__(self, tmp, command, options="", duration="10s", code=0):
        config = tmp / "run.ini"
        config.write_text(CONFIG.format(out=tmp / "out", command=command, options=options, duration=duration))
        self.result = harness.profcore("-c", config, "--json").expect(code)
        if (tmp / "out" / "latest").exists():
            self.read(tmp)

    @classmethod
    def of_run(cls, tmp):
        """Of a run that was made otherwise, with tmp/out as its output."""
        profile = cls.__new__(cls)
        profile.read(tmp)
        return profile

    def read(self, tmp):
        self.folder = (tmp / "out" / "latest").resolve()
        manifest = json.loads((self.folder / "manifest.json").read_text())
        self.stage = next(stage for stage in manifest["stages"] if stage["name"] == "perf-cpu")
        self.artifact = self.stage["artifacts"][0]
        self.log = "".join(path.read_text() for path in sorted((self.folder / "logs").iterdir()))
        self.facts = self.artifact["completeness"]
        if self.stage["state"] == "complete":
            reader = harness.source_dir() / "docs" / "read_artifact.py"
            argv = ["python3", reader, "--ids", "--sealed", self.folder / self.artifact["path"]]
            self.tables = harness.run(argv).ok().json()["tables"]

    def output(self):
        """What the target printed."""
        for path in sorted((self.folder / "logs").iterdir()):
            match = re.search(r"^\{.*\}$", path.read_text(), flags=re.M)
            if match:
                return json.loads(match.group(0))
        raise AssertionError(f"no output of the target in {self.folder}/logs")

    def frames(self, stack):
        """Rows of `stacks`, innermost first."""
        rows = self.tables["stacks"]
        while stack:
            yield rows[stack]
            stack = rows[stack]["parent"]

    def kind_of(self, stack):
        location = self.tables["locations"][self.tables["stacks"][stack]["location"]]
        return self.tables["modules"][location["module"]]["kind"]

    def function_of(self):
        """location -> name of its outermost (physical) function"""
        strings = [row["text"] for row in self.tables["strings"]]
        return {row["location"]: strings[row["function"]] for row in self.tables["frames"] if row["inline_depth"] == 0}

    def self_weights(self, names=()):
        """function -> weight of the samples in it, user code only; names: those to look for, else all burn_..."""
        functions = self.function_of()
        weights = {}
        for sample in self.tables["samples"]:
            for row in self.frames(sample["stack"]):
                name = functions.get(row["location"], "?")
                if name in names or (not names and (name.startswith("burn_") or name == "?")):
                    weights[name] = weights.get(name, 0) + sample["weight"]
                    break
        return weights


def test_shares_match_the_truth(tmp):
    """Within 3 points, or 4 standard deviations where a crowded machine left few samples."""
    profile = Profile(tmp, f"{harness.workload('split')} 5 60 25 15 2", "frequency = 1999")
    truth = {name: value["share"] for name, value in profile.output()["functions"].items()}
    weights = {name: weight for name, weight in profile.self_weights().items() if name in truth}
    assert set(weights) == set(truth), f"{weights}, truth {truth}"
    count = len(profile.tables["samples"])
    for name, share in truth.items():
        seen = weights[name] / sum(weights.values())
        tolerance = max(0.03, 4 * math.sqrt(share * (1 - share) / count))
        assert abs(seen - share) < tolerance, f"{name}: {seen:.3f} of {count} samples, truth {share}"


def test_weight_is_cpu_time(tmp):
    profile = Profile(tmp, f"{harness.workload('split')} 3 60 25 15 2")
    weight = sum(sample["weight"] for sample in profile.tables["samples"]) / 1e9
    harness.check_near(weight, profile.facts["cpu_seconds"], 0.05 * profile.facts["cpu_seconds"], "seconds of CPU time")
    assert profile.facts["seen_pct"] > 95, profile.facts
    assert profile.facts["lost"] == 0 and profile.artifact["lost"] == 0, profile.facts
    assert profile.facts["event"] in ("cycles", "cpu-clock"), profile.facts


def test_short_lived_processes_and_threads(tmp):
    """Children and threads are followed, and what a 1 ms period cannot see of them is said, not hidden."""
    profile = Profile(tmp, f"{harness.workload('churn')} 3 50 50", "frequency = 4999")
    pids = {sample["pid"] for sample in profile.tables["samples"]}
    tids = {sample["tid"] for sample in profile.tables["samples"]}
    assert len(pids) > 60, f"{len(pids)} processes"
    assert len(tids) > len(pids), f"{len(tids)} threads, {len(pids)} processes"
    assert profile.facts["seen_pct"] > 70, profile.facts


def test_deep_stacks_are_cut_and_marked(tmp):
    profile = Profile(tmp, f"{harness.workload('deep')} 2 300", "call_graph = fp")
    depth = max(sum(1 for _ in profile.frames(sample["stack"])) for sample in profile.tables["samples"])
    limit = int(open("/proc/sys/kernel/perf_event_max_stack").read())
    assert 100 < depth <= min(127, limit), depth
    shallow = Profile(tmp, f"{harness.workload('deep')} 1 300", "call_graph = fp\nmax_stack = 20")
    depth = max(sum(1 for _ in shallow.frames(sample["stack"])) for sample in shallow.tables["samples"])
    assert 10 < depth <= 20, depth


def test_copied_stacks_are_walked_to_the_root(tmp):
    """300 frames, more than the kernel's limit on call chains; no stack byte on disk."""
    profile = Profile(tmp, f"{harness.workload('deep')} 2 300")
    assert profile.facts["call_graph"] == "dwarf", profile.facts
    assert profile.facts["rooted_pct"] > 99, profile.facts
    depth = max(sum(1 for _ in profile.frames(sample["stack"])) for sample in profile.tables["samples"])
    assert depth > 300, depth
    size = (profile.folder / profile.artifact["path"]).stat().st_size
    assert size < 60000 + 200 * profile.facts["samples"], f"{size} bytes, {profile.facts['samples']} samples"


def test_a_small_copy_is_said_to_be_cut(tmp):
    profile = Profile(tmp, f"{harness.workload('deep')} 2 300", "call_graph = dwarf\nstack_bytes = 1024")
    assert profile.facts["stack_bytes"] == 1024, profile.facts
    assert profile.facts["rooted_pct"] < 10, profile.facts
    assert profile.facts["truncated"]["stack_copy"] > 0.9 * profile.facts["samples"], profile.facts


def test_server_without_frame_pointers(tmp):
    """Complete stacks although large buffers leave holes in its stacks, and the planted shares."""
    config = tmp / "run.ini"
    with harness.Backend(nofp=True) as backend:
        config.write_text(f"[run]\nname = nofp\nduration = 8s\noutput = {tmp / 'out'}\n[target]\npid = {backend.pid}\n"
                          "[plugin:perf-cpu]\nfrequency = 1999\n")
        backend.hammer(seconds=0.5)
        backend.truth(reset=True)
        load = threading.Thread(target=backend.hammer, kwargs={"seconds": 9})
        load.start()
        harness.profcore("-c", config).ok()
        load.join()
        truth = backend.truth()
    profile = Profile.of_run(tmp)
    facts = profile.facts
    # Each thread may find each hole once or a few times before it is read: crowded, that weighs more than one in a hundred.
    cut = facts["not_rooted"]
    assert facts["rooted_pct"] >= 99 or cut <= 20, facts
    weights = profile.self_weights(truth["functions"])
    for name, value in truth["functions"].items():
        seen = weights[name] / sum(weights.values())
        tolerance = max(0.03, 4 * math.sqrt(value["share"] * (1 - value["share"]) / facts["samples"]))
        assert abs(seen - value["share"]) < tolerance, f"{name}: {seen:.3f}, truth {value['share']}"


def test_call_graph_none_keeps_one_frame(tmp):
    profile = Profile(tmp, f"{harness.workload('deep')} 1 50", "call_graph = none")
    assert {sum(1 for _ in profile.frames(sample["stack"])) for sample in profile.tables["samples"]} == {1}


def test_user_code_only(tmp):
    both = Profile(tmp, f"{harness.workload('churn')} 1 200 0")
    user = Profile(tmp, f"{harness.workload('churn')} 1 200 0", "kernel = no")
    assert user.facts["code"] == "user", user.facts
    assert not [s for s in user.tables["samples"] if user.kind_of(s["stack"]) in KERNEL_KINDS]
    if both.facts["code"] == "user and kernel":
        assert [s for s in both.tables["samples"] if both.kind_of(s["stack"]) in KERNEL_KINDS]


def test_kernel_code_only(tmp):
    profile = Profile(tmp, f"{harness.workload('churn')} 2 200 0", "kernel = only")
    assert profile.facts["code"] == "kernel", profile.facts
    assert profile.tables["samples"]
    assert all(profile.kind_of(s["stack"]) in KERNEL_KINDS for s in profile.tables["samples"])


def test_one_cpu_only(tmp):
    profile = Profile(tmp, f"{harness.workload('churn')} 2 50 50", "cpus = 0")
    assert {sample["cpu"] for sample in profile.tables["samples"]} == {0}
    assert profile.facts["cpus"] == 1, profile.facts
    nothing = Profile(tmp, "sleep 30", "cpus = 0-", code=1)
    harness.check_in("this is no list of CPUs", nothing.result.err)


def test_threads_by_name(tmp):
    """All of the load is in threads of that name, or none of it."""
    kept = Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", "only_threads = nobody, spli*")
    assert kept.facts["filtered"] == 0 and kept.facts["samples"] > 20, kept.facts
    Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", "only_threads = nobody", code=5)


def test_frequency(tmp):
    profile = Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", "frequency = 200\nevents = cpu-clock")
    expected = 200 * profile.facts["cpu_seconds"]
    harness.check_near(len(profile.tables["samples"]), expected, 0.1 * expected, "samples at 200 Hz")
    harness.check_near(profile.facts["effective_hz"], 200, 20, "Hz that it came to")
    assert profile.facts["throttled"] == 0, profile.facts
    check_completeness(profile.result.json())


def check_completeness(answer):
    """What every artifact of stacks says of itself in --json."""
    stage = next(stage for stage in answer["stages"] if stage["name"] == "perf-cpu")
    told = next(a for a in stage["artifacts"] if a["port"] == "stacks")["completeness"]
    for key in ("samples", "rooted_pct", "unknown_pct", "lost", "throttled", "bytes_per_sample"):
        assert isinstance(told[key], (int, float)), (key, told)
    assert isinstance(told["event"], str) and told["event"], told
    assert all(isinstance(count, (int, float)) for count in told["truncated"].values()), told
    assert sum(told["truncated"].values()) == told["not_rooted"], told


def test_what_does_not_fit_is_said(tmp):
    """Rings that hold one copy or two: most samples are lost, by the kernel's own count; shares are of the rest, and that is said."""
    options = ("frequency = 9973\ncall_graph = dwarf\nstack_bytes = 32768\nring = 64KiB\n[plugin:report]")
    profile = Profile(tmp, f"{harness.workload('split')} 1 1 1 1 2", options)
    facts = profile.facts
    assert facts["lost"] > 100 and profile.artifact["lost"] == facts["lost"], facts
    assert any(key.startswith("lost_cpu") and value > 0 for key, value in facts.items()), facts
    # With the kernel's count by event nothing is unaccounted for; before Linux 6.0 the rings' records may miss the last ones.
    whole = (facts["samples"] + facts["lost"]) / (9973 * facts["cpu_seconds"])
    assert 0.7 < whole < 1.2, (whole, facts)
    text = next(profile.folder.glob("perf_report*.txt")).read_text()
    harness.check_in("samples were LOST", text)
    harness.check_in("PARTIAL", text)


def test_idle_target_is_no_data(tmp):
    """A process that does nothing gives no sample: that is exit code 5 with what to check, not an empty success."""
    sleeper = subprocess.Popen(["sleep", "30"])
    try:
        time.sleep(0.2)
        config = tmp / "run.ini"
        config.write_text(f"[run]\nduration = 300ms\noutput = {tmp / 'out'}\n[target]\npid = {sleeper.pid}\n"
                          "[plugin:perf-cpu]\n")
        result = harness.profcore("-c", config).expect(5)
        harness.check_in("was the target idle", result.err)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_unknown_event_is_refused_before_the_run(tmp):
    for option in ("events", "counters"):
        profile = Profile(tmp, "sleep 30", f"{option} = cpu-clok", code=1)
        harness.check_in(f"{option} = cpu-clok: no such event", profile.result.err)
        harness.check_in("perf's words: cpu-clock, ", profile.result.err)


def test_counters_and_what_the_machine_lacks(tmp):
    """Software events are everywhere: task-clock is the CPU time that the sampled clock counted, too."""
    options = "events = cpu-clock\ncounters = task-clock, faults, cycles, context-switches"
    profile = Profile(tmp, f"{harness.workload('churn')} 2 50 50", options)
    artifact = next(a for a in profile.stage["artifacts"] if a["port"] == "counters")
    reader = harness.source_dir() / "docs" / "read_artifact.py"
    rows = harness.run(["python3", reader, profile.folder / artifact["path"]]).ok().json()["tables"]["counters"]
    values = {row["event"]: row for row in rows}
    lacking = artifact["completeness"]["missing"]
    assert ("cycles" in values) != ("cycles" in lacking), f"{values}, lacking {lacking}"
    assert set(values) - {"cycles"} == {"cpu-clock", "task-clock", "page-faults", "context-switches"}, values
    harness.check_near(values["task-clock"]["value"], values["cpu-clock"]["value"], 0.1 * values["cpu-clock"]["value"], "ns")
    assert values["page-faults"]["value"] > 1000, values # 100 children at least a second, each with some
    assert values["task-clock"]["running_ns"] == values["task-clock"]["enabled_ns"], values


def test_events_of_a_named_pmu(tmp):
    """The counter of time stamps runs whenever the target does, so it counts in step with its CPU time."""
    if not os.path.exists("/sys/bus/event_source/devices/msr/events/tsc"):
        harness.skip("no-pmu", "this machine has no PMU but the kernel's own")
    options = "events = cpu-clock\ncounters = msr/tsc/, msr/event=0x00/, no_such/event=1,umask=2/\n[plugin:report]"
    profile = Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", options)
    artifact = next(a for a in profile.stage["artifacts"] if a["port"] == "counters")
    reader = harness.source_dir() / "docs" / "read_artifact.py"
    rows = harness.run(["python3", reader, profile.folder / artifact["path"]]).ok().json()["tables"]["counters"]
    values = {row["event"]: row["value"] for row in rows}
    assert artifact["completeness"]["missing"] == "no_such/event=1,umask=2/ (no such PMU)", artifact["completeness"]
    harness.check_near(values["msr/tsc/"], values["msr/event=0x00/"], 0.01 * values["msr/tsc/"], "the same event written twice")
    ghz = values["msr/tsc/"] / values["cpu-clock"]
    assert 0.5 < ghz < 10, f"{ghz} ticks a ns"
    text = next(profile.folder.glob("perf_report*.txt")).read_text()
    harness.check_in("msr/tsc/", text)
    harness.check_in("Not counted, as this machine lacks them: no_such/event=1,umask=2/ (no such PMU)", text)
    for wrong, hint in (("msr/tsk/", "events: "), ("msr/event=0x1ffffffffffffffff/", "terms: event")):
        refused = Profile(tmp, "sleep 30", f"counters = {wrong}", code=1)
        harness.check_in(hint, refused.result.err)


def test_first_event_that_the_machine_has(tmp):
    profile = Profile(tmp, f"{harness.workload('churn')} 2 50 50", "events = r1234567, page-faults")
    if profile.facts["event"] == "r1234567":
        harness.skip("no-pmu", "this machine counts raw events")
    assert profile.facts["event"] == "page-faults" and profile.facts["weight_unit"] == "count", profile.facts
    harness.check_in("not on this machine: r1234567; sampling page-faults instead", profile.log)


def test_event_that_the_machine_lacks(tmp):
    lacks = harness.run(["perf", "stat", "-e", "cycles", "true"]) if shutil.which("perf") else None
    if lacks is None or "not supported" not in lacks.err:
        harness.skip("no-pmu", "this machine counts cycles, or has no perf to ask")
    profile = Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", "events = cycles, instructions")
    assert profile.facts["event"] == "cpu-clock", profile.facts
    harness.check_in("not on this machine: cycles, instructions; sampling cpu-clock instead", profile.log)
    nothing = Profile(tmp, "sleep 30", "events = cycles:u\nkernel = only", code=1)
    harness.check_in("user and kernel code are both left out", nothing.result.err)


def test_modifiers_and_period(tmp):
    """cpu-clock:u sees no kernel code; a period of 5 ms of CPU time is 200 samples a second of it."""
    profile = Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", "events = cpu-clock:u\nperiod = 5000000")
    assert profile.facts["event"] == "cpu-clock:u" and profile.facts["code"] == "user", profile.facts
    assert not any(profile.kind_of(s["stack"]) in KERNEL_KINDS for s in profile.tables["samples"])
    assert {s["weight"] for s in profile.tables["samples"]} == {5000000}
    both = Profile(tmp, "sleep 30", "period = 5000000\nfrequency = 99", code=1)
    harness.check_in("both say how often to sample", both.result.err)


def test_only_symbols_and_min_rooted(tmp):
    """All samples are kept; the report shows the stacks with one function, and how much of all that is."""
    options = "only_symbols = burn_b, nobody_*\nmin_rooted = 100\n[plugin:report]"
    profile = Profile(tmp, f"{harness.workload('split')} 2 1 1 1 1", options)
    assert profile.facts["only_symbols"] == "burn_b, nobody_*" and profile.facts["bytes_per_sample"] > 0, profile.facts
    text = next(profile.folder.glob("perf_report*.txt")).read_text()
    share = float(re.search(r"only stacks with burn_b, nobody_\*: ([0-9.]+) % of all", text).group(1))
    whole = sum(sample["weight"] for sample in profile.tables["samples"])
    harness.check_near(share, 100 * profile.self_weights(["burn_b"])["burn_b"] / whole, 1, "% with burn_b")
    assert "burn_a" not in text and "burn_b" in text, text
    if profile.facts["rooted_pct"] < 100:
        assert any("min_rooted = 100" in warning for warning in profile.result.json()["warnings"]), profile.result.out
        harness.check_in("DO NOT TRUST", text)
    nothing = Profile(tmp, f"{harness.workload('split')} 1 1 1 1 1", "only_symbols = nobody\n[plugin:report]", code=5)
    harness.check_in("has nobody in its stack", nothing.result.err)


def test_few_rooted_stacks_are_said_aloud(tmp):
    options = "stack_bytes = 1024\ncall_graph = dwarf\n[plugin:report]"
    profile = Profile(tmp, f"{harness.workload('deep')} 1 300", options)
    answer = profile.result.json()
    assert any("min_rooted = 90" in warning for warning in answer["warnings"]), answer["warnings"]
    text = next(profile.folder.glob("perf_report*.txt")).read_text()
    harness.check_in("DO NOT TRUST", text)
    harness.check_in("stack longer than the copy", text)


def test_more_threads_than_descriptors(tmp):
    """1,500 threads and 1,024 descriptors: known before the window, said, and sampled on the CPUs; nobody else is kept."""
    harness.need("root")
    script = ("import threading\nthreading.stack_size(65536)\nstop = threading.Event()\n"
              "for i in range(1500):\n    threading.Thread(target=stop.wait, daemon=True).start()\n"
              "print('up', flush=True)\nwhile True:\n    sum(range(10000))\n")
    target = subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        config = tmp / "run.ini"
        config.write_text(f"[run]\nduration = 1s\noutput = {tmp / 'out'}\n[target]\npid = {target.pid}\n[plugin:perf-cpu]\n")
        harness.run(["prlimit", "--nofile=1024:1024", harness.profcore_path(), "-c", config], timeout=120).ok()
        profile = Profile.of_run(tmp)
    finally:
        target.kill()
        target.wait()
    assert profile.facts["scope"] == "CPUs", profile.facts
    harness.check_in("sampling whatever runs on the CPUs instead", profile.log)
    assert {s["pid"] for s in profile.tables["samples"]} == {target.pid}


def test_short_lives_make_it_look_at_the_cpus(tmp):
    """Most of the time is in children that no event of their own ever samples: events on the CPUs take over."""
    harness.need("root")
    profile = Profile(tmp, f"{harness.workload('churn')} 3 3000 0 50")
    assert profile.facts["scope"] == "threads, then CPUs", profile.facts
    harness.check_in("live shorter than a sampling period", profile.log)
    pids = {s["pid"] for s in profile.tables["samples"]}
    assert len(pids) > 20, f"samples of {len(pids)} processes"


def test_forks_are_seen_on_the_cpus(tmp):
    """Children that live shorter than a sampling period are never sampled by their own events; by those of the CPUs they are."""
    harness.need("root")
    command = f"{harness.workload('churn')} 2 3000 0"
    profile = Profile(tmp, command, "scope = cpus")
    assert profile.facts["scope"] == "CPUs" and profile.facts["of_others"] >= 0, profile.facts
    pids = {s["pid"] for s in profile.tables["samples"]}
    assert len(pids) > 20, f"samples of {len(pids)} processes"


def test_without_privileges(tmp):
    """As a plain user: our own process is profiled without kernel code, or the refusal names the remedy."""
    harness.need("root")
    harness.need_tool("setpriv")
    os.chmod(tmp, 0o777)
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(out=tmp / "out", command=f"{harness.workload('split')} 1 1 1 1 1", options="",
                                    duration="10s"))
    result = harness.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
                          harness.profcore_path(), "-v", "-c", config])
    if int(open("/proc/sys/kernel/perf_event_paranoid").read()) > 2:
        assert result.code == 4, result.describe()
        harness.check_in("perf_event_paranoid", result.err)
    else:
        result.ok()
        harness.check_in("kernel code is not sampled", result.err)


if __name__ == "__main__":
    harness.main(__name__)

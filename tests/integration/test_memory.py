#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory over time: what a run of the plugin `memory` says, against what the program itself knows."""

import json
import subprocess
import urllib.request

import docker_env
import harness
from containers import INSIDE, wait_http
from harness import check_in, check_near, profcore, profcore_json

CONFIG = """[run]
name = memory
duration = {seconds}s
output = {output}

[target]
command = {command}

[plugin:memory]
interval = 50ms
"""

MIB = 1 << 20


def run_memory(tmp, command, seconds=10, more=""):
    config = tmp / "memory.ini"
    config.write_text(CONFIG.format(seconds=seconds, output=tmp / "runs", command=command) + more)
    # meson test lets malloc fill what it gives, and so touch it: growth would be malloc's own.
    answer = profcore_json("-c", config, "--json", timeout=90, env={"MALLOC_PERTURB_": None})
    answer.result.ok()
    return answer


def table(tmp, name, port="timeline"):
    result = profcore("artifact", "show", tmp / "runs" / "latest", f"memory.{port}", "--table", name, "--json").ok()
    return result.json()["tables"][name]


def artifact(answer, port, stage="memory"):
    for entry in answer["stages"]:
        for item in entry["artifacts"]:
            if entry["name"] == stage and item["port"] == port:
                return item
    raise AssertionError(f"no artifact {stage}.{port}")


def test_an_output_that_is_not_made_is_absent_with_the_reason(tmp):
    answer = run_memory(tmp, "sleep 1", more="mode = resident\n[plugin:flamegraph]\n")
    heap = artifact(answer, "heap")
    assert heap["state"] == "absent", heap
    check_in("resident", heap["completeness"]["absent"])
    assert answer["status"] == "complete", answer["status"]
    skipped = [stage["name"] for stage in answer["stages"] if stage["state"] == "skipped"]
    assert "flamegraph[memory.heap]" in skipped, skipped


def test_the_plan_is_told_before_the_window_without_asking(tmp):
    config = tmp / "memory.ini"
    config.write_text(CONFIG.format(seconds=1, output=tmp / "runs", command="sleep 1") + "maps = no\npss_budget = 0\n")
    result = profcore("-c", config).ok()
    told = result.err.splitlines()
    plan = [line for line in told if line.startswith("profcore: memory: ")]
    for word in ("sees RSS", "sees heap: an allocation in 512 KiB", "ns for a malloc and free", "not  PSS: pss_budget is 0"):
        assert any(word in line for line in plan), (word, told)
    assert max(len(line) for line in plan) <= 100, plan
    log = (tmp / "runs" / "latest" / "logs" / "run.log").read_text().splitlines()
    last = max(float(line.split()[0]) for line in log if " notice " in line)
    assert result.seconds - last > 0.95, log  # a window of a second came after
    assert not profcore("-q", "-c", config).ok().err.strip()


def test_timeline_follows_the_program(tmp):
    truth_path = tmp / "truth.json"
    command = f"{harness.workload('grow')} --truth {truth_path} --way mmap --mib 48 --steps 24 --step-ms 40 --hold-ms 500"
    run_memory(tmp, command)
    truth = json.loads(truth_path.read_text())
    totals = table(tmp, "totals")
    assert len(totals) >= 8, len(totals)
    for step in truth["steps"][4:]:
        after = [row for row in totals if row["time"] >= step["time"]]
        before = [row for row in totals if row["time"] <= step["time"]]
        if after and before and after[0]["rss"] and before[-1]["rss"]:
            low, high = before[-1]["rss"] - MIB, after[0]["rss"] + MIB
            assert low <= step["rss"] <= high, (low, step["rss"], high)
    pss = table(tmp, "pss")
    assert pss and all(0 < row["pss"] <= row["rss"] for row in pss), pss[:3]
    peak = max(row["rss"] for row in totals)
    check_near(peak / MIB, max(step["rss"] for step in truth["steps"]) / MIB, 2, "highest RSS, MiB")


def test_processes_born_in_the_window_are_seen(tmp):
    truth_path = tmp / "truth.json"
    command = f"{harness.workload('grow')} --truth {truth_path} --way fork --mib 16 --steps 8 --step-ms 60"
    answer = run_memory(tmp, command)
    facts = artifact(answer, "timeline")["completeness"]
    assert facts["born"] >= 8, facts
    events = table(tmp, "events")
    assert sum(row["kind"] == 1 for row in events) >= 8, events
    assert sum(row["kind"] == 2 for row in events) >= 7, events  # the last one and the window end together


FUNCTIONS = ("grow_most", "grow_some", "grow_little")


def weights_under(tmp, port, functions):
    """Weight of the samples whose stack has the function, for each of them, and of all samples."""
    tables = profcore("artifact", "show", tmp / "runs" / "latest", f"memory.{port}", "--json").ok().json()["tables"]
    named = {}
    for frame in tables["frames"]:
        named.setdefault(frame["location"], set()).add(frame["function_text"])
    under = [set()]
    for stack in tables["stacks"][1:]:
        under.append(under[stack["parent"]] | (named.get(stack["location"], set()) & set(functions)))
    sums = dict.fromkeys(functions, 0)
    for sample in tables["samples"]:
        for name in under[sample["stack"]]:
            sums[name] += sample["weight"]
    return sums, sum(sample["weight"] for sample in tables["samples"])


def grow(tmp, way, more="", seconds=10, program="grow", **options):
    """One run of the workload: what it touched, what was seen of it."""
    truth_path = tmp / "truth.json"
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
    answer = run_memory(tmp, f"{harness.workload(program)} --truth {truth_path} --way {way} {words}", seconds, more)
    return answer, json.loads(truth_path.read_text())


def check_growth(tmp, way, program="grow", **options):
    """At least 95 % of what the planted functions touched is theirs in the page-fault stacks, in the shares that they had."""
    answer, truth = grow(tmp, way, program=program, mib=48, steps=12, step_ms=25, **options)
    if artifact(answer, "faults")["state"] == "absent":
        harness.skip("perf", artifact(answer, "faults")["completeness"]["absent"])
    touched = truth["touched"]
    found, whole = weights_under(tmp, "faults", FUNCTIONS)
    real = sum(touched.values())
    # The events also count exactly: what the samples' periods add up to is a few periods off where many threads are born.
    scale = 100 / artifact(answer, "timeline")["completeness"]["faults"]["seen_pct"]
    found = {name: value * scale for name, value in found.items()}
    whole *= scale
    assert 0.95 * real <= sum(found.values()) <= 1.06 * real, (found, touched)
    assert sum(found.values()) >= 0.95 * whole - 2 * MIB, (found, whole)
    for name in FUNCTIONS:
        check_near(found[name] / real, touched[name] / real, 0.15, f"{way}: share of {name}")
    return answer, truth


def test_growth_by_malloc_is_that_of_who_touches(tmp):
    check_growth(tmp, "heap")


def test_growth_by_mmap(tmp):
    check_growth(tmp, "mmap")


def test_growth_in_an_arena_of_its_own(tmp):
    check_growth(tmp, "arena")


def test_growth_in_threads_born_in_the_window(tmp):
    check_growth(tmp, "threads")


def test_growth_in_children_that_end(tmp):
    check_growth(tmp, "fork")


def test_every_fault_is_exact(tmp):
    """faults = all: not a sample any more, so each function has what it touched, to the page."""
    _, truth = grow(tmp, "mmap", more="faults = all\n", mib=4, steps=8, step_ms=40)
    found, _ = weights_under(tmp, "faults", FUNCTIONS)
    for name in FUNCTIONS:
        check_near(found[name] / 4096, truth["touched"][name] / 4096, 3, f"pages of {name}")


def test_the_kernel_faults_on_behalf_of_the_caller(tmp):
    """read(2) into fresh memory: the fault is the kernel's, the growth that of the function that called it."""
    _, truth = grow(tmp, "read", mib=32, steps=8, step_ms=30)
    found, _ = weights_under(tmp, "faults", ("grow_by_read",))
    real = sum(truth["touched"].values())
    assert 0.95 * real <= found["grow_by_read"] <= 1.06 * real, (found, real)


def test_pages_of_files_are_no_growth(tmp):
    grow(tmp, "file", mib=32, steps=8, step_ms=30)
    anonymous, _ = weights_under(tmp, "faults", ("read_pages",))
    of_files, _ = weights_under(tmp, "file_faults", ("read_pages",))
    assert of_files["read_pages"] >= 16 * MIB, of_files
    assert anonymous["read_pages"] <= MIB, anonymous


def test_what_went_again_is_not_kept(tmp):
    """Half of each step is unmapped after it was touched: what grow_most touched stays, and all of grow_little's goes."""
    answer, truth = grow(tmp, "mmap", more="faults = all\n", seconds=2, mib=4, steps=8, step_ms=40, free=50, hold_ms=4000)
    facts = artifact(answer, "timeline")["completeness"]
    assert facts["faults"]["seen_pct"] > 98, facts
    rows = [row for row in table(tmp, "faults") if row["pid"] == truth["pid"] and row["kind"] in (0, 1, 3)]
    kept = sum(row["bytes"] for row in rows if row["kept"] == 1)
    grown = truth["steps"][-1]["rss"] - truth["steps"][0]["rss"]
    check_near(kept / MIB, grown * 8 / 7 / MIB, 0.5, "kept, MiB")
    assert sum(row["bytes"] for row in rows if row["kept"] == 0) >= 1.9 * MIB


def test_pages_that_came_again_and_again_are_kept_once(tmp):
    """One place is mapped and touched two thousand times; growth is what is there, not what came."""
    script = tmp / "again.py"
    script.write_text("import mmap, time\nblock = bytes(1 << 20)\nfor i in range(2000):\n    m = mmap.mmap(-1, 1 << 20)\n"
                      "    m.write(block)\n    if i < 1999:\n        m.close()\ntime.sleep(20)\n")
    run_memory(tmp, f"python3 {script}", seconds=3, more="mode = resident\n[plugin:report]\n")
    lines = section((tmp / "runs" / "latest" / "memory_report.txt").read_text(), "Growth by function")
    anon = table(tmp, "totals")
    left = [row["anon"] for row in anon if row["processes"] > 0][-1] / MIB
    assert any("came in many times" in line for line in lines), lines
    value, unit = [line for line in lines if " in all" in line][0].split()[:2]
    assert unit == "MiB", lines
    check_near(float(value), left, 0.02 * left + 0.1, "growth in all, MiB")


def section(text, title):
    """The lines of a section of the report, by the beginning of its heading."""
    parts = text.split("\n\n" + title, 1)
    assert len(parts) == 2, f"no section {title!r} in {text}"
    lines = parts[1].splitlines()
    ends = [i for i, line in enumerate(lines) if set(line) == {"="} and i > 1]
    return lines[: ends[0] - 1 if ends else None]


def test_report_names_who_grew_and_what_was_not_seen(tmp):
    """Half of what was touched goes again: growth and faults by function differ, and both are right."""
    answer, truth = grow(tmp, "mmap", more="faults = all\nmode = resident\n[plugin:report]\n[plugin:flamegraph]\n", seconds=2, mib=4, steps=8,
                         step_ms=40, free=50, hold_ms=4000)
    run = tmp / "runs" / "latest"
    text = (run / "memory_report.txt").read_text()
    assert max(len(line) for line in text.splitlines()) <= 100, text
    grown = [line for line in section(text, "Growth by function") if "grow_" in line]
    faulted = [line for line in section(text, "Faults by function") if "grow_" in line]
    assert len(faulted) == 3 and any("grow_little" in line for line in faulted), faulted
    assert "grow_most" in grown[0] and not any("grow_little" in line for line in grown), grown
    check_in("not seen  heap", text)
    check_in("mode = resident", text)
    check_in("heap             not seen", text)
    assert "█" in text
    assert (run / "flamegraph.faults.svg").exists()
    assert list((tmp / "runs").glob("memory_*.txt")), "no link beside the runs"
    states = {stage["name"]: stage["state"] for stage in answer["stages"]}
    assert states["report[memory.timeline]"] == "complete", states


def test_a_running_process_is_looked_at_by_its_pid(tmp):
    """The short command, on a process that runs already: mappings before and after too."""
    truth_path = tmp / "truth.json"
    argv = [str(harness.workload("grow")), "--truth", str(truth_path), "--way", "mmap", "--mib", "24", "--steps", "60", "--step-ms", "50"]
    with subprocess.Popen(argv) as process:
        try:
            profcore("memory-profile", 1, "--pid", process.pid, cwd=tmp, timeout=60).ok()
        finally:
            process.kill()
    text = next((tmp / "profiling").glob("memory_*.txt")).read_text()
    check_in("grow_most", "\n".join(section(text, "Growth by function")))
    kinds = section(text, "Memory by kind of mapping")
    anonymous = [line for line in kinds if line.startswith("anonymous")][0]
    check_in("+", anonymous)


def test_analyze_says_who_grew(tmp):
    command = f"{harness.workload('grow')} --way heap --mib 96 --steps 100 --step-ms 40"
    answer = run_memory(tmp, command, seconds=2, more="[plugin:analyze]\n")
    growth = [finding for finding in answer["findings"] if finding["kind"] == "memory_growth"]
    assert len(growth) == 1 and growth[0]["severity"] == "warning", answer["findings"]
    check_in("RSS grew", growth[0]["title"])
    check_in("under grow_most", growth[0]["title"])
    check_near(growth[0]["share"], 70, 15, "share of grow_most, %")
    check_in("RSS grew", answer["text"][0])


def test_a_program_that_does_not_grow_is_not_said_to(tmp):
    answer = run_memory(tmp, "sleep 3", seconds=1, more="[plugin:analyze]\n")
    assert not [finding for finding in answer["findings"] if finding["kind"].startswith("memory_")], answer["findings"]


def test_calls_that_ask_for_memory_have_stacks(tmp):
    answer, truth = grow(tmp, "mmap", mib=32, steps=8, step_ms=30)
    if artifact(answer, "maps")["state"] == "absent":
        harness.skip("tracefs", artifact(answer, "maps")["completeness"]["absent"])
    found, _ = weights_under(tmp, "maps", ("touch",))
    check_near(found["touch"] / MIB, 32, 0.5, "asked for under touch, MiB")
    calls = [row for row in table(tmp, "map_calls") if row["call"] == 1 and row["anonymous"] and row["bytes"] == 4 * MIB]
    assert len(calls) == 8, calls


BACKEND = """[run]
name = memory
duration = 3s
output = {output}
[target]
container = {name}
[plugin:memory]
mode = resident
maps = no
[plugin:load-test]
url = http://127.0.0.1:{port}/slow?mode={mode}
connections = 1
rate = 100
[plugin:analyze]
"""


def check_backend(tmp, program, name, toucher=None):
    """What the page faults alone say of the demo backend in a container: who leaks, against its own truth, and who churns."""
    engine = docker_env.engine()
    image = engine.image_of(name, {INSIDE: program}, entrypoint=[INSIDE, "--host", "0.0.0.0", "--port", "8080", "--folder", "/",
                                                                 "--leak-bytes", "65536"])
    found = {}
    with engine.run(image, options=["-p", "127.0.0.1::8080"]) as container:
        port = container.port(8080)
        wait_http("127.0.0.1", port)
        for mode in ("leak", "alloc"):
            (tmp / "backend.ini").write_text(BACKEND.format(output=tmp / "runs", name=container.name, port=port, mode=mode))
            answer = profcore_json("-c", tmp / "backend.ini", "--json", env=engine.env(), timeout=90)
            answer.result.ok()
            found[mode] = {finding["kind"]: finding for finding in answer["findings"]}
            if mode == "leak":
                rows = table(tmp, "totals")
                grown = rows[-1]["anon"] - rows[0]["anon"]
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/truth", timeout=10) as page:
                    leaked = json.load(page)["leak"]["bytes"]
                check_near(grown / leaked, 1.02, 0.12, "growth of RSS, of the bytes that leaked")
                check_in(toucher or "leak_session", answer["text"][0])
    for mode, kind, cause in (("leak", "memory_growth", "leak_session"), ("alloc", "memory_churn", "churn_memory")):
        named = found[mode][kind]
        assert (toucher or cause) in named["title"] and named["share"] > 90, named
        if toucher:  # a helper of both: the way to it is told too
            assert cause in found[mode]["hot_path"]["title"], found[mode]


def test_the_backends_leak_in_a_container_is_named_by_page_faults(tmp):
    check_backend(tmp, harness.backend_path(), "backend-leaks")


def test_the_rust_backends_leak_in_a_container_is_named_by_page_faults(tmp):
    check_backend(tmp, harness.rust_backend_path(), "rust-backend-leaks", toucher="touched_block")


EATER = ('sleep 2; a=; i=0; while [ $i -lt 200 ]; do b=$(head -c 1048576 /dev/zero | tr "\\0" x); a="$a$b"; '
         'i=$((i+1)); sleep 0.02; done')


def test_a_container_that_is_killed_for_lack_of_memory(tmp):
    """By name: its limit, its growth and the kill are in the text, and analyze says it first."""
    engine = docker_env.engine()
    with engine.run(engine.base_image(), "sh", "-c", EATER, options=["-m", "40m", "--memory-swap", "40m"]) as container:
        result = profcore("memory-profile", 12, "--container", container.name, cwd=tmp, env=engine.env(), timeout=90).ok()
    text = (tmp / "profiling" / "latest" / "memory_report.txt").read_text()
    check_in("killed in the target's control group for lack of memory", text)
    check_in("limit 40.0 MiB", text)
    check_in("for lack of memory", result.out)


if __name__ == "__main__":
    harness.main(__name__)

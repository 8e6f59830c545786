#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory over time: what a run of the plugin `memory` says, against what the program itself knows."""

import json

import harness
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
    answer = profcore_json("-c", config, "--json", timeout=90)
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


def test_timeline_follows_the_program(tmp):
    truth_path = tmp / "truth.json"
    command = f"{harness.workload('grow')} --truth {truth_path} --way mmap --mib 48 --steps 24 --step-ms 40"
    run_memory(tmp, command)
    truth = json.loads(truth_path.read_text())
    totals = table(tmp, "totals")
    assert len(totals) >= 15, len(totals)
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


if __name__ == "__main__":
    harness.main(__name__)

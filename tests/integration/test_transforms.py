#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""flamegraph, report and analyze behind the real core: a workload with a known split, and a target that does nothing."""

import json
import subprocess
import xml.etree.ElementTree as ElementTree

import harness
from harness import check_in, check_near, profcore, profcore_json, workload
from test_documents import script_data, share, table

POINTS = 5.0  # 600 samples: the 95 % interval of a half is +-4 points

CONFIG = """[run]
name = transforms
duration = {seconds}s
output = {output}

[target]
command = {command}

[plugin:perf-cpu]

[plugin:flamegraph]

[plugin:report]

[plugin:analyze]
"""


def run_split(tmp):
    config = tmp / "split.ini"
    config.write_text(CONFIG.format(seconds=1, output=tmp / "runs", command=f"{workload('split')} 3 60 30 10"))
    report = profcore_json("-c", config, "--json", timeout=60)
    report.result.ok()
    return tmp / "runs" / "latest", report


def test_documents_of_a_run_agree(tmp):
    folder, report = run_split(tmp)
    rows = script_data(ElementTree.parse(folder / "flamegraph.cpu.svg").getroot())
    text = (folder / "perf_report.cpu.txt").read_text()
    by_self = {row[3]: float(row[0]) for row in table(text, "Functions by self")}
    top = {row["function"]: row["self_pct"] for row in report["top_functions"]}
    for name, pct in [("burn_a", 60), ("burn_b", 30), ("burn_c", 10)]:
        check_near(top[name], pct, POINTS, name)
        check_near(by_self[name], top[name], 0.01, f"{name} in the report")
        assert share(rows, name) >= top[name] - 0.01, "the drawn frame holds at least its own time"
    check_in("burn_a", (folder / "report.txt").read_text().split("Findings")[0])
    check_in("burn_a (split) takes", json.loads((folder / "report.json").read_text())["verdict"])
    names = [path.name for path in (tmp / "runs").iterdir() if path.is_symlink()]
    for start, end in [("flamegraph_", "_cpu.svg"), ("perf_report_", "_cpu.txt"), ("perf_symbols_", "_cpu.txt")]:
        assert [name for name in names if name.startswith(start) and name.endswith(end)], names


def test_replay_with_other_options(tmp):
    folder, _ = run_split(tmp)
    stored = folder.resolve()
    profcore("replay", stored, "--set", "flamegraph.threads=split", "--set", "flamegraph.title=again",
             "--set", "report.rows=2", timeout=60).ok()
    again = (tmp / "runs" / "latest").resolve()
    assert again != stored
    root = ElementTree.parse(again / "flamegraph.cpu.svg").getroot()
    assert root.find("{http://www.w3.org/2000/svg}title").text == "again"
    assert all("thread" in row[1] for row in script_data(root) if row[0] == 1)
    before = (stored / "report.txt").read_text().splitlines()[1:]
    assert (again / "report.txt").read_text().splitlines()[1:] == before, "a replay says the same"


def test_idle_target_is_an_error(tmp):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        config = tmp / "idle.ini"
        text = CONFIG.format(seconds=1, output=tmp / "runs", command="")
        config.write_text(text.replace("command = ", f"pid = {sleeper.pid}"))
        result = profcore("-c", config, timeout=60)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert result.code in (1, 5), f"exit code {result.code}\n{result.err}"
    assert not (tmp / "runs" / "latest" / "flamegraph.cpu.svg").exists(), "no empty picture"
    check_in("sample", result.out + result.err)


if __name__ == "__main__":
    harness.main(__name__)

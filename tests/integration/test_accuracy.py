#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is what a run says true? Splits that change with every run, compared with what the backend itself measured."""

import random

import harness
from harness import Backend, check_near, profcore_json

FUNCTIONS = ("hash_rounds", "sort_comments", "render_markdown")
POINTS = 3.0

CONFIG = """[run]
name = accuracy
duration = {seconds}s
output = {output}

[target]
pid = {pid}

[plugin:load-test]
url = {url}
connections = 8

[plugin:perf-cpu]
frequency = 997

[plugin:analyze]
top = 1000
"""


def random_split():
    """Three different shares of at least 10 %, that no test can know beforehand."""
    shares = random.sample(range(10, 60), 3)
    return ",".join(str(share) for share in shares)


def profile(backend, tmp, seconds=5):
    """One run against the backend under load: the report, and the truth of the same time."""
    config = tmp / "accuracy.ini"
    config.write_text(CONFIG.format(seconds=seconds, output=tmp / "runs", pid=backend.pid, url=backend.url("/slow")))
    backend.truth(reset=True)
    report = profcore_json("-c", config, "--json", timeout=60)
    truth = backend.truth()
    report.result.ok()
    return report, truth


def self_pct(report):
    rows = {row["function"]: row["self_pct"] for row in report["top_functions"]}
    return {name: rows.get(name, 0.0) for name in FUNCTIONS}


def compare(nofp, tmp):
    split = random_split()
    with Backend("--split", split, nofp=nofp) as backend:
        report, truth = profile(backend, tmp)
    found = self_pct(report)
    for name in FUNCTIONS:
        real = 100.0 * truth["functions"][name]["cpu_ns"] / truth["process_cpu_ns"]
        check_near(found[name], real, POINTS, f"{name} with --split {split}, self %")
    return report, truth


def test_split_with_frame_pointers(tmp):
    compare(False, tmp)


def test_split_without_frame_pointers(tmp):
    """Self time needs no unwinding: it must be right for any build."""
    compare(True, tmp)


def test_hot_function_heads_the_list(tmp):
    with Backend("--split", "10,20,70") as backend:
        report, _ = profile(backend, tmp, seconds=3)
    ranked = sorted(report["top_functions"], key=lambda row: -row["self_pct"])
    assert ranked[0]["function"] == "render_markdown", ranked[:3]


def test_callers_have_the_time_of_their_callees(tmp):
    """With frame pointers everything is below slow_endpoint, and each worker below its caller."""
    with Backend() as backend:
        report, truth = profile(backend, tmp, seconds=3)
    total = {row["function"]: row["total_pct"] for row in report["top_functions"]}
    real = 100.0 * truth["work_cpu_ns"] / truth["process_cpu_ns"]
    check_near(total["slow_endpoint"], real, POINTS, "slow_endpoint, total %")
    check_near(total["check_signatures"], total["hash_rounds"], 1.0, "check_signatures and its one callee")


def test_load_is_what_was_served(tmp):
    """Every request that the driver counts was served, and the other way round, but for those cut by the window."""
    with Backend("--work-us", "500") as backend:
        report, truth = profile(backend, tmp, seconds=3)
    assert report["load"]["errors"] == 0, report["load"]
    check_near(report["load"]["requests"], truth["slow_requests"], 8 + 1, "requests counted by driver and backend")


if __name__ == "__main__":
    harness.main(__name__)

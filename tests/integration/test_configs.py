#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything in configs/ does what it says: the scenarios run, the recipes run, and what cannot run yet says why."""

import json
import socket
import threading
import xml.etree.ElementTree

import harness
from harness import Backend, check_in, profcore, profcore_json

CONFIGS = harness.source_dir() / "configs"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_demo(tmp, *args, seconds=3):
    """The demo's config on a port of our own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "run.duration": f"{seconds}s",
        "run.output": tmp / "runs",
        "target.command": f"{{programs}}/backend --port {port}",
        "target.ready": f"{url}/health",
        "load-test.url": f"{url}/slow",
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["-c", CONFIGS / "slow_endpoint.ini", *words, *args]


def test_every_scenario_is_checked():
    scenarios = sorted(CONFIGS.glob("*.ini"))
    assert scenarios
    for path in scenarios:
        profcore("check", "-c", path).ok()


def test_slow_endpoint_names_the_slow_function(tmp):
    result = profcore(*run_demo(tmp)).ok()
    check_in("hash_rounds", result.out)
    check_in("p99", result.out)
    check_in("hash_rounds", (tmp / "runs" / "latest" / "report.txt").read_text())


def test_slow_endpoint_leaves_a_whole_folder(tmp):
    report = profcore_json(*run_demo(tmp, "--json", seconds=2))
    report.result.ok()
    assert report["status"] == "complete" and report["exit_code"] == 0
    folder = tmp / "runs" / "latest"
    assert folder.resolve() == type(folder)(report["run"]).resolve()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert isinstance(manifest, dict)
    pictures = list(folder.glob("flamegraph*.svg"))
    assert pictures, list(folder.iterdir())
    for picture in pictures:
        assert xml.etree.ElementTree.parse(picture).getroot().tag.endswith("svg")
    check_in("hash_rounds", (folder / "flamegraph.cpu.svg").read_text())
    for name in ("config.effective.ini", "target.json", "artifacts", "logs", "report.txt", "report.json", "strace.txt",
                 "memory_report.txt"):
        assert (folder / name).exists(), f"{name} is missing of {sorted(path.name for path in folder.iterdir())}"


def test_effective_config_runs_again(tmp):
    first = profcore_json(*run_demo(tmp, "--json", seconds=1))
    first.result.ok()
    again = profcore_json("-c", f"{first['run']}/config.effective.ini", "--json")
    again.result.ok()
    assert again["run"] != first["run"]
    assert [stage["name"] for stage in again["stages"]] == [stage["name"] for stage in first["stages"]]


def run_recipe(tmp, *args):
    report = profcore_json(*args, "--set", f"run.output={tmp}", "--json")
    report.result.ok()
    return report


def test_stack_recipes(tmp):
    """They have no driver: the target is kept busy from here."""
    for word in ("flamegraph", "cpu-profile", "perf"):
        with Backend() as backend:
            busy = threading.Thread(target=backend.hammer, kwargs={"seconds": 2.5})
            busy.start()
            report = run_recipe(tmp / word, word, 1, "--pid", backend.pid)
            busy.join()
        assert report["top_functions"][0]["function"] == "hash_rounds", word


def test_load_recipe(tmp):
    with Backend("--work-us", 500) as backend:
        report = run_recipe(tmp, "load-test", 1, "--url", backend.url("/slow"))
        served = backend.truth()["slow_requests"]
    assert report["load"]["errors"] == 0
    assert abs(report["load"]["requests"] - served) <= 17, (report["load"], served)


def test_memory_and_strace_recipes(tmp):
    """Each makes its text, of a target that waits and touches memory."""
    for word, document, title in (("strace", "strace.txt", "Completeness"), ("memory-profile", "memory_report.txt", "Coverage")):
        with Backend() as backend:
            busy = threading.Thread(target=backend.hammer, kwargs={"seconds": 3})
            busy.start()
            report = run_recipe(tmp / word, word, 2, "--pid", backend.pid)
            busy.join()
        text = (tmp / word / "latest" / document).read_text()
        check_in(title, text)
        check_in(str(backend.pid), text)
        assert report["status"] == "complete", report


def test_recipes_are_listed_in_help():
    text = profcore("help").ok().out
    for path in (CONFIGS / "commands").glob("*.ini"):
        check_in(path.stem, text)


if __name__ == "__main__":
    harness.main(__name__)

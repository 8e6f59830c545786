#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Containers that end, are restarted or made anew in the window, and short lives in them."""

import http.client
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request

import docker_env
import harness
from containers import BUSY, artifacts, backend_image, in_window, profile, report, run_backend, target_json, wait_http
from harness import check_in


FOLLOW = "tests/bench/containers/follow"


class Requests:
    """Asks the demo for a page again and again until the block ends, whatever comes of it: the target may be away."""

    def __init__(self, port, page="/slow"):
        self.url = f"http://127.0.0.1:{port}{page}"
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        while not self.is_over.is_set():
            try:
                urllib.request.urlopen(self.url, timeout=2).read()
            except OSError:
                time.sleep(0.02)
            except http.client.HTTPException:
                pass

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *unused):
        self.is_over.set()
        self.thread.join()


# ---- ends and restarts of the demo ----


def test_restart_is_followed(tmp):
    with socket.socket() as probe: # a port that stays the same
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with docker_env.engine().run(backend_image(), options=["-p", f"127.0.0.1:{port}:8080"]) as container, Requests(port):
        wait_http("127.0.0.1", port)
        first = container.pid
        late = in_window(tmp, container.restart, 0)
        result = profile(tmp, {"container": container.name}, seconds=4).ok()
        late.join()
        lives = target_json(tmp)["generations"]
        assert [life["generation"] for life in lives] == [1, 2], lives
        assert lives[0]["pid"] == first and lives[1]["pid"] == container.pid != first
        assert lives[0]["gone_ns"] <= lives[1]["from_ns"]
        check_in("generation 2", result.err)
        manifest = json.loads((tmp / "runs" / "latest" / "manifest.json").read_text())
        check_in("began anew 1 time", json.dumps(manifest["warnings"]))
        check_in("hash_rounds", report(tmp))
        check_in("these are 2 lives of it", " ".join(report(tmp).split()))
        stacks = artifacts(tmp)["perf-cpu.stacks"]
        assert stacks["facts"]["target.generation_2.from_ns"] == lives[1]["from_ns"], stacks["facts"]
        sampled = {row["pid"] for row in stacks["tables"]["samples"]}
        assert {first, container.pid} <= sampled, sampled


def test_restart_ends_the_window_where_asked(tmp):
    engine = docker_env.engine()
    with engine.run(engine.base_image(), "sh", "-c", BUSY) as container:
        late = in_window(tmp, container.restart, 0)
        result = profile(tmp, {"container": container.name, "on_restart": "stop"}, seconds=20)
        late.join()
        assert result.seconds < 15, result.describe()
        check_in("target exited", result.out + result.err)


def test_stopped_ends_the_window(tmp):
    """What was measured until then is whole, and named by files that went away with the container."""
    with run_backend() as container:
        port = container.port(8080)
        with Requests(port):
            wait_http("127.0.0.1", port)
            late = in_window(tmp, container.engine.docker, "stop", "-t", "5", container.id, after=1.0)
            result = profile(tmp, {"container": container.name}, seconds=30).ok()
            late.join()
        assert container.inspect()["State"]["Status"] == "exited"
        assert result.seconds < 20, result.describe()
        check_in("target exited", result.out + result.err)
        check_in("hash_rounds", report(tmp))


def test_out_of_memory_is_said(tmp):
    limit = ["-m", "48m", "--memory-swap", "48m"]
    with run_backend("--leak-bytes", "262144", options=limit) as container:
        port = container.port(8080)
        wait_http("127.0.0.1", port)
        late = Requests(port, "/slow?mode=leak")
        timer = in_window(tmp, late.__enter__)
        result = profile(tmp, {"container": container.name}, seconds=30, extra="[plugin:memory]")
        timer.join()
        late.__exit__()
        assert container.inspect()["State"]["OOMKilled"] or container.inspect()["State"]["ExitCode"] == 137
        assert result.seconds < 25, result.describe()
        check_in("lack of memory", result.out + result.err)
        assert target_json(tmp)["oom_killed"] is True


# ---- another container of the same name ----


# Begins processes (which fault), asks the kernel and sleeps.
FORKER = "while (1) { fork or exit; wait; getppid() for 1 .. 20; select(undef, undef, undef, 0.01) }"
EVERY_COLLECTOR = """
[plugin:memory]
mode = resident
interval = 50ms
[plugin:strace]
[plugin:strace-ptrace]
use = strace
backend = ptrace
duty = 20
"""


def test_made_anew_is_followed(tmp):
    """Removed and made again under the same name, with another id and program, as `compose up --force-recreate` does: every
    collector goes on in the new one, and every artifact says when."""
    engine = docker_env.engine()
    name = engine.unique("anew")
    made = []

    def make_anew():
        first.__exit__()
        made.append(engine.run(engine.base_image(), "perl", "-e", FORKER, name=name))

    first = engine.run(engine.base_image(), "sh", "-c", BUSY, name=name)
    late = in_window(tmp, make_anew)
    try:
        result = profile(tmp, {"container": name}, seconds=5, extra=EVERY_COLLECTOR).ok()
        late.join()
        lives = target_json(tmp)["generations"]
        assert [life["container_id"] for life in lives] == [first.id, made[0].id], lives
        check_in("another container of that name", result.err)
        check_in("perl", report(tmp))
        began_ns = lives[1]["from_ns"]
        rows_of = {"perf-cpu.stacks": "samples", "strace.stacks": "samples", "strace-ptrace.syscalls": "calls",
                   "strace.syscalls": "calls", "memory.faults": "samples", "memory.timeline": "samples"}
        everything = artifacts(tmp)
        for what, artifact in everything.items():
            facts = artifact["facts"]
            assert facts["target.generations"] == 2 and facts["target.generation_2.from_ns"] == began_ns, (what, facts)
        for what, table in rows_of.items():
            rows = everything[what]["tables"][table]
            pids = {row["pid"] for row in rows if row.get("time", began_ns) >= began_ns}
            assert pids - {lives[0]["pid"]}, (what, rows[-1])
        check_in(made[0].id, everything["memory.timeline"]["facts"]["group.path"])
    finally:
        late.join()
        engine.docker("rm", "-f", name)


# ---- figures ----


def follow(container, seconds):
    words = [harness.build_dir() / FOLLOW, "container", container, str(seconds)]
    return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True,
                            env=dict(os.environ, **docker_env.engine().env()))


def test_short_lives_are_all_seen():
    """2,000 processes a second, each of which begins and ends inside: the stream tells of every one."""
    engine = docker_env.engine()
    image = engine.image_of("churn", {"/churn": harness.workload("churn")}, base=True)
    with engine.run(image, "sleep", "600") as container:
        process = follow(container.id, 6)
        assert process.stdout.readline() == "following\n"
        truth = json.loads(container.exec("/churn", "3", "2000", "0", "10", "1").ok().out)
        seen = json.loads(process.stdout.readline())
        process.wait()
        print(f"# {truth['forks'] / 3:.0f} processes a second, {seen}")
        assert seen["lost"] == 0, seen
        # Beside them: those of docker exec itself.
        assert truth["forks"] <= seen["processes"] <= truth["forks"] + 10, (truth, seen)


def test_finding_is_quick():
    """Among as many containers as this machine starts in half a minute; the time is printed, the bound is generous."""
    engine = docker_env.engine()
    count = int(os.environ.get("PROFCORE_TEST_CONTAINERS", "10"))
    made = [engine.run(engine.base_image(), "sleep", "600", options=["--network", "none"]) for _ in range(count)]
    try:
        times = []
        for _ in range(5):
            process = follow(made[count // 2].name, 0)
            out = process.stdout.read().splitlines()
            process.wait()
            times.append((json.loads(out[-1])["open_ms"], json.loads(out[-1])["cpu_ms"]))
        wall, cpu = min(times)[0], min(time[1] for time in times)
        print(f"# found and verified among {count} in {wall:.0f} ms, {cpu:.0f} ms of them on a CPU")
        assert cpu < 100, times
    finally:
        engine.docker("rm", "-f", *[container.id for container in made], timeout=300)


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: MIT
"""What it costs to find one container among many, beside `docker inspect`, and whether short lives in it are all seen.

    meson test -C build --benchmark -v containers        PROFCORE_BENCH_CONTAINERS=200 by default

Finding is everything that a run does before its first stage: ask the engine, verify with the kernel, list the processes and
their mappings, open the events. The rival only asks. Both are wall time of a process of its own, turn by turn; the median and
the best are printed, as the machine has other work.
"""

import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))

import docker_env
import harness

COUNT = int(os.environ.get("PROFCORE_BENCH_CONTAINERS", "200"))
ROUNDS = 15
FOLLOW = harness.build_dir() / "tests" / "bench" / "containers" / "follow"
GOAL_MS = 50


def start_many(engine, image, count):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda _: engine.run(image, "sleep", "3600", options=["--network", "none"]), range(count)))


def time_of(words, env):
    began = time.monotonic()
    done = subprocess.run([str(word) for word in words], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return (time.monotonic() - began) * 1e3, done.stdout


def quiet_line(name, times):
    print(f"{name:44} median {statistics.median(times):6.1f} ms   best {min(times):6.1f} ms")


def bench_finding(engine, containers):
    env = dict(os.environ, **engine.env())
    chosen = containers[len(containers) // 2]
    found, cpu, rival, by_id, by_id_cpu = [], [], [], [], []
    for _ in range(ROUNDS):
        _, out = time_of([FOLLOW, "container", chosen.name, "0"], env)
        said = json.loads(out.splitlines()[-1])
        found.append(said["open_ms"])
        cpu.append(said["cpu_ms"])
        rival.append(time_of([docker_env.client(), "inspect", chosen.name], env)[0])
        _, out = time_of([FOLLOW, "container", chosen.id, "0", "/nowhere/engine.sock"], env)
        said = json.loads(out.splitlines()[-1])
        by_id.append(said["open_ms"])
        by_id_cpu.append(said["cpu_ms"])
    print(f"one among {len(containers)} running containers, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    quiet_line("  find, verify, list, follow", found)
    quiet_line("    CPU time of that", cpu)
    quiet_line("  by id from control groups, no engine", by_id)
    quiet_line("    CPU time of that", by_id_cpu)
    quiet_line("  docker inspect NAME", rival)
    print(f"  goal: {GOAL_MS} ms; ratio to the rival {statistics.median(found) / statistics.median(rival):.2f}")


def forks_of_machine():
    """The kernel's own count: every process and thread that was ever started."""
    with open("/proc/stat") as stat:
        return next(int(line.split()[1]) for line in stat if line.startswith("processes "))


def bench_short_lives(engine):
    image = engine.image_of("churn", {"/churn": harness.workload("churn")}, base=True)
    with engine.run(image, "sleep", "600") as container:
        env = dict(os.environ, **engine.env())
        process = subprocess.Popen([str(FOLLOW), "container", container.id, "14"], stdout=subprocess.PIPE, text=True, env=env)
        assert process.stdout.readline() == "following\n"
        before = forks_of_machine()
        truth = json.loads(container.exec("/churn", "10", "2000", "0", "10", "1").ok().out)
        machine = forks_of_machine() - before
        seen = json.loads(process.stdout.readline())
        process.wait()
    print(f"short lives: {truth['forks'] / 10:.0f} processes a second for 10 s in the container")
    print(f"  started there {truth['forks']}, seen {seen['processes']} (docker exec's own among them), lost {seen['lost']}; "
          f"the whole machine started {machine}")
    assert truth["forks"] <= seen["processes"] <= machine and seen["lost"] == 0


def main():
    try:
        engine = docker_env.engine()
        image = engine.base_image()
    except harness.Skip as reason:
        print(reason)
        sys.exit(77)
    bench_short_lives(engine)
    containers = start_many(engine, image, COUNT)
    try:
        bench_finding(engine, containers)
    finally:
        for at in range(0, len(containers), 50):
            engine.docker("rm", "-f", *[container.id for container in containers[at:at + 50]], timeout=600)


if __name__ == "__main__":
    main()

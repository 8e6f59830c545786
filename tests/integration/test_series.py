# SPDX-License-Identifier: MIT
"""Series of runs (--every, --keep), their folder, profiling/latest among many, and runs that were made side by side."""

import configparser
import json
import os
import shlex
import shutil
import signal
import subprocess
import time

import harness

CONFIG = """
[run]
name     = {name}
duration = {duration}
output   = {tmp}/profiling
[target]
{target}
[plugin:null]
interval = 5ms
"""


def config(tmp, target="command = sleep 30", duration="200ms", name="series", more=""):
    path = tmp / f"{name}.ini"
    path.write_text(CONFIG.format(tmp=tmp, name=name, duration=duration, target=target) + more)
    return path


def start(tmp, *args):
    return subprocess.Popen([harness.profcore_path(), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True, cwd=tmp)


def runs(tmp):
    """Manifests of the sealed runs, oldest first."""
    manifests = []
    for path in sorted((tmp / "profiling").glob("2*/manifest.json")):
        try:
            manifests.append(json.loads(path.read_text()))
        except FileNotFoundError:
            pass  # removed meanwhile
    return [manifest for manifest in manifests if manifest["phase"] == "sealed"]


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    return process.communicate(timeout=60)


def test_series_keeps_its_schedule_and_its_bound(tmp):
    config_path = config(tmp)
    harness.profcore("-c", config_path).ok()
    by_hand = runs(tmp)[0]["run"]
    other = config(tmp, name="other")
    harness.profcore("-c", other).ok()
    process = start(tmp, "-c", config_path, "--every", "600ms", "--keep", "3", "--json", "-v")
    seen = {}
    harness.wait_until(lambda: seen.update({m["series"]["number"]: m for m in runs(tmp) if "series" in m}) or len(seen) >= 6,
                       60, "six runs")
    out, err = end(process)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) >= 6 and all(line["status"] == "complete" for line in lines), out
    # Turns are counted from the first: what each starts late by does not add up.
    first = seen[1]["series"]["due_ns"]
    for number, manifest in seen.items():
        turn = (manifest["series"]["due_ns"] - first) / 600e6
        assert turn == round(turn) and turn >= number - 1, (number, turn)
        assert manifest["window"]["t0_ns"] > manifest["series"]["due_ns"]
    kept = runs(tmp)
    assert sum("series" in manifest for manifest in kept) == 3, [m["run"] for m in kept]
    names = {manifest["run"] for manifest in kept}
    assert by_hand in names and sum(m["name"] == "other" for m in kept) == 1, names
    assert (tmp / "profiling" / "latest" / "manifest.json").exists()
    harness.check_in("series", harness.profcore("runs", tmp / "profiling").ok().out)


def test_turn_that_a_run_needs_is_skipped_and_said(tmp):
    # It answers to nothing for a while in the end: the deadline that ends it is longer than a turn.
    plugin = harness.build_dir() / "tests" / "plugins" / "hang-finish.so"
    path = config(tmp, more=f"[plugin:slow]\nuse = {plugin}\n")
    process = start(tmp, "-c", path, "--set", "run.deadline=1s", "--every", "400ms")
    time.sleep(4)
    out, err = end(process)
    harness.check_in("longer than its turn of 0.4 s", err)
    harness.check_in("turns skipped", out)
    assert " 0 turns skipped" not in out, out
    assert process.returncode == 1, "runs failed, and the series says 0"


def test_target_may_come_and_go(tmp):
    path = config(tmp, target="process = series-target")
    program = tmp / "series-target"
    program.write_bytes(harness.workload("sleeper").read_bytes())
    program.chmod(0o755)
    process = start(tmp, "-c", path, "--every", "500ms", "--json")
    time.sleep(1.2)
    assert process.poll() is None, "a series ends because its target is not there"
    for _ in range(2):
        before = len(runs(tmp))
        with subprocess.Popen([program, "60"], stdout=subprocess.DEVNULL) as target:
            harness.wait_until(lambda: len(runs(tmp)) > before, 30, "a run of it")
            target.kill()
        time.sleep(0.7)
    out, err = end(process)
    harness.check_in("no target, going on", err)
    harness.check_in("no such process", err)
    assert [line for line in out.splitlines() if json.loads(line)["status"] == "complete"], out
    for manifest in runs(tmp):
        assert manifest["window"] is not None, "an empty run was kept"


def test_signal_completes_the_run_under_way(tmp):
    path = config(tmp, duration="2s")
    process = start(tmp, "-c", path, "--every", "30s")
    harness.wait_until(lambda: list((tmp / "profiling").glob("2*/manifest.json")), 30, "a run")
    time.sleep(0.5)
    began = time.monotonic()
    out, err = end(process)
    assert process.returncode == 0 and time.monotonic() - began < 20, err
    harness.check_in("ending after this run", err)
    assert [manifest["window"]["ended_by"] for manifest in runs(tmp)] == ["duration"]
    harness.check_in("1 runs: 1 complete", out)


def test_second_signal_ends_the_window_and_still_reports(tmp):
    path = config(tmp, duration="60s")
    process = start(tmp, "-c", path, "--every", "5m")
    harness.wait_until(lambda: '"phase": "window"' in "".join(
        path.read_text() for path in (tmp / "profiling").glob("2*/manifest.json")), 30, "the window")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    out, err = end(process, signal.SIGINT)
    assert process.returncode == 0, err
    assert [manifest["window"]["ended_by"] for manifest in runs(tmp)] == ["interrupted"], out


def test_between_runs_a_signal_ends_at_once(tmp):
    process = start(tmp, "-c", config(tmp), "--every", "10m")
    harness.wait_until(lambda: runs(tmp), 30, "a run")
    time.sleep(0.5)
    began = time.monotonic()
    end(process)
    assert process.returncode == 0 and time.monotonic() - began < 10


def test_killed_series_leaves_no_run_behind(tmp):
    process = start(tmp, "-c", config(tmp, duration="60s"), "--every", "5m", "-q")
    harness.wait_until(lambda: list((tmp / "profiling").glob("2*/target.json")), 30, "the window")
    process.kill()
    process.communicate(timeout=60)
    manifest = harness.wait_until(lambda: (runs(tmp) or [None])[0], 30, "the run to seal itself")
    assert manifest["window"]["ended_by"] == "interrupted"
    harness.profcore("-c", config(tmp), "--set", "run.duration=0.1ms", "--every", "1s").expect(2)


def test_two_series_of_one_name_do_not_mix(tmp):
    process = start(tmp, "-c", config(tmp), "--every", "10m")
    harness.wait_until(lambda: runs(tmp), 30, "a run")
    result = harness.profcore("-c", config(tmp), "--every", "10m")
    result.expect(1)
    harness.check_in("a series of that name is at work", result.err)
    end(process)


def test_environment_that_refuses_ends_the_series(tmp):
    harness.need("root")
    harness.need_tool("setpriv")
    tmp.chmod(0o777)
    path = config(tmp, target=f"pid = {os.getpid()}", more="[plugin:perf-cpu]\non_failure = abort\n")
    result = harness.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", harness.profcore_path(), "-c", path,
                          "--every", "1s"], cwd=tmp)
    assert result.code in (3, 4), result.describe()


def test_bad_words(tmp):
    path = config(tmp, duration="10s")
    for args, what in (["--every", "5s"], "longer than its turn"), (["--every", "soon"], "no duration"), \
            (["--every", "1m", "--keep", "0"], "no number of runs"), (["--keep", "5"], "goes with --every"):
        result = harness.profcore("-c", path, *args)
        result.expect(2)
        harness.check_in(what, result.err)
    assert not list((tmp / "profiling").glob("2*"))


def test_latest_among_many_at_once(tmp):
    """Whoever looks sees a whole run behind profiling/latest, at every moment, while 24 runs end side by side."""
    path = config(tmp)
    harness.profcore("-c", path).ok()
    processes = [start(tmp, "-c", path, "-q") for _ in range(24)]
    looks = 0
    while any(process.poll() is None for process in processes):
        manifest = json.loads((tmp / "profiling" / "latest" / "manifest.json").read_text())
        assert manifest["phase"] == "sealed", manifest["run"]
        looks += 1
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0 and "link" not in err, err
    assert looks > 20 and len(runs(tmp)) == 25, (looks, len(runs(tmp)))
    assert len({manifest["run"] for manifest in runs(tmp)}) == 25
    leftovers = [path.name for path in (tmp / "profiling").iterdir() if path.name.startswith(".latest")]
    assert not leftovers, leftovers


def test_runs_side_by_side_are_analyzed_as_one(tmp):
    with harness.Backend() as backend, harness.Backend() as other:
        words = [["flamegraph", "2", "--pid", backend.pid, "-q"], ["load-test", "2", "--url", backend.url("/slow"), "-q"],
                 ["flamegraph", "2", "--pid", other.pid, "--set", "run.name=stranger", "-q"]]
        processes = [start(tmp, *one) for one in words]
        for process in processes:
            process.communicate(timeout=60)
        assert [process.returncode for process in processes[:2]] == [0, 0]
        mine = [m["run"] for m in runs(tmp) if m["name"] in ("flamegraph", "load-test")]
        load = next(run for run in mine if run.endswith("load-test"))
        answers = [analyze_with_latest(tmp, next(run for run in mine if run != load))]
        # Without the stranger the load belongs to one run only, so it may be the latest itself.
        shutil.rmtree(next((tmp / "profiling").glob("*-stranger")))
        answers.append(analyze_with_latest(tmp, load))
    for answer in answers:
        check_joined(tmp, answer, mine, load)
    check_joined_stands_alone(tmp, answers[-1], mine)


def analyze_with_latest(tmp, run):
    (tmp / "profiling" / "latest").unlink()
    (tmp / "profiling" / "latest").symlink_to(run)
    answer = harness.profcore_json("analyze", "--json", cwd=tmp)
    assert answer.result.code == 0, answer.result.describe()
    return answer


def check_joined(tmp, answer, mine, load):
    manifest = json.loads((tmp / answer["run"] / "manifest.json").read_text())
    assert manifest["joined"] == [load] and manifest["name"] == "flamegraph", manifest["joined"]
    windows = {m["run"]: m["window"] for m in runs(tmp)}
    pair = [windows[run] for run in mine]
    assert manifest["window"]["t0_ns"] == max(window["t0_ns"] for window in pair)
    assert manifest["window"]["t1_ns"] == min(window["t1_ns"] for window in pair)
    assert answer["load"]["requests"] > 0 and answer["top_functions"], answer
    harness.check_in(load, answer["warnings"][0])


# ---- the unit for systemd ----


def unit_settings():
    """{"Service": {"ExecStart": ...}, ...} of docs/profcore.service."""
    unit = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    unit.optionxform = str
    unit.read(harness.source_dir() / "docs" / "profcore.service")
    return unit


def test_unit_is_one_for_systemd(tmp):
    harness.need_tool("systemd-analyze")
    text = (harness.source_dir() / "docs" / "profcore.service").read_text()
    path = tmp / "profcore.service"
    path.write_text(text.replace("/usr/local/bin/profcore", str(harness.profcore_path())))
    result = harness.run(["systemd-analyze", "verify", path], env={"SYSTEMD_LOG_LEVEL": "warning"}).ok()
    assert "profcore.service" not in result.out + result.err, result.describe()


def test_command_of_the_unit_with_its_rights(tmp):
    """ExecStart with what the unit leaves of root's rights, on a process of another user; SIGTERM as systemd sends it."""
    harness.need("root")
    harness.need_tool("setpriv")
    service = unit_settings()["Service"]
    assert service["KillMode"] == "mixed" and service["NoNewPrivileges"] == "yes", dict(service)
    words = shlex.split(service["ExecStart"])
    assert words[:3] == ["/usr/local/bin/profcore", "-c", "/etc/profcore/service.ini"], words
    rights = ",".join("+" + name.lower().removeprefix("cap_") for name in service["CapabilityBoundingSet"].split())
    other = subprocess.Popen(["setpriv", "--reuid", "65534", harness.workload("split"), "60"], stdout=subprocess.DEVNULL)
    config = tmp / "service.ini"
    config.write_text(f"[run]\nduration = 1s\n[target]\npid = {other.pid}\n[plugin:perf-cpu]\n[plugin:strace]\ncalls = all\n"
                      "[plugin:memory]\n[plugin:report]\n")
    limited = ["setpriv", f"--bounding-set=-all,{rights}", "--no-new-privs", str(harness.profcore_path()), "-c", str(config)]
    series = subprocess.Popen([*limited, *words[3:]], cwd=tmp, stderr=subprocess.PIPE, text=True)
    try:
        harness.wait_until(lambda: runs(tmp), 30, "the first run")
        series.send_signal(signal.SIGTERM)
        _, err = series.communicate(timeout=30)
        assert series.returncode == 0, err
        first = runs(tmp)[0]
        assert first["status"] == "complete" and first["series"]["every_ns"] == 300 * 10**9, first
        harness.check_in("burn_", (tmp / "profiling" / first["run"] / "perf_report.cpu.txt").read_text())
    finally:
        other.kill()
        other.wait()


def check_joined_stands_alone(tmp, answer, mine):
    """The runs that it was made from are removed: what it shows can be read and made again."""
    for run in mine:
        shutil.rmtree(tmp / "profiling" / run)
    run = tmp / answer["run"]
    listed = harness.profcore("artifact", "list", run, "--json").ok().json()
    assert {"perf-cpu.stacks", "load-test.requests"} <= {entry["name"] for entry in listed}, listed
    for entry in listed:
        harness.profcore("artifact", "show", run, entry["name"], *(["--json"] if entry["path"].endswith(".pcol") else [])).ok()
    again = harness.profcore_json("analyze", run, "--json", cwd=tmp)
    assert again["load"]["requests"] == answer["load"]["requests"], again["load"]
    assert again["top_functions"] == answer["top_functions"]


if __name__ == "__main__":
    harness.main(__name__)

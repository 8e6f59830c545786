# SPDX-License-Identifier: MIT
"""Whole runs of the real program: targets, the window, signals, exit codes, replay."""

import json
import os
import signal
import subprocess
import time

import harness
import json_schema

NULL = """
[run]
name     = null
duration = {duration}
output   = {output}
[target]
{target}
[plugin:null]
interval = 5ms
"""


def config(tmp, target="command = sleep 30", duration="300ms", more=""):
    path = tmp / "test.ini"
    path.write_text(NULL.format(duration=duration, output=tmp / "profiling", target=target) + more)
    return path


def manifest(tmp, run="latest"):
    return json.loads((tmp / "profiling" / run / "manifest.json").read_text())


def start(tmp, *args):
    """profcore in the background, in its own session; its output goes to pipes."""
    return subprocess.Popen([harness.profcore_path(), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True, cwd=tmp)


def in_window(tmp):
    path = tmp / "profiling"
    for folder in path.glob("2*"):
        try:
            return json.loads((folder / "manifest.json").read_text())["phase"] == "window"
        except FileNotFoundError:
            return False
    return False


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_run_of_a_command(tmp):
    answer = harness.profcore_json("-c", config(tmp), "--json")
    answer.result.ok()
    assert answer["status"] == "complete" and answer["exit_code"] == 0
    harness.check_near(answer["window_s"], 0.3, 0.2, "window")
    stage = answer["stages"][0]
    artifact = stage["artifacts"][0]
    assert stage["state"] == "complete" and artifact["state"] == "complete"
    assert artifact["rows"] > 10 # ticks that a busy machine missed are counted as lost
    harness.check_near(artifact["coverage"], 1.0, 0.0001, "coverage")
    kept = manifest(tmp)
    assert kept["phase"] == "sealed" and kept["status"] == "complete"
    assert kept["window"]["ended_by"] == "duration"


def check_schema(answer):
    schema = json.loads((harness.source_dir() / "docs" / "run.schema.json").read_text())
    json_schema.check(dict(answer), schema)


def test_json_keeps_to_its_schema(tmp):
    check_schema(harness.profcore_json("-c", config(tmp), "--json"))
    check_schema(harness.profcore_json("-c", config(tmp, "pid = 4194303"), "--json"))
    plugin = harness.build_dir() / "tests" / "plugins" / "crash-run.so"
    answer = harness.profcore_json("-c", config(tmp, more=f"[plugin:bad]\nuse = {plugin}\n"), "--json")
    check_schema(answer)
    assert answer["exit_code"] == 1 and answer["status"] == "partial"


def test_target_of_a_run_is_gone_afterwards(tmp):
    harness.profcore("-c", config(tmp)).ok()
    target = json.loads((tmp / "profiling" / "latest" / "target.json").read_text())
    pids = [process["pid"] for process in target["processes"]]
    assert pids and not any(is_running(pid) for pid in pids), pids


def test_command_that_lives_two_milliseconds_is_seen_whole(tmp):
    answer = harness.profcore_json("-c", config(tmp, "command = true", "5s"), "--json")
    assert answer["exit_code"] == 0, answer
    assert answer["window_s"] < 3
    assert manifest(tmp)["window"]["ended_by"] == "target exited"


def test_effective_config_runs_the_same_again(tmp):
    harness.profcore("-c", config(tmp), "--set", "null.interval=7ms").ok()
    effective = (tmp / "profiling" / "latest" / "config.effective.ini")
    harness.check_in("interval = 7ms", effective.read_text())
    copy = tmp / "again.ini"
    copy.write_text(effective.read_text())
    harness.profcore("-c", copy).ok()
    assert len(list((tmp / "profiling").glob("2*"))) == 2


def test_environment_and_set_override(tmp):
    env = {"PROFCORE__RUN__DURATION": "200ms"}
    assert harness.profcore_json("-c", config(tmp), "--json", env=env)["window_s"] < 0.29
    answer = harness.profcore_json("-c", config(tmp), "--json", "--set", "run.duration=500ms", env=env)
    assert answer["window_s"] > 0.45


def test_no_such_pid_is_exit_3(tmp):
    answer = harness.profcore_json("-c", config(tmp, "pid = 4194303"), "--json")
    assert answer.result.code == 3 and answer["target_error"]["status"] == "PFC_ETARGET"
    harness.check_in("4194303", answer.result.err)
    assert manifest(tmp)["status"] == "failed"


def test_without_a_target_nothing_else_is_said(tmp):
    """Whoever would have read what was not measured is neither started nor talked of."""
    more = "[plugin:perf-cpu]\n[plugin:flamegraph]\n[plugin:report]\n[plugin:analyze]\n"
    result = harness.profcore("-c", config(tmp, "pid = 4194303", more=more))
    result.expect(3)
    assert len(result.err.splitlines()) == 1 and "4194303" in result.err, result.err
    assert "failed" not in result.out.splitlines()[1] and len(result.out.splitlines()) == 2, result.out
    states = {stage["name"]: stage["state"] for stage in manifest(tmp)["stages"]}
    assert set(states.values()) == {"skipped"}, states


def test_no_such_process_name_is_exit_3(tmp):
    harness.profcore("-c", config(tmp, "process = no-such-program-anywhere")).expect(3)


def test_no_such_command_is_exit_3(tmp):
    result = harness.profcore("-c", config(tmp, "command = no-such-program-anywhere"))
    result.expect(3)
    harness.check_in("no-such-program-anywhere", result.err)


def test_command_that_dies_before_it_is_ready_is_exit_3(tmp):
    target = "command = sh -c 'echo cannot bind; exit 9'\nready = tcp:1"
    result = harness.profcore("-c", config(tmp, target))
    result.expect(3)
    harness.check_in("cannot bind", result.err)


def test_config_errors_are_exit_2_and_leave_no_folder(tmp):
    harness.profcore("-c", config(tmp, more="[plugin:nil]\n")).expect(2)
    assert not (tmp / "profiling").exists()


def test_missing_config_is_exit_2(tmp):
    harness.check_in("nowhere.ini", harness.profcore("-c", tmp / "nowhere.ini").expect(2).err)


def test_first_interrupt_ends_the_window_and_reports(tmp):
    process = start(tmp, "-c", config(tmp, duration="60s"), "--json")
    harness.wait_until(lambda: in_window(tmp), 20, "the window")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    answer = json.loads(out)
    assert process.returncode == 0, err
    assert answer["status"] == "complete" and 0.05 < answer["window_s"] < 30
    assert manifest(tmp)["window"]["ended_by"] == "interrupted"


def test_interrupt_from_a_terminal_does_not_reach_the_stages(tmp):
    """Ctrl-C goes to all of the foreground group: what measures must live on to hand over what it has."""
    process = start(tmp, "-c", config(tmp, duration="60s"), "--json")
    harness.wait_until(lambda: in_window(tmp), 20, "the window")
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    answer = json.loads(out)
    assert process.returncode == 0 and answer["status"] == "complete", err
    assert answer["stages"][0]["artifacts"][0]["rows"] > 0, answer


def test_second_interrupt_abandons(tmp):
    plugin = harness.build_dir() / "tests" / "plugins" / "hang-finish.so"
    path = config(tmp, duration="60s", more=f"[plugin:slow]\nuse = {plugin}\n")
    process = start(tmp, "-c", path, "--json")
    harness.wait_until(lambda: in_window(tmp), 20, "the window")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert manifest(tmp)["phase"] == "sealed" and manifest(tmp)["exit_code"] == 130


def test_failure_of_a_stage_that_must_not_fail_ends_the_window(tmp):
    plugin = harness.build_dir() / "tests" / "plugins" / "crash-run.so"
    more = f"[plugin:bad]\nuse = {plugin}\non_failure = abort\n"
    answer = harness.profcore_json("-c", config(tmp, duration="60s", more=more), "--json")
    assert answer.result.code == 1 and answer["window_s"] < 30
    assert manifest(tmp)["window"]["ended_by"] == "on_failure = abort"
    states = {stage["name"]: stage["state"] for stage in answer["stages"]}
    assert states == {"null": "complete", "bad": "failed"}, states


def test_stage_in_process(tmp):
    answer = harness.profcore_json("-c", config(tmp), "--json", "--in-process", "null")
    assert answer["exit_code"] == 0 and answer["stages"][0]["artifacts"][0]["rows"] > 10, answer


def test_unknown_stage_in_process_is_refused(tmp):
    harness.profcore("-c", config(tmp), "--in-process", "nul").expect(2)


def test_runs_lists_newest_first(tmp):
    for _ in range(2):
        harness.profcore("-c", config(tmp)).ok()
    runs = harness.profcore("runs", tmp / "profiling", "--json").ok().json()
    assert [run["status"] for run in runs] == ["complete", "complete"]
    assert runs[0]["run"] > runs[1]["run"]


def test_quiet_says_nothing(tmp):
    result = harness.profcore("-c", config(tmp), "-q").ok()
    assert result.out == "" and result.err == "", result


def test_no_colour_and_no_escape_off_a_terminal(tmp):
    result = harness.profcore("-c", config(tmp), "-v")
    assert "\033" not in result.out + result.err


def test_pid_target_follows_its_processes(tmp):
    with subprocess.Popen(["sleep", "30"]) as sleeper:
        try:
            harness.profcore("-c", config(tmp, f"pid = {sleeper.pid}")).ok()
            assert sleeper.poll() is None, "a target that was not launched must live on"
        finally:
            sleeper.kill()


SLOW = """
[run]
name     = slow
duration = {duration}
output   = {output}
[target]
command = {{programs}}/backend --port {port} --work-us 3000
ready   = http://127.0.0.1:{port}/health
[plugin:load-test]
url         = http://127.0.0.1:{port}/slow
connections = 2
[plugin:perf-cpu]
[plugin:flamegraph]
[plugin:report]
[plugin:analyze]
"""


def slow(tmp, duration="2s", port=18473):
    path = tmp / "slow.ini"
    path.write_text(SLOW.format(duration=duration, output=tmp / "profiling", port=port))
    return path


def test_slow_endpoint_names_the_hot_function(tmp):
    answer = harness.profcore_json("-c", slow(tmp), "--json")
    answer.result.ok()
    check_schema(answer)
    assert answer["top_functions"][0]["function"] == "hash_rounds", answer["top_functions"][:3]
    assert answer["load"]["requests"] > 50 and answer["load"]["errors"] == 0
    assert answer["load"]["p99_ms"] >= answer["load"]["p50_ms"] > 0
    assert all(stage["state"] == "complete" for stage in answer["stages"])
    folder = tmp / "profiling" / "latest"
    for name in ("flamegraph.cpu.svg", "report.txt", "report.json", "manifest.json"):
        assert (folder / name).stat().st_size > 0, name
    reader = harness.source_dir() / "docs" / "read_artifact.py"
    tables = sorted((folder / "artifacts").glob("*.pcol"))
    assert len(tables) >= 2
    harness.run(["python3", reader, "--verify", "--ids", "--sealed", *tables]).ok()
    run = answer["run"].rsplit("/", 1)[1]
    assert (tmp / "profiling" / f"flamegraph_{run}_cpu.svg").resolve().is_file()


def test_replay_makes_the_documents_again(tmp):
    harness.profcore("-c", slow(tmp, "1s")).ok()
    first = os.readlink(tmp / "profiling" / "latest")
    answer = harness.profcore_json("replay", tmp / "profiling" / first, "--json", cwd=tmp)
    answer.result.ok()
    assert answer["run"] != str(tmp / "profiling" / first)
    assert answer["top_functions"] and answer["load"]["requests"] > 0
    reports = [(tmp / "profiling" / run / "report.txt").read_text().split("\n", 1) for run in (first, "latest")]
    assert reports[0][1] == reports[1][1], "only the run named in the first line may differ"
    # a replay can be replayed, and --only leaves the others out
    second = os.readlink(tmp / "profiling" / "latest")
    assert second != first
    answer = harness.profcore_json("replay", tmp / "profiling" / second, "--only", "flamegraph", "--json", cwd=tmp)
    answer.result.ok()
    assert [s["name"] for s in answer["stages"] if s["kind"] in ("transform", "reporter")] == ["flamegraph"]


def test_collector_is_swapped_by_one_line(tmp):
    """Another plugin id under the same stage name: what takes from the stage does not notice."""
    path = slow(tmp, "1s")
    path.write_text(path.read_text().replace("[plugin:perf-cpu]", "[plugin:cpu]\nuse = perf-cpu"))
    answer = harness.profcore_json("-c", path, "--json")
    answer.result.ok()
    assert answer["top_functions"]


if __name__ == "__main__":
    harness.main(__name__)

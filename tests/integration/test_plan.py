# SPDX-License-Identifier: MIT
"""Planning: ports joined by type and multiplicity, refusals that name the candidates, and nothing of a plugin executed."""

import os
import time

import harness

STANDINS = harness.build_dir() / "tests" / "standins"


def plan(tmp, text, *args, code=0):
    path = tmp / "test.ini"
    path.write_text(text)
    env = dict(os.environ, PROFCORE_PLUGIN_PATH=str(STANDINS))
    return harness.profcore("plan", "-c", path, *args, env=env).expect(code)


def stages(tmp, text):
    return {stage["name"]: stage for stage in plan(tmp, text, "--json").json()["stages"]}


def sources(stage, port):
    for entry in stage["inputs"]:
        if entry["port"] == port:
            return sorted(f"{source['stage']}.{source['port']}" for source in entry["from"])
    return None


SIX = """
[target]
command = true

[plugin:perf-cpu]
[plugin:memory]
[plugin:strace]
[plugin:load-test]
url = http://127.0.0.1:1/
[plugin:flamegraph]
[plugin:analyze]
"""


def test_six_plugins_without_an_input_line_plan(tmp):
    found = stages(tmp, SIX)
    pictures = [name for name in found if name.startswith("flamegraph")]
    paths = {found[name]["outputs"][0]["path"] for name in pictures}
    assert len(paths) == len(pictures), paths
    assert paths >= {"flamegraph.cpu.svg", "flamegraph.faults.svg", "flamegraph.off-cpu.svg"}, paths
    assert set(sources(found["analyze"], "stacks")) >= {"memory.faults", "perf-cpu.stacks", "strace.stacks"}
    assert sources(found["analyze"], "requests") == ["load-test.requests"]


def test_perturbing_collector_beside_cpu_is_warned_of(tmp):
    harness.check_in("slows the target down", plan(tmp, SIX + "[plugin:perturber]\n").err)
    assert "slows the target down" not in plan(tmp, SIX).err


def test_one_picture_keeps_the_plain_name(tmp):
    found = stages(tmp, "[target]\npid = 1\n[plugin:perf-cpu]\n[plugin:flamegraph]\n")
    assert sorted(found) == ["flamegraph", "perf-cpu"], found


def test_input_narrows_what_is_joined(tmp):
    found = stages(tmp, SIX.replace("[plugin:flamegraph]", "[plugin:flamegraph]\ninput.stacks = memory.faults"))
    assert sources(found["flamegraph"], "stacks") == ["memory.faults"]


def test_missing_producer_names_the_plugins_that_could(tmp):
    err = plan(tmp, "[plugin:flamegraph]\n", code=2).err
    harness.check_in("test.ini:1: error: ", err)
    harness.check_in("needs profcore.stacks/1, and no stage makes it", err)
    harness.check_in("perf-cpu", err)


def test_wrong_type_names_what_fits(tmp):
    text = SIX.replace("[plugin:flamegraph]", "[plugin:flamegraph]\ninput.stacks = load-test.requests")
    err = plan(tmp, text, code=2).err
    harness.check_in("input.stacks = load-test.requests is of type profcore.requests/1", err)
    harness.check_in("perf-cpu.stacks", err)


def test_unknown_source_names_what_there_is(tmp):
    text = SIX.replace("[plugin:flamegraph]", "[plugin:flamegraph]\ninput.stacks = perf-cup.stacks")
    harness.check_in("no such output; of type profcore.stacks/1 here: ", plan(tmp, text, code=2).err)


def test_unknown_input_suggests(tmp):
    text = SIX.replace("[plugin:flamegraph]", "[plugin:flamegraph]\ninput.stack = perf-cpu.stacks")
    harness.check_in('did you mean "stacks"?', plan(tmp, text, code=2).err)


def test_ambiguity_names_the_candidates(tmp):
    err = plan(tmp, SIX + "[plugin:smoother]\n", code=2).err
    harness.check_in("takes one profcore.stacks/1, and there are several", err)
    for name in ("perf-cpu.stacks", "memory.faults", "strace.stacks"):
        harness.check_in(name, err)


def test_cycle_names_its_stages(tmp):
    text = ("[target]\npid = 1\n[plugin:a]\nuse = smoother\ninput.stacks = b.stacks\n"
            "[plugin:b]\nuse = smoother\ninput.stacks = a.stacks\n")
    err = plan(tmp, text, code=2).err
    harness.check_in("wait for each other", err)
    harness.check_in("takes from", err)


def test_collector_without_target_is_refused(tmp):
    harness.check_in("[target] names none", plan(tmp, "[plugin:perf-cpu]\n", code=2).err)


def test_driver_alone_needs_no_target(tmp):
    plan(tmp, "[plugin:load-test]\nurl = http://127.0.0.1:1/\n")


def test_disabled_stage_is_left_out(tmp):
    text = SIX.replace("[plugin:memory]", "[plugin:memory]\nenabled = no")
    assert "memory" not in stages(tmp, text)


def test_all_errors_come_at_once(tmp):
    text = "[target]\npid = 1\n[plugin:perf-cup]\n[plugin:perf-cpu]\nfrequncy = 9\non_failure = maybe\n"
    err = plan(tmp, text, code=2).err
    for part in ("test.ini:3: error: ", "test.ini:5: error: ", "test.ini:6: error: ", "frequency", "perf-cpu"):
        harness.check_in(part, err)


def test_no_stage_is_an_error(tmp):
    harness.check_in("no stage", plan(tmp, "[run]\nduration = 1s\n", code=2).err)


def test_dot_is_a_graph(tmp):
    out = plan(tmp, SIX, "--dot").out
    assert out.startswith("digraph plan {") and out.rstrip().endswith("}"), out
    harness.check_in('"perf-cpu" -> "analyze"', out)


def test_two_hundred_stages_plan(tmp):
    text = "[target]\npid = 1\n" + "".join(f"[plugin:s{i}]\nuse = null\n" for i in range(200))
    start = time.monotonic()
    assert len(stages(tmp, text)) == 200
    assert time.monotonic() - start < 10


if __name__ == "__main__":
    harness.main(__name__)

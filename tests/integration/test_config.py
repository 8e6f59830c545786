# SPDX-License-Identifier: MIT
"""`check` and `plugin` as people meet them: all faults at once with their places, origins of values, whom plugins may come from."""

import os
import shutil
import subprocess

import harness

PLUGINS = harness.build_dir() / "plugins"


def check(tmp, text, *args, code=0, env=None):
    (tmp / "x.ini").write_text(text)
    return harness.profcore("check", "-c", "x.ini", *args, cwd=tmp, env=env).expect(code)


GOOD = """\
[run]
include = base.ini
duration = 3s

[target]
pid = 1

[plugin:perf-cpu]
frequency = 99
"""


def test_a_good_config(tmp):
    (tmp / "base.ini").write_text("[run]\nduration = 1s\nlead = 1ms\n")
    result = check(tmp, GOOD)
    assert result.out == "x.ini: no errors\n", result.describe()
    assert result.err == "", result.describe()


def test_every_fault_at_once_in_order(tmp):
    result = check(tmp, "[run]\nduraton = 5s\n[target]\npid = 1\nready_timeout = soon\n[plugin:perf-cpu]\nfrequency = 0\n"
                   "call_graph = dwarff\n[plugin:flamegraf]\n[plugn:report]\n", "--set", "perf-cpu.kernel=maybe",
                   "--set", "nothing.x=1", code=2, env={"PROFCORE__RUN__LEED": "1ms"})
    assert result.out == "", result.describe()
    lines = result.err.splitlines()
    expected = [
        ("--set: error: ", "kernel = maybe"),
        ("--set: error: ", "there is no stage \"nothing\""),
        ("environment: error: PROFCORE__RUN__LEED", "did you mean \"lead\"?"),
        ("x.ini:2: error: ", "did you mean \"duration\"?"),
        ("x.ini:5: error: ", "soon: is no duration"),
        ("x.ini:7: error: ", "below the minimum 1 Hz"),
        ("x.ini:8: error: ", "dwarff: is none of"),
        ("x.ini:9: error: ", "did you mean \"flamegraph\"?"),
        ("x.ini:10: error: ", "did you mean [plugin:report]?"),
    ]
    for start, part in expected:
        assert any(line.startswith(start) and part in line for line in lines), f"{start}...{part}: {result.describe()}"
    in_file = [int(line.split(":")[1]) for line in lines if line.startswith("x.ini:")]
    assert in_file == sorted(in_file), in_file
    assert "flamegraph.stacks" not in result.err, result.describe()


def test_explain_shows_origins(tmp):
    (tmp / "base.ini").write_text("[run]\nduration = 1s\nlead = 1ms\n")
    out = check(tmp, GOOD, "--explain", "--set", "run.duration=5s", env={"PROFCORE__PERF_CPU__FREQUENCY": "100"}).out
    harness.check_in("duration       = 5s ; --set, over 3s (x.ini:3), over 1s (base.ini:2), over 10s (default)\n", out)
    harness.check_in("frequency      = 100 ; environment, over 99 (x.ini:9), over 997 (default)\n", out)
    harness.check_in("lead           = 1ms ; base.ini:3, over 20ms (default)\n", out)
    harness.check_in("output         = profiling ; default\n", out)
    # What is printed is a config itself, and says the same.
    (tmp / "again.ini").write_text(out)
    harness.profcore("check", "-c", "again.ini", cwd=tmp).ok()


def test_explain_as_json(tmp):
    (tmp / "base.ini").write_text("[run]\nduration = 1s\n")
    answer = check(tmp, GOOD, "--explain", "--json").json()
    assert answer["valid"] and answer["errors"] == 0 and answer["remarks"] == [], answer
    run = next(section for section in answer["sections"] if section["kind"] == "run")
    duration = next(value for value in run["values"] if value["key"] == "duration")
    assert duration == {"key": "duration", "value": "3s", "file": "x.ini", "line": 3,
                        "overridden": [{"value": "1s", "file": "base.ini", "line": 2}]}, duration
    answer = check(tmp, "[runn]\n", "--json", code=2).json()
    assert not answer["valid"] and answer["remarks"][0]["line"] == 1, answer


def test_hostile_files_are_refused_quickly(tmp):
    (tmp / "large.ini").write_bytes(b"[run]\n" * (10 << 20 >> 2))
    (tmp / "zero.ini").write_bytes(b"[run]\nname = a\0b\n")
    (tmp / "noise.ini").write_bytes(os.urandom(100000))
    for name, part in [("large.ini", "larger than 1 MiB"), ("zero.ini", "zero.ini:2: error: NUL byte in column 9"),
                       ("noise.ini", "noise.ini:1: error: "), (".", "is a folder"), ("none.ini", "No such file")]:
        result = harness.profcore("check", "-c", name, cwd=tmp, timeout=10).expect(2)
        harness.check_in(part, result.err)


def test_terminal_escapes_do_not_pass(tmp):
    (tmp / "x.ini").write_text("[run]\n[\u009b31mred]\n")
    assert "\u009b" not in harness.profcore("check", "-c", "x.ini", cwd=tmp).expect(2).err


def test_colour_never_without_a_terminal(tmp):
    assert "\033" not in check(tmp, "[runn]\n", code=2).err


def test_usage_errors(tmp):
    for words in (["check"], ["check", "-c"], ["check", "-c", "x", "y"], ["check", "--nope"], ["plugin"], ["plugin", "lst"],
                  ["plugin", "inspect"], ["plugin", "list", "--json=1"]):
        result = harness.profcore(*words).expect(2)
        assert result.out == "" and result.err != "", result.describe()


def test_plugin_list_and_inspect():
    answer = harness.profcore_json("plugin", "list", "--json")
    ids = [plugin["id"] for plugin in answer["plugins"]]
    assert ids == sorted(ids) and "perf-cpu" in ids and answer["rejected"] == [], answer
    text = harness.profcore("plugin", "list").ok().out.splitlines()
    assert [line.split()[0] for line in text] == ["ID"] + ids, text
    for plugin in ids:
        one = harness.profcore_json("plugin", "inspect", plugin, "--json")
        assert one["id"] == plugin and {"inputs", "outputs", "options", "metrics", "privileges"} <= set(one), one
        harness.profcore("plugin", "inspect", one["path"]).ok()
    option = next(o for o in harness.profcore_json("plugin", "inspect", "perf-cpu", "--json")["options"]
                  if o["name"] == "frequency")
    assert option["type"] == "int" and option["unit"] == "Hz" and option["min"] >= 1 and option["help"], option


def test_bad_plugins_get_one_line_each(tmp):
    good = (PLUGINS / "null.so").read_bytes()
    (tmp / "text.so").write_text("no plugin")
    (tmp / "cut.so").write_bytes(good[:len(good) // 2])
    (tmp / "machine.so").write_bytes(good[:18] + b"\x08\x00" + good[20:])
    (tmp / "none.so").write_bytes(good.replace(b".profcore", b".profcorx"))
    (tmp / "entry.so").write_bytes(good.replace(b"pfc_plugin_v1", b"pfc_plugin_v9"))
    shutil.copy("/bin/true", tmp / "program.so")
    result = harness.profcore("plugin", "list", env={"PROFCORE_PLUGIN_PATH": tmp}).ok()
    for name, part in [("text", "no ELF file"), ("cut", "truncated"), ("machine", "built for MIPS"),
                       ("none", "no section .profcore"), ("entry", "pfc_plugin_v1"), ("program", "no section .profcore")]:
        lines = [line for line in result.err.splitlines() if f"{name}.so" in line]
        assert len(lines) == 1 and part in lines[0], f"{name}: {lines}"
        use = harness.profcore("plugin", "inspect", tmp / f"{name}.so").expect(2)
        assert len(use.err.splitlines()) == 1 and part in use.err, use.describe()


def test_plugins_that_others_can_change_are_refused(tmp):
    harness.need("root")
    tmp.chmod(0o755)
    shutil.copy(PLUGINS / "null.so", tmp / "null.so")
    path = tmp / "null.so"
    path.chmod(0o644)
    harness.profcore("plugin", "inspect", path).ok()
    path.chmod(0o666)
    harness.check_in(f"chmod go-w {path}", harness.profcore("plugin", "inspect", path).expect(4).err)
    path.chmod(0o644)
    os.chown(path, 4711, 4711)
    harness.check_in(f"chown root {path}", harness.profcore("plugin", "inspect", path).expect(4).err)
    os.chown(path, 0, 0)
    tmp.chmod(0o777)
    harness.check_in("everybody may write", harness.profcore("plugin", "list", env={"PROFCORE_PLUGIN_PATH": tmp}).ok().err)


def test_file_capabilities_distrust_the_environment(tmp):
    harness.need("root")
    harness.need_tool("setcap")
    harness.need_tool("setpriv")
    tmp.chmod(0o755)
    for folder in ("core", "plugins"):
        (tmp / folder).mkdir(mode=0o755)
    shutil.copy(harness.profcore_path(), tmp / "core" / "profcore")
    shutil.copy(PLUGINS / "null.so", tmp / "plugins" / "null.so")
    (tmp / "plugins" / "null.so").chmod(0o644)
    (tmp / "core" / "profcore").chmod(0o755)
    (tmp / "x.ini").write_text("[target]\npid = 1\n[plugin:null]\n")
    (tmp / "x.ini").chmod(0o644)
    if subprocess.run(["setcap", "cap_sys_ptrace+ep", tmp / "core" / "profcore"], check=False).returncode != 0:
        harness.skip("filecaps", "this file system keeps no capabilities")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", tmp / "core" / "profcore"]
    env = {"PROFCORE_PLUGIN_PATH": "/nowhere", "PROFCORE__NOTHING__X": "1"}
    result = harness.run([*nobody, "check", "-c", tmp / "x.ini"], env=env).ok()
    harness.check_in("ignoring PROFCORE__ variables", result.err)
    harness.check_in("ignoring PROFCORE_PLUGIN_PATH", result.err)
    result = harness.run([*nobody, "plugin", "inspect", tmp / "plugins" / "null.so"], env=env).expect(4)
    harness.check_in("refused: this program runs with file capabilities", result.err)
    harness.run([*nobody, "plugin", "inspect", "null"]).ok()
    os.chown(tmp / "plugins" / "null.so", 65534, 65534)
    result = harness.run([*nobody, "plugin", "inspect", "null"]).expect(2)
    harness.check_in("it belongs to user 65534", result.err)


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The test runner and the front door themselves: is everything counted, and does a failure end as one?"""

import textwrap

import harness
from harness import check_in, run

PROJECT = """
project('tiny', meson_version: '>=1.0.0')
sh = find_program('sh')
foreach name, script : {{{tests}}}
  test(name, sh, args: ['-c', script])
endforeach
foreach name, script : {{{tap}}}
  test(name, sh, args: ['-c', script], protocol: 'tap')
endforeach
"""


def run_suite(tmp, tests=None, tap=None, require=None, args=()):
    """Run tests/run.py over a project of such tests; scripts by name."""

    def meson_dict(scripts):
        return ", ".join(f"'{name}': '''{script}'''" for name, script in (scripts or {}).items())

    (tmp / "meson.build").write_text(PROJECT.format(tests=meson_dict(tests), tap=meson_dict(tap)))
    run(["meson", "setup", tmp / "b", tmp]).ok()
    return run([harness.source_dir() / "tests" / "run.py", "--build", tmp / "b", *args], env={"PROFCORE_TEST_REQUIRE": require})


def last_line(result):
    return result.out.splitlines()[-1]


def test_passes_are_counted(tmp):
    result = run_suite(tmp, {"one": "true", "two": "true"}, {"three": "echo 1..2; echo ok 1 - a; echo ok 2 - b"}).ok()
    assert last_line(result) == "4 passed, 0 failed, 0 skipped"


def test_failures_are_shown(tmp):
    result = run_suite(tmp, {"one": "echo the reason; exit 3"}, {"two": "echo 1..1; echo not ok 1 - a; echo \"# why so\""})
    result.expect(1)
    assert last_line(result) == "0 passed, 2 failed, 0 skipped"
    check_in("the reason", result.out)
    check_in("# why so", result.out)


def test_skips_are_not_passes(tmp):
    scripts = {"one": "echo \"SKIP(docker): no engine\"; exit 77"}
    tap = {"two": "echo 1..2; echo \"ok 1 - a # SKIP SKIP(bpf): no BTF\"; echo ok 2 - b"}
    result = run_suite(tmp, scripts, tap).ok()
    assert last_line(result) == "1 passed, 0 failed, 2 skipped"
    check_in("SKIP(docker): no engine", result.out)
    check_in("SKIP(bpf): no BTF", result.out)


def test_required_skips_fail(tmp):
    scripts = {"one": "echo \"SKIP(docker): no engine\"; exit 77"}
    tap = {"two": "echo 1..1; echo \"ok 1 - a # SKIP SKIP(bpf): no BTF\""}
    result = run_suite(tmp, scripts, tap, require="bpf,docker").expect(1)
    assert last_line(result) == "0 passed, 2 failed, 0 skipped"


def test_broken_tap_fails(tmp):
    tap = {
        "plan-not-kept": "echo 1..3; echo ok 1 - a",
        "crash-after-all": "echo 1..1; echo ok 1 - a; kill -SEGV $$",
        "nothing": "true",
    }
    result = run_suite(tmp, {}, tap).expect(1)
    assert last_line(result) == "2 passed, 3 failed, 0 skipped"


def test_a_few_failures_are_tried_again(tmp):
    """What fails twice has failed; what fails once is named."""
    once = f"if [ -e {tmp}/seen ]; then true; else touch {tmp}/seen; echo what happened; false; fi"
    (tmp / "a").mkdir()
    result = run_suite(tmp / "a", {"once": once, "good": "true"}, args=["--again"]).ok()
    assert last_line(result) == "2 passed, 0 failed, 0 skipped"
    check_in("failed at first, passed alone: once", result.out)
    check_in("what happened", result.out)
    (tmp / "b").mkdir()
    result = run_suite(tmp / "b", {"good": "true"}, {"bad": "echo 1..1; echo not ok 1 - a"}, args=["--again"]).expect(1)
    assert last_line(result) == "1 passed, 1 failed, 0 skipped"
    (tmp / "c").mkdir()
    result = run_suite(tmp / "c", {f"bad{i}": "false" for i in range(6)}, args=["--again"]).expect(1)
    assert last_line(result) == "0 passed, 6 failed, 0 skipped" and "once more" not in result.out


def test_no_test_is_a_failure(tmp):
    result = run_suite(tmp).expect(1)
    assert last_line(result) == "0 passed, 1 failed, 0 skipped"


def test_harness_reports(tmp):
    """The harness on a file of each kind of case."""
    script = tmp / "test_kinds.py"
    script.write_text(textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(harness.source_dir() / "tests" / "integration")!r})
        import harness
        def test_pass(tmp): assert tmp.is_dir()
        def test_fail(): harness.check_near(1, 2, 0.5, "weight")
        def test_skip(): harness.skip("bpf", "not here")
        def test_hang(): time.sleep(60)
        test_hang.timeout = 1
        harness.main(__name__)
    """))
    result = run(["python3", script], env={"PROFCORE_TEST_REQUIRE": None}).expect(1)
    lines = [line for line in result.out.splitlines() if not line.startswith("#")]
    assert lines == ["1..4", "ok 1 - test_pass", "not ok 2 - test_fail", "ok 3 - test_skip # SKIP SKIP(bpf): not here",
                     "not ok 4 - test_hang"], lines
    check_in("weight: 1, expected 2 within 0.5", result.out)
    required = run(["python3", script, "skip"], env={"PROFCORE_TEST_REQUIRE": "root,bpf"}).expect(1)
    check_in("not ok 1 - test_skip", required.out)


def test_front_door_help():
    door = harness.source_dir() / "profile.sh"
    text = run([door, "help"]).ok().out
    for word in ("demo", "test", "setup", "flamegraph", "cpu-profile", "perf", "memory-profile", "strace", "load-test",
                 "analyze", "clean"):
        check_in(f"  {word} ", text)
    result = run([door, "flamegrap"]).expect(2)
    check_in("no such word: flamegrap", result.err)
    assert result.out == "", "data on stdout, talk on stderr"


if __name__ == "__main__":
    harness.main(__name__)

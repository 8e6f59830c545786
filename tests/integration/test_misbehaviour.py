#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A plugin that misbehaves loses its own stage and nothing else.

Each fixture of tests/plugins/ runs beside a good collector (null). Whatever it does: the run ends within its deadlines, the
good stage's artifact is complete, manifest.json is valid, the exit code is 1, and the console and the manifest name the
stage, the callback and what happened. No process is left behind.
"""

import json
import os
import pathlib
import re
import time

import harness

WINDOW_S = 0.6
DEADLINE_S = 1.5
# Deadline, SIGTERM's grace, SIGKILL; a probe and a window; a slow machine.
LIMIT_S = 25

CONFIG = """\
[run]
name     = misbehaviour
duration = 600ms
deadline = 1500ms
output   = {out}

[target]
command = sleep 60

[plugin:good]
use      = null
interval = 20ms

[plugin:bad]
use = {plugin}
{more}
"""

CRASH = r"SIGSEGV|[Ss]egmentation|signal 11"
ABORT = r"SIGABRT|[Aa]bort|signal 6"
HANG = r"deadline|in time|did not|no answer|timed out"
EXIT = r"exit"


def plugin(behaviour):
    path = harness.build_dir() / "tests" / "plugins" / f"{behaviour}.so"
    assert path.exists(), f"{path} was not built"
    return path


def leftovers(tmp):
    """Processes that carry this test's folder in their command line or have it as an open file."""
    left = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            fds = [os.readlink(fd) for fd in (entry / "fd").iterdir()]
            cmdline = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(tmp) in cmdline or any(fd.startswith(str(tmp)) for fd in fds):
            left.append(f"{entry.name}: {cmdline}")
    return left


class Outcome:
    """One run with a bad stage: its result, manifest and the two stages in it."""

    def __init__(self, tmp, behaviour, more=""):
        tmp.mkdir(exist_ok=True)
        config = tmp / "run.ini"
        config.write_text(CONFIG.format(out=tmp / "out", plugin=plugin(behaviour), more=more))
        began = time.monotonic()
        self.result = harness.run([harness.profcore_path(), "-c", config, "--json"], timeout=LIMIT_S * 2)
        self.seconds = time.monotonic() - began
        self.behaviour = behaviour
        runs = [path for path in (tmp / "out").iterdir() if path.is_dir() and not path.is_symlink()]
        assert len(runs) == 1, f"{behaviour}: runs {runs}: {self.result.describe()}"
        self.folder = runs[0]
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        self.stages = {stage["name"]: stage for stage in self.manifest["stages"]}
        self.bad = self.stages["bad"]
        self.good = self.stages["good"]
        left = leftovers(tmp)
        assert not left, f"{behaviour}: left behind: {left}"

    def error(self):
        error = self.bad.get("error", {})
        return " ".join(str(error.get(key, "")) for key in ("phase", "status", "what", "why", "hint"))

    def describe(self):
        return f"{self.behaviour}: bad stage {json.dumps(self.bad)[:1500]}\n{self.result.describe()}"

    def check_ended(self):
        assert self.seconds < LIMIT_S, f"{self.behaviour}: took {self.seconds:.1f} s"
        shown = self.result.json()
        assert shown["exit_code"] == self.result.code, self.describe()
        return self

    def check_good_is_whole(self):
        artifact = self.good["artifacts"][0]
        assert self.good["state"] == "complete", self.describe()
        assert artifact["state"] == "complete", self.describe()
        assert artifact["rows"] >= 5, self.describe()
        data = (self.folder / artifact["path"]).read_bytes()
        assert len(data) > 64, self.describe()
        return self

    def check_bad_is_named(self, pattern, phase=None):
        assert self.result.code == 1, f"exit code {self.result.code}: {self.describe()}"
        assert self.bad["state"] == "failed", self.describe()
        assert re.search(pattern, self.error()), f"/{pattern}/ not in the error: {self.describe()}"
        assert "bad" in self.result.err, f"the console does not name the stage: {self.describe()}"
        assert re.search(pattern, self.result.err), f"/{pattern}/ not on the console: {self.describe()}"
        if phase:
            assert self.bad["error"]["phase"] == phase, f"phase is not {phase}: {self.describe()}"
        return self


def outcomes(tmp, behaviours, check):
    """Run all, report all that went wrong and not only the first."""
    wrong = []
    for behaviour in behaviours:
        try:
            check(behaviour, Outcome(tmp / behaviour, behaviour).check_ended())
        except (AssertionError, KeyError, ValueError, OSError) as error:
            wrong.append(f"{behaviour}: {type(error).__name__}: {error}")
    assert not wrong, f"{len(wrong)} of {len(behaviours)}:\n" + "\n".join(wrong)


def phase_of(behaviour):
    """In which phase a behaviour "<act>-<callback>" shows: loading is part of create."""
    callback = behaviour.split("-", 1)[1]
    return {"load": "create", "entry": "create", "thread": "run", "overflow": "run", "destroy": "quit",
            "sigterm": "run"}.get(callback, callback)


def test_crash_before_the_window(tmp):
    def check(behaviour, outcome):
        outcome.check_bad_is_named(CRASH, phase_of(behaviour)).check_good_is_whole()

    outcomes(tmp, [f"crash-{at}" for at in ("load", "entry", "create", "probe", "prepare")], check)


def test_crash_in_and_after_the_window(tmp):
    def check(behaviour, outcome):
        outcome.check_bad_is_named(CRASH, phase_of(behaviour)).check_good_is_whole()

    outcomes(tmp, ["crash-start", "crash-run", "crash-stop", "crash-finish", "crash-thread", "crash-overflow"], check)


def test_failure_in_destroy_keeps_the_data(tmp):
    """Everything was written by then: the failure is told, the rows are there."""

    def check(behaviour, outcome):
        outcome.check_bad_is_named(CRASH if behaviour.startswith("crash") else HANG, "quit").check_good_is_whole()
        assert outcome.bad["artifacts"][0]["rows"] > 0, outcome.describe()
        assert outcome.bad["artifacts"][0]["state"] in ("complete", "partial"), outcome.describe()

    outcomes(tmp, ["crash-destroy", "hang-destroy"], check)


def test_hang_before_the_window(tmp):
    def check(behaviour, outcome):
        outcome.check_bad_is_named(HANG, phase_of(behaviour)).check_good_is_whole()

    outcomes(tmp, [f"hang-{at}" for at in ("load", "entry", "create", "probe", "prepare")], check)


test_hang_before_the_window.timeout = 300


def test_hang_in_and_after_the_window(tmp):
    def check(behaviour, outcome):
        outcome.check_bad_is_named(HANG, phase_of(behaviour)).check_good_is_whole()

    outcomes(tmp, ["hang-start", "hang-run", "hang-stop", "hang-finish", "spin-run", "ignore-sigterm"], check)


test_hang_in_and_after_the_window.timeout = 300


def test_exit_and_abort(tmp):
    def check(behaviour, outcome):
        pattern = ABORT if behaviour.startswith("abort") else EXIT
        outcome.check_bad_is_named(pattern, phase_of(behaviour)).check_good_is_whole()

    outcomes(tmp, ["exit-create", "exit-run", "exit-finish", "abort-run"], check)


def test_wrong_contract(tmp):
    patterns = {
        "wrong-size": r"struct_size|bytes",
        "huge-size": r"struct_size|bytes",
        "return-null": r"NULL",
        "ask-unknown-port": r"no-such-port|PFC_ENOENT",
        "fail-silently": r"no reason.*PFC_EIO",
        "fail-oddly": r"-12345",
        "fail-hostile": r"what",
    }

    def check(behaviour, outcome):
        outcome.check_bad_is_named(patterns[behaviour]).check_good_is_whole()
        assert "\x1b]0;" not in outcome.result.err, f"control characters reach the terminal: {outcome.describe()}"

    outcomes(tmp, list(patterns), check)


def test_missing_entry_is_refused_before_the_run(tmp):
    """What can be seen in the file is said at once, with its place in the config, and nothing starts."""
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(out=tmp / "out", plugin=plugin("missing-symbol"), more=""))
    result = harness.run([harness.profcore_path(), "-c", config]).expect(2)
    assert re.search(r"run\.ini:\d+: error: .*pfc_plugin_v1", result.err), result.describe()
    assert not (tmp / "out").exists()


def test_wrote_nothing_is_not_success(tmp):
    """A collector that declares an output and never writes a row must not end in exit code 0."""
    for behaviour in ("lie-output", "no-callbacks"):
        outcome = Outcome(tmp / behaviour, behaviour).check_ended().check_good_is_whole()
        assert outcome.result.code in (1, 5), outcome.describe()
        assert "bad" in outcome.result.err, outcome.describe()


def test_lie_about_id(tmp):
    """Its manifest says that it is null: by path it is what it says, and runs; nothing of the real null is touched."""
    outcome = Outcome(tmp / "run", "lie-id").check_ended().check_good_is_whole()
    assert outcome.bad["plugin"] == "null", outcome.describe()
    assert outcome.good["artifacts"][0]["type"] == "null.ticks/1", outcome.describe()
    assert outcome.bad["artifacts"][0]["type"] == "misbehave.rows/1", outcome.describe()


def test_rude_but_harmless(tmp):
    """They do things that they should not, and the run is none the worse."""

    def check(behaviour, outcome):
        outcome.check_good_is_whole()
        assert outcome.result.code in (0, 1), outcome.describe()
        if outcome.result.code == 0:
            assert outcome.bad["state"] == "complete" and outcome.bad["artifacts"][0]["rows"] > 0, outcome.describe()

    outcomes(tmp, ["print-stdout", "leak-memory", "leave-child", "return-positive"], check)


def test_stdout_is_data(tmp):
    """What a plugin prints does not reach profcore's stdout: one JSON object, and it is the run's."""
    outcome = Outcome(tmp / "run", "print-stdout").check_ended()
    assert outcome.result.out.count('"exit_code"') == 1, outcome.result.out[:500]
    assert "stages" in outcome.result.json()


def test_closed_descriptors(tmp):
    outcome = Outcome(tmp / "run", "close-descriptors").check_ended().check_good_is_whole()
    assert outcome.result.code == 1, outcome.describe()
    assert outcome.bad["state"] == "failed", outcome.describe()


def test_flood_of_log_lines(tmp):
    outcome = Outcome(tmp / "run", "flood-log").check_ended().check_good_is_whole()
    assert len(outcome.result.err) < 2_000_000, "the console drowned"
    size = sum(path.stat().st_size for path in (outcome.folder / "logs").rglob("*") if path.is_file())
    assert size < 4 << 20, f"logs/ holds {size} bytes"


def test_garbage_rows_hurt_no_reader(tmp):
    """Rubbish under the names of profcore.stacks/1: those who read it say so or cope; none crashes or hangs."""
    readers = [name for name in ("flamegraph", "report", "analyze") if (harness.build_dir() / "plugins" / f"{name}.so").exists()]
    if not readers:
        harness.skip("build", "no plugin that reads stacks was built")
    more = "\n".join(f"[plugin:{name}]" for name in readers)
    for behaviour in ("garbage-ids", "garbage-schema"):
        outcome = Outcome(tmp / behaviour, behaviour, more).check_ended().check_good_is_whole()
        for name, stage in outcome.stages.items():
            if stage["plugin"] in readers:
                error = json.dumps(stage.get("error", {}))
                assert not re.search(CRASH + "|" + ABORT + "|" + "deadline", error), f"{name}: {error}"


def transform(tmp, behaviour):
    return Outcome(tmp / behaviour, behaviour).check_ended().check_good_is_whole()


def test_bad_transforms(tmp):
    patterns = {"crash-process": CRASH, "hang-process": HANG, "spin-process": HANG, "exit-process": EXIT,
                "abort-process": ABORT}
    wrong = []
    for behaviour, pattern in patterns.items():
        try:
            transform(tmp, behaviour).check_bad_is_named(pattern, "process")
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


def test_document_never_written(tmp):
    outcome = transform(tmp, "lie-document")
    assert outcome.result.code in (1, 5), outcome.describe()
    assert "bad" in outcome.result.err, outcome.describe()


def test_stage_without_privileges_reads_nothing_else(tmp):
    outcome = transform(tmp, "open-files")
    assert outcome.result.code == 0 and outcome.bad["state"] == "complete", outcome.describe()
    text = (outcome.folder / outcome.bad["artifacts"][0]["path"]).read_text()
    assert text == "denied\n", text


def test_abort_on_failure_ends_the_run(tmp):
    """on_failure = abort: the run ends at once, still with a valid manifest."""
    outcome = Outcome(tmp / "run", "crash-run", "on_failure = abort\n").check_ended()
    outcome.check_bad_is_named(CRASH)


if __name__ == "__main__":
    harness.main(__name__)

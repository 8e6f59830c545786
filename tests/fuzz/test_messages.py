#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stage that writes packets of its own into the control socket: the core survives, ends in time, and tells.

hostile.c is the stage; a good one (null) runs beside it and must lose nothing.
"""

import json
import re
import time

import harness

CONFIG = """\
[run]
name     = hostile
duration = 400ms
deadline = 1500ms
output   = {out}

[target]
command = sleep 60

[plugin:good]
use      = null
interval = 20ms

[plugin:bad]
use  = {plugin}
act  = {act}
seed = {seed}
"""

LIMIT_S = 30


class Outcome:
    def __init__(self, tmp, act, seed=1, args=()):
        folder = tmp / f"{act}-{seed}"
        folder.mkdir()
        config = folder / "run.ini"
        plugin = harness.build_dir() / "tests" / "fuzz" / "hostile.so"
        config.write_text(CONFIG.format(out=folder / "out", plugin=plugin, act=act, seed=seed))
        began = time.monotonic()
        self.result = harness.run([harness.profcore_path(), "-c", config, "--json", *args], timeout=LIMIT_S)
        self.seconds = time.monotonic() - began
        self.folder = next(path for path in (folder / "out").iterdir() if path.is_dir() and not path.is_symlink())
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        self.object = self.result.json()
        self.stages = {stage["name"]: stage for stage in self.object["stages"]}
        self.log = (self.folder / "logs" / "run.log").read_text(errors="replace")

    def check(self, code):
        self.result.expect(code)
        assert self.manifest["phase"] == "sealed", self.manifest["phase"]
        assert self.manifest["exit_code"] == code, self.manifest["exit_code"]
        good = self.stages["good"]
        assert good["state"] == "complete", good
        assert good["artifacts"][0]["state"] == "complete" and good["artifacts"][0]["rows"] > 0, good
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", self.result.err), repr(self.result.err)
        return self


def test_what_is_no_message_ends_the_stage(tmp):
    for act in ("garbage", "non-object", "huge-number", "oversized", "empty"):
        outcome = Outcome(tmp, act).check(1)
        assert "control socket" in outcome.stages["bad"]["error"]["why"], outcome.stages["bad"]


def test_answer_to_quit_does_not_keep_the_run_waiting(tmp):
    Outcome(tmp, "quit").check(1)


def test_answer_after_sigterm_does_not_keep_the_run_waiting(tmp):
    outcome = Outcome(tmp, "late").check(1)
    assert outcome.stages["bad"]["error"]["phase"] == "finish", outcome.stages["bad"]


def test_stage_that_asks_and_does_not_listen_does_not_block_the_core(tmp):
    outcome = Outcome(tmp, "deaf").check(1)
    assert outcome.seconds < 12, outcome.seconds


def test_stage_that_answers_for_its_host_and_writes_nothing_is_no_success(tmp):
    outcome = Outcome(tmp, "lie-done").check(1)
    assert outcome.stages["bad"]["artifacts"][0]["state"] == "failed", outcome.stages["bad"]


def test_flood_of_log_lines_past_the_host_is_cut(tmp):
    outcome = Outcome(tmp, "log").check(0)
    assert outcome.log.count("past the host's own limit") < 15000, outcome.log.count("\n")


def test_flood_of_gates_is_no_pass(tmp):
    assert Outcome(tmp, "gates").result.code in (1, 99)


def test_odd_gates_are_kept_small_and_fail_nothing(tmp):
    outcome = Outcome(tmp, "gate-odd").check(0)
    assert len(outcome.object["gates"]) == 3
    assert all(1 <= gate["verdict"] <= 3 for gate in outcome.object["gates"]), outcome.object["gates"]
    assert (outcome.folder / "manifest.json").stat().st_size < 50000


def test_odd_and_many_environment_variables(tmp):
    Outcome(tmp, "env-odd").check(0)
    Outcome(tmp, "env").check(1)


def test_odd_status_is_a_plain_failure(tmp):
    outcome = Outcome(tmp, "odd-failure").check(1)
    assert outcome.stages["bad"]["error"]["status"] == "PFC_EPROTO", outcome.stages["bad"]


def test_a_stage_has_only_the_descriptors_that_it_needs(tmp):
    outcome = Outcome(tmp, "descriptors", args=["-v"]).check(0)
    fds = {int(number): to for number, to in re.findall(r"fd (\d+) -> (.*)", outcome.log)}
    assert sorted(fds) == list(range(len(fds))) and len(fds) <= 10, fds
    assert fds[0] == "/dev/null", fds
    assert fds[1].endswith("logs/bad.log") and fds[2] == fds[1], fds
    assert fds[3].startswith("socket:") and "profcore-spec" in fds[4], fds
    assert sum(to.endswith(".pcol") for to in fds.values()) == 1, fds


def test_random_packets(tmp):
    for seed in range(1, 9):
        outcome = Outcome(tmp, "random", seed)
        assert outcome.result.code in (0, 1, 99), outcome.result.describe()
        outcome.check(outcome.result.code)
    for seed in range(1, 5):
        Outcome(tmp, "random-damaged", seed).check(1)
    for seed in range(1, 5):
        outcome = Outcome(tmp, "random-probe", seed)
        assert outcome.result.code in (1, 3, 4), outcome.result.describe()


test_random_packets.timeout = 300

if __name__ == "__main__":
    harness.main(__name__)

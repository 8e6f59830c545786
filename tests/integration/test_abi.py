#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plugins of other ages run in today's program: one built from the kept copy of the headers, one from headers that grew."""

import json

import harness

CONFIG = """\
[run]
name     = abi
duration = 300ms
output   = {out}

[target]
command = sleep 30

[plugin:old]
use  = {folder}/abi-v1-draft.so
rows = 1000

[plugin:later]
use  = {folder}/abi-future.so
"""


def run(tmp):
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(out=tmp / "out", folder=harness.build_dir() / "tests" / "abi"))
    result = harness.profcore("-c", config, "--json").ok()
    folder = (tmp / "out" / "latest").resolve()
    manifest = json.loads((folder / "manifest.json").read_text())
    return result, folder, {stage["name"]: stage for stage in manifest["stages"]}


def check_stage(stage, rows):
    artifact = stage["artifacts"][0]
    assert stage["state"] == "complete", stage
    assert artifact["rows"] == rows, artifact
    # One bit for each callback that was called, in order: all seven.
    assert artifact["completeness"]["callbacks"] == 127, artifact
    assert artifact["completeness"]["stage"] == stage["name"], artifact
    assert artifact["losses"] == {"made_up": 3} and artifact["lost"] == 3, artifact


def test_old_and_later_plugins_run(tmp):
    result, _, stages = run(tmp)
    check_stage(stages["old"], 1000)
    check_stage(stages["later"], 10)
    assert result.json()["status"] == "complete", result.describe()


def test_their_rows_are_right(tmp):
    """Every column type, read by the independent reader."""
    _, folder, stages = run(tmp)
    for name, rows in (("old", 1000), ("later", 10)):
        path = folder / stages[name]["artifacts"][0]["path"]
        table = read_rows(path)
        assert len(table) == rows, f"{name}: {len(table)}"
        for i, row in enumerate(table):
            assert row.pop("time") > 0
            assert row == {"u8": i % 256, "u16": i * 3, "u32": i * 5, "i32": -i, "i64": -i * 7, "f64": i / 2,
                           "text": "row"}, f"{name} row {i}: {row}"


def read_rows(path):
    """Table `rows`, one dict a row, by docs/read_artifact.py."""
    result = harness.run(["python3", harness.source_dir() / "docs" / "read_artifact.py", path]).ok()
    return result.json()["tables"]["rows"]


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: MIT
"""kill -9 at random instants, and full disks: the run folder stays valid and the exit code tells the truth."""

import json
import os
import pathlib
import random
import signal
import subprocess
import time

import harness

CONFIG = """
[run]
name     = kill
duration = 400ms
output   = {output}
[target]
command = {workload} 30 60 40
[plugin:null]
interval = 1ms
[plugin:perf-cpu]
frequency = 2000
[plugin:flamegraph]
[plugin:report]

"""

STATES = {"planned", "writing", "complete", "partial", "failed"}


def config(tmp):
    path = tmp / "test.ini"
    path.write_text(CONFIG.format(output=tmp / "profiling", workload=harness.workload("split")))
    return path


def start(tmp, path):
    return subprocess.Popen([harness.profcore_path(), "-c", path, "--json"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp)


def children(pid):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def is_stage(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"profcore\0@stage")
    except OSError:
        return False


def check_folder(folder):
    """Every run folder has a manifest that parses, and every artifact it calls complete or partial reads back."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for stage in manifest["stages"]:
        for artifact in stage["artifacts"]:
            assert artifact["state"] in STATES, artifact
            path = folder / artifact["path"]
            if path.suffix == ".pcol" and artifact["state"] in ("complete", "partial"):
                reader = harness.source_dir() / "docs" / "read_artifact.py"
                harness.run(["python3", reader, "--verify", path]).ok()
    return manifest


def folders(tmp):
    return sorted((tmp / "profiling").glob("2*"))


def check_all_artifacts_read(folder):
    """Whatever was committed is readable, also in a run whose core was killed."""
    for path in (folder / "artifacts").glob("*.pcol"):
        if path.stat().st_size >= 64:
            result = harness.run(["python3", harness.source_dir() / "docs" / "read_artifact.py", "--verify", path])
            assert "Traceback" not in result.err, result.describe()


def test_killing_the_core_at_50_instants(tmp):
    path = config(tmp)
    dice = random.Random(int(os.environ.get("PROFCORE_TEST_SEED", "1")))
    for _ in range(50):
        process = start(tmp, path)
        time.sleep(dice.uniform(0.0, 0.9))
        stages = children(process.pid)
        process.kill()
        process.communicate()
        harness.wait_until(lambda pids=stages: not any(is_stage(pid) for pid in pids), 5, "the end of the stages")
    seen = 0
    for folder in folders(tmp):
        if not (folder / "manifest.json").exists():
            assert not list((folder / "artifacts").glob("*")), f"{folder} has artifacts and no manifest"
            continue
        check_folder(folder)
        check_all_artifacts_read(folder)
        seen += 1
    assert seen > 25, seen


test_killing_the_core_at_50_instants.timeout = 300


def test_killing_a_stage_at_50_instants(tmp):
    path = config(tmp)
    dice = random.Random(int(os.environ.get("PROFCORE_TEST_SEED", "2")))
    killed = 0
    for _ in range(50):
        process = start(tmp, path)
        time.sleep(dice.uniform(0.02, 0.7))
        stages = [pid for pid in children(process.pid) if is_stage(pid)]
        victim = dice.choice(stages) if stages else None
        if victim is not None:
            try:
                os.kill(victim, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                victim = None
        out, err = process.communicate(timeout=60)
        answer = json.loads(out)
        states = [stage["state"] for stage in answer["stages"]]
        if "failed" in states:
            assert process.returncode in (1, 5), (process.returncode, err)
            assert "SIGKILL" in err, err
        else:
            assert process.returncode == 0, (process.returncode, err)
        manifest = check_folder(pathlib.Path(tmp, answer["run"]))
        assert manifest["phase"] == "sealed"
    assert killed > 20, killed


test_killing_a_stage_at_50_instants.timeout = 300


def fill(disk, leave):
    """Fill a small file system up to `leave` bytes."""
    space = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        file.write(b"x" * (space.f_bavail * space.f_frsize - leave))


def test_full_disk_is_told_and_leaves_a_valid_partial_run(tmp):
    harness.need("root")
    disk = tmp / "profiling"
    path = config(tmp)
    for leave in (24, 40, 530, 548, 572):
        disk.mkdir()
        harness.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]).ok()
        try:
            fill(disk, leave * 1024)
            result = harness.profcore("-c", path, "--json", cwd=tmp, timeout=60)
            assert result.code == 1, f"{leave} KiB left: {result.describe()}"
            harness.check_in("No space left", result.err)
            for folder in folders(tmp):
                manifest = check_folder(folder)
                assert manifest["phase"] == "sealed" and manifest["status"] in ("partial", "failed"), manifest
                check_all_artifacts_read(folder)
        finally:
            harness.run(["umount", "-l", disk])
            disk.rmdir()


def test_output_folder_that_cannot_be_made_is_told(tmp):
    path = config(tmp)
    (tmp / "profiling").write_text("a file")
    result = harness.profcore("-c", path, cwd=tmp)
    assert result.code == 1, result.describe()
    harness.check_in("profiling", result.err)


if __name__ == "__main__":
    harness.main(__name__)

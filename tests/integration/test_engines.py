#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Engines of containers: hostile ones, none, one that remaps users, containerd, Podman."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time

import docker_env
import harness
from containers import BUSY, artifacts, config, profile, report, start, target_json
from harness import check_in, profcore


# ---- engines that are not as they should be ----


class FakeEngine:
    """A socket that answers every connection with these bytes, after so long."""

    def __init__(self, path, data, seconds=0.0):
        self.path, self.data, self.seconds = path, data, seconds
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(link,), daemon=True).start()

    def answer(self, link):
        try:
            if link.recv(4096):
                time.sleep(self.seconds)
                link.sendall(self.data)
        except OSError:
            pass
        link.close()

    def close(self):
        self.server.close()


def reply(body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def lie(pid, ident="0" * 64):
    return reply({"Id": ident, "Name": "/liar", "State": {"Status": "running", "Pid": pid}, "Config": {"Image": "x"}})


def test_hostile_engines(tmp):
    answers = {
        "garbage": b"\x00\xff" * 2000,
        "not json": reply(b"<html>"),
        "deep": reply(b"[" * 200000),
        "huge": reply(b'{"a": "' + b"x" * (6 << 20) + b'"}'),
        "wrong types": reply({"Id": 7, "Name": [], "State": "x", "Config": 3}),
        "nothing": b"",
        "endless header": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300000,
        "a pid of ours": lie(os.getpid()),
        "pid 1": lie(1),
        "negative pid": lie(-1),
        "huge pid": lie(1 << 40),
        "escapes": reply([{"Id": "a" * 64, "Names": ["/\x1b[31mred\x1b[0m\n"], "State": "running"}]),
    }
    for what, data in answers.items():
        path = tmp / "engine.sock"
        fake = FakeEngine(path, data)
        try:
            result = profile(tmp, {"container": "liar", "engine": path}, timeout=30).expect(3)
        finally:
            fake.close()
            path.unlink()
        assert "\x1b[31m" not in result.err, what
        assert result.seconds < 10, f"{what} took {result.seconds} s"


def test_engine_that_hangs_is_left(tmp):
    path = tmp / "engine.sock"
    fake = FakeEngine(path, reply({}), seconds=60)
    result = profile(tmp, {"container": "x", "engine": path}, timeout=30).expect(3)
    fake.close()
    assert result.seconds < 8, result.seconds
    check_in("imeout", result.err)


def test_no_engine_leaves_ids(tmp):
    engine = docker_env.engine()
    with engine.run(engine.base_image(), "sh", "-c", BUSY) as container:
        nowhere = {"DOCKER_HOST": f"unix://{tmp}/none.sock"}
        result = profile(tmp, {"container": container.id[:12]}, seconds=1, env=nowhere).ok()
        check_in("found by its id", result.err)
        assert target_json(tmp)["pid"] == container.pid
        result = profile(tmp, {"container": container.name}, env=nowhere).expect(3)
        check_in(container.id[:12], result.err)
        result = profile(tmp, {"container": container.name}, env={"DOCKER_HOST": "tcp://10.0.0.1:2375"})
        assert result.code in (3, 4), result.describe()
        check_in("only unix sockets", result.err)


def test_socket_without_rights(tmp):
    harness.need("root")
    harness.need_tool("setpriv")
    path = tmp / "locked.sock"
    fake = FakeEngine(path, reply({}))
    path.chmod(0o600)
    tmp.chmod(0o755)
    runs = tmp / "runs"
    runs.mkdir()
    runs.chmod(0o777)
    file = config(tmp, {"container": "x", "engine": path})
    file.chmod(0o644)
    result = harness.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", harness.profcore_path(),
                          "-c", file])
    fake.close()
    if "cannot execute" in result.err or result.code in (126, 127):
        harness.skip("root", "another user cannot reach the build folder")
    result.expect(4)
    check_in("docker", result.err)
    check_in("Permission denied", result.err)


# ---- an engine whose containers are in a user namespace ----


def test_user_namespace_remap(tmp):
    with docker_env.remapped_engine(tmp / "engine") as engine:
        image = engine.image_of("split", {"/split": harness.workload("split")})
        with engine.run(image, "/split", "60", options=["--network", "none"]) as container:
            root_outside = int(open(f"/proc/{container.pid}/uid_map").read().split()[1])
            assert root_outside != 0, "it is not remapped"
            every = "[plugin:memory]\n[plugin:strace]\ncalls = all"
            profile(tmp, {"container": container.name}, seconds=1, env=engine.env(), extra=every).ok()
            assert target_json(tmp)["container"]["id"] == container.id
            check_in("burn_", report(tmp))
            rows = artifacts(tmp)
            for what, table in ("memory.timeline", "samples"), ("strace.syscalls", "calls"):
                assert {row["pid"] for row in rows[what]["tables"][table]} == {container.pid}, what


# ---- containerd ----


class Containerd:
    """One of our own, whose folders lie below tmp."""

    CONFIG = """
version = 2
root = "{tmp}/root"
state = "{tmp}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{tmp}/state/containerd.sock"
"""

    def __init__(self, tmp):
        harness.need("root")
        self.ctr = harness.need_tool("ctr")
        self.socket = tmp / "state" / "containerd.sock"
        self.started = []
        (tmp / "state").mkdir()
        (tmp / "config.toml").write_text(self.CONFIG.format(tmp=tmp))
        with open(tmp / "containerd.log", "w") as log:
            self.process = subprocess.Popen([harness.need_tool("containerd"), "--config", str(tmp / "config.toml")], stdout=log,
                                            stderr=log)

    def __enter__(self):
        harness.wait_until(self.socket.exists, 20, "containerd's socket")
        return self

    def __exit__(self, *unused):
        for space, ident in self.started:
            self.do(space, "task", "rm", "-f", ident)
            self.do(space, "container", "rm", ident)
        self.process.terminate()
        self.process.wait(20)

    def do(self, space, *words):
        return harness.run([self.ctr, "-a", self.socket, "-n", space, *words])

    def run(self, space, ident, root, *words, annotations=()):
        notes = [word for note in annotations for word in ("--annotation", note)]
        made = self.do(space, "run", "-d", *notes, "--rootfs", root, ident, *words)
        if made.code != 0:
            harness.skip("containerd", f"it starts no container here: {made.err[-200:].strip()}")
        self.started.append((space, ident))


def root_with(program, folder):
    """A root file system of a program and its libraries."""
    for here in [str(program), *docker_env.libraries(program)]:
        inside = folder / (program.name if here == str(program) else here.lstrip("/"))
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here, inside)
    return folder


def test_containerd(tmp):
    """By the id that somebody gave, and by the name that a kubelet notes: without its gRPC."""
    program = harness.workload("split")
    root = root_with(program, tmp / "rootfs")
    kubelet = [f"io.kubernetes.cri.{key}" for key in ("container-name=app", "sandbox-name=web-0", "image-name=shop/web:3")]
    with Containerd(tmp) as engine:
        engine.run("shop", "web", root, "/split", "60")
        engine.run("k8s.io", "4f" * 32, root, "/split", "60", annotations=kubelet)
        engine.run("k8s.io", "5e" * 32, root, "/split", "60", annotations=["io.kubernetes.cri.container-type=sandbox"])
        for target, ident in (({"container": "web"}, "web"), ({"container": "app"}, "4f" * 32), ({"image": "shop/web"}, "4f" * 32)):
            profile(tmp, {**target, "engine": engine.socket}, seconds=1).ok()
            found = target_json(tmp)
            assert found["container"]["id"] == ident and found["cgroup"].endswith("/" + ident), found
            assert found["process_count"] == 1, found
            check_in("burn_", report(tmp))
        result = profile(tmp, {"container": "wbe", "engine": engine.socket}).expect(3)
        check_in("web web (containerd, namespace shop)", result.err)
        check_in("pod web-0", result.err)
        listed = profcore("targets", "--json", "--engine", engine.socket).ok().json()
        assert {entry["name"] for entry in listed["containers"] if entry["image"] == "shop/web:3"} == {"app"}, listed["containers"]


# ---- Podman ----


def podman(tmp, *words, timeout=60):
    harness.need("root")
    command = [harness.need_tool("podman"), "--root", tmp / "podman", "--runroot", tmp / "podman-run", "--cgroup-manager",
               "cgroupfs"]
    # crun refuses machines with both kinds of control groups.
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers") and shutil.which("runc"):
        command += ["--runtime", shutil.which("runc")]
    return harness.run([*command, *words], timeout=timeout)


def test_podman(tmp):
    docker_env.engine().base_image()
    if not docker_env.BASE_TAR.exists() or podman(tmp, "import", docker_env.BASE_TAR, "slim:1", timeout=120).code != 0:
        harness.skip("podman", "Podman does not import the base image")
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--network", "none"]
    made = podman(tmp, "run", "-d", *limits, "--name", "forum", "slim:1", "sh", "-c", BUSY)
    if made.code != 0:
        harness.skip("podman", f"Podman starts no container here: {made.err[-200:].strip()}")
    path = tmp / "podman.sock"
    words = ["system", "service", "--time=5", f"unix://{path}"]
    service = threading.Thread(target=podman, args=(tmp, *words), kwargs={"timeout": 90}, daemon=True)
    service.start()
    try:
        harness.wait_until(path.exists, 20, "Podman's socket")
        profile(tmp, {"container": "forum", "engine": path}, seconds=1).ok()
        found = target_json(tmp)
        assert found["container"]["id"] == made.out.strip(), found
        check_in("libpod-", found["cgroup"])
        check_in("dash", report(tmp))
    finally:
        podman(tmp, "rm", "-f", "-t", "0", "forum")
        podman(tmp, "rmi", "-f", "slim:1")
        service.join(100)
        # Its storage is a mount of its own: the folder goes only after it. ("system reset" would touch others' networks.)
        for line in reversed(open("/proc/mounts").read().splitlines()):
            if line.split()[1].startswith(f"{tmp}/"):
                harness.run(["umount", "-l", line.split()[1]])


for function in (test_podman, test_hostile_engines):
    function.timeout = 300

if __name__ == "__main__":
    harness.main(__name__)

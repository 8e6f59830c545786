# SPDX-License-Identifier: MIT
"""What the tests of containers share: images of the demo backend, a config for a target, and how a run of it is looked at."""

import json
import socket
import threading
import time

import docker_env
import harness
from harness import profcore

# What every container here is made from: the demo backend alone in an image, at a path that this machine lacks.
INSIDE = "/srv/forum/backend-of-image"
BUSY = "while :; do i=$((i+1)); done"


def backend_image(nofp=False, rust=False):
    engine = docker_env.engine()
    name = ("rust-" if rust else "") + ("backend-nofp" if nofp else "backend")
    program = harness.rust_backend_path(nofp) if rust else harness.backend_path(nofp)
    return engine.image_of(name, {INSIDE: program},
                           entrypoint=[INSIDE, "--host", "0.0.0.0", "--port", "8080", "--folder", "/"])


def run_backend(*args, options=(), nofp=False, rust=False):
    return docker_env.engine().run(backend_image(nofp, rust), *args, options=["-p", "127.0.0.1::8080", *options])


def wait_http(host, port):
    def answers():
        try:
            with socket.create_connection((host, port), timeout=1) as link:
                link.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return b"200" in link.recv(64)
        except OSError:
            return False

    harness.wait_until(answers, 15, f"http://{host}:{port}/health")


def config(tmp, target, seconds=2, url=None, extra=""):
    """A config file with this [target] (a dict) and perf-cpu; with load when there is a url."""
    lines = ["[run]", "name = container", f"duration = {seconds}s", f"output = {tmp}/runs", "[target]"]
    lines += [f"{key} = {value}" for key, value in target.items()]
    lines += ["[plugin:perf-cpu]", "[plugin:report]", "[plugin:analyze]", extra]
    if url:
        lines += ["[plugin:load-test]", f"url = {url}", "connections = 2"]
    path = tmp / "container.ini"
    path.write_text("\n".join(lines) + "\n")
    return path


def profile(tmp, target, *args, seconds=2, url=None, env=None, extra="", timeout=120):
    env = docker_env.engine().env() if env is None else env
    return profcore("-c", config(tmp, target, seconds, url, extra), *args, env=env, timeout=timeout)


def target_json(tmp):
    return json.loads((tmp / "runs" / "latest" / "target.json").read_text())


def report(tmp):
    return (tmp / "runs" / "latest" / "perf_report.cpu.txt").read_text()


def start(function, *args, after=0.0):
    thread = threading.Timer(after, function, args)
    thread.start()
    return thread


def in_window(tmp, function, *args, after=0.5):
    """Do that in another thread, so long after the window of the run below tmp was opened."""
    def is_open():
        return any(json.loads(path.read_text())["phase"] == "window" for path in (tmp / "runs").glob("2*/manifest.json"))

    def act():
        harness.wait_until(is_open, 60, "the window")
        time.sleep(after)
        function(*args)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def artifacts(tmp):
    """{"stage.port": what `artifact show --json` prints} of all artifacts of tables."""
    run = tmp / "runs" / "latest"
    listed = profcore("artifact", "list", run, "--json").ok().json()
    names = [entry["name"] for entry in listed if entry["path"].endswith(".pcol") and entry["state"] != "absent"]
    return {name: profcore("artifact", "show", run, name, "--json").ok().json() for name in names}

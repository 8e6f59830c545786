# SPDX-License-Identifier: MIT
"""What integration tests share. Standard library only.

A test file defines functions `test_...`, in the order in which they shall run, and ends with

    if __name__ == "__main__":
        harness.main(__name__)

Each function is one TAP line: it passes when it returns, fails when it raises (use `assert` or the check_ functions), is
skipped when it raises Skip. A parameter named `tmp` receives a fresh folder (pathlib.Path), removed afterwards. A test
that runs longer than its `timeout` attribute (default 120 s) fails. `./test_x.py NAME...` runs only those whose name
contains a NAME; `PROFCORE_BUILD` names the build folder (default: build/ of the tree).

Paths         build_dir()  source_dir()  workload(name)  backend_path(nofp=False)  profcore_path()
Run things    run(argv, timeout=60, env=None, cwd=None, input=None) -> Result(code, out, err, seconds)
              profcore(*args, ...same)       -> Result
              profcore_json(*args, ...same)  -> the parsed object (Result in .result)
              Result: .json()  .ok() (asserts code 0)  .expect(code)
Backend       with Backend("--work-us", "2000", nofp=False) as b:
                  b.pid  b.port  b.url("/slow")  b.get(path) -> Response(status, headers, body)
                  b.truth(reset=False) -> dict    b.hammer("/slow", seconds=1, connections=4) -> answered requests
                  b.stop() -> exit code (the `with` block does it)
              Backend(..., rust=True): the one in Rust, built on first use (skips where that cannot be)
Requirements  need("root")  need("docker") need("bpf") need("browser")   raises Skip when this machine lacks it
              need_tool("readelf")  skip(requirement, reason)
              PROFCORE_TEST_REQUIRE=root,docker,... turns the skips of these requirements into failures.
Checks        check_near(actual, expected, tolerance, what)  check_in(part, whole)  wait_until(function, seconds, what)
"""

import collections
import glob
import http.client
import inspect
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

DEFAULT_TIMEOUT = 120


class Skip(Exception):
    """Raised by a test that cannot run here."""

    def __init__(self, requirement, reason):
        super().__init__(f"SKIP({requirement}): {reason}")
        self.requirement = requirement


# ---- paths ----


def source_dir():
    return pathlib.Path(__file__).resolve().parents[2]


def build_dir():
    return pathlib.Path(os.environ.get("PROFCORE_BUILD", source_dir() / "build")).resolve()


def profcore_path():
    return build_dir() / "core" / "profcore"


def backend_path(nofp=False):
    return build_dir() / "docker" / ("backend-nofp" if nofp else "backend")


def rust_backend_path(nofp=False):
    """The backend in Rust, built when it is missing or older than its source; that takes a minute, once."""
    if shutil.which("cargo") is None:
        skip("rust", "cargo is not installed")
    if not glob.glob("/usr/share/cargo/registry/hyper-0.14*"):
        skip("rust", "Debian's crates are not installed (librust-hyper-dev, librust-tokio-dev)")
    kind = "nofp" if nofp else "fp"
    folder = build_dir() / "docker" / "rust"
    run([source_dir() / "docker" / "rust-backend" / "build.sh", folder, kind], timeout=600).ok()
    return folder / kind / "release" / "backend"


def workload(name):
    return build_dir() / "tests" / "workloads" / name


# ---- running programs ----


class Result(collections.namedtuple("Result", "argv code out err seconds")):
    """What a finished program left: exit code (negative: killed by that signal), stdout, stderr, wall seconds."""

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise AssertionError(f"stdout is not JSON ({error}): {self.describe()}") from None

    def expect(self, code):
        assert self.code == code, f"exit code {self.code}, expected {code}: {self.describe()}"
        return self

    def ok(self):
        return self.expect(0)

    def describe(self):
        argv = " ".join(str(word) for word in self.argv)
        return f"{argv}\n  stdout: {self.out[-2000:]}\n  stderr: {self.err[-4000:]}"


def run(argv, timeout=60, env=None, cwd=None, input=None):
    """Run a program to its end. env adds to the environment (None as value removes). A timeout is a failure."""
    environment = dict(os.environ)
    for key, value in (env or {}).items():
        environment.pop(key, None)
        if value is not None:
            environment[key] = str(value)
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in argv], env=environment, cwd=cwd, text=True, errors="replace",
                               stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = process.communicate(input, timeout=timeout)
    except BaseException as error:
        kill_group(process.pid)
        out, err = process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            text = Result(argv, None, out, err, timeout).describe()
            raise AssertionError(f"still running after {timeout} s: {text}") from None
        raise
    return Result(argv, process.returncode, out, err, time.monotonic() - began)


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def profcore(*args, **options):
    return run([profcore_path(), *args], **options)


def profcore_json(*args, **options):
    """Run profcore, whose stdout must be one JSON object whatever its exit code; that object, with .result."""
    result = profcore(*args, **options)
    answer = JsonAnswer(result.json())
    answer.result = result
    return answer


class JsonAnswer(dict):
    result = None


# ---- the demo backend ----

Response = collections.namedtuple("Response", "status headers body")


class Backend:
    """The demo backend on a port of its own, up when the `with` block begins, gone when it ends."""

    def __init__(self, *args, nofp=False, rust=False, env=None):
        program = rust_backend_path(nofp) if rust else backend_path(nofp)
        self.argv = [str(program), "--port", "0", *[str(arg) for arg in args]]
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.port = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True, env=self.env)
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            self.stop()
            raise AssertionError(f"the backend did not come up, it said {line!r}")
        self.port = int(line.rsplit(":", 1)[1].strip().rstrip("/"))
        return self

    def __exit__(self, *unused):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def connect(self, timeout=10):
        """A raw TCP socket to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def get(self, path="/", method="GET", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def truth(self, reset=False):
        """What it really did since it began or was last reset (with reset: up to this reset)."""
        return json.loads(self.get("/truth?reset=1" if reset else "/truth").body)

    def hammer(self, path="/slow", seconds=1.0, connections=4):
        """Keep `connections` kept-alive connections busy for so long; returns the number of 200 answers."""
        deadline = time.monotonic() + seconds
        counts = []
        failures = []

        def client():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            answered = 0
            try:
                while time.monotonic() < deadline:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    answer.read()
                    answered += answer.status == 200
            except Exception as error:
                failures.append(error)
            finally:
                counts.append(answered)
                connection.close()

        threads = [threading.Thread(target=client) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, f"a client failed: {failures[0]!r}"
        return sum(counts)

    def stop(self, seconds=10):
        """SIGTERM and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the backend did not end within {seconds} s of SIGTERM") from None
        self.process.stdout.close()
        return self.process.returncode


# ---- requirements ----


def skip(requirement, reason):
    raise Skip(requirement, reason)


def need_tool(name):
    path = shutil.which(name)
    if path is None:
        skip("tool", f"{name} is not installed")
    return path


def need(requirement):
    """Skip the test unless this machine has it: root, docker, bpf, browser."""
    if requirement == "root":
        if os.geteuid() != 0:
            skip("root", "needs root")
    elif requirement == "docker":
        if shutil.which("docker") is None or run(["docker", "info"], timeout=20).code != 0:
            skip("docker", "needs a working Docker engine")
    elif requirement == "bpf":
        if os.geteuid() != 0 or not os.path.exists("/sys/kernel/btf/vmlinux"):
            skip("bpf", "needs root and a kernel with BTF")
    elif requirement == "browser":
        if shutil.which("chromium") is None:
            skip("browser", "chromium is not installed")
    else:
        raise ValueError(f"unknown requirement {requirement!r}")


def required():
    """The requirements that must not be skipped here."""
    return {word.strip() for word in os.environ.get("PROFCORE_TEST_REQUIRE", "").split(",") if word.strip()}


# ---- checks ----


def check_near(actual, expected, tolerance, what="value"):
    assert abs(actual - expected) <= tolerance, f"{what}: {actual}, expected {expected} within {tolerance}"


def check_in(part, whole):
    assert part in whole, f"{part!r} is not in {whole!r}"


def wait_until(function, seconds=10, what="condition"):
    """Call until it returns something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = function()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


# ---- the runner ----


def on_alarm(unused_signal, unused_frame):
    raise TimeoutError("the test's time is up")


def call(function):
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(getattr(function, "timeout", DEFAULT_TIMEOUT))
    try:
        if "tmp" in inspect.signature(function).parameters:
            with tempfile.TemporaryDirectory(prefix="profcore-test-") as folder:
                function(tmp=pathlib.Path(folder))
        else:
            function()
    finally:
        signal.alarm(0)


def report(number, function):
    """Run one test and print its TAP line; whether it failed."""
    name = function.__name__
    try:
        call(function)
    except Skip as error:
        if error.requirement in required():
            print(f"not ok {number} - {name}\n# {error}, but PROFCORE_TEST_REQUIRE demands it", flush=True)
            return True
        print(f"ok {number} - {name} # SKIP {error}", flush=True)
        return False
    except Exception:
        print(f"not ok {number} - {name}")
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
        sys.stdout.flush()
        return True
    print(f"ok {number} - {name}", flush=True)
    return False


def main(module_name="__main__"):
    """Run the tests of that module, print TAP, end the process: 1 when one failed."""
    members = vars(sys.modules[module_name])
    tests = [value for name, value in members.items() if name.startswith("test_") and callable(value)]
    if sys.argv[1:]:
        tests = [test for test in tests if any(word in test.__name__ for word in sys.argv[1:])]
    print(f"1..{len(tests)}", flush=True)
    failed = sum([report(number, test) for number, test in enumerate(tests, 1)])
    sys.exit(1 if failed or not tests else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The demo backend in Rust: the same pages as the one in C, a truth that adds up, and profiles that match it."""

import contextlib
import pathlib
import re
import shutil
import socket
import subprocess

import harness
from harness import Backend, check_in, check_near, profcore_json

POINTS = 4.0


@contextlib.contextmanager
def redis():
    """A Redis server of our own on a free port; "host:port"."""
    program = harness.need_tool("redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def answers():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    try:
        harness.wait_until(answers, 15, "redis-server")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_both_backends_have_the_same_pages():
    with Backend(rust=True) as rust, Backend() as c:
        for backend in (rust, c):
            assert pathlib.Path(f"/proc/{backend.pid}/comm").read_text() == "backend\n"
        for path, method in (("/", "GET"), ("/health", "GET"), ("/none", "GET"), ("/slow?mode=none", "GET"), ("/", "DELETE")):
            answers = [backend.get(path, method) for backend in (rust, c)]
            assert answers[0].status == answers[1].status, (path, method, answers)
        assert rust.get("/").body == c.get("/").body
        truths = [backend.truth() for backend in (rust, c)]
        assert truths[1].keys() <= truths[0].keys(), truths[1].keys() - truths[0].keys()
        assert rust.stop() == 0


def test_every_mode_is_counted():
    expected = {"lock": ("lock_wait", "lock_hold"), "io": ("fsync",), "alloc": ("alloc",), "leak": ("leak",),
                "syscalls": ("reads",), "blocking": ("blocking_wait", "blocking_run"),
                "async-lock": ("async_lock_wait", "async_lock_hold"), "hold": ("hold",)}
    with Backend("--work-us", 500, rust=True) as backend:
        for mode, names in expected.items():
            backend.truth(reset=True)
            answered = backend.hammer(f"/slow?mode={mode}", seconds=0.2, connections=2)
            truth = backend.truth()
            assert answered and truth["slow_requests"] == answered, mode
            for name, value in truth.items():
                if isinstance(value, dict) and "count" in value:
                    assert (value["count"] > 0) == (name in names), (mode, name, value)


def test_tasks_wait_for_a_lock_without_a_thread():
    """Eight requests on one worker queue for the tokio lock; were the wait or the hold a thread's, the sum could not be."""
    with Backend("--work-us", 20000, "--threads", 1, rust=True) as backend:
        backend.hammer("/slow?mode=async-lock", seconds=0.5, connections=8)
        truth = backend.truth()
        wall_ns = truth["now_ns"] - truth["since_ns"]
        assert truth["async_lock_wait"]["ns"] > 1.5 * wall_ns, truth
        assert truth["async_lock_hold"]["ns"] <= wall_ns, truth


def test_database_is_waited_for():
    with redis() as place:
        for rust in (True, False):
            with Backend("--db", place, rust=rust) as backend:
                answered = backend.hammer("/slow?mode=db", seconds=0.5, connections=4)
                db = backend.truth()["db"]
                assert answered and db["count"] == answered, (rust, db)
                assert db["ns"] > answered * 100_000, f"a query takes no time: {db}"
    for rust in (True, False):
        with Backend("--db", place, rust=rust) as backend:
            answer = backend.get("/slow?mode=db")
            assert answer.status == 500, answer
            check_in(b"refused", answer.body)


def test_bad_options():
    for args in (["--port", "70000"], ["--split", "1,2"], ["--split", "0,0,0"], ["--nothing", "1"], ["--port"]):
        result = harness.run([harness.rust_backend_path(), *args], timeout=10).expect(2)
        assert result.err.startswith("backend: "), result.err
    result = harness.run([harness.rust_backend_path(), "--port", "0", "--folder", "/nonexistent"], timeout=10).expect(1)
    check_in("--folder names another place", result.err)


PROGRAM = """fn collatz(mut n: u64) -> u32 {
    let mut steps = 0;
    while n != 1 {
        n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}

#[inline(never)]
fn longest(limit: u64) -> (u64, u32) {
    (1..limit).map(|n| (n, collatz(n))).max_by_key(|pair| pair.1).unwrap()
}

fn main() {
    let limit = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap();
    println!("{:?}", longest(limit));
}
"""

CONFIG = """[run]
name = rust
duration = 3s
output = {output}
[target]
pid = {pid}
[plugin:load-test]
url = {url}
connections = 2
[plugin:perf-cpu]
frequency = 997
[plugin:analyze]
top = 1000
"""


def profile_and_compare(nofp, tmp):
    with Backend("--split", "20,55,25", nofp=nofp, rust=True) as backend:
        config = tmp / "rust.ini"
        config.write_text(CONFIG.format(output=tmp / "runs", pid=backend.pid, url=backend.url("/slow")))
        backend.truth(reset=True)
        report = profcore_json("-c", config, "--json")
        report.result.ok()
        truth = backend.truth()
    rows = {row["function"]: row for row in report["top_functions"]}
    for function in truth["functions"].values():
        real = 100.0 * function["cpu_ns"] / truth["process_cpu_ns"]
        check_near(rows[function["symbol"]]["self_pct"], real, POINTS, function["symbol"])
    slow = next(row for name, row in rows.items() if name.endswith("::show_thread"))
    real = 100.0 * truth["work_cpu_ns"] / truth["process_cpu_ns"]
    check_near(slow["total_pct"], real, POINTS, "show_thread, with all that it calls")


def test_profile_is_true_with_frame_pointers(tmp):
    profile_and_compare(False, tmp)


def test_profile_is_true_without_frame_pointers(tmp):
    profile_and_compare(True, tmp)


def test_cargo_run_through_profcore(tmp):
    """What docs/cargo.md shows, with its own alias and profile: the window ends with the program, inlined calls have names."""
    if shutil.which("cargo") is None:
        harness.skip("rust", "cargo is not installed")
    blocks = re.findall(r"```toml\n(.*?)```", (harness.source_dir() / "docs" / "cargo.md").read_text(), re.DOTALL)
    for folder in ("src", ".cargo"):
        (tmp / folder).mkdir()
    (tmp / "Cargo.toml").write_text('[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n\n' + blocks[0])
    (tmp / ".cargo" / "config.toml").write_text(blocks[1].replace("'profcore ", f"'{harness.profcore_path()} "))
    (tmp / "src" / "main.rs").write_text(PROGRAM)
    result = harness.run(["cargo", "flame", "--offline", "--", "4000000"], cwd=tmp, timeout=120).ok()
    check_in("(target exited)", result.out)
    check_in("app::collatz", result.out)
    check_in("(3732423, 596)", (tmp / "profiling" / "latest" / "logs" / "target.log").read_text())


for function in list(vars().values()):
    if getattr(function, "__name__", "").startswith("test_"):
        function.timeout = 660  # the first one builds

if __name__ == "__main__":
    harness.main(__name__)

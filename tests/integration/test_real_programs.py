#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
perf-cpu on programs that others wrote, under load: how many stacks are rooted, how many frames have no name. Debian's programs are
stripped: what is not exported has no name there, which is what the gates on unknown frames leave room for.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import harness

SECONDS = 3
CONFIG = """\
[run]
name     = real
duration = {seconds}s
output   = {out}
[target]
pid = {pid}
[plugin:perf-cpu]
[plugin:report]
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=20):
    def is_open():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return False

    harness.wait_until(is_open, seconds, f"port {port}")


@contextlib.contextmanager
def running(argv, **options):
    options.setdefault("stdout", subprocess.DEVNULL)
    options.setdefault("stderr", subprocess.DEVNULL)
    process = subprocess.Popen([str(arg) for arg in argv], start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def profile(tmp, name, pid, rooted, unknown):
    """Profile it while it is under load, print both figures, and hold them to the gates."""
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(seconds=SECONDS, out=tmp / "out", pid=pid))
    answer = harness.profcore("-c", config, "--json").ok().json()
    stage = next(stage for stage in answer["stages"] if stage["name"] == "perf-cpu")
    facts = stage["artifacts"][0]["completeness"]
    print(f"# {name}: {facts['samples']} samples of {facts['event']}, rooted {facts['rooted_pct']:.2f} %, "
          f"unknown {facts['unknown_pct']:.2f} %, lost {facts['lost']}, {facts['bytes_per_sample']:.0f} bytes a sample, "
          f"truncated {facts['truncated']}", flush=True)
    assert facts["samples"] > 50, facts
    assert facts["rooted_pct"] >= rooted, facts
    assert facts["unknown_pct"] <= unknown, facts
    # What has no name has a place: where its function begins.
    assert facts["unknown_pct"] - facts.get("unknown_placed_pct", 0) <= 1, facts
    report = next(pathlib.Path(answer["run"]).glob("perf_report*.txt")).read_text()
    harness.check_in("rooted stacks", report)
    assert max(len(line) for line in report.splitlines()) <= 100, max(report.splitlines(), key=len)
    return report


def total_of(report, pattern):
    """The largest share, self or total, on a line of the functions' tables that matches."""
    shares = [float(number) for line in report.splitlines() if re.search(pattern, line)
              for number in re.findall(r"\b(\d+\.\d+)\b(?= )", line)]
    return max(shares, default=0.0)


def test_redis(tmp):
    for tool in ("redis-server", "redis-benchmark"):
        harness.need_tool(tool)
    port = free_port()
    with running(["redis-server", "--port", port, "--save", "", "--dir", tmp]) as server:
        wait_for_port(port)
        with running(["redis-benchmark", "-p", port, "-t", "set,get,lpush,lrange_100", "-n", "100000000", "-l", "-q"]):
            time.sleep(0.5)
            report = profile(tmp, "redis under redis-benchmark", server.pid, 99, 12)
    # Where the file has another name (a link, as in Debian), functions are still those of redis-server.
    harness.check_in("redis-server", report)
    assert not re.search(r"redis-check-rdb\+0x", report), report


def test_nginx(tmp):
    harness.need_tool("wrk")
    harness.need_tool("nginx")
    port = free_port()
    (tmp / "index.html").write_text("hello " * 500)
    (tmp / "nginx.conf").write_text(
        f"daemon off; pid {tmp}/pid; error_log {tmp}/error; worker_processes 1; events {{ }}\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; root {tmp}; }} }}\n")
    os.chmod(tmp, 0o755)
    with running(["nginx", "-e", tmp / "error", "-c", tmp / "nginx.conf"]) as server:
        wait_for_port(port)
        with running(["wrk", "-t1", "-c16", "-d60s", f"http://127.0.0.1:{port}/"]):
            time.sleep(0.5)
            profile(tmp, "nginx under wrk", server.pid, 99, 28)


def test_postgres(tmp):
    harness.need("root")
    harness.need_tool("setpriv")
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs or not shutil.which("pgbench"):
        harness.skip("tool", "PostgreSQL's server is not installed")
    port = free_port()
    folder = tmp / "db"
    folder.mkdir()
    os.chmod(tmp, 0o755)
    os.chown(folder, 65534, 65534)
    plain = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    harness.run([*plain, programs[-1], "-D", folder / "data", "-U", "bench", "--no-sync"], timeout=120).ok()
    client = ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
    with running([*plain, programs[-1].parent / "postgres", "-D", folder / "data", "-p", port, "-k", folder, "-F"]) as server:
        wait_for_port(port)
        # The port is open before the database is up.
        harness.wait_until(lambda: harness.run([*client, "-i", "-q", "postgres"], timeout=60).code == 0, 30, "the database")
        with running([*client, "-c", "4", "-T", "60", "-S", "postgres"]):
            time.sleep(1)
            profile(tmp, "postgres under pgbench", server.pid, 99, 22)


def test_python(tmp):
    (tmp / "work.py").write_text("import json\nwhile True:\n    json.loads(json.dumps(list(range(1000))))\n")
    with running([harness.need_tool("python3"), tmp / "work.py"]) as target:
        time.sleep(0.5)
        profile(tmp, "python3", target.pid, 99, 2)


def test_node(tmp):
    (tmp / "work.js").write_text("function work(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i) % 3; return s; }\n"
                                 "function turn() { let all = 0; for (let i = 0; i < 50; i++) all += work(20000);\n"
                                 "  JSON.parse(JSON.stringify({ all, list: [...Array(2000).keys()] })); setImmediate(turn); }\nturn();\n")
    with running([harness.need_tool("node"), "--perf-basic-prof", tmp / "work.js"], cwd=tmp) as target:
        try:
            time.sleep(1)
            report = profile(tmp, "node --perf-basic-prof", target.pid, 98, 3)
            # What V8 compiled has the name and the place that its map gives: `turn` has most of the time, with `work` in its code
            # or called by it.
            work, turn = (total_of(report, rf"\b{name} \S*work\.js") for name in ("work", "turn"))
            print(f"# turn: {turn} % in all, work: {work} % outside of it", flush=True)
            assert turn > 60 and turn + work > 90, report
            assert "[[" not in report, report
        finally:
            pathlib.Path(f"/tmp/perf-{target.pid}.map").unlink(missing_ok=True)


if __name__ == "__main__":
    harness.main(__name__)

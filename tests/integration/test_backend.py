#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The demo backend: is the truth that other tests lean on true, and does it survive any client?"""

import json
import os
import pathlib
import signal
import socket
import time

import harness
from harness import Backend, check_in, check_near, run

FUNCTIONS = ("hash_rounds", "sort_comments", "render_markdown")


def raw(backend, data, timeout=5):
    """Send bytes, return all that comes back until the backend closes or is silent for a while."""
    with backend.connect(timeout) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            piece = client.recv(65536)
            if not piece:
                return answer
            answer += piece


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def shares(truth):
    return [truth["functions"][name]["share"] for name in FUNCTIONS]


def test_fast_pages():
    with Backend() as backend:
        assert backend.get("/health").body == b"ok\n"
        assert backend.get("/").status == 200
        assert backend.get("/nothing").status == 404
        head = backend.get("/", method="HEAD")
        assert head.status == 200 and head.body == b""


def test_default_split():
    with Backend() as backend:
        backend.hammer(seconds=1.5)
        truth = backend.truth()
    for share, planted in zip(shares(truth), (0.60, 0.25, 0.15)):
        check_near(share, planted, 0.03, "share")


def test_any_split_is_near_its_truth():
    with Backend("--split", "1,2,7", "--work-us", "2000") as backend:
        backend.hammer(seconds=1.5)
        truth = backend.truth()
    for share, planted in zip(shares(truth), (0.1, 0.2, 0.7)):
        check_near(share, planted, 0.03, "share")


def test_truth_is_the_cpu_time_spent():
    """What the kernel charged the process with is what the planted work took, but for a little serving."""
    with Backend() as backend:
        backend.truth(reset=True)
        backend.hammer(seconds=1.5)
        truth = backend.truth()
    parts = sum(truth["functions"][name]["cpu_ns"] for name in FUNCTIONS)
    assert parts == truth["work_cpu_ns"]
    check_near(parts / truth["process_cpu_ns"], 0.97, 0.03, "planted part of the process' CPU time")


def test_work_follows_its_option():
    costs = []
    for work_us in (1000, 4000):
        with Backend("--work-us", work_us) as backend:
            backend.truth(reset=True)
            backend.hammer(seconds=1)
            truth = backend.truth()
            costs.append(truth["work_cpu_ns"] / truth["slow_requests"])
    check_near(costs[1] / costs[0], 4, 1, "cost of 4000 us by cost of 1000 us")


def test_reset_begins_at_zero():
    with Backend() as backend:
        backend.get("/slow")
        before = backend.truth(reset=True)
        after = backend.truth()
    assert before["slow_requests"] == 1 and before["work_cpu_ns"] > 0
    assert after["slow_requests"] == 0 and after["work_cpu_ns"] == 0 and after["requests"] == 1
    assert after["since_ns"] > before["since_ns"]


def test_mode_lock_contends():
    with Backend("--work-us", "4000") as backend:
        answered = backend.hammer("/slow?mode=lock", seconds=1.5, connections=4)
        truth = backend.truth()
    wait, hold = truth["lock_wait"], truth["lock_hold"]
    assert wait["count"] == hold["count"] == answered
    elapsed_ns = truth["now_ns"] - truth["since_ns"]
    assert hold["ns"] < elapsed_ns, "one at a time holds it"
    assert wait["ns"] > hold["ns"], f"with four workers most wait: {truth}"


def test_mode_io_writes(tmp):
    with Backend("--folder", tmp) as backend:
        assert len(list(tmp.iterdir())) == 1
        answered = backend.hammer("/slow?mode=io", seconds=0.5)
        fsync = backend.truth()["fsync"]
    assert fsync["count"] == answered and fsync["bytes"] == 4096 * answered and fsync["ns"] > 0
    assert not list(tmp.iterdir()), "the file is removed at the end"


def test_mode_alloc_churns():
    with Backend() as backend:
        answered = backend.hammer("/slow?mode=alloc", seconds=0.5)
        truth = backend.truth()
    assert truth["alloc"]["count"] == 4000 * answered
    assert truth["alloc"]["bytes"] > 1000000 * answered
    assert truth["leak"]["bytes"] == 0


def rss_bytes(pid):
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_mode_leak_leaks_known_bytes():
    with Backend("--leak-bytes", 1 << 20) as backend:
        backend.hammer("/slow?mode=leak", seconds=0.2)
        backend.truth(reset=True)
        before = rss_bytes(backend.pid)
        for _ in range(40):
            backend.get("/slow?mode=leak")
        leak = backend.truth()["leak"]
        grown = rss_bytes(backend.pid) - before
    assert leak["bytes"] == 40 << 20
    check_near(grown / leak["bytes"], 1.0, 0.1, "growth by what is said to have leaked")


def test_leak_has_a_limit():
    with Backend("--leak-bytes", 65536, "--leak-limit", 100000) as backend:
        for _ in range(5):
            assert backend.get("/slow?mode=leak").status == 200
        assert backend.truth()["leak"]["bytes"] == 99328, "the last whole block below the limit"


def test_mode_syscalls_reads():
    with Backend("--reads", 300) as backend:
        answered = backend.hammer("/slow?mode=syscalls", seconds=0.3)
        reads = backend.truth()["reads"]
    assert reads["count"] == reads["bytes"] == 300 * answered


def test_unknown_mode_is_refused():
    with Backend() as backend:
        answer = backend.get("/slow?mode=sleepy")
        assert answer.status == 400
        check_in(b"syscalls", answer.body)
        assert backend.truth()["slow_requests"] == 0


def test_keep_alive_and_pipelining():
    with Backend("--work-us", 100) as backend:
        answer = raw(backend, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        assert answer.count(b"HTTP/1.1 200 OK") == 100
        answer = raw(backend, b"GET /health HTTP/1.0\r\n\r\n" * 2)
        assert answer.count(b"HTTP/1.1 200 OK") == 1, "HTTP/1.0 closes"
        answer = raw(backend, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n" * 2)
        assert answer.count(b"HTTP/1.1 200 OK") == 1
        body = b"POST /health HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000
        assert raw(backend, body * 3).count(b"HTTP/1.1 200 OK") == 3, "bodies are skipped"


def test_slow_sender_and_many_idle_clients():
    """More connections than workers, all half way through a request, block nobody."""
    with Backend("--threads", 2) as backend:
        idle = [backend.connect() for _ in range(50)]
        for client in idle:
            client.sendall(b"GET /health HT")
        assert backend.get("/health").status == 200
        for byte in b"TP/1.1\r\n\r\n":
            idle[0].sendall(bytes([byte]))
            time.sleep(0.01)
        assert status_of(idle[0].recv(4096)) == 200
        for client in idle:
            client.close()


def test_malformed_requests_are_refused():
    long_target = b"GET /" + b"a" * 600 + b" HTTP/1.1\r\n\r\n"
    cases = [
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1 more\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET nothing HTTP/1.1\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / FTP\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: empty\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nName : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (long_target, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 20000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\n\n", 400),
    ]
    with Backend() as backend:
        for data, status in cases:
            assert status_of(raw(backend, data)) == status, f"{data[:60]!r}"
        assert raw(backend, b"GET / HT") == b"", "an unfinished request has no answer"
        assert backend.get("/health").status == 200


def test_client_that_never_reads_is_let_go():
    with Backend() as backend:
        with backend.connect(timeout=3) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                for _ in range(20000):
                    client.sendall(b"GET /truth HTTP/1.1\r\n\r\n" * 20)
            except (ConnectionError, TimeoutError):
                pass
            else:
                raise AssertionError("it was served for ever")
        assert backend.get("/health").status == 200


def received(client):
    """All that still comes on a connection."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def test_sigterm_ends_it_under_load():
    """Not after all that clients have asked for, which is 8 s of CPU, but after the requests that are under way."""
    with Backend("--work-us", 20000, "--threads", 2) as backend:
        clients = [backend.connect() for _ in range(20)]
        for client in clients:
            client.sendall(b"GET /slow HTTP/1.1\r\n\r\n" * 20)
        assert backend.stop(seconds=30) == 0
        answered = sum(received(client).count(b"HTTP/1.1 200") for client in clients)
        assert answered < 200, f"{answered} of 400 were answered first"
        for client in clients:
            client.close()


def test_sigint_ends_it():
    with Backend() as backend:
        backend.process.send_signal(signal.SIGINT)
        assert backend.process.wait(5) == 0


def test_both_builds_have_one_name():
    for nofp in (False, True):
        with Backend(nofp=nofp) as backend:
            assert pathlib.Path(f"/proc/{backend.pid}/comm").read_text() == "backend\n"
            backend.get("/slow")
            assert json.loads(backend.get("/truth").body)["pid"] == backend.pid


def test_bad_options():
    for args in (["--port", "70000"], ["--port", "x"], ["--split", "1,2"], ["--split", "0,0,0"], ["--split", "nan,1,1"],
                 ["--split", "1,-1,1"], ["--work-us", "-3"], ["--nothing"], ["word"]):
        result = run([harness.backend_path(), *args], timeout=10)
        assert result.code == 2 and result.err, f"{args}: {result.code}"
    check_in("--split", run([harness.backend_path(), "--help"]).ok().out)
    for args in (["--host", "not an address"], ["--folder", "/nonexistent"]):
        result = run([harness.backend_path(), "--port", "0", *args], timeout=10)
        assert result.code == 1 and result.err.startswith("backend: "), f"{args}: {result}"


def test_taken_port_is_said():
    with Backend() as backend:
        result = run([harness.backend_path(), "--port", backend.port], timeout=10).expect(1)
        check_in("in use", result.err)


def burned(*args):
    return run([harness.workload("split"), *args]).ok().json()


def test_workload_split():
    functions = burned(0.6, 3, 1, 0, 2)["functions"]
    check_near(functions["burn_a"]["share"], 0.75, 0.02, "burn_a")
    check_near(functions["burn_b"]["share"], 0.25, 0.02, "burn_b")
    assert functions["burn_c"]["cpu_ns"] == 0


def test_workload_churn():
    churn = run([harness.workload("churn"), 1, 20, 30]).ok().json()
    assert 10 <= churn["forks"] <= 20 and 15 <= churn["threads"] <= 30, churn


def test_workload_deep_and_sleeper():
    assert run([harness.workload("deep"), 0.1, 1000]).ok().json()["depth"] == 1000
    sleeper = run([harness.workload("sleeper"), 0.2, 7]).expect(7)
    assert sleeper.out == "ready\n" and sleeper.seconds >= 0.2


if __name__ == "__main__":
    harness.main(__name__)

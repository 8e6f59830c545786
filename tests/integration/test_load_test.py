#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""load-test against servers that answer well, slowly, badly and not at all: is every request told, timed and bounded?"""

import collections
import csv
import io
import math
import pathlib
import socket
import sys
import time

import harness
from harness import check_in, check_near, profcore, run
from load_servers import Server

CONFIG = """[run]
name = load
duration = {seconds}s
output = {output}

[plugin:load-test]
url = {url}
"""

Loaded = collections.namedtuple("Loaded", "code err load rows seconds stages")
ERRORS = {0: "none", 1: "connect", 2: "timeout", 3: "closed", 4: "protocol", 5: "other"}


def read_rows(folder):
    """All rows, by the reader that knows the layout from its description alone."""
    reader = harness.source_dir() / "docs" / "read_artifact.py"
    shown = run([sys.executable, reader, "--csv", pathlib.Path(folder) / "artifacts" / "load-test.requests.pcol"]).ok()
    return [{key: int(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(shown.out))]


def load(tmp, url, seconds=1, rows=True, **options):
    """Run load-test alone for so long; its exit code, log, summary and rows (dicts of int)."""
    config = tmp / "load.ini"
    text = CONFIG.format(seconds=seconds, output=tmp / "profiling", url=url)
    config.write_text(text + "".join(f"{key} = {value}\n" for key, value in options.items()))
    result = profcore("-c", config, "--json")
    answer = result.json()
    return Loaded(result.code, result.err, answer.get("load") or {}, read_rows(answer["run"]) if rows else [],
                  result.seconds, answer["stages"])


def of(rows, error):
    return [row for row in rows if ERRORS[row["error"]] == error]


def quantile_ms(rows, q):
    """Nearest rank, over what has a latency: answers, and what waited in vain."""
    waited = sorted(row["end"] - row["start"] for row in rows if ERRORS[row["error"]] in ("none", "timeout", "other"))
    return waited[max(1, math.ceil(q * len(waited) - 1e-6)) - 1] / 1e6


def check_consistent(loaded):
    """What holds for every run: the summary is what the rows say, and the rows make sense."""
    rows, summary = loaded.rows, loaded.load
    assert summary["requests"] == len(rows), f"{summary['requests']} requests, {len(rows)} rows"
    assert summary["errors"] == len(rows) - len(of(rows, "none"))
    for error, name in ERRORS.items():
        if error:
            assert summary["errors_by_kind"][name] == len(of(rows, name)), name
    assert sum(summary["by_status"].values()) == len(of(rows, "none"))
    assert summary["bytes"] == sum(row["bytes"] for row in rows)
    if summary["mode"] == "open":
        assert summary["unsent"] == len([row for row in rows if row["connection"] == 0xffffffff])
    for row in rows:
        assert row["start"] <= row["end"], row
        assert row["first_byte"] == 0 or row["start"] <= row["first_byte"] <= row["end"], row
        assert (row["status"] != 0) == (row["error"] == 0), row
    for name, q in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999)):
        if summary[name] is not None:
            exact = quantile_ms(rows, q)
            check_near(summary[name], exact, exact * 0.0006 + 0.0002, name)
    if summary["max_ms"] is not None:
        check_near(summary["max_ms"], quantile_ms(rows, 1), 0.0002, "max_ms")


def check_closed_loop_order(rows):
    """On one connection a request starts after the one before has ended."""
    ends = {}
    for row in sorted(rows, key=lambda row: row["start"]):
        assert ends.get(row["connection"], 0) <= row["start"], row
        ends[row["connection"]] = row["end"]


def test_every_request_is_a_row(tmp):
    with Server() as server:
        loaded = load(tmp, server.url("/ok"), connections=4)
        check_consistent(loaded)
        check_closed_loop_order(loaded.rows)
        assert loaded.code == 0 and loaded.load["errors"] == 0, loaded.err
        assert loaded.load["requests"] == len(server.requests) > 100
        assert server.accepted == 4
        ports = {port for unused_number, port, unused_path, unused_time in server.requests}
        assert {row["local_port"] for row in loaded.rows} == ports
        assert {row["connection"] for row in loaded.rows} == {0, 1, 2, 3}
        assert loaded.load["mode"] == "closed" and loaded.load["connections"] == 4
        check_near(loaded.load["rps"] * loaded.load["duration_s"], loaded.load["requests"], 4, "answers in the window")
        check_in("coordinated omission", loaded.load["note"])


def test_times_are_the_servers(tmp):
    """One clock: what the server saw lies between start and end of some row of its port."""
    with Server() as server:
        loaded = load(tmp, server.url("/ok"), connections=2)
        by_port = collections.defaultdict(list)
        for row in loaded.rows:
            by_port[row["local_port"]].append(row)
        for port, rows in by_port.items():
            seen = [at for unused_number, peer, unused_path, at in server.requests if peer == port]
            for row, at in zip(sorted(rows, key=lambda row: row["start"]), seen):
                assert row["start"] <= at * 1e9 <= row["end"], (row, at)


def test_kinds_of_answers(tmp):
    good = {"/big": 200, "/chunked-in-pieces": 200, "/interim": 200, "/no-content": 204, "/close": 200,
            "/until-eof": 200}
    with Server() as server:
        for path, status in good.items():
            loaded = load(tmp, server.url(path), seconds=0.4, connections=2)
            check_consistent(loaded)
            assert loaded.code == 0 and loaded.load["errors"] == 0, (path, loaded.load, loaded.err)
            assert loaded.load["by_status"] == {str(status): len(loaded.rows)}, (path, loaded.load)
            assert len(loaded.rows) > 4, (path, loaded.load)
            if path == "/big":
                assert min(row["bytes"] for row in loaded.rows) > 3000000


def test_unannounced_close(tmp):
    """The peer closes a kept connection while the next request is on its way: an error, told, and a new connection at once."""
    with Server() as server:
        loaded = load(tmp, server.url("/two-then-close"), seconds=0.4, connections=2)
        check_consistent(loaded)
        assert loaded.code == 0 and len(of(loaded.rows, "none")) > 20, loaded.load
        assert len(of(loaded.rows, "closed")) == loaded.load["errors"] <= len(of(loaded.rows, "none")) / 2 + 2


def test_head(tmp):
    with Server() as server:
        loaded = load(tmp, server.url("/head"), seconds=0.4, connections=1, method="HEAD")
        assert loaded.code == 0 and loaded.load["errors"] == 0 and loaded.load["requests"] > 4, loaded.load


def test_request_is_as_configured(tmp):
    with Server() as server:
        heads = []
        import load_servers
        load_servers.behaviours["/keep"] = lambda connection, request: heads.append(request) or connection.answer()
        loaded = load(tmp, server.url("/keep?a=b"), seconds=0.3, connections=1, method="POST", body="x=1&y=2",
                      headers="X-One: 1, Accept: text/html")
    assert loaded.code == 0, loaded.err
    head, body = heads[0].split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /keep?a=b HTTP/1.1" and body == b"x=1&y=2"
    for line in (b"X-One: 1", b"Accept: text/html", b"Content-Length: 7", b"Host: 127.0.0.1:%d" % server.port):
        assert line in lines, (line, lines)


def test_statuses_are_counted_not_errors(tmp):
    with Server() as server:
        for status in ("404", "500"):
            loaded = load(tmp, server.url("/" + status), seconds=0.3, connections=1)
            check_consistent(loaded)
            assert loaded.load["errors"] == 0 and loaded.load["by_status"] == {status: len(loaded.rows)}
            check_in("status 400 or above", loaded.err)


def test_new_connection_each(tmp):
    with Server() as server:
        loaded = load(tmp, server.url("/ok"), seconds=0.5, connections=2, keep_alive="no")
        check_consistent(loaded)
        assert loaded.code == 0 and loaded.load["errors"] == 0, loaded.err
        assert server.accepted == loaded.load["requests"] > 10
        assert len({row["local_port"] for row in loaded.rows}) > 10


BAD = {
    "/early-close": "closed", "/close-in-head": "closed", "/close-at-once": "closed", "/reset": "closed",
    "/garbage": "protocol", "/ssh": "protocol", "/nul": "protocol", "/two-lengths": "protocol",
    "/length-overflow": "protocol", "/chunk-overflow": "protocol", "/extra": "protocol",
    "/endless-header": "protocol", "/endless-line": "protocol", "/endless-interim": "protocol",
    "/silent": "timeout", "/half": "timeout", "/huge-length": "timeout", "/endless-chunks": "timeout",
    "/trickle-body": "timeout", "/trickle-head": "timeout",
}


def test_bad_servers(tmp):
    """Each kind of malice is an error of its kind, no request lives past its timeout, no loop runs hot."""
    with Server() as server:
        for path, kind in BAD.items():
            loaded = load(tmp, server.url(path), seconds=0.8, connections=2, timeout="200ms")
            assert loaded.code != 0, path
            check_in("no answer from", loaded.err)
            kinds = {ERRORS[row["error"]] for row in loaded.rows}
            assert kind in kinds and kinds <= {kind, "other"}, (path, kinds)
            assert 2 <= len(loaded.rows) < 200, (path, len(loaded.rows))
            for row in loaded.rows:
                assert row["end"] - row["start"] < 0.4e9 and row["status"] == 0, (path, row)


test_bad_servers.timeout = 200


def test_nobody_listens(tmp):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    loaded = load(tmp, f"http://127.0.0.1:{port}/", seconds=1, connections=3)
    assert loaded.code in (1, 5), loaded.code  # a failed stage that kept rows, or no data
    for part in ("no answer from http://127.0.0.1", "connect (Connection refused)", "is the service listening there?"):
        check_in(part, loaded.err)
    assert {ERRORS[row["error"]] for row in loaded.rows} == {"connect"}
    assert 3 <= len(loaded.rows) < 60, "tried again with growing pauses"


def test_in_flight_at_the_end(tmp):
    """Answers under way at the end are awaited; those that do not come are told as cut off, with the time they waited."""
    with Server(slow_s=0.7) as server:
        loaded = load(tmp, server.url("/slow"), seconds=1, connections=3)
        check_consistent(loaded)
        assert len(loaded.rows) == 6 and loaded.load["errors"] == 0, loaded.load
        check_near(loaded.load["rps"], 3, 0.2, "answers that ended in the window, a second")
    with Server(slow_s=9) as server:
        loaded = load(tmp, server.url("/slow"), seconds=0.5, connections=3, timeout="8s")
        assert loaded.code != 0 and len(of(loaded.rows, "other")) == 3, loaded.rows
        for row in loaded.rows:
            check_near((row["end"] - row["start"]) / 1e9, 2.5, 0.3, "window and grace")


def test_percentiles_of_a_mixed_server(tmp):
    """One answer in ten at 300 ms: the classic that tools get wrong by inventing samples."""
    with Server(slow_s=0.3) as server:
        loaded = load(tmp, server.url("/every-tenth-slow"), seconds=3, connections=10)
        check_consistent(loaded)
        assert loaded.load["p50_ms"] < 30 and loaded.load["p75_ms"] < 60, loaded.load
        check_near(loaded.load["p99_ms"], 310, 20, "p99")


def test_open_loop_keeps_the_rate(tmp):
    with Server() as server:
        loaded = load(tmp, server.url("/ok"), seconds=2, connections=8, rate=300)
        check_consistent(loaded)
        assert loaded.load["mode"] == "open" and len(loaded.rows) == len(server.requests) == 600
        starts = sorted(row["start"] for row in loaded.rows)
        gaps = [after - before for before, after in zip(starts, starts[1:])]
        assert max(gaps) - min(gaps) <= 2, "due at even distances"
        assert loaded.load["unsent"] == 0


def test_open_loop_counts_the_wait(tmp):
    """A server that stands still for 1 s of 3: users who came in meanwhile waited, and the percentiles say so."""
    frozen = (time.monotonic() + 1.2, time.monotonic() + 2.2)
    with Server(frozen=frozen) as server:
        loaded = load(tmp, server.url("/ok"), seconds=3, connections=4, rate=100)
        check_consistent(loaded)
        assert len(loaded.rows) == 300, len(loaded.rows)
        waits = sorted((max(0, frozen[1] - row["start"] / 1e9) if row["start"] / 1e9 > frozen[0] else 0)
                       for row in loaded.rows)
        for name, q in (("p75_ms", 0.75), ("p90_ms", 0.9), ("p99_ms", 0.99)):
            check_near(loaded.load[name], waits[math.ceil(q * 300) - 1] * 1e3, 60, name)
        assert loaded.load["service_p90_ms"] < 100, "what the connections saw hides it"


def test_open_loop_beyond_capacity(tmp):
    """More than the server can: nothing is left out, what was never sent is told."""
    with Server(slow_s=0.1) as server:
        loaded = load(tmp, server.url("/slow"), seconds=2, connections=2, rate=100, timeout="1s")
        check_consistent(loaded)
        assert len(loaded.rows) == 200, len(loaded.rows)
        assert len(server.requests) < 45
        assert len(of(loaded.rows, "timeout")) > 50 and loaded.load["unsent"] > 50, loaded.load
        assert loaded.load["p90_ms"] > 900, loaded.load
        starts = {row["start"] for row in loaded.rows}
        assert len(starts) == 200


def test_bad_options(tmp):
    cases = [({"url": "https://127.0.0.1/"}, "https is not supported yet"),
             ({"url": "127.0.0.1:80"}, "does not begin with http://"),
             ({"url": "http://127.0.0.1/a b"}, "as %XX"),
             ({"url": "http://127.0.0.1/", "headers": "nonsense"}, "Name: value"),
             ({"url": "http://127.0.0.1/", "headers": "Content-Length: 3"}, "length of the body"),
             ({"url": "http://127.0.0.1/", "method": "A B"}, "option method"),
             ({"url": "http://no-such-host.invalid/"}, "looking up no-such-host.invalid")]
    for options, text in cases:
        config = tmp / "bad.ini"
        config.write_text(f"[run]\nduration = 1s\noutput = {tmp}\n[plugin:load-test]\n" +
                          "".join(f"{key} = {value}\n" for key, value in options.items()))
        result = profcore("-c", config)
        assert result.code not in (0, 5) and result.code > 0, (options, result.code)
        check_in(text, result.err)


if __name__ == "__main__":
    harness.main(__name__)

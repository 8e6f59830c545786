#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""load-test beside wrk, hey and ab (those installed): are the percentiles true, and what does a request cost the client?

    bench_load.py [truth] [cost] [schedule]       all three without arguments; PROFCORE_BUILD names the build folder

truth     a server that holds one answer in ten for 500 ms, 20 connections; the truth is an exact client that keeps every value
cost      64 connections on the demo backend's /health, rounds of the tools in turn; CPU us a request of the whole client
schedule  open loop: how late requests leave, and what share of p50 that is
"""

import math
import pathlib
import re
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))

import harness
import load_servers
import test_load_test


def nearest_rank(values, q):
    return sorted(values)[max(1, math.ceil(q * len(values) - 1e-6)) - 1]


def exact_client(port, path, seconds, connections):
    """Closed loop, every latency kept; ms."""
    deadline = time.monotonic() + seconds
    latencies = []
    request = f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()

    def one():
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < deadline:
                began = time.monotonic()
                sock.sendall(request)
                sock.recv(65536)  # these answers come in one piece
                latencies.append((time.monotonic() - began) * 1e3)

    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


def children_cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(argv, seconds):
    """Run a tool: its output, and the CPU that it took, in seconds."""
    before = children_cpu_s()
    result = harness.run(argv, timeout=seconds + 60)
    return result.out + result.err, children_cpu_s() - before


def loaded(url, seconds, **options):
    with tempfile.TemporaryDirectory(prefix="profcore-bench-") as folder:
        before = children_cpu_s()
        result = test_load_test.load(pathlib.Path(folder), url, seconds=seconds, rows=False, **options)
        assert result.code == 0, result.err
        return result.load, children_cpu_s() - before


def milliseconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit]


def wrk(url, seconds, connections):
    text, cpu_s = measured(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url], seconds)
    found = {int(q): milliseconds(value) for q, value in re.findall(r"^ +(\d+)% +(\S+)$", text, re.M)}
    return found, int(re.search(r"(\d+) requests in", text).group(1)), cpu_s


def hey(url, seconds, connections):
    text, cpu_s = measured(["hey", "-c", str(connections), "-z", f"{seconds}s", url], seconds)
    found = {int(q): float(value) * 1e3 for q, value in re.findall(r"(\d+)%+ in ([0-9.]+) secs", text)}
    return found, sum(map(int, re.findall(r"\[\d+\]\s+(\d+) responses", text))), cpu_s


def ab(url, seconds, connections):
    text, cpu_s = measured(["ab", "-k", "-q", "-t", str(seconds), "-n", "10000000", "-c", str(connections), url], seconds)
    found = {int(q): float(value) for q, value in re.findall(r"^ +(\d+)% +(\d+)", text, re.M)}
    return found, int(re.search(r"Complete requests: +(\d+)", text).group(1)), cpu_s


RIVALS = {"wrk": wrk, "hey": hey, "ab": ab}


def rivals():
    return {name: tool for name, tool in RIVALS.items() if shutil.which(name)}


def show_line(name, values):
    print(f"  {name:34}" + "".join(f"{value:>11.3f}" if value is not None else f"{'-':>11}" for value in values), flush=True)


def truth(seconds=8, connections=20):
    quantiles = (50, 75, 99)
    print(f"truth: 10 % of answers at 500 ms, {connections} connections, {seconds} s; ms")
    print("  " + " " * 34 + "".join(f"{'p' + str(q):>11}" for q in quantiles))
    with load_servers.Server(slow_s=0.5) as server:
        url = server.url("/every-tenth-slow")
        exact = exact_client(server.port, "/every-tenth-slow", seconds, connections)
        show_line("exact client", [nearest_rank(exact, q / 100) for q in quantiles])
        ours, unused_cpu = loaded(url, seconds, connections=connections)
        show_line("profcore load-test", [ours[f"p{q}_ms"] for q in quantiles])
        for name, tool in rivals().items():
            found = tool(url, seconds, connections)[0]
            show_line(name, [found.get(q) for q in quantiles])
    return abs(ours["p50_ms"] - nearest_rank(exact, 0.5)) < 5 and abs(ours["p99_ms"] / nearest_rank(exact, 0.99) - 1) < 0.01


def cost(seconds=3, connections=64, rounds=5):
    print(f"cost: /health, {connections} connections, {rounds} rounds of {seconds} s in turn; medians")
    print("  " + " " * 34 + f"{'req/s':>11}{'CPU us/req':>11}{'p50 ms':>11}{'p99 ms':>11}")
    found = {}
    with harness.Backend() as backend:
        url = backend.url("/health")
        for _ in range(rounds):
            ours, cpu_s = loaded(url, seconds, connections=connections)
            client_us = ours["client_cpu_pct"] * 1e4 * ours["duration_s"] / ours["requests"]
            row = [ours["rps"], cpu_s * 1e6 / ours["requests"], ours["p50_ms"], ours["p99_ms"]]
            found.setdefault("profcore, all processes", []).append(row)
            found.setdefault("profcore, client thread", []).append([row[0], client_us, *row[2:]])
            for name, tool in rivals().items():
                quantiles, requests, cpu_s = tool(url, seconds, connections)
                found.setdefault(name, []).append(
                    [requests / seconds, cpu_s * 1e6 / requests, quantiles.get(50, math.nan), quantiles.get(99, math.nan)])
    for name, rows in found.items():
        show_line(name, [statistics.median(column) for column in zip(*rows)])
    return True


def schedule(seconds=3):
    print("schedule: open loop on /health, 64 connections; ms")
    print("  " + " " * 34 + f"{'late p50':>11}{'late p99':>11}{'p50':>11}{'of it late':>11}")
    with harness.Backend() as backend:
        for rate in (1000, 5000, 20000):
            ours, unused_cpu = loaded(backend.url("/health"), seconds, connections=64, rate=rate)
            show_line(f"{rate}/s wanted, {ours['rate_sent']:.0f}/s sent",
                      [ours["send_late_p50_ms"], ours["send_late_p99_ms"], ours["p50_ms"],
                       ours["send_late_p50_ms"] / ours["p50_ms"]])
    return True


def main():
    wanted = sys.argv[1:] or ["truth", "cost", "schedule"]
    passed = [{"truth": truth, "cost": cost, "schedule": schedule}[name]() for name in wanted]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()

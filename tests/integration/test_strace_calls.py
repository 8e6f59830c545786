#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""strace, call by call: each back-end against what a program says it did, and against strace -c -f on real commands."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import harness

CONFIG = """\
[run]
name     = calls
duration = {duration}
output   = {out}

[target]
{target}

[plugin:strace]
calls = all
{options}
"""

# What does not return cannot be counted by its return: strace -c leaves it out too.
NO_RETURN = {"exit", "exit_group"}


class Run:
    """One run of strace: rows of `calls` summed over processes, facts, slow calls, threads."""

    def __init__(self, tmp, target, backend, options="", duration="20s", code=0, cwd=None):
        out = pathlib.Path(tmp) / f"out-{backend}"
        config = pathlib.Path(tmp) / f"{backend}.ini"
        config.write_text(CONFIG.format(out=out, target=target, duration=duration,
                                        options=f"backend = {backend}\n{options}"))
        self.result = harness.profcore("-c", config, "--json", cwd=cwd)
        self.folder = (out / "latest").resolve()
        if code is not None:
            self.result.expect(code)
        if self.result.code == 0:
            self.read()

    def read(self):
        shown = harness.profcore_json("artifact", "show", self.folder, "strace.syscalls", "--json")
        self.facts, self.lost, self.tables = shown["facts"], shown["lost"], shown["tables"]
        self.rows = [row for row in self.tables["calls"] if row["name"] not in NO_RETURN]

    def count(self, name, abi="native"):
        return sum(row["calls"] for row in self.rows if row["name"] == name and row["abi"] == abi)

    def counts(self):
        """(calls, errors) by name."""
        sums = collections.defaultdict(lambda: [0, 0])
        for row in self.rows:
            sums[row["name"]][0] += row["calls"]
            sums[row["name"]][1] += row["errors"]
        return {name: tuple(sums[name]) for name in sums if sums[name][0]}


TRACEPOINTS = pathlib.Path("/sys/kernel/tracing/events/raw_syscalls")


def works(backend):
    """Whether this machine lets us."""
    need = {"ptrace": "/proc", "perf": TRACEPOINTS, "bpf": "/sys/kernel/btf/vmlinux"}[backend]
    return backend == "ptrace" or (os.geteuid() == 0 and pathlib.Path(need).exists())


def see_tracepoints():
    """Where tracefs is not mounted, mount it in a mount namespace of our own, and run there."""
    if os.geteuid() == 0 and not TRACEPOINTS.exists() and "STRACE_TEST_UNSHARED" not in os.environ:
        os.environ["STRACE_TEST_UNSHARED"] = "1"
        with contextlib.suppress(OSError):
            os.execvp("unshare", ["unshare", "--mount", "sh", "-c", "mount -t tracefs nodev /sys/kernel/tracing; exec \"$0\" \"$@\"",
                                  sys.executable, *sys.argv])


see_tracepoints()
BACKENDS = [backend for backend in ("ptrace", "perf", "bpf") if works(backend)]


def command(*words):
    return "command = " + " ".join(shlex.quote(str(word)) for word in words)


def syscalls(**counts):
    return command(harness.workload("syscalls"), *[f"{name}={count}" for name, count in counts.items()])


def strace_counts(tmp, words, cwd=None):
    """(calls, errors) by name, of strace -c -f. Its output goes to a file, as profcore lets the target's go."""
    harness.need_tool("strace")
    report = pathlib.Path(tmp) / "strace.txt"
    with open(pathlib.Path(tmp) / "strace.out", "w") as out:
        # What a background shell started ignores some signals; profcore's target does not, and a program that asks makes other calls.
        subprocess.run(["env", "--default-signal", "strace", "-c", "-f", "-o", report, *map(str, words)],
                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, timeout=60)
    counts = {}
    for line in report.read_text().splitlines():
        match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(\d+)?\s*(\w+)$", line)
        if match and match[3] != "total":
            counts[match[3]] = (int(match[1]), int(match[2] or 0))
    return counts


# ---- what a program says it did ----


def test_counts_are_the_programs_own(tmp):
    """Threads and children included, errors by name, 32-bit numbers told apart."""
    for backend in BACKENDS:
        run = Run(tmp, syscalls(reads=301, writes=202, fails=53, pids=404, compat=105, threads=3, children=2), backend)
        assert run.count("getppid") == 404, run.counts()
        assert run.count("getppid", abi="i386") == 105, run.counts()
        assert run.facts["compat_calls"] == 105, run.facts
        zeros = [row for row in run.rows if row["name"] == "read"]
        assert sum(row["calls"] for row in zeros) >= 301 + 3 * 10, zeros
        assert run.count("semget") == 0, "a 32-bit number was read as a 64-bit one"
        enoent = [row for row in run.tables["errors"] if row["error"] == "ENOENT"
                  and run.tables["calls"][row["call"]]["name"] == "openat"]
        assert sum(row["count"] for row in enoent) >= 53, run.tables["errors"]
        assert len({row["pid"] for row in run.rows}) == 3, "two children and their parent"
        assert len(run.tables["threads"]) == 3 + 3, run.tables["threads"]
        assert run.lost == {} and run.facts["unmatched"] == 0, (run.lost, run.facts)


def test_files_are_the_programs_own(tmp):
    """Calls and bytes by file and by peer: all back-ends say the same, of connections that live for one exchange too."""
    script = tmp / "talk.py"
    script.write_text("import os, socket\n"
                      "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); port = s.getsockname()[1]\n"
                      "for i in range(7):\n"
                      "    c = socket.create_connection(('127.0.0.1', port)); p, _ = s.accept()\n"
                      "    c.sendall(b'x' * 100); assert p.recv(1000) == b'x' * 100\n"
                      "    p.close(); c.close()\n"
                      "fd = os.open(os.path.abspath(__file__), os.O_RDONLY)\n"
                      "for i in range(150): os.pread(fd, 10, 0)\n"
                      "os.write(1, str(port).encode())\n")
    for backend in BACKENDS:
        run = Run(tmp, syscalls(reads=301, writes=202, syncs=4, dsyncs=6, polls=9), backend)
        files = {row["name"]: row for row in run.tables["files"]}
        if backend == "perf": # it names descriptors later, when short-lived ones are gone
            assert sum(row["small"] for row in files.values()) >= 301 + 202, files
            assert sum(row["syncs"] for row in files.values()) == 4, files
            continue
        assert files["/dev/zero"]["reads"] == 301 == files["/dev/zero"]["read_bytes"] == files["/dev/zero"]["small"], files
        assert files["/dev/null"]["writes"] == 202 == files["/dev/null"]["written_bytes"], files
        assert sum(row["syncs"] for row in files.values()) == 4, files
        synced = {row["name"].rpartition("/")[2].partition("-")[0]: row["sync_writes"] for row in files.values() if row["sync_writes"]}
        assert synced == {"dsyncs": 6}, files
        assert sum(row["zeros"] for row in run.rows if row["name"] == "poll") == 9, run.rows
        run = Run(tmp, command(sys.executable, "-S", "-E", script), backend, duration="30s")
        port = (run.folder / "logs" / "target.log").read_text().strip()
        rows = run.tables["files"]
        accepted = [row for row in rows if row["name"].startswith(f"TCP 127.0.0.1:{port}<-")]
        connected = [row for row in rows if row["name"].endswith(f"->127.0.0.1:{port}")]
        assert sum(row["read_bytes"] for row in accepted) == 700 and len(accepted) == 7, (backend, rows)
        assert sum(row["written_bytes"] for row in connected) == 700, (backend, rows)
        mine = next(row for row in rows if row["name"] == str(script))
        assert mine["reads"] >= 150 and mine["small"] >= 150, (backend, mine)


def test_sleeps_are_waits(tmp):
    for backend in BACKENDS:
        run = Run(tmp, syscalls(sleeps=20), backend, "slow = 2ms")
        row = next(row for row in run.rows if row["name"] in ("clock_nanosleep", "nanosleep"))
        assert row["calls"] == 20, row
        assert row["waits"] == 20, row
        assert row["blocked_ns"] >= 20 * 4.9e6, row
        assert row["blocked_ns"] <= row["total_ns"], row
        slow = [call for call in run.tables["slow"] if call["name"] == row["name"]]
        assert len(slow) == 20, len(slow)
        assert all("0.005000000s" in call["arguments"] for call in slow) or backend != "ptrace", slow[:2]


def test_exec_of_a_thread_is_followed(tmp):
    for backend in BACKENDS:
        run = Run(tmp, syscalls(restart=1), backend)
        assert run.count("getppid") == 3, run.counts()
        assert run.count("execve") == 2, run.counts()


def test_a_32_bit_program(tmp):
    """Its numbers mean other calls; strace agrees."""
    program = harness.workload("calls32")
    if not program.exists():
        harness.skip("gcc -m32", "this compiler makes no 32-bit code")
    for backend in BACKENDS:
        run = Run(tmp, command(program), backend)
        counts = {row["name"]: (row["calls"], row["errors"]) for row in run.rows if row["abi"] == "i386"}
        assert counts == {"getppid": (40, 0), "write": (30, 0), "open": (20, 20)}, (backend, run.counts())
        assert run.count("semget") == 0 and run.count("stat") == 0, run.counts()
        assert run.facts["compat_calls"] == 90, (backend, run.facts)


# ---- what strace says ----


def commands(tmp):
    """Real programs whose calls are the same every time."""
    (tmp / "text").write_text("".join(f"line {i} of some text\n" for i in range(500)))
    folder = tmp / "tree"
    for i in range(10):
        (folder / f"d{i}").mkdir(parents=True)
        for j in range(5):
            (folder / f"d{i}" / f"f{j}.c").write_text(f"int f{i}{j};\n")
    repository = tmp / "repository"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C", repository]
    subprocess.run(["git", "init", "-q", repository], check=True)
    (repository / "a").write_text("a\n")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    database = tmp / "base.sqlite"
    subprocess.run(["sqlite3", database, "create table t(a); insert into t values (1), (2);"], check=True)
    text = tmp / "text"
    return [
        ["/bin/true"],
        ["/bin/ls", "-lR", folder],
        ["/bin/cat", text],
        ["/usr/bin/find", folder, "-name", "*.c"],
        ["/bin/tar", "-cf", "/dev/null", folder],
        ["/bin/grep", "-r", "f33", folder],
        ["/usr/bin/sort", "-r", text],
        ["/usr/bin/wc", text],
        ["/usr/bin/du", "-s", folder],
        ["/usr/bin/sha256sum", text],
        ["/bin/gzip", "-c", text],
        ["/usr/bin/head", "-n", "3", text],
        ["/bin/sed", "s/line/row/", text],
        ["/usr/bin/awk", "{ n += $2 } END { print n }", text],
        ["/usr/bin/find", folder, "-maxdepth", "0", "-exec", "/bin/true", ";", "-exec", "/bin/echo", "{}", ";"],
        ["/usr/bin/env", "-i", "/bin/date", "+%Y"],
        ["/usr/bin/git", "-C", repository, "log", "--oneline"],
        ["/usr/bin/git", "-C", repository, "cat-file", "-p", "HEAD"],
        ["/usr/bin/sqlite3", database, "select sum(a) from t"],
        ["/usr/bin/python3", "-S", "-E", "-c", "print(sum(range(10)))"],
        ["/usr/bin/stat", text],
        ["/usr/bin/diff", text, folder / "d0" / "f0.c"],
        ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200"],
    ]


def different(ours, theirs):
    """The names whose numbers differ, with both."""
    return {name: (ours.get(name), theirs.get(name)) for name in set(ours) | set(theirs)
            if ours.get(name) != theirs.get(name)}


def test_counts_are_those_of_strace(tmp):
    """On real commands, names and errors too. A command that differs from itself under strace is no measure: it is told apart."""
    agreed, unsteady = 0, []
    for words in commands(tmp):
        if not pathlib.Path(words[0]).exists():
            continue
        first = strace_counts(tmp, words)
        for backend in BACKENDS:
            ours = Run(tmp, command(*words), backend, code=None)
            assert ours.result.code in (0, 1), ours.result.describe()
            ours.read()
            if different(ours.counts(), first):
                again = Run(tmp, command(*words), backend)
                change = different(first, strace_counts(tmp, words)) or different(ours.counts(), again.counts())
                if change:
                    unsteady.append((words[0], change))
                    continue
            assert not different(ours.counts(), first), f"{backend} on {words}: {different(ours.counts(), first)}"
            agreed += 1
    print(f"# {agreed} runs agree with strace -c -f on every call; unsteady by themselves: {unsteady}")
    assert agreed >= 20 * len(BACKENDS), (agreed, unsteady)


test_counts_are_those_of_strace.timeout = 240


def test_a_full_ring_is_told(tmp):
    """perf: what did not fit is counted, and the run is not complete."""
    if "perf" not in BACKENDS:
        harness.skip("tracefs", "no raw_syscalls tracepoints to be seen here")
    run = Run(tmp, syscalls(pids=300000), "perf", "ring = 64KiB")
    seen = run.count("getppid")
    assert seen <= 300000, seen
    if seen < 300000: # a machine that is never late loses nothing
        assert run.lost.get("ring_full", 0) >= 300000 - seen, (run.lost, seen)
    print(f"# {seen} of 300,000 calls, losses {run.lost}, unmatched {run.facts['unmatched']}")


# ---- a target that is attached to ----


@contextlib.contextmanager
def started(*words):
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def status_of(pid, field):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{field}:\s*(.*)$", text, flags=re.M)[1]


def test_bursts_leave_the_target_as_it_was(tmp):
    """Attached to by ptrace for a small part of the time; it answers everything, and nobody traces it afterwards."""
    with harness.Backend("--work-us", "500") as backend:
        load = subprocess.Popen([sys.executable, "-c", f"import harness, sys\n"
                                 f"b = harness.Backend(); b.port = {backend.port}\n"
                                 f"print(b.hammer('/slow', seconds=3, connections=2))"],
                                cwd=pathlib.Path(__file__).parent, stdout=subprocess.PIPE, text=True)
        run = Run(tmp, f"pid = {backend.pid}", "ptrace", duration="2s")
        answered = int(load.communicate(timeout=30)[0])
        assert answered > 10, answered
        assert status_of(backend.pid, "TracerPid") == "0"
        assert 0 < run.facts["observed_pct"] < 60, run.facts
        assert run.facts["bursts"] >= 1, run.facts
        assert sum(row["calls"] for row in run.rows) > 0, run.rows
        assert backend.get("/health").status == 200


def test_a_killed_stage_lets_the_target_go(tmp):
    """SIGKILL of the tracer in the middle: the target runs on, untraced, and the run says what it lost."""
    with started(harness.workload("syscalls"), "sleeps=2000") as target:
        config = tmp / "killed.ini"
        config.write_text(CONFIG.format(out=tmp / "out", target=f"pid = {target.pid}", duration="20s",
                                        options="backend = ptrace\nduty = 100"))
        run = subprocess.Popen([harness.profcore_path(), "-c", config], stderr=subprocess.PIPE, text=True)
        harness.wait_until(lambda: status_of(target.pid, "TracerPid") != "0", 15, "it is traced")
        os.kill(int(status_of(target.pid, "TracerPid")), signal.SIGKILL)
        harness.wait_until(lambda: status_of(target.pid, "TracerPid") == "0", 10, "it is let go")
        time.sleep(0.2)
        assert target.poll() is None, "the target died with its tracer"
        assert status_of(target.pid, "State").split()[0] not in "tT", status_of(target.pid, "State")
        err = run.communicate(timeout=30)[1]
        assert run.returncode == 1, (run.returncode, err)


def test_a_busy_target_is_refused_full_time(tmp):
    """With what it would cost; force = yes does it."""
    with started(harness.workload("syscalls"), "pids=2000000000") as target:
        refused = Run(tmp, f"pid = {target.pid}", "ptrace", "duty = 100", duration="1s", code=None).result
        assert refused.code not in (0, 99), refused.describe()
        harness.check_in("force = yes", refused.err)
        assert re.search(r"makes \d+ system calls a second", refused.err), refused.err
        assert status_of(target.pid, "TracerPid") == "0"
        forced = Run(tmp, f"pid = {target.pid}", "ptrace", "duty = 100\nforce = yes", duration="1s")
        assert forced.facts["observed_pct"] == 100, forced.facts
        assert forced.count("getppid") > 1000, forced.counts()
        assert target.poll() is None and status_of(target.pid, "TracerPid") == "0"


def test_one_tracer_at_a_time(tmp):
    harness.need_tool("strace")
    with started(harness.workload("sleeper"), "60") as target:
        with started("strace", "-o", "/dev/null", "-p", target.pid):
            harness.wait_until(lambda: status_of(target.pid, "TracerPid") != "0", 10, "strace is attached")
            refused = Run(tmp, f"pid = {target.pid}", "ptrace", duration="1s", code=None).result
        assert refused.code not in (0, 99), refused.describe()
        harness.check_in("traced already", refused.err)
        assert target.poll() is None


def test_a_stopped_target_stays_stopped(tmp):
    """SIGSTOP of a traced command holds until SIGCONT, as without a tracer."""
    config = tmp / "stop.ini"
    config.write_text(CONFIG.format(out=tmp / "out", target=syscalls(stop=1), duration="20s", options="backend = ptrace"))
    run = subprocess.Popen([harness.profcore_path(), "-c", config, "-q"], stderr=subprocess.PIPE, text=True)

    def stopped():
        found = subprocess.run(["pgrep", "-f", f"^{harness.workload('syscalls')} stop=1"], capture_output=True, text=True)
        for pid in map(int, found.stdout.split()):
            with contextlib.suppress(OSError):
                if status_of(pid, "State").split()[0] in "tT" and status_of(pid, "TracerPid") != "0":
                    return pid
        return 0

    harness.wait_until(stopped, 15, "it has stopped itself")
    time.sleep(0.3)
    pid = stopped()
    assert pid, "it went on by itself"
    assert run.poll() is None
    os.kill(pid, signal.SIGCONT)
    err = run.communicate(timeout=20)[1]
    assert run.returncode == 0, err


# ---- with less than all privileges ----


def as_nobody(tmp, config, *words):
    """profcore as a user without privileges, on a folder that it may write."""
    if os.geteuid() != 0:
        return harness.profcore("-c", config, "--json")
    harness.need_tool("setpriv")
    for path in [tmp, *tmp.rglob("*")]:
        os.chown(path, 65534, 65534)
    return harness.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", harness.profcore_path(), "-c", config,
                        "--json"], cwd=tmp)


def write_config(tmp, target, options, duration="5s"):
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(out=tmp / "out", target=target, duration=duration, options=options))
    return config


def test_without_privileges_ptrace_is_left(tmp):
    """auto says what it could not use and why, and counts all the same."""
    result = as_nobody(tmp, write_config(tmp, syscalls(pids=50), "backend = auto")).ok()
    run = Run.__new__(Run)
    run.folder = (tmp / "out" / "latest").resolve()
    run.read()
    assert run.facts["backend"] == "ptrace", run.facts
    assert run.count("getppid") == 50, run.counts()
    for words in ["continuing without the back-end bpf", "continuing without the back-end perf",
                  "auto came to ptrace"]:
        harness.check_in(words, result.err)


def test_without_privileges_others_are_refused(tmp):
    """Another user's process, and a back-end that needs more: each with what would help."""
    if os.geteuid() != 0:
        harness.skip("root", "to be two users")
    with started(harness.workload("sleeper"), "60") as target:
        refused = as_nobody(tmp, write_config(tmp, f"pid = {target.pid}", "backend = ptrace"))
        assert refused.code not in (0, 99), refused.describe()
        assert re.search(r"cap_sys_ptrace|as root", refused.err), refused.err
    refused = as_nobody(tmp, write_config(tmp, syscalls(pids=5), "backend = perf"))
    assert refused.code not in (0, 99), refused.describe()
    assert re.search(r"CAP_PERFMON|tracefs|perf_event_paranoid|run as root", refused.err), refused.err


def test_under_a_seccomp_filter(tmp):
    """As in a container: without bpf and perf_event_open ptrace is left; without ptrace too there is nothing, said with a remedy."""
    without = harness.workload("without")
    config = write_config(tmp, syscalls(pids=50), "backend = auto")
    result = harness.run([without, "bpf", "perf_event_open", "--", harness.profcore_path(), "-c", config]).ok()
    harness.check_in("continuing without the back-end perf", result.err)
    run = Run.__new__(Run)
    run.folder = (tmp / "out" / "latest").resolve()
    run.read()
    assert run.facts["backend"] == "ptrace" and run.count("getppid") == 50, (run.facts, run.counts())
    refused = harness.run([without, "bpf", "perf_event_open", "ptrace", "--", harness.profcore_path(), "-c", config])
    assert refused.code not in (0, 99), refused.describe()
    harness.check_in("SYS_PTRACE", refused.err)


def test_the_plan_warns_of_ptrace_beside_a_cpu_profile(tmp):
    config = tmp / "both.ini"
    for backend, warns in [("ptrace", True), ("bpf", False)]:
        config.write_text(CONFIG.format(out=tmp / "out", target=command("/bin/true"), duration="1s",
                                        options=f"backend = {backend}\n\n[plugin:perf-cpu]\n"))
        result = harness.profcore("plan", "-c", config).ok()
        assert ("strace slows the target down while perf-cpu measures its CPU" in result.err + result.out) == warns, result


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""strace.txt: what it says of a program whose calls are known, and that it can be read at 100 columns."""

import json
import pathlib
import re
import sys

import harness

CONFIG = """\
[run]
name     = report
duration = 20s
output   = {out}

[target]
command = {command}

[plugin:strace]
backend  = ptrace
calls    = all
min_wait = 2ms
slow     = 2ms

[plugin:report]

[plugin:analyze]
"""


def report_of(tmp, command):
    config = tmp / "run.ini"
    config.write_text(CONFIG.format(out=tmp / "out", command=command))
    harness.profcore("-c", config, cwd=tmp).ok()
    folder = (tmp / "out" / "latest").resolve()
    return folder, (folder / "strace.txt").read_text()


def section(text, title):
    """The lines below a heading that begins with title, up to the next heading."""
    match = re.search(rf"^{re.escape(title)}[^\n]*\n=+\n\n(.*?)(?=\n\n[^\n]+\n=+\n|\Z)", text, flags=re.M | re.S)
    assert match, f"no section {title!r} in\n{text}"
    return match[1].splitlines()


def row_of(lines, name):
    for line in lines:
        if line.split() and line.split()[-1] == name:
            return line.split()
    raise AssertionError(f"no row {name!r} in {lines}")


def test_the_text_says_what_the_program_did(tmp):
    """Counts, errors, bytes, syncs, the small-reads pattern, sleeps with arguments and stack."""
    command = f"{harness.workload('syscalls')} reads=700 writes=300 fails=41 sleeps=4 syncs=5 compat=3"
    folder, text = report_of(tmp, command)
    calls = section(text, "System calls by time")
    fails = row_of(calls, "openat")
    assert "ENOENT" in fails and any(int(word.replace(",", "")) >= 41 for word in fails if word.replace(",", "").isdigit()), fails
    assert int(row_of(calls, "fsync")[2].replace(",", "")) == 5, row_of(calls, "fsync")
    harness.check_in("getppid (i386)", "\n".join(calls))
    files = section(text, "Files, pipes")
    zero = row_of(files, "/dev/zero")
    assert "700" in zero and "700 B" in " ".join(zero), zero
    null = row_of(files, "/dev/null")
    assert "300" in null, null
    small = "\n".join(section(text, "Many small reads and writes"))
    harness.check_in("700 of 700", small)
    harness.check_in("300 of 300", small)
    slow = "\n".join(section(text, "Slowest calls"))
    assert re.search(r"nanosleep\((CLOCK_REALTIME, 0, )?0\.005000000s", slow), slow
    waits = section(text, "Waits by system call")
    assert re.search(r"nanosleep", "\n".join(waits)), waits
    stacks = "\n".join(section(text, "Time off the CPU by stack"))
    harness.check_in("main  [syscalls]", stacks)
    assert "ptrace" in text.split("System calls by time")[0]
    links = list((tmp / "out").glob("strace_*.txt"))
    assert len(links) == 1 and links[0].resolve() == folder / "strace.txt", links


def test_findings_of_files_and_failures(tmp):
    """analyze names the file that is read in small pieces, and the call that mostly fails."""
    folder, _ = report_of(tmp, f"{harness.workload('syscalls')} reads=4000 fails=4000")
    findings = {finding["kind"]: finding for finding in json.loads((folder / "report.json").read_text())["findings"]}
    small = findings["small_io"]
    assert small["title"].startswith("/dev/zero is read or written in many small pieces"), small
    assert "4,000 reads" in small["evidence"], small
    failing = findings["failing_calls"]
    assert re.match(r"openat fails 4,0\d\d of 4,0\d\d times, mostly with ENOENT", failing["title"]), failing


def findings_of(folder, kind):
    return [finding for finding in json.loads((folder / "report.json").read_text())["findings"] if finding["kind"] == kind]


def test_findings_of_writes_that_wait_for_the_disk(tmp):
    """fsync after fsync, and a file opened with O_DSYNC, told apart by the evidence."""
    folder, text = report_of(tmp, f"{harness.workload('syscalls')} syncs=300")
    (syncs,) = findings_of(folder, "syncs")
    assert re.match(r"\S+/syscalls-\d+ is forced to the disk again and again: ", syncs["title"]), syncs
    harness.check_in("300 writes, 300 syncs", syncs["evidence"])
    assert "O_DSYNC" not in syncs["evidence"], syncs
    folder, _ = report_of(tmp, f"{harness.workload('syscalls')} dsyncs=300")
    (syncs,) = findings_of(folder, "syncs")
    assert re.match(r"\S+/dsyncs-\d+ is forced to the disk again and again: ", syncs["title"]), syncs
    harness.check_in("300 of the writes wait for the disk each, for the file was opened with O_SYNC or O_DSYNC", syncs["evidence"])


def test_findings_of_polling(tmp):
    """Each of the three loops that ask in vain is named with its count; a program that sleeps a few times is none."""
    folder, _ = report_of(tmp, f"{harness.workload('syscalls')} sleeps=150 polls=300 agains=5000")
    titles = sorted(finding["title"] for finding in findings_of(folder, "polling"))
    for title, name, count in zip(titles, ("clock_nanosleep", "poll", "read"), ("150", "300", "5,000"), strict=True):
        assert title.startswith(f"{name} ") and f"{count} times" in title, titles
    folder, _ = report_of(tmp, f"{harness.workload('syscalls')} sleeps=20 reads=5000")
    assert findings_of(folder, "polling") == []


CONNECT = """\
import socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
for i in range(150):
    c = socket.create_connection(s.getsockname()); s.accept()[0].close(); c.close()
"""


def test_finding_of_connections(tmp):
    """How often connections are opened, and how long that takes."""
    script = tmp / "connect.py"
    script.write_text(CONNECT)
    folder, _ = report_of(tmp, f"{sys.executable} -S -E {script}")
    (connect,) = findings_of(folder, "connect")
    assert re.match(r"Connections are opened 15\d times, which takes \S+ \S+", connect["title"]), connect
    harness.check_in("connect: p50 ", connect["evidence"])


# A network and a /etc/resolv.conf of its own, a name server that takes 5 ms to answer, and a program that asks it.
NAMES = """\
import ctypes, fcntl, os, signal, socket, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x40000000 | 0x00020000) == 0
assert libc.mount(None, b"/", None, 0x44000, None) == 0
open("resolv.conf", "w").write("nameserver 127.0.0.1\\noptions attempts:1 timeout:5\\n")
open("nsswitch.conf", "w").write("hosts: dns\\n")
for name in (b"resolv.conf", b"nsswitch.conf"):
    assert libc.mount(os.path.abspath(name), b"/etc/" + name, None, 4096, None) == 0
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))
s.bind(("127.0.0.1", 53))
child = os.fork()
if child:
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    question, peer = s.recvfrom(512)
    if os.getppid() == 1: break
    end = question.index(b"\\0", 12) + 5
    time.sleep(0.005)
    s.sendto(question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question[12:end]
             + struct.pack(">HHHIH4B", 0xc00c, 1, 1, 60, 4, 10, 0, 0, 1), peer)
"""


def test_findings_of_name_lookups(tmp):
    """The name server by its address though each question has a socket of its own; and who waits for it, by stack."""
    harness.need("root")
    script = tmp / "names.py"
    script.write_text(NAMES)
    folder, text = report_of(tmp, f"{sys.executable} -S -E {script} {harness.workload('syscalls')} names=100")
    titles = [finding["title"] for finding in findings_of(folder, "dns")]
    assert any(title.startswith("UDP to 127.0.0.1:53 is asked for names: ") for title in titles), titles
    assert any(re.match("ask_for_names waits for host names to be looked up: ", title) for title in titles), titles
    harness.check_in("UDP to 127.0.0.1:53", "\n".join(section(text, "Sockets by peer")))


def test_peers_are_named(tmp):
    """Both ends of connections on the loopback, whose local ports differ, fall together by service."""
    script = tmp / "talk.py"
    script.write_text("import socket\n"
                      "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); port = s.getsockname()[1]\n"
                      "for i in range(5):\n"
                      "    c = socket.create_connection(('127.0.0.1', port)); p, _ = s.accept()\n"
                      "    c.sendall(b'x' * 100); assert p.recv(1000) == b'x' * 100\n"
                      "    p.close(); c.close()\n"
                      "print(port)\n")
    _, text = report_of(tmp, f"{sys.executable} -S -E {script}")
    peers = "\n".join(section(text, "Sockets by peer"))
    assert re.search(r" 5  +500 B  +TCP to 127\.0\.0\.1:\d+", peers), peers
    assert re.search(r" 5  +500 B  .* TCP at 127\.0\.0\.1:\d+", peers), peers


def test_lines_fit(tmp):
    """100 columns, whatever names the target has; control characters never reach the text."""
    folder = tmp / ("long-" * 30)
    folder.mkdir()
    evil = folder / "\x1b[31mred\nline"
    evil.write_text("x" * 10)
    config = tmp / "script.py"
    config.write_text(f"f = open({str(evil)!r}, 'rb', buffering=0)\nfor i in range(200): f.seek(0); f.read(1)\n")
    _, text = report_of(tmp, f"{sys.executable} -S -E {config}")
    long = [line for line in text.splitlines() if len(line) > 100]
    assert not long, long
    assert "\x1b" not in text


def test_rings_are_a_blind_spot_that_is_told(tmp):
    """A program that uses io_uring: its operations are no calls, and the text says so at its top."""
    script = tmp / "ring.py"
    script.write_text("import ctypes\n"
                      "libc = ctypes.CDLL(None, use_errno=True)\n"
                      "params = ctypes.create_string_buffer(120)\n"
                      "for i in range(3): libc.syscall(425, 4, params)\n")
    _, text = report_of(tmp, f"{sys.executable} -S -E {script}")
    harness.check_in("!! io_uring_setup was called 3 times", text)
    assert "io_uring" not in report_of(tmp, "/bin/true")[1].split("own cost")[0].replace("io_uring ops", "")


def test_nothing_waited(tmp):
    """No stack, no slow call: the text is there and says so by having no such section."""
    _, text = report_of(tmp, "/bin/true")
    assert "System calls by time" in text
    assert "lost           0" in text, text


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: MIT
"""What people see on a terminal: live lines that never wrap and leave no halves, plain lines where there is none; and runs that end
before they began to measure."""

import fcntl
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import termios
import threading
import time

import harness

LONG = "a-collector-with-quite-a-long-name-indeed"[:40]
ESCAPE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")
LIVE = re.compile(r"profcore: [0-9.]+ of [0-9.]+ s$|  \S")


class Screen:
    """As much of a terminal as profcore uses. All rows that ever were are kept; the cursor reaches the last `height` only."""

    def __init__(self, columns, height=24):
        self.columns = columns
        self.height = height
        self.rows = [""]
        self.row = self.column = 0
        self.wrapped = set()  # numbers of rows that text ran over
        self.wrapped_live = []

    def put(self, letter):
        if self.column == self.columns:
            if LIVE.match(self.rows[self.row]) and self.row not in self.wrapped:
                self.wrapped_live.append(self.rows[self.row])
            self.newline()
            self.column = 0
            self.wrapped.add(self.row)
        line = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = line[:self.column] + letter + line[self.column + 1:]
        self.column += 1

    def newline(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def feed(self, text):
        at = 0
        while at < len(text):
            escape = ESCAPE.match(text, at)
            if escape:
                number, what = escape.groups()
                if what == "A":
                    top = max(0, len(self.rows) - self.height)
                    self.row = max(top, self.row - int(number or 1))
                elif what == "K":
                    assert number == "2", escape
                    self.rows[self.row] = ""
                else:
                    assert what == "m", f"unknown escape {escape.group()!r}"
                at = escape.end()
                continue
            letter = text[at]
            at += 1
            if letter == "\n":
                self.newline()
            elif letter == "\r":
                self.column = 0
            else:
                assert letter.isprintable(), f"{letter!r} on the terminal"
                self.put(letter)
        return self


def on_terminal(argv, columns=80, rows=24, env=None, cwd=None, seconds=60):
    """Run with a terminal as stderr; (exit code, stdout, what came to the terminal)."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    environment.update({"TERM": "xterm"}, **(env or {}))
    seen = []

    def read():
        while True:
            try:
                data = os.read(main, 65536)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            seen.append(data)

    process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=other, env=environment, cwd=cwd, start_new_session=True)
    os.close(other)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        out, _ = process.communicate(timeout=seconds)
    finally:
        harness.kill_group(process.pid)
        process.wait()
        reader.join()
        os.close(main)
    return process.returncode, out.decode(), b"".join(seen).decode()


def config(tmp, more="", target=None, duration="1500ms"):
    path = tmp / "c.ini"
    path.write_text(f"[run]\nname = shown\nduration = {duration}\n[target]\n{target or f'pid = {os.getpid()}'}\n"
                    f"[plugin:null]\n{more}")
    return path


def stages(count):
    return f"[plugin:{LONG}]\nuse = null\n" + "".join(f"[plugin:n{i}]\nuse = null\n" for i in range(count))


def check_last_picture(screen, names):
    """The last state stands there once, whole, and nothing of those before."""
    heads = [i for i, row in enumerate(screen.rows) if re.match(r"profcore: [0-9.]+ of [0-9.]+ s$", row)]
    assert len(heads) == 1, screen.rows
    assert screen.rows[heads[0]] == "profcore: 1.5 of 1.5 s", screen.rows
    below = screen.rows[heads[0] + 1:heads[0] + 1 + len(names)]
    for name, row in zip(names, below):
        harness.check_in(name[:30], row)
    for name in names:
        assert sum(row.startswith(f"  {name[:30]}") for row in screen.rows) == 1, screen.rows


def test_narrow_terminal(tmp):
    code, _, text = on_terminal([harness.profcore_path(), "-c", config(tmp, stages(3))], columns=40, cwd=tmp)
    screen = Screen(40).feed(text)
    assert code == 0, text
    assert text.count("\x1b[2K") >= 5 * 3, "lines were drawn again"
    assert not screen.wrapped_live, screen.wrapped_live
    check_last_picture(screen, ["null", LONG, "n0", "n1", "n2"])


def test_wide_terminal(tmp):
    code, _, text = on_terminal([harness.profcore_path(), "-c", config(tmp, stages(1))], columns=200, cwd=tmp)
    screen = Screen(200).feed(text)
    assert code == 0 and not screen.wrapped, text
    check_last_picture(screen, ["null", LONG, "n0"])
    row = next(row for row in screen.rows if row.startswith(f"  {LONG}"))
    assert re.search(r" [0-9]+ ticks$", row), f"not cut where there is room: {row!r}"


def test_a_width_that_nobody_knows(tmp):
    code, _, text = on_terminal([harness.profcore_path(), "-c", config(tmp, stages(1))], columns=0, cwd=tmp)
    screen = Screen(80).feed(text)
    assert code == 0 and not screen.wrapped_live, text
    check_last_picture(screen, ["null", LONG, "n0"])


def test_more_stages_than_the_terminal_has_rows(tmp):
    code, _, text = on_terminal([harness.profcore_path(), "-c", config(tmp, stages(9))], rows=8, cwd=tmp)
    screen = Screen(80, 8).feed(text)
    assert code == 0, text
    harness.check_in("  and 6 more", text)
    check_last_picture(screen, ["null", LONG] + [f"n{i}" for i in range(9)])


def test_log_lines_leave_no_halves(tmp):
    plugin = harness.build_dir() / "tests" / "plugins" / "flood-log.so"
    path = config(tmp, stages(1) + f"[plugin:loud]\nuse = {plugin}\n")
    for columns in (40, 200):
        code, _, text = on_terminal([harness.profcore_path(), "-c", path, "-v"], columns=columns, cwd=tmp)
        screen = Screen(columns).feed(text)
        assert code == 0, text[-2000:]
        assert not screen.wrapped_live, screen.wrapped_live
        check_last_picture(screen, ["null", LONG, "n0", "loud"])
        said = [i for i, row in enumerate(screen.rows) if "the same" in row]
        assert len(said) > 10
        for i in said[:-1]:
            whole = "".join(screen.rows[i:i + 6])
            harness.check_in("and a second one", whole)


def test_dumb_terminal_and_pipe_get_plain_lines(tmp):
    path = config(tmp, duration="5500ms")
    code, _, text = on_terminal([harness.profcore_path(), "-c", path], env={"TERM": "dumb", "NO_COLOR": "1"}, cwd=tmp)
    assert code == 0 and "\x1b" not in text, text
    lines = text.replace("\r\n", "\n").split("\n")
    assert sum(re.match(r"profcore: [0-9.]+ of 5.5 s$", line) is not None for line in lines) == 2, lines
    err = harness.profcore("-c", config(tmp), cwd=tmp).ok().err
    assert "\x1b" not in err and "profcore: 1.5 of 1.5 s\n" in err, err


def test_colour_on_a_terminal_only_and_never_with_no_color(tmp):
    path = tmp / "bad.ini"
    path.write_text("[plugin:nil]\n")
    argv = [harness.profcore_path(), "check", "-c", path]
    code, _, text = on_terminal(argv)
    assert code == 2 and re.search(r"\x1b\[[0-9;]+m", text), text
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, _, text = on_terminal(argv, env=env)
        assert code == 2 and "error" in text and "\x1b" not in text, (env, text)
    assert "\x1b" not in harness.run(argv).expect(2).err
    path = config(tmp)
    code, _, text = on_terminal([harness.profcore_path(), "-c", path], env={"NO_COLOR": "1"}, cwd=tmp)
    assert code == 0 and not re.search(r"\x1b\[[0-9;]*m", text), text


def test_quiet_shows_nothing(tmp):
    code, _, text = on_terminal([harness.profcore_path(), "-c", config(tmp), "-q"], cwd=tmp)
    assert code == 0 and text == "", text


def members_of(session):
    """Processes of a session that are not dead: (pid, command)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                head, tail = file.read().rsplit(")", 1)
        except OSError:
            continue
        fields = tail.split()
        if int(fields[3]) == session and fields[0] != "Z":
            found.append((int(pid), head))
    return found


def mention(text):
    """Processes whose command line holds the text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if text.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            continue
    return found


def check_given_up(tmp, number):
    """A signal before the window: 130, a sealed manifest, no process left."""
    mark = f"{3000 + os.getpid() % 1000}.{number}"
    path = config(tmp, target=f"command = sleep {mark}\nready = 60s")
    process = subprocess.Popen([str(harness.profcore_path()), "-c", str(path)], cwd=tmp, start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    harness.wait_until(lambda: mention(f"sleep\0{mark}"), 20, "the target")
    harness.wait_until(lambda: list((tmp / "profiling").glob("*/manifest.json")), 20, "the manifest")
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, (process.returncode, err)
    assert time.monotonic() - began < 20
    manifest = json.loads(next((tmp / "profiling").glob("*/manifest.json")).read_text())
    assert manifest["phase"] == "sealed" and manifest["exit_code"] == 130, manifest
    assert manifest["status"] != "complete"
    harness.wait_until(lambda: not members_of(process.pid), 5, f"the end of {members_of(process.pid)}")
    assert not mention(f"sleep\0{mark}"), "the target is still there"


def test_terminated_before_the_window(tmp):
    check_given_up(tmp, signal.SIGTERM)


def test_interrupted_before_the_window(tmp):
    check_given_up(tmp, signal.SIGINT)


def test_descriptors_run_out(tmp):
    """Of 20 descriptors a run of six stages cannot be made: one clear error, no success, and the folder tells the same."""
    path = config(tmp, stages(6), duration="500ms")
    shell = [str(harness.profcore_path()), "-c", str(path)]
    process = subprocess.run(shell, cwd=tmp, capture_output=True, text=True, timeout=60,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)))
    assert process.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT) and process.returncode > 0, process
    harness.check_in("open files", process.stderr.lower())
    for path in (tmp / "profiling").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        assert manifest["phase"] == "sealed" and manifest["status"] != "complete", manifest


if __name__ == "__main__":
    harness.main(__name__)

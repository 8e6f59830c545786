#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""probe_one.py PID FILE FUNCTION OFFSET SECONDS: one uprobe on a program that runs, a counter of the kernel's uprobe PMU and
nothing behind it. Prints how often each of its threads came past; exit code 1: none did."""

import ctypes
import os
import pathlib
import struct
import subprocess
import sys
import time

SYS_PERF_EVENT_OPEN = 298  # x86-64


def file_offset(path, function):
    """Of a function, by the dynamic symbols and the program headers."""
    names = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout.splitlines()
    address = next(int(line.split()[0], 16) for line in names if line.split()[-1].split("@")[0] == function)
    header = pathlib.Path(path).read_bytes()[:4096]
    begin, size, count = struct.unpack_from("<Q", header, 32)[0], *struct.unpack_from("<HH", header, 54)
    for i in range(count):
        kind, _, offset, virtual, _, bytes_here = struct.unpack_from("<IIQQQQ", header, begin + i * size)
        if kind == 1 and virtual <= address < virtual + bytes_here:
            return address - virtual + offset
    raise SystemExit(f"{function} is in no segment of {path}")


def open_counter(tid, path, offset):
    kind = int(pathlib.Path("/sys/bus/event_source/devices/uprobe/type").read_text())
    name = ctypes.create_string_buffer(os.fsencode(path))
    attr = struct.pack("<IIQQQQQIIQQ40x", kind, 112, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), offset)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYS_PERF_EVENT_OPEN, attr, tid, -1, -1, 8)
    if fd < 0:
        raise SystemExit(f"a probe at {path}+{offset:#x}: {os.strerror(ctypes.get_errno())}")
    return fd


def main():
    pid, path, function, offset, seconds = sys.argv[1:]
    place = file_offset(path, function) + int(offset)
    tids = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    counters = [open_counter(tid, path, place) for tid in tids]
    time.sleep(float(seconds))
    hits = [struct.unpack("<Q", os.read(fd, 8))[0] for fd in counters]
    print(dict(zip(tids, hits)))
    return 0 if any(hits) else 1


if __name__ == "__main__":
    sys.exit(main())

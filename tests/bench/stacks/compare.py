#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py RESOLVE FILE [COUNT [SHOWN]]: sets RESOLVE (tests/bench/stacks/resolve) beside llvm-symbolizer on COUNT random
addresses of FILE's text: chains of function names, their lengths, and lines. Prints the agreement in percent. A FILE.cc
(templates.cc) is compiled first, by $CXX with $CXXFLAGS.

One difference is told apart: functions that a compiler found equal and made one. DWARF describes the one that was kept, and
the symbol table has the names of all at that address; llvm-symbolizer takes one of those, we what DWARF says."""
import bisect
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time


def text_addresses(path, count):
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    row = re.search(r"\] \.text +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", out)
    start, size = int(row.group(1), 16), int(row.group(2), 16)
    rng = random.Random(1)
    return sorted({start + rng.randrange(size) for _ in range(count)})


def plain(name):
    name = re.sub(r"(\.(cold|part|isra|constprop|llvm|lto_priv)(\.[0-9A-F]+)*)+$", "", name)
    name = re.sub(r"( \[clone [^]]*\])+$", "", name)
    name = re.sub(r" \((\.(cold|part|isra|constprop|llvm|lto_priv)(\.[0-9A-F]+)*)+\)$", "", name)
    return re.sub(r"::h[0-9a-f]{16}$", "", name)


def demangled(names):
    out = subprocess.run(["c++filt", "-i"], input="\n".join(names), capture_output=True, text=True, check=True)
    return [plain(line) for line in out.stdout.split("\n")]


def compiled(source, folder):
    program = os.path.join(folder, "program")
    flags = os.environ.get("CXXFLAGS", "-O2").split()
    subprocess.run([os.environ.get("CXX", "g++"), "-std=c++17", "-g", *flags, "-o", program, source], check=True)
    return program


class Symbols:
    """The names that the symbol table has for the function at an address."""

    def __init__(self, path):
        out = subprocess.run(["nm", "--defined-only", path], capture_output=True, text=True, check=True).stdout
        rows = [line.split(" ", 2) for line in out.splitlines() if line.split(" ", 2)[1] in "tTwWiuU"]
        self.names = {}
        for (start, _, _), name in zip(rows, demangled([row[2] for row in rows])):
            self.names.setdefault(int(start, 16), set()).add(plain(name))
        self.starts = sorted(self.names)

    def at(self, address):
        return self.names[self.starts[max(0, bisect.bisect_right(self.starts, address) - 1)]]


def folded(ours, theirs, names):
    """Only the function itself differs, and both names are its."""
    return len(ours) == len(theirs) and ours[:-1] == theirs[:-1] and {ours[-1], theirs[-1]} <= names


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = sys.argv[2]
        return compare(sys.argv[1], compiled(path, folder) if path.endswith(".cc") else path)


def compare(tool, path):
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    shown = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    addresses = text_addresses(path, count)
    text = "\n".join(hex(a) for a in addresses) + "\n"
    mine = {}
    run = subprocess.run([tool, path], input=text, capture_output=True, text=True, check=True)
    print("ours:", run.stderr.strip())
    for line in run.stdout.splitlines():
        fields = line.split("\t")
        mine[int(fields[0], 16)] = [re.match(r"(.*)@(.*):(\d+)$", f).groups() for f in fields[1:]]
    began = time.monotonic()
    theirs = subprocess.run(["llvm-symbolizer", "--no-demangle", "--inlines", "--output-style=JSON", "-e", path],
                            input=text, capture_output=True, text=True, check=True).stdout
    print("llvm-symbolizer: %.0f ms" % ((time.monotonic() - began) * 1000))
    rows = [json.loads(line) for line in theirs.splitlines() if line.strip()]
    names = demangled([s["FunctionName"] for r in rows for s in r["Symbol"]])
    symbols = Symbols(path)
    at = same = same_names = same_lines = one = 0
    for row in rows:
        address = int(row["Address"], 16)
        chain = []
        for symbol in row["Symbol"]:
            # Without a line the file is a guess from the symbol table (STT_FILE): not what DWARF says.
            chain.append((names[at], symbol["FileName"] if symbol["Line"] else "", symbol["Line"]))
            at += 1
        ours = [(n, f if l != "0" else "", int(l)) for n, f, l in mine.get(address, [])]
        our_names, their_names = [plain(n) for n, _, _ in ours], [n for n, _, _ in chain]
        name_ok = our_names == their_names
        line_ok = [(os.path.basename(f), l) for _, f, l in ours] == [(os.path.basename(f), l) for _, f, l in chain]
        same_names += name_ok
        same_lines += line_ok
        same += name_ok and line_ok
        if line_ok and not name_ok and folded(our_names, their_names, symbols.at(address)):
            one += 1
        elif not (name_ok and line_ok) and shown > 0:
            shown -= 1
            print(hex(address), "\n   ours ", ours, "\n   llvm ", chain)
    total = len(rows)
    print("of %d: chains of names agree %.2f %%, lines %.2f %%, both %.2f %%; with the other name of a folded function %.2f %%" % (
        total, 100 * same_names / total, 100 * same_lines / total, 100 * same / total, 100 * (same + one) / total))
    return 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where names come from: one small program in many shapes (stripped, with its debug information elsewhere, packed, damaged),
all of them run at once under one perf-cpu; each module is judged by what its shape can give."""

import contextlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import harness
from test_perf_cpu import Profile

SECONDS = 2

PROGRAM = """
#include <stdlib.h>
#include <time.h>
static volatile unsigned long sink;
static inline __attribute__((always_inline)) void folded_in(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		sink += i;
}
static __attribute__((noinline)) void not_exported(void)
{
	folded_in(100000);
	__asm__ volatile("");
}
int main(int argc, char **argv)
{
	struct timespec now, start;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		not_exported();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9 < atof(argv[1]));
	return 0;
}
"""

ALL_AT_ONCE = "import subprocess\nfor child in [subprocess.Popen([path, '{}']) for path in {}]:\n    child.wait()\n"


def tool(*argv, **options):
    subprocess.run([str(word) for word in argv], check=True, timeout=60, **options)


class Shapes:
    """The program's copies below a folder."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("cc", "objcopy", "strip", "nm"):
            harness.need_tool(name)
        (folder / "hot.c").write_text(PROGRAM)
        self.full = self.compile("full")
        self.anonymous = self.compile("no_build_id", "-Wl,--build-id=none")

    def compile(self, name, *options):
        path = self.folder / name
        tool("cc", "-O2", "-g", *options, "-o", path, self.folder / "hot.c")
        return path

    def stripped(self, name, source=None, *, in_folder="."):
        path = self.folder / in_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tool("strip", "-o", path, source or self.full)
        return path

    def with_debug_link(self, name, debug_folder, source=None, damage=b""):
        """A folder of its own for each: the debug file lies beside or below."""
        path = self.stripped(name, source, in_folder=f"of_{name}")
        debug = path.parent / (name + ".debug")
        tool("objcopy", "--only-keep-debug", source or self.full, debug)
        tool("objcopy", f"--add-gnu-debuglink={debug}", path)
        target = path.parent / debug_folder / debug.name
        target.parent.mkdir(exist_ok=True)
        if target != debug:
            debug.rename(target)
        with target.open("ab") as file:
            file.write(damage)
        return path

    def with_mini_debug_info(self, name):
        harness.need_tool("xz")
        symbols = self.folder / "mini.symbols"
        lines = subprocess.run(["nm", "--format=posix", "--defined-only", self.full], check=True, capture_output=True,
                               text=True).stdout.splitlines()
        symbols.write_text("".join(line.split()[0] + "\n" for line in lines if line.split()[1] in "tT"))
        debug, mini = self.folder / "mini.debug", self.folder / "mini"
        tool("objcopy", "--only-keep-debug", self.full, debug)
        tool("objcopy", "-S", "--remove-section", ".comment", f"--keep-symbols={symbols}", debug, mini)
        tool("xz", "-f", mini)
        path = self.stripped(name)
        tool("objcopy", "--add-section", f".gnu_debugdata={mini}.xz", path)
        return path

    def packed(self, name, method):
        path = self.folder / name
        done = subprocess.run(["objcopy", f"--compress-debug-sections={method}", self.full, path], capture_output=True)
        return path if done.returncode == 0 else None

    def without_sections(self, name):
        """What packers for small systems do: no section headers at all."""
        path = self.stripped(name)
        data = bytearray(path.read_bytes())
        data[0x28:0x30] = bytes(8)
        data[0x3c:0x40] = bytes(4)
        path.write_bytes(data)
        return path


def functions_by_module(profile):
    """file name -> function -> weight of the samples whose innermost user frame is in it; and chains by file name."""
    strings = [row["text"] for row in profile.tables["strings"]]
    frames = {}
    for row in profile.tables["frames"]:
        frames.setdefault(row["location"], []).append((strings[row["function"]], strings[row["file"]], row["line"]))
    found = {}
    for sample in profile.tables["samples"]:
        chain = []
        module = ""
        for row in profile.frames(sample["stack"]):
            location = profile.tables["locations"][row["location"]]
            name = os.path.basename(strings[profile.tables["modules"][location["module"]]["path"]])
            if module == "" and name.startswith(("full", "no_", "s_")):
                module = name
            if name == module:
                chain += reversed(frames[row["location"]])
        if module:
            found.setdefault(module, []).append(chain)
    return found


def share(chains, wanted):
    """Of chains that begin with these functions."""
    hits = sum(tuple(frame[0] for frame in chain[:len(wanted)]) == tuple(wanted) for chain in chains)
    return hits / len(chains)


WITH_LINES = ("folded_in", "not_exported", "main")
WITH_SYMBOLS = ("not_exported", "main")


def check_starts(profile, full, name):
    """What has no name is told apart by where its function begins: as nm says of the program before it was stripped."""
    lines = subprocess.run(["nm", "--format=posix", full], check=True, capture_output=True, text=True).stdout.splitlines()
    starts = {line.split()[0]: int(line.split()[2], 16) for line in lines if line.split()[0] in ("main", "not_exported")}
    strings = [row["text"] for row in profile.tables["strings"]]
    seen = set()
    for row in profile.tables["frames"]:
        location = profile.tables["locations"][row["location"]]
        path = strings[profile.tables["modules"][location["module"]]["path"]]
        if os.path.basename(path) == name and row["function"] == 0:
            seen.add(row["start"])
    assert set(starts.values()) <= seen, f"{name}: {seen}, wanted {starts}"
    assert len(seen) <= len(starts) + 3, f"{name}: {seen}: one row an address?"  # _start and the like may be seen


def test_every_shape_gives_what_it_has(tmp):
    shapes = Shapes(tmp)
    expected = {
        shapes.full: WITH_LINES,
        shapes.stripped("s_bare"): None,
        shapes.with_debug_link("s_beside", "."): WITH_LINES,
        shapes.with_debug_link("s_below", ".debug"): WITH_LINES,
        shapes.with_debug_link("s_checksum", ".", shapes.anonymous): WITH_LINES,
        shapes.with_debug_link("s_other_build", ".", shapes.anonymous, damage=b"x"): None,
        shapes.without_sections("s_no_sections"): None,
        shapes.packed("s_zlib", "zlib"): WITH_LINES,
        shapes.packed("s_zstd", "zstd"): WITH_LINES,
    }
    expected[shapes.with_mini_debug_info("s_mini")] = WITH_SYMBOLS
    expected.pop(None, None)  # an objcopy that does not know zstd
    launcher = tmp / "launcher.py"
    launcher.write_text(ALL_AT_ONCE.format(SECONDS, [str(path) for path in expected]))
    profile = Profile(tmp, f"{sys.executable} {launcher}", "frequency = 1999", duration="20s")
    if profile.facts.get("files_not_opened", 0) > 0:
        # Said, not silent; opening has two seconds, which a machine with ten other test suites may not give. Once more then.
        print(f"# not opened: {profile.facts['files_not_opened']}, once more")
        profile = Profile(tmp, f"{sys.executable} {launcher}", "frequency = 1999", duration="20s")
    found = functions_by_module(profile)
    for path, chain in expected.items():
        chains = found[path.name]
        assert len(chains) > 50, f"{path.name}: {len(chains)} samples"
        if chain is not None:
            seen = share(chains, chain)
            assert seen > 0.9, f"{path.name}: {seen:.3f} begin with {chain}; {chains[:3]}; {profile.facts}; {profile.log}"
            if chain is WITH_LINES:
                assert all(frame[1].endswith("hot.c") and frame[2] > 0 for chain in chains for frame in chain[:2]
                           if frame[0] in WITH_LINES), f"{path.name}: {chains[0]}"
        else:
            assert not any(frame[0] in WITH_LINES for chain in chains for frame in chain), chains[0]
    check_starts(profile, shapes.full, "s_bare")
    facts = profile.facts
    assert facts["files_debug_mismatched"] == 1, facts
    assert facts["files_with_mini_debug_info"] == 1, facts
    assert "s_other_build: its separate debug file belongs to another build" in profile.log, profile.log
    # The shape of a file changes names, never how far its stacks are walked.
    assert facts["rooted_pct"] > 99, facts


RUST = """
#[inline(always)]
fn folded_in(n: u64) -> u64 { let mut s = 0u64; for i in 0..n { s = std::hint::black_box(s.wrapping_add(i)); } s }
#[inline(never)]
fn kept(n: u64) -> u64 { folded_in(n) }
fn main() {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
    let mut s = 0u64;
    while std::time::Instant::now() < end { s = s.wrapping_add(kept(100000)); }
    std::hint::black_box(s);
}
"""


@contextlib.contextmanager
def server_of_debug_files(files, delay=0.0):
    """What a debuginfod does: /buildid/ID/debuginfo. Yields its URL and the paths that were asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            time.sleep(delay)
            data = files.get(self.path)
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_debug_files_from_a_server(tmp):
    """Asked only where DEBUGINFOD_URLS names one; what it sends must be of this build; it cannot hold the run up."""
    if not list(pathlib.Path("/usr/lib").glob("*/libdebuginfod.so.1")):
        harness.skip("tool", "libdebuginfod is not installed")
    shapes = Shapes(tmp)
    path = shapes.stripped("s_served")
    tool("objcopy", "--only-keep-debug", shapes.full, tmp / "served.debug")
    notes = subprocess.run(["readelf", "-n", path], check=True, capture_output=True, text=True).stdout
    place = "/buildid/" + re.search(r"Build ID: ([0-9a-f]+)", notes).group(1) + "/debuginfo"
    debug = (tmp / "served.debug").read_bytes()
    (tmp / "other.c").write_text(PROGRAM.replace("not_exported", "of_another_build"))
    tool("cc", "-O2", "-g", "-o", tmp / "other", tmp / "other.c")
    cases = {"served": ({place: debug}, 0), "of another build": ({place: (tmp / "other").read_bytes()}, 0), "none": ({}, 0),
             "slow": ({place: debug}, 60)}
    for name, (files, delay) in cases.items():
        with server_of_debug_files(files, delay) as (url, asked):
            os.environ.update(DEBUGINFOD_URLS=url, DEBUGINFOD_CACHE_PATH=str(tmp / f"cache {name}"), PROFCORE__RUN__CACHE="no")
            try:
                start = time.monotonic()
                profile = Profile(tmp, f"{path} 1", "frequency = 1999")
                took = time.monotonic() - start
            finally:
                del os.environ["DEBUGINFOD_URLS"], os.environ["DEBUGINFOD_CACHE_PATH"], os.environ["PROFCORE__RUN__CACHE"]
        chains = functions_by_module(profile)["s_served"]
        assert place in asked, (name, asked)
        if name == "served":
            assert share(chains, WITH_LINES) > 0.9, (chains[:3], profile.facts, profile.log)
            assert profile.facts["files_fetched"] >= 1, profile.facts
        else:
            assert not any(frame[0] in WITH_LINES or "another" in frame[0] for chain in chains for frame in chain), (name, chains[0])
            assert "files_fetched" not in profile.facts, (name, profile.facts)
        if name == "slow":
            harness.check_in("the servers of debug files took too long", profile.log)
            assert took < 40, took  # the server would have taken a minute for each
    with server_of_debug_files({place: debug}) as (url, asked):
        Profile(tmp, f"{path} 0.3", "frequency = 1999")
    assert not asked, asked


def test_debug_information_that_was_split_off(tmp):
    """Entries in .dwo beside the program or in its .dwp, of DWARF 5 and 4; without them the lines are still the program's."""
    shapes = Shapes(tmp)
    expected = {}
    for version in (5, 4):
        for kind in ("beside", "packed", "missing", "stale"):
            folder = tmp / f"{kind}{version}"
            folder.mkdir()
            path = folder / f"s_{kind}{version}"
            tool("cc", "-O2", f"-gdwarf-{version}", "-gsplit-dwarf", "-o", path.name, shapes.folder / "hot.c", cwd=folder)
            dwo = next(folder.glob("*.dwo"))
            if kind == "packed":
                harness.need_tool("llvm-dwp")
                tool("llvm-dwp", "-e", path.name, "-o", path.name + ".dwp", cwd=folder)
            if kind == "stale":  # of another build: the numbers differ
                tool("cc", "-O1", f"-gdwarf-{version}", "-gsplit-dwarf", "-c", "-o", "other.o", shapes.folder / "hot.c", cwd=folder)
                (folder / "other.dwo").rename(dwo)
            elif kind != "beside":
                dwo.unlink()
            expected[path] = WITH_LINES if kind in ("beside", "packed") else WITH_SYMBOLS
    launcher = tmp / "launcher.py"
    launcher.write_text(ALL_AT_ONCE.format(SECONDS, [str(path) for path in expected]))
    profile = Profile(tmp, f"{sys.executable} {launcher}", "frequency = 1999", duration="20s")
    found = functions_by_module(profile)
    for path, chain in expected.items():
        chains = found[path.name]
        assert len(chains) > 50, f"{path.name}: {len(chains)} samples"
        assert share(chains, chain) > 0.9, f"{path.name}: {chains[:3]}; {profile.facts}; {profile.log}"
        lines = [frame for chain in chains for frame in chain[:1] if frame[0] in WITH_LINES]
        with_line = sum(frame[1].endswith("hot.c") and frame[2] > 0 for frame in lines)
        assert with_line > 0.9 * len(lines), f"{path.name}: {with_line} of {len(lines)}: {lines[:3]}"
        if chain is WITH_SYMBOLS:
            assert not any(frame[0] == "folded_in" for chain in chains for frame in chain), chains[0]
    assert profile.facts["units_without_split_file"] == 2, profile.facts  # that of another build is there
    # rustc writes the form before DWARF 5.
    (tmp / "hot.rs").write_text(RUST)
    for kind in ("unpacked", "packed"):
        (tmp / kind).mkdir()
        tool(harness.need_tool("rustc"), "-O", "-g", "-C", f"split-debuginfo={kind}", "-o", f"no_{kind}", "../hot.rs", cwd=tmp / kind)
    launcher.write_text(ALL_AT_ONCE.format(SECONDS, [str(tmp / kind / f"no_{kind}") for kind in ("unpacked", "packed")]))
    rust = functions_by_module(Profile(tmp, f"{sys.executable} {launcher}", "frequency = 1999", duration="20s"))
    for kind in ("no_unpacked", "no_packed"):
        inlined = sum(any(frame[0].endswith("::folded_in") for frame in chain) for chain in rust[kind])
        assert inlined > 0.9 * len(rust[kind]) > 50, f"{kind}: {inlined} of {len(rust[kind])}: {rust[kind][:2]}"
    harness.check_in("s_missing5: split debug information (.dwo, .dwp) is not beside it", profile.log)


def test_a_link_is_called_as_it_was_started(tmp):
    """Debian's redis-server is a link to redis-check-rdb. Functions without a name are one row each, by where they begin."""
    shapes = Shapes(tmp)
    path = shapes.stripped("real_file", in_folder="bin")
    (tmp / "bin" / "known_name").symlink_to("real_file")
    profile = Profile(tmp, f"{tmp}/bin/known_name {SECONDS}", "frequency = 1999\n[plugin:report]")
    assert profile.facts["started_as"] == f"{path} as known_name", profile.facts
    text = next(profile.folder.glob("perf_report*.txt")).read_text()
    harness.check_in("started as       " + str(path)[:40], text)
    assert 0 <= profile.facts["stacks_with_pointers_pct"] <= profile.facts["frames_with_pointer_pct"] <= 100, profile.facts
    harness.check_in("frame pointers   kept by ", text)
    rows = [line for line in text.splitlines() if re.search(r"\bknown_name\+0x[0-9a-f]+", line)]
    assert rows and "real_file+0x" not in text, text
    hot = [line for line in rows if re.match(r"\s*9[0-9]\.\d", line)]
    assert hot, f"the loop is not one row: {rows}"
    assert profile.facts["unknown_placed_pct"] > 0.5 * profile.facts["unknown_pct"] > 10, profile.facts
    # A script is called as its file, which is no name of the interpreter.
    script = tmp / "bin" / "a_script"
    script.write_text(f"#!{sys.executable}\nimport time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\n")
    script.chmod(0o755)
    profile = Profile(tmp, f"{script}", "frequency = 1999")
    assert "started_as" not in profile.facts, profile.facts


def profile_of_pid(tmp, pid, during, seconds=2):
    config = tmp / "pid.ini"
    config.write_text(f"[run]\nduration = {seconds}s\noutput = {tmp}/out\n[target]\npid = {pid}\n[plugin:perf-cpu]\nfrequency = 1999\n")
    process = subprocess.Popen([harness.profcore_path(), "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    during()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return Profile.of_run(tmp)


def test_files_deleted_or_replaced_while_mapped(tmp):
    """A program whose file is gone, or another by now, before the run and in the window: names are those of what runs."""
    harness.need("root")  # the mapping itself leads to the file for root only
    shapes = Shapes(tmp)
    other = tmp / "other.c"
    other.write_text(PROGRAM.replace("not_exported", "of_another_build").replace("folded_in", "also_another"))
    tool("cc", "-O2", "-g", "-o", tmp / "other", other)
    for name, before, during in (("full_deleted", True, False), ("full_replaced", False, True)):
        path = tmp / name
        shutil.copy(shapes.full, path)
        target = subprocess.Popen([path, "30"])

        def change():
            path.unlink()
            shutil.copy(tmp / "other", path)

        def in_window():
            harness.wait_until(lambda: (tmp / "out" / "latest" / "manifest.json").exists()
                               and '"window"' in (tmp / "out" / "latest" / "manifest.json").read_text(), 20, "the window")
            change()

        try:
            if before:
                change()
            profile = profile_of_pid(tmp, target.pid, in_window if during else lambda: None)
        finally:
            target.kill()
            target.wait()
        chains = [chain for module, chains in functions_by_module(profile).items() if module.startswith(name) for chain in chains]
        assert len(chains) > 50, (name, profile.facts)
        assert share(chains, WITH_LINES) > 0.9, (name, chains[:3], profile.facts, profile.log)
        assert not any("another" in frame[0] for chain in chains for frame in chain), (name, chains[:3])
        assert profile.facts["rooted_pct"] > 99, profile.facts
        shutil.rmtree(tmp / "out")


def frames_by_address(profile):
    """(path, address): its frames."""
    strings, modules, locations = (profile.tables[name] for name in ("strings", "modules", "locations"))
    found = {}
    for row in profile.tables["frames"]:
        place = locations[row["location"]]
        key = (strings[modules[place["module"]]["path"]]["text"], place["address"])
        found.setdefault(key, []).append((strings[row["function"]]["text"], strings[row["file"]]["text"], row["line"]))
    return found


def test_a_second_run_takes_names_from_the_first(tmp):
    """... from a folder of our own alone, made anew where it is damaged; the same names each time."""
    cache = tmp / "cache" / "profcore"
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache.parent)

    def profile(*options):
        return Profile(tmp, f"{harness.workload('deep')} 1 50", "frequency = 1999" + "".join(options), duration="20s")

    try:
        cold = profile()
        assert "names_from_cache" not in cold.facts and cold.facts["files_with_lines"] >= 1, cold.facts
        files = sorted(cache.iterdir())
        assert files and cache.stat().st_mode & 0o777 == 0o700 and all(file.stat().st_mode & 0o777 == 0o600 for file in files), files
        warm = profile()
        assert warm.facts["names_from_cache"] > 0 and warm.facts["files_with_lines"] == cold.facts["files_with_lines"], warm.facts
        first, second = frames_by_address(cold), frames_by_address(warm)
        both = [key for key in first if key in second]
        assert len(both) > 5 and all(first[key] == second[key] for key in both), (len(both), first, second)
        for file in cache.iterdir():
            file.write_bytes(file.read_bytes()[:-9] + b"\0" * 9)
        damaged = profile()
        assert "names_from_cache" not in damaged.facts and "damaged" in damaged.log, (damaged.facts, damaged.log)
        assert profile().facts["names_from_cache"] > 0
        cache.chmod(0o777)
        refused = profile()
        assert "names_from_cache" not in refused.facts and "others may write" in refused.log, (refused.facts, refused.log)
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


SCRIPT = """
function countDown(n) { return n < 2 ? n : countDown(n - 1) + countDown(n - 2); }
function work() { let sum = 0; for (let i = 0; i < 100; i++) sum += countDown(18); return sum; }
const end = Date.now() + %d;
let sum = 0;
while (Date.now() < end) sum += work();
"""


def test_just_in_time_code_of_node(tmp):
    """V8 says what it compiled in /tmp/perf-PID.map; its frames are walked by their frame pointers."""
    node = os.path.realpath(harness.need_tool("node"))
    (tmp / "hot.js").write_text(SCRIPT % (SECONDS * 1000))
    profile = Profile(tmp, f"{node} --perf-basic-prof --logfile={tmp}/v8.log --no-logfile-per-isolate {tmp}/hot.js", "frequency = 1999", duration="20s")
    functions = profile.function_of()
    inner = within = 0
    for sample in profile.tables["samples"]:
        names = [functions[row["location"]] for row in profile.frames(sample["stack"])]
        inner += bool(names) and "countDown" in names[0]
        within += bool(names) and "countDown" in names[0] and sum("hot.js" in name for name in names) > 1
        os.path.exists(f"/tmp/perf-{sample['pid']}.map") and os.unlink(f"/tmp/perf-{sample['pid']}.map")
    count = len(profile.tables["samples"])
    assert inner > 0.4 * count, f"{inner} of {count} samples are in countDown"
    assert within > 0.9 * inner, f"{within} of {inner} have a caller in the script"
    assert profile.facts["perf_maps"] == 1 and profile.facts["rooted_pct"] > 95, profile.facts
    assert profile.facts["unknown_pct"] < 2, profile.facts


def test_dump_of_a_just_in_time_compiler(tmp):
    """With --perf-prof, V8 maps a dump of what it compiled. It is found by that mapping, and read when the process has gone."""
    node = os.path.realpath(harness.need_tool("node"))
    (tmp / "hot.js").write_text(SCRIPT % (SECONDS * 1000))
    launcher = tmp / "launcher.py"  # V8 writes the dump where it was started
    launcher.write_text(f"import os\nos.chdir({str(tmp)!r})\nos.execv({node!r}, ['node', '--perf-prof', '--no-write-protect-code-memory', 'hot.js'])\n")
    profile = Profile(tmp, f"{sys.executable} {launcher}", "frequency = 1999\n[plugin:report]", duration="20s")
    assert list(tmp.glob("jit-*.dump")), "node wrote no dump"
    facts = profile.facts
    assert facts["jit_dumps"] == 1 and "perf_maps" not in facts, facts
    assert facts["unknown_pct"] < 2 and facts["rooted_pct"] > 95, facts
    functions = profile.function_of()
    inner = 0
    for sample in profile.tables["samples"]:
        leaf = next(iter(profile.frames(sample["stack"])), None)
        inner += leaf is not None and "countDown" in functions[leaf["location"]] and "hot.js:2" in functions[leaf["location"]]
    count = len(profile.tables["samples"])
    assert inner > 0.4 * count, f"{inner} of {count} samples are in countDown"
    # This V8 writes rubbish for the names of files: none of it may show.
    strings = [row["text"] for row in profile.tables["strings"]]
    files = {strings[row["file"]] for row in profile.tables["frames"] if "hot.js" in strings[row["function"]]}
    assert files <= {"", str(tmp / "hot.js"), "hot.js"}, files


if __name__ == "__main__":
    harness.main()

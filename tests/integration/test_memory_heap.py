#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The heap of launched programs: what the sampler says, against what the program itself knows."""

import json
import pathlib
import shutil
import subprocess
from collections import defaultdict

import harness
from harness import check_in, check_near, need_tool, profcore, profcore_json

CONFIG = """[run]
name = heap
duration = {seconds}s
output = {output}

[target]
command = {command}

[plugin:memory]
sample = {sample}
exhaustive = {exhaustive}
"""

STEADY, LEAK, TOO_SHORT, SETTLED, SLOW = range(5)


class Heap:
    """One run of the plugin over a program: tables, by name of the site."""

    def __init__(self, tmp, command, seconds=20, sample="64KiB", exhaustive="no", more="", code=0):
        config = tmp / "heap.ini"
        config.write_text(CONFIG.format(seconds=seconds, output=tmp / "runs", command=command, sample=sample,
                                        exhaustive=exhaustive) + more)
        self.answer = profcore_json("-c", config, "--json", timeout=120)
        self.answer.result.expect(code)
        self.run = tmp / "runs" / "latest"
        self.sites = defaultdict(lambda: defaultdict(float))
        for row in self.table("heap_sites"):
            site = self.sites[row["function_text"]]
            for column in ("allocated", "live", "samples", "temporary", "allocations", "peak"):
                site[column] += row[column]
            site["variance"] += ((row["allocated_high"] - row["allocated"]) / 1.96) ** 2
        self.leaks = {row["function_text"]: row for row in self.table("leaks")}

    def table(self, name, port="timeline"):
        result = profcore("artifact", "show", self.run, f"memory.{port}", "--table", name, "--json").ok()
        return result.json()["tables"][name]

    def artifact(self, port):
        for stage in self.answer["stages"]:
            for item in stage["artifacts"]:
                if stage["name"] == "memory" and item["port"] == port:
                    return item
        raise AssertionError(f"no artifact memory.{port}")

    def facts(self):
        return self.artifact("timeline")["completeness"]

    def sum(self, column):
        return sum(site[column] for site in self.sites.values())


def workload(tmp, *words):
    return " ".join(str(word) for word in (harness.workload("heap"), *words, tmp / "truth.json"))


def truth(tmp):
    return json.loads((tmp / "truth.json").read_text())


def total(told):
    return sum(site["bytes"] for site in told["sites"].values()) + told["other"]


def check_sites(heap, told):
    far = []
    for name, site in told["sites"].items():
        seen = heap.sites[name]
        sigmas = abs(seen["allocated"] - site["bytes"]) / max(seen["variance"], 1) ** 0.5
        assert sigmas < 4.5, (name, sigmas, seen["allocated"], site["bytes"])
        far += [name] if sigmas > 3 else []
    assert len(far) <= 1, f"more than three sigma away: {far}"


def test_samples_tell_bytes_by_site(tmp):
    heap = Heap(tmp, workload(tmp, "sites", 1536, 0, 0))
    told = truth(tmp)
    check_near(heap.sum("allocated") / total(told), 1, 0.02, "allocated bytes, of the truth")
    check_sites(heap, told)
    live = sum(site["in_use"] for site in told["sites"].values())
    low, high = (sum(row[f"live_{end}"] for row in heap.table("heap_sites")) for end in ("low", "high"))
    assert low - 3e6 < live < high + 3e6, (low, live, high)
    facts = heap.facts()
    check_in("glibc", facts["heap_allocator"])
    rooted = heap.artifact("churn")["completeness"]["rooted_pct"]
    assert rooted > 99, rooted


def test_threads_and_forked_children_are_sampled(tmp):
    heap = Heap(tmp, workload(tmp, "threads", 512, 0, 0))
    check_sites(heap, truth(tmp))
    threads = {row["tid"]: row for row in heap.table("heap_threads") if row["allocated"] > 1e6}
    assert len(threads) == 4, threads
    for tid, row in threads.items():
        sigma = (row["allocated_high"] - row["allocated"]) / 1.96
        assert abs(row["allocated"] - (128 << 20)) < 4.5 * sigma < 0.12 * (128 << 20), row
        sizes = [size for size in heap.table("heap_sizes") if size["tid"] == tid]
        assert abs(sum(size["allocated"] for size in sizes) / row["allocated"] - 1) < 1e-6, (row, sizes)
        # Sizes of 16 B to 4 KiB, twice as many bytes in each class of twice the size.
        large = sum(size["allocated"] for size in sizes if size["size_low"] >= 1024)
        check_near(large / row["allocated"], 0.75, 0.05, "bytes in blocks of a KiB and more")
    heap = Heap(tmp, workload(tmp, "forks", 512, 0, 0))
    told = truth(tmp)
    check_sites(heap, told)
    check_near(heap.sum("allocated") / total(told), 1, 0.07, "allocated bytes in children, of the truth")
    assert heap.facts()["heap_processes"] >= 9, heap.facts()


def check_histograms(heap, told):
    """With every call recorded: sizes by thread, and no object is lost between those that were freed and those in use."""
    sizes, lives = heap.table("heap_sizes"), heap.table("heap_lifetimes")
    of_thread = defaultdict(float)
    for row in sizes:
        of_thread[row["tid"]] += row["allocated"]
    busy = [tid for tid, allocated in of_thread.items() if allocated > 7e6]
    assert len(busy) == 4 and 0 not in busy, dict(of_thread)
    assert sum(row["allocated"] for row in sizes) == heap.sum("allocated"), dict(of_thread)
    assert sum(row["live"] for row in sizes) == heap.sum("live"), sizes
    count = heap.sum("allocations")
    assert sum(row["freed"] + row["censored"] for row in lives) == count, (lives, count)
    freed = sum(row["freed_bytes"] for row in lives)
    assert freed == heap.sum("allocated") - heap.sum("live"), freed
    in_use = sum(site["in_use"] for site in told["sites"].values())
    assert in_use <= heap.sum("live") < in_use + 200000, (in_use, heap.sum("live"))


def test_every_call_is_exact(tmp):
    heap = Heap(tmp, workload(tmp, "threads", 32, 0, 0), exhaustive="yes")
    for name, site in truth(tmp)["sites"].items():
        assert heap.sites[name]["allocated"] == site["bytes"], (name, heap.sites[name], site)
        assert heap.sites[name]["live"] == site["in_use"], (name, heap.sites[name], site)
    check_histograms(heap, truth(tmp))
    for way in ("surface", "realloc"):
        heap = Heap(tmp, workload(tmp, way, 8, 0, 0), exhaustive="yes")
        told = truth(tmp)
        here = sum(heap.sites[name]["allocated"] for name in heap.sites if "use_surface" in name or "strdup" in name
                   or "grow_vector" in name)
        assert here == told["other"], (way, here, told, dict(heap.sites))


def test_a_leak_is_named_and_what_only_looks_like_one_is_not(tmp):
    heap = Heap(tmp, workload(tmp, "churn", 4, 7, 300), sample="16KiB", more="[plugin:report]\n")
    named = [name for name, row in heap.leaks.items() if row["verdict"] == LEAK]
    assert named == ["forgets"], heap.leaks
    leak = heap.leaks["forgets"]
    assert leak["confidence"] > 99, leak
    assert leak["rate_low"] <= 300 * 1024 * 1.1 and leak["rate_high"] >= 300 * 1024 * 0.9, leak
    facts = heap.facts()
    assert 80 < facts["heap_coverage_pct"] < 125, facts
    # Blocks of 512, 768 and 1024 B are in use, each with 8 bytes to spare in glibc.
    assert 0.75 < facts["heap_rounding_pct"] < 1.4 and facts["heap_rounding_half_pct"] < 0.2, facts
    assert abs(facts["heap_held_bytes"]) < 3e6, facts
    text = (heap.run / "memory_report.txt").read_text()
    assert max(len(line) for line in text.splitlines()) <= 100, text
    rows = text[text.index("Leaks: "):].splitlines()[5:7]
    assert rows[0].startswith("LEAKS") and "forgets" in rows[0] and "sampled objects older than" in rows[1], rows
    for words in ("allocator glibc (libc.so.6)", "rounding         live objects have", "Heap by lifetime", "fills_cache"):
        check_in(words, text)
    # The sampler's own shared memory is not said to be the program's.
    rows = heap.table("samples")
    assert facts["sampler_bytes"] > 1e6 and max(row["shmem"] for row in rows) < 1e6, (facts, rows[-1])


def test_healthy_programs_do_not_leak_and_short_windows_cannot_tell(tmp):
    heap = Heap(tmp, workload(tmp, "churn", 4, 7, 0), sample="16KiB")
    assert not [name for name, row in heap.leaks.items() if row["verdict"] == LEAK], heap.leaks
    heap = Heap(tmp, workload(tmp, "churn", 4, 2, 1000), sample="16KiB")
    assert heap.leaks["forgets"]["verdict"] == TOO_SHORT, heap.leaks
    check_in("shorter than", heap.leaks["forgets"]["why_text"])


def compile_to(path, argv, text, suffix):
    source = path.with_suffix(suffix)
    source.write_text(text)
    done = subprocess.run([*argv, str(source), "-o", str(path)], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise harness.Skip(argv[0], f"it cannot build the program: {done.stderr[-300:]}")
    return path


STATIC = """#include <stdlib.h>
#include <string.h>
int main(void) { for (int i = 0; i < 64; i++) { char *p = malloc(1 << 20); memset(p, 1, 1 << 20); } return 0; }
"""


def check_blind(tmp, program, reason):
    heap = Heap(tmp, program, code=1)
    timeline = heap.artifact("timeline")
    assert timeline["state"] == "partial", timeline
    check_in(reason, timeline["completeness"]["heap_unseen"])
    for port in ("heap", "churn"):
        assert heap.artifact(port)["state"] == "absent", heap.artifact(port)
        check_in(reason, heap.artifact(port)["completeness"]["absent"])


def test_a_static_program_cannot_be_seen_and_that_is_said(tmp):
    need_tool("gcc")
    text = STATIC.replace("return 0", "struct timespec t = {0, 600000000}; nanosleep(&t, 0); return 0").replace(
        "#include <string.h>", "#include <string.h>\n#include <time.h>")
    program = compile_to(tmp / "static", ["gcc", "-O1", "-static"], text, ".c")
    check_blind(tmp, program, "statically linked")
    if shutil.which("musl-gcc"):
        check_blind(tmp, compile_to(tmp / "musl", ["musl-gcc", "-O1", "-static"], text, ".c"), "statically linked")


FILLS = """#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) static void fill(char *p) { for (int i = 0; i < 1 << 20; i += 64) ((volatile char *)p)[i] = 1; }
int main(void) { for (int i = 0; i < 64; i++) { fill(malloc(1 << 20)); usleep(8000); } usleep(3000000); return 0; }
"""


def test_a_static_programs_growth_has_a_name_all_the_same(tmp):
    """What no sampler and no allocator tells, the page faults do: stripped of everything else, a static musl program."""
    need_tool("musl-gcc")
    heap = Heap(tmp, compile_to(tmp / "musl", ["musl-gcc", "-O1", "-static", "-fno-optimize-sibling-calls"], FILLS, ".c"),
                seconds=1.5, more="[plugin:analyze]\n", code=1)
    check_in("statically linked", heap.artifact("timeline")["completeness"]["heap_unseen"])
    growth = [finding for finding in heap.answer["findings"] if finding["kind"] == "memory_growth"]
    assert len(growth) == 1 and growth[0]["share"] > 95 and "under fill" in growth[0]["title"], growth


MUSL = """#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) void *keeps(size_t n) { char *p = malloc(n); memset(p, 1, n); return p; }
__attribute__((noinline)) void passes(size_t n) { char *p = calloc(1, n); p[0] = 1; __asm__ volatile("" : : "r"(p) : "memory"); free(p); }
static void *work(void *a) { for (int i = 0; i < 4000; i++) { keeps(3000); passes(5000); } return a; }
int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); work(0); pthread_join(t, 0); usleep(150000); return 0; }
"""


def test_a_program_on_musl_is_seen_by_the_same_sampler(tmp):
    need_tool("musl-gcc")
    heap = Heap(tmp, compile_to(tmp / "musl", ["musl-gcc", "-O1", "-g"], MUSL, ".c"), exhaustive="yes")
    keeps, passes = heap.sites["keeps"], heap.sites["passes"]
    assert (keeps["allocated"], keeps["live"]) == (8000 * 3000, 8000 * 3000), dict(heap.sites)
    assert (passes["allocated"], passes["live"]) == (8000 * 5000, 0), dict(heap.sites)
    check_in("musl", heap.facts()["heap_allocator"])
    heap = Heap(tmp, tmp / "musl", sample="16KiB")
    check_near(heap.sites["keeps"]["live"] / 24e6, 1, 0.13, "live bytes, of the truth")


def test_memory_that_no_allocator_gave_is_said_to_be_the_programs_own(tmp):
    """By mmap alone, and in an arena of its own: nothing to see for the sampler, and that is no silence."""
    for way, hold_ms in (("mmap", 3000), ("arena", 0)):  # it is there at the end of the window, or has ended before it
        heap = Heap(tmp, f"{harness.workload('grow')} --way {way} --mib 24 --steps 10 --step-ms 30 --hold-ms {hold_ms}", seconds=1.5,
                    more="[plugin:analyze]\n")
        facts = heap.facts()
        assert facts["heap_coverage_pct"] < 5, facts
        assert heap.sum("allocated") < 1e6, dict(heap.sites)
        growth = [finding for finding in heap.answer["findings"] if finding["kind"] == "memory_growth"]
        assert growth and "under grow_most" in growth[0]["title"], (way, heap.answer["findings"])
        check_near(growth[0]["share"], 70, 15, "share of grow_most, %")
        assert not [finding for finding in heap.answer["findings"] if finding["kind"] == "memory_churn"], heap.answer["findings"]


WITHOUT_FRAMES = """#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) static void *app_zmalloc_usable(size_t n) { char *p = malloc(n); memset(p, 1, n); return p; }
__attribute__((noinline)) static long left(int n, long x) { char pad[64 + 1]; memset(pad, n, sizeof pad); void *p = app_zmalloc_usable(1000);
  __asm__ volatile("" : : "r"(pad) : "memory"); if (n) x += left(n - 1, x); free(p); return x + pad[3]; }
__attribute__((noinline)) static long right(int n, long x) { void *p = app_zmalloc_usable(3000); if (n) x += right(n - 1, x); free(p); return x + n; }
int main(void) { long x = 0; for (int i = 0; i < 3000; i++) { x += left(4, i); x += right(4, i); } usleep(150000); return x == 42; }
"""


def test_stacks_without_frame_pointers_are_whole(tmp):
    need_tool("gcc")
    heap = Heap(tmp, compile_to(tmp / "bare", ["gcc", "-O2", "-g", "-fomit-frame-pointer"], WITHOUT_FRAMES, ".c"), sample="16KiB")
    # Who asked is named, not the wrapper about malloc.
    for name, size in (("left", 1000), ("right", 3000)):
        allocated = sum(site["allocated"] for function, site in heap.sites.items() if function.startswith(name))
        check_near(allocated / (3000 * 5 * size), 1, 0.12, f"bytes that {name} asked for, of the truth")
    churn = heap.artifact("churn")["completeness"]
    assert churn["rooted_pct"] > 99, churn


CPLUSPLUS = """#include <string>
#include <vector>
#include <map>
#include <cstdio>
#include <unistd.h>
__attribute__((noinline)) void fill_vector() { std::vector<long> v; for (long i = 0; i < 3000000; i++) v.push_back(i); std::printf("%ld\\n", v[77]); }
__attribute__((noinline)) std::map<int, std::string> *fill_map() { auto *m = new std::map<int, std::string>;
  for (int i = 0; i < 100000; i++) (*m)[i] = std::string(200, 'x'); return m; }
int main() { fill_vector(); auto *m = fill_map(); std::printf("%zu\\n", m->size()); usleep(150000); return 0; }
"""


def test_a_cplusplus_program_names_its_own_functions(tmp):
    need_tool("g++")
    program = compile_to(tmp / "plus", ["g++", "-O1", "-g"], CPLUSPLUS, ".cc")
    heap = Heap(tmp, program, sample="16KiB")
    of = lambda part, column: sum(site[column] for name, site in heap.sites.items() if part in name)
    # 100,000 strings of 201 bytes in nodes of 72: what is left at the end.
    check_near(of("fill_map", "live") / 27.3e6, 1, 0.12, "live bytes of the map")
    assert of("fill_vector", "live") == 0, dict(heap.sites)
    # A vector that doubles to 2^22 longs allocates twice that in all.
    check_near(of("fill_vector", "allocated") / (2 * 8 * 2 ** 22), 1, 0.1, "bytes of the vector")


RUST = """use std::collections::HashMap;
#[inline(never)] fn gather(n: u64) -> HashMap<u64, Vec<u8>> { let mut m = HashMap::new(); for i in 0..n { m.insert(i, vec![1u8; 500]); } m }
#[inline(never)] fn burn(n: u64) -> usize { let mut t = 0; for i in 0..n { let s = vec![i as u8; 300]; t += std::hint::black_box(&s).len(); } t }
fn main() { let m = gather(40000); println!("{} {}", burn(200000), m.len()); std::thread::sleep(std::time::Duration::from_millis(150)); std::process::exit(0); }
"""


def test_rust_programs_stripped_or_not(tmp):
    need_tool("rustc")
    program = compile_to(tmp / "plain", ["rustc", "-O", "-g"], RUST, ".rs")
    heap = Heap(tmp, program, sample="16KiB")
    of = lambda part, column: sum(site[column] for name, site in heap.sites.items() if part in name)
    assert not [name for name in heap.sites if "alloc::" in name], dict(heap.sites)
    check_near(of("burn", "allocated") / 60e6, 1, 0.08, "bytes of burn")
    check_near(of("gather", "live") / 22e6, 1, 0.15, "live bytes of gather")
    program = compile_to(tmp / "bare", ["rustc", "-O", "-C", "lto=fat", "-C", "strip=symbols", "-C", "panic=abort"], RUST, ".rs")
    heap = Heap(tmp, program, sample="16KiB")
    assert heap.sum("allocated") > 80e6 * 0.92, heap.sum("allocated")
    assert 20e6 < heap.sum("live") < 28e6, heap.sum("live")


JEMALLOC_RUST = """use std::alloc::{GlobalAlloc, Layout};
#[link(name = "jemalloc")] extern "C" {
    fn mallocx(size: usize, flags: i32) -> *mut u8; fn rallocx(p: *mut u8, size: usize, flags: i32) -> *mut u8;
    fn sdallocx(p: *mut u8, size: usize, flags: i32); }
struct Jemalloc;
fn flags(l: Layout) -> i32 { l.align().trailing_zeros() as i32 }
unsafe impl GlobalAlloc for Jemalloc {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 { mallocx(l.size(), flags(l)) }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) { sdallocx(p, l.size(), flags(l)) }
    unsafe fn realloc(&self, p: *mut u8, l: Layout, n: usize) -> *mut u8 { rallocx(p, n, flags(l)) } }
#[global_allocator] static GLOBAL: Jemalloc = Jemalloc;
""" + RUST

OPERATORS = """#include <new>
#include <unistd.h>
struct alignas(64) wide { char bytes[640]; };
int main() { for (int i = 0; i < 1000; i++) { delete[] new char[1000]; delete new wide; delete[] new (std::nothrow) int[25]; } usleep(150000); }
"""


def test_other_allocators_are_seen_or_named(tmp):
    need_tool("g++")
    for library in ("jemalloc", "mimalloc"):
        program = tmp / library
        (tmp / "operators.cc").write_text(OPERATORS)
        done = subprocess.run(["g++", "-O0", "-std=c++17", tmp / "operators.cc", "-o", program, "-l" + library], capture_output=True)
        if done.returncode != 0:
            harness.skip(library, "no library to link with")
        heap = Heap(tmp, program, exhaustive="yes")
        main = heap.sites["main"]
        assert (main["allocations"], main["allocated"], main["live"]) == (3000, 1000 * (1000 + 640 + 100), 0), (library, main)
        check_in(library, heap.facts()["heap_allocator"])
    archive = pathlib.Path("/usr/lib/x86_64-linux-gnu/libjemalloc.a")
    if archive.exists():
        (tmp / "own.c").write_text("#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nint main(void) { memset(malloc(32 << 20), 1, 32 << 20); usleep(600000); return 0; }\n")
        subprocess.run(["gcc", "-O0", tmp / "own.c", "-o", tmp / "own", archive, "-lstdc++", "-lm", "-lpthread"], check=True)
        check_blind(tmp, tmp / "own", "jemalloc")


def test_a_rust_program_on_jemalloc(tmp):
    need_tool("rustc")
    program = compile_to(tmp / "rj", ["rustc", "-O", "-g"], JEMALLOC_RUST, ".rs")
    heap = Heap(tmp, program, sample="16KiB")
    of = lambda part, column: sum(site[column] for name, site in heap.sites.items() if part in name)
    check_near(of("burn", "allocated") / 60e6, 1, 0.08, "bytes of burn")
    check_near(of("gather", "live") / 22e6, 1, 0.15, "live bytes of gather")
    check_in("jemalloc", heap.facts()["heap_allocator"])


def test_heap_stacks_become_flame_graphs(tmp):
    heap = Heap(tmp, workload(tmp, "sites", 64, 0, 0), more="\n[plugin:flamegraph]\n")
    pictures = [document["path"] for stage in heap.answer["stages"] for document in stage["artifacts"]
                if stage["name"].startswith("flamegraph") and str(document.get("path", "")).endswith(".svg")]
    for signal in ("in-use", "churn"):
        assert any(signal in picture for picture in pictures), pictures


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stacks of code that is hard to walk, all of it built without frame pointers: each mode of the workload `traps` has a known
chain of functions; rooted and unknown shares are printed and gated."""

import os
import subprocess

import harness
from test_perf_cpu import Profile

SECONDS = 4
BURN = ["leaf_without_frame", "burn"]
FROM_MODE = ["run_mode", "run_all", "main"]
# mode -> what is on its stacks from the inside out, and the share of its samples that must have all of it in that order
CHAINS = {
    # Also what `exec` starts anew every tenth of a second: its beginnings and ends are its own.
    "recursion": (BURN + ["recurse"] * 251 + ["mode_recursion", "run_mode"], 0.85),
    "frames": (BURN + ["frame_large", "frame_of_any_size", "frame_realigned", "mode_frames"] + FROM_MODE, 0.97),
    "tail_call": (BURN + ["tail_last", "mode_tail_call"] + FROM_MODE, 0.97),
    "signal": (["leaf_without_frame", "handle", "burn", "interrupted", "mode_signal"] + FROM_MODE, 0.4),
    "context": (BURN + ["on_own_stack"], 0.97),
    "threads": (["short_life", "start_thread"], 0.5),
    "vdso": (["mode_vdso"] + FROM_MODE, 0.97),
    "library": (["inside", "spin_in_library", "mode_library"] + FROM_MODE, 0.7),  # the rest is the loader at work
    "jit": (["made at run time", "mode_jit"] + FROM_MODE, 0.95),
    "assembly": (["mode_assembly"] + FROM_MODE, 0.97),
}


class Walks:
    """The samples of a profile, by the thread name at the time: chains of physical and inlined functions, innermost first."""

    def __init__(self, profile):
        strings = [row["text"] for row in profile.tables["strings"]]
        names = {}
        for row in profile.tables["threads"]:
            names.setdefault(row["tid"], []).append((row["time"], strings[row["name"]]))
        frames = {}
        for row in profile.tables["frames"]:
            frames.setdefault(row["location"], []).insert(0, strings[row["function"]])
        modules = [strings[row["path"]] for row in profile.tables["modules"]]
        self.chains = {}
        self.modules = {}
        for sample in profile.tables["samples"]:
            name = [text for time, text in sorted(names.get(sample["tid"], [])) if time <= sample["time"]][-1:]
            chain, paths = [], []
            for row in profile.frames(sample["stack"]):
                location = profile.tables["locations"][row["location"]]
                if profile.tables["modules"][location["module"]]["kind"] in (2, 3):
                    continue  # the kernel's part
                chain += frames.get(row["location"], [""])
                paths.append(modules[location["module"]])
            self.chains.setdefault("".join(name), []).append(chain)
            self.modules.setdefault("".join(name), []).append(paths)

    def share(self, name, wanted):
        """Of a name's samples, those whose chain has `wanted` as a subsequence that leaves nothing of it out."""
        chains = self.chains.get(name, [])
        hits = 0
        for chain in chains:
            rest = iter(chain)
            hits += all(function in rest for function in wanted)
        return hits / max(len(chains), 1), len(chains)

    def rooted(self, name, roots=("_start", "clone3", "__clone3", "__clone", "__start_context", "_start_c")):
        chains = [chain for chain in self.chains.get(name, []) if chain]
        return sum(chain[-1] in roots for chain in chains) / max(len(chains), 1)


def check_gates(profile, rooted, unknown):
    print(f"# rooted {profile.facts['rooted_pct']:.2f} %, unknown frames {profile.facts['unknown_pct']:.3f} %, "
          f"{profile.facts['samples']:.0f} samples, truncated "
          f"{profile.facts['truncated']}")
    assert profile.facts["rooted_pct"] >= rooted, profile.facts
    assert profile.facts["unknown_pct"] <= unknown, profile.facts
    assert profile.facts["not_rooted"] == sum(profile.facts["truncated"].values()), profile.facts


def compile_traps(tmp, name, compiler, *options):
    path = tmp / name
    source = harness.source_dir() / "tests" / "workloads" / "traps.c"
    subprocess.run([*compiler, "-O3", "-g", "-fomit-frame-pointer", "-D_GNU_SOURCE", "-w", "-o", path, source, *options],
                   check=True, timeout=60)
    return path


def test_traps(tmp):
    library = harness.build_dir() / "tests" / "workloads" / "libtraps_library.so"
    profile = Profile(tmp, f"{harness.workload('traps')} all {SECONDS} {library}", "frequency = 1999", duration="20s")
    walks = Walks(profile)
    failed = []
    for mode, (chain, least) in CHAINS.items():
        seen, count = walks.share(mode, chain)
        print(f"# {mode:10} {count:5} samples, chain whole in {100 * seen:.1f} %, rooted {100 * walks.rooted(mode):.1f} %")
        if count < 40 or seen < least:
            short = [chain[:8] + ["..."] + chain[-8:] for chain in sorted(walks.chains.get(mode, []), key=len)[:3]]
            failed.append(f"{mode}: {seen:.3f} of {count}; wanted {chain[:8]}; e.g. {short}")
    assert not failed, failed
    # A tail call leaves no trace, and none may be made up.
    assert not any("tail_middle" in chain for chain in walks.chains["tail_call"])
    # Every thread's first frame is found, also of those that live a millisecond.
    ends = [chain[-1] for chain in walks.chains["threads"] if chain]
    assert walks.rooted("threads") > 0.95, (walks.rooted("threads"), {end: ends.count(end) for end in set(ends)}, profile.facts)
    check_gates(profile, rooted=99.0, unknown=1.0)


def test_traps_of_another_compiler(tmp):
    """clang's prologues and its call frame information are not GCC's."""
    path = compile_traps(tmp, "traps_clang", [harness.need_tool("clang")], "-lpthread")
    profile = Profile(tmp, f"{path} frames 1.5", "frequency = 1999")
    walks = Walks(profile)
    seen, count = walks.share("frames", BURN + ["frame_large", "frame_of_any_size", "frame_realigned", "mode_frames"])
    assert seen > 0.97 and count > 100, (seen, count, profile.facts)
    check_gates(profile, rooted=99.0, unknown=1.0)


def test_static_program_of_musl(tmp):
    path = compile_traps(tmp, "traps_musl", [harness.need_tool("musl-gcc")], "-static")
    profile = Profile(tmp, f"{path} recursion 1.5", "frequency = 1999")
    walks = Walks(profile)
    seen, count = walks.share("recursion", CHAINS["recursion"][0])
    assert seen > 0.97 and count > 100, (seen, count, profile.facts)
    check_gates(profile, rooted=99.0, unknown=1.0)


def test_exceptions_through_templates(tmp):
    """While an exception passes, libgcc overwrites its own frame: a few stacks cannot be walked by anybody."""
    harness.need_tool("c++")
    source = harness.source_dir() / "tests" / "workloads" / "throws.cc"
    subprocess.run(["c++", "-std=c++17", "-O3", "-g", "-fomit-frame-pointer", "-o", tmp / "throws", source], check=True,
                   timeout=60)
    profile = Profile(tmp, f"{tmp}/throws 2", "frequency = 1999")
    walks = Walks(profile)
    names = {name for chain in walks.chains["throws"] for name in chain}
    texts = [";".join(chain) for chain in walks.chains["throws"]]
    whole = sum(all(f"turn<{i}>" in text for i in (30, 29)) and "main" in text for text in texts)
    assert whole > 0.9 * len(texts), (whole, len(texts), sorted(names)[:40])
    assert any("_Unwind" in name or "__cxa_throw" in name for name in names), sorted(names)
    # libgcc's own functions have names only where its debug file is installed.
    check_gates(profile, rooted=99.0, unknown=10.0)


RUST = """
use std::time::{Duration, Instant};
trait Work { fn work(&mut self) -> u64; }
struct Mixer<T> { state: T }
impl Work for Mixer<u64> {
    #[inline(never)]
    fn work(&mut self) -> u64 {
        for _ in 0..100000 { self.state = std::hint::black_box(self.state.wrapping_mul(6364136223846793005).wrapping_add(1)); }
        self.state
    }
}
#[inline(never)]
fn generic_caller<W: Work, F: Fn(u64) -> bool>(work: &mut W, go_on: F) -> u64 {
    let mut sum = 0u64;
    while go_on(sum) { sum = sum.wrapping_add(work.work()); }
    std::hint::black_box(sum)
}
fn main() {
    let end = Instant::now() + Duration::from_millis(1500);
    let mut mixer = Mixer { state: 1u64 };
    std::hint::black_box(generic_caller(&mut mixer, |_| Instant::now() < end));
}
"""


def check_rust(tmp, mangling):
    (tmp / "generic.rs").write_text(RUST)
    words = [harness.need_tool("rustc"), "-O", "-g", "-C", f"symbol-mangling-version={mangling}", "-C", "force-frame-pointers=no",
             "-o", tmp / "generic", tmp / "generic.rs"]
    done = subprocess.run(words, capture_output=True, timeout=120, cwd=tmp)
    if done.returncode != 0:
        # rustc 1.90 and later make legacy names on request of a nightly only; this is how Rust's own build makes one of a stable.
        subprocess.run([*words, "-Z", "unstable-options"], check=True, timeout=120, cwd=tmp, env={**os.environ, "RUSTC_BOOTSTRAP": "1"})
    symbols = (tmp / "generic").read_bytes()
    prefix = {"v0": b"_RNv", "legacy": b"_ZN7generic"}[mangling]
    assert prefix in symbols, f"no name in it is mangled as {mangling}"
    profile = Profile(tmp, f"{tmp}/generic", "frequency = 1999")
    walks = Walks(profile)
    chains = walks.chains["generic"]
    names = {name for chain in chains for name in chain}
    assert "<generic::Mixer<u64> as generic::Work>::work" in names, sorted(names)[:60]
    assert any(name.startswith("generic::generic_caller") for name in names), sorted(names)[:60]
    assert not any("_R" == name[:2] or "_ZN" in name or "17h" in name for name in names), sorted(names)[:60]
    assert any("wrapping_mul" in name or "wrapping_add" in name for name in names), sorted(names)[:60]  # inlined
    check_gates(profile, rooted=99.0, unknown=1.0)


def test_rust_names_v0(tmp):
    check_rust(tmp, "v0")


def test_rust_names_legacy(tmp):
    check_rust(tmp, "legacy")


if __name__ == "__main__":
    harness.main()

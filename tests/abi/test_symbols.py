#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a built plugin shows to the loader: one symbol, nothing of profcore, a manifest that survives strip and the linker."""

import pathlib
import re
import shutil

import harness

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent


def plugins():
    found = sorted((harness.build_dir() / "plugins").glob("*.so"))
    assert found, "no plugin was built"
    return found


def manifest(path):
    text = harness.run(["readelf", "-p", ".profcore", path]).ok().out
    assert "[plugin]" in text, f"{path} holds no manifest"
    return re.sub(r"^\s*\[ *[0-9a-f]+\]", "", text, flags=re.M)


def test_one_exported_symbol():
    for path in plugins():
        symbols = [line.split()[-1] for line in harness.run(["nm", "-D", "--defined-only", path]).ok().out.splitlines()]
        assert symbols == ["pfc_plugin_v1"], f"{path.name} exports {symbols}"


def test_nothing_of_profcore_is_needed():
    for path in plugins():
        dynamic = harness.run(["readelf", "-d", path]).ok().out
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        assert not [name for name in needed if "profcore" in name], f"{path.name} needs {needed}"
        assert "RUNPATH" not in dynamic and "RPATH" not in dynamic, f"{path.name} has a search path of its own"
        undefined = harness.run(["nm", "-D", "--undefined-only", path]).ok().out
        assert "pfc_" not in undefined, f"{path.name} wants symbols of profcore:\n{undefined}"


def test_manifest_survives_strip(tmp):
    for path in plugins():
        copy = tmp / path.name
        shutil.copy(path, copy)
        harness.run(["strip", "--strip-all", copy]).ok()
        assert manifest(copy) == manifest(path), f"{path.name}: strip changed the manifest"
        flags = harness.run(["readelf", "-SW", copy]).ok().out
        line = next(line for line in flags.splitlines() if " .profcore " in line)
        assert re.search(r"\s[WXIo]*A\w*\s+\d+\s+\d+\s+\d+$", line), f"not allocated: {line}"


def test_manifest_survives_section_gc(tmp):
    for compiler, linker in (("gcc", "bfd"), ("gcc", "gold"), ("clang", "lld")):
        if not shutil.which(compiler) or not shutil.which(f"ld.{linker}"):
            print(f"# {compiler} with {linker}: not here")
            continue
        out = tmp / f"{linker}.so"
        harness.run([compiler, "-std=gnu11", "-shared", "-fPIC", "-O2", "-ffunction-sections", "-fdata-sections",
                     "-I", SOURCE / "include", f"-Wa,-I,{SOURCE / 'plugins' / 'null'}", f"-fuse-ld={linker}",
                     "-Wl,--gc-sections", "-s", SOURCE / "plugins" / "null" / "plugin.c", "-o", out]).ok()
        assert "id         = null" in manifest(out), f"{compiler} with {linker} lost the manifest"


def test_manifest_is_what_the_folder_says():
    for path in plugins():
        text = (SOURCE / "plugins" / path.stem / "manifest.ini").read_bytes()
        assert text in path.read_bytes(), f"{path.name} embeds another manifest than {path.stem}/manifest.ini: rebuild"


if __name__ == "__main__":
    harness.main(__name__)

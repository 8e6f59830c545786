#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/plugin-guide.md is true: install profcore into an empty folder, do what the page says, word for word.

Blocks marked `lang NAME` become the file NAME; `sh` blocks run in order in one folder, outside the tree. Nothing of the tree
but the guide's text is used after the installation.
"""

import os
import pathlib
import re
import shlex

import harness

GUIDE = harness.source_dir() / "docs" / "plugin-guide.md"


def blocks():
    """(language, name or "", text) of each fenced block."""
    return re.findall(r"^```(\w+)(?: ([\w.-]+))?\n(.*?)^```$", GUIDE.read_text(), flags=re.M | re.S)


def install(prefix, destdir=None):
    """What was built is installed as it is; returns the root of the installation."""
    harness.need_tool("meson")
    argv = ["meson", "install", "-C", harness.build_dir(), "--no-rebuild", "--quiet"]
    if destdir:
        argv += ["--destdir", destdir]
    harness.run(argv, timeout=120).ok()
    return pathlib.Path(destdir or "/") / prefix.lstrip("/")


def configured_prefix():
    out = harness.run(["meson", "introspect", "--buildoptions", harness.build_dir()]).json()
    return {option["name"]: option["value"] for option in out}


def environment(root, options):
    pkgconfig = root / options["libdir"] / "pkgconfig"
    assert (pkgconfig / "profcore.pc").exists(), f"no profcore.pc in {pkgconfig}"
    return {
        "PATH": f"{root / options['bindir']}:{os.environ['PATH']}",
        "PKG_CONFIG_PATH": pkgconfig,
        # Staged: what the .pc file says about its prefix is below the stage.
        "PKG_CONFIG_SYSROOT_DIR": str(root)[:-len(options["prefix"].rstrip("/"))] or None,
        "PROFCORE_BUILD": None,
        "PROFCORE_PLUGIN_PATH": None,
        "XDG_CACHE_HOME": None,
    }


def follow(folder, env, wanted):
    """Write the files and run the commands for which wanted(language, name) holds; returns stdout of the last command."""
    script = "set -eu\n"
    for language, name, text in blocks():
        if language == "sh" and wanted(language, name):
            script += text
        elif name and language != "sh" and wanted(language, name):
            script += f"cat > {name} <<'END_OF_FILE'\n{text}END_OF_FILE\n"
    result = harness.run(["sh", "-c", script], cwd=folder, env=env, timeout=100)
    result.ok()
    return result


def staged(tmp):
    harness.need_tool("pkg-config")
    harness.need_tool("cc")
    options = configured_prefix()
    stage = tmp / "stage"
    root = install(options["prefix"], stage)
    work = tmp / "work"
    work.mkdir(mode=0o755)
    return work, environment(root, options), root


def test_guide_collector_and_transform(tmp):
    os.chmod(tmp, 0o755)
    work, env, _ = staged(tmp)
    result = follow(work, env, lambda language, name: language in ("sh", "c", "ini") and name not in ("rustc", "hello.ini"))
    lines = re.findall(r"^pid (\d+) used ([\d.]+) % of a CPU$", result.out, flags=re.M)
    assert lines, f"no line of busy.txt: {result.describe()}"
    # One busy loop: something even on a crowded machine, and never much more than one CPU.
    assert 1 < max(float(percent) for _, percent in lines) < 110, lines
    harness.check_in("cputime.usage/1", result.out)


def test_guide_rust(tmp):
    harness.need_tool("rustc")
    os.chmod(tmp, 0o755)
    work, env, _ = staged(tmp)
    result = follow(work, env, lambda language, name: language == "rust" or name in ("rustc", "hello.ini"))
    harness.check_in("A collector in Rust", result.out)
    (work / "run.ini").write_text("[run]\nname = rust\nduration = 200ms\n[target]\ncommand = sleep 5\n"
                                  "[plugin:hello]\nuse = ./hello.so\n")
    # It loads and logs; it writes nothing, as it has no output.
    ran = harness.run(["profcore", "-v", "-c", "run.ini"], cwd=work, env=env)
    harness.check_in("hello from Rust", ran.err)


def test_pkg_config_names_the_plugin_folder(tmp):
    _, env, root = staged(tmp)
    flags = harness.run(["pkg-config", "--cflags", "profcore"], env=env).ok().out
    includes = [word[2:] for word in shlex.split(flags) if word.startswith("-I")]
    assert any((pathlib.Path(folder) / "profcore" / "plugin.h").exists() for folder in includes), flags
    folder = harness.run(["pkg-config", "--variable=plugindir", "profcore"], env=env).ok().out.strip()
    found = [pathlib.Path(folder), root.parent / folder.lstrip("/"), pathlib.Path(f"{env['PKG_CONFIG_SYSROOT_DIR']}{folder}")]
    assert any((path / "null.so").exists() for path in found), folder


def test_every_named_block_is_used():
    names = [name for language, name, _ in blocks() if name]
    assert len(names) == len(set(names)), f"a file is given twice: {names}"
    for wanted in ("cputime.ini", "cputime.c", "busy.ini", "busy.c", "run.ini", "hello.ini", "hello.rs"):
        assert wanted in names, f"the guide lost {wanted}"


if __name__ == "__main__":
    harness.main(__name__)

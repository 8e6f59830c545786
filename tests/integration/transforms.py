# SPDX-License-Identifier: MIT
"""Run a built transform on a made-up artifact, without the core (tests/unit/run_transform.c)."""

import harness


def plugin_path(plugin):
    return harness.build_dir() / "plugins" / f"{plugin}.so"


def run_transform(plugin, folder, shapes, **options):
    """Returns the Result; the documents are folder/PORT."""
    folder.mkdir(parents=True, exist_ok=True)
    program = harness.build_dir() / "tests" / "unit" / "run_transform"
    words = [f"{key}={value}" for key, value in options.items()]
    return harness.run([program, plugin_path(plugin), folder, shapes] + words, timeout=120)


def document(plugin, folder, shapes, port, **options):
    """The path of one document; a browser tells what an SVG is by its name."""
    run_transform(plugin, folder, shapes, **options).ok()
    return (folder / port).rename(folder / "flamegraph.svg") if port == "svg" else folder / port

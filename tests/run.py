#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run every test that Meson knows, show what failed and what was skipped, end with `N passed, N failed, N skipped`.

A TAP test counts as its lines, any other test as one. A skip says why: `SKIP(requirement): reason`; a requirement that
PROFCORE_TEST_REQUIRE lists (root,docker,bpf,browser) must not be skipped, and counts as failed then.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

TAP_LINE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*(?:- )?(.*)$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)")
SKIP_REASON = re.compile(r"SKIP\(([\w-]+)\): (.*)")
FAILURE_LINES = 80
JOBS_LEAST = 3  # those that may run beside each other wait more than they compute
AGAIN_MOST = 5  # more than that is no noise

Case = collections.namedtuple("Case", "name state text")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="the build folder")
    parser.add_argument("--again", action="store_true", help="run up to five tests that failed once more, alone, and say so")
    parser.add_argument("names", nargs="*", help="tests to run (default: all), as meson test takes them")
    return parser.parse_args()


def run_meson(build, names, jobs):
    """Run the tests, so many of those beside each other that may; the records of their log, none when Meson could not even begin."""
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    subprocess.run(["meson", "test", "-C", str(build), "--no-rebuild", "--num-processes", str(jobs), *names], check=False)
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line.strip()]


def tap_tests(build):
    """Names of the tests that print TAP: one of those that prints none has failed."""
    tests = json.loads((build / "meson-info" / "intro-tests.json").read_text())
    return {test["name"] for test in tests if test.get("protocol") == "tap"}


def skip_state(text):
    """Whether a skip with that text is one, or a failure."""
    required = {word.strip() for word in os.environ.get("PROFCORE_TEST_REQUIRE", "").split(",")}
    reason = SKIP_REASON.search(text)
    return "failed" if reason and reason.group(1) in required else "skipped"


def tap_cases(name, output):
    """The cases that a TAP text tells of, each failure with the comment lines below it."""
    cases = []
    planned = None
    for line in output.splitlines():
        plan = TAP_PLAN.match(line)
        match = TAP_LINE.match(line)
        if plan:
            planned = int(plan.group(1))
        elif match:
            title, _, directive = match.group(3).partition(" # ")
            if directive.upper().startswith("SKIP"):
                state = skip_state(directive)
            else:
                state = "failed" if match.group(1) else "passed"
            cases.append(Case(f"{name}: {title}", state, directive))
        elif cases:
            cases[-1] = cases[-1]._replace(text=cases[-1].text + "\n" + line)
    return cases, planned


def whole_case(name, record, output):
    """A test without TAP, or one whose TAP is broken, counts once."""
    result = record.get("result")
    if result == "SKIP":
        reason = SKIP_REASON.search(output)
        return Case(name, skip_state(output), reason.group(0) if reason else "SKIP(unknown): the test does not say why")
    state = "passed" if result in ("OK", "EXPECTEDFAIL") else "failed"
    text = f"{result}, exit code {record.get('returncode')}, after {record.get('duration', 0):.1f} s\n{output}"
    return Case(name, state, text)


def cases_of(record, tap_names):
    name = record.get("name", "?").split(" / ")[-1]
    output = (record.get("stdout") or "") + (record.get("stderr") or "")
    cases, planned = tap_cases(name, record.get("stdout") or "")
    if name not in tap_names:
        return [whole_case(name, record, output)]
    # A plan that was not kept, or an end that no case explains (a crash, a timeout), is a failure of its own.
    explained = any(case.state == "failed" for case in cases) or record.get("result") in ("OK", "SKIP")
    if len(cases) != planned or not explained:
        cases.append(whole_case(name + ": the whole", dict(record, result=record.get("result", "?") + " early"), output))
    return cases


def failed_names(records, tap_names):
    """Names of the tests with a case that failed, as meson test takes them."""
    return [record["name"].split(" / ")[-1] for record in records
            if any(case.state == "failed" for case in cases_of(record, tap_names))]


def run_again(build, records, tap_names):
    """
    The records, with those of a few failed tests from a second run without the others beside them: a crowded machine fails
    a test of times and shares now and then, a fault fails it twice. What failed at first is shown.
    """
    names = failed_names(records, tap_names)
    if not 0 < len(names) <= AGAIN_MOST:
        return records
    show([case for record in records for case in cases_of(record, tap_names) if case.state == "failed"])
    print(f"\nonce more, alone: {', '.join(names)}", flush=True)
    second = {record["name"]: record for record in run_meson(build, names, 1)}
    still = failed_names(second.values(), tap_names)
    print(f"\nfailed at first, passed alone: {', '.join(name for name in names if name not in still) or 'none'}")
    return [second.get(record["name"], record) for record in records]


def show(cases):
    for case in cases:
        if case.state == "failed":
            lines = case.text.strip().splitlines()
            print(f"\nFAILED {case.name}")
            if len(lines) > FAILURE_LINES:
                print(f"  ... {len(lines) - FAILURE_LINES} lines before")
            for line in lines[-FAILURE_LINES:]:
                print(f"  {line}")
    skipped = [case for case in cases if case.state == "skipped"]
    if skipped:
        print()
    for case in skipped:
        reason = SKIP_REASON.search(case.text)
        print(f"skipped {case.name}: {reason.group(0) if reason else case.text.strip()}")


def main():
    options = arguments()
    tap_names = tap_tests(options.build)
    records = run_meson(options.build, options.names, max(JOBS_LEAST, os.cpu_count() or 1))
    if options.again:
        records = run_again(options.build, records, tap_names)
    cases = [case for record in records for case in cases_of(record, tap_names)]
    show(cases)
    count = collections.Counter(case.state for case in cases)
    if not cases:
        print("\nFAILED: no test ran")
        count["failed"] = 1
    sys.stdout.flush()
    print(f"\n{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""flamegraph, report and analyze on made-up artifacts: structure, shares, hostile names, damage, nothing at all."""

import json
import re
import xml.etree.ElementTree as ElementTree

import harness
from harness import check_in, check_near
from transforms import document, run_transform

SVG = "{http://www.w3.org/2000/svg}"
HTML = "{http://www.w3.org/1999/xhtml}"
ENODATA = "-9"


def parse(path):
    return ElementTree.parse(path).getroot()


def script_data(root):
    """What the script draws: (depth, name, weight share in percent), in pre-order."""
    text = root.find(SVG + "script").text
    looks = json.loads(re.sub(r",\s*\]", "]", "[" + re.search(r"\nlooks:\[(.*?)\],\nboxes:", text, re.S).group(1) + "]"))
    boxes = [int(word) for word in re.search(r"\nboxes:\[(.*?)\]\n", text, re.S).group(1).replace("\n", "").split(",") if word]
    step = int(re.search(r"step:(\d)", text).group(1))
    rows = [boxes[i:i + step] for i in range(0, len(boxes), step)]
    return [(row[0], looks[row[1]][0], 100 * row[2] / rows[0][2]) for row in rows]


def share(rows, name):
    found = [row[2] for row in rows if row[1] == name]
    assert found, f"{name} is not drawn: {sorted({row[1] for row in rows})}"
    return sum(found)


def table(text, title):
    """Rows of a table of a text report, as lists of words."""
    lines = text[text.index(title):].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("---")) + 1
    rows = []
    for line in lines[first:]:
        if not line.strip() or line.startswith("("):  # "(59 more)"
            break
        rows.append(line.split())
    return rows


# ---- flamegraph ----


def test_svg_has_the_shares(tmp):
    rows = script_data(parse(document("flamegraph", tmp, "service", "svg")))
    for name, pct in [("all", 100), ("hash_rounds", 55), ("sort_comments", 25), ("__memcpy_avx_unaligned_erms", 20),
                      ("render_markdown", 12), ("escape_html", 5), ("slow_endpoint", 92), ("libcodec.so.2+0x1234", 2)]:
        check_near(share(rows, name), pct, 0.001, name)


def test_svg_options(tmp):
    rows = script_data(parse(document("flamegraph", tmp / "a", "service", "svg", reverse="true")))
    assert [row for row in rows if row[0] == 1 and row[1] == "hash_rounds"], rows
    rows = script_data(parse(document("flamegraph", tmp / "b", "service", "svg", threads=1)))
    assert {row[1] for row in rows if row[0] == 1} == {"worker-0 (thread 101)", "worker-1 (thread 102)"}, rows
    root = parse(document("flamegraph", tmp / "c", "service", "svg", max_depth=3, title="a <b> & c"))
    assert max(row[0] for row in script_data(root)) == 3
    assert root.find(SVG + "title").text == "a <b> & c"
    check_in("100 % lies in stacks that go deeper than is drawn", "".join(root.itertext()))
    rows = script_data(parse(document("flamegraph", tmp / "d", "service", "svg", color=1)))
    check_near(share(rows, "hash_rounds"), 55, 0.001, "hash_rounds")


def test_svg_says_what_it_left_out(tmp):
    root = parse(document("flamegraph", tmp, "service", "svg", min_width=6.5))
    rows = script_data(root)
    names = {row[1] for row in rows}
    assert "escape_html" not in names and "ksys_read" not in names and "hash_rounds" in names
    check_near(share(rows, "(2 narrow frames)"), 8, 0.001, "the merged box")
    text = "".join(root.itertext())
    check_in("13.0 % lies in frames narrower than 6.5 %", text)


def test_svg_is_complete_in_weight(tmp):
    """Children lie within their parent, whatever was merged."""
    rows = script_data(parse(document("flamegraph", tmp, "big", "svg", min_width=0.05)))
    assert len(rows) > 500
    path = []
    for depth, name, pct in rows:
        del path[depth:]
        if path:
            path[-1][1] += pct
            assert path[-1][1] <= path[-1][0] + 1e-6, f"{name} stands out of its parent"
        path.append([pct, 0])


def test_svg_with_hostile_names_is_sound(tmp):
    path = document("flamegraph", tmp, "hostile", "svg", threads=1, min_width=0)
    root = parse(path)  # well-formed, or this throws
    allowed = {SVG + tag for tag in ["svg", "title", "desc", "style", "g", "rect", "text", "script"]} | {HTML + "meta"}
    for element in root.iter():
        assert element.tag in allowed, element.tag
        assert not [key for key in element.attrib if key.lower().startswith("on") or "href" in key], element.attrib
    assert len(list(root.iter(SVG + "script"))) == 1
    assert len(script_data(root)) > 800, len(script_data(root))
    raw = path.read_text(encoding="utf-8")
    script = raw[raw.index("<script"):]
    assert script.count("]]>") == 1 and script.count("</script") == 1
    data = script[:script.index("\n/*") if "\n/*" in script else script.index('"use strict"')]
    assert data.isascii()
    hidden = re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff]", raw)
    assert not hidden, hidden


def test_svg_of_nothing_is_an_error(tmp):
    result = run_transform("flamegraph", tmp, "empty").expect(1)
    check_in(ENODATA, result.err)
    check_in("perf-cpu.stacks has no sample", result.err)
    assert list(tmp.iterdir()) == []


def test_svg_of_damaged_and_of_killed(tmp):
    text = "".join(parse(document("flamegraph", tmp / "damaged", "damaged", "svg")).itertext())
    check_in("The artifact is damaged", text)
    root = parse(document("flamegraph", tmp / "killed", "killed", "svg"))
    text = "".join(root.itertext())
    check_in("PARTIAL", text)
    check_in("321 samples were LOST", text)
    check_in("no symbols", text)
    check_near(share(script_data(root), "forum+0x2300"), 30, 0.001, "a frame without a name")


def contrast(a, b):
    def luminance(color):
        parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_every_colour(tmp):
    style = parse(document("flamegraph", tmp, "service", "svg")).find(SVG + "style").text
    light, dark = style.split("@media (prefers-color-scheme:dark)", 1)
    for part, ink in [(light, "#1b1f24"), (dark[:dark.index("}}")], "#eef0f3")]:
        rules = re.findall(r"\.([a-z]\d)\{fill:(#[0-9a-f]{6})", part)
        assert len(rules) > 30
        for name, color in rules:
            assert contrast(color, ink) >= 4.5, f"{name} {color}: {contrast(color, ink):.2f} with {ink}"


# ---- report ----


def test_report_has_the_shares(tmp):
    text = document("report", tmp, "service", "perf_report").read_text()
    by_self = table(text, "Functions by self")
    assert by_self[0] == ["55.00", "55.00", "5,500", "hash_rounds", "forum"], by_self[0]
    assert ["5.00", "25.00", "500", "sort_comments", "forum"] in by_self
    check_near(sum(float(row[0]) for row in by_self), 100, 0.05, "sum of self")
    assert [row[-1] for row in table(text, "\nThreads")] == ["worker-1", "worker-0"]
    assert table(text, "\nModules")[0][:4] == ["72.00", "100.00", "7,200", "app"]
    assert table(text, "\nSource lines")[0] == ["30.00", "3,000", "hash_rounds", "work.c:41"]
    tree = text[text.index("Call tree"):]
    check_in(" 92.00    0.00    slow_endpoint  [forum]\n 55.00   55.00      hash_rounds  [forum]\n"
             " 25.00    5.00      sort_comments  [forum]\n 20.00   20.00        __memcpy_avx_unaligned_erms", tree)
    for line in text.splitlines():
        assert len(line) <= 100, line
    assert text.index("Completeness") < text.index("Functions")


def test_report_lists_symbols(tmp):
    text = document("report", tmp, "service", "perf_symbols").read_text()
    rows = table(text, "\nSymbols")
    assert rows[0] == ["55.00", "55.00", "5500", "5500", "0x2300", "app", "forum", "hash_rounds"], rows[0]
    assert len(rows) == 14


def test_report_thresholds(tmp):
    text = document("report", tmp, "service", "perf_report", rows=3, tree_min=30, tree_depth=5).read_text()
    assert len(table(text, "Functions by self")) == 3
    check_in("(11 more)", text)
    check_in("% is in branches below 30 %", text)
    check_in("% is in stacks deeper than 5 frames", text)


def test_report_of_bad_inputs(tmp):
    check_in(ENODATA, run_transform("report", tmp / "empty", "empty").expect(1).err)
    for shape, words in [("killed", "!! 321 samples were LOST"), ("damaged", "!! The artifact is damaged"),
                         ("tiny", "!! Only 1 sample")]:
        text = document("report", tmp / shape, shape, "perf_report").read_text()
        check_in(words, text)
    for port in ["perf_report", "perf_symbols"]:
        raw = document("report", tmp / port, "hostile", port).read_bytes()
        text = raw.decode("utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


# ---- analyze ----


def analyze(tmp, shapes):
    run_transform("analyze", tmp, shapes).ok()
    return (tmp / "text").read_text(), json.loads((tmp / "json").read_text()), json.loads((tmp / "summary").read_text())


def test_analyze_names_the_culprit(tmp):
    text, report, summary = analyze(tmp, "service,requests")
    assert report["verdict"].startswith("hash_rounds (forum) takes 55.0 % of the CPU time"), report["verdict"]
    check_in("92.0 % is under slow_endpoint (forum)", report["verdict"])
    check_in("hash_rounds", text.split("\n\n")[1])
    top = summary["top_functions"][0]
    assert (top["function"], top["module"], top["self_pct"], top["total_pct"]) == ("hash_rounds", "forum", 55, 55)
    assert len(summary["top_functions"]) == 10
    kinds = {finding["kind"]: finding for finding in summary["findings"]}
    check_near(kinds["hot_function"]["share"], 55, 0.01, "share of the finding")
    assert kinds["errors"]["severity"] == "error"
    assert kinds["hot_path"]["title"].startswith("slow_endpoint")
    for finding in summary["findings"]:
        assert set(finding) == {"kind", "severity", "title", "evidence", "share"}, finding
        assert finding["title"] and finding["evidence"]
    assert summary["text"][0] == report["verdict"]


def test_analyze_figures(tmp):
    text, report, _ = analyze(tmp, "service,requests")
    load = report["requests"][0]
    assert (load["requests"], load["answered"], load["failed"]) == (9000, 8910, 90)
    assert load["errors"]["timeout"] == 90 and load["status_5xx"] == 90
    for key, wanted in [("p50_ms", 45), ("p90_ms", 81), ("p99_ms", 89.1), ("p999_ms", 89.91), ("max_ms", 90)]:
        check_near(load[key], wanted, wanted * 0.001, key)
    check_near(load["rps"], 891, 0.5, "answers a second")
    check_near(report["cpus_busy"], 1.0, 0.001, "CPUs busy")
    check_near(report["cpu_ms_per_request"], 10000 / 8910, 0.001, "CPU per request")
    check_in("891.0 answers/s", text)


def test_analyze_with_one_side_missing(tmp):
    text, report, summary = analyze(tmp / "stacks", "service")
    check_in("requests: none in this run", text)
    assert report["requests"] == [] and "top_functions" in summary
    text, report, summary = analyze(tmp / "requests", "requests")
    check_in("nothing says where time goes", text)
    assert report["verdict"].startswith("There are no stacks") and "top_functions" not in summary
    text, report, _ = analyze(tmp / "empty", "empty,requests")
    check_in("No sample was taken in the window", text.split("\n\n")[1])


def test_analyze_says_that_requests_wait(tmp):
    """Hardly any CPU time, and 45 ms a request: the CPU profile is not the answer, and that is said."""
    _, report, _ = analyze(tmp, "tiny,requests")
    kinds = {finding["kind"]: finding for finding in report["findings"]}
    check_near(kinds["waiting"]["share"], 100, 0.1, "share of waiting")
    check_in("they wait for 100 % of that time", report["verdict"])
    _, report, _ = analyze(tmp, "service,requests")
    assert "waiting" not in {finding["kind"] for finding in report["findings"]}


def test_analyze_says_that_the_target_was_idle(tmp):
    """Next to no CPU time and no load: a share of it must not read as a cause."""
    _, report, _ = analyze(tmp / "idle", "tiny")
    assert report["verdict"].startswith("The target was nearly idle: 0.000 CPUs busy"), report["verdict"]
    assert "idle" in {finding["kind"] for finding in report["findings"]}
    _, report, _ = analyze(tmp / "busy", "service")
    assert "idle" not in report["verdict"], report["verdict"]


def test_analyze_says_what_is_incomplete_first(tmp):
    text, report, _ = analyze(tmp, "killed,requests")
    top = text.split("\n\n")[1]
    for words in ["PARTIAL", "321 samples were LOST", "no symbols"]:
        check_in(words, top)
    assert text.index("!!") < text.index(report["verdict"][:20])
    assert [finding["kind"] for finding in report["findings"]].count("incomplete") == 3
    assert report["stacks"][0]["partial"] is True and report["stacks"][0]["lost"] == 321


def test_analyze_does_not_cry_over_little(tmp):
    """Few samples beside a good profile are mentioned, last; of the profile itself they are a warning on top."""
    text, report, _ = analyze(tmp / "beside", "service,few,requests")
    assert "!!" not in text, text
    assert (report["findings"][-1]["kind"], report["findings"][-1]["severity"]) == ("few_samples", "info")
    check_in("Only 5 samples", report["findings"][-1]["evidence"])
    text, report, _ = analyze(tmp / "alone", "few,requests")
    check_in("Only 5 samples", text.split("\n\n")[1])
    assert "few_samples" not in {finding["kind"] for finding in report["findings"]}


def test_analyze_of_nothing_is_an_error(tmp):
    for shapes in ["none", "empty"]:
        result = run_transform("analyze", tmp, shapes).expect(1)
        check_in(ENODATA, result.err)
        assert list(tmp.iterdir()) == []


def test_analyze_of_hostile_and_damaged(tmp):
    for shape in ["hostile", "damaged", "tiny", "big"]:
        text, report, summary = analyze(tmp / shape, shape)
        assert report["verdict"]
        for line in text.splitlines():
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line), line


if __name__ == "__main__":
    harness.main(__name__)

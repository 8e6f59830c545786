# SPDX-License-Identifier: MIT
"""profcore artifact list and show on real runs, and the independent reader over all that they kept."""

import csv
import io
import json
import os
import struct
import subprocess
import sys
import zlib

import harness

CONFIG = """
[run]
name     = artifact
duration = 300ms
output   = {output}
[target]
command = sleep 30
[plugin:null]
interval = 5ms
"""


def make_run(tmp):
    (tmp / "test.ini").write_text(CONFIG.format(output=tmp / "profiling"))
    harness.profcore("-c", tmp / "test.ini").ok()
    return tmp / "profiling" / "latest"


def read_independently(*args):
    return subprocess.run([sys.executable, harness.source_dir() / "docs" / "read_artifact.py", *map(str, args)],
                          capture_output=True, text=True, timeout=60)


def block(kind, sequence, body, table=0, rows=0, count=1, first=0, last=0):
    """One block by docs/artifacts.md; body: its buffers."""
    at, descriptors, data = (count * 24 + 63) // 64 * 64, b"", b""
    for buffer in body:
        descriptors += struct.pack("<QQII", at + len(data), len(buffer), zlib.crc32(buffer), 0)
        data += buffer + bytes(-len(buffer) % 64)
    text = descriptors + bytes(at - len(descriptors)) + data
    head = struct.pack("<4sIIIQQQQIII", b"PFBK", kind, table, count, rows, first, last, len(text), sequence,
                       zlib.crc32(descriptors), 0)
    return head + struct.pack("<I", zlib.crc32(head)) + text


def write_by_the_page(path, chunks, chunk_rows):
    """An artifact written with nothing but docs/artifacts.md: a table of two columns, row i is (i, 3 i)."""
    head = struct.pack("<8s48sI", b"PFCOL\0\1\n", b"test.pairs/1", 0)
    parts = [head + struct.pack("<I", zlib.crc32(head))]
    schema = {"name": "pairs", "time_column": 0, "columns": [{"name": "time", "type": "u64", "unit": "ns"},
                                                             {"name": "triple", "type": "i64", "unit": "count"}]}
    parts.append(block(1, 0, [json.dumps(schema).encode()]))
    for chunk in range(chunks):
        rows = range(chunk * chunk_rows, (chunk + 1) * chunk_rows)
        times = struct.pack("<%dQ" % chunk_rows, *rows)
        triples = struct.pack("<%dq" % chunk_rows, *(3 * i for i in rows))
        parts.append(block(2, chunk + 1, [times, triples], 0, chunk_rows, 2, rows[0], rows[-1]))
    chain = zlib.crc32(b"".join(part[60:64] for part in parts))
    seal = {"state": "complete", "rows": {"pairs": chunks * chunk_rows}, "checksum": "crc32:%08x" % chain}
    parts.append(block(4, chunks + 1, [json.dumps(seal).encode()]))
    path.write_bytes(b"".join(parts))


def make_run_by_hand(tmp, chunks=4, chunk_rows=1000):
    run = tmp / "by-hand"
    (run / "artifacts").mkdir(parents=True)
    (run / "manifest.json").write_text('{"format": 1, "stages": []}')
    write_by_the_page(run / "artifacts" / "hand.pairs.pcol", chunks, chunk_rows)
    return run


def test_list(tmp):
    run = make_run(tmp)
    harness.check_in("null.ticks", harness.profcore("artifact", "list", run).ok().out)
    entries = harness.profcore("artifact", "list", run, "--json").ok().json()
    assert [entry["name"] for entry in entries] == ["null.ticks"]
    assert entries[0]["rows"] > 10 and entries[0]["state"] == "complete"


def test_all_three_forms_and_the_independent_reader_agree(tmp):
    run = make_run(tmp)
    path = run / "artifacts" / "null.ticks.pcol"
    shown = harness.profcore("artifact", "show", run, "null.ticks", "--json").ok().json()
    independent = read_independently("--ids", "--sealed", path)
    assert independent.returncode == 0, independent.stderr
    independent = json.loads(independent.stdout)
    assert shown["tables"] == independent["tables"] and shown["facts"] == independent["facts"]
    assert len(shown["tables"]["ticks"]) == shown["rows"]["ticks"] > 10
    rows = list(csv.DictReader(io.StringIO(harness.profcore("artifact", "show", run, "null.ticks", "--csv").ok().out)))
    assert [{key: int(value) for key, value in row.items()} for row in rows] == shown["tables"]["ticks"]
    text = harness.profcore("artifact", "show", run, "null.ticks", "--limit", "3").ok().out
    harness.check_in(f"ticks: 3 of {len(rows)} rows", text)
    harness.check_in(rows[2]["time"], text)
    assert rows[3]["time"] not in text


def test_a_file_written_by_the_page_alone_is_read(tmp):
    run = make_run_by_hand(tmp)
    shown = harness.profcore("artifact", "show", run, "hand.pairs", "--json").ok().json()
    assert shown["tables"]["pairs"] == [{"time": i, "triple": 3 * i} for i in range(4000)]
    harness.check_in("complete", harness.profcore("artifact", "show", run, "hand.pairs").ok().out)


def test_a_cut_file_shows_what_was_committed(tmp):
    run = make_run_by_hand(tmp)
    path = run / "artifacts" / "hand.pairs.pcol"
    os.truncate(path, path.stat().st_size - 20000)
    shown = harness.profcore("artifact", "show", run, "hand.pairs", "--json").ok().json()
    assert shown["state"] == "partial" and shown["rows"]["pairs"] == 2000
    assert shown["tables"] == json.loads(read_independently(path).stdout)["tables"]
    os.truncate(path, 10)
    harness.check_in("artifact of tables", harness.profcore("artifact", "show", run, "hand.pairs").expect(1).err)


def test_a_damaged_buffer_is_said(tmp):
    run = make_run_by_hand(tmp)
    path = run / "artifacts" / "hand.pairs.pcol"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    harness.check_in("checksum", harness.profcore("artifact", "show", run, "hand.pairs", "--json").expect(1).err)
    assert read_independently(path).returncode == 1


def test_a_file_cut_while_it_is_read_is_an_error_and_no_crash(tmp):
    run = make_run_by_hand(tmp, chunks=40, chunk_rows=10000)
    shower = subprocess.Popen([harness.profcore_path(), "artifact", "show", run, "hand.pairs", "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shower.stdout.read(1000)  # it is in the middle of it, and waits for us
    os.truncate(run / "artifacts" / "hand.pairs.pcol", 4096)
    _, err = shower.communicate(timeout=60)
    assert shower.returncode == 1, (shower.returncode, err)
    harness.check_in("cut while it was read", err)


def test_enough_is_enough(tmp):
    run = make_run_by_hand(tmp, chunks=40, chunk_rows=10000)
    shower = subprocess.Popen([harness.profcore_path(), "artifact", "show", run, "hand.pairs", "--csv"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shower.stdout.readline()
    shower.stdout.close()
    assert shower.stderr.read() == "" and shower.wait(60) == 0


def test_mistakes_are_explained(tmp):
    run = make_run_by_hand(tmp)
    harness.check_in("pairs", harness.profcore("artifact", "show", run, "hand.pairs", "--table", "x").expect(2).err)
    harness.check_in("no such artifact", harness.profcore("artifact", "show", run, "../by-hand").expect(2).err)
    harness.check_in("no such run", harness.profcore("artifact", "show", tmp / "nothing", "a.b").expect(2).err)
    harness.check_in("--limit", harness.profcore("artifact", "show", run, "hand.pairs", "--limit", "-3").expect(2).err)
    harness.check_in("exclude", harness.profcore("artifact", "show", run, "a.b", "--json", "--csv").expect(2).err)
    harness.profcore("artifact").expect(2)


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Read a profcore artifact of tables (.pcol) by docs/artifacts.md alone: no code of the program is used here.

It verifies every checksum and every limit, and prints the tables as JSON or CSV. It is the proof of the layout.
"""
import argparse
import csv
import json
import struct
import sys
import zlib

FILE = struct.Struct("<8s48sII")
BLOCK = struct.Struct("<4sIIIQQQQIIII")
BUFFER = struct.Struct("<QQII")
SCHEMA, CHUNK, META, SEAL = 1, 2, 3, 4
VALUES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "i64": "q", "f64": "d"}


class Corrupt(Exception):
    """Bytes that do not check."""


class End(Exception):
    """Where what was committed ends; the message says why."""


def check(condition, why):
    if not condition:
        raise End(why)


class Artifact:
    """One file: its tables, facts, losses, and whether it is sealed."""

    def __init__(self, data):
        self.data = data
        self.tables = []
        self.meta = {"facts": {}, "lost": {}}
        self.sealed = False
        self.sequence = 0
        self.read_file_header()
        self.end = "the end of the file"
        try:
            while not self.sealed:
                self.read_block()
        except (End, ValueError, KeyError, TypeError) as end:
            self.end = str(end)

    def read_file_header(self):
        if len(self.data) < FILE.size:
            raise Corrupt("shorter than a file header")
        magic, kind, _, crc = FILE.unpack_from(self.data)
        if magic != b"PFCOL\0\1\n" or crc != zlib.crc32(self.data[:60]) or b"\0" not in kind:
            raise Corrupt("no artifact of tables")
        self.type = kind.split(b"\0")[0].decode("utf-8", "replace")
        self.at = FILE.size
        self.chain = zlib.crc32(self.data[60:64])

    def read_block(self):
        """Take one block, or raise End and leave everything as it was."""
        data, at = self.data, self.at
        check(at < len(data), "the end of the file")
        check(at + BLOCK.size <= len(data), "a truncated block header")
        (magic, kind, table, count, rows, first, last, body_bytes, sequence, descriptor_crc, _, crc
         ) = BLOCK.unpack_from(data, at)
        check(magic == b"PFBK" and crc == zlib.crc32(data[at:at + 60]), "no block header")
        body = at + BLOCK.size
        check(sequence == self.sequence and body_bytes % 64 == 0, "a block out of order")
        check(body + body_bytes <= len(data), "a truncated block")
        check(1 <= count <= 128 and count * BUFFER.size <= body_bytes, "a block with wrong descriptors")
        check(zlib.crc32(data[body:body + count * BUFFER.size]) == descriptor_crc, "descriptors do not check")
        buffers = [BUFFER.unpack_from(data, body + i * BUFFER.size)[:3] for i in range(count)]
        for offset, length, _ in buffers:
            check(offset % 64 == 0 and offset + length <= body_bytes, "a buffer outside its block")
        if kind == CHUNK:
            self.take_chunk(table, rows, first, last, [(body + o, n, c) for o, n, c in buffers])
        else:
            offset, length, buffer_crc = buffers[0]
            text = data[body + offset:body + offset + length]
            check(count == 1 and length <= 1 << 20 and zlib.crc32(text) == buffer_crc, "a text does not check")
            self.take_text(kind, table, json.loads(text))
        self.at = body + body_bytes
        self.sequence += 1
        self.chain = zlib.crc32(data[at + 60:at + 64], self.chain)

    def take_text(self, kind, table, value):
        if kind == SCHEMA:
            check(table == len(self.tables), "a schema out of order")
            self.tables.append({"name": value["name"], "time_column": value["time_column"],
                                "columns": value["columns"], "rows": 0, "chunks": []})
        elif kind == META:
            self.meta = value
        else:
            check(kind == SEAL, "a block of no known kind")
            rows = {t["name"]: t["rows"] for t in self.tables}
            check(value["checksum"] == "crc32:%08x" % self.chain and value["rows"] == rows, "a seal that does not hold")
            self.sealed = True

    def take_chunk(self, number, rows, first, last, buffers):
        check(number < len(self.tables) and 0 < rows <= 1 << 20, "a chunk of no table")
        table = self.tables[number]
        lengths = []
        for column in table["columns"]:
            is_text = column["type"] == "utf8"
            lengths += [4 * (rows + 1), None] if is_text else [rows * struct.calcsize("<" + VALUES[column["type"]])]
        check(len(lengths) == len(buffers), "a chunk with wrong columns")
        for length, buffer in zip(lengths, buffers):
            check(length is None or length == buffer[1], "a column of the wrong length")
        table["chunks"].append((rows, first, last, buffers))
        table["rows"] += rows

    def buffer(self, buffer):
        start, length, crc = buffer
        data = self.data[start:start + length]
        if zlib.crc32(data) != crc:
            raise Corrupt("the buffer at %d does not check" % start)
        return data

    def columns(self, table, chunk):
        """The columns of one chunk as sequences of Python values; verifies every buffer."""
        rows, first, last, buffers = chunk
        at, columns = 0, []
        for column in table["columns"]:
            if column["type"] == "utf8":
                offsets = struct.unpack("<%di" % (rows + 1), self.buffer(buffers[at]))
                text = self.buffer(buffers[at + 1])
                if offsets[0] < 0 or offsets[-1] > len(text) or any(a > b for a, b in zip(offsets, offsets[1:])):
                    raise Corrupt("offsets do not ascend")
                columns.append([text[a:b].decode("utf-8", "replace") for a, b in zip(offsets, offsets[1:])])
                at += 2
            else:
                columns.append(struct.unpack("<%d%s" % (rows, VALUES[column["type"]]), self.buffer(buffers[at])))
                at += 1
        if table["time_column"] >= 0:
            times = columns[table["time_column"]]
            if (min(times), max(times)) != (first, last):
                raise Corrupt("the time range of a chunk is not that of its rows")
        return columns

    def rows(self, table):
        for chunk in table["chunks"]:
            yield from zip(*self.columns(table, chunk))

    def check_ids(self):
        """A committed row refers only to committed rows."""
        rows = {t["name"]: t["rows"] for t in self.tables}
        for table in self.tables:
            ids = [(i, c["unit"][3:]) for i, c in enumerate(table["columns"]) if c["unit"].startswith("id:")]
            for chunk in table["chunks"]:
                columns = self.columns(table, chunk)
                for index, target in ids:
                    if target not in rows or max(columns[index]) >= rows[target]:
                        raise Corrupt("%s.%s refers to a row of %s that is not there" % (
                            table["name"], table["columns"][index]["name"], target))


def as_json(artifact, names, limit):
    tables = {}
    for table in artifact.tables:
        if not names or table["name"] in names:
            keys = [c["name"] for c in table["columns"]]
            tables[table["name"]] = [dict(zip(keys, row)) for _, row in zip(range(limit), artifact.rows(table))]
    return {"type": artifact.type, "sealed": artifact.sealed, "facts": artifact.meta.get("facts", {}),
            "lost": artifact.meta.get("lost", {}), "rows": {t["name"]: t["rows"] for t in artifact.tables},
            "tables": tables}


def print_csv(artifact, names, limit):
    for table in artifact.tables:
        if not names or table["name"] in names:
            out = csv.writer(sys.stdout)
            out.writerow([c["name"] for c in table["columns"]])
            out.writerows(row for _, row in zip(range(limit), artifact.rows(table)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="+")
    parser.add_argument("--table", action="append", help="only this table")
    parser.add_argument("--limit", type=int, default=sys.maxsize, help="at most this many rows of each table")
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--verify", action="store_true", help="print one line a file instead of the rows")
    parser.add_argument("--ids", action="store_true", help="also insist that every id refers to a row")
    parser.add_argument("--sealed", action="store_true", help="also insist on a seal")
    args = parser.parse_args()
    failed = 0
    for name in args.file:
        try:
            with open(name, "rb") as file:
                artifact = Artifact(file.read())
            for table in artifact.tables:
                for chunk in table["chunks"]:
                    artifact.columns(table, chunk)
            if args.ids:
                artifact.check_ids()
            if args.sealed and not artifact.sealed:
                raise Corrupt("not sealed: it ends at byte %d with %s" % (artifact.at, artifact.end))
        except (Corrupt, OSError) as error:
            print("%s: %s" % (name, error), file=sys.stderr)
            failed = 1
            continue
        if args.verify:
            print("%s: %s, %s, %s" % (name, artifact.type, "complete" if artifact.sealed else "partial",
                                      json.dumps({t["name"]: t["rows"] for t in artifact.tables})))
        elif args.csv:
            print_csv(artifact, args.table, args.limit)
        else:
            json.dump(as_json(artifact, args.table, args.limit), sys.stdout, indent=1)
            print()
    return failed


if __name__ == "__main__":
    sys.exit(main())

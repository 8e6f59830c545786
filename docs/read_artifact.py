#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Read profcore artifacts of tables (.pcol) by docs/artifacts.md alone, as the proof of that page: no code of the
program is used here. Verifies every checksum and limit, prints the tables as JSON or CSV."""
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
    """Bytes that were committed and do not check."""


class End(Exception):
    """Where what was committed ends; the message says why."""


def check(condition, why):
    if not condition:
        raise End(why)


class Artifact:
    """One file: its tables, facts and losses, and whether it is sealed."""

    def __init__(self, data):
        self.data = data
        self.tables = []
        self.meta = {"facts": {}, "lost": {}}
        self.sealed, self.sequence, self.at = False, 0, 64
        magic, kind, _, crc = FILE.unpack_from(data.ljust(64, b"\0"))
        if magic != b"PFCOL\0\1\n" or crc != zlib.crc32(data[:60]) or b"\0" not in kind:
            raise Corrupt("the first 64 bytes are not those of an artifact of tables")
        self.type = kind.split(b"\0")[0].decode("utf-8", "replace")
        self.chain = zlib.crc32(data[60:64])
        try:
            while not self.sealed:
                self.read_block()
        except (End, ValueError, KeyError, TypeError) as end:
            self.end = str(end)

    def read_block(self):
        """Take one block, or raise and stay where we are."""
        data, at = self.data, self.at
        check(at + 64 <= len(data), "the end of the file")
        (magic, kind, table, count, rows, first, last, body_bytes, sequence, descriptor_crc, _, crc
         ) = BLOCK.unpack_from(data, at)
        check(magic == b"PFBK" and crc == zlib.crc32(data[at:at + 60]), "no block header")
        check(sequence == self.sequence and body_bytes % 64 == 0, "a block out of order")
        body = at + 64
        check(body + body_bytes <= len(data), "a truncated block")
        check(1 <= count <= 128 and count * 24 <= body_bytes, "a block with wrong descriptors")
        check(zlib.crc32(data[body:body + count * 24]) == descriptor_crc, "descriptors that do not check")
        buffers = [BUFFER.unpack_from(data, body + i * 24)[:3] for i in range(count)]
        check(all(o % 64 == 0 and o + n <= body_bytes for o, n, _ in buffers), "a buffer outside its block")
        buffers = [(body + offset, length, buffer_crc) for offset, length, buffer_crc in buffers]
        if kind == CHUNK:
            self.take_chunk(table, rows, first, last, buffers)
        else:
            self.take_text(kind, table, buffers)
        self.at = body + body_bytes
        self.sequence += 1
        self.chain = zlib.crc32(data[at + 60:at + 64], self.chain)

    def take_text(self, kind, number, buffers):
        start, length, crc = buffers[0]
        text = self.data[start:start + length]
        check(len(buffers) == 1 and length <= 1 << 20, "a text out of bounds")
        check(zlib.crc32(text) == crc, "a text that does not check")
        value = json.loads(text)
        if kind == SCHEMA:
            check(number == len(self.tables), "a schema out of order")
            self.tables.append({"name": value["name"], "time_column": value["time_column"],
                                "columns": value["columns"], "rows": 0, "chunks": []})
        elif kind == META:
            self.meta = {"facts": value["facts"], "lost": value["lost"]}
        else:
            check(kind == SEAL, "a block of no known kind")
            check(value["checksum"] == "crc32:%08x" % self.chain, "a seal over other blocks")
            check(value["rows"] == self.row_counts(), "a seal over other rows")
            self.sealed = True

    def take_chunk(self, number, rows, first, last, buffers):
        check(number < len(self.tables) and 0 < rows <= 1 << 20, "a chunk of no table")
        table = self.tables[number]
        lengths = []
        for column in table["columns"]:
            if column["type"] == "utf8":
                lengths += [4 * (rows + 1), None]
            else:
                lengths.append(rows * struct.calcsize("<" + VALUES[column["type"]]))
        check(len(lengths) == len(buffers), "a chunk with wrong columns")
        check(all(n in (None, b[1]) for n, b in zip(lengths, buffers)), "a column of the wrong length")
        table["chunks"].append((rows, first, last, buffers))
        table["rows"] += rows

    def buffer(self, buffer):
        start, length, crc = buffer
        data = self.data[start:start + length]
        if zlib.crc32(data) != crc:
            raise Corrupt("the buffer at byte %d does not check" % start)
        return data

    def columns(self, table, chunk):
        """The columns of one chunk as sequences of Python values; verifies every buffer."""
        rows, first, last, buffers = chunk
        rest, columns = iter(buffers), []
        for column in table["columns"]:
            data = self.buffer(next(rest))
            if column["type"] == "utf8":
                ends = struct.unpack("<%di" % (rows + 1), data)
                text = self.buffer(next(rest))
                if ends[0] < 0 or ends[-1] > len(text) or any(a > b for a, b in zip(ends, ends[1:])):
                    raise Corrupt("offsets do not ascend")
                columns.append([text[a:b].decode("utf-8", "replace") for a, b in zip(ends, ends[1:])])
            else:
                columns.append(struct.unpack("<%d%s" % (rows, VALUES[column["type"]]), data))
        if table["time_column"] >= 0:
            times = columns[table["time_column"]]
            if (min(times), max(times)) != (first, last):
                raise Corrupt("the time range of a chunk is not that of its rows")
        return columns

    def row_counts(self):
        return {t["name"]: t["rows"] for t in self.tables}

    def head(self, table, limit):
        rows = (row for chunk in table["chunks"] for row in zip(*self.columns(table, chunk)))
        return (row for _, row in zip(range(limit), rows))

    def verify(self, ids):
        """Every buffer; with ids also that a committed row refers only to committed rows."""
        counts = self.row_counts()
        for table in self.tables:
            for chunk in table["chunks"]:
                for column, values in zip(table["columns"], self.columns(table, chunk)):
                    target = column["unit"][3:] if column["unit"].startswith("id:") else None
                    if ids and target is not None and max(values) >= counts.get(target, 0):
                        raise Corrupt("%s.%s refers to a row of %s that is not there"
                                      % (table["name"], column["name"], target))


def print_json(artifact, tables, limit):
    rows = {t["name"]: [dict(zip([c["name"] for c in t["columns"]], row)) for row in artifact.head(t, limit)]
            for t in tables}
    json.dump({"type": artifact.type, "sealed": artifact.sealed, **artifact.meta,
               "rows": artifact.row_counts(), "tables": rows}, sys.stdout, indent=1)
    print()


def print_csv(artifact, tables, limit):
    for table in tables:
        out = csv.writer(sys.stdout)
        out.writerow([c["name"] for c in table["columns"]])
        out.writerows(artifact.head(table, limit))


def main():
    parser = argparse.ArgumentParser(description="Read and verify profcore artifacts of tables.")
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
            artifact.verify(args.ids)
            if args.sealed and not artifact.sealed:
                raise Corrupt("not sealed: at byte %d it ends with %s" % (artifact.at, artifact.end))
        except (Corrupt, OSError) as error:
            print("%s: %s" % (name, error), file=sys.stderr)
            failed = 1
            continue
        tables = [t for t in artifact.tables if not args.table or t["name"] in args.table]
        if args.verify:
            state = "complete" if artifact.sealed else "partial"
            print("%s: %s, %s, %s" % (name, artifact.type, state, json.dumps(artifact.row_counts())))
        else:
            (print_csv if args.csv else print_json)(artifact, tables, args.limit)
    return failed


if __name__ == "__main__":
    sys.exit(main())

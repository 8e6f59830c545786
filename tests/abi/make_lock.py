#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write or check the layout lock of the public headers.

    make_lock.py HEADERS > lock.c        write the lock of the headers as they are now (an append: review the difference)
    make_lock.py HEADERS --check lock.c  fail when the headers hold something that the lock does not name

The lock is C: static assertions for each struct (size, offset, size and type of each member, no holes), each enum value
and each prototype, and a main() that compares the text of each macro. A struct that starts with struct_size may grow at its
end; every other one may not change at all.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

# Information, never a gate: it moves with every append.
FREE_MACROS = {"PFC_ABI_MINOR"}


def strip_comments(text):
    return re.sub(r"//[^\n]*", " ", re.sub(r"/\*.*?\*/", " ", text, flags=re.S))


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def macros_of(text):
    """name -> (parameters or None, body); guards (empty bodies) are left out."""
    found = {}
    for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\([^)]*\))?((?:[^\n]|(?<=\\)\n)*)$",
                             text.replace("\\\n", " "), flags=re.M):
        name, parameters, body = match.group(1), match.group(2), squeeze(match.group(3))
        if body:
            found.setdefault(name, (parameters, body))
    return found


def braces_of(text, keyword):
    """name -> text between the braces, for `struct NAME { ... };` and `enum NAME { ... };`"""
    return {m.group(1): m.group(2) for m in re.finditer(keyword + r"\s+(\w+)\s*\{([^{}]*)\}\s*;", text)}


def member_of(declaration):
    """(name, type name) of one member declaration."""
    text = squeeze(declaration)
    match = re.fullmatch(r"(.*?)\(\s*\*\s*(\w+)\s*\)\s*\((.*)\)", text)
    if match:
        return match.group(2), f"{match.group(1).strip()} (*)({match.group(3)})"
    match = re.fullmatch(r"(.*?)(\w+)\s*(\[[^\]]*\])?", text)
    return match.group(2), squeeze(match.group(1) + " " + (match.group(3) or ""))


class Header:
    def __init__(self, root, path):
        raw = path.read_text()
        text = strip_comments(raw)
        self.name = path.relative_to(root).as_posix()
        self.macros = macros_of(strip_comments(raw.replace("\\\n", "  ")))
        text = re.sub(r"^[ \t]*#.*$", "", text.replace("\\\n", " "), flags=re.M)
        self.structs = {name: [member_of(part) for part in body.split(";") if part.strip()]
                        for name, body in braces_of(text, "struct").items()}
        self.enums = {name: [part.split("=")[0].strip() for part in body.split(",") if part.strip()]
                      for name, body in braces_of(text, "enum").items()}
        self.typedefs = {m.group(2): squeeze(f"{m.group(1)} (*)({m.group(3)})")
                         for m in re.finditer(r"typedef\s+([^;{]*?)\(\s*\*\s*(\w+)\s*\)\s*\(([^;]*)\)\s*;", text)}
        self.functions = {}
        outside = re.sub(r"\{[^{}]*\}", "{}", re.sub(r"(struct|enum)\s+\w+\s*\{[^{}]*\}\s*;", "", text))
        for match in re.finditer(r"([\w \t\n*]+?)\b(pfc_\w+)\s*\(([^(){};]*)\)\s*(?:;|\{)", outside):
            kind = squeeze(re.sub(r"\b(static|inline|extern|PFC_EXPORT|C)\b", " ", match.group(1).replace('"', " ")))
            if kind and "typedef" not in kind:
                self.functions[match.group(2)] = f"{kind} ({squeeze(match.group(3))})"


def headers_of(root):
    return [Header(root, path) for path in sorted(root.rglob("*.h"))]


def ask_compiler(root, headers, lines):
    """Compile and run a program that prints one number a line."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "ask.c"
        program = pathlib.Path(folder) / "ask"
        source.write_text("#include <stddef.h>\n#include <stdio.h>\n" +
                          "".join(f"#include <{h.name}>\n" for h in headers) +
                          "int main(void)\n{\n" + "".join(f'\tprintf("%lld\\n", (long long)({e}));\n' for e in lines) +
                          "\treturn 0;\n}\n")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu11", "-I", str(root), str(source), "-o", str(program)],
                       check=True)
        output = subprocess.run([str(program)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [int(line) for line in output.split()]


def lock_struct(name, members, ask):
    kind = f"struct {name}"
    may_grow = members[0][0] == "struct_size"
    size = ask(f"sizeof({kind})")
    lines = [f"/* {kind} */",
             f"SAME(_Alignof({kind}), {ask(f'_Alignof({kind})')});",
             f"{'AT_LEAST' if may_grow else 'SAME'}(sizeof({kind}), {size});"]
    for member, type_name in members:
        offset = ask(f"offsetof({kind}, {member})")
        lines.append(f"MEMBER({kind}, {member}, {offset}, {type_name});")
    # No hole anywhere, least of all at the end: a member put into a hole would hold an old plugin's rubbish.
    lines.append("SAME(" + " + ".join(f"sizeof((({kind} *)0)->{m})" for m, _ in members) + f", {size}); /* no hole */")
    return lines


def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def lock_text(root):
    headers = headers_of(root)
    asked = []

    def ask(expression):
        asked.append(expression)
        return f"@{len(asked) - 1}@"

    lines = []
    checks = []
    for header in headers:
        lines += ["", f"/* ---- {header.name} ---- */"]
        for name, members in header.structs.items():
            lines += lock_struct(name, members, ask)
        for name, values in header.enums.items():
            lines.append(f"/* enum {name} */")
            lines += [f"SAME({value}, {ask(value)});" for value in values]
        for name, kind in {**header.typedefs, **header.functions}.items():
            expression = name if name in header.typedefs else f"__typeof__({name})"
            lines.append(f"TYPE({expression}, {kind});")
        for name, (parameters, _) in header.macros.items():
            if name in FREE_MACROS:
                continue
            call = name + (re.sub(r"\w+", lambda m: m.group(0), parameters) if parameters else "")
            checks.append((name, call, header))
    values = ask_compiler(root, headers, asked)
    body = re.sub(r"@(\d+)@", lambda m: str(values[int(m.group(1))]), "\n".join(lines))
    return headers, body, checks


def expand_macros(root, headers, checks):
    """The text of each macro after expansion, as the # operator sees it."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "ask.c"
        program = pathlib.Path(folder) / "ask"
        source.write_text("#include <stddef.h>\n#include <stdio.h>\n" +
                          "".join(f"#include <{h.name}>\n" for h in headers) +
                          "#define TEXT_OF(...) #__VA_ARGS__\n#define TEXT(...) TEXT_OF(__VA_ARGS__)\nint main(void)\n{\n" +
                          "".join(f"\tputs(TEXT({call}));\n" for _, call, _ in checks) + "\treturn 0;\n}\n")
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu11", "-I", str(root), str(source), "-o", str(program)],
                       check=True)
        output = subprocess.run([str(program)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return output.split("\n")[:len(checks)]


PREAMBLE = """\
/* SPDX-License-Identifier: MIT */
/*
 * The layout lock of the public headers, written by make_lock.py. It does not compile, or its program fails, when a change
 * would break a plugin that was built before. After an append, write it anew and review that lines were only added.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

%s
#if UINTPTR_MAX != UINT64_MAX
#error "the lock holds the layout of 64-bit machines"
#endif

#define SAME(actual, locked) _Static_assert((actual) == (locked), #actual " changed")
#define AT_LEAST(actual, locked) _Static_assert((actual) >= (locked), #actual " shrank")
#define TYPE(actual, ...) \\
	_Static_assert(__builtin_types_compatible_p(actual, __VA_ARGS__), #actual " changed its type")
#define MEMBER(in, member, offset, ...)                    \\
	SAME(offsetof(in, member), offset);                \\
	TYPE(__typeof__(((in *)0)->member), __VA_ARGS__)
"""

MACROS = """
/* Macros, expanded. */
#define TEXT_OF(...) #__VA_ARGS__
#define TEXT(...) TEXT_OF(__VA_ARGS__)

/* Spaces aside: compilers differ in them. */
static int differs(const char *actual, const char *locked)
{
	for (;; actual++, locked++) {
		actual += strspn(actual, " ");
		locked += strspn(locked, " ");
		if (*actual != *locked) {
			return 1;
		}
		if (*actual == '\\0') {
			return 0;
		}
	}
}

int main(void)
{
	int changed = 0;

%s
	return changed;
}
"""


def main():
    root = pathlib.Path(sys.argv[1])
    if len(sys.argv) > 3 and sys.argv[2] == "--check":
        lock = pathlib.Path(sys.argv[3]).read_text()
        missing = []
        for header in headers_of(root):
            for name, members in header.structs.items():
                missing += [f"struct {name}.{m}" for m, _ in members if f"MEMBER(struct {name}, {m}," not in lock]
            for values in header.enums.values():
                missing += [value for value in values if f"SAME({value}, " not in lock]
            missing += [name for name in header.typedefs if f"TYPE({name}, " not in lock]
            missing += [name for name in header.functions if f"TYPE(__typeof__({name}), " not in lock]
            missing += [name for name in header.macros
                        if name not in FREE_MACROS and not re.search(rf"TEXT\({name}[()]", lock)]
        for name in missing:
            print(f"not locked: {name}")
        return 1 if missing else 0
    headers, body, checks = lock_text(root)
    texts = expand_macros(root, headers, checks)
    includes = "".join(f"#include <{h.name}>\n" for h in headers)
    print(PREAMBLE % includes + body)
    print(MACROS % "\n".join(f"\tchanged |= differs(TEXT({call}),\n\t\t\t   {c_string(text)});"
                             for (_, call, _), text in zip(checks, texts)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

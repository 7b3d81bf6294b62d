#!/usr/bin/env python3
"""Counts the lines of the Rust sources by crate, and their unsafe blocks and functions.

usage: count_lines.py [--files]      --files: one row a file

| column         | counts |
|----------------|---|
| code           | lines with code outside tests |
| comments       | lines with nothing but a comment, outside tests |
| blank          | empty lines outside tests |
| unit tests     | all lines of modules below src/ that only tests compile |
| src            | the sum of the columns before it: every line below src/ |
| tests, benches | all lines of these folders |
| unsafe blocks  | `unsafe { }` below src/ |
| unsafe fns     | `unsafe fn` and `unsafe impl` below src/ |
"""

import argparse
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ["code", "comments", "blank", "unit tests", "src", "tests", "benches", "unsafe blocks", "unsafe fns"]

# Comments first, then everything in which `//`, a brace or `unsafe` is no code.
TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | b?c?r(?P<hashes>\#*)".*?"(?P=hashes)
      | b?c?"(?:\\.|[^"\\])*"
      | b?'(?:\\[^\n]+?|[^\\'\n])'
    """,
    re.VERBOSE | re.DOTALL)
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*([{;])")


def strip(source):
    """The source without comments and texts, line by line as before; and the lines that have a comment."""
    commented = set()

    def blank(match):
        if match["comment"]:
            first = source.count("\n", 0, match.start())
            commented.update(range(first, first + match[0].count("\n") + 1))
            return "\n" * match[0].count("\n")
        return '"' + "\n" * match[0].count("\n") + '"'

    return TOKEN.sub(blank, source), commented


def end_of_block(code, opening):
    depth = 0
    for brace in re.compile("[{}]").finditer(code, opening):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return len(code)


def test_modules(path, code):
    """The line ranges of test modules in a file, and the files of those that have their own."""
    ranges, files = [], set()
    for module in TEST_MODULE.finditer(code):
        if module[2] == "{":
            end = end_of_block(code, module.end() - 1)
            ranges.append((code.count("\n", 0, module.start()), code.count("\n", 0, end) + 1))
        else:
            folder = path.parent if path.name in ("lib.rs", "main.rs", "mod.rs") else path.with_suffix("")
            files |= {folder / f"{module[1]}.rs", folder / module[1]}
    return ranges, files


def count(path, is_test, code, commented, ranges):
    found = Counter()
    for number, line in enumerate(code.split("\n")[:-1]):
        if is_test or any(start <= number < end for start, end in ranges):
            found["unit tests"] += 1
        elif line.strip():
            found["code"] += 1
        else:
            found["comments" if number in commented else "blank"] += 1
    found["src"] = sum(found.values())
    found["unsafe blocks"] = len(re.findall(r"\bunsafe\s*\{", code))
    found["unsafe fns"] = len(re.findall(r'\bunsafe\s+(?:extern\s+""\s+)?(?:fn\s+\w|impl\b)', code))
    return found


def count_sources(folder):
    """The counts of every file below a crate's src/."""
    sources = {path: strip(path.read_text()) for path in sorted(folder.rglob("*.rs"))}
    modules = {path: test_modules(path, code) for path, (code, _) in sources.items()}
    tests = set().union(*(files for _, files in modules.values()))
    return {
        path: count(path, path in tests or any(parent in tests for parent in path.parents), *source, modules[path][0])
        for path, source in sources.items()
    }


def lines_below(folder):
    return sum(path.read_text().count("\n") for path in folder.rglob("*.rs"))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--files", action="store_true")
    by_file = arguments.parse_args().files
    rows, total = [], Counter()
    for crate in sorted(ROOT.glob("crates/*")):
        files = count_sources(crate / "src")
        whole = sum(files.values(), Counter())
        whole["tests"], whole["benches"] = lines_below(crate / "tests"), lines_below(crate / "benches")
        total += whole
        if by_file:
            rows += [(str(path.relative_to(ROOT)), found) for path, found in files.items()]
        rows.append((crate.name, whole))
        if crate.name == "projection-ffi":
            ffi = whole
    rows.append(("all", total))

    width = max(len(name) for name, _ in rows)
    print(f"{'':{width}}", *(f"{column:>{max(len(column), 6)}}" for column in COLUMNS))
    for name, found in rows:
        print(f"{name:{width}}", *(f"{found[column]:>{max(len(column), 6)},}" for column in COLUMNS))
    outside = total["unsafe blocks"] - ffi["unsafe blocks"]
    print(f"\nunsafe blocks outside projection-ffi: {outside}")


if __name__ == "__main__":
    main()

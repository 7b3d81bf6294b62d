#!/usr/bin/env python3
"""Generates the conformance data in this folder, which README.md describes.

    generate.py            write everything again
    generate.py --check    write it to a temporary folder and compare with what is here
"""

import argparse
import filecmp
import os
import shutil
import sqlite3
import sys
import tempfile

from generator import bad, cases, kinds, legacy, models, npyfile, verify, verify_kinds

HERE = os.path.dirname(os.path.abspath(__file__))
GENERATED = ["bad", "bad.txt", "cases", "cases.txt", "kinds", "kinds.txt", "legacy_store", "models"]


def build(root):
    """Writes everything below `root`."""
    planned = cases.plan(models.build(root)) + legacy.build(root)
    npyfile.write_text(f"{root}/cases.txt", cases.HEADER + "".join(
        cases.write(root, case) for case in planned))
    kinds.build(root)
    bad.build(root)


def same(a, b):
    """Whether two files are equal. Of databases, the contents are compared, because the bytes
    also depend on the version of SQLite.
    """
    if filecmp.cmp(a, b, shallow=False):
        return True
    return a.endswith(".db") and dump(a) == dump(b)


def dump(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return list(db.iterdump())
    finally:
        db.close()


def files(root):
    """Returns the relative paths of all generated files below `root`."""
    found = set()
    for name in GENERATED:
        path = os.path.join(root, name)
        if os.path.isfile(path):
            found.add(name)
        for folder, _, names in os.walk(path):
            found.update(os.path.relpath(os.path.join(folder, n), root) for n in names)
    return found


def differences(generated, present):
    """Returns one line for each file that differs between two folders."""
    new, old = files(generated), files(present)
    lines = [f"missing: {name}" for name in new - old] + [f"extra: {name}" for name in old - new]
    lines += [f"differs: {name}" for name in new & old
              if not same(os.path.join(generated, name), os.path.join(present, name))]
    return sorted(lines)


def replace(generated, present):
    """Copies changed files from `generated` to `present` and removes files that are not generated."""
    for line in differences(generated, present):
        kind, name = line.split(": ", 1)
        target = os.path.join(present, name)
        if kind == "extra":
            os.remove(target)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(generated, name), target)
    for name in GENERATED:
        for folder, _, _ in os.walk(os.path.join(present, name), topdown=False):
            if not os.listdir(folder):
                os.rmdir(folder)


def main():
    parser = argparse.ArgumentParser(description="Generates the conformance data in this folder.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--verbose", action="store_true", help="print one line per case")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as generated:
        build(generated)
        if options.check:
            found = differences(generated, HERE)
            print("\n".join(found), end="\n" if found else "", file=sys.stderr)
            if found:
                return 1
        else:
            replace(generated, HERE)
    print(verify.check(HERE, options.verbose))
    print(verify_kinds.check(HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main())

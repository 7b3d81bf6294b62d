#!/usr/bin/env python3
"""Makes the conformance data in this folder; README.md describes it.

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
MADE = ["bad", "bad.txt", "cases", "cases.txt", "kinds", "kinds.txt", "legacy_store", "models"]


def build(root):
    """Writes everything below `root`."""
    planned = cases.plan(models.build(root)) + legacy.build(root)
    npyfile.write_text(f"{root}/cases.txt", cases.HEADER + "".join(
        cases.write(root, case) for case in planned))
    kinds.build(root)
    bad.build(root)


def same(a, b):
    """Whether two files are equal; for databases, whether they hold the same.

    The bytes of a database also depend on the version of SQLite that wrote it.
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
    """Relative paths of all made files below `root`."""
    found = set()
    for name in MADE:
        path = os.path.join(root, name)
        if os.path.isfile(path):
            found.add(name)
        for folder, _, names in os.walk(path):
            found.update(os.path.relpath(os.path.join(folder, n), root) for n in names)
    return found


def differences(made, kept):
    """One line a file that differs between the folder just made and the one kept."""
    new, old = files(made), files(kept)
    lines = [f"missing: {name}" for name in new - old] + [f"extra: {name}" for name in old - new]
    lines += [f"differs: {name}" for name in new & old
              if not same(os.path.join(made, name), os.path.join(kept, name))]
    return sorted(lines)


def replace(made, kept):
    """Makes `kept` hold what `made` holds, leaving alone every file that is the same."""
    for line in differences(made, kept):
        kind, name = line.split(": ", 1)
        target = os.path.join(kept, name)
        if kind == "extra":
            os.remove(target)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(made, name), target)
    for name in MADE:
        for folder, _, _ in os.walk(os.path.join(kept, name), topdown=False):
            if not os.listdir(folder):
                os.rmdir(folder)


def main():
    parser = argparse.ArgumentParser(description="Makes the conformance data of this folder.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--verbose", action="store_true", help="one line a case")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        build(made)
        if options.check:
            found = differences(made, HERE)
            print("\n".join(found), end="\n" if found else "", file=sys.stderr)
            if found:
                return 1
        else:
            replace(made, HERE)
    print(verify.check(HERE, options.verbose))
    print(verify_kinds.check(HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main())

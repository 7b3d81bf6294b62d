#!/usr/bin/env python3
"""Runs what the README shows, as a reader would who copies it.

- Blocks marked `sh` run one after the other in one shell session, from the project's folder.
  `make test` is left out where it stands alone: it is what this script is run beside.
- Programs in blocks marked `c`, `go` and `python` are built and run against the demo's store.
- Blocks marked `rust` are compiled by `cargo test`, which takes the README as documentation,
  and those marked `js` run by the tests of the JavaScript package.

A line `$ command` does not occur: commands stand alone, their output in blocks marked `text`.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)[\w,]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(title, command, folder=ROOT, **options):
    print(f"--- {title}", flush=True)
    if subprocess.run(command, cwd=folder, **options).returncode != 0:
        sys.exit(f"README: failed: {title}")


def run_shell(blocks):
    lines = [line for block in blocks for line in block.splitlines() if line != "make test"]
    script = "set -eux\n" + "\n".join(lines) + "\n"
    run("the commands", ["bash"], input=script, text=True)


def run_c(program, folder):
    source = folder / "program.c"
    source.write_text(program)
    flags = subprocess.check_output(
        ["pkg-config", "--cflags", "--libs", "projection"], text=True).split()
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    run("the program in C", ["cc", *warnings, str(source), *flags, "-o", str(folder / "program")])
    run("the program in C runs", [str(folder / "program")])


def run_go(program, folder):
    (folder / "main.go").write_text(program)
    binding = ROOT / "bindings/go"
    module = "github.com/unifyweaver/projection"
    for command in (
        ["go", "mod", "init", "readme"],
        ["go", "mod", "edit", f"-replace={module}={binding}", f"-require={module}@v0.0.0"],
        ["go", "build", "-o", "program", "."],
    ):
        run("the program in Go", command, folder)
    # From the project's folder, like every command of the README.
    run("the program in Go runs", [str(folder / "program")])


def run_python(program, folder):
    interpreter = folder / "venv/bin/python"
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run("an environment for Python", [sys.executable, "-m", "venv", str(folder / "venv")])
    run("the Python package installs", [*install, "./bindings/python"])
    run("the program in Python runs", [str(interpreter), "-"], input=program, text=True)


def main():
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    of = lambda language: [text for name, text in blocks if name == language]
    if not (of("sh") and of("c") and of("go") and of("rust") and of("python")):
        sys.exit("README: expected blocks marked sh, c, go, rust and python")
    run_shell(of("sh"))
    programs = 0
    for language, run_program in (("c", run_c), ("go", run_go), ("python", run_python)):
        for program in of(language):
            with tempfile.TemporaryDirectory() as folder:
                run_program(program, Path(folder))
            programs += 1
    print(f"{len(of('sh')) + programs} passed, 0 failed")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs what the README and the pages in docs/ show, as a reader would who copies it.

- Blocks marked `sh` run one after the other in one shell session, from the project's folder.
  `make test` is left out where it stands alone: it is what this script is run beside.
- Programs in blocks marked `c`, `go` and `python` are built and run against the demo's store.
- Blocks marked `rust` are compiled by `cargo test`, which takes docs/programming.md as
  documentation, and those marked `js` run by the tests of the JavaScript package.
- Every link to a file or a heading leads somewhere.

A line `$ command` does not occur: commands stand alone, their output in blocks marked `text`.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In the order in which their commands build on each other.
PAGES = [ROOT / "README.md"] + [
    ROOT / "docs" / f"{name}.md"
    for name in ("command-line", "models", "quality", "programming", "search", "microservice",
                 "training", "distillation", "precision")
]
BLOCK = re.compile(r"^```(\w+)[\w,]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(title, command, folder=ROOT, **options):
    print(f"--- {title}", flush=True)
    if subprocess.run(command, cwd=folder, **options).returncode != 0:
        sys.exit(f"README: failed: {title}")


def anchors(page):
    """The headings of a page as they are linked to."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def check_links():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if re.match(r"https?:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                sys.exit(f"{page.relative_to(ROOT)}: the link to {link} leads nowhere")


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
    module = "github.com/unifyweaver/projection/bindings/go"
    for command in (
        ["go", "mod", "init", "readme"],
        ["go", "mod", "edit", f"-replace={module}={binding}", f"-require={module}@v0.0.0"],
        ["go", "build", "-o", "program", "."],
    ):
        run("the program in Go", command, folder)
    # From the project's folder, like every command of the README.
    run("the program in Go runs", [str(folder / "program")])


def run_python(programs, folder):
    interpreter = folder / "venv/bin/python"
    install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run("an environment for Python", [sys.executable, "-m", "venv", str(folder / "venv")])
    run("the Python package installs", [*install, "./bindings/python"])
    for program in programs:
        run("a program in Python runs", [str(interpreter), "-"], input=program, text=True)


def main():
    if {page for page in PAGES if page.parent != ROOT} != set((ROOT / "docs").glob("*.md")):
        sys.exit("README: PAGES in this script are not the pages of docs/")
    check_links()
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    of = lambda language: [text for name, text in blocks if name == language]
    if not (of("sh") and of("c") and of("go") and of("rust") and of("python")):
        sys.exit("README: expected blocks marked sh, c, go, rust and python")
    run_shell(of("sh"))
    for language, run_program in (("c", run_c), ("go", run_go)):
        for program in of(language):
            with tempfile.TemporaryDirectory() as folder:
                run_program(program, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        run_python(of("python"), Path(folder))
    passed = sum(len(of(language)) for language in ("sh", "c", "go", "python"))
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()

"""No function of the header, and no pointer parameter, is left untested.

usage: check_header.py HEADER

arguments.c, embedder.c and training.c must have a NULL_ARGUMENT, OPTIONAL_ARGUMENT, OPTIONAL_CANCELLED or
NULL_HANDLE for each pointer parameter; `projection_error **error` needs none, because these macros always call with
and without one. panics.c must have each function.
"""

import re
import sys
from pathlib import Path


PROGRAMS = ["arguments", "embedder", "training"]


def functions(header: str) -> dict[str, list[str]]:
    """The functions with the names of their pointer parameters."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*|^#[^\n]*", "", header, flags=re.DOTALL | re.MULTILINE)
    found = {}
    for name, parameters in re.findall(r"\b(projection_\w+)\(([^)]*)\)\s*;", code):
        pointers = [p for p in parameters.split(",") if "*" in p]
        pointers = [p for p in pointers if not re.search(r"projection_error \*\*\s*error$", p)]
        found[name] = [re.search(r"(\w+)\s*$", p).group(1) for p in pointers]
    return found


def main() -> None:
    here = Path(__file__).parent
    header = functions(Path(sys.argv[1]).read_text())
    missing = []

    text = "".join((here / f"{name}.c").read_text() for name in PROGRAMS)
    macro = r"\b(?:NULL_ARGUMENT|OPTIONAL_(?:ARGUMENT|CANCELLED)|NULL_HANDLE)\(\s*(\w+),\s*(\w+),"
    tested = set(re.findall(macro, text))
    wanted = {(name, p) for name, pointers in header.items() for p in pointers}
    missing += [f"no test with NULL: {name}, parameter {p}" for name, p in wanted - tested]
    missing += [f"not in the header: {name}, parameter {p}" for name, p in tested - wanted]

    text = (here / "panics.c").read_text()
    tested = set(re.findall(r"\b(?:PANICS|FALLS_BACK|FREES)\(\s*(projection_\w+)", text))
    missing += [f"no test with a panic: {name}" for name in set(header) - tested]

    for line in sorted(missing):
        print(line, file=sys.stderr)
    if missing or not header:
        sys.exit(1)
    print(f"ok      {len(header)} functions with {len(wanted)} pointer parameters, all tested")


if __name__ == "__main__":
    main()

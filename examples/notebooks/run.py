#!/usr/bin/env python3
"""Runs the notebooks of this folder from top to bottom, as a test.

Writes the notebooks with their outputs, and their pictures as files, to target/notebooks. The
notebooks here stay without outputs. Needs nbclient and ipykernel.
"""

import base64
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target" / "notebooks"


def run(path: Path) -> int:
    notebook = nbformat.read(path, as_version=4)
    if any(cell.get("outputs") for cell in notebook.cells):
        sys.exit(f"{path.name}: has outputs, expected none: clear them before committing")
    resources = {"metadata": {"path": str(HERE)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    TARGET.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, TARGET / path.name)
    pictures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                pictures += 1
                name = f"{path.stem}-{pictures}.png"
                (TARGET / name).write_bytes(base64.b64decode(picture))
    return pictures


def main() -> None:
    notebooks = sorted(HERE.glob("*.ipynb"))
    if not notebooks:
        sys.exit("no notebooks")
    for path in notebooks:
        print(f"{path.name}: ran, {run(path)} pictures", flush=True)
    print(f"{len(notebooks)} passed, 0 failed")


if __name__ == "__main__":
    main()

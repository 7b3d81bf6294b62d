"""Distillation and export through the installed package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Optional

import numpy as np
import pytest
from conftest import ROOT

import unifyweaver_projection as up

QUICK = {"ff_dim": 16, "epochs": 2, "samples": 64}


def queries(count: int = 8) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    found = np.random.default_rng(0).normal(size=(count, 384))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_distillation_is_the_command_lines(trained: Path, tmp_path: Path) -> None:
    """The files are byte for byte the same, and so are the reports."""
    seen: list[tuple[str, int, int, Optional[float]]] = []
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    found = up.distill(trained, output=ours, heads=4, layers=1, seed=3, **QUICK,
                       progress=lambda *step: seen.append(step))
    command = [ROOT / "target/release/projection", "distill", trained, "--output", theirs]
    command += ["--heads", "4", "--layers", "1", "--seed", "3", "--ff-dim", "16"]
    command += ["--epochs", "2", "--samples", "64", "--json"]
    other = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert ours.read_bytes() == theirs.read_bytes()
    # The same numbers may come again.
    steps = list(dict.fromkeys(step[:3] for step in seen))
    assert steps == [("distilling", epoch, 2) for epoch in range(3)]
    assert all((loss or 0) > 0 for _, done, _, loss in seen if done)
    for part in ("held_out", "trained"):
        assert vars(getattr(found, part)) == other.pop(part)
    for changing in ("output", "seconds", "resources"):
        other.pop(changing, None)
    assert {name: getattr(found, name) for name in other} == other
    assert (found.projection_id, found.kind, found.heads, found.layers) == (1, "residual", 4, 1)
    model = found.open()
    assert model.kind == "transformer" and model.project(queries()).shape == (8, 384)
    text, html = str(found), found._repr_html_()
    assert "held out" in text and "trained" in text and "note:" in text
    assert "<td>held out</td>" in html and html.count("<table>") == 1


def test_what_is_stopped_writes_nothing(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.safetensors"
    with pytest.raises(up.CancelledError):
        up.distill(trained, output=output, **QUICK, progress=lambda *step: False)
    assert not list(tmp_path.iterdir())


def test_arguments_that_are_refused(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.safetensors"
    for arguments, error, words in (
        ({"projection": 99}, up.NotFoundError, "99"),
        ({"heads": 5}, up.InvalidArgumentError, "5"),
        ({"epochs": 0}, up.InvalidArgumentError, "epochs is 0"),
        ({"rate": 0.0}, up.InvalidArgumentError, "rate is 0"),
        ({"held_out": 0.9}, up.InvalidArgumentError, "held-out share 0.9"),
        ({"cosine_weight": float("nan")}, up.InvalidArgumentError, "cosine_weight is nan"),
        ({"test": tmp_path / "none.npy"}, up.NotFoundError, "none.npy"),
        ({"output": tmp_path}, up.IoError, "folder"),
        ({"output": trained}, up.InvalidArgumentError, "another output"),
        ({"progress": 3}, up.ArgumentTypeError, "progress is of type int"),
    ):
        with pytest.raises(error, match=words):
            up.distill(trained, **{"output": output, "progress": False, **arguments})  # type: ignore[arg-type]
    with pytest.raises(up.NotFoundError, match="none.db"):
        up.distill(tmp_path / "none.db", output=output, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_model_is_distilled_with_questions(trained: Path) -> None:
    teacher = up.Model.open(trained, 1)
    student = up.distill_model(teacher, queries(12), **QUICK, batch=16, progress=False)
    assert student.kind == "transformer" and student.project(queries()).shape == (8, 384)
    again = up.distill_model(teacher, queries(12), **QUICK, batch=16, progress=False)
    assert np.array_equal(student.project(queries()), again.project(queries()))
    with pytest.raises(up.DimensionMismatchError, match="383, expected 384"):
        up.distill_model(teacher, queries()[:, :383], progress=False)
    with pytest.raises(up.InvalidModelError, match="expected at least 4"):
        up.distill_model(teacher, queries(3), progress=False)
    broken = queries()
    broken[5, 7] = np.nan
    with pytest.raises(up.NotFiniteError):
        up.distill_model(teacher, broken, progress=False)
    teacher.close()
    with pytest.raises(up.ClosedError):
        up.distill_model(teacher, queries(), progress=False)


def test_exports(trained: Path, tmp_path: Path) -> None:
    output, model = tmp_path / "m.safetensors", up.Model.open(trained, 1)
    found = up.export(trained, output=output)
    assert (found.projection_id, found.kind, found.format) == (1, "residual", "safetensors")
    assert found.bytes == output.stat().st_size and "residual projection 1" in str(found)
    assert np.array_equal(up.Model.load_file(output).project(queries()), model.project(queries()))
    warmer = up.export(trained, 1, output=output, temperature=0.5)
    assert warmer.temperature == 0.5 and up.Model.load_file(output).temperature == 0.5
    onnx = up.export(trained, 1, output=tmp_path / "m.onnx", format="onnx")
    theirs = tmp_path / "theirs.onnx"
    command = [ROOT / "target/release/projection", "export", trained, "--projection", "1"]
    subprocess.run([*command, "--format", "onnx", "--output", theirs], check=True,
                   stdout=subprocess.DEVNULL)
    assert Path(onnx.output).read_bytes() == theirs.read_bytes()
    before = trained.read_bytes()
    for call, error, words in (
        (lambda: up.export(trained, output=output, format="zip"), up.InvalidArgumentError, "'zip'"),
        (lambda: up.export(trained, 99, output=output), up.NotFoundError, "99"),
        (lambda: up.export(trained, output=trained), up.InvalidArgumentError, "another output"),
        (lambda: up.export(trained, output=output, temperature=0), ValueError, "temperature is 0"),
        (lambda: up.export(tmp_path / "none.db", output=output), up.NotFoundError, "none.db"),
    ):
        with pytest.raises(error, match=words):
            call()  # type: ignore[no-untyped-call]
    assert trained.read_bytes() == before

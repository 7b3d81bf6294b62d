"""Stores for the tests of `lda_database`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from lda_database import LDAProjectionDB

ROOT = Path(__file__).resolve().parents[4]
DIM = 16
MODEL_NAME = "all-MiniLM-L6-v2"


class Filled(NamedTuple):
    """A store with six clusters, each of one answer and three questions, all with vectors."""

    db: LDAProjectionDB
    folder: Path
    model_id: int
    clusters: list[int]
    #: Of the answers, in the order of the clusters.
    answers: Any
    #: Of the questions, cluster × question × dimension.
    questions: Any

    def centroid(self, cluster: int) -> Any:
        mean = self.questions[cluster].mean(0)
        return mean / np.linalg.norm(mean)

    def train(self, temperature: float = 0.1, **head: Any) -> int:
        """A multi-head projection with a head for each cluster."""
        mh_id = self.db.create_multi_head_projection(self.model_id, "trained", temperature)
        for number, cluster_id in enumerate(self.clusters):
            self.db.add_cluster_head(
                mh_id, cluster_id, self.centroid(number), self.answers[number], **head
            )
        return mh_id


def random_units(seed: int, *shape: int) -> Any:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def vectors() -> tuple[Any, Any]:
    answers = random_units(1, 6, DIM)
    noise = random_units(2, 6, 3, DIM)
    return answers, (0.8 * answers[:, None, ::-1] + 0.6 * noise).astype(np.float32)


def fill(folder: Path, **options: Any) -> Filled:
    db = LDAProjectionDB(str(folder / "lda.db"), **options)
    model_id = db.add_model(MODEL_NAME, DIM)
    answers, questions = vectors()
    clusters = []
    for number in range(6):
        answer_id = db.add_answer("faq.md", f"answer {number}", record_id=f"record {number}")
        db.store_embedding(model_id, "answer", answer_id, answers[number])
        question_ids = []
        for row in range(3):
            question_id = db.add_question(f"question {number}.{row}", ("short", "medium", "long")[row])
            db.store_embedding(model_id, "question", question_id, questions[number, row])
            question_ids.append(question_id)
        clusters.append(db.create_cluster(f"cluster {number}", [answer_id], question_ids))
    return Filled(db, folder, model_id, clusters, answers, questions)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LDAProjectionDB]:
    """An empty store."""
    with LDAProjectionDB(str(tmp_path / "lda.db")) as opened:
        yield opened


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """A filled store, which tests copy because adding rows waits for the disk."""
    store = fill(tmp_path_factory.mktemp("template"))
    store.db.close()
    return store


@pytest.fixture
def filled(tmp_path: Path, template: Filled) -> Iterator[Filled]:
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    with LDAProjectionDB(str(tmp_path / "lda.db")) as db:
        yield template._replace(db=db, folder=tmp_path)


@pytest.fixture
def fill_store() -> Callable[..., Filled]:
    return fill


@pytest.fixture
def units() -> Callable[..., Any]:
    """Random unit vectors of a seed and a shape."""
    return random_units


@pytest.fixture
def engine() -> Callable[..., str]:
    """Runs the `projection` command and returns its output."""
    command = os.environ.get("PROJECTION_COMMAND", str(ROOT / "target" / "release" / "projection"))

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def _torch_files() -> Any:
    spec = importlib.util.spec_from_file_location("torch_files", Path(__file__).with_name("torch_files.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def torch_file() -> Callable[..., Any]:
    """Writes a transformer of random weights as torch.save does, and returns its state."""
    files = _torch_files()

    def write(path: Path, dim: int = DIM, heads: int = 4, layers: int = 2, ff_dim: int = 24) -> Any:
        state = files.random_state(dim, heads, layers, ff_dim)
        files.save(path, state)
        return state

    return write


@pytest.fixture
def network() -> Callable[..., Any]:
    """Projects queries with a transformer's state in float64."""
    reference: Callable[..., Any] = _torch_files().reference
    return reference

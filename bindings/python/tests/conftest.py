"""Shared fixtures. All tests run against the installed wheel, not the source folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(Path(__file__).parent))

CONFORMANCE = ROOT / "tests" / "conformance"
EMBEDDING_MODEL = ROOT / "models" / "all-MiniLM-L6-v2"
FAQ = ROOT / "examples" / "faq" / "faq.json"
FAQ_TEST = ROOT / "examples" / "faq" / "faq_test.json"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the FAQ with a residual projection 1 of fixed parameters. Tests that write to it
    copy its folder."""
    import unifyweaver_projection as up

    database = tmp_path_factory.mktemp("faq") / "lda.db"
    assert not up.import_files(database, FAQ).failed
    up.embed_store(database, EMBEDDING_MODEL, progress=False)
    assert up.train(database, "residual", progress=False).id == 1
    return database


@pytest.fixture
def own_store(trained: Path, tmp_path: Path) -> Path:
    """A copy of the store to write to."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trained.parent, copy)
    return copy / trained.name


@pytest.fixture
def model_folder() -> Path:
    return CONFORMANCE / "models" / "d8_mixed"

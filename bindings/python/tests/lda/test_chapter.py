"""Runs the chapter's Python snippets unchanged in the folder of a store."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHAPTER = (Path(__file__).parent / "chapter.md").read_text(encoding="utf-8")
INFERENCE, DISCOVERY = re.findall(r"```python\n(.*?)```", CHAPTER, re.DOTALL)
[EXERCISE] = re.findall(r"```bash\n(.*?)```", CHAPTER, re.DOTALL)


@pytest.fixture
def store(filled, monkeypatch):
    """A store with projection 1 in the working directory."""
    assert filled.train() == 1
    filled.db.close()
    monkeypatch.chdir(filled.folder)
    return filled


def test_inference(store, torch_file):
    torch_file(store.folder / "transformer.pt")
    names = {"query_embedding": store.questions[0, 0]}
    exec(INFERENCE, names)
    assert names["mh_proj"]["num_heads"] == 6 and names["mh_proj"]["temperature"] == 0.1
    assert names["projected"].shape == (16,)
    assert np.isfinite(names["projected"]).all()
    # What the reader does next.
    rows = names["db"].multi_head_search(names["query_embedding"], 1, top_k=3)
    assert [row["answer_id"] for row in rows][0] == 1
    names["db"].close()


def test_discovery(store):
    found = {}

    def extract_cluster_id(path):
        return int(re.search(r"_cluster_(\d+)_", path).group(1))

    class Loads:
        """NumPy that records which files were loaded."""

        @staticmethod
        def load(path):
            found[path] = np.load(path)
            return found[path]

    names = {"mh_id": 1, "np": Loads, "extract_cluster_id": extract_cluster_id}
    exec(DISCOVERY, names)
    assert len(names["centroid_files"]) == 6 and len(found) == 12
    assert names["cluster_id"] == store.clusters[5]
    assert np.array_equal(names["answer"], store.answers[5])
    assert np.allclose(names["centroid"], store.centroid(5), atol=1e-7)


def test_exercise(store, tmp_path_factory):
    """Runs the commands unchanged, with this interpreter as `python3`."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "python3").symlink_to(sys.executable)
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        ["sh", "-e", "-c", EXERCISE], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")

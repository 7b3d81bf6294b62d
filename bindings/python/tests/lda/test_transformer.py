"""`projection_transformer`: files of torch and of the engine, without torch."""

import pickle
import zipfile

import numpy as np
import pytest

from projection_transformer import (
    ProjectionTransformer,
    evaluate_equivalence,
    generate_candidate_architectures,
    optimal_architecture,
    train_distillation,
)
from unifyweaver_projection import Model, Searcher


@pytest.fixture
def file(tmp_path, torch_file):
    return tmp_path / "transformer.pt", torch_file(tmp_path / "transformer.pt")


def test_a_torch_file_gives_what_the_network_gives(file, units, network):
    path, state = file
    transformer = ProjectionTransformer.load(str(path))
    queries = units(4, 50, 16)
    expected = network(state, queries)
    found = transformer.project(queries)
    assert found.shape == (50, 16) and found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    one = transformer.project(queries[3])
    assert one.shape == (16,)
    assert np.abs(one - expected[3]).max() <= 1e-5 * np.abs(expected).max()


def test_queries_may_be_lists_and_of_any_real_dtype(file, units):
    transformer = ProjectionTransformer.load(file[0])
    query = units(5, 16)
    expected = transformer.project(query)
    for same in (query.tolist(), query.astype(np.float64), np.repeat(query, 2)[::2]):
        assert np.array_equal(transformer.project(same), expected)
    with pytest.raises(ValueError, match="dimension 15, expected 16"):
        transformer.project(query[:15])
    with pytest.raises(ValueError, match="NaN"):
        transformer.project([float("nan")] * 16)


def test_the_sizes_are_attributes(file):
    transformer = ProjectionTransformer.load(file[0], device="cpu")
    sizes = ("embed_dim", "num_heads", "num_layers", "ff_dim", "equivalent_flat_heads")
    assert [getattr(transformer, size) for size in sizes] == [16, 4, 2, 24, 16]
    assert transformer.dropout_rate == pytest.approx(0.1)
    info = transformer.get_info()
    _, state = file
    parameters = sum(
        array.size for part in ("input_proj", "encoder", "output_proj") for array in state[part].values()
    )
    assert info == {**dict(zip(sizes, [16, 4, 2, 24, 16])), "total_parameters": parameters, "device": "cpu"}
    assert "num_layers=2" in repr(transformer)
    transformer.eval_mode()
    transformer.train_mode()
    with pytest.raises(ValueError, match="'cuda'"):
        ProjectionTransformer.load(file[0], device="cuda")


@pytest.mark.parametrize("name", ["t.safetensors", "t.pt"])
def test_what_is_saved_gives_the_same_numbers(file, tmp_path, units, name):
    transformer = ProjectionTransformer.load(file[0])
    transformer.save(tmp_path / "saved" if name is None else tmp_path / name)
    again = ProjectionTransformer.load(tmp_path / name)
    queries = units(6, 9, 16)
    assert np.array_equal(again.project(queries), transformer.project(queries))
    assert again.get_info() == transformer.get_info()
    pickled = pickle.loads(pickle.dumps(transformer))
    assert np.array_equal(pickled.project(queries), transformer.project(queries))
    model = Model.load_file(tmp_path / name)
    assert model.kind == "transformer"
    assert np.array_equal(model.project(queries), transformer.project(queries))


def test_the_engines_command_opens_the_same_file(file, tmp_path, engine, units):
    np.save(tmp_path / "q.npy", units(7, 5, 16))
    engine("project", "--model", file[0], "--input", tmp_path / "q.npy", "--output", tmp_path / "p.npy")
    found = ProjectionTransformer.load(file[0]).project(np.load(tmp_path / "q.npy"))
    assert np.array_equal(found, np.load(tmp_path / "p.npy"))


def test_it_searches_like_any_model(file, filled):
    transformer = ProjectionTransformer.load(file[0])
    searcher = Searcher.open(filled.folder / "lda.db")
    query = filled.questions[0, 0]
    projected = transformer.project(query)
    best = int(np.argmax(filled.answers @ projected)) + 1
    assert searcher.search(query, 1, model=transformer.model)[0].answer_id == best


def test_a_file_that_would_have_to_be_run_runs_nothing(tmp_path):
    ran = tmp_path / "ran"

    class Run:
        def __reduce__(self):
            return open, (str(ran), "w")

    with zipfile.ZipFile(tmp_path / "hostile.pt", "w") as archive:
        archive.writestr("hostile/data.pkl", pickle.dumps({"embed_dim": Run()}, protocol=2))
    with pytest.raises(ValueError, match="hostile.pt"):
        ProjectionTransformer.load(tmp_path / "hostile.pt")
    assert not ran.exists()


def test_files_that_are_none_are_named(tmp_path, file, filled):
    with pytest.raises(FileNotFoundError, match="none.pt"):
        ProjectionTransformer.load(tmp_path / "none.pt")
    (tmp_path / "cut.pt").write_bytes(file[0].read_bytes()[:2000])
    with pytest.raises(ValueError, match="cut.pt"):
        ProjectionTransformer.load(tmp_path / "cut.pt")
    heads = Model.open(filled.folder / "lda.db", filled.train())
    heads.save_file(tmp_path / "heads.safetensors")
    with pytest.raises(ValueError, match="multi_head, expected transformer"):
        ProjectionTransformer.load(tmp_path / "heads.safetensors")


def test_a_distilled_transformer_is_near_its_teacher(filled, engine, tmp_path):
    mh_id = filled.train(temperature=0.5)
    path = tmp_path / "t.safetensors"
    engine("distill", filled.folder / "lda.db", "--projection", mh_id, "--heads", 4, "--layers", 2,
           "--epochs", 40, "--output", path)
    transformer = ProjectionTransformer.load(path)
    teacher = Model.open(filled.folder / "lda.db", mh_id)
    queries = filled.questions.reshape(-1, 16)
    report = evaluate_equivalence(transformer, teacher, queries)
    assert report["n_samples"] == 18
    assert report["mean_cosine_sim"] > 0.9, report
    assert report["min_cosine_sim"] <= report["mean_cosine_sim"] <= report["max_cosine_sim"] <= 1 + 1e-6

    class WithWeights:
        def project(self, query):
            return teacher.project(query, return_weights=True)

    assert evaluate_equivalence(transformer, WithWeights(), queries) == report
    same = evaluate_equivalence(transformer, transformer, queries)
    assert same["mean_cosine_sim"] == pytest.approx(1) and same["mean_mse"] < 1e-10


@pytest.mark.parametrize(
    ("heads", "dimension", "expected"),
    [(1, 384, (1, 1)), (16, 384, (16, 1)), (18, 384, (6, 2)), (64, 384, (8, 2)), (124, 768, (12, 2)), (5, 7, (4, 2))],
)
def test_heads_and_layers_for_a_number_of_heads(heads, dimension, expected):
    assert optimal_architecture(heads, embed_dim=dimension) == expected
    found, layers = expected
    assert found**layers >= heads


def test_candidates_are_of_different_depths():
    found = generate_candidate_architectures(18, embed_dim=384, num_suggestions=3)
    assert [(row["num_heads"], row["num_layers"]) for row in found] == [(6, 2), (3, 3), (3, 4)]
    assert [row["capacity"] for row in found] == [36, 27, 81]
    assert [row["overhead"] for row in found] == [18, 9, 63]
    assert len(generate_candidate_architectures(18, 384, 5)) == 5
    assert set(found[0]) == {
        "num_heads", "num_layers", "capacity", "overhead", "overhead_pct", "params_estimate"
    }


def test_a_new_transformer_is_distilled(filled, tmp_path, units):
    teacher = Model.open(filled.folder / "lda.db", filled.train())
    transformer = ProjectionTransformer(embed_dim=16, num_heads=2, num_layers=1, ff_dim=16, dropout=0.0)
    with pytest.raises(ValueError, match="not trained yet"):
        transformer.project(units(8, 16))
    questions = filled.questions.reshape(-1, 16)
    losses = train_distillation(
        transformer, teacher, questions, num_epochs=6, learning_rate=5e-3, cosine_weight=0.7
    )
    assert len(losses) == 6 and 0 < losses[-1] < losses[0]
    assert transformer.project(questions).shape == questions.shape
    assert (transformer.num_heads, transformer.num_layers, transformer.ff_dim) == (2, 1, 16)
    assert evaluate_equivalence(transformer, teacher, questions)["mean_cosine_sim"] > 0.5
    transformer.save(tmp_path / "t.safetensors")
    again = ProjectionTransformer.load(tmp_path / "t.safetensors")
    assert np.array_equal(again.project(questions), transformer.project(questions))


class Rotation:
    """A teacher of the caller."""

    def __init__(self, matrix, fails_at=None):
        self.matrix, self.calls, self.fails_at = matrix, 0, fails_at

    def project(self, query):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyError("lost")
        return self.matrix @ query, {"weights": None}


def test_any_object_that_projects_is_a_teacher(units):
    matrix = np.linalg.qr(units(3, 16, 16))[0]
    transformer, queries = ProjectionTransformer(16, 2, 1, 16), units(8, 40, 16)
    losses = train_distillation(transformer, Rotation(matrix), queries, 8, learning_rate=5e-3)
    assert len(losses) == 8
    assert evaluate_equivalence(transformer, Rotation(matrix), queries)["mean_cosine_sim"] > 0.9
    # What it raises ends training, which has changed nothing.
    before = transformer.project(queries)
    with pytest.raises(KeyError, match="lost"):
        train_distillation(transformer, Rotation(matrix, fails_at=4300), queries, 8)
    assert np.array_equal(transformer.project(queries), before)
    with pytest.raises(ValueError, match="teacher's projection holds NaN"):
        train_distillation(transformer, Rotation(np.full((16, 16), np.nan)), queries, 8)
    shapes = iter([16, 16, 3])
    short = Rotation(matrix)
    short.project = lambda query: query[: next(shapes, 3)]
    with pytest.raises(ValueError, match="has 3 values, expected 16"):
        train_distillation(transformer, short, queries, 8)


def test_what_can_not_be_distilled_is_refused(filled, units):
    teacher = Model.open(filled.folder / "lda.db", filled.train())
    transformer = ProjectionTransformer(16, 2, 1, 16)
    with pytest.raises(TypeError, match="an object with a method project"):
        train_distillation(transformer, object(), units(8, 8, 16))
    with pytest.raises(ValueError, match="dimension 32, expected 16"):
        train_distillation(ProjectionTransformer(32, 2, 1, 16), teacher, units(8, 8, 32))
    with pytest.raises(ValueError, match="dimension 16, expected 32"):
        train_distillation(ProjectionTransformer(32, 2, 1, 16), teacher, units(8, 8, 16))
    with pytest.raises(ValueError, match="expected at least 4"):
        train_distillation(transformer, teacher, units(8, 3, 16))
    with pytest.raises(ValueError, match="num_heads is 3"):
        ProjectionTransformer(16, 3, 1, 16)
    with pytest.raises(ValueError, match="not trained yet"):
        transformer.save("never.safetensors")

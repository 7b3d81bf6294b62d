//! Models of every kind through a store: written, opened by id and from the folder alone.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use projection_core::ErrorKind;
use projection_core::projection::{Model, ModelKind, ModelParameters, Projection};
use projection_store::{EmbeddingModel, NewHead, NewLinear, NewModel, Store};
use serde_json::{Value, json};

const MODEL: &str = "toy";

fn wave(rows: usize, columns: usize, step: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(r, c)| ((r * 31 + c * 7 + 1) as f32 * step).sin())
}

fn heads() -> Vec<NewHead> {
    let head = |cluster_id: i64| NewHead {
        cluster_id,
        centroid: wave(1, 4, 0.3 + cluster_id as f32).into_raw_vec_and_offset().0,
        answer: wave(1, 4, 0.7 + cluster_id as f32).into_raw_vec_and_offset().0,
        matrix: None,
        num_questions: 3,
    };
    [2, 10].map(head).to_vec()
}

fn open(folder: &Path) -> (Store, EmbeddingModel) {
    let mut store = Store::open_or_create(folder.join("lda.db")).unwrap();
    let model = store.register_embedding_model(MODEL, 4, "test", None).unwrap();
    (store, model)
}

fn project(model: &Model) -> (Vec<f32>, Vec<f32>) {
    let mut projected = vec![0.0; model.output_dim()];
    let mut weights = vec![0.0; model.head_ids().len()];
    model.project_into(&[0.3, -1.0, 0.2, 0.5], &mut projected, Some(&mut weights)).unwrap();
    (projected, weights)
}

/// Stores one model of each kind and gives their ids.
fn fill(store: &mut Store, model: &EmbeddingModel) -> [i64; 3] {
    let heads = heads();
    let questions = [wave(3, 4, 0.9), wave(3, 4, 1.1)];
    let adapter = wave(4, 4, 0.5);
    let residual = NewModel {
        name: Some("with all terms"),
        heads: &heads,
        questions: &questions,
        adapter: Some(adapter.view()),
        training: &json!({"seed": 7}),
        metrics: &json!({"recall_at_1": 0.5, "mrr_at_10": 0.75,
                         "as_multi_head": {"recall_at_1": 0.25, "mrr_at_10": 0.375}}),
        ..NewModel::new(ModelParameters::Residual {
            gain: 0.35,
            temperature: 0.1,
            neighbours: 4,
            rotation: true,
            adapter: true,
            answer_angle: 0.0,
        })
    };
    let top_1 = ModelParameters::MultiHead { temperature: 0.2, top_k: Some(1) };
    let matrix = wave(4, 4, 0.2);
    let linear = NewLinear {
        name: None,
        matrix: matrix.view(),
        regularisation: (1.0, 1e-6),
        clusters: &[2, 10],
        questions: 6,
        hybrid_weight: None,
        training: &Value::Null,
        metrics: &Value::Null,
        active: None,
    };
    [
        store.add_model(model, &residual, &mut || Ok(())).unwrap(),
        store
            .add_model(model, &NewModel { heads: &heads, ..NewModel::new(top_1) }, &mut || Ok(()))
            .unwrap(),
        store.add_linear_projection(model, model, &linear).unwrap(),
    ]
}

#[test]
fn every_kind_comes_back_from_the_database_and_from_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = open(folder.path());
    let ids = fill(&mut store, &model);
    assert_eq!(ids, [1, 2, 3]);
    let database = folder.path().join("lda.db");
    for (id, kind) in
        ids.into_iter().zip([ModelKind::Residual, ModelKind::MultiHead, ModelKind::Linear])
    {
        assert_eq!(store.choose(Some(id)).unwrap().kind, kind);
        let opened = Store::open_read_only(&database).and_then(|store| store.model(id)).unwrap();
        assert_eq!(opened.kind(), kind);
        for place in ["embeddings/toy", "embeddings"] {
            let loaded = Model::load(folder.path().join(place), id, None).unwrap();
            assert_eq!(project(&loaded), project(&opened), "{kind:?} from {place}");
        }
        let of_kind = Store::open_read_only(&database)
            .and_then(|store| store.model_of_kind(kind, id))
            .unwrap();
        assert_eq!(project(&of_kind), project(&opened));
    }
    let stored = &store.models().unwrap()[0];
    assert_eq!(stored.training()["seed"], 7);
    assert_eq!(stored.metrics["mrr_at_10"], 0.75);
    // A residual model is a multi-head one to those who know no other, and they read what it
    // finds as such.
    let existing = rusqlite::Connection::open(&database).unwrap();
    let columns = "SELECT recall_at_1, mrr FROM multi_head_projections WHERE mh_projection_id = 1";
    let columns: (f64, f64) =
        existing.query_row(columns, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(columns, (0.25, 0.375));
    let other = Store::open_read_only(&database)
        .and_then(|store| store.model_of_kind(ModelKind::MultiHead, 1))
        .unwrap();
    assert_eq!(other.head_ids(), [2, 10]);
    let wrong = Store::open_read_only(&database)
        .and_then(|store| store.model_of_kind(ModelKind::Residual, 2))
        .unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotFound);
    let missing = Store::open_read_only(&database).and_then(|store| store.model(9)).unwrap_err();
    assert!(missing.to_string().contains("1, 2, 3"), "{missing}");
    // Top-1 gives all weight to one head.
    let (_, weights) =
        project(&Store::open_read_only(&database).and_then(|store| store.model(2)).unwrap());
    assert!(weights == [1.0, 0.0] || weights == [0.0, 1.0], "{weights:?}");
}

#[test]
fn an_id_of_two_kinds_is_that_of_the_model_with_heads() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = open(folder.path());
    let [residual, ..] = fill(&mut store, &model);
    // Existing programs count the two tables separately.
    let existing = rusqlite::Connection::open(store.path()).unwrap();
    existing.pragma_update(None, "foreign_keys", false).unwrap();
    existing.execute("UPDATE projections SET projection_id = 1", []).unwrap();
    let database = store.path().to_path_buf();
    assert_eq!(
        Store::open_read_only(&database).and_then(|store| store.model(residual)).unwrap().kind(),
        ModelKind::Residual
    );
    for kind in [ModelKind::Residual, ModelKind::Linear] {
        assert_eq!(
            Store::open_read_only(&database)
                .and_then(|store| store.model_of_kind(kind, 1))
                .unwrap()
                .kind(),
            kind
        );
    }
}

#[test]
fn a_refused_model_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = open(folder.path());
    let heads = heads();
    let parameters = |adapter| ModelParameters::Residual {
        gain: 0.5,
        temperature: 0.1,
        neighbours: 32,
        rotation: true,
        adapter,
        answer_angle: 0.0,
    };
    let questions = [wave(3, 4, 0.9), wave(3, 4, 1.1)];
    for new in [
        NewModel { heads: &heads, ..NewModel::new(parameters(false)) },
        NewModel { questions: &questions, ..NewModel::new(parameters(false)) },
        NewModel { heads: &heads, questions: &questions, ..NewModel::new(parameters(true)) },
    ] {
        assert_eq!(
            store.add_model(&model, &new, &mut || Ok(())).unwrap_err().kind(),
            ErrorKind::InvalidModel
        );
    }
    let empty = Array2::zeros((3, 5));
    let linear = NewLinear {
        name: None,
        matrix: ArrayView2::from(&empty),
        regularisation: (1.0, 1e-6),
        clusters: &[],
        questions: 0,
        hybrid_weight: None,
        training: &Value::Null,
        metrics: &Value::Null,
        active: None,
    };
    let error = store.add_linear_projection(&model, &model, &linear).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DimensionMismatch);
    assert!(store.models().unwrap().is_empty());
    assert!(!folder.path().join("embeddings/toy").exists());
}

#[test]
fn the_active_projection_answers_until_another_one_is_activated() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = open(folder.path());
    assert_eq!(store.active_model(None).unwrap(), None);
    let [residual, top_1, linear] = fill(&mut store, &model);
    let active = |store: &Store| store.choose(None).unwrap().id;
    let which = |store: &Store, id| store.choose(Some(id)).unwrap();
    let files = |id: i64| {
        let names = std::fs::read_dir(folder.path().join("embeddings/toy")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let of_heads = format!("mh_{id}_");
        let of_matrix = format!("W_projection_{id}.npy");
        names.filter(|name| name.starts_with(&of_heads) || *name == of_matrix).count()
    };
    assert_eq!(active(&store), linear, "the newest, as in stores of other programs");
    let before = store.fingerprint().unwrap();

    store.activate(&which(&store, residual)).unwrap();
    assert_ne!(store.fingerprint().unwrap(), before, "servers notice");
    let added = store.add_multi_head_projection(&model, None, 0.1, &heads()).unwrap();
    assert_eq!(active(&store), residual, "others may add projections");
    assert_eq!(store.open_active_model(Some(MODEL)).unwrap().kind(), ModelKind::Residual);
    assert!(store.open_active_model(Some("other")).is_err());
    let actives = store.models().unwrap().into_iter().filter(|m| m.active && m.default);
    assert_eq!(actives.map(|model| model.id).collect::<Vec<_>>(), [residual]);

    store.activate(&which(&store, top_1)).unwrap();
    for expected in [residual, linear] {
        assert_eq!(store.roll_back(None).unwrap().1.id, expected);
        assert_eq!(active(&store), expected);
    }
    assert_eq!(store.roll_back(Some(MODEL)).unwrap_err().kind(), ErrorKind::NotFound);

    store.rename_model(&which(&store, top_1), Some("sharp")).unwrap();
    assert_eq!(which(&store, top_1).name.as_deref(), Some("sharp"));

    let refused = store.delete_model(&which(&store, linear), false).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    let log = [Some(top_1), Some(residual)]
        .map(|id| store.log_query("why?", Some(model.model_id), id, &[]).unwrap());
    let gone = which(&store, top_1);
    assert!(files(top_1) > 0);
    store.delete_model(&gone, false).unwrap();
    assert_eq!((files(top_1), active(&store)), (0, linear));
    assert_eq!(store.delete_model(&gone, true).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.activate(&gone).unwrap_err().kind(), ErrorKind::NotFound);
    let logged = log.map(|id| store.logged_query(id).unwrap().projection_id);
    assert_eq!(logged, [None, Some(residual)]);
    for id in [residual, linear, added] {
        store.model(id).unwrap();
    }

    // Two projections with one id, as existing programs count them: each has its own.
    let existing = rusqlite::Connection::open(store.path()).unwrap();
    existing.pragma_update(None, "foreign_keys", false).unwrap();
    for table in ["projections", "engine_activations"] {
        let sql = format!("UPDATE {table} SET projection_id = 1 WHERE projection_id = 3");
        existing.execute(&sql, []).unwrap();
    }
    assert_eq!(store.choose(None).unwrap().kind, ModelKind::Linear);
    let gone = store.choose_kind(ModelKind::Linear, 1).unwrap();
    store.delete_model(&gone, true).unwrap();
    assert_eq!(files(linear), 0);
    assert_eq!(active(&store), added, "the newest again");
    store.model(residual).unwrap();
    store.delete_model(&which(&store, residual), false).unwrap();
    assert_eq!(files(residual), 0);
    store.delete_model(&which(&store, added), true).unwrap();
    assert_eq!((files(added), store.models().unwrap().len()), (0, 0));
}

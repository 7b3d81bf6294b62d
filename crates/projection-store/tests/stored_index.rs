//! Lists that are kept beside a store's model: they are there when it is opened, and never used
//! where they are stale or damaged.

#[path = "../../projection-core/tests/clustered/mod.rs"]
mod clustered;

use std::path::{Path, PathBuf};

use clustered::clustered;
use ndarray::Array2;
use projection_core::ErrorKind;
use projection_core::kernel::progress::ignore_progress;
use projection_core::projection::{Model, ModelKind, ModelParameters, Projection};
use projection_store::{NewHead, NewModel, Store};

const DIM: usize = 16;
const HEADS: usize = 164;
const QUESTIONS: usize = 100;

/// Rows that are in clusters, others for another seed.
fn rows(count: usize, seed: u64) -> Array2<f32> {
    clustered(count, DIM, 0.5, seed)
}

/// A store with a residual model of many questions, and the file of its lists.
fn store(folder: &Path) -> (Store, PathBuf) {
    let vectors = rows(HEADS * QUESTIONS, 5);
    let questions: Vec<Array2<f32>> = (0..HEADS)
        .map(|head| {
            vectors.slice(ndarray::s![head * QUESTIONS..(head + 1) * QUESTIONS, ..]).to_owned()
        })
        .collect();
    let heads: Vec<NewHead> = questions
        .iter()
        .enumerate()
        .map(|(number, questions)| NewHead {
            cluster_id: number as i64,
            centroid: questions.row(0).to_vec(),
            answer: questions.row(1).to_vec(),
            matrix: None,
            num_questions: QUESTIONS,
        })
        .collect();
    let parameters = ModelParameters::Residual {
        gain: 0.5,
        temperature: 0.1,
        neighbours: 8,
        rotation: true,
        adapter: false,
        answer_angle: 0.0,
    };
    let new = NewModel { heads: &heads, questions: &questions, ..NewModel::new(parameters) };
    let mut store = Store::open_or_create(folder.join("lda.db")).unwrap();
    let model = store.register_embedding_model("toy", DIM, "test", None).unwrap();
    assert_eq!(store.add_model(&model, &new, &mut || Ok(())).unwrap(), 1);
    let file = store.embeddings_folder("toy").join("mh_1_index.safetensors");
    (store, file)
}

fn project(model: &Model) -> Vec<Vec<f32>> {
    let queries = rows(30, 9);
    let each = queries.rows().into_iter().map(|query| {
        let mut projected = vec![0.0; DIM];
        model.project_into(query.to_slice().unwrap(), &mut projected, None).unwrap();
        projected
    });
    each.collect()
}

#[test]
fn lists_are_kept_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = store(folder.path());
    let database = folder.path().join("lda.db");
    let plain = projection_store::Store::open_read_only(&database)
        .and_then(|store| store.model(1))
        .unwrap();
    assert_eq!((plain.index_stats(), store.check_index(1).unwrap()), (None, None));

    let found = store.build_index(1, 2, &mut ignore_progress).unwrap().unwrap();
    assert!(found.lists > 100 && found.recall >= 0.99, "{found:?}");
    assert_eq!(store.check_index(1).unwrap(), Some(found));
    let expected = project(&plain.with_approximate_index(1, &mut ignore_progress).unwrap());
    let embeddings = folder.path().join("embeddings");
    for opened in [
        projection_store::Store::open_read_only(&database)
            .and_then(|store| store.model(1))
            .unwrap(),
        store.model(1).unwrap(),
        Model::load(embeddings.join("toy"), 1, None).unwrap(),
        Model::load(embeddings, 1, None).unwrap(),
    ] {
        assert_eq!(opened.index_stats(), Some(found));
        assert_eq!(project(&opened), expected);
    }
    // To those who take it for a multi-head model, it has other vectors.
    let other = projection_store::Store::open_read_only(&database)
        .and_then(|store| store.model_of_kind(ModelKind::MultiHead, 1))
        .unwrap();
    assert_eq!(other.index_stats(), None);
    // The same lists again, whoever makes them.
    let before = std::fs::read(&file).unwrap();
    assert_eq!(store.build_index(1, 1, &mut ignore_progress).unwrap(), Some(found));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(
        store.build_index(7, 1, &mut ignore_progress).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn lists_of_an_interrupted_training_go_with_its_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let toy = folder.path().join("embeddings").join("toy");
    std::fs::create_dir_all(&toy).unwrap();
    std::fs::write(toy.join("mh_1_index.safetensors"), b"of another model").unwrap();
    std::fs::write(toy.join("mh_1.incomplete"), "934db2b3").unwrap();
    let (store, file) = store(folder.path());
    assert!(file.starts_with(&toy) && !file.exists());
    assert_eq!(store.check_index(1).unwrap(), None);
}

#[test]
fn stale_and_damaged_lists_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file) = store(folder.path());
    store.build_index(1, 2, &mut ignore_progress).unwrap().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let open = || store.model(1).unwrap();
    let plain = project(&{
        std::fs::remove_file(&file).unwrap();
        open()
    });
    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(&file, bytes).unwrap();
        let error = store.check_index(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{what}: {error}");
        let (message, path) = (error.to_string(), file.display().to_string());
        assert!(message.contains(&path) && message.contains(what), "{message}, not {what}");
        let model = open();
        assert!(model.index_stats().is_none());
        assert_eq!(project(&model), plain);
    };
    for length in [0, 5, 8, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..length], "");
    }
    let mut longer = whole.clone();
    longer.resize(whole.len() * 40, 0);
    refused(&longer, "expected at most");
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 8;
    // A byte anywhere: rows' bytes, centres, small tensors.
    for at in [header, header + 20_000, header + 262_500, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        refused(&bytes, "");
    }
    let text = |from: &str, to: &str| {
        let header = String::from_utf8(whole[8..header].to_vec()).unwrap();
        assert!(header.contains(from));
        [&whole[..8], header.replace(from, to).as_bytes(), &whole[8 + header.len()..]].concat()
    };
    refused(&text("projection-index-1", "projection-index-2"), "'projection-index-2'");
    refused(&text("index_codes", "other_codes"), "no index");
    refused(b"not tensors at all, but long enough", "");

    // Another program replaces training questions.
    std::fs::write(&file, &whole).unwrap();
    assert!(open().index_stats().is_some());
    let questions = file.with_file_name("mh_1_cluster_3_questions.npy");
    let mut bytes = std::fs::read(&questions).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x80;
    std::fs::write(&questions, bytes).unwrap();
    let error = store.check_index(1).unwrap_err().to_string();
    assert!(error.contains("built from other vectors") && error.contains("projection index"));
    assert!(open().index_stats().is_none());
    let found = store.build_index(1, 2, &mut ignore_progress).unwrap().unwrap();
    assert_eq!(open().index_stats(), Some(found));
}

#[test]
fn small_models_and_others_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open_or_create(folder.path().join("lda.db")).unwrap();
    let model = store.register_embedding_model("toy", 2, "test", None).unwrap();
    let head = NewHead {
        cluster_id: 4,
        centroid: vec![1.0, 2.0],
        answer: vec![0.5, 1.0],
        matrix: None,
        num_questions: 1,
    };
    let parameters = ModelParameters::MultiHead { temperature: 0.2, top_k: None };
    let new = NewModel { heads: &[head], ..NewModel::new(parameters) };
    let id = store.add_model(&model, &new, &mut || Ok(())).unwrap();
    // What is left of a larger model goes.
    let file = store.embeddings_folder("toy").join(format!("mh_{id}_index.safetensors"));
    std::fs::write(&file, "stale").unwrap();
    assert_eq!(store.check_index(id).unwrap_err().kind(), ErrorKind::InvalidModel);
    assert_eq!(store.build_index(id, 1, &mut ignore_progress).unwrap(), None);
    assert!(!file.exists());
    assert_eq!(store.build_index(id, 1, &mut ignore_progress).unwrap(), None);
    assert_eq!(store.check_index(id).unwrap(), None);
}

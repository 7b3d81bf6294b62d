//! Training of residual and linear projections, from vectors to a model in a store.

use std::fs;
use std::path::Path;

use ndarray::{Array2, ArrayView2};
use projection_core::projection::{Model, ModelKind, Projection, ResidualProjection};
use projection_core::search::Searcher;
use projection_core::store::{EmbeddingModel, Store};
use projection_core::train::{
    LinearMethod, ResidualMethod, ResidualTraining, TrainingData, Tuning, store_residual,
    train_linear_model, train_residual, train_residual_model, tune_residual,
};
use projection_core::{ErrorKind, evaluate, import};

const DIM: usize = 24;

fn wave(rows: usize, seed: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, DIM), |(r, c)| {
        let x = (r * 131 + c * 17) as f32 + seed;
        (x * 12.9898).sin() * 43_758.547 % 1.0
    })
}

/// Questions lie near a point of their own, far from their answers: `answered` of the
/// answers have `each` questions.
fn data(answers: usize, answered: usize, each: usize) -> TrainingData {
    let (targets, points) = (wave(answers, 0.3), wave(answered, 7.7));
    let noise = wave(answered * each, 21.1);
    let questions = Array2::from_shape_fn((answered * each, DIM), |(r, c)| {
        points[(r / each, c)] + 0.4 * targets[(r / each, c)] + 0.6 * noise[(r, c)]
    });
    let labels = (0..answered * each).map(|number| number / each).collect();
    TrainingData::new(targets.view(), questions.view(), labels).unwrap()
}

fn mrr(queries: ArrayView2<'_, f32>, data: &TrainingData) -> f64 {
    let ranks = evaluate::ranks(queries, data.answers(), data.labels(), 2);
    evaluate::Metrics::of(&ranks).mrr_at_10
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let data = data(60, 40, 6);
    let train = |threads: usize, seed: u64, candidates: usize| {
        let mut training = ResidualTraining { lift: 0.05, ..ResidualTraining::open() };
        training.adapter_training.threads = threads;
        training.adapter_training.seed = seed;
        training.adapter_training.steps = 20;
        training.adapter_training.candidates = candidates;
        let parts = train_residual(&data, &training, &mut |_| {}).unwrap();
        (parts.adapter.unwrap(), parts.lift.unwrap())
    };
    assert_eq!(train(1, 5, 4096), train(3, 5, 4096));
    assert_ne!(train(1, 5, 4096).0, train(1, 6, 4096).0);
    // Sampled candidates are seeded too.
    assert_eq!(train(1, 5, 30), train(2, 5, 30));
    assert_ne!(train(1, 5, 30).0, train(1, 5, 4096).0);
}

#[test]
fn training_helps_and_reports_its_loss() {
    let data = data(60, 60, 6);
    let mut losses = Vec::new();
    let mut progress = |progress: projection_core::train::Progress| {
        assert_eq!((progress.stage, progress.steps), ("adapter", 120));
        losses.push(progress.loss.unwrap());
    };
    let training = ResidualTraining { rotation: 0.0, ..ResidualTraining::closed() };
    let parts = train_residual(&data, &training, &mut progress).unwrap();
    assert_eq!(losses.len(), 120);
    assert!(losses[119] < 0.5 * losses[0], "{losses:?}");
    let model = ResidualProjection::new(parts).unwrap();
    let mut projected = Array2::zeros(data.questions().raw_dim());
    model.project_batch_into(data.questions(), projected.view_mut(), None).unwrap();
    assert!(mrr(projected.view(), &data) > mrr(data.questions(), &data) + 0.1);
}

#[test]
fn tuning_chooses_reports_and_repeats() {
    for answered in [60, 40] {
        let data = data(60, answered, 8);
        let tune = |threads| {
            let tuning = Tuning { threads, ..Tuning::default() };
            tune_residual(&data, &tuning, &mut |_| {}).unwrap()
        };
        let mut tuned = tune(1);
        let mut again = tune(2);
        assert_eq!(tuned.unheaded, if answered == 60 { 0.0 } else { 0.5 });
        assert!(tuned.validated.score >= tuned.fixed.score);
        assert!(!tuned.is_below_cosine());
        assert!(tuned.tried.len() > 36);
        assert!(tuned.tried[0].validated.score >= tuned.validated.score);
        assert_eq!(tuned.validated.unheaded.questions > 0, answered == 40);
        // The number of threads is the only difference.
        for tuned in [&mut tuned, &mut again] {
            tuned.training.adapter_training.threads = 1;
            tuned.tried.clear();
        }
        assert_eq!(tuned, again);
    }
    let data = data(3, 3, 1);
    let error = tune_residual(&data, &Tuning::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
    let wrong = Tuning { unheaded: Some(1.5), ..Tuning::default() };
    let error = tune_residual(&data, &wrong, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    // Too little to tune on is enough to train on.
    let method = ResidualMethod::Tuned(Tuning::default());
    let trained = train_residual_model(&data, &method, &mut |_| {}).unwrap();
    assert!(trained.tuned.is_none());
}

/// A store of five clusters, of which the last has no questions.
fn store(folder: &Path) -> (Store, EmbeddingModel) {
    let clusters: Vec<String> = (0..5)
        .map(|n| {
            let questions = if n == 4 { "" } else { "\"q?\", \"r?\", \"s?\"" };
            let questions = questions.replace('?', &format!(" {n}?"));
            format!(r#"{{"answer_id": "a{n}", "answer": "text {n}", "questions": [{questions}]}}"#)
        })
        .collect();
    let file = folder.join("faq.json");
    fs::write(&file, format!(r#"{{"clusters": [{}]}}"#, clusters.join(", "))).unwrap();
    let mut store = Store::open_or_create(folder.join("lda.db")).unwrap();
    import::import_file(&mut store, &file).unwrap();
    let model = store.register_embedding_model("toy", DIM, "test", None).unwrap();
    let texts = store.texts_without_vector("toy").unwrap();
    let vectors = wave(texts.len(), 3.3);
    store.add_embeddings(&model, &texts, vectors.view()).unwrap();
    (store, model)
}

#[test]
fn from_a_store_into_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = store(folder.path());
    let data = TrainingData::from_store(&store, &model).unwrap();
    assert_eq!((data.answers().nrows(), data.labels().len()), (5, 12));
    assert_eq!(data.headed().iter().filter(|headed| !**headed).count(), 1);
    let method =
        ResidualMethod::Fixed(ResidualTraining { lift: 0.1, ..ResidualTraining::fixed(&data) });
    let trained = train_residual_model(&data, &method, &mut |_| {}).unwrap();
    assert_eq!((trained.questions, trained.without_questions), (12, 1));
    let id = store_residual(&mut store, &model, Some("first"), &trained).unwrap();
    let linear = train_linear_model(&mut store, &model, &model, None, LinearMethod::lda()).unwrap();
    assert_eq!((id, linear), (1, 2));

    let opened = Model::open(store.path(), id).unwrap();
    assert_eq!((opened.kind(), opened.head_ids().len()), (ModelKind::Residual, 4));
    let in_memory = Model::Residual(ResidualProjection::new(trained.parts).unwrap());
    let searcher = Searcher::from_store(&store, None).unwrap();
    for query in data.questions().rows() {
        let project = |model: &Model| {
            let mut projected = vec![0.0; DIM];
            model.project_into(&query.to_vec(), &mut projected, None).unwrap();
            projected
        };
        assert_eq!(project(&opened), project(&in_memory));
        searcher.vector_search_with_projection(&query.to_vec(), Some(&opened), 3).unwrap();
    }
    let record = store.model_record(id).unwrap().unwrap();
    assert_eq!(record.parameters["training"]["steps"], 120);
    let opened = Model::open(store.path(), linear).unwrap();
    assert_eq!((opened.kind(), opened.output_dim()), (ModelKind::Linear, DIM));
}

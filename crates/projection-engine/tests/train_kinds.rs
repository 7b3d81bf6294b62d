//! Training of residual and linear projections, from vectors to a model in a store.

use projection_train::ignore_progress;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::{Array2, ArrayView2};
use projection_core::ErrorKind;
use projection_core::projection::{Model, ModelKind, Projection, ResidualProjection};
use projection_engine::training_data;
use projection_engine::{store_model, train_linear_model};
use projection_store::import;
use projection_store::{EmbeddingModel, Store};
use projection_train::evaluation;
use projection_train::{
    LinearMethod, Method, Recipe, ResidualTraining, TrainedModel, TrainingData, TrainingOptions,
    Tuning, train_model, train_residual,
};

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
    let ranks =
        evaluation::ranks(queries, data.answers(), data.labels(), 2, &mut || Ok(())).unwrap();
    evaluation::Metrics::of(&ranks).mrr_at_10
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let data = data(60, 40, 6);
    let train = |threads: usize, seed: u64, candidates: usize| {
        let mut training = ResidualTraining::open();
        training.adapter_training.threads = threads;
        training.adapter_training.seed = seed;
        training.adapter_training.steps = 20;
        training.adapter_training.batch = 10;
        training.adapter_training.candidates = candidates;
        let parts = train_residual(&data, &training, &mut ignore_progress).unwrap();
        parts.adapter.unwrap().to_vec()
    };
    assert_eq!(train(1, 5, 4096), train(3, 5, 4096));
    assert_ne!(train(1, 5, 4096), train(1, 6, 4096));
    // Sampled candidates are seeded too.
    assert_eq!(train(1, 5, 20), train(2, 5, 20));
    assert_ne!(train(1, 5, 20), train(1, 5, 4096));
}

#[test]
fn training_helps_and_reports_its_loss() {
    let data = data(60, 60, 6);
    let mut losses = Vec::new();
    let mut progress = |progress: projection_train::Progress| {
        assert_eq!((progress.stage, progress.steps), ("adapter", 120));
        losses.push(progress.loss.unwrap());
        ControlFlow::Continue(())
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

fn train(data: &TrainingData, method: Method, tuning: Tuning) -> TrainedModel {
    let options = TrainingOptions { method, tuning, ..TrainingOptions::default() };
    train_model(data, &options, &mut ignore_progress).unwrap()
}

fn projected(model: &Model, data: &TrainingData) -> Array2<f32> {
    let mut projected = Array2::zeros(data.questions().raw_dim());
    model.project_batch_into(data.questions(), projected.view_mut(), None).unwrap();
    projected
}

#[test]
fn tuning_chooses_reports_and_repeats() {
    for answered in [60, 40] {
        let data = data(60, answered, 8);
        let tune = |threads| train(&data, Method::Auto, Tuning { threads, ..Tuning::default() });
        let (trained, again) = (tune(1), tune(2));
        let validation = trained.validation.clone().unwrap();
        assert_eq!(validation.unseen, if answered == 60 { 0.0 } else { 0.5 });
        assert!(!validation.is_below_cosine());
        assert_eq!(validation.trials.len(), 11, "one residual and ten of the other kinds");
        assert!(validation.trials[0].validated.score >= validation.chosen.score);
        // The factors were fitted.
        let fitted = validation.trials.iter().find_map(|trial| match &trial.recipe {
            Recipe::Residual(training) => Some(training),
            _ => None,
        });
        let (fitted, fixed) = (fitted.unwrap(), ResidualTraining::fixed(&data));
        assert_ne!((fitted.rotation, fitted.adapter), (fixed.rotation, fixed.adapter));
        assert!(fitted.rotation > 0.1 && fitted.rotation < 1.5, "{fitted:?}");
        assert!(fitted.adapter > 0.1 && fitted.adapter < 1.5, "{fitted:?}");
        assert_eq!(validation.chosen.unseen.questions > 0, answered == 40);
        // Moved answers are told apart from those that stay.
        let angle = match &trained.recipe {
            Recipe::Residual(training) => training.answer_angle,
            _ => 0.0,
        };
        assert_eq!(validation.query_only.is_some(), angle > 0.0);
        let still = TrainingOptions { query_only: true, ..TrainingOptions::default() };
        let still = train_model(&data, &still, &mut ignore_progress).unwrap();
        let moves = |model: &Model| model.as_residual().is_some_and(|own| own.moves_answers());
        assert_eq!((moves(trained.model()), moves(still.model())), (angle > 0.0, false));
        // Both protocols are reported, and every kind was tried.
        let (cosine, open) = validation.open.unzip();
        assert_eq!(open.is_some(), answered == 60);
        if let (Some(cosine), Some(open)) = (cosine, open) {
            assert!(open.unseen.questions > 0);
            assert_eq!(open.unseen.questions, cosine.unseen.questions);
        }
        let kinds: Vec<ModelKind> =
            validation.best_of_kinds().iter().map(|tried| tried.recipe.kind()).collect();
        for kind in [ModelKind::Residual, ModelKind::MultiHead, ModelKind::Linear] {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        assert_eq!(validation.unseen_offset.is_some(), answered == 40);
        assert_eq!(trained.model().unseen_offset().is_some(), answered == 40);
        assert!(validation.hybrid_weight.is_none(), "there are no texts");
        // The number of threads makes no difference.
        assert_eq!(validation.to_json(), again.validation.as_ref().unwrap().to_json());
        assert_eq!(projected(trained.model(), &data), projected(again.model(), &data));
    }
}

#[test]
fn wrong_options_and_too_few_questions() {
    let few = data(3, 3, 1);
    let options = TrainingOptions {
        tuning: Tuning { unseen: Some(1.5), ..Tuning::default() },
        ..Default::default()
    };
    let error = train_model(&few, &options, &mut ignore_progress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    // Too little to tune on is enough to train on.
    for method in [Method::Auto, Method::MultiHead, Method::Ridge, Method::Lda] {
        assert!(train(&few, method, Tuning::default()).validation.is_none(), "{method:?}");
    }
    let fixed = train(&data(60, 60, 6), Method::Residual, Tuning::default());
    assert!(fixed.validation.is_none());
    assert_eq!(fixed.recipe, Recipe::Residual(ResidualTraining::closed().into()));
}

#[test]
fn every_kind_is_measured_beside_cosine() {
    let data = data(60, 40, 6);
    for method in [Method::MultiHead, Method::Lda, Method::Ridge] {
        let trained = train(&data, method, Tuning::default());
        let validation = trained.validation.unwrap();
        assert_eq!(validation.trials.len(), 1, "{method:?}");
        assert_eq!(validation.trials[0].recipe, trained.recipe);
        assert!(validation.chosen.seen.questions > 0 && validation.chosen.unseen.questions > 0);
        assert_eq!(validation.unseen_offset.is_some(), method == Method::MultiHead);
        let below = validation.chosen.score < validation.cosine.score;
        assert_eq!(validation.is_below_cosine(), below);
        let tuned = TrainingOptions { method, tune: true, ..TrainingOptions::default() };
        let tuned = train_model(&data, &tuned, &mut ignore_progress).unwrap().validation.unwrap();
        assert!(tuned.trials.len() > 1 && tuned.chosen.score >= validation.chosen.score);
    }
    // Questions beside their answers: cosine finds all of them, a multi-head projection
    // none of those whose answer it was not trained on.
    let (answers, noise) = (wave(40, 0.3), wave(80, 21.1));
    let questions =
        Array2::from_shape_fn((80, DIM), |(r, c)| answers[(r / 4, c)] + 0.2 * noise[(r, c)]);
    let labels = (0..80).map(|number| number / 4).collect();
    let near = TrainingData::new(answers.view(), questions.view(), labels).unwrap();
    let trained = train(&near, Method::MultiHead, Tuning::default());
    assert!(trained.validation.unwrap().is_below_cosine());
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
    let texts = store.texts_without_vector("toy", false).unwrap();
    let vectors = wave(texts.len(), 3.3);
    store.add_embeddings(&model, &texts, vectors.view()).unwrap();
    (store, model)
}

#[test]
fn from_a_store_into_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = store(folder.path());
    let data = training_data(&store, &model, &mut || Ok(())).unwrap();
    assert_eq!((data.answers().nrows(), data.labels().len()), (5, 12));
    assert_eq!(data.seen().iter().filter(|seen| !**seen).count(), 1);
    let trained = train(&data, Method::Residual, Tuning::default());
    assert_eq!((trained.questions, trained.without_questions), (12, 1));
    let id =
        store_model(&mut store, &model, Some("first"), &trained, true, &mut || Ok(())).unwrap();
    let linear = train_linear_model(&mut store, &model, &model, None, LinearMethod::lda()).unwrap();
    assert_eq!((id, linear), (1, 2));

    let opened = Store::open_read_only(store.path()).and_then(|store| store.model(id)).unwrap();
    assert_eq!((opened.kind(), opened.head_ids().len()), (ModelKind::Residual, 4));
    let searcher = store.searcher(None).unwrap();
    for query in data.questions().rows() {
        let project = |model: &Model| {
            let mut projected = vec![0.0; DIM];
            model.project_into(&query.to_vec(), &mut projected, None).unwrap();
            projected
        };
        assert_eq!(project(&opened), project(trained.model()));
        searcher.vector_search_with_projection(&query.to_vec(), Some(&opened), 3).unwrap();
    }
    let stored = store.choose(Some(id)).unwrap();
    assert_eq!(stored.training()["steps"], 120);
    let opened = Store::open_read_only(store.path()).and_then(|store| store.model(linear)).unwrap();
    assert_eq!((opened.kind(), opened.output_dim()), (ModelKind::Linear, DIM));
}

/// What training chose for search is in the database and in the folder.
#[test]
fn weights_and_offsets_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, model) = store(folder.path());
    let data = training_data(&store, &model, &mut || Ok(())).unwrap();
    let options = |method| TrainingOptions { method, ..TrainingOptions::default() };
    for method in [Method::Auto, Method::MultiHead, Method::Ridge] {
        let trained = train_model(&data, &options(method), &mut ignore_progress).unwrap();
        let validation = trained.validation.clone().unwrap();
        // The texts are known, and one cluster has no questions.
        let weight = validation.hybrid_weight.unwrap();
        assert!(weight.score >= weight.without);
        assert_eq!(trained.model().hybrid_weight(), Some(weight.value));
        assert_eq!(validation.unseen_offset.is_some(), method != Method::Ridge);
        let id = store_model(&mut store, &model, None, &trained, true, &mut || Ok(())).unwrap();
        let in_folder = Model::load(folder.path().join("embeddings/toy"), id, None).unwrap();
        for opened in [
            Store::open_read_only(store.path()).and_then(|store| store.model(id)).unwrap(),
            in_folder,
        ] {
            assert_eq!(opened.kind(), trained.recipe.kind());
            assert_eq!(opened.hybrid_weight(), trained.model().hybrid_weight());
            assert_eq!(opened.unseen_offset(), trained.model().unseen_offset());
            if method != Method::MultiHead {
                // Its answers keep the lengths that they have in the store.
                assert_eq!(projected(&opened, &data), projected(trained.model(), &data));
            }
            assert_eq!(opened.head_ids(), trained.model().head_ids());
        }
        let stored = store.choose(Some(id)).unwrap();
        let score = stored.metrics["mrr_at_10"].as_f64().unwrap();
        assert!((score - validation.chosen.score).abs() < 1e-12);
        assert_eq!(stored.metrics["hybrid_weight"]["value"], weight.value);
        assert_eq!(stored.search_defaults().unwrap().hybrid_weight, Some(weight.value));
    }
}

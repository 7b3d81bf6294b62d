//! Hybrid search, score modes, offsets and explanations over a store with models of all
//! kinds.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};
use projection_core::ErrorKind;
use projection_core::answer_file::AnswerPrecision;
use projection_core::projection::{Model, ModelParameters, Projection};
use projection_core::search::LexicalIndex;
use projection_store::import::import_file;
use projection_store::search::{
    Bm25, DEFAULT_HYBRID_WEIGHT, Explanation, Hit, Hybrid, Index, NEAREST_QUESTION_FACTOR,
    ScoreMode, SearchOptions, SearchQuery, SearchResult, Searcher,
};
use projection_store::{NewHead, NewLinear, NewModel, Store};
use serde_json::Value;

const DIM: usize = 16;
const MODEL: &str = "letters";

/// The last cluster is not trained on.
const CLUSTERS: &str = r#"{"clusters": [
    {"answer_id": "csv", "answer": "Read CSV files with the csv module.",
     "questions": ["How do I read a csv?", "comma separated values", "open a table file"]},
    {"answer_id": "json", "answer": "Use a JSON parser.", "questions": ["parse json", "json?"]},
    {"answer_id": "auth", "answer": "Log in with a token.",
     "questions": ["login", "How do I authenticate with the server?"]},
    {"answer_id": "zip", "answer": "Archives are opened by the zip reader.",
     "questions": ["unpack an archive"]}]}"#;

/// A stand-in for a text model: counts of letters.
fn vector(text: &str) -> Vec<f32> {
    let mut counts = vec![0.1f32; DIM];
    for byte in text.to_lowercase().bytes() {
        counts[byte as usize % DIM] += 1.0;
    }
    counts
}

struct Place {
    _folder: tempfile::TempDir,
    database: PathBuf,
    searcher: Searcher,
    /// Residual with a rotation, multi-head, linear, residual without a rotation.
    models: [Model; 4],
    answers: HashMap<String, i64>,
    clusters: Vec<i64>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, file) = (folder.path().join("lda.db"), folder.path().join("qa.json"));
        std::fs::write(&file, CLUSTERS).unwrap();
        let mut store = Store::open_or_create(&database).unwrap();
        import_file(&mut store, &file).unwrap();
        let model = store.register_embedding_model(MODEL, DIM, "test", None).unwrap();
        let missing = store.texts_without_vector(MODEL, false).unwrap();
        let rows: Vec<f32> = missing.iter().flat_map(|text| vector(&text.text)).collect();
        let vectors = Array2::from_shape_vec((missing.len(), DIM), rows).unwrap();
        store.add_embeddings(&model, &missing, vectors.view()).unwrap();

        let clusters: Vec<i64> = store.clusters().unwrap().iter().map(|c| c.cluster_id).collect();
        let answer_of: HashMap<i64, i64> = store.cluster_answers().unwrap().into_iter().collect();
        let mut heads = Vec::new();
        let mut questions = Vec::new();
        for cluster in &clusters[..3] {
            let of_cluster = store.embedded_questions(&model, *cluster).unwrap();
            let rows: Vec<f32> = of_cluster.iter().flat_map(|q| vector(&q.text)).collect();
            // Another length, as training leaves them.
            let rows = Array2::from_shape_vec((of_cluster.len(), DIM), rows).unwrap() * 0.25;
            heads.push(NewHead {
                cluster_id: *cluster,
                centroid: rows.mean_axis(ndarray::Axis(0)).unwrap().to_vec(),
                answer: vector(&store.answer(answer_of[cluster]).unwrap().text),
                matrix: None,
                num_questions: of_cluster.len(),
            });
            questions.push(rows);
        }
        let parameters = |rotation, adapter| ModelParameters::Residual {
            gain: 0.5,
            temperature: 0.1,
            neighbours: 4,
            rotation,
            adapter,
            answer_angle: 0.0,
        };
        let adapter = Array2::from_shape_fn((DIM, DIM), |(r, c)| ((r * 5 + c) as f32).sin() * 0.1);
        let residual = NewModel {
            heads: &heads,
            questions: &questions,
            hybrid_weight: Some(0.4),
            unseen_offset: Some(0.125),
            ..NewModel::new(parameters(true, false))
        };
        let still = NewModel {
            heads: &heads,
            questions: &questions,
            adapter: Some(adapter.view()),
            ..NewModel::new(parameters(false, true))
        };
        let multi_head = ModelParameters::MultiHead { temperature: 0.1, top_k: None };
        let multi_head = NewModel { heads: &heads, ..NewModel::new(multi_head) };
        let linear = NewLinear {
            name: None,
            matrix: ArrayView2::from(&adapter),
            regularisation: (1.0, 0.0),
            clusters: &clusters[..3],
            questions: 7,
            hybrid_weight: Some(0.3),
            training: &Value::Null,
            metrics: &Value::Null,
            active: None,
        };
        let ids = [
            store.add_model(&model, &residual, &mut || Ok(())).unwrap(),
            store.add_model(&model, &multi_head, &mut || Ok(())).unwrap(),
            store.add_linear_projection(&model, &model, &linear).unwrap(),
            store.add_model(&model, &still, &mut || Ok(())).unwrap(),
        ];
        let searcher = store.searcher(None).unwrap();
        let name = |id: &i64| (store.answer(*id).unwrap().record_id.unwrap(), *id);
        let answers = searcher.index().ids().iter().map(name).collect();
        let models = ids
            .map(|id| Store::open_read_only(&database).and_then(|store| store.model(id)).unwrap());
        Self { _folder: folder, database, searcher, models, answers, clusters }
    }

    fn scores(&self, query: &SearchQuery<'_>, options: &SearchOptions<'_>) -> HashMap<i64, f32> {
        let hits = self.searcher.search(query, options).unwrap().hits;
        assert_eq!(hits.len(), self.answers.len());
        hits.iter().map(|hit| (hit.answer_id, hit.score)).collect()
    }

    fn refused(&self, query: &SearchQuery<'_>, options: &SearchOptions<'_>) -> String {
        let error = self.searcher.search(query, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let explained = self.searcher.explain(query, options).unwrap_err();
        assert_eq!(explained.to_string(), error.to_string());
        error.to_string()
    }
}

const TEXT: &str = "which module can open a csv file";

#[test]
fn the_cosine_alone_is_the_index() {
    let place = Place::new();
    let vector = vector(TEXT);
    let query = SearchQuery { vector: &vector, text: Some(TEXT) };
    let own = place.searcher.index();
    // Without clusters, so that no offset counts.
    let index = Index::from_rows(own.ids(), own.units(), (own.len(), DIM)).unwrap();
    for model in place.models.iter().map(Some).chain([None]) {
        let projection = model.map(|model| model as &dyn Projection);
        for k in [0, 1, 3, 9] {
            let expected = index.search(&vector, projection, k).unwrap();
            let score_mode = ScoreMode::Cosine;
            let options = SearchOptions { k, projection, score_mode, ..SearchOptions::default() };
            let found = place.searcher.search(&query, &options).unwrap();
            assert_eq!((found.hits, found.hybrid_weight), (expected.clone(), 0.0));
            let zero = SearchOptions { hybrid: Hybrid::Weight(0.0), ..options };
            assert_eq!(place.searcher.search(&query, &zero).unwrap().hits, expected);
            let explained: SearchResult = place.searcher.explain(&query, &options).unwrap().into();
            assert_eq!(explained.hits, expected);
        }
    }
}

#[test]
fn hybrid_is_the_documented_fusion() {
    let place = Place::new();
    let vector = vector(TEXT);
    let query = SearchQuery { vector: &vector, text: Some(TEXT) };
    let score_mode = ScoreMode::Cosine;
    let projection = Some(&place.models[0] as _);
    let plain = SearchOptions { projection, score_mode, ..SearchOptions::default() };
    let cosines = place.scores(&query, &plain);
    let ids: Vec<i64> = place.searcher.index().ids().to_vec();
    let texts = ids.iter().map(|id| (*id, place.searcher.text(*id).unwrap()));
    let words: HashMap<i64, f64> =
        Bm25::new(texts).unwrap().scores(TEXT).unwrap().into_iter().collect();
    assert!(
        words.contains_key(&place.answers["csv"]) && !words.contains_key(&place.answers["zip"])
    );
    let largest = f64::from(cosines.values().copied().fold(-1.0, f32::max));
    let most = words.values().copied().fold(0.0, f64::max);
    for (hybrid, weight) in
        [(Hybrid::OfModel, 0.4), (Hybrid::Weight(0.25), 0.25), (Hybrid::Weight(1.0), 1.0)]
    {
        let options = SearchOptions { hybrid, ..plain };
        assert_eq!(place.searcher.search(&query, &options).unwrap().hybrid_weight, weight);
        for (id, score) in place.scores(&query, &options) {
            let cosine = (f64::from(cosines[&id]) + 1.0) / (largest + 1.0);
            let words = words.get(&id).copied().unwrap_or(0.0) / most;
            let expected = (1.0 - weight) * cosine + weight * words;
            assert!((f64::from(score) - expected).abs() < 1e-6, "{score}, expected {expected}");
        }
    }
    // A model that training chose no weight for, and none at all.
    for projection in [Some(&place.models[1] as &dyn Projection), None] {
        let options = SearchOptions { projection, hybrid: Hybrid::OfModel, ..plain };
        let found = place.searcher.search(&query, &options).unwrap();
        assert_eq!(found.hybrid_weight, DEFAULT_HYBRID_WEIGHT);
    }
    let options = SearchOptions { hybrid: Hybrid::OfModel, ..plain };
    assert!(place.refused(&SearchQuery::of_vector(&vector), &options).contains("text"));
    for weight in [-0.1, 1.1, f64::NAN] {
        let options = SearchOptions { hybrid: Hybrid::Weight(weight), ..plain };
        assert!(place.refused(&query, &options).contains("from 0 to 1"));
    }
    // The weight is in the folder too.
    let folder = place.database.parent().unwrap().join("embeddings");
    assert_eq!(Model::load(folder, 1, None).unwrap().hybrid_weight(), Some(0.4));
}

#[test]
fn the_nearest_question_may_count_more() {
    let place = Place::new();
    let text = "unpack an archive or open a table file";
    let vector = vector(text);
    let query = SearchQuery::of_vector(&vector);
    let score_mode = ScoreMode::Cosine;
    let projection = Some(&place.models[0] as _);
    let plain = SearchOptions { projection, score_mode, ..SearchOptions::default() };
    let cosines = place.scores(&query, &plain);
    let mode = SearchOptions { score_mode: ScoreMode::MaxNearestQuestion, ..plain };
    let model = place.models[0].as_residual().unwrap();
    let nearest = model.nearest_question_scores(&vector).unwrap();
    // As the neighbours say, which are in double precision.
    for near in model.neighbours_of(&vector).unwrap() {
        let cluster = model.cluster_ids().iter().position(|id| *id == near.cluster_id).unwrap();
        assert!(near.similarity <= f64::from(nearest[cluster]) + 1e-6);
    }
    let store = Store::open_read_only(&place.database).unwrap();
    let cluster_of: HashMap<i64, i64> =
        store.cluster_answers().unwrap().into_iter().map(|(c, a)| (a, c)).collect();
    let mut raised = 0;
    for (id, score) in place.scores(&query, &mode) {
        let cluster = model.cluster_ids().iter().position(|c| *c == cluster_of[&id]);
        let by_question = cluster.map_or(-1.0, |c| NEAREST_QUESTION_FACTOR * nearest[c]);
        assert_eq!(score, cosines[&id].max(by_question));
        raised += usize::from(score > cosines[&id]);
    }
    // With another wording of the mean, so that something was tested at all.
    let explained = place.searcher.explain(&query, &mode).unwrap();
    let zip = explained.hits.iter().find(|hit| hit.answer_id == place.answers["zip"]).unwrap();
    assert_eq!((zip.nearest_question, zip.seen), (None, Some(false)));
    assert!(explained.hits.iter().filter(|hit| hit.nearest_question.is_some()).count() == 3);
    assert!(raised <= 3);
    for projection in [Some(&place.models[1] as &dyn Projection), Some(&place.models[2]), None] {
        let options = SearchOptions { projection, ..mode };
        assert!(place.refused(&query, &options).contains("residual"));
    }
}

#[test]
fn answers_without_a_head_can_be_raised() {
    let place = Place::new();
    let vector = vector(TEXT);
    let query = SearchQuery { vector: &vector, text: Some(TEXT) };
    for model in &place.models[..2] {
        let chosen = SearchOptions { projection: Some(model), ..SearchOptions::default() };
        let plain = SearchOptions { score_mode: ScoreMode::Cosine, ..chosen };
        let cosines = place.scores(&query, &plain);
        let offset = SearchOptions { unseen_offset: 0.25, ..plain };
        for (id, score) in place.scores(&query, &offset) {
            let added = if id == place.answers["zip"] { 0.25 } else { 0.0 };
            assert_eq!(score, cosines[&id] + added);
        }
        let all = SearchOptions { unseen_offset: 3.0, hybrid: Hybrid::Weight(0.1), ..plain };
        let best = place.searcher.search(&query, &all).unwrap().hits[0];
        assert_eq!(best.answer_id, place.answers["zip"]);
        let wrong = SearchOptions { unseen_offset: f64::NAN, ..plain };
        assert!(place.refused(&query, &wrong).contains("finite"));
        // The options' offset, or else, by default, the one that training chose, if it did.
        let same = SearchOptions { unseen_offset: 0.25, ..chosen };
        assert_eq!(place.scores(&query, &same), place.scores(&query, &offset));
        let value = model.unseen_offset().unwrap_or(0.0);
        let raised = place.searcher.search(&query, &chosen).unwrap();
        assert_eq!(raised.unseen_offset, value);
        for (id, score) in place.scores(&query, &chosen) {
            let added = if id == place.answers["zip"] { value as f32 } else { 0.0 };
            assert_eq!(score, cosines[&id] + added);
        }
        let matrix = ArrayView2::from_shape((1, DIM), &vector).unwrap();
        for k in [1, 2, 9] {
            let found = place.searcher.vector_search_with_projection(&vector, Some(model), k);
            let options = SearchOptions { k, ..chosen };
            let expected = place.searcher.search(&query, &options).unwrap().hits;
            assert_eq!(found.unwrap(), expected);
            let batch = place.searcher.batch_search(matrix, Some(model), k).unwrap();
            assert_eq!(batch, [expected]);
        }
    }
    assert_eq!(place.models[0].unseen_offset(), Some(0.125));
    assert_eq!(place.models[1].unseen_offset(), None);
    for projection in [Some(&place.models[2] as &dyn Projection), None] {
        let options = SearchOptions { projection, unseen_offset: 0.1, ..SearchOptions::default() };
        assert!(place.refused(&query, &options).contains("heads"));
        // There is none to be applied by default.
        let options = SearchOptions { projection, ..SearchOptions::default() };
        assert_eq!(place.searcher.search(&query, &options).unwrap().unseen_offset, 0.0);
    }
    assert!(place.models[2].with_unseen_offset(Some(0.1)).is_err());
}

#[test]
fn vectors_without_a_store_have_neither_texts_nor_clusters() {
    let place = Place::new();
    let vectors = Array2::from_shape_fn((3, DIM), |(r, c)| ((r * 7 + c) as f32).cos());
    let searcher = Searcher::from_index(Index::from_vectors(&[1, 2, 3], vectors.view()).unwrap());
    let vector = vector(TEXT);
    let query = SearchQuery { vector: &vector, text: Some(TEXT) };
    let plain = SearchOptions { projection: Some(&place.models[0]), ..SearchOptions::default() };
    // The model has an offset, and it is not known for which answers.
    assert_eq!(searcher.search(&query, &plain).unwrap().unseen_offset, 0.0);
    for (options, word) in [
        (SearchOptions { hybrid: Hybrid::OfModel, ..plain }, "texts"),
        (SearchOptions { unseen_offset: 0.1, ..plain }, "clusters"),
        (SearchOptions { score_mode: ScoreMode::MaxNearestQuestion, ..plain }, "clusters"),
    ] {
        let error = searcher.search(&query, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(word), "{error}");
    }
    let explained = searcher.explain(&query, &plain).unwrap();
    assert!(explained.hits.iter().all(|hit| hit.seen.is_none() && hit.before.is_some()));
    assert!(explained.questions.iter().all(|question| question.question.is_none()));
    // Answers of another dimension than the query: there is no rank before.
    let matrix = Array2::from_shape_fn((3, DIM), |(r, c)| ((r * 5 + c) as f32).sin());
    let model = projection_core::projection::LinearProjection::new(matrix).unwrap();
    let vectors = Array2::from_shape_fn((3, 3), |(r, c)| ((r * 7 + c) as f32).cos());
    let searcher = Searcher::from_index(Index::from_vectors(&[1, 2, 3], vectors.view()).unwrap());
    let options = SearchOptions { projection: Some(&model), ..SearchOptions::default() };
    let explained = searcher.explain(&query, &options).unwrap();
    assert!(explained.angle.is_none() && explained.heads.is_empty());
    assert!(explained.hits.iter().all(|hit| hit.before.is_none()));
}

fn check_ranks(place: &Place, explained: &Explanation, vector: &[f32]) {
    let before = place.searcher.vector_search(vector, 99).unwrap();
    for (number, hit) in explained.hits.iter().enumerate() {
        assert_eq!(hit.rank, number + 1);
        let at = before.iter().position(|other| other.answer_id == hit.answer_id).unwrap();
        assert_eq!(hit.before, Some((at + 1, before[at].score)));
    }
}

#[test]
fn explanations_name_what_moved_the_query() {
    let place = Place::new();
    let vector = vector("How do I read a csv file?");
    let query = SearchQuery { vector: &vector, text: Some("csv") };
    let explain = |number: usize| {
        let model = &place.models[number];
        let options = SearchOptions { projection: Some(model), k: 3, ..SearchOptions::default() };
        let explained = place.searcher.explain(&query, &options).unwrap();
        check_ranks(&place, &explained, &vector);
        let (mut projected, mut weights) = (vec![0.0; DIM], vec![0.0; model.head_ids().len()]);
        model.project_into(&vector, &mut projected, Some(&mut weights)).unwrap();
        let heads: Vec<(i64, f32)> = model.head_ids().iter().copied().zip(weights).collect();
        assert_eq!(explained.heads, heads);
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let cosine =
            dot(&vector, &projected) / (dot(&vector, &vector) * dot(&projected, &projected)).sqrt();
        assert!((explained.angle.unwrap().to_radians().cos() - cosine).abs() < 1e-9);
        explained
    };
    for (number, moves) in [(0, true), (3, false)] {
        let explained = explain(number);
        assert_eq!((explained.questions.len(), explained.questions_move), (4, moves));
        let first = &explained.questions[0];
        let text = first.question.as_ref().map(|question| question.1.as_str());
        assert_eq!(text, Some("How do I read a csv?"));
        assert_eq!((first.cluster_id, first.row), (place.clusters[0], 0));
        assert!(explained.questions.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
        assert!(explained.questions.iter().all(|question| question.question.is_some()));
        let total: f64 = explained.questions.iter().map(|question| question.weight).sum();
        assert!((total - 1.0).abs() < 1e-9);
        for (cluster, weight) in &explained.heads {
            let of_cluster = explained.questions.iter().filter(|q| q.cluster_id == *cluster);
            let sum: f64 = of_cluster.map(|question| question.weight).sum();
            assert!((sum - f64::from(*weight)).abs() < 1e-6);
        }
    }
    assert!(explain(1).questions.is_empty());
    let linear = explain(2);
    assert!(linear.heads.is_empty() && linear.hits.iter().all(|hit| hit.seen.is_none()));
    let plain = place.searcher.explain(&query, &SearchOptions::default()).unwrap();
    assert!(
        plain.angle.is_none() && plain.hits.iter().all(|hit| hit.before.unwrap().0 == hit.rank)
    );

    // A question that is gone, and a store that is gone, leave the rest.
    let sql = rusqlite::Connection::open(&place.database).unwrap();
    sql.pragma_update(None, "foreign_keys", false).unwrap();
    sql.execute("DELETE FROM questions WHERE text = 'How do I read a csv?'", []).unwrap();
    drop(sql);
    let explained = explain(0);
    assert_eq!(explained.questions[0].question, None);
    assert!(explained.questions[1].question.is_some());
    std::fs::remove_file(&place.database).unwrap();
    let explained = explain(0);
    assert!(explained.questions.iter().all(|question| question.question.is_none()));
}

#[test]
fn threads_share_a_searcher() {
    let place = Place::new();
    let vector = vector(TEXT);
    let query = SearchQuery { vector: &vector, text: Some(TEXT) };
    let options = SearchOptions {
        projection: Some(&place.models[0]),
        hybrid: Hybrid::OfModel,
        score_mode: ScoreMode::MaxNearestQuestion,
        unseen_offset: 0.05,
        ..SearchOptions::default()
    };
    // The index of words is made by one of them.
    let searcher = place.searcher.clone();
    let found: Vec<Vec<Hit>> = std::thread::scope(|scope| {
        let search = || searcher.search(&query, &options).unwrap().hits;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(search)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|hits| *hits == found[0]));
    assert_eq!(place.searcher.search(&query, &options).unwrap().hits, found[0]);
}

/// Two searches among seen and unseen answers, of which the seen ones may be moved, exact, by an
/// approximate index and in batches, find what scoring all answers finds.
#[test]
fn an_offset_finds_what_a_full_scan_finds() {
    let folder = tempfile::tempdir().unwrap();
    let count = 3000;
    let clusters: Vec<String> = (0..count)
        .map(|n| {
            format!(r#"{{"answer_id": "a{n}", "answer": "text {n}", "questions": ["q {n}?"]}}"#)
        })
        .collect();
    let file = folder.path().join("faq.json");
    std::fs::write(&file, format!(r#"{{"clusters": [{}]}}"#, clusters.join(", "))).unwrap();
    let mut store = Store::open_or_create(folder.path().join("lda.db")).unwrap();
    import_file(&mut store, &file).unwrap();
    let model = store.register_embedding_model("toy", DIM, "test", None).unwrap();
    let texts = store.texts_without_vector("toy", false).unwrap();
    // Some answers are equal, so that ties are cut.
    let wave = |r: usize, c: usize| ((r % 2500 * 131 + c * 17) as f32 * 12.9898).sin();
    let vectors = Array2::from_shape_fn((texts.len(), DIM), |(r, c)| wave(r, c));
    store.add_embeddings(&model, &texts, vectors.view()).unwrap();
    let clusters: Vec<i64> = store.clusters().unwrap().into_iter().map(|c| c.cluster_id).collect();
    let mut searcher = store.searcher(None).unwrap();
    let heads = |step: usize, angle: f64| {
        let mut questions = projection_core::projection::Questions::new(DIM);
        for cluster in clusters.iter().step_by(step) {
            let row: Vec<f32> = (0..DIM).map(|c| wave(*cluster as usize + 7, c)).collect();
            let rows = ArrayView2::from_shape((1, DIM), &row).unwrap();
            questions.push(*cluster, &row, rows).unwrap();
        }
        let parts = projection_core::projection::ResidualParts {
            questions: questions.with_answer_angle(angle).unwrap(),
            ..projection_core::projection::ResidualParts::new(DIM)
        };
        let model = projection_core::projection::ResidualProjection::new(parts).unwrap();
        Model::Residual(model)
    };
    let queries: Vec<Vec<f32>> =
        (0..5).map(|r| (0..DIM).map(|c| wave(r * 97 + 3, c) + 0.2).collect()).collect();
    let queries: Vec<SearchQuery<'_>> =
        queries.iter().map(|vector| SearchQuery { vector, text: Some("text 5") }).collect();
    let allowed: Vec<i64> = searcher.index().ids().iter().copied().step_by(3).collect();
    let cluster_of: HashMap<i64, i64> =
        store.cluster_answers().unwrap().into_iter().map(|(c, a)| (a, c)).collect();
    // Some, few and all answers are seen.
    for (step, offset, angle) in [
        (2, 0.07, 0.0),
        (2, -0.05, 0.4),
        (100, 0.02, 0.0),
        (100, 0.02, 1.0),
        (1, 0.3, 0.0),
        (1, 0.3, 0.5),
        (2, 0.0, 0.5),
    ] {
        let model = heads(step, angle).with_unseen_offset(Some(offset)).unwrap();
        let raise = |(id, cosine): (&i64, f32)| {
            let seen = model.head_ids().binary_search(&cluster_of[id]).is_ok();
            cosine.clamp(-1.0, 1.0) + if seen { 0.0 } else { offset as f32 }
        };
        let (residual, index) = (model.as_residual().unwrap(), searcher.index());
        let there = index.ids().iter().zip(index.units().chunks(DIM)).flat_map(|(id, unit)| {
            let head = model.head_ids().binary_search(&cluster_of[id]);
            head.map_or(unit.to_vec(), |head| residual.moved_answer(head, unit).unwrap())
        });
        let there: Vec<f32> = there.collect();
        let there = Index::from_rows(index.ids(), &there, (index.len(), DIM)).unwrap();
        for exact in [true, false] {
            searcher.drop_index();
            if !exact {
                searcher
                    .build_index(None, Some(&model), 1, &mut projection_train::ignore_progress)
                    .unwrap();
            }
            for (k, allowed) in [(1, None), (10, None), (10, Some(&allowed[..])), (4000, None)] {
                let projection = Some(&model as _);
                let options = SearchOptions { k, projection, allowed, ..SearchOptions::default() };
                let mut progress = projection_train::ignore_progress;
                let batch = searcher.search_many(&queries, &options, &mut progress).unwrap();
                for (query, batch) in queries.iter().zip(batch) {
                    let index = searcher.index();
                    let target = index.target(query.vector, projection).unwrap();
                    let scores: Vec<f32> =
                        index.ids().iter().zip(there.scores(&target)).map(raise).collect();
                    let rows = allowed.map(|ids| index.rows_of(ids));
                    let expected = index.best(rows.as_deref(), &scores, k);
                    if exact && k == 10 {
                        // An index in a file of its own knows the clusters, too.
                        let bytes = index.to_bytes(None, AnswerPrecision::F32).unwrap();
                        let copy = Index::from_bytes(&bytes).unwrap();
                        let found = copy.search_among(allowed, 1, query.vector, projection, k);
                        for (found, expected) in found.unwrap().iter().zip(&expected) {
                            assert!((found.score - expected.score).abs() < 1e-6, "{expected:?}");
                        }
                    }
                    for threads in [1, 3] {
                        let options = SearchOptions { threads, ..options };
                        let found = searcher.search(query, &options).unwrap();
                        assert_eq!(found.unseen_offset, offset);
                        if exact {
                            assert_eq!(found.hits, expected, "{step} {offset} {k}");
                            assert_eq!(batch, found);
                            continue;
                        }
                        let ids: HashSet<i64> = expected.iter().map(|h| h.answer_id).collect();
                        let same = found.hits.iter().filter(|h| ids.contains(&h.answer_id)).count();
                        assert!(same * 10 >= expected.len() * 8, "{step} {offset} {k}: {same}");
                    }
                }
                if exact && k == 10 {
                    let explained = searcher.explain(&queries[0], &options).unwrap();
                    let found = searcher.search(&queries[0], &options).unwrap();
                    assert_eq!(SearchResult::from(explained), found);
                }
            }
        }
    }
    // An answer that is added is an unseen one: what is kept for a projection is found anew.
    let model = heads(1, 0.0).with_unseen_offset(Some(0.5)).unwrap();
    let options = SearchOptions { projection: Some(&model), k: 1, ..SearchOptions::default() };
    let before = searcher.search(&queries[0], &options).unwrap().hits[0].score;
    assert!(before <= 1.0);
    let vector = ArrayView2::from_shape((1, DIM), queries[0].vector).unwrap();
    searcher.add(&[1_000_000], vector, &[]).unwrap();
    let best = searcher.search(&queries[0], &options).unwrap().hits[0];
    assert!(best.answer_id == 1_000_000 && best.score > 1.0, "{best:?}");
    searcher.remove(&[1_000_000]);
    assert_eq!(searcher.search(&queries[0], &options).unwrap().hits[0].score, before);
}

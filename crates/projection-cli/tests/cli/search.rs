//! `query` with words, score modes and explanations, for projections of every kind.

use ndarray::Array2;
use projection_core::projection::ModelParameters;
use projection_store::{NewHead, NewLinear, NewModel, Store};
use serde_json::{Value, json};

use crate::common::{Place, run};

const QUESTION: &str = "How do I read a CSV file?";

/// Stores a residual projection of all questions, with a hybrid weight, and a linear one
/// that changes nothing. Projection 1 is there already.
fn add_kinds(place: &Place) -> [i64; 2] {
    let mut store = Store::open(place.db()).unwrap();
    let model = store.embedding_model(None).unwrap();
    let load = |path: &std::path::Path| {
        projection_core::npy::NpyArray::load(path).unwrap().to_f32().unwrap()
    };
    let (mut heads, mut questions) = (Vec::new(), Vec::new());
    for cluster in store.embedded_clusters(&model).unwrap() {
        let rows: Vec<f32> = cluster.questions.iter().flat_map(|path| load(path)).collect();
        let rows = Array2::from_shape_vec((cluster.questions.len(), 384), rows).unwrap();
        heads.push(NewHead {
            cluster_id: cluster.cluster_id,
            centroid: rows.mean_axis(ndarray::Axis(0)).unwrap().to_vec(),
            answer: load(&cluster.answers[0]),
            matrix: None,
            num_questions: rows.nrows(),
        });
        questions.push(rows);
    }
    let parameters = ModelParameters::Residual {
        gain: 0.5,
        temperature: 0.1,
        neighbours: 4,
        rotation: true,
        adapter: false,
        answer_angle: 0.0,
    };
    let residual = NewModel {
        heads: &heads,
        questions: &questions,
        hybrid_weight: Some(0.35),
        unseen_offset: Some(0.125),
        ..NewModel::new(parameters)
    };
    let same = Array2::eye(384);
    let linear = NewLinear {
        name: None,
        matrix: same.view(),
        regularisation: (1.0, 0.0),
        clusters: &[],
        questions: 8,
        hybrid_weight: None,
        training: &Value::Null,
        metrics: &Value::Null,
        active: None,
    };
    let ids = [
        store.add_model(&model, &residual, &mut || Ok(())).unwrap(),
        store.add_linear_projection(&model, &model, &linear).unwrap(),
    ];
    let linear = store.choose(Some(ids[1])).unwrap();
    store.activate(&linear).unwrap();
    ids
}

#[test]
fn explanations_of_every_kind() {
    let place = Place::trained();
    assert_eq!(add_kinds(&place), [2, 3]);

    let found = place.query(&[QUESTION, "--json", "--projection", "2", "--explain"]).json();
    assert_eq!((&found["kind"], &found["temperature"]), (&json!("residual"), &json!(0.1)));
    assert_eq!(found["weights"].as_array().unwrap().len(), 3);
    let explanation = &found["explanation"];
    assert_eq!(explanation["questions_move"], true);
    assert!(explanation["angle_degrees"].as_f64().unwrap() > 1.0);
    let first = &explanation["questions"][0];
    assert_eq!((&first["text"], &first["cluster"]), (&json!(QUESTION), &json!("csv")));
    assert!(first["similarity"].as_f64().unwrap() > 0.999);
    for (hit, parts) in
        found["hits"].as_array().unwrap().iter().zip(explanation["hits"].as_array().unwrap())
    {
        assert_eq!(hit["answer_id"], parts["answer_id"]);
        assert_eq!((&hit["rank"], &hit["cosine_rank"]), (&parts["rank"], &parts["rank_before"]));
        assert_eq!((&parts["seen"], &parts["bm25"]), (&json!(true), &Value::Null));
    }
    let text = place.query(&[QUESTION, "--projection", "2", "--explain"]).ok();
    for words in ["residual projection 2", "routing weights", "pulled the query", "turned", "→"] {
        assert!(text.contains(words), "no '{words}' in {text}");
    }
    let line = text.lines().find(|line| line.contains(QUESTION) && line.contains('%')).unwrap();
    assert!(line.contains('█') && line.contains("cosine 1.000"), "{line}");

    // The active one is the linear one, which has no weights and here turns nothing.
    let found = place.query(&[QUESTION, "--json", "--explain"]).json();
    assert_eq!((&found["projection_id"], &found["kind"]), (&json!(3), &json!("linear")));
    assert_eq!((&found["temperature"], &found["weights"]), (&Value::Null, &json!([])));
    assert!(found["explanation"]["angle_degrees"].as_f64().unwrap() < 0.1);
    assert_eq!(found["explanation"]["questions"], json!([]));
    let text = place.query(&[QUESTION, "--explain"]).ok();
    assert!(text.contains("linear projection 3, embedding model") && !text.contains("weights"));

    let found = place.query(&[QUESTION, "--json", "--projection", "1", "--explain"]).json();
    assert_eq!(found["kind"], "multi_head");
    assert_eq!(found["explanation"]["questions"], json!([]));
    let found = place.query(&[QUESTION, "--json", "--no-projection", "--explain"]).json();
    assert_eq!(found["explanation"]["angle_degrees"], Value::Null);
    assert_eq!(place.query(&[QUESTION, "--json"]).json()["explanation"], Value::Null);
}

#[test]
fn words_and_the_nearest_question() {
    let place = Place::trained();
    add_kinds(&place);
    let words = "failures of the caller";
    let query = |args: &[&str]| place.query(&[&[words, "--json"], args].concat()).json();
    assert_eq!(query(&[])["hybrid_weight"], Value::Null);
    assert_eq!(query(&["--projection", "2", "--hybrid"])["hybrid_weight"], 0.35);
    // Training chose one for the first, and none for the linear one.
    let facts = &place.inspect()["projections"];
    let chosen = &facts[0]["hybrid_weight"];
    assert!(chosen.is_number() && facts[1]["hybrid_weight"] == 0.35, "{facts}");
    assert_eq!(&query(&["--projection", "1", "--hybrid"])["hybrid_weight"], chosen);
    assert_eq!(query(&["--projection", "3", "--hybrid"])["hybrid_weight"], 0.2);
    let found = query(&["--no-projection", "--hybrid", "--hybrid-weight", "1", "--explain"]);
    let best = &found["hits"][0];
    assert!(best["text"].as_str().unwrap().starts_with("Failures"), "{best}");
    assert_eq!(best["score"], 1.0);
    assert!(found["explanation"]["hits"][0]["bm25"].as_f64().unwrap() > 0.0);
    let text = place.query(&[words, "--projection", "2", "--hybrid"]).ok();
    assert!(text.contains("BM25 with weight 0.35"), "{text}");

    let args = ["--projection", "2", "--score-mode", "max-nearest", "--explain"];
    let found = query(&args);
    assert_eq!(found["score_mode"], "max-nearest");
    for hit in found["explanation"]["hits"].as_array().unwrap() {
        let number = |key: &str| hit[key].as_f64().unwrap();
        let expected = number("projected_cosine").max(0.8 * number("nearest_question"));
        assert!((number("score") - expected).abs() < 1e-6, "{hit}");
    }
    let raised = ["--projection", "2"];
    let found = query(&raised);
    assert_eq!(found["score_mode"], "seen-unseen");
    assert_eq!(found["unseen_offset"], 0.125, "the one that training chose");
    let other = query(&[&raised[..], &["--unseen-offset", "-0.5"]].concat());
    assert_eq!(other["unseen_offset"], -0.5);
    assert_eq!(query(&[&raised[..], &["--score-mode", "cosine"]].concat())["unseen_offset"], 0.0);
    let text = place.query(&[&[words], &raised[..]].concat()).ok();
    assert!(text.contains("offset 0.125 for answers without"), "{text}");
    assert!(run(["inspect", &place.db()]).ok().contains("offset 0.125"));
    let (kind, message) = place.query(&[words, "--json", "--unseen-offset", "0.5"]).json_error(1);
    assert!(kind == "invalid_argument" && message.contains("heads"), "{message}");
    let (kind, message) =
        place.query(&[words, "--json", "--score-mode", "max-nearest"]).json_error(1);
    assert_eq!(kind, "invalid_argument");
    assert!(message.contains("residual"), "{message}");
    for wrong in [
        &["--hybrid", "--hybrid-weight", "1.5"][..],
        &["--hybrid-weight", "0.5"],
        &["--score-mode", "magic"],
    ] {
        assert_eq!(place.query(&[&[words], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}

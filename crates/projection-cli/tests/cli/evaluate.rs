//! `projection evaluate`: test questions, cross-validation, the report, and what it refuses.

use std::fs;

use ndarray::{Array1, Array2, array};
use projection_core::npy;
use projection_embed::Embedder;
use projection_store::Store;
use serde_json::{Value, json};

use crate::common::{Place, model_dir, root, run};

/// Test questions for the small store, and texts that a page must not take for its own.
const TEST: &str = r#"{"clusters": [
    {"answer_id": "csv", "answer": "Use the delimiter option of the table reader.",
     "questions": ["a <script>alert(1)</script> & \"table\" with semicolons", "parse rows of a table"]},
    {"id": "closures", "answers": {"default": "worded otherwise, but called the same"},
     "queries": {"short": ["inner function variables"]}},
    {"answer_id": "whatever", "answer": "Return a result and let the caller decide.",
     "questions": ["what to return when it fails"]}
]}"#;

fn evaluate(place: &Place, args: &[&str]) -> crate::common::Run {
    let db = place.db();
    run(["evaluate", &db].iter().chain(args))
}

fn with_file(place: &Place, args: &[&str]) -> crate::common::Run {
    let (file, model) = (place.file("test.json"), model_dir());
    let given = ["--test", &file, "--model-dir", model.to_str().unwrap()];
    evaluate(place, &[&given, args].concat())
}

fn method<'a>(protocol: &'a Value, name: &str) -> &'a Value {
    let methods = protocol["methods"].as_array().unwrap();
    let found = methods.iter().find(|method| method["method"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {protocol}"))
}

#[test]
fn questions_of_a_file() {
    let place = Place::trained();
    place.write("test.json", TEST);
    let text = with_file(&place, &[]).ok();
    for words in ["4 questions asked", "cosine", "BM25", "nearest question", "multi-head, τ = 0.1"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "colours are for terminals");

    let report = with_file(&place, &["--json", "--details"]).json();
    assert_eq!(report["answers"], 4);
    assert_eq!(report["protocols"].as_array().unwrap().len(), 1);
    let protocol = &report["protocols"][0];
    assert_eq!((&protocol["protocol"], &protocol["questions"]), (&json!("test"), &json!(4)));
    assert_eq!(protocol["methods"][0]["method"], "cosine");
    assert_eq!(protocol["methods"][0]["all"]["p_against_cosine"], 1.0);
    assert_eq!(protocol["methods"][0]["unseen"], Value::Null);
    let chosen = protocol["methods"].as_array().unwrap().iter();
    assert_eq!(chosen.filter(|method| method["projection_id"] == 1).count(), 2, "and with BM25");
    let questions = protocol["details"]["questions"].as_array().unwrap();
    assert_eq!(questions.len(), 4);
    for (at, method) in protocol["methods"].as_array().unwrap().iter().enumerate() {
        let first = questions.iter().filter(|question| question["ranks"][at] == 1).count();
        assert_eq!(method["all"]["recall_at_1"]["value"], first as f64 / 4.0, "{method}");
        let interval = &method["all"]["recall_at_1"];
        assert!(interval["low"].as_f64() <= interval["value"].as_f64());
        assert!(interval["value"].as_f64() <= interval["high"].as_f64());
    }
    assert!(!protocol["details"]["sweeps"].as_array().unwrap().is_empty());
    // Two wordings of the last answer are in the store, and either is right.
    assert!(questions[3]["ranks"][0] == 1, "{}", questions[3]);
    assert_eq!(with_file(&place, &["--json", "--details"]).json(), report, "the same each time");
}

#[test]
fn given_vectors() {
    let place = Place::trained();
    let texts = ["read a table", "a function in a function"];
    let vectors = Embedder::load(model_dir()).unwrap().embed_batch(&texts).unwrap();
    npy::save(place.path("t.npy"), (vectors * 3.0f32).view()).unwrap();
    npy::save(place.path("l.npy"), array![1i64, 2].view()).unwrap();
    let (t, l) = (place.file("t.npy"), place.file("l.npy"));
    let given = ["--test-questions", &t, "--test-labels", &l];
    let report = evaluate(&place, &[&given[..], &["--json"]].concat()).json();
    let protocol = &report["protocols"][0];
    assert_eq!(protocol["questions"], 2);
    assert!(protocol["methods"].as_array().unwrap().iter().all(|m| m["method"] != "BM25"));
    assert!(report["notes"][0].as_str().unwrap().contains("BM25 is left out"), "{report}");

    for (labels, kind, words) in [
        (&[98i64, 99][..], "not_found", "label 98 of question 0"),
        (&[1, 2, 3][..], "dimension_mismatch", "3 labels for 2 questions"),
        (&[][..], "invalid_array", "none of them 0"),
    ] {
        npy::save(place.path("l.npy"), Array1::from_vec(labels.to_vec()).view()).unwrap();
        let (found, message) = evaluate(&place, &[&given[..], &["--json"]].concat()).json_error(1);
        assert!(found == kind && message.contains(words), "{found}: {message}");
    }
    npy::save(place.path("l.npy"), array![1i64, 99].view()).unwrap();
    let report = evaluate(&place, &[&given[..], &["--json"]].concat()).json();
    assert!(report["notes"].to_string().contains("1 of 2 questions left out"), "{report}");
    npy::save(place.path("l.npy"), array![1i64, 2].view()).unwrap();
    for (vectors, kind, words) in [
        (Array2::<f32>::ones((2, 5)), "dimension_mismatch", "dimension 5, expected 384"),
        (Array2::zeros((2, 384)), "zero_vector", "row 0"),
        (Array2::from_elem((2, 384), f32::NAN), "not_finite", "row 0"),
    ] {
        npy::save(place.path("t.npy"), vectors.view()).unwrap();
        let (found, message) = evaluate(&place, &[&given[..], &["--json"]].concat()).json_error(1);
        assert!(found == kind && message.contains(words), "{found}: {message}");
    }
    let message = evaluate(&place, &["--test-questions", &t]).failed(2);
    assert!(message.contains("--test-labels"), "{message}");
    // Vectors where integers are due.
    let swapped = ["--test-questions", &t, "--test-labels", &t, "--json"];
    assert_eq!(evaluate(&place, &swapped).json_error(1).0, "invalid_array");
}

#[test]
fn cross_validation_of_all_kinds() {
    let place = Place::new();
    run(["import", &place.db(), root().join("examples/faq/faq.json").to_str().unwrap()]).ok();
    place.embed().ok();
    // A multi-head projection of this store is below cosine.
    let (kind, message) =
        run(["train", &place.db(), "--method", "multi-head", "--json"]).json_error(1);
    assert!(kind == "invalid_model" && message.contains("--force"), "{message}");
    assert!(place.healthy()["projections"].as_array().unwrap().is_empty());
    for method in ["multi-head", "residual", "ridge"] {
        run(["train", &place.db(), "--method", method, "--force"]).ok();
    }
    let args = ["--projection", "1", "2", "3", "--folds", "3", "--seed", "5", "--json"];
    let report = evaluate(&place, &args).json();
    let [closed, open] = &report["protocols"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!((&closed["protocol"], &open["protocol"]), (&json!("closed"), &json!("open")));
    assert_eq!((&closed["questions"], &closed["seen_questions"]), (&json!(400), &json!(400)));
    let asked = open["questions"].as_u64().unwrap() - open["seen_questions"].as_u64().unwrap();
    assert_eq!(asked, 400, "every question once with its answer left out");

    // Trained anew on the same questions, the multi-head projection is the baseline.
    for protocol in [closed, open] {
        let (baseline, own) = (
            method(protocol, "multi-head, τ = 0.1"),
            method(protocol, "projection 1 (multi_head)"),
        );
        assert_eq!(baseline["all"], own["all"]);
        let first = |name: &str| method(protocol, name)["all"]["recall_at_1"]["value"].as_f64();
        assert!(first("projection 2 (residual)") > first("projection 1 (multi_head)"));
    }
    let unseen = |name: &str| method(open, name)["unseen"]["recall_at_5"]["value"].clone();
    assert_eq!(unseen("nearest question"), 0.0, "such answers have no question");
    assert!(unseen("cosine").as_f64().unwrap() > 0.5);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("projection 1 (multi_head) is below cosine"), "{warnings}");
    let again = evaluate(&place, &args).json();
    assert_eq!(again, report);
}

#[test]
fn the_report_is_one_page_that_shows_texts_as_they_are() {
    let place = Place::trained();
    // It confuses every answer that is left out.
    run(["train", &place.db(), "--method", "multi-head", "--force"]).ok();
    place.write("test.json", TEST);
    let by_file = with_file(&place, &["--html", &place.file("test.html")]);
    let nasty = "</title><script>alert('name')</script>";
    place.sql().execute("UPDATE answers SET record_id = ?1", [nasty]).unwrap();
    let crossed = evaluate(&place, &["--folds", "2", "--html", &place.file("cross.html")]);
    for (name, run) in [("test.html", by_file), ("cross.html", crossed)] {
        assert!(run.ok().contains("report written to"));
        let page = fs::read_to_string(place.path(name)).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
        let lower = page.to_lowercase();
        for never in
            ["<script", "http:", "https:", "src=", "url(", "@import", "<link", "javascript"]
        {
            assert!(!lower.contains(never), "{name}: {never}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf%"));
        assert_eq!(page.matches("<figure").count(), page.matches("</figure>").count());
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.contains("prefers-color-scheme") && page.contains("@media print"));
    }
    // The name is in the table of confused answers.
    let page = fs::read_to_string(place.path("cross.html")).unwrap();
    assert!(page.contains("&lt;/title&gt;&lt;script&gt;alert(&#39;name&#39;)&lt;/script&gt;"));
    let page = fs::read_to_string(place.path("test.html")).unwrap();
    assert!(page.contains("temperature τ"), "a multi-head model has one parameter");
}

#[test]
fn what_can_not_be_measured() {
    let place = Place::trained();
    let json = |args: &[&str]| evaluate(&place, &[args, &["--json"]].concat()).json_error(1);
    let (kind, message) = json(&["--projection", "7"]);
    assert!(kind == "not_found" && message.contains("no projection 7"), "{message}");
    let model = model_dir();
    let file = |text: &str| {
        place.write("bad.json", text);
        let bad = place.file("bad.json");
        json(&["--test", &bad, "--model-dir", model.to_str().unwrap()])
    };
    let (kind, message) = file(r#"{"clusters": []}"#);
    assert!(kind == "invalid_input" && message.contains("no questions"), "{message}");
    let (kind, message) =
        file(r#"{"clusters": [{"answer_id": "x", "answer": "y", "questions": ["z"]}]}"#);
    assert!(kind == "not_found" && message.contains("'x'"), "{message}");
    let gone = r#"{"answer_id": "x", "answer": "y", "questions": ["z"]}"#;
    place.write("gone.json", &TEST.replacen('[', &format!("[{gone},"), 1));
    let gone = place.file("gone.json");
    let report =
        evaluate(&place, &["--test", &gone, "--model-dir", model.to_str().unwrap(), "--json"])
            .json();
    assert!(report["notes"].to_string().contains("1 left out, among them 'x'"), "{report}");
    let (kind, _) = json(&["--html", &place.file("no/such/folder.html")]);
    assert_eq!(kind, "not_found");
    for args in [&["--folds", "1"][..], &["--test", "x.json"], &["--model-dir", "x"]] {
        evaluate(&place, args).failed(2);
    }

    // Answers without questions can be measured by test questions only.
    let plain = Place::new();
    plain.write(
        "a.json",
        r#"{"clusters": [{"answer_id": "csv", "answer": "Read a table."},
        {"answer_id": "closures", "answer": "A function."}, {"answer_id": "whatever", "answer":
        "Return a result and let the caller decide."}]}"#,
    );
    run(["import", &plain.db(), &plain.file("a.json")]).ok();
    plain.embed().ok();
    let (kind, message) = evaluate(&plain, &["--json"]).json_error(1);
    assert!(kind == "invalid_input" && message.contains("too few"), "{message}");
    plain.write("test.json", TEST);
    let report = with_file(&plain, &["--json"]).json();
    let names: Vec<&str> = report["protocols"][0]["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| method["method"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["cosine", "BM25"]);
    assert_eq!(report["protocols"][0]["seen_questions"], 0);
    assert!(report["notes"][0].as_str().unwrap().contains("no projection yet"));
}

/// Questions that are in the store already are pointed out.
#[test]
fn questions_that_were_trained_on() {
    let place = Place::trained();
    place.write("test.json", crate::common::SMALL);
    let report = with_file(&place, &["--json"]).json();
    assert!(report["notes"].to_string().contains("8 of 8 test questions are training questions"));
    // Its own question is the nearest to each.
    let nearest = method(&report["protocols"][0], "nearest question");
    assert_eq!(nearest["all"]["recall_at_1"]["value"], 1.0);
    let store = Store::open_read_only(place.db()).unwrap();
    assert_eq!(store.text_counts().unwrap().1, 8, "test questions are not imported");
}

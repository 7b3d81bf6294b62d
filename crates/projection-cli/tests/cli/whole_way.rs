//! From a file of questions and answers to the right answer.

use std::fs;

use projection_embed::Embedder;
use projection_store::search::Searcher;
use serde_json::{Value, json};

use crate::common::{Place, Run, copy_folder, model_dir, root, run};

#[test]
fn a_small_store_step_by_step() {
    let place = Place::new();
    place.write("small.json", crate::common::SMALL);
    let (db, file) = (place.db(), place.file("small.json"));

    let imported = run(["import", &db, &file]).ok();
    assert!(imported.lines().count() == 2 && imported.contains("imported"), "{imported}");
    assert!(!imported.contains('\u{1b}'), "colours are for terminals");
    let again = run(["--json", "import", &db, &file]).json();
    assert_eq!(again["files"][0]["outcome"], "unchanged");

    // Two answers, the two wordings that are for this model, and eight questions.
    let embedded = run(["embed", &db, "--json", "--model-dir", model_dir().to_str().unwrap()]);
    let embedded = embedded.json();
    assert_eq!(
        embedded,
        json!({"store": db, "model": "all-MiniLM-L6-v2", "dimension": 384, "answers": 4, "questions": 8, "notes": []})
    );
    assert!(place.embed().ok().starts_with("nothing to embed"));

    // Without a projection there is still an answer, and a word about it.
    let plain = place.query(&["How do I load a table?"]).ok();
    assert!(plain.contains("note: the store has no projection"), "{plain}");
    assert!(plain.contains("plain cosine"));

    let trained = run(["train", &db, "--force"]).ok();
    assert_eq!(trained.lines().next(), Some("projection 1"));
    let sharp = ["--method", "multi-head", "--force", "--temperature", "0.05", "--name", "sharp"];
    let trained = run(["train", &db, "--json"].iter().chain(&sharp)).json();
    assert_eq!(trained["id"], 2);
    assert_eq!((&trained["heads"], &trained["questions"]), (&json!(3), &json!(8)));

    run(["activate", &db, "2"]).ok();
    let answer = place.query(&["my file has semicolons in it", "-k", "2"]).ok();
    assert!(answer.contains("projection 2, temperature 0.05"), "the active one is used: {answer}");
    let best = answer.lines().find(|line| line.starts_with("1 ")).unwrap();
    assert!(best.contains("csv") && best.contains("delimiter option"), "{best}");
    assert!(answer.contains('█'));

    let report = place.healthy();
    assert_eq!(report["texts"], json!({"clusters": 3, "answers": 5, "questions": 8}));
    assert_eq!(report["models"][0]["dtypes"], json!(["float32"]));
    assert_eq!(report["projections"][1]["name"], "sharp");
    assert_eq!(report["batches"][0]["status"], "completed");
    let text = run(["inspect", &db]).ok();
    assert!(text.contains("no problems found") && text.contains("sharp"), "{text}");
    let text = run(["inspect", place.dir.path().to_str().unwrap()]).ok();
    assert!(text.contains("no problems found"));
    for folder in ["embeddings", "embeddings/all-MiniLM-L6-v2"] {
        let report = run(["inspect", "--json", &place.file(folder)]).json();
        let ids: Vec<_> =
            report["projections"].as_array().unwrap().iter().map(|p| &p["id"]).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(report["projections"][0]["heads"], 3);
    }

    let active = |run: Run| {
        let listed = run.json()["projections"].as_array().unwrap().clone();
        let active = listed.iter().filter(|model| model["active"] == true);
        active.map(|model| model["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(active(run(["models", &db, "--json"])), [2]);
    assert!(run(["delete", &db, "2"]).failed(1).contains("is the active one"));
    assert_eq!(active(run(["rollback", &db, "--json"])), [1]);
    assert!(run(["rename", &db, "2", "blunt"]).ok().contains("projection 2 is called blunt"));
    let deleted = run(["delete", &db, "2"]).ok();
    assert!(deleted.starts_with("projection 2 is deleted\n") && !deleted.contains("blunt"));
    place.healthy();
    assert!(run(["rollback", &db]).failed(1).contains("before projection 1"));
}

#[test]
fn another_embedding_model_is_refused_by_name() {
    let place = Place::trained();
    let db = place.db();
    // Of the same name and dimension, with fewer layers.
    let other = place.path("other/all-MiniLM-L6-v2");
    fs::create_dir_all(other.join("1_Pooling")).unwrap();
    let small = ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json"];
    for name in small.into_iter().chain(["tokenizer.json", "tokenizer_config.json"]) {
        fs::copy(model_dir().join(name), other.join(name)).unwrap();
    }
    let weights = "model.safetensors";
    fs::hard_link(model_dir().join(weights), other.join(weights))
        .or_else(|_| fs::copy(model_dir().join(weights), other.join(weights)).map(drop))
        .unwrap();
    let config = fs::read_to_string(model_dir().join("config.json")).unwrap();
    let config = config.replace("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 2");
    fs::write(other.join("config.json"), config).unwrap();
    let other = other.to_str().unwrap();

    place.write("test.json", crate::common::SMALL);
    place.query(&["What is a closure?", "--log"]).ok();
    run(["log", &db, "--helpful", "1"]).ok();
    let test = place.file("test.json");
    let calls: [&[&str]; 4] = [
        &["query", &db, "What is a closure?"],
        &["evaluate", &db, "--test", &test],
        &["embed", &db],
        &["train", &db, "--with-feedback"],
    ];
    let with = |call: &[&str], dir: &str, more: &[&str]| {
        run(call.iter().chain(&["--model-dir", dir]).chain(more))
    };
    for call in calls {
        let (kind, message) = with(call, other, &["--json"]).json_error(1);
        assert_eq!(kind, "invalid_embedder", "{call:?}");
        for word in [other, "'all-MiniLM-L6-v2'", &db, "weights", "expected", "--force"] {
            assert!(message.contains(word), "{call:?}: {message:?} does not say {word:?}");
        }
    }
    for call in &calls[..2] {
        let forced = with(call, other, &["--force", "--json"]).json();
        assert!(forced["notes"].to_string().contains("is not the embedding model"), "{forced}");
    }

    // Without a record, as in a store of another program, stored texts are embedded anew.
    place.sql().execute("DELETE FROM engine_embedding_models", []).unwrap();
    for call in &calls[..3] {
        let (kind, message) = with(call, other, &["--json"]).json_error(1);
        assert_eq!(kind, "invalid_embedder", "{call:?}");
        assert!(message.contains("cosine 0."), "{message}");
    }
    let right = model_dir();
    let found = with(calls[0], right.to_str().unwrap(), &["--json"]).json();
    assert_eq!(found["notes"], json!([]));
    // The right one is recorded when it embeds.
    place.embed().ok();
    let recorded: String = place
        .sql()
        .query_row("SELECT fingerprint FROM engine_embedding_models", [], |row| row.get(0))
        .unwrap();
    let embedder = Embedder::load(right).unwrap();
    assert_eq!(*embedder.fingerprint(), recorded.parse().unwrap());
    // Whoever knows better replaces the record.
    let forced = with(calls[2], other, &["--force"]).ok();
    assert!(forced.contains("note: "), "{forced}");
    with(calls[0], other, &[]).ok();
    assert!(place.query(&["closures"]).failed(1).contains("weights"));
}

#[test]
fn the_answers_are_the_engines_to_the_last_bit() {
    let place = Place::trained();
    run(["train", &place.db(), "--temperature", "0.3", "--force"]).ok();
    let question = "What happens to variables outside?";
    let found = place.query(&[question, "--json", "--projection", "1", "-k", "3"]).json();

    let query = Embedder::load(model_dir()).unwrap().embed(question).unwrap();
    let searcher = Searcher::open(place.db(), None).unwrap();
    let projection = projection_store::Store::open_read_only(place.db())
        .and_then(|store| store.multi_head_model(1))
        .unwrap();
    let hits = searcher.vector_search_with_projection(&query, Some(&projection), 3).unwrap();
    let plain = searcher.vector_search(&query, 10).unwrap();
    let (_, weights) = projection.project(&query).unwrap();

    let number = |value: &Value| value.as_f64().unwrap() as f32;
    assert_eq!((&found["projection_id"], &found["temperature"]), (&json!(1), &json!(0.1)));
    assert_eq!((&found["model"], &found["query"]), (&json!("all-MiniLM-L6-v2"), &json!(question)));
    let given: Vec<f32> =
        found["weights"].as_array().unwrap().iter().map(|w| number(&w["weight"])).collect();
    assert_eq!(given, weights);
    assert_eq!(found["weights"][0]["name"], "csv");
    assert_eq!(found["hits"].as_array().unwrap().len(), 3);
    for (rank, (given, hit)) in found["hits"].as_array().unwrap().iter().zip(&hits).enumerate() {
        assert_eq!(given["rank"], rank + 1);
        assert_eq!(given["answer_id"], hit.answer_id);
        assert_eq!(number(&given["score"]), hit.score);
        assert_eq!(given["text"].as_str(), searcher.text(hit.answer_id));
        let at = plain.iter().position(|p| p.answer_id == hit.answer_id).unwrap();
        assert_eq!(given["cosine_rank"], at + 1);
        assert_eq!(number(&given["cosine_score"]), plain[at].score);
    }
    let found = place.query(&[question, "--json", "--no-projection", "-k", "99"]).json();
    assert_eq!((&found["projection_id"], &found["weights"]), (&Value::Null, &json!([])));
    assert_eq!(found["hits"].as_array().unwrap().len(), 4, "no more than there are");
    assert!(found["hits"].as_array().unwrap().iter().all(|hit| hit["rank"] == hit["cosine_rank"]));
}

/// The shipped questions find their answers, also in words that were not trained.
#[test]
fn the_shipped_faq() {
    let place = Place::new();
    let db = place.db();
    run(["import", &db, root().join("examples/faq/faq.json").to_str().unwrap()]).ok();
    place.embed().ok();
    let trained = run(["train", &db, "--json"]).json();
    let validation = &trained["validation"];
    assert_eq!((&trained["kind"], &validation["unseen_share"]), (&json!("residual"), &json!(0.0)));
    assert!(validation["open"]["model"]["unseen"]["questions"].as_u64().unwrap() > 0);
    let kinds = validation["best_of_kinds"].as_array().unwrap();
    for kind in ["residual", "multi_head", "linear"] {
        assert!(kinds.iter().any(|best| best["kind"] == kind), "{kinds:?}");
    }
    assert_eq!(trained["hybrid_weight"], validation["hybrid_weight"]["value"]);
    assert!(trained["hybrid_weight"].is_number());
    assert!(trained["resources"]["seconds"].as_f64().unwrap() > 0.0);
    if cfg!(target_os = "linux") {
        let peak = trained["resources"]["peak_memory_bytes"].as_u64().unwrap();
        assert!((1 << 20..1 << 30).contains(&peak), "{peak} bytes");
    }
    let report = place.healthy();
    assert!(report["projections"][0]["heads"].as_u64().unwrap() >= 30);

    let held_back = fs::read_to_string(root().join("examples/faq/faq_test.json")).unwrap();
    let held_back: Value = serde_json::from_str(&held_back).unwrap();
    let (mut right, mut asked) = (0, 0);
    for cluster in held_back["clusters"].as_array().unwrap().iter().step_by(4) {
        let question = cluster["questions"][0].as_str().unwrap();
        let found = place.query(&["--json", "-k", "3", "--", question]).json();
        right += usize::from(
            found["hits"].as_array().unwrap().iter().any(|hit| hit["name"] == cluster["answer_id"]),
        );
        asked += 1;
    }
    assert!(right * 10 >= asked * 7, "{right} of {asked} among the best three");
}

#[test]
fn a_store_of_the_existing_code() {
    let place = Place::new();
    copy_folder(&root().join("tests/conformance/legacy_store"), place.dir.path());
    let report = place.healthy();
    assert_eq!(report["models"][0]["name"], "toy-minilm");
    let projections = report["projections"].as_array().unwrap();
    assert_eq!(projections[2]["centroid_dtypes"], json!(["float64"]));
    assert_eq!(projections[2]["answer_dtypes"], json!(["float32"]));
    assert_eq!((&projections[2]["heads"], &projections[2]["matrices"]), (&json!(13), &json!(3)));
    assert_eq!(projections[3]["kind"], "linear");

    // Its vectors have 32 dimensions, which the embedding model at hand does not give.
    let (kind, message) = place.query(&["anything", "--json"]).json_error(1);
    assert_eq!(kind, "dimension_mismatch");
    assert!(message.contains("384") && message.contains("32"), "{message}");
    assert!(message.contains("toy-minilm"), "{message}");
    let model = model_dir();
    let args = ["--json", "embed", &place.db(), "--model-name", "toy-minilm", "--model-dir"];
    let (kind, _) = run(args.into_iter().chain([model.to_str().unwrap()])).json_error(1);
    assert_eq!(kind, "dimension_mismatch");

    // With a model of its own it becomes a store like any other; the old models stay.
    place.embed().ok();
    let (kind, message) = run(["train", "--json", &place.db()]).json_error(1);
    assert_eq!(kind, "ambiguous_model");
    assert!(message.contains("toy-minilm") && message.contains("all-MiniLM-L6-v2"), "{message}");
    let trained = run(["train", &place.db(), "--model-name", "all-MiniLM-L6-v2"]).ok();
    assert_eq!(trained.lines().next(), Some("projection 4"));
    let found = place.query(&["a question", "--json"]).json();
    assert_eq!((&found["projection_id"], &found["model"]), (&json!(4), &json!("all-MiniLM-L6-v2")));
    assert_eq!(place.healthy()["projections"].as_array().unwrap().len(), 5);
    let found = place.query(&["a question", "--json", "--no-projection"]).json();
    assert_eq!(found["model"], "all-MiniLM-L6-v2", "called like the model folder");
}

#[test]
fn one_command_tries_a_projection() {
    let place = Place::new();
    let (db, faq) = (place.db(), root().join("examples/faq/faq.json").display().to_string());
    let model = model_dir().display().to_string();
    let words = ["try", &faq, "--model-dir", &model, "--store", &db];

    // Neither a file that can't be imported nor a missing model leaves a store.
    let elsewhere = run(["try", &faq, "--model-dir", "nowhere", "--store", &db]);
    assert!(elsewhere.failed(1).contains("nowhere"));
    place.write("bad.json", "{}");
    let bad = run(["try", &place.file("bad.json"), "--model-dir", &model, "--store", &db]);
    assert!(bad.failed(1).contains("clusters"));
    assert!(!place.dir.path().join("lda.db").exists());

    let text = run(words).ok();
    for part in ["cosine ", "BM25 ", "projection 1 ", "answered now, not by cosine", "next: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Each example is one that evaluation found, with the answer that it has in the file.
    let details = run(["evaluate", &db, "--json", "--details"]).json();
    let protocol = &details["protocols"][0];
    let (methods, asked) = (&protocol["methods"], &protocol["details"]["questions"]);
    let place_of = |start: &str| {
        let methods = methods.as_array().unwrap().iter();
        methods.into_iter().position(|m| m["method"].as_str().unwrap().starts_with(start)).unwrap()
    };
    let (cosine, own) = (place_of("cosine"), place_of("projection 1 (residual)"));
    let question = text.split("\nquestion  ").nth(1).unwrap().lines().next().unwrap();
    let asked = asked.as_array().unwrap().iter().find(|q| q["text"] == question).unwrap();
    assert!(asked["ranks"][own] == 1 && asked["ranks"][cosine] != 1, "{asked}");

    assert!(run(words).failed(2).contains("exists already"));
    place.healthy();
}

//! The query log, feedback, and training with it.

use serde_json::{Value, json};

use crate::common::{Place, SMALL, model_dir, run};

const QUESTION: &str = "tabular text with odd separators";

fn train(place: &Place) -> Value {
    let model = model_dir();
    let args = ["train", &place.db(), "--json", "--force", "--with-feedback", "--model-dir"];
    run(args.into_iter().chain([model.to_str().unwrap()])).json()
}

#[test]
fn queries_are_logged_only_when_asked() {
    let place = Place::trained();
    let db = place.db();
    assert!(run(["log", &db]).ok().starts_with("no queries were logged"));
    let found = place.query(&[QUESTION, "--json"]).json();
    assert_eq!(found.get("log_id"), None);
    let logged = place.query(&[QUESTION, "--json", "--log", "-k", "2"]).json();
    assert_eq!(logged["log_id"], 1);
    let text = place.query(&["closures", "--log", "--no-projection"]).ok();
    assert!(text.ends_with("logged as 2\n"), "{text}");

    let log = run(["log", &db, "--json"]).json();
    let queries = log["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 2);
    assert_eq!(
        (&queries[0]["query"], &queries[0]["projection_id"]),
        (&json!("closures"), &Value::Null)
    );
    let ids: Vec<&Value> =
        logged["hits"].as_array().unwrap().iter().map(|hit| &hit["answer_id"]).collect();
    assert_eq!(queries[1]["answers"], json!(ids));
    assert_eq!((&queries[1]["projection_id"], &queries[1]["helpful"]), (&json!(1), &Value::Null));
    assert_eq!(queries[1]["model"], "all-MiniLM-L6-v2");
    let last = run(["log", &db, "--limit", "1"]).ok();
    assert!(last.contains("closures") && !last.contains(QUESTION), "{last}");

    // What a program that knows only the format finds.
    let row: (String, i64, String) = place
        .sql()
        .query_row("SELECT query_text, model_id, results FROM query_log LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(row, (QUESTION.to_string(), 1, json!(ids).to_string()));
}

#[test]
fn feedback_is_recorded_and_corrected() {
    let place = Place::trained();
    let db = place.db();
    let best = place.query(&[QUESTION, "--json", "--log"]).json()["hits"][0]["answer_id"].clone();
    let said = run(["log", &db, "--json", "--helpful", "1"]).json();
    assert_eq!(said["queries"][0]["helpful"], true);
    assert_eq!(said["queries"][0]["selected_answer_id"], best);
    let said = run(["log", &db, "--helpful", "1", "--answer", "3"]).ok();
    assert!(said.contains("helpful, answer 3"), "{said}");
    let said = run(["log", &db, "--json", "--unhelpful", "1"]).json();
    assert_eq!(said["queries"][0]["helpful"], false);
    assert_eq!(said["queries"][0]["selected_answer_id"], Value::Null);

    let wrong = |args: &[&str]| run(["log", &db, "--json"].iter().chain(args)).json_error(1);
    assert_eq!(wrong(&["--helpful", "7"]).0, "not_found");
    assert_eq!(wrong(&["--helpful", "1", "--answer", "99"]).0, "not_found");
    for args in [["--answer", "1", "--json"], ["--helpful", "1", "--unhelpful"]] {
        assert_eq!(run(["log", &db].iter().chain(&args)).code, Some(2));
    }
    assert_eq!(run(["train", &db, "--with-feedback"]).code, Some(2));
}

#[test]
fn helpful_feedback_becomes_a_training_question_once() {
    let place = Place::trained();
    let db = place.db();
    let ask = |text: &str| place.query(&[text, "--json", "--log"]).json();
    // Asked twice, and once in words that the cluster has already.
    for text in [QUESTION, QUESTION, "How do I read a CSV file?"] {
        let log_id = ask(text)["log_id"].to_string();
        run(["log", &db, "--helpful", &log_id, "--answer", "1"]).ok();
    }
    let unhelpful = ask("nonsense")["log_id"].to_string();
    run(["log", &db, "--unhelpful", &unhelpful]).ok();
    ask("nobody said anything");

    let trained = train(&place);
    assert_eq!((&trained["id"], &trained["feedback_questions"]), (&json!(2), &json!(1)));
    assert_eq!(trained["questions"], 9);
    place.healthy();
    assert!(place.embed().ok().starts_with("nothing to embed"));
    assert_eq!(train(&place)["feedback_questions"], 0, "once");
    let log_id = ask("How do I read a CSV file?")["log_id"].to_string();
    run(["log", &db, "--helpful", &log_id, "--answer", "1"]).ok();
    assert_eq!(train(&place)["feedback_questions"], 0, "the file has it");
    let weight = |projection: &str| {
        let found = place.query(&[QUESTION, "--json", "--projection", projection]).json();
        found["weights"][0]["weight"].as_f64().unwrap()
    };
    assert!(weight("2") > weight("1"), "the new model leads more to the answer");

    // Importing the answer's file again leaves the question.
    place.write("small.json", &SMALL.replace("load comma separated values", "load values"));
    run(["import", &db, &place.file("small.json")]).ok();
    place.embed().ok();
    assert_eq!(train(&place)["questions"], 9);

    // Both who gave the question must take it back.
    run(["log", &db, "--unhelpful", "1"]).ok();
    assert_eq!(train(&place)["questions"], 9);
    run(["log", &db, "--helpful", "2", "--answer", "3"]).ok();
    let trained = train(&place);
    assert_eq!((&trained["questions"], &trained["feedback_questions"]), (&json!(9), &json!(1)));
    let clusters: i64 = place
        .sql()
        .query_row(
            "SELECT cluster_id FROM cluster_questions JOIN questions USING (question_id) \
             WHERE text = ?1",
            [QUESTION],
            |row| row.get(0),
        )
        .unwrap();
    assert_ne!(clusters, 1);
    place.healthy();

    // When the answer goes, so does the question, and the feedback is not used for another
    // answer that may get the same id.
    place.write("small.json", r#"{"clusters": [{"answer_id": "other", "answer": "Other."}]}"#);
    run(["import", &db, &place.file("small.json")]).ok();
    place.embed().ok();
    let report = place.healthy();
    assert_eq!(report["texts"], json!({"clusters": 4, "answers": 1, "questions": 0}));
    place.write("new.json", SMALL);
    run(["import", &db, &place.file("new.json")]).ok();
    place.embed().ok();
    let trained = train(&place);
    assert_eq!((&trained["questions"], &trained["feedback_questions"]), (&json!(8), &json!(0)));
}

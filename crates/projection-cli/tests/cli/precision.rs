//! `--precision`, and models in files of their own in `evaluate`.

use std::fs;

use ndarray::Array2;
use projection_core::npy::{self, NpyArray};
use serde_json::{Value, json};

use crate::common::{Place, model_dir, run};

const TEST: &str = r#"{"clusters": [
    {"answer_id": "csv", "answer": "Use the delimiter option of the table reader.",
     "questions": ["a table with semicolons", "parse rows of a table"]},
    {"answer_id": "whatever", "answer": "Return a result and let the caller decide.",
     "questions": ["what to return when it fails"]}
]}"#;

/// A store whose projection 1 is a multi-head one, and 2 a residual one.
fn place() -> Place {
    let place = Place::trained();
    run(["train", &place.db(), "--method", "residual", "--force"]).ok();
    place.write("test.json", TEST);
    place
}

#[test]
fn a_rounded_model_leaves_the_store_and_answers() {
    let place = place();
    let (db, file) = (place.db(), place.file("m.safetensors"));
    let exact = place.query(&["How do I read a CSV file?", "--projection", "1", "--json"]).json();
    assert_eq!(exact["precision"], "f32");
    for (precision, dtype) in [("bf16", "BF16"), ("int8", "I8")] {
        let arguments =
            ["export", &db, "--projection", "1", "--precision", precision, "--output", &file];
        let report = run(arguments.iter().chain(&["--json"])).json();
        assert_eq!(
            (&report["precision"], &report["kind"]),
            (&json!(precision), &json!("multi_head"))
        );
        assert!(run(arguments).ok().contains(&format!("in {precision}")));
        let inspected = run(["inspect", &file, "--json"]).json();
        let tensors = inspected["projections"][0]["tensors"].as_array().unwrap();
        let of = |name: &str| tensors.iter().find(|tensor| tensor["name"] == name).unwrap();
        assert_eq!((&of("answers")["dtype"], &inspected["problems"]), (&json!(dtype), &json!([])));

        let question = ["How do I read a CSV file?", "--json"];
        let by_file = place.query(&[&question[..], &["--model", &file]].concat()).json();
        let by_store = ["--projection", "1", "--precision", precision];
        let by_store = place.query(&[&question[..], &by_store].concat()).json();
        for key in ["precision", "weights", "hits"] {
            assert_eq!(by_file[key], by_store[key], "{key}");
        }
        assert_eq!(by_file["precision"], precision);
        assert_eq!(by_file["hits"][0]["answer_id"], exact["hits"][0]["answer_id"]);
        assert_ne!(by_file["weights"], exact["weights"]);
        // What was rounded is not rounded again.
        let message = run(["export", "--model", &file, "--precision", "f32"]).failed(2);
        assert!(message.contains(precision) && message.contains("can't be undone"), "{message}");

        let (input, output) = (place.file("q.npy"), place.file("p.npy"));
        npy::save(&input, Array2::from_elem((3, 384), 0.5f32).view()).unwrap();
        let arguments =
            ["project", "--db", &db, "--id", "1", "--input", &input, "--output", &output];
        let report = run(arguments.iter().chain(&["--precision", precision, "--json"])).json();
        assert_eq!(report["precision"], precision);
        let rounded = NpyArray::load(&output).unwrap().to_f32().unwrap();
        run(arguments).ok();
        let exact = NpyArray::load(&output).unwrap().to_f32().unwrap();
        assert_ne!(rounded, exact);
        assert!(rounded.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 0.01));
    }
}

#[test]
fn what_has_no_precision_says_so() {
    let place = place();
    let (db, file) = (place.db(), place.file("m.onnx"));
    let export = |arguments: &[&str]| {
        run(["export", &db, "--output", &file].iter().chain(arguments)).failed(2)
    };
    let message = export(&["--projection", "2", "--precision", "int8"]);
    assert!(message.contains("only multi_head") && message.contains("--precision"), "{message}");
    let message = export(&["--projection", "1", "--precision", "bf16", "--format", "onnx"]);
    assert!(message.contains("bf16 for an ONNX graph"), "{message}");
    assert!(export(&["--precision", "int4"]).contains("expected one of f32, bf16, int8"));
    assert!(!fs::exists(&file).unwrap());
    let message = place.query(&["why?", "--projection", "2", "--precision", "bf16"]).failed(2);
    assert!(message.contains("only multi_head"), "{message}");
    place.query(&["why?", "--no-projection", "--precision", "bf16"]).failed(2);
    let evaluated = run(["evaluate", &db, "--projection", "2", "--precision", "bf16"]).failed(1);
    assert!(evaluated.contains("only multi_head"), "{evaluated}");
    run(["evaluate", &db, "--model", "m.safetensors"]).failed(2);
}

#[test]
fn evaluation_shows_what_rounding_costs() {
    let place = place();
    let (db, file) = (place.db(), place.file("m.safetensors"));
    run(["export", &db, "--projection", "2", "--output", &file]).ok();
    let (test, model) = (place.file("test.json"), model_dir());
    let asked = ["--test", &test, "--model-dir", model.to_str().unwrap()];
    let rounded = ["--projection", "1", "2", "--precision", "bf16", "int8"];
    let evaluate = |arguments: &[&str]| run(["evaluate", &db].iter().chain(arguments));
    let given = [&asked[..], &rounded, &["--model", &file]].concat();
    let report = evaluate(&[&given[..], &["--json"]].concat()).json();
    let methods = report["protocols"][0]["methods"].as_array().unwrap();
    let find = |name: &str| -> &Value {
        let found = methods.iter().find(|method| method["method"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {report}"))
    };
    let stored = methods.iter().find(|method| method["projection_id"] == 2).unwrap();
    let kind = stored["method"].as_str().unwrap().rsplit(" (").next().unwrap();
    let by_file = find(&format!("m.safetensors ({kind}"));
    assert_eq!((&by_file["all"], &by_file["model_file"]), (&stored["all"], &json!(file)));
    let exact = find("projection 1 (multi_head)");
    assert_eq!((&exact["precision"], &exact["against_exact"]), (&json!("f32"), &Value::Null));
    let mut last = 1.0;
    for precision in ["bf16", "int8"] {
        let method = find(&format!("projection 1 (multi_head, {precision})"));
        assert_eq!(method["precision"], precision);
        let other = &method["against_exact"];
        let (mean, least) = (&other["mean_cosine"], &other["least_cosine"]);
        let (mean, least) = (mean.as_f64().unwrap(), least.as_f64().unwrap());
        assert!(0.999 < least && least <= mean && mean < last, "{method}");
        last = mean;
        let recall = |method: &Value| method["all"]["recall_at_1"]["value"].as_f64().unwrap();
        assert_eq!(other["recall_at_1"].as_f64(), Some(recall(method) - recall(exact)));
    }
    let page = place.file("report.html");
    let text = evaluate(&[&given[..], &["--html", &page]].concat()).ok();
    assert!(text.contains("int8): cosine with f32 0.99"), "{text}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("bf16): cosine with f32 0.99") && page.contains("m.safetensors"));

    // Trained again on the other questions, and rounded there.
    let folds = ["--projection", "1", "--precision", "int8", "--folds", "2", "--json"];
    let report = evaluate(&folds).json();
    for protocol in report["protocols"].as_array().unwrap() {
        let methods = protocol["methods"].as_array().unwrap();
        let rounded = methods.iter().find(|method| method["precision"] == "int8").unwrap();
        assert!(rounded["against_exact"]["least_cosine"].as_f64() > Some(0.999), "{rounded}");
    }
}

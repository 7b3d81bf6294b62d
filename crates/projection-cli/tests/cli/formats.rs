//! Files as people have them: imported, embedded, trained on, and asked.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{PROJECTION, Place, Run, model_dir, run, vector_file};

const PAIRS: [(&str, &str); 6] = [
    ("How do I read a CSV file?", "Use the delimiter option of the table reader."),
    ("My columns are separated by semicolons", "Use the delimiter option of the table reader."),
    ("What is a closure?", "A function keeps the variables around it."),
    ("Why can an inner function see my variable?", "A function keeps the variables around it."),
    ("error handling", "Return a result and let the caller decide."),
    ("What if the file that I read is gone?", "Return a result and let the caller decide."),
];

fn lines(line: impl Fn(&str, &str) -> String) -> String {
    PAIRS.map(|(question, answer)| line(question, answer) + "\n").concat()
}

fn jsonl() -> String {
    lines(|q, a| format!("{{\"question\": \"{q}\", \"answer\": \"{a}\"}}"))
}

fn gz(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// A BEIR folder; the second question of each answer is that of the split `test`.
fn beir(place: &Place) {
    let (mut corpus, mut queries) = (String::new(), String::new());
    let mut qrels = [0; 2].map(|_| "query-id\tcorpus-id\tscore\n".to_string());
    for (number, (question, answer)) in PAIRS.iter().enumerate() {
        let document = number / 2;
        if number % 2 == 0 {
            corpus += &format!(
                "{{\"_id\": \"d{document}\", \"title\": \"Title {document}\", \"text\": \"{answer}\"}}\n"
            );
        }
        queries += &format!("{{\"_id\": \"q{number}\", \"text\": \"{question}\"}}\n");
        qrels[number % 2] += &format!("q{number}\td{document}\t1\n");
    }
    fs::create_dir_all(place.path("beir/qrels")).unwrap();
    place.write("beir/corpus.jsonl", &corpus);
    fs::write(place.path("beir/queries.jsonl.gz"), gz(&queries)).unwrap();
    place.write("beir/qrels/train.tsv", &qrels[0]);
    place.write("beir/qrels/test.tsv", &qrels[1]);
}

fn piped(args: &[&str], input: &str) -> Run {
    let mut command = Command::new(PROJECTION);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn every_format_can_be_trained_on() {
    let squad: Vec<String> = PAIRS
        .map(|(q, a)| format!("{{\"context\": \"{a}\", \"qas\": [{{\"question\": \"{q}\"}}]}}"))
        .into();
    let squad = format!("{{\"data\": [{{\"paragraphs\": [{}]}}]}}", squad.join(", "));
    let list = format!("[{}]", jsonl().trim_end().replace('\n', ","));
    let csv = format!("question;answer\n{}", lines(|q, a| format!("\"{q}\";\"{a}\"")));
    let tsv = format!("frage\tantwort\n{}", lines(|q, a| format!("{q}\t{a}")));
    let columns = ["--question-column", "frage", "--answer-column", "antwort"];
    let utf16: Vec<u8> =
        format!("\u{feff}{}", jsonl()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files: [(&str, Vec<u8>, &[&str]); 6] = [
        ("a.csv", csv.into(), &[]),
        ("a.tsv", tsv.into(), &columns),
        ("a.jsonl", utf16, &[]),
        ("a.jsonl.gz", gz(&jsonl()), &[]),
        ("list.json", list.into(), &[]),
        ("squad.json", squad.into(), &[]),
    ];
    for (name, bytes, options) in files {
        let place = Place::new();
        fs::write(place.path(name), bytes).unwrap();
        let (db, file) = (place.db(), place.file(name));
        let report = run(["import", "--json", &db, &file].iter().chain(options)).json();
        let file = &report["files"][0];
        let counts = ["clusters", "answers", "questions"].map(|key| file[key].as_u64().unwrap());
        assert_eq!(counts, [3, 3, 6], "{name}: {report}");
        place.embed().ok();
        run(["train", &db, "--method", "multi-head", "--force"]).ok();
        let hits = place.query(&["--json", "--", "my file has semicolons in it"]).json();
        assert_eq!(hits["hits"][0]["text"], PAIRS[0].1, "{name}: {hits}");
    }
}

#[test]
fn a_beir_folder_is_trained_on_one_split_and_judged_on_another() {
    let place = Place::new();
    beir(&place);
    let (db, folder) = (place.db(), place.file("beir"));
    let report = run(["import", "--json", &db, &folder]).json();
    assert_eq!(
        (&report["files"][0]["answers"], &report["files"][0]["questions"]),
        (&3.into(), &3.into())
    );
    // So it is found in the folder above, too.
    let again = run(["import", "--json", &db, place.dir.path().to_str().unwrap()]).json();
    assert_eq!(again["files"][0]["outcome"], "unchanged", "{again}");
    assert_eq!(again["files"].as_array().unwrap().len(), 1);
    place.embed().ok();
    run(["train", &db, "--method", "multi-head", "--force"]).ok();
    let model = model_dir();
    let evaluate = ["evaluate", "--json", &db, "--model-dir", model.to_str().unwrap(), "--test"];
    for file in [&folder, &place.file("test.csv")] {
        let csv = format!("question,answer\n{}", lines(|q, a| format!("{q},{a}")));
        place.write("test.csv", &csv);
        let report = run(evaluate.iter().chain(&[&file[..]])).json();
        let questions = &report["protocols"][0]["questions"];
        assert_eq!(questions, if file == &folder { 3 } else { 6 }, "{report}");
    }
    let error = run(["import", &db, &folder, "--split", "dev"]).failed(1);
    assert!(
        error.contains("no qrels/dev.tsv; --split names another one, found test, train"),
        "{error}"
    );

    // A query with two right documents: either counts.
    place.write("beir/qrels/test.tsv", "q\td\ts\nq1\td0\t1\nq1\td1\t1\nq2\td1\t1\n");
    let report = run(evaluate.iter().chain(&[&folder[..], "--details"])).json();
    assert_eq!(report["protocols"][0]["questions"], 2, "{report}");
}

#[test]
fn options_and_standard_input_are_part_of_a_version() {
    let place = Place::new();
    place.write("a.csv", "q,a,question,answer\nQ1?,A.,Q2?,B.\n");
    let (db, file) = (place.db(), place.file("a.csv"));
    let import = |options: &[&str]| {
        let report = run(["import", "--json", &db, &file].iter().chain(options)).json();
        report["files"][0]["outcome"].as_str().unwrap().to_string()
    };
    assert_eq!(import(&[]), "imported");
    let columns = ["--question-column", "q", "--answer-column", "a"];
    assert_eq!([import(&columns), import(&columns)], ["replaced", "unchanged"]);
    assert_eq!(place.healthy()["texts"]["answers"], 1);

    for (text, outcome) in [("answer\nC.\n", "imported"), ("answer\nD.\n", "replaced")] {
        let report = piped(&["import", "--json", &db, "-"], text).json();
        assert_eq!(report["files"][0]["outcome"], outcome);
    }
    // The folder of the store has no such file, which is no loss.
    let all = run(["import", "--json", &db, place.dir.path().to_str().unwrap()]).json();
    assert!(
        all["files"].as_array().unwrap().iter().all(|file| file["outcome"] != "missing"),
        "{all}"
    );
    let error = piped(&["import", &db, "-"], "what is this").failed(1);
    assert!(error.contains("expected JSON, which begins with { or ["), "{error}");
    assert_eq!(place.healthy()["texts"]["answers"], 2);

    // Answers that change their company keep their rows.
    place.write("b.csv", "question,answer\nQ1?,X.\nQ2?,X.\nQ2?,Y.\n");
    let b = place.file("b.csv");
    run(["import", "--json", &db, &b]).json();
    place.write("b.csv", "question,answer\nQ1?,X.\nQ3?,X.\nQ3?,Y.\n");
    let report = run(["import", "--json", &db, &b]).json();
    assert_eq!(report["files"][0]["removed"], 1, "only Q2?: {report}");
    place.healthy();
    let error = run(["import", &db, &b, "--format", "xml"]).failed(2);
    assert!(error.contains("expected json, jsonl, csv or tsv"), "{error}");
}

#[test]
fn titles_are_embedded_searched_and_shown() {
    let answer =
        |title: &str| format!("id,title,answer\n1,{title},Press both keys.\n2,,Press one key.\n");
    let vector = |place: &Place, id: usize| {
        let folder = place.path("embeddings/all-MiniLM-L6-v2");
        fs::read(vector_file(&folder, &format!("answer_{id}_model_1"))).unwrap()
    };
    let (titled, joined) = (Place::new(), Place::new());
    let db = titled.db();
    let import = |place: &Place, text: &str| {
        place.write("a.csv", text);
        run(["import", "--json", &place.db(), &place.file("a.csv")]).json();
    };
    let embed = |options: &[&str]| {
        let model = model_dir();
        run(["embed", &db, "--json", "--model-dir", model.to_str().unwrap()].iter().chain(options))
    };
    import(&titled, &answer("Zebra crossing"));
    import(&joined, "id,answer\n1,Zebra crossing Press both keys.\n2,Press one key.\n");
    titled.embed().ok();
    joined.embed().ok();
    for id in [1, 2] {
        assert_eq!(vector(&titled, id), vector(&joined, id), "answer {id}");
    }
    let hits = titled.query(&["--json", "--hybrid", "--hybrid-weight", "0.9", "zebra"]).json();
    let hit = &hits["hits"][0];
    assert_eq!(
        (&hit["title"], &hit["text"]),
        (&"Zebra crossing".into(), &"Press both keys.".into())
    );
    assert!(
        hits["hits"][0]["score"].as_f64().unwrap()
            > hits["hits"][1]["score"].as_f64().unwrap() + 0.5
    );
    assert!(titled.query(&["zebra"]).ok().contains("1: Zebra crossing"));

    // A new title is a new vector, of this answer alone.
    let kept = vector(&titled, 2);
    import(&titled, &answer("Lion crossing"));
    assert_eq!(embed(&[]).json()["answers"], 1);
    assert_eq!(vector(&titled, 2), kept);
    let error = embed(&["--no-titles"]).json_error(1).1;
    assert!(error.contains("include titles; `projection embed --again --no-titles`"), "{error}");
    assert_eq!(embed(&["--again", "--no-titles"]).json()["answers"], 2);
    import(&joined, "id,answer\n1,Press both keys.\n2,Press one key.\n");
    joined.embed().ok();
    assert_eq!(vector(&titled, 1), vector(&joined, 1));
    // It goes on as it was begun.
    import(&titled, &(answer("Tiger crossing") + "3,Owl,Press no key.\n"));
    let report = embed(&[]).json();
    assert_eq!(report["answers"], 1, "{report}");
    assert!(
        report["notes"][0].as_str().unwrap().contains("`projection embed --again`"),
        "{report}"
    );
    assert_eq!(embed(&["--again"]).json()["answers"], 3);
    assert_ne!(vector(&titled, 1), vector(&joined, 1));
}

//! The command is killed at random moments, many times: nothing that was there is lost, and
//! no half-made thing is visible.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ndarray_npy::write_npy;
use projection_core::projection::Projection;
use projection_store::search::Searcher;
use serde_json::{Value, json};

use crate::common::{PROJECTION, Place, model_dir, root, run};
use crate::embeddings::vectors;

/// Kills for each command. Runs that end before they are killed do not count.
const IMPORTS: usize = 16;
const EMBEDS: usize = 10;
const TRAININGS: usize = 16;
const VECTOR_IMPORTS: usize = 16;

/// The moments to kill at: SplitMix64.
struct Moments(u64);

impl Moments {
    /// A number from 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Every run draws the same moments. `PROJECTION_KILL_SEED=…` draws others; a failing test
/// prints its seed.
fn moments() -> Moments {
    let seed = match std::env::var("PROJECTION_KILL_SEED") {
        Ok(seed) => seed.parse().expect("PROJECTION_KILL_SEED is a number"),
        Err(_) => 1,
    };
    println!("PROJECTION_KILL_SEED={seed}");
    Moments(seed)
}

/// Everything that a store holds, by what it is: texts, clusters, vectors, models.
type Content = BTreeMap<String, String>;

/// Reads the whole store as its users do, after `inspect` has found everything that is
/// recorded sound.
fn content(place: &Place) -> Content {
    let report = place.inspect();
    for problem in report["problems"].as_array().unwrap() {
        let kind = problem["kind"].as_str().unwrap();
        assert!(["orphan_file", "interrupted_training"].contains(&kind), "{problem}");
    }
    let mut content = Content::new();
    let sql = place.sql();
    let check: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    for (what, query) in [
        ("answer", "SELECT answer_id, text FROM answers"),
        ("question", "SELECT question_id, text FROM questions"),
        ("cluster", "SELECT cluster_id, coalesce(name, '') FROM qa_clusters"),
        ("asks", "SELECT question_id, cluster_id || '' FROM cluster_questions"),
        ("answers", "SELECT answer_id, cluster_id || '' FROM cluster_answers"),
    ] {
        let mut statement = sql.prepare(query).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        content.extend(rows.map(|row| {
            let (id, text): (i64, String) = row.unwrap();
            (format!("{what} {id}"), text)
        }));
    }
    let mut statement = sql
        .prepare("SELECT model_id, entity_type, entity_id, vector_path FROM embeddings")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    for row in rows {
        let (model, entity, id, path): (i64, String, i64, String) = row.unwrap();
        content.insert(format!("vector {model} {entity} {id}"), sum(&place.path(&path)));
    }
    for model in report["models"].as_array().unwrap() {
        if model["answers"] != 0 {
            let searcher = Searcher::open(place.db(), model["name"].as_str()).unwrap();
            assert_eq!(json!(searcher.index().len()), model["answers"]);
        }
    }
    for projection in report["projections"].as_array().unwrap() {
        let id = projection["id"].as_i64().unwrap();
        let model = projection_store::Store::open_read_only(place.db())
            .and_then(|store| store.model(id))
            .unwrap();
        let query: Vec<f32> =
            (0..model.input_dim()).map(|i| (i as f32 * 0.7).sin() + 0.01).collect();
        let mut projected = vec![0.0; model.output_dim()];
        let mut weights = vec![0.0; model.head_ids().len()];
        model.project_into(&query, &mut projected, Some(&mut weights)).unwrap();
        let numbers: Vec<u32> = projected.iter().chain(&weights).map(|v| v.to_bits()).collect();
        content.insert(format!("model {id}"), format!("{numbers:?}"));
    }
    content
}

/// A vector file's checksum (FNV-1a).
fn sum(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// What the store says, whatever ids it uses: every answer and question with its vectors, and
/// every question with its answers.
fn statements(place: &Place) -> Vec<String> {
    let sql = place.sql();
    let mut statement = sql
        .prepare(
            "SELECT t.kind, t.text, coalesce(m.name, ''), coalesce(e.vector_path, '') FROM (SELECT \
             'answer' AS kind, answer_id AS id, text FROM answers UNION ALL SELECT 'question', \
             question_id, text FROM questions) t LEFT JOIN embeddings e ON e.entity_type = t.kind \
             AND e.entity_id = t.id LEFT JOIN embedding_models m USING (model_id)",
        )
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap();
    let mut statements: Vec<String> = rows
        .map(|row| {
            let (kind, text, model, path): (String, String, String, String) = row.unwrap();
            match path.as_str() {
                "" => format!("{kind} '{text}'"),
                path => format!("{kind} '{text}' by {model}: {}", sum(&place.path(path))),
            }
        })
        .collect();
    let mut statement = sql
        .prepare(
            "SELECT q.text, a.text FROM cluster_questions cq JOIN cluster_answers ca USING \
             (cluster_id) JOIN questions q USING (question_id) JOIN answers a USING (answer_id)",
        )
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    statements.extend(rows.map(|row| {
        let (question, answer): (String, String) = row.unwrap();
        format!("'{question}' is answered by '{answer}'")
    }));
    statements.sort();
    statements
}

/// Checks that all of `before` is still there.
#[track_caller]
fn nothing_lost(found: &Content, before: &Content) {
    let lost = before.iter().filter(|(key, value)| found.get(*key) != Some(*value));
    let lost: Vec<_> = lost.take(8).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

fn command(args: &[String]) -> Command {
    let mut command = Command::new(PROJECTION);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How long a whole run takes.
fn measure(args: &[String]) -> Duration {
    let begin = Instant::now();
    assert!(command(args).status().unwrap().success(), "{args:?}");
    begin.elapsed()
}

/// Starts the command and kills it before `longest` has passed. Whether it was running still.
fn kill(args: &[String], longest: Duration, moments: &mut Moments) -> bool {
    let mut child = command(args).spawn().unwrap();
    std::thread::sleep(longest.mul_f64(moments.next()));
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// Kills a command until `number` kills met it running. `prepare` gives the command of a run;
/// `check` is told what the store holds afterwards.
fn kill_often(
    place: &Place,
    number: usize,
    longest: Duration,
    moments: &mut Moments,
    mut prepare: impl FnMut(usize) -> Vec<String>,
    mut check: impl FnMut(Content),
) {
    let (mut kills, mut runs, mut limit) = (0, 0, longest);
    while kills < number {
        let args = prepare(runs);
        let killed = kill(&args, limit, moments);
        kills += usize::from(killed);
        runs += 1;
        // The machine may have been slow when it was measured, or be slow now.
        limit = if killed { limit.mul_f64(1.2).min(longest) } else { limit.mul_f64(0.8) };
        check(content(place));
        assert!(runs <= 20 * number, "of {runs} runs {kills} were killed");
    }
    println!("{number} kills in {runs} runs of up to {longest:?}");
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| arg.to_string()).collect()
}

/// Two versions of a question-answer file, each with texts that the other does not have.
fn versions() -> [String; 2] {
    let version = |number: usize| {
        let clusters: Vec<Value> = (0..40)
            .map(|i| {
                let (name, turn) = (i + number * 8, if i % 3 == 0 { number } else { 0 });
                let questions = [format!("{turn} what is {name}?"), format!("and {name}?")];
                json!({"answer_id": name, "answer": format!("{turn} answer {name}"),
                       "questions": questions})
            })
            .collect();
        json!({"clusters": clusters}).to_string()
    };
    [version(0), version(1)]
}

/// Files of own vectors in a folder `v{number}`, again with differences.
fn write_vectors(place: &Place, number: usize) {
    let folder = place.path(&format!("v{number}"));
    fs::create_dir(&folder).unwrap();
    let (mut answers, mut questions) = (vectors(60, 8, 0), vectors(80, 8, 1));
    for row in (0..60).step_by(2) {
        answers.row_mut(row).fill(0.5 + number as f32 + row as f32);
        questions.row_mut(row).fill(0.25 + number as f32 - row as f32);
    }
    let labels = ndarray::Array1::from_shape_fn(80, |row| ((row + number * 5) % 50) as i64 - 1);
    let texts = |what: &str, rows: usize| -> Vec<String> {
        (0..rows).map(|row| format!("{what} {}", row + number * (row % 4))).collect()
    };
    let texts = json!({"answers": texts("answer", 60), "questions": texts("question", 80)});
    write_npy(folder.join("A.npy"), &answers).unwrap();
    write_npy(folder.join("Q.npy"), &questions).unwrap();
    write_npy(folder.join("L.npy"), &labels).unwrap();
    fs::write(folder.join("T.json"), texts.to_string()).unwrap();
}

/// Puts version `number` of the own vectors in place; gives the command that imports them.
fn vectors_command(place: &Place, number: usize) -> Vec<String> {
    let names = ["A.npy", "Q.npy", "L.npy", "T.json"];
    for name in names {
        fs::copy(place.path(&format!("v{number}/{name}")), place.path(name)).unwrap();
    }
    let [a, q, l, t] = names.map(|name| place.file(name));
    let args = ["import-embeddings", &place.db(), "--model-name", "own", "--answers", &a];
    strings(&[&args[..], &["--questions", &q, "--labels", &l, "--texts", &t]].concat())
}

#[test]
fn killed_many_times() {
    let begin = Instant::now();
    let mut moments = moments();
    let place = Place::new();
    let db = place.db();

    // Something of every kind, that has to stay.
    run(["import", &db, root().join("examples/faq/faq.json").to_str().unwrap()]).ok();
    let model = model_dir();
    let embed = strings(&["embed", &db, "--model-dir", model.to_str().unwrap()]);
    measure(&embed);
    let train =
        strings(&["train", &db, "--method", "residual", "--model-name", "all-MiniLM-L6-v2"]);
    measure(&train);
    let base = content(&place);
    assert!(base.contains_key("model 1"));

    // Import: the versions of a file follow each other, so that every run has something to
    // replace, and the store has one or the other, whole.
    let (file, versions) = (place.file("qa.json"), versions());
    let import = |number: usize| {
        place.write("qa.json", &versions[number % 2]);
        strings(&["import", &db, &file])
    };
    let [first, second] = [0, 1].map(|number| (measure(&import(number)), statements(&place)));
    assert_ne!(first.1, second.1);
    kill_often(&place, IMPORTS, second.0, &mut moments, import, |found| {
        nothing_lost(&found, &base);
        let found = statements(&place);
        assert!(found == first.1 || found == second.1, "a file by half: {found:#?}");
    });
    measure(&import(0));

    // Embed: vectors that are there stay. Some are forgotten before each run.
    let before = RefCell::new(Content::new());
    let forget = |_| {
        let which = "entity_type = 'question' AND entity_id % 6 = 0";
        let sql = place.sql();
        let deleted = format!("DELETE FROM embeddings WHERE {which} RETURNING vector_path");
        let mut statement = sql.prepare(&deleted).unwrap();
        let paths = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        paths.for_each(|path| fs::remove_file(place.path(&path.unwrap())).unwrap());
        before.replace(content(&place));
        embed.clone()
    };
    let longest = measure(&forget(0));
    kill_often(&place, EMBEDS, longest, &mut moments, forget, |found| {
        nothing_lost(&found, &before.borrow());
    });
    measure(&embed);

    // Train: the models of before give the same numbers, and a new one is there as a whole.
    let longest = measure(&train);
    before.replace(content(&place));
    let expected = before.borrow()["model 2"].clone();
    kill_often(
        &place,
        TRAININGS,
        longest,
        &mut moments,
        |_| train.clone(),
        |found| {
            let before = before.replace(found.clone());
            nothing_lost(&found, &before);
            for (_, numbers) in found.iter().filter(|(key, _)| !before.contains_key(*key)) {
                assert_eq!(*numbers, expected, "the same data gives the same model");
            }
        },
    );

    // Own vectors: texts, labels and vectors change together or not at all.
    let (base, nothing) = (content(&place), statements(&place));
    (0..2).for_each(|number| write_vectors(&place, number));
    let import = |number: usize| vectors_command(&place, number % 2);
    // First into a store that has none. It may get through, so these do not count.
    for _ in 0..3 {
        kill(&import(0), Duration::from_millis(40), &mut moments);
        nothing_lost(&content(&place), &base);
        // 60 answers, 80 questions, of which two have no answer.
        let found = statements(&place);
        assert!(found == nothing || found.len() == nothing.len() + 60 + 80 + 78);
    }
    let [first, second] = [0, 1].map(|number| (measure(&import(number)), statements(&place)));
    assert_ne!(first.1, second.1);
    kill_often(&place, VECTOR_IMPORTS, second.0, &mut moments, import, |found| {
        nothing_lost(&found, &base);
        let found = statements(&place);
        assert!(found == first.1 || found == second.1, "vectors by half: {found:#?}");
    });

    // In the end everything works as ever, and nothing is left lying about.
    for number in [1, 0] {
        measure(&import(number));
        place.write("qa.json", &versions[number]);
        measure(&strings(&["import", &db, &file]));
        measure(&embed);
    }
    measure(&train);
    place.healthy();
    println!("{:?} in all", begin.elapsed());
}

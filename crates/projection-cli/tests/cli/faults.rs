//! A full disk, a read-only folder, another writer, and a killed command: the store keeps
//! what it had.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{PROJECTION, Place, model_dir, root, run};

/// Runs a shell script that may mount file systems nobody else sees. `None`, with a note,
/// where the system does not let it; on the build server that is an error.
#[cfg(target_os = "linux")]
fn in_own_mounts(script: &str, place: &Place) -> Option<String> {
    let disk = place.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let shell = |script: &str| {
        let output = Command::new("unshare")
            .args(["-rm", "sh", "-euc", script])
            .env("DISK", &disk)
            .env("STORE", place.path("store"))
            .env("OUT", place.dir.path())
            .env("MODEL", model_dir())
            .env("projection", PROJECTION)
            .output();
        output.map(|output| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.success(), text(&output.stdout), text(&output.stderr))
        })
    };
    if !shell("mount -t tmpfs tmpfs $DISK").is_ok_and(|(done, ..)| done) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "mounting in a namespace failed");
        eprintln!("SKIPPED: this system does not let a user mount in a namespace");
        return None;
    }
    let (done, stdout, stderr) = shell(script).unwrap();
    assert!(done, "{stdout}{stderr}");
    Some(stdout)
}

/// A place with a trained store in `store` and two more files to import.
#[cfg(target_os = "linux")]
fn place_with_store() -> Place {
    let place = Place::trained();
    let outer = Place::new();
    crate::common::copy_folder(place.dir.path(), &outer.path("store"));
    for name in ["more", "other"] {
        let cluster =
            json!({"answer_id": name, "answer": "More.", "questions": ["Is there more?"]});
        outer.write(&format!("{name}.json"), &json!({"clusters": [cluster]}).to_string());
    }
    outer
}

/// With more and more room, attempts fail at every step, until one succeeds. Each that fails
/// leaves the store as it was: at most vector files that no row records yet, which the next
/// attempt writes again.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let place = place_with_store();
    let script = r#"
        mount -t tmpfs -o size=2m tmpfs "$DISK"
        cp -r "$STORE/." "$DISK"
        attempt() { # what it is called, and the arguments
            name=$1; shift; pages=0; code=1
            while [ "$code" != 0 ]; do
                dd if=/dev/zero of="$DISK/filler" bs=4k 2>/dev/null || true
                truncate -s "-$((pages * 4096))" "$DISK/filler"
                code=0; "$projection" "$@" >"$OUT/out" 2>"$OUT/err" || code=$?
                rm "$DISK/filler"
                echo "$name $pages $code $(tr '\n' ' ' <"$OUT/err")"
                "$projection" inspect "$DISK/lda.db" >"$OUT/report" || grep '^[a-z_]*: ' "$OUT/report"
                pages=$((pages + 2))
                [ "$pages" -lt 200 ]
            done
        }
        attempt train train "$DISK/lda.db" --method multi-head --force
        attempt import import "$DISK/lda.db" "$OUT/more.json"
        attempt embed embed "$DISK/lda.db" --model-dir "$MODEL"
        "$projection" inspect --json "$DISK/lda.db" >"$OUT/final.json"
    "#;
    let Some(log) = in_own_mounts(script, &place) else { return };
    let litter = |line: &str| line.starts_with("orphan_file: ") && line.contains("_model_1_");
    let attempt = |line: &str| ["train ", "import ", "embed "].iter().any(|n| line.starts_with(n));
    assert!(log.lines().all(|line| litter(line) || attempt(line)), "{log}");
    let disk = place.file("disk");
    for name in ["train", "import", "embed"] {
        let attempts: Vec<Vec<&str>> = (log.lines())
            .filter(|line| line.starts_with(name))
            .map(|line| line.splitn(4, ' ').collect())
            .collect();
        assert!(attempts.len() >= 2, "{name} fitted at once: {log}");
        for attempt in &attempts[..attempts.len() - 1] {
            assert_eq!(attempt[2], "1", "{log}");
            assert!(attempt[3].starts_with("error: ") && attempt[3].contains(&disk), "{log}");
        }
    }
    let report = std::fs::read_to_string(place.path("final.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["projections"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["texts"]["clusters"], 4);
    assert_eq!(report["models"][0]["questions"], 9);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder() {
    let place = place_with_store();
    let script = r#"
        mount -t tmpfs tmpfs "$DISK"
        cp -r "$STORE/." "$DISK"
        "$projection" import "$DISK/lda.db" "$OUT/more.json" >"$OUT/out"
        mount -o remount,ro "$DISK"
        attempt() {
            code=0; "$projection" "$@" >"$OUT/out" 2>"$OUT/err" || code=$?
            echo "$1 $code $(tr '\n' ' ' <"$OUT/err")"
        }
        attempt import "$DISK/lda.db" "$OUT/other.json"
        attempt import "$DISK/new.db" "$OUT/more.json"
        attempt embed "$DISK/lda.db" --model-dir "$MODEL"
        attempt train "$DISK/lda.db" --method multi-head --force
        attempt query "$DISK/lda.db" "What is a closure?" --model-dir "$MODEL"
        attempt query "$DISK/lda.db" "What is a closure?" --model-dir "$MODEL" --log
        grep -q "closures" "$OUT/out" && grep -q "not logged: .*lda.db" "$OUT/out" && echo answered
        input=$(ls "$DISK"/embeddings/all-MiniLM-L6-v2/question_1_model_1_*)
        attempt project --db "$DISK/lda.db" --id 1 --output "$OUT/p.npy" --input "$input"
        attempt project --db "$DISK/lda.db" --id 1 --output "$DISK/p.npy" --input "$input"
        attempt inspect "$DISK/lda.db"
    "#;
    let Some(log) = in_own_mounts(script, &place) else { return };
    let expected = [
        ("import 1", "lda.db"),
        ("import 1", "new.db"),
        ("embed 1", "answer_6_model_1_"),
        ("train 1", "lda.db"),
        ("query 0", ""),
        ("query 1", ""),
        ("answered", ""),
        ("project 0", ""),
        ("project 1", "p.npy"),
        ("inspect 0", ""),
    ];
    assert_eq!(log.lines().count(), expected.len(), "{log}");
    for (line, (start, file)) in log.lines().zip(expected) {
        assert!(line.starts_with(start), "{line}");
        if !file.is_empty() {
            let words = ["error: ", &place.file("disk"), file];
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
    }
}

#[test]
fn another_writer_is_waited_for_but_not_for_ever() {
    let place = Place::trained();
    place.write("more.json", r#"{"clusters": [{"answer_id": "more", "answer": "More."}]}"#);
    let mut sql = place.sql();
    let change = sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let begin = Instant::now();
    let (db, more) = (place.db(), place.file("more.json"));
    let writers =
        [vec!["import", &db, &more], vec!["train", &db, "--method", "multi-head", "--force"]];
    let writers: Vec<_> = writers
        .iter()
        .map(|args| {
            let mut command = Command::new(PROJECTION);
            let command = command.args(args).arg("--json");
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    // Readers need not wait.
    place.query(&["What is a closure?"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(4));
    for writer in writers {
        let run = crate::common::Run::from(writer.wait_with_output().unwrap());
        let (kind, message) = run.json_error(1);
        assert_eq!(kind, "busy");
        assert!(message.contains(&db) && message.contains("another process"), "{message}");
    }
    let waited = begin.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(60), "{waited:?}");
    change.rollback().unwrap();

    // A writer that is done in time is no trouble.
    let change = sql.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let mut writer = Command::new(PROJECTION)
        .args(["train", &db, "--method", "multi-head", "--force"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(writer.try_wait().unwrap(), None);
    change.rollback().unwrap();
    assert!(writer.wait().unwrap().success());
    assert_eq!(place.healthy()["projections"].as_array().unwrap().len(), 2);
}

/// A store with the shipped questions.
fn faq() -> Place {
    let place = Place::new();
    run(["import", &place.db(), root().join("examples/faq/faq.json").to_str().unwrap()]).ok();
    place
}

/// Starts the command and kills it after a while. Whether it was still running.
fn kill(args: &[&str], after: Duration) -> bool {
    let mut command = Command::new(PROJECTION);
    let mut child = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// Checks that whatever a kill left, everything that the database records is sound.
#[track_caller]
fn only_litter(place: &Place) -> Value {
    let report = place.inspect();
    for problem in report["problems"].as_array().unwrap() {
        let kind = problem["kind"].as_str().unwrap();
        assert!(["orphan_file", "interrupted_training"].contains(&kind), "{problem}");
    }
    report
}

#[test]
fn killed_while_embedding() {
    let place = faq();
    let model = model_dir();
    let (db, mut before, mut kills) = (place.db(), 0, 0);
    for after in [150, 300, 250, 350] {
        let args = ["embed", &db, "--model-dir", model.to_str().unwrap()];
        kills += usize::from(kill(&args, Duration::from_millis(after)));
        let report = only_litter(&place);
        let number = |side: &str| report["models"][0][side].as_u64().unwrap_or(0);
        let done = number("answers") + number("questions");
        assert!(done >= before, "{done} vectors, there were {before}");
        before = done;
    }
    assert!(kills > 0, "every run was done before it was killed");
    place.embed().ok();
    let report = place.healthy();
    assert_eq!(report["models"][0]["questions"], report["texts"]["questions"]);
    assert_eq!(report["batches"][0]["status"], "completed");
}

#[test]
fn killed_while_training() {
    let place = faq();
    place.embed().ok();
    let db = place.db();
    let heads = place.healthy()["texts"]["clusters"].clone();
    let mut kills = 0;
    for after in 1..=20 {
        kills += usize::from(kill(
            &["train", &db, "--method", "multi-head", "--force"],
            Duration::from_millis(after),
        ));
        let report = only_litter(&place);
        for projection in report["projections"].as_array().unwrap() {
            assert_eq!(projection["heads"], heads, "a whole model or none");
        }
    }
    assert!(kills > 0, "every run was done before it was killed");
    run(["train", &db, "--method", "multi-head", "--force"]).ok();
    // What the kills left is cleared away by the next training.
    place.healthy();
}

//! Arguments, exit codes and what goes where.

use std::process::{Command, Stdio};

use crate::common::{PROJECTION, Place, model_dir, run};

#[test]
fn every_command_has_help_with_an_example() {
    let help = run(["--help"]).ok();
    let commands = [
        "import",
        "import-embeddings",
        "batches",
        "embed",
        "train",
        "distill",
        "index",
        "query",
        "log",
        "project",
        "export",
        "inspect",
    ];
    for command in commands {
        assert!(help.contains(&format!("  {command} ")), "{help}");
        let help = run([command, "--help"]).ok();
        assert!(help.contains("Example") && help.contains(&format!("projection {command} ")));
        assert!(help.contains("--json"));
    }
    assert!(run(["--version"]).ok().starts_with("projection "));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let files = ["--input", "q.npy", "--output", "p.npy"];
    let wrong: &[&[&str]] = &[
        &[],
        &["dance"],
        &["import", "lda.db"],
        &["embed", "lda.db"],
        &["query", "lda.db", "why?"],
        &["query", "lda.db", "", "--model-dir", "m"],
        &["query", "lda.db", "why?", "--model-dir", "m", "-k", "0"],
        &["query", "lda.db", "why?", "--model-dir", "m", "-k", "few"],
        &["query", "lda.db", "why?", "--model-dir", "m", "--no-projection", "--projection", "1"],
        &["train", "lda.db", "--method", "magic"],
        &["train", "lda.db", "--temperature", "0"],
        &["train", "lda.db", "--temperature=-0.1"],
        &["train", "lda.db", "--temperature", "NaN"],
        &["train", "lda.db", "--temperature", "inf"],
        &["train", "lda.db", "--temperature", "warm"],
        &["project", "--db", "a.db", "--embeddings", "e", "--id", "1"],
        &["project", "--id", "1"],
        &["project", "--db", "a.db", "--id", "one"],
        &["project", "--db", "a.db", "--id", "1", "--temperature", "0"],
        &["inspect"],
    ];
    for args in wrong {
        let files = files.iter().filter(|_| args.first() == Some(&"project"));
        let args: Vec<&str> = args.iter().chain(files).copied().collect();
        let plain = run(&args);
        assert_eq!((plain.code, plain.stdout.as_str()), (Some(2), ""), "{args:?}");
        if args.is_empty() {
            continue; // The whole help.
        }
        assert!(plain.stderr.starts_with("error: "), "{args:?}: {}", plain.stderr);
        let (kind, message) = run(args.iter().chain(&["--json"])).json_error(2);
        assert_eq!(kind, "usage", "{args:?}");
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
    }
}

#[test]
fn failure_is_exit_code_1() {
    let place = Place::embedded();
    place.write("text.db", "This is no database, however long it may be. It has only words.");
    let (db, text, gone) = (place.db(), place.file("text.db"), place.file("gone.db"));
    let model = model_dir();
    let model = model.to_str().unwrap();
    let no_model = place.file("no_model");
    let input = place.file("q.npy");
    let failing: &[(&[&str], &str, &str)] = &[
        (&["import", "/no/such/folder/lda.db", "x.json"], "not_found", "/no/such/folder"),
        (&["embed", &gone, "--model-dir", model], "not_found", &gone),
        (&["embed", &db, "--model-dir", &no_model], "not_found", &no_model),
        (&["train", &gone], "not_found", &gone),
        (&["train", &text], "invalid_store", &text),
        (&["train", &db, "--model-name", "other"], "not_found", "other"),
        (&["query", &gone, "why?", "--model-dir", model], "not_found", &gone),
        (&["query", &db, "why?", "--model-dir", &no_model], "not_found", &no_model),
        (&["query", &db, "why?", "--model-dir", model, "--projection", "7"], "not_found", "7"),
        (
            &["project", "--db", &db, "--id", "7", "--input", &input, "--output", "p.npy"],
            "not_found",
            "no projection 7",
        ),
        (&["inspect", &gone], "not_found", &gone),
        (&["inspect", &text], "invalid_store", &text),
    ];
    for (args, kind, words) in failing {
        let message = run(*args).failed(1);
        assert!(message.contains(words), "{args:?}: {message}");
        let (found, message) = run(args.iter().chain(&["--json"])).json_error(1);
        assert_eq!(found, *kind, "{args:?}: {message}");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let place = Place::trained();
    let (db, model) = (place.db(), model_dir());
    let model = model.to_str().unwrap();
    for args in [vec!["inspect", &db], vec!["query", &db, "why?", "--model-dir", model]] {
        let mut child = Command::new(PROJECTION)
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_can_not_be_written_is_a_failure() {
    let place = Place::embedded();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        Command::new(PROJECTION).args(["inspect", &place.db()]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("error: writing to standard output"), "{message}");
}

//! `projection distill`, and transformers in files for `project` and `inspect`.

use std::fs;

use ndarray::{Array1, Array2};
use projection_core::npy::{self, NpyArray};

use crate::common::{Place, root, run};

/// A store with vectors of dimension 12 in four clusters, and projection 1.
fn trained() -> Place {
    let place = Place::new();
    let wave = |i: usize, step: f32| (i as f32 * step + 0.3).sin();
    let answers = Array2::from_shape_fn((4, 12), |(row, i)| wave(row * 12 + i, 1.9));
    let questions = Array2::from_shape_fn((40, 12), |(row, i)| {
        wave(row % 4 * 12 + i, 1.9) + 0.5 * wave(row * 12 + i, 2.3)
    });
    let labels: Array1<i64> = (0..40).map(|row| row % 4).collect();
    npy::save(place.path("a.npy"), answers.view()).unwrap();
    npy::save(place.path("q.npy"), questions.view()).unwrap();
    npy::save(place.path("l.npy"), labels.view()).unwrap();
    let (a, q, l) = (place.file("a.npy"), place.file("q.npy"), place.file("l.npy"));
    let args = ["import-embeddings", &place.db(), "--model-name", "own", "--answers", &a];
    run(args.iter().chain(&["--questions", &q, "--labels", &l])).ok();
    run(["train", &place.db(), "--method", "multi-head"]).ok();
    place
}

fn distill(place: &Place, more: &[&str]) -> crate::common::Run {
    let (db, output) = (place.db(), place.file("t.safetensors"));
    let args = ["distill", &db, "--output", &output, "--ff-dim", "16", "--samples", "256"];
    run(args.iter().chain(&["--epochs", "2"]).chain(more))
}

#[test]
fn a_projection_becomes_a_file_that_projects_and_shows_its_sizes() {
    let place = trained();
    let report = distill(&place, &["--json"]).json();
    // H^L ≈ N for four heads of the teacher.
    assert_eq!((&report["heads"], &report["layers"]), (&2.into(), &2.into()));
    assert_eq!((&report["projection_id"], &report["kind"]), (&1.into(), &"multi_head".into()));
    assert_eq!(report["held_out"]["questions"], 4);
    assert!(report["held_out"]["mean_cosine"].as_f64().unwrap() > 0.5, "{report}");
    let first = fs::read(place.path("t.safetensors")).unwrap();

    let file = place.file("t.safetensors");
    let (input, output) = (place.file("q.npy"), place.file("p.npy"));
    let args = ["project", "--model", &file, "--input", &input, "--output", &output];
    let projected = run(args.iter().chain(&["--json"])).json();
    assert_eq!((&projected["kind"], &projected["vectors"]), (&"transformer".into(), &40.into()));
    assert!(projected["temperature"].is_null() && projected["id"].is_null());
    assert_eq!(NpyArray::load(place.path("p.npy")).unwrap().shape(), [40, 12]);
    let inspected = run(["inspect", &file]).ok();
    for word in ["transformer", "2 layers", "inner width 16", "dimension 12 → 12", "no problems"]
    {
        assert!(inspected.contains(word), "{inspected}");
    }

    // The same seed, another number of threads; then test questions of the user's.
    distill(&place, &["--threads", "1"]).ok();
    assert!(fs::read(place.path("t.safetensors")).unwrap() == first);
    let text = distill(&place, &["--test", &input, "--seed", "1"]).ok();
    assert!(text.contains("held out") && text.contains("mean cosine"), "{text}");
    assert!(fs::read(place.path("t.safetensors")).unwrap() != first);
}

#[test]
fn what_cannot_be_distilled_leaves_the_file_as_it_was() {
    let place = trained();
    fs::write(place.path("t.safetensors"), "kept").unwrap();
    let message = distill(&place, &["--heads", "5"]).failed(1);
    assert!(message.contains("num_heads 5") && message.contains("12"), "{message}");
    let message = distill(&place, &["--projection", "7"]).failed(1);
    assert!(message.contains('7'), "{message}");
    let message = distill(&place, &["--cosine-weight", "2"]).failed(1);
    assert!(message.contains("cosine weight 2"), "{message}");
    let message = distill(&place, &["--test", &place.file("l.npy")]).failed(1);
    assert!(message.contains("l.npy"), "{message}");
    assert_eq!(fs::read(place.path("t.safetensors")).unwrap(), b"kept");
    let names = fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn files_of_torch_project_and_damaged_ones_are_refused() {
    let place = Place::new();
    let fixture = root().join("tests/conformance/transformer");
    let file = fixture.join("transformer.pt");
    let (file, input) = (file.to_str().unwrap(), fixture.join("queries.npy"));
    let (input, output) = (input.to_str().unwrap(), place.file("p.npy"));
    let text = run(["project", "--model", file, "--input", input, "--output", &output]).ok();
    assert!(text.contains("by a transformer projection"), "{text}");
    let usage = ["project", "--model", file, "--id", "1", "--input", input, "--output", &output];
    run(usage).failed(2);
    run(["project", "--input", input, "--output", &output]).failed(2);

    let bytes = fs::read(file).unwrap();
    fs::write(place.path("cut.pt"), &bytes[..bytes.len() / 2]).unwrap();
    let cut = place.file("cut.pt");
    let run_of = run(["inspect", &cut]);
    assert_eq!(run_of.code, Some(1));
    assert!(run_of.stdout.contains("truncated"), "{}", run_of.stdout);
    let message =
        run(["project", "--model", &cut, "--input", input, "--output", &output]).failed(1);
    assert!(message.contains("cut.pt"), "{message}");
}

/// Every file that a command writes: a link stays and leads to the new file, a pipe gets it.
#[cfg(unix)]
#[test]
fn results_go_through_links_and_into_pipes() {
    use std::os::unix::fs::FileTypeExt;
    let place = trained();
    let (db, input, first) = (place.db(), place.file("q.npy"), place.file("p.npy"));
    let (link, pipe) = (place.file("link"), place.file("pipe"));
    std::os::unix::fs::symlink("real", &link).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let project = ["project", "--db", &db, "--id", "1", "--input", &input, "--output"];
    let commands: [Vec<&str>; 6] = [
        project.to_vec(),
        project.iter().copied().chain([&*first, "--weights"]).collect(),
        vec!["export", &db, "--output"],
        vec!["export", &db, "--format", "onnx", "--output"],
        vec!["distill", &db, "--ff-dim", "8", "--samples", "64", "--epochs", "1", "--output"],
        vec!["evaluate", &db, "--folds", "2", "--html"],
    ];
    for command in commands {
        fs::write(place.path("real"), "before").unwrap();
        run(command.iter().chain(&[&*link])).ok();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "{command:?}");
        let written = fs::read(place.path("real")).unwrap();
        assert!(written.len() > 100, "{command:?}");
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        run(command.iter().chain(&[&*pipe])).ok();
        let through = reader.join().unwrap().len();
        // A report says how long it took.
        assert!(through.abs_diff(written.len()) < 64, "{command:?}: {through}");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo(), "{command:?}");
    }
}

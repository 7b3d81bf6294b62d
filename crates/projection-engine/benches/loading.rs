//! Loading a model of 10,000 heads beside a loop of `numpy.load`, in the same run: from 20,000
//! small files, with and without the database, and from one file.
//!
//! `loading_peer.py` runs as a process of its own ($PYTHON, or `python3`, with NumPy) and
//! measures itself. Both sides take turns, with the files in the system's cache, and must
//! have read the same numbers. `--quick` makes fewer rounds.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use projection_core::projection::{Model, Projection};
use projection_store::{NewHead, NewModel, Store};

const HEADS: usize = 10_000;
const DIM: usize = 384;
const TEMPERATURE: f64 = 0.1;

fn main() -> Result<(), Box<dyn Error>> {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    if !given("--bench") {
        return Ok(()); // Only a check that it builds.
    }
    let rounds = if given("--quick") { 5 } else { 15 };
    let folder = tempfile::tempdir()?;
    let (database, id) = make_store(folder.path())?;
    let files = folder.path().join("embeddings/bench");
    let one = folder.path().join("model.safetensors");
    let model =
        projection_store::Store::open_read_only(&database).and_then(|store| store.model(id))?;
    model.save_file(&one)?;
    let mut peer = Peer::start(&files)?;

    // The peer sums what it reads in double precision; answers are kept as they are.
    let expected = checksum(&files)?;
    assert_eq!(peer.time()?.1, expected, "NumPy read other numbers");
    let query: Vec<f32> = (0..DIM).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
    let same = Model::load(&files, id, TEMPERATURE)?;
    assert_eq!(model.project(&query)?, same.project(&query)?);
    assert_eq!(model.project(&query)?, Model::load_file(&one)?.project(&query)?);

    type Step<'a> = (&'a str, Box<dyn FnMut() -> Result<f64, Box<dyn Error>> + 'a>);
    let timed = |work: &dyn Fn() -> projection_core::Result<Model>| {
        let start = Instant::now();
        let model = std::hint::black_box(work()?);
        let time = start.elapsed().as_secs_f64();
        drop(model);
        Ok(time * 1e3)
    };
    let mut steps: Vec<Step> = vec![
        ("NumPy, numpy.load of 20,000 files", Box::new(|| Ok(peer.time()?.0))),
        ("20,000 files of a folder", Box::new(|| timed(&|| Model::load(&files, id, TEMPERATURE)))),
        (
            "20,000 files by the database",
            Box::new(|| {
                timed(&|| {
                    projection_store::Store::open_read_only(&database)
                        .and_then(|store| store.model(id))
                })
            }),
        ),
        ("one file, mapped", Box::new(|| timed(&|| Model::load_file(&one)))),
        (
            "one file, mapped and checked",
            Box::new(|| {
                timed(&|| {
                    let model = Model::load_file(&one)?;
                    model.check_values().map(|()| model)
                })
            }),
        ),
    ];
    let mut times = vec![Vec::new(); steps.len()];
    for _ in 0..rounds {
        for ((_, work), times) in steps.iter_mut().zip(&mut times) {
            times.push(work()?);
        }
    }
    let megabytes = std::fs::metadata(&one)?.len() as f64 / 1e6;
    println!("\n{HEADS} heads of {DIM}, one file of {megabytes:.1} MB, {rounds} rounds in turn");
    println!("{:35} {:>28}  {:>14}", "", "ms: median, least, most", "NumPy ÷ engine");
    let numpy = median(&times[0]);
    for ((name, _), times) in steps.iter().zip(&times) {
        let (least, most) = times.iter().fold((f64::MAX, 0f64), |(a, b), t| (a.min(*t), b.max(*t)));
        let middle = median(times);
        println!("{name:35} {middle:10.3} {least:8.3} {most:8.3}  {:14.1}", numpy / middle);
    }
    Ok(())
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A store with one model of many heads. Gives its database and the model's id.
fn make_store(folder: &Path) -> Result<(std::path::PathBuf, i64), Box<dyn Error>> {
    let mut seed = 1u64;
    let mut vector = || -> Vec<f32> {
        let next = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..DIM).map(next).collect()
    };
    let database = folder.join("lda.db");
    let mut store = Store::open_or_create(&database)?;
    let embedding = store.register_embedding_model("bench", DIM, "bench", None)?;
    let mut heads = Vec::with_capacity(HEADS);
    for number in 0..HEADS {
        heads.push(NewHead {
            cluster_id: number as i64 + 1,
            centroid: vector(),
            answer: vector(),
            matrix: None,
            num_questions: 1,
        });
    }
    let parameters = projection_core::projection::ModelParameters::MultiHead {
        temperature: TEMPERATURE,
        top_k: None,
    };
    let id = store.add_model(
        &embedding,
        &NewModel { heads: &heads, ..NewModel::new(parameters) },
        &mut || Ok(()),
    )?;
    Ok((database, id))
}

/// The sum of all values, taken file by file in the order of their names.
fn checksum(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let mut names: Vec<_> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".npy"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 2 * HEADS);
    let mut sum = 0.0;
    for name in names {
        let array = projection_core::npy::NpyArray::load(folder.join(name))?;
        sum += array.to_f64()[0];
    }
    Ok(sum)
}

/// The NumPy side.
struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let python = std::env::var("PYTHON").unwrap_or("python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/loading_peer.py");
        let mut process = Command::new(&python)
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{python}: {error}"))?;
        let requests = process.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        Ok(Self { process, requests, answers })
    }

    /// Milliseconds, and the sum of the first values of all files.
    fn time(&mut self) -> Result<(f64, f64), Box<dyn Error>> {
        writeln!(self.requests, "load")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (time, sum) = line.trim().split_once(' ').ok_or("NumPy gave no answer")?;
        Ok((time.parse()?, sum.parse()?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

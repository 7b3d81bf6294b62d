//! NumPy, in a process of its own.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use projection_core::npy::NpyArray;

use crate::work::{Engine, Peer, Work};

/// What limits the threads of the BLAS libraries that NumPy may have.
const THREADS: [&str; 4] =
    ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"];

/// The peer process. It ends when this is dropped.
pub struct Numpy {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
    /// Versions, in its own words.
    pub about: String,
}

impl Numpy {
    pub fn start(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let mut process = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/numpy_peer.py"))
            .arg(folder)
            // Settings that would have OpenBLAS use kernels of an older CPU slow the peer.
            .env_remove("OPENBLAS_CORETYPE")
            .env_remove("OPENBLAS_L2_SIZE")
            .envs(THREADS.map(|variable| (variable, "1")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {}: {error} (set PYTHON)", python.display()))?;
        let questions = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        let folder = folder.to_path_buf();
        let mut numpy = Self { process, questions, answers, folder, about: String::new() };
        numpy.about = numpy.answer()?;
        Ok(numpy)
    }

    fn answer(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        match self.answers.read_line(&mut line)? {
            0 => Err("the NumPy process ended; its reason is above ($PYTHON needs NumPy)".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn ask(&mut self, question: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.questions, "{question}")?;
        self.answer()
    }

    pub fn time(&mut self, command: &str, calls: u64) -> Result<Duration, Box<dyn Error>> {
        let nanoseconds = self.ask(&format!("time {command} {calls}"))?;
        Ok(Duration::from_nanos(nanoseconds.parse()?))
    }

    /// The results for the first `count` queries.
    pub fn results(
        &mut self,
        command: &str,
        count: usize,
    ) -> Result<[Vec<f32>; 2], Box<dyn Error>> {
        self.ask(&format!("check {command} {count}"))?;
        let load = |name| NpyArray::load(self.folder.join(name))?.to_f32();
        Ok([load("first.npy")?, load("second.npy")?])
    }
}

/// Fails unless both sides have the same results.
pub fn check(work: &mut Work, numpy: &mut Numpy) -> Result<(), Box<dyn Error>> {
    let count = work.checked.max(work.queries);
    let ours = all_results(work.engine.as_mut(), count, work.queries);
    let theirs = match &mut work.peer {
        Peer::Python(_, command) => numpy.results(command, count)?,
        Peer::Engine(_, engine) => all_results(engine.as_mut(), count, work.queries),
    };
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let width = theirs.len() / count;
        if ours.len() != theirs.len() {
            return Err(
                format!("{}: {} values, not {}", work.title, ours.len(), theirs.len()).into()
            );
        }
        for (query, (ours, theirs)) in ours.chunks(width).zip(theirs.chunks(width)).enumerate() {
            let largest = theirs.iter().fold(0.0f32, |top, value| top.max(value.abs()));
            for (ours, theirs) in ours.iter().zip(theirs) {
                if (ours - theirs).abs() > work.tolerance * largest {
                    let title = &work.title;
                    return Err(
                        format!("{title}: query {query}: {ours} here, {theirs} there").into()
                    );
                }
            }
        }
    }
    Ok(())
}

fn all_results(engine: &mut dyn Engine, count: usize, step: usize) -> [Vec<f32>; 2] {
    let mut all = [Vec::new(), Vec::new()];
    for query in (0..count).step_by(step) {
        engine.call(query);
        for (all, new) in all.iter_mut().zip(engine.results()) {
            all.extend(new);
        }
    }
    all
}

impl Drop for Numpy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

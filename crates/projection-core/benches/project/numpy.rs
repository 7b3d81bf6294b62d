//! NumPy, in a process of its own.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ndarray::ArrayView2;
use projection_core::npy::NpyArray;

use crate::work::{QUERIES, Work};

/// How far results may be apart, relative to the largest value of a result.
const TOLERANCE: f32 = 1e-5;

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

    pub fn time(&mut self, work: &Work, calls: u64) -> Result<Duration, Box<dyn Error>> {
        let nanoseconds = self.ask(&format!("time {} {calls}", work.command))?;
        Ok(Duration::from_nanos(nanoseconds.parse()?))
    }

    /// Fails unless both sides have the same results for all queries.
    pub fn check(&mut self, work: &mut Work) -> Result<(), Box<dyn Error>> {
        let mut ours = [Vec::new(), Vec::new()];
        for query in (0..QUERIES).step_by(work.queries) {
            work.engine.call(query);
            for (all, new) in ours.iter_mut().zip(work.engine.results()) {
                all.extend(new);
            }
        }
        self.ask(&format!("check {}", work.command))?;
        for (ours, name) in ours.iter().zip(["first.npy", "second.npy"]) {
            let theirs = NpyArray::load(self.folder.join(name))?.to_f32()?;
            let width = theirs.len() / QUERIES;
            let ours = ArrayView2::from_shape((QUERIES, width), ours)?;
            for (query, theirs) in theirs.chunks(width).enumerate() {
                let largest = theirs.iter().fold(0.0f32, |top, value| top.max(value.abs()));
                for (ours, theirs) in ours.row(query).iter().zip(theirs) {
                    if (ours - theirs).abs() > TOLERANCE * largest {
                        let title = &work.title;
                        return Err(format!(
                            "{title}: query {query}: the engine has {ours}, NumPy {theirs}"
                        )
                        .into());
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Numpy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! Measures how long training takes and how much memory, on vectors that are made up:
//!
//! ```text
//! cargo run --release --example training_time -- [ANSWERS [QUESTIONS [DIMENSION]]]
//! ```
//!
//! 10,000 answers, 10,000 questions and 384 numbers each unless given. Every question
//! belongs to a random answer, so that about a third of as many answers have none.

use std::time::Instant;

use ndarray::Array2;
use projection_core::train::{Method, Progress, TrainingData, TrainingOptions, train_model};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let numbers = std::env::args().skip(1).map(|text| text.parse());
    let numbers = numbers.collect::<Result<Vec<usize>, _>>()?;
    let number = |at: usize, usual| numbers.get(at).copied().unwrap_or(usual).max(1);
    let (answers, questions, dim) = (number(0, 10_000), number(1, 10_000), number(2, 384));
    let data = made_up(answers, questions, dim)?;
    let headed = data.headed().iter().filter(|headed| **headed).count();
    println!(
        "{questions} questions, {answers} answers, {headed} of them with questions, dimension \
         {dim}, {} processors",
        std::thread::available_parallelism().map_or(1, |n| n.get())
    );
    for (name, method) in [("fixed parameters", Method::Residual), ("tuned", Method::Auto)] {
        let (started, before) = (Instant::now(), cpu_seconds());
        let options = TrainingOptions { method, ..TrainingOptions::default() };
        let mut stages = Stages::default();
        let trained = train_model(&data, &options, &mut |progress| stages.enter(progress))?;
        let seconds = started.elapsed().as_secs_f64();
        stages.leave();
        print!("{name}: {seconds:.1} s");
        if let (Some(before), Some(after)) = (before, cpu_seconds()) {
            print!(", {:.1} s of processor time", after - before);
        }
        if let Some(peak) = peak_memory() {
            print!(", peak memory {} MB", peak / 1000);
        }
        println!("; {}", trained.recipe);
        for (stage, seconds) in stages.times {
            println!("  {stage}: {seconds:.1} s");
        }
    }
    Ok(())
}

/// Time by stage of training.
#[derive(Default)]
struct Stages {
    now: Option<(&'static str, Instant)>,
    times: Vec<(&'static str, f64)>,
}

impl Stages {
    fn enter(&mut self, progress: Progress) {
        if self.now.is_none_or(|(stage, _)| stage != progress.stage) {
            self.leave();
            self.now = Some((progress.stage, Instant::now()));
        }
    }

    fn leave(&mut self) {
        let Some((stage, started)) = self.now.take() else { return };
        let seconds = started.elapsed().as_secs_f64();
        match self.times.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += seconds,
            None => self.times.push((stage, seconds)),
        }
    }
}

/// Answers in random directions, questions between theirs and a common one.
fn made_up(answers: usize, questions: usize, dim: usize) -> AnyResult<TrainingData> {
    let mut random = Random(1);
    let targets = Array2::from_shape_simple_fn((answers, dim), || random.value());
    let common: Vec<f32> = (0..dim).map(|_| random.value()).collect();
    let labels: Vec<usize> = (0..questions).map(|_| random.below(answers)).collect();
    let questions = Array2::from_shape_fn((questions, dim), |(row, column)| {
        0.5 * targets[(labels[row], column)] + 0.4 * common[column] + random.value()
    });
    Ok(TrainingData::new(targets.view(), questions.view(), labels)?)
}

/// A generator (xorshift64*), which is random enough here.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Nearly normal: the sum of four even ones.
    fn value(&mut self) -> f32 {
        (0..4).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).sum()
    }
}

/// What all threads took so far, where the system tells: Linux counts in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in brackets, may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

/// The most memory that the program had at a time, in KB, where the system tells.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

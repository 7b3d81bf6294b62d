//! The engine beside NumPy: the same model, the same queries, the same run, one thread each.
//!
//! `numpy_peer.py` runs as a process of its own ($PYTHON, or `python3`, with NumPy) and
//! measures itself, so that no time is lost between the processes. Both sides must first
//! agree on the results. Criterion then measures each side; at the end both take turns, so
//! that whatever else the machine does meets both, and a table gives the ratio.
//!
//! `cargo bench --bench project -- --quick` is a short run for continuous integration.

#[path = "project/numpy.rs"]
mod numpy;
#[path = "project/work.rs"]
mod work;

use std::error::Error;
use std::time::Duration;

use criterion::{Criterion, Throughput};

use numpy::Numpy;
use work::{Data, Work};

fn main() -> Result<(), Box<dyn Error>> {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let folder = tempfile::tempdir()?;
    let data = Data::random(10_000);
    data.save(folder.path())?;
    let mut numpy = Numpy::start(folder.path())?;
    let mut all = data.all_work()?;
    for work in &mut all {
        numpy.check(work)?;
    }

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    let mut measured = Vec::new();
    for mut work in all {
        let mut asked_for = false;
        let mut group = criterion.benchmark_group(&work.title);
        group.throughput(Throughput::Elements(work.queries as u64));
        group.bench_function("engine", |bencher| {
            asked_for = true;
            bencher.iter_custom(|calls| work.time(calls));
        });
        group.bench_function("NumPy", |bencher| {
            asked_for = true;
            bencher.iter_custom(|calls| numpy.time(&work, calls).expect("NumPy measures"));
        });
        group.finish();
        if asked_for {
            measured.push(work);
        }
    }
    criterion.final_summary();
    // Cargo says `--bench` to measure; without it this is a test that everything runs.
    if given("--bench") {
        let rounds = if given("--quick") { 9 } else { 31 };
        print_table(&mut measured, &mut numpy, rounds)?;
    }
    Ok(())
}

/// Makes both sides take turns and prints what one call took.
fn print_table(all: &mut [Work], numpy: &mut Numpy, rounds: usize) -> Result<(), Box<dyn Error>> {
    println!("\n{}", numpy.about);
    println!("{rounds} rounds in turn, one thread, µs a call: median, least, middle half\n");
    let heading = ["engine", "NumPy", "NumPy ÷ engine"];
    println!("{:31} {:>30}  {:>30}  {:>14}", "", heading[0], heading[1], heading[2]);
    for work in all {
        let engine_calls = calls_a_round(|calls| Ok(work.time(calls)))?;
        let numpy_calls = calls_a_round(|calls| numpy.time(work, calls))?;
        let (mut engine_times, mut numpy_times) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Whoever is first finds what the other left in the caches, so both are.
            for engine_runs in [round % 2 == 0, round % 2 != 0] {
                if engine_runs {
                    engine_times.push(microseconds(work.time(engine_calls), engine_calls));
                } else {
                    numpy_times.push(microseconds(numpy.time(work, numpy_calls)?, numpy_calls));
                }
            }
        }
        let (engine, numpy) = (Spread::of(engine_times), Spread::of(numpy_times));
        let ratio = numpy.median / engine.median;
        println!("{:31} {engine}  {numpy}  {ratio:>14.2}", work.title);
    }
    println!("\nAbove 1, the engine is faster.");
    Ok(())
}

fn microseconds(time: Duration, calls: u64) -> f64 {
    time.as_secs_f64() * 1e6 / calls as f64
}

/// How many calls take about ten milliseconds.
fn calls_a_round(
    mut time: impl FnMut(u64) -> Result<Duration, Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let mut calls = 1;
    while time(calls)? < Duration::from_millis(5) {
        calls *= 2;
    }
    Ok(2 * calls)
}

/// The times of one side, in microseconds a call.
struct Spread {
    median: f64,
    least: f64,
    middle_half: (f64, f64),
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
        Self { median: at(0.5), least: times[0], middle_half: (at(0.25), at(0.75)) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, high) = self.middle_half;
        let half = format!("{low:.2}–{high:.2}");
        write!(f, "{:>8.2} {:>8.2} {half:>15}", self.median, self.least)
    }
}

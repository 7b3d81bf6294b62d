//! The engine beside NumPy: the same model, the same queries, the same run, one thread each.
//!
//! `numpy_peer.py` runs as a process of its own ($PYTHON, or `python3`, with NumPy) and
//! measures itself, so that no time is lost between the processes. Both sides must first
//! agree on the results. Then both take turns, so that whatever else the machine does meets
//! both, and a table gives the ratio, and the share of what the machine can do at most.
//!
//! `cargo bench --bench project -- --quick` is a short run for continuous integration; any
//! other word selects the rows that have it in their title.

#[path = "project/large.rs"]
mod large;
#[path = "project/memory.rs"]
mod memory;
#[path = "project/numpy.rs"]
mod numpy;
#[path = "project/work.rs"]
mod work;

use std::error::Error;
use std::time::{Duration, Instant};

use projection_core::kernel::peak;

use large::{Large, Row};
use numpy::Numpy;
use work::{Data, Limit, Peer, Work};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(measured) = memory::measured_here() {
        return measured;
    }
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let folder = tempfile::tempdir()?;
    let data = Data::random(100_000);
    data.save(folder.path())?;
    let mut numpy = Numpy::start(folder.path())?;
    // Cargo says `--bench` to measure; without it this is a test that everything runs.
    let rounds = match (given("--bench"), given("--quick")) {
        (false, _) => 0,
        (true, true) => 5,
        (true, false) => 31,
    };
    let limits = Limits::measure();
    println!("{}", numpy.about);
    println!("one thread unless said: {:.0} GF/s, {:.1} GB/s", limits.operations, limits.bytes);
    println!("{rounds} rounds in turn, µs a call: median, least\n");
    let heading = ["engine", "peer", "ratio", "share"];
    println!(
        "{:52} {:>21} {:>21}  {:>6} {:>6}",
        "", heading[0], heading[1], heading[2], heading[3]
    );
    for mut work in data.all_work()? {
        if filters.iter().all(|filter| work.title.contains(filter)) {
            numpy::check(&mut work, &mut numpy)?;
            measure(&mut work, &mut numpy, rounds, &limits)?;
        }
    }
    drop(data);
    // What is large is made for its rows alone, and one at a time.
    let count = match (given("--bench"), given("--quick")) {
        (true, false) => 1_000_000,
        (true, true) => 100_000,
        (false, _) => 20_000,
    };
    let large = Large::new(count, folder.path());
    let (mut small, mut many) = (None, None);
    for row in large.rows() {
        if filters.iter().all(|filter| row.title(count).contains(filter)) {
            let mut work = large.work(row)?;
            numpy::check(&mut work, &mut numpy)?;
            let time = measure(&mut work, &mut numpy, rounds, &limits)?;
            match row {
                Row::Questions { count: large::SMALL, .. } => small = time,
                Row::Questions { count: n, lists: true } if n == count => many = time,
                _ => {}
            }
        }
    }
    if let (Some(small), Some(many)) = (small, many) {
        let growth = (many / small).ln() / (count as f64 / large::SMALL as f64).ln();
        println!("\nFrom {} to {count} questions, time grows as N^{growth:.2}.", large::SMALL);
    }
    drop(large);
    drop(numpy);
    if filters.iter().all(|filter| "memory".contains(filter.as_str())) {
        memory::rows(folder.path(), count.min(100_000))?;
    }
    println!("\nRatio: peer ÷ engine, of medians; above 1, the engine is faster. Share: of what");
    println!("the machine can read from memory or compute; above 100%, caches help.");
    Ok(())
}

/// Makes both sides take turns and prints what one call took; gives the engine's median.
fn measure(
    work: &mut Work,
    numpy: &mut Numpy,
    rounds: usize,
    limits: &Limits,
) -> Result<Option<f64>, Box<dyn Error>> {
    let exact = matches!(work.peer, Peer::Engine(..));
    let (engine, peer) = (&mut work.engine, &mut work.peer);
    let mut time_peer = |calls: u64| match &mut *peer {
        Peer::Python(_, command) => numpy.time(command, calls),
        Peer::Engine(_, engine) => Ok(work::time(engine.as_mut(), calls)),
    };
    let mut time_engine = |calls| Ok(work::time(engine.as_mut(), calls));
    if rounds == 0 {
        return Ok(None);
    }
    let (mut engine_calls, mut peer_calls) =
        (calls_a_round(&mut time_engine)?, calls_a_round(&mut time_peer)?);
    if matches!(work.limit, Limit::Unknown) {
        // What a query takes depends on the query, so that each has its turn.
        engine_calls = engine_calls.next_multiple_of(work::QUERIES as u64);
        if !exact {
            peer_calls = peer_calls.next_multiple_of(work::QUERIES as u64);
        }
    }
    let (mut engine_times, mut peer_times) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whoever is first finds what the other left in the caches, so both are.
        for engine_runs in [round % 2 == 0, round % 2 != 0] {
            if engine_runs {
                engine_times.push(microseconds(time_engine(engine_calls)?, engine_calls));
            } else {
                peer_times.push(microseconds(time_peer(peer_calls)?, peer_calls));
            }
        }
    }
    let (engine, peer_time) = (Spread::of(engine_times), Spread::of(peer_times));
    let share = match work.limit {
        Limit::Unknown => None,
        Limit::Bytes(bytes) => Some(bytes as f64 / limits.bytes),
        Limit::Operations(count) => Some(count as f64 / limits.operations),
    };
    let share = share.map_or(String::new(), |least| format!("{:.0}%", least / 10.0 / engine.least));
    let name = match &work.peer {
        Peer::Python(name, _) => name,
        Peer::Engine(name, _) => name,
    };
    let ratio = peer_time.median / engine.median;
    let title = &work.title;
    println!("{title:52} {engine} {peer_time}  {ratio:>6.2} {share:>6}  {name}");
    Ok(Some(engine.median))
}

/// What one core can do.
struct Limits {
    /// Billions of operations a second, of which a multiply–add is two.
    operations: f64,
    /// Billions of bytes a second that are read from memory.
    bytes: f64,
}

impl Limits {
    fn measure() -> Self {
        let best = |mut work: Box<dyn FnMut() -> f64>| (0..15).map(|_| work()).fold(0.0, f64::max);
        let operations = best(Box::new(|| {
            let rounds = 1_000_000;
            let start = Instant::now();
            let (operations, sum) = peak::multiply_adds(rounds);
            let nanoseconds = start.elapsed().as_nanos() as f64;
            std::hint::black_box(sum);
            (operations * rounds) as f64 / nanoseconds
        }));
        let memory = vec![0.5f32; 128 << 20];
        let bytes = best(Box::new(move || {
            let start = Instant::now();
            std::hint::black_box(peak::read(&memory));
            size_of_val(&memory[..]) as f64 / start.elapsed().as_nanos() as f64
        }));
        Self { operations, bytes }
    }
}

fn microseconds(time: Duration, calls: u64) -> f64 {
    time.as_secs_f64() * 1e6 / calls as f64
}

/// How many calls take about ten milliseconds.
fn calls_a_round(
    time: &mut dyn FnMut(u64) -> Result<Duration, Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    let mut calls = 1;
    while time(calls)? < Duration::from_millis(5) {
        calls *= 2;
    }
    Ok(calls)
}

/// The times of one side, in microseconds a call.
struct Spread {
    median: f64,
    least: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        Self { median: times[times.len() / 2], least: times[0] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>10.2} {:>10.2}", self.median, self.least)
    }
}

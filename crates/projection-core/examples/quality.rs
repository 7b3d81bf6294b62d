//! Measures how many right answers each kind of model finds, on sets of embedded questions
//! and answers:
//!
//! ```text
//! cargo run --release --example quality -- [--seed N] [--unheaded SHARE] FOLDER...
//! ```
//!
//! A folder holds `answers.f16.npy` (m × d), `questions.f16.npy` (n × d) and `data.json`
//! with `question_label` (the row of the right answer, −1 for none) and `question_split`
//! (train, val or test). Models are trained on `train` and measured on `test`:
//! *closed*, where every answer has training questions, and *open*, where a fixed half of
//! the answers has none.

use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, ArrayView2, Axis};
use projection_core::evaluate::{Metrics, mcnemar, ranks};
use projection_core::npy::NpyArray;
use projection_core::projection::{
    Head, MultiHeadProjection, Projection, ResidualParts, ResidualProjection,
};
use projection_core::train::{
    ResidualTraining, TrainingData, TrainingOptions, Tuning, train_model, train_residual,
    weighted_centroid,
};

/// Seeds that the spread of a trained adapter is measured over.
const SEEDS: u64 = 8;

/// Gains that the reference tries, and the number of lifts, 0.02 apart from 0 on.
const GAINS: [f64; 2] = [0.35, 0.5];
const LIFTS: usize = 9;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let mut folders: Vec<String> = std::env::args().skip(1).collect();
    let mut tuning = Tuning::default();
    while folders.len() > 1 && folders[0].starts_with("--") {
        match folders[0].as_str() {
            "--seed" => tuning.seed = folders[1].parse()?,
            "--unheaded" => tuning.unheaded = Some(folders[1].parse()?),
            _ => break,
        }
        folders.drain(..2);
    }
    if folders.is_empty() || folders[0].starts_with("--") {
        return Err("usage: quality [--seed N] [--unheaded SHARE] FOLDER...".into());
    }
    for folder in folders {
        let set = Set::load(Path::new(&folder))?;
        for open in [false, true] {
            report(&set, open, &tuning)?;
        }
    }
    if let Some(peak) = peak_memory() {
        println!("\npeak memory {} MB", peak / 1024);
    }
    Ok(())
}

struct Set {
    name: String,
    answers: Array2<f32>,
    questions: Array2<f32>,
    labels: Vec<i64>,
    splits: Vec<String>,
}

impl Set {
    fn load(folder: &Path) -> AnyResult<Self> {
        let text = std::fs::read_to_string(folder.join("data.json"))?;
        let data: serde_json::Value = serde_json::from_str(&text)?;
        let list = |key: &str| data[key].as_array().cloned().ok_or(format!("no list '{key}'"));
        Ok(Self {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            answers: matrix(&folder.join("answers.f16.npy"))?,
            questions: matrix(&folder.join("questions.f16.npy"))?,
            labels: list("question_label")?.iter().filter_map(|v| v.as_i64()).collect(),
            splits: list("question_split")?
                .iter()
                .filter_map(|v| v.as_str().map(String::from))
                .collect(),
        })
    }
}

fn matrix(path: &Path) -> AnyResult<Array2<f32>> {
    let array = NpyArray::load(path)?;
    Ok(Array2::from_shape_vec(array.matrix_shape(), array.to_f32()?)?)
}

/// One way of splitting a set: what is trained on, and the questions that are asked.
struct Regime {
    data: TrainingData,
    questions: Array2<f32>,
    labels: Vec<usize>,
}

impl Regime {
    fn new(set: &Set, open: bool) -> AnyResult<Self> {
        let with = |split: &str| -> Vec<usize> {
            let rows = 0..set.labels.len();
            rows.filter(|i| set.splits[*i] == split && set.labels[*i] >= 0).collect()
        };
        let distinct = |rows: &[usize]| -> Vec<i64> {
            let mut labels: Vec<i64> = rows.iter().map(|i| set.labels[*i]).collect();
            labels.sort_unstable();
            labels.dedup();
            labels
        };
        let (mut train, mut test) = (with("train"), with("test"));
        let mut answers = set.answers.clone();
        // Where an answer's row has gone, in the closed regime.
        let mut rows: Vec<i64> = (0..answers.nrows() as i64).collect();
        if open {
            let asked: Vec<usize> = (0..set.labels.len()).filter(|i| set.labels[*i] >= 0).collect();
            let mut headed = distinct(&asked);
            NumPyRandom::new(7).shuffle(&mut headed);
            headed.truncate(headed.len() / 2);
            train.retain(|i| headed.contains(&set.labels[*i]));
        } else {
            let kept = distinct(&train);
            let numbers: Vec<usize> = kept.iter().map(|row| *row as usize).collect();
            answers = answers.select(Axis(0), &numbers);
            rows.fill(-1);
            kept.iter().enumerate().for_each(|(new, old)| rows[*old as usize] = new as i64);
            test.retain(|i| rows[set.labels[*i] as usize] >= 0);
        }
        let labels = |numbers: &[usize]| -> Vec<usize> {
            numbers.iter().map(|i| rows[set.labels[*i] as usize] as usize).collect()
        };
        let questions = set.questions.select(Axis(0), &train);
        let data = TrainingData::new(answers.view(), questions.view(), labels(&train))?;
        let asked = set.questions.select(Axis(0), &test);
        // The same normalisation as the training questions get.
        let asked = TrainingData::new(answers.view(), asked.view(), labels(&test))?;
        Ok(Self { data, questions: asked.questions().to_owned(), labels: asked.labels().to_vec() })
    }

    fn threads(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }

    fn ranks(&self, queries: ArrayView2<'_, f32>) -> Vec<usize> {
        ranks(queries, self.data.answers(), &self.labels, self.threads())
    }

    fn projected(&self, model: &dyn Projection) -> AnyResult<Vec<usize>> {
        let mut projected = Array2::zeros((self.questions.nrows(), model.output_dim()));
        model.project_batch_into(self.questions.view(), projected.view_mut(), None)?;
        Ok(self.ranks(projected.view()))
    }

    fn multi_head(&self, temperature: f64) -> AnyResult<MultiHeadProjection> {
        let mut heads = Vec::new();
        for (row, headed) in self.data.headed().into_iter().enumerate() {
            let labels = self.data.labels().iter().enumerate();
            let own: Vec<usize> = labels.filter(|(_, l)| **l == row).map(|(i, _)| i).collect();
            if headed {
                let questions = self.data.questions().select(Axis(0), &own);
                let centroid = weighted_centroid(questions.view())?;
                heads.push(Head {
                    cluster_id: row as i64,
                    centroid: centroid.into_iter().map(f64::from).collect(),
                    answer: self.data.answers().row(row).to_vec(),
                    matrix: None,
                });
            }
        }
        Ok(MultiHeadProjection::from_heads(heads, temperature)?)
    }

    /// Ranks by the nearest training question of each answer, and by the higher of that
    /// and the cosine of the answer itself.
    fn nearest_question(&self) -> [Vec<usize>; 2] {
        let mut found = [Vec::new(), Vec::new()];
        for (query, label) in self.questions.rows().into_iter().zip(&self.labels) {
            let cosines = self.data.answers().dot(&query);
            let mut nearest = vec![-9.0f32; cosines.len()];
            let questions = self.data.questions().dot(&query);
            for (similarity, label) in questions.iter().zip(self.data.labels()) {
                nearest[*label] = nearest[*label].max(*similarity);
            }
            let rank =
                |scores: &[f32]| 1 + scores.iter().filter(|score| **score > scores[*label]).count();
            found[0].push(rank(&nearest));
            nearest.iter_mut().zip(&cosines).for_each(|(n, c)| *n = n.max(*c));
            found[1].push(rank(&nearest));
        }
        found
    }

    fn residual(&self, training: &ResidualTraining) -> AnyResult<Vec<usize>> {
        let parts = train_residual(&self.data, training, &mut |_| {})?;
        self.projected(&ResidualProjection::new(parts)?)
    }
}

/// Gain and lift as the reference chooses them where some answers have no questions: of the
/// answers that have some a quarter is left out in turn, and so is a quarter of the
/// questions; both sorts of questions weigh the same.
fn holdout(set: &Set, regime: &Regime, fixed: &ResidualTraining) -> AnyResult<ResidualTraining> {
    let (data, headed) = (&regime.data, regime.data.headed());
    let of_validation = (0..set.labels.len()).filter(|i| set.splits[*i] == "val");
    let of_validation: Vec<usize> = of_validation
        .filter(|i| usize::try_from(set.labels[*i]).is_ok_and(|label| headed[label]))
        .collect();
    let validation = set.questions.select(Axis(0), &of_validation);
    let validation_labels: Vec<usize> =
        of_validation.iter().map(|i| set.labels[*i] as usize).collect();
    let mut left: Vec<usize> = (0..headed.len()).filter(|row| headed[*row]).collect();
    NumPyRandom::new(1).shuffle(&mut left);
    let mut order: Vec<usize> = (0..data.labels().len()).collect();
    NumPyRandom::new(11).shuffle(&mut order);
    let mut sums = vec![[(0.0, 0usize); 2]; GAINS.len() * LIFTS];
    for fold in 0..4 {
        let out: Vec<usize> = left.iter().skip(fold).step_by(4).copied().collect();
        let is_kept = |i: &usize| !out.contains(&data.labels()[*i]) && order[*i] % 4 != fold;
        let (kept, asked): (Vec<usize>, Vec<usize>) = (0..data.labels().len()).partition(is_kept);
        let kept = data.with_questions(&kept);
        let asked_labels = asked.iter().map(|i| data.labels()[*i]);
        let labels: Vec<usize> = validation_labels.iter().copied().chain(asked_labels).collect();
        let asked = data.questions().select(Axis(0), &asked);
        let queries = ndarray::concatenate(Axis(0), &[validation.view(), asked.view()])?;
        let training = ResidualTraining { lift: 1.0, ..fixed.clone() };
        let parts = train_residual(&kept, &training, &mut |_| {})?;
        let direction = parts.lift.clone().ok_or("no lift")?.0;
        let lifts = data.answers().dot(&ndarray::Array1::from(direction));
        let still = kept.headed();
        for (at, gain) in GAINS.into_iter().enumerate() {
            let parts = ResidualParts { gain, lift: None, ..parts.clone() };
            let model = ResidualProjection::new(parts)?;
            let mut projected = Array2::zeros(queries.raw_dim());
            model.project_batch_into(queries.view(), projected.view_mut(), None)?;
            let scores = projected.dot(&data.answers().t());
            for (scores, label) in scores.rows().into_iter().zip(&labels) {
                for lift in 0..LIFTS {
                    let raised = |row: usize| scores[row] + 0.02 * lift as f32 * lifts[row];
                    let own = raised(*label);
                    let rank = 1 + (0..scores.len()).filter(|row| raised(*row) > own).count();
                    let sum = &mut sums[at * LIFTS + lift][usize::from(still[*label])];
                    *sum = (sum.0 + Metrics::reciprocal(rank), sum.1 + 1);
                }
            }
        }
    }
    let score = |sums: &[(f64, usize); 2]| -> f64 {
        sums.iter().map(|(sum, count)| sum / (*count).max(1) as f64).sum()
    };
    let best = (0..sums.len()).rev().max_by(|a, b| score(&sums[*a]).total_cmp(&score(&sums[*b])));
    let best = best.unwrap_or_default();
    let (gain, lift) = (GAINS[best / LIFTS], 0.02 * (best % LIFTS) as f64);
    Ok(ResidualTraining { rotation: gain, adapter: gain, lift, ..fixed.clone() })
}

/// Ranks with an offset for answers without questions.
fn offset_ranks(regime: &Regime, model: &dyn Projection, offset: f64) -> AnyResult<Vec<usize>> {
    let headed = regime.data.headed();
    let mut projected = Array2::zeros((regime.questions.nrows(), model.output_dim()));
    model.project_batch_into(regime.questions.view(), projected.view_mut(), None)?;
    let rank = |(query, label): (ndarray::ArrayView1<'_, f32>, &usize)| {
        let mut scores = regime.data.answers().dot(&query) / query.dot(&query).sqrt();
        let raised = scores.iter_mut().zip(&headed).filter(|(_, headed)| !**headed);
        raised.for_each(|(score, _)| *score += offset as f32);
        1 + scores.iter().filter(|score| **score > scores[*label]).count()
    };
    Ok(projected.rows().into_iter().zip(&regime.labels).map(rank).collect())
}

fn report(set: &Set, open: bool, tuning: &Tuning) -> AnyResult<()> {
    let regime = Regime::new(set, open)?;
    let headed = regime.data.headed();
    println!(
        "\n{} {}: {} questions asked, {} answers, {} of them with questions, {} training questions",
        set.name,
        if open { "open" } else { "closed" },
        regime.labels.len(),
        headed.len(),
        headed.iter().filter(|headed| **headed).count(),
        regime.data.labels().len()
    );
    println!(
        "{:28} {:>6} {:>6} {:>7} {:>7} {:>8} {:>10} {:>7}",
        "method", "R@1", "R@5", "MRR@10", "headed", "unheaded", "p(cosine)", "seconds"
    );
    let cosine = regime.ranks(regime.questions.view());
    let print = |name: &str, found: &[usize], started: Instant| {
        let part = |wanted: bool| {
            let rows = found.iter().zip(&regime.labels).filter(|(_, l)| headed[**l] == wanted);
            let metrics = Metrics::of(&rows.map(|(rank, _)| *rank).collect::<Vec<_>>());
            match metrics.questions {
                0 => "-".to_string(),
                _ => format!("{:.1}", 100.0 * metrics.recall_at_1),
            }
        };
        let only = |a: &[usize], b: &[usize]| {
            a.iter().zip(b).filter(|(a, b)| **a == 1 && **b != 1).count()
        };
        let metrics = Metrics::of(found);
        println!(
            "{name:28} {:6.1} {:6.1} {:7.3} {:>7} {:>8} {:10.1e} {:7.1}",
            100.0 * metrics.recall_at_1,
            100.0 * metrics.recall_at_5,
            metrics.mrr_at_10,
            part(true),
            part(false),
            mcnemar(only(found, &cosine), only(&cosine, found)),
            started.elapsed().as_secs_f64()
        );
    };
    print("cosine", &cosine, Instant::now());
    let started = Instant::now();
    let [nearest, either] = regime.nearest_question();
    print("nearest question", &nearest, started);
    print("max(cosine, nearest)", &either, started);
    let started = Instant::now();
    print("multi-head τ=0.1", &regime.projected(&regime.multi_head(0.1)?)?, started);
    let mut fixed = ResidualTraining::fixed(&regime.data);
    fixed.adapter_training.seed = tuning.seed;
    let rotation = ResidualTraining { rotation: 0.7, adapter: 0.0, ..fixed.clone() };
    let started = Instant::now();
    print("rotation", &regime.residual(&rotation)?, started);
    let started = Instant::now();
    print("rotation + adapter", &regime.residual(&fixed)?, started);
    let of_seeds = (0..SEEDS).map(|seed| {
        let mut training = fixed.clone();
        training.adapter_training.seed = seed;
        Ok(100.0 * Metrics::of(&regime.residual(&training)?).recall_at_1)
    });
    let of_seeds = of_seeds.collect::<AnyResult<Vec<f64>>>()?;
    println!(
        "  R@1 of seeds 0 to {}: mean {:.2}, from {:.2} to {:.2}",
        SEEDS - 1,
        of_seeds.iter().sum::<f64>() / SEEDS as f64,
        of_seeds.iter().copied().fold(f64::INFINITY, f64::min),
        of_seeds.iter().copied().fold(0.0, f64::max)
    );
    if open {
        let started = Instant::now();
        let with_lift = holdout(set, &regime, &fixed)?;
        let name = format!("  s={} b={:.2} by holdout", with_lift.rotation, with_lift.lift);
        print(&name, &regime.residual(&with_lift)?, started);
    }
    let started = Instant::now();
    let options = TrainingOptions { tuning: tuning.clone(), ..TrainingOptions::default() };
    let trained = train_model(&regime.data, &options, &mut |_| {})?;
    print("auto", &regime.projected(trained.model())?, started);
    let Some(validation) = &trained.validation else { return Ok(()) };
    println!(
        "auto: {} {}; MRR@10 in validation {:.4}, fixed {:.4}, cosine {:.4}",
        trained.recipe,
        trained.recipe.to_json(),
        validation.chosen.score,
        validation.fixed.map_or(f64::NAN, |fixed| fixed.score),
        validation.cosine.score
    );
    for tried in validation.best_of_kinds() {
        println!("  tried {}: {:.4}", tried.recipe, tried.validated.score);
    }
    if let Some((cosine, model)) = validation.open {
        println!(
            "  where answers lose their questions: {:.4}, cosine {:.4}",
            model.score, cosine.score
        );
    }
    if let Some(offset) = validation.unheaded_offset {
        let scored = offset_ranks(&regime, trained.model(), offset.value)?;
        print(&format!("auto, offset {}", offset.value), &scored, Instant::now());
    }
    Ok(())
}

/// NumPy's `default_rng(seed).permutation`, so that the open regime has the half of the
/// answers that other programs choose for it. PCG64 (XSL RR 128/64), seeded by NumPy's
/// SeedSequence.
struct NumPyRandom {
    state: u128,
    increment: u128,
    /// The high half of the last number, which 32-bit draws use second.
    half: Option<u32>,
}

impl NumPyRandom {
    fn new(seed: u32) -> Self {
        let words = seed_sequence(seed);
        let wide = |high: usize| u128::from(words[high]) << 64 | u128::from(words[high + 1]);
        let mut random = Self { state: 0, increment: wide(2) << 1 | 1, half: None };
        random.step();
        random.state = random.state.wrapping_add(wide(0));
        random.step();
        random
    }

    fn step(&mut self) {
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    fn next(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        let value = folded.rotate_right((self.state >> 122) as u32);
        self.half = Some((value >> 32) as u32);
        value as u32
    }

    /// A number up to and including `last`: the first of enough bits that is not above it.
    fn up_to(&mut self, last: u32) -> u32 {
        let mask = u32::MAX >> last.leading_zeros();
        loop {
            let value = self.next() & mask;
            if value <= last {
                return value;
            }
        }
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.up_to(i as u32) as usize);
        }
    }
}

/// The first four 64-bit words that NumPy's SeedSequence makes of a small seed.
fn seed_sequence(seed: u32) -> [u64; 4] {
    let mut factor = 0x43b0_d7e5u32;
    let mut hash = |value: u32| {
        let value = value ^ factor;
        factor = factor.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(factor);
        value ^ value >> 16
    };
    let mix = |x: u32, y: u32| {
        let value = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
        value ^ value >> 16
    };
    let mut pool = [hash(seed), hash(0), hash(0), hash(0)];
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                pool[to] = mix(pool[to], hash(pool[from]));
            }
        }
    }
    let mut factor = 0x8b51_f9ddu32;
    let mut words = [0u64; 4];
    for i in 0..8 {
        let value = pool[i % 4] ^ factor;
        factor = factor.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(factor);
        words[i / 2] |= u64::from(value ^ value >> 16) << (32 * (i % 2));
    }
    words
}

/// The most memory that the program had at a time, in KB, where the system tells.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

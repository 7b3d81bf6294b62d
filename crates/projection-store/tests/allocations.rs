//! Answering a query takes no memory from the system once its thread has answered a few: for
//! every kind of model, every precision, and every way to the nearest of many heads.

mod allocator;
// Shared with other tests, which use other parts of it.
#[allow(dead_code)]
mod vectors;

use std::cell::Cell;

use allocator::Observed;
use ndarray::{Array2, s};
use projection_core::kernel::Rows;
use projection_core::kernel::progress::ignore_progress;
use projection_core::projection::{
    Head, LinearProjection, Model, MultiHeadProjection, Precision, Projection, ResidualParts,
    ResidualProjection,
};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may free its own counter before its memory.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

/// Counts what each thread asks for.
#[global_allocator]
static ALLOCATOR: Observed = Observed(|_| count());

/// What `work` asks the system for.
fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Rows around 40 points, the same in every run.
fn rows(count: usize, dim: usize, seed: u64) -> Array2<f32> {
    let random = |mut state: u64| {
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        }
    };
    let points = Array2::from_shape_simple_fn((40, dim), random(77));
    let mut noise = random(seed);
    Array2::from_shape_fn((count, dim), |(row, at)| points[[row * 7 % 40, at]] + 0.4 * noise())
}

/// Fails where `model` takes memory for a query that is not one of its thread's first.
fn check(name: &str, model: &Model) {
    let dim = model.input_dim();
    let queries = rows(24, dim, 9);
    let mut projected = vec![0.0; model.output_dim()];
    let mut weights = vec![0.0; model.head_ids().len()];
    let mut run = |weighted: bool| {
        for query in queries.rows() {
            let query = query.to_slice().expect("row-major");
            let weights = weighted.then_some(&mut weights[..]);
            model.project_into(query, &mut projected, weights).unwrap();
        }
    };
    for _ in 0..3 {
        run(true);
        run(false);
    }
    for weighted in [true, false] {
        let found = allocations(|| run(weighted));
        assert_eq!(found, 0, "{name}, with weights: {weighted}");
    }
    assert!(projected.iter().any(|value| *value != 0.0));
}

fn multi_head(count: usize, dim: usize, matrices: bool, temperature: f64) -> MultiHeadProjection {
    let (centroids, answers) = (rows(count, dim, 1), rows(count, dim, 2));
    let head = |number: usize| Head {
        cluster_id: number as i64,
        centroid: centroids.row(number).iter().copied().map(f64::from).collect(),
        answer: answers.row(number).to_vec(),
        matrix: (matrices && number % 9 == 4).then(|| rows(dim, dim, 3)),
    };
    MultiHeadProjection::from_heads((0..count).map(head).collect(), temperature).unwrap()
}

fn residual(questions: usize, dim: usize, terms: bool) -> ResidualProjection {
    let vectors = rows(questions, dim, 1);
    let mut parts = ResidualParts::new(dim);
    for head in 0..questions / 10 {
        let answer = vectors.row(head * 10 + 3).to_vec();
        let rows = vectors.slice(s![head * 10..(head + 1) * 10, ..]);
        parts.questions.push(head as i64, &answer, rows).unwrap();
    }
    ResidualProjection::new(match terms {
        false => parts,
        true => ResidualParts {
            adapter: Some(Rows::from_values(dim, rows(dim, dim, 4).as_slice().unwrap())),
            ..parts
        },
    })
    .unwrap()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))), 1);
}

#[test]
fn heads_that_all_take_part() {
    // Also a dimension that compact rows are filled up from, and one beyond the usual.
    for (count, dim) in [(18, 384), (1100, 100), (70, 5000)] {
        for temperature in [0.1, 0.001] {
            let model = multi_head(count, dim, false, temperature);
            for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
                let model = model.with_precision(precision).unwrap();
                let name = format!("{count} × {dim}, {}, {temperature}", precision.name());
                check(&name, &Model::MultiHead(model));
            }
        }
    }
    check("with matrices", &Model::MultiHead(multi_head(50, 64, true, 0.1)));
}

#[test]
fn the_nearest_heads() {
    // All are looked at, bytes of all are, and those in lists.
    for (count, lists) in [(300, false), (5000, false), (16_400, true)] {
        let model = multi_head(count, 32, false, 0.1).with_top_k(Some(10)).unwrap();
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let mut model = Model::MultiHead(model.with_precision(precision).unwrap());
            if lists {
                model = model.with_approximate_index(1, &mut ignore_progress).unwrap();
                assert!(model.index_stats().is_some());
            }
            let name = format!("10 of {count}, {}", precision.name());
            check(&name, &model);
        }
    }
    let model = multi_head(5000, 32, true, 0.1).with_top_k(Some(10)).unwrap();
    check("10 of 5000 with matrices", &Model::MultiHead(model));
}

#[test]
fn residual_models() {
    for terms in [false, true] {
        for questions in [300, 5000, 16_400] {
            let model = Model::Residual(residual(questions, 32, terms));
            check(&format!("{questions} questions"), &model);
            if questions > 16_384 {
                let model = model.with_approximate_index(1, &mut ignore_progress).unwrap();
                assert!(model.index_stats().is_some());
                check(&format!("{questions} questions in lists"), &model);
            }
        }
    }
}

#[test]
fn models_without_heads() {
    check("linear", &Model::Linear(LinearProjection::new(rows(70, 384, 5)).unwrap()));
    let path = vectors::root().join("transformer/transformer.pt");
    check("transformer", &projection_interop::load_file(path).unwrap());
}

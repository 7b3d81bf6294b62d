//! The residual projection as a graph; `projection::rotation` has the formulas.

use super::graph::{Graph, Name, QUERY};
use super::proto::{Attribute, Element};
use crate::kernel::Rows;
use crate::projection::{
    LEAST_ALIGNMENT, LEAST_NORM, LEAST_TOTAL, Projection, ResidualProjection, StoredQuestions,
};

/// How many more questions than needed single precision chooses, of which double precision
/// then takes the nearest: as many as it may misjudge.
const MORE: usize = 16;

const DOUBLE: Element = Element::Double;

pub(super) fn build(graph: &mut Graph, model: &ResidualProjection) {
    let terms = model.stored();
    let dim = terms.dim;
    let single = graph.normalised(QUERY);
    let query = graph.cast(QUERY, DOUBLE);
    let query = graph.normalised(&query);
    let mut moved: Option<Name> = None;
    let mut weights = None;
    if let Some(questions) = &terms.questions {
        let near = Near::find(graph, questions, model, (&single, &query));
        if terms.rotation {
            moved = Some(near.rotation(graph, questions, &query));
        }
        weights = Some(near.route(graph, terms.ids.len()));
    }
    if let Some(adapter) = &terms.adapter {
        let adapter = graph.floats("adapter", &[dim, dim], adapter);
        let adapted = graph.two("MatMul", &single, &adapter);
        let adapted = graph.cast(&adapted, DOUBLE);
        moved = Some(match moved {
            Some(rotation) => graph.two("Add", &rotation, &adapted),
            None => adapted,
        });
    }
    let mut sum = query;
    if let Some(moved) = moved {
        let gain = graph.scalar("gain", DOUBLE, terms.gain);
        let moved = graph.two("Mul", &moved, &gain);
        sum = graph.two("Add", &sum, &moved);
    }
    let along_rows = [Attribute::Ints("axes", vec![1]), Attribute::Int("keepdims", 1)];
    let length = graph.node("ReduceL2", &[&sum], &along_rows);
    let least = graph.scalar("least_length", DOUBLE, LEAST_NORM);
    let length = graph.two("Max", &length, &least);
    let mut projected = graph.two("Div", &sum, &length);
    if let Some((direction, factor)) = &terms.lift {
        let lift: Vec<f64> = direction.iter().map(|value| factor * f64::from(*value)).collect();
        let lift = graph.doubles("lift", &[1, dim], &lift);
        projected = graph.two("Add", &projected, &lift);
    }
    let projected = graph.cast(&projected, Element::Float);
    graph.output(&projected, "projected", dim);
    if let Some(weights) = weights {
        graph.output(&weights, "weights", model.head_ids().len());
    }
}

/// The nearest questions of each query, K of them, the one left out among them.
struct Near {
    /// Their vectors (N × d), their numbers, similarities and clusters (n × K).
    vectors: Name,
    numbers: Name,
    similarities: Name,
    clusters: Name,
    /// Their weights before normalisation (n × K), the sums of these (n × 1), whether these
    /// say anything, and what to divide by where they do.
    raw: Name,
    total: Name,
    stands_out: Name,
    divisor: Name,
    count: usize,
    scales: Name,
}

impl Near {
    fn find(
        graph: &mut Graph,
        questions: &StoredQuestions,
        model: &ResidualProjection,
        (single, query): (&str, &str),
    ) -> Self {
        let (n, dim) = (questions.scales.len(), questions.vectors.width());
        let count = model.neighbours().saturating_add(1).min(n);
        let vectors = graph.floats("questions", &[n, dim], &questions.vectors);
        let rough: Vec<f32> = questions.scales.iter().map(|scale| *scale as f32).collect();
        let rough = graph.floats("rough_scales", &[1, n], &rough);
        let scales = graph.doubles("question_scales", &[n], &questions.scales);
        let dots = graph.times_transposed(single, &vectors, None);
        let dots = graph.two("Mul", &dots, &rough);
        let candidates = top(graph, &dots, count.saturating_add(MORE).min(n), "candidate").1;
        let exact = similarities(graph, &vectors, &scales, &candidates, query);
        let (similarities, places) = top(graph, &exact, count, "near");
        let along = || [Attribute::Int("axis", 1)];
        let numbers = graph.node("GatherElements", &[&candidates, &places], &along());
        let clusters: Vec<i64> = (questions.counts.iter().enumerate())
            .flat_map(|(cluster, count)| std::iter::repeat_n(cluster as i64, *count))
            .collect();
        let clusters = graph.integers("clusters", &clusters);
        let clusters = graph.two("Gather", &clusters, &numbers);

        let along_rows = || [Attribute::Ints("axes", vec![1]), Attribute::Int("keepdims", 1)];
        let nearest = graph.node("ReduceMax", &[&similarities], &along_rows());
        let left_out = graph.node("ReduceMin", &[&similarities], &along_rows());
        let temperature = graph.scalar("temperature", DOUBLE, model.temperature());
        let exponential = |graph: &mut Graph, similarity: &str| {
            let below = graph.two("Sub", similarity, &nearest);
            let below = graph.two("Div", &below, &temperature);
            graph.one("Exp", &below)
        };
        let powers = exponential(graph, &similarities);
        let floor = exponential(graph, &left_out);
        let raw = graph.two("Sub", &powers, &floor);
        let total = sum_over(graph, &raw, 1, true);
        let least = graph.scalar("least_total", DOUBLE, LEAST_TOTAL);
        let stands_out = graph.two("Greater", &total, &least);
        let divisor = graph.two("Max", &total, &least);
        Self {
            vectors,
            numbers,
            similarities,
            clusters,
            raw,
            total,
            stands_out,
            divisor,
            count,
            scales,
        }
    }

    /// The weights, or `otherwise` where no question stands out.
    fn shares(&self, graph: &mut Graph, otherwise: f64) -> Name {
        let shares = graph.two("Div", &self.raw, &self.divisor);
        let otherwise = graph.scalar("share", DOUBLE, otherwise);
        graph.node("Where", &[&self.stands_out, &shares, &otherwise], &[])
    }

    /// Δ (n × d).
    fn rotation(&self, graph: &mut Graph, questions: &StoredQuestions, query: &str) -> Name {
        let answers = constant_rows(graph, "answers", &questions.answers);
        let answer_scales =
            graph.doubles("answer_scales", &[questions.counts.len()], &questions.answer_scales);
        let alignments =
            graph.doubles("alignments", &[questions.scales.len()], &questions.alignments);
        let s = &self.similarities;
        let t = similarities(graph, &answers, &answer_scales, &self.clusters, query);
        let alignment = graph.two("Gather", &alignments, &self.numbers);
        let one = graph.scalar("one", DOUBLE, 1.0);
        let least = graph.scalar("least_alignment", DOUBLE, LEAST_ALIGNMENT);
        let divisor = graph.two("Add", &alignment, &one);
        let divisor = graph.two("Max", &divisor, &least);
        let b = graph.two("Add", s, &t);
        let b = graph.two("Div", &b, &divisor);
        let weights = self.shares(graph, 0.0);
        let twice = graph.two("Add", s, s);
        let to_answer = graph.two("Sub", &twice, &b);
        let to_answers =
            self.weighted(graph, &to_answer, &weights, (&answers, &answer_scales), &self.clusters);
        let to_questions =
            self.weighted(graph, &b, &weights, (&self.vectors, &self.scales), &self.numbers);
        graph.two("Sub", &to_answers, &to_questions)
    }

    /// Σ factor·weight·v over the unit vectors with the given numbers.
    fn weighted(
        &self,
        graph: &mut Graph,
        factors: &str,
        weights: &str,
        (vectors, scales): (&str, &str),
        numbers: &str,
    ) -> Name {
        let factors = graph.two("Mul", factors, weights);
        let scales = graph.two("Gather", scales, numbers);
        let factors = graph.two("Mul", &factors, &scales);
        let last = graph.integers("axes", &[2]);
        let factors = graph.two("Unsqueeze", &factors, &last);
        let vectors = graph.two("Gather", vectors, numbers);
        let vectors = graph.cast(&vectors, DOUBLE);
        let terms = graph.two("Mul", &vectors, &factors);
        sum_over(graph, &terms, 1, false)
    }

    /// Routing weights (n × heads).
    fn route(&self, graph: &mut Graph, heads: usize) -> Name {
        let shares = self.shares(graph, 1.0 / self.count as f64);
        let zeros = graph.doubles("zeros", &[1, heads], &vec![0.0; heads]);
        let none = graph.two("Mul", &self.total, &zeros);
        let add = [Attribute::Int("axis", 1), Attribute::Text("reduction", "add")];
        let weights = graph.node("ScatterElements", &[&none, &self.clusters, &shares], &add);
        graph.cast(&weights, Element::Float)
    }
}

fn constant_rows(graph: &mut Graph, what: &str, rows: &Rows) -> Name {
    graph.floats(what, &[rows.count(), rows.width()], rows)
}

/// The `k` largest of each row, with their places.
fn top(graph: &mut Graph, values: &str, k: usize, what: &str) -> (Name, Name) {
    let k = graph.integers("k", &[k as i64]);
    let (found, places) = (format!("{what}_values"), format!("{what}_places"));
    let along = [Attribute::Int("axis", 1)];
    graph.node_into("TopK", &[values, &k], &[&found, &places], &along);
    (found, places)
}

/// Cosines of the query with the vectors of the given numbers, in double precision.
fn similarities(
    graph: &mut Graph,
    vectors: &str,
    scales: &str,
    numbers: &str,
    query: &str,
) -> Name {
    let vectors = graph.two("Gather", vectors, numbers);
    let vectors = graph.cast(&vectors, DOUBLE);
    let middle = graph.integers("axes", &[1]);
    let query = graph.two("Unsqueeze", query, &middle);
    let products = graph.two("Mul", &vectors, &query);
    let dots = sum_over(graph, &products, 2, false);
    let scales = graph.two("Gather", scales, numbers);
    graph.two("Mul", &dots, &scales)
}

fn sum_over(graph: &mut Graph, values: &str, axis: i64, keep: bool) -> Name {
    let axes = graph.integers("axes", &[axis]);
    graph.node("ReduceSum", &[values, &axes], &[Attribute::Int("keepdims", i64::from(keep))])
}

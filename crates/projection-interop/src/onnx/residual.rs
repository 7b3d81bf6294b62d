//! The residual projection as a graph; `projection::rotation` has the formulas.

use super::graph::{AXIS_1, Graph, Value};
use super::proto::{Attribute, Element};
use crate::projection::{
    MIN_ALIGNMENT, MIN_NORM, MIN_TOTAL_WEIGHT, Projection, Questions, ResidualProjection,
};

/// How many more questions than needed are chosen in single precision, from which double
/// precision then takes the nearest: as many as rounding may misplace.
const MORE: usize = 16;

pub(super) fn build(graph: &Graph, model: &ResidualProjection) {
    let terms = model.parts();
    let (dim, questions) = (terms.dim(), &terms.questions);
    let single = graph.query().normalised();
    let query = graph.query().cast(Element::Double).normalised();
    let (mut moved, mut weights) = (None, None);
    if !questions.is_empty() {
        let near = Near::find(graph, questions, model, (single, query));
        moved = terms.rotation.then(|| near.rotation(graph, questions, query));
        weights = Some(near.route(graph, questions.cluster_ids().len()));
    }
    if let Some(adapter) = &terms.adapter {
        let adapter = graph.floats("adapter", &[dim, dim], adapter);
        let adapted = single.node("MatMul", &[adapter], &[]).cast(Element::Double);
        moved = Some(moved.map_or(adapted, |rotation| rotation + adapted));
    }
    let sum = moved.map_or(query, |moved| query + moved * query.scalar(terms.gain));
    let projected = sum / sum.reduce_rows("ReduceL2").at_least(MIN_NORM);
    projected.cast(Element::Float).output("projected", dim);
    if let Some(weights) = weights {
        weights.output("weights", model.head_ids().len());
    }
}

/// Vectors that become unit vectors when multiplied by their scales (N × d and N).
#[derive(Clone, Copy)]
struct Vectors<'g> {
    rows: Value<'g>,
    scales: Value<'g>,
}

impl<'g> Vectors<'g> {
    /// Cosines of the query with the vectors of the given numbers (n × K), in double precision.
    fn similarities(&self, numbers: Value<'g>, query: Value<'g>) -> Value<'g> {
        let rows = self.rows.gather(numbers).cast(Element::Double);
        (rows * query.unsqueeze(1)).sum(2, false) * self.scales.gather(numbers)
    }

    /// Σ factor·v over the unit vectors with the given numbers.
    fn weighted(&self, factors: Value<'g>, numbers: Value<'g>) -> Value<'g> {
        let factors = (factors * self.scales.gather(numbers)).unsqueeze(2);
        (self.rows.gather(numbers).cast(Element::Double) * factors).sum(1, false)
    }
}

/// The K nearest questions of each query, of which the least similar one only sets the
/// threshold.
struct Near<'g> {
    questions: Vectors<'g>,
    /// Numbers, similarities and clusters of the nearest questions (n × K).
    numbers: Value<'g>,
    similarities: Value<'g>,
    clusters: Value<'g>,
    /// Their weights before normalisation (n × K) and the sums of these (n × 1).
    raw: Value<'g>,
    total: Value<'g>,
    count: usize,
}

impl<'g> Near<'g> {
    fn find(
        graph: &'g Graph,
        questions: &Questions,
        model: &ResidualProjection,
        (single, query): (Value<'g>, Value<'g>),
    ) -> Self {
        let (n, dim, facts) = (questions.len(), questions.dim(), questions.facts());
        let count = model.parts().neighbours.saturating_add(1).min(n);
        let rows = graph.floats("questions", &[n, dim], questions.vectors());
        let scales = graph.doubles("question_scales", &[n], &facts.scales);
        let clusters: Vec<i64> = facts.clusters.iter().map(|cluster| *cluster as i64).collect();
        let clusters = graph.integers("clusters", &clusters);

        let rough: Vec<f32> = facts.scales.iter().map(|scale| *scale as f32).collect();
        let rough = graph.floats("rough_scales", &[1, n], &rough);
        let dots = single.times_transposed(rows, None) * rough;
        let (_, shortlist) = dots.top_k(count.saturating_add(MORE).min(n));
        let questions = Vectors { rows, scales };
        let (similarities, columns) = questions.similarities(shortlist, query).top_k(count);
        let numbers = shortlist.node("GatherElements", &[columns], AXIS_1);

        let nearest = similarities.reduce_rows("ReduceMax");
        let left_out = similarities.reduce_rows("ReduceMin");
        let temperature = query.scalar(model.temperature());
        let exponential =
            |similarity: Value<'g>| ((similarity - nearest) / temperature).node("Exp", &[], &[]);
        let raw = exponential(similarities) - exponential(left_out);
        let clusters = clusters.gather(numbers);
        Self { questions, numbers, similarities, clusters, raw, total: raw.sum(1, true), count }
    }

    /// The weights, or `otherwise` if no question stands out.
    fn shares(&self, otherwise: f64) -> Value<'g> {
        let stands_out = self.total.node("Greater", &[self.total.scalar(MIN_TOTAL_WEIGHT)], &[]);
        let shares = self.raw / self.total.at_least(MIN_TOTAL_WEIGHT);
        stands_out.node("Where", &[shares, shares.scalar(otherwise)], &[])
    }

    /// Δ (n × d).
    fn rotation(&self, graph: &'g Graph, questions: &Questions, query: Value<'g>) -> Value<'g> {
        let (rows, facts) = (questions.targets(), questions.facts());
        let count = rows.count();
        let rows = graph.floats("answers", &[count, questions.dim()], rows);
        let scales = graph.doubles("answer_scales", &[count], &facts.target_scales);
        let answers = Vectors { rows, scales };
        let alignments = graph.doubles("alignments", &[questions.len()], &facts.alignments);
        let s = self.similarities;
        let t = answers.similarities(self.clusters, query);
        let alignment = alignments.gather(self.numbers);
        let b = (s + t) / (alignment + s.scalar(1.0)).at_least(MIN_ALIGNMENT);
        let weights = self.shares(0.0);
        answers.weighted((s + s - b) * weights, self.clusters)
            - self.questions.weighted(b * weights, self.numbers)
    }

    /// Routing weights (n × heads).
    fn route(&self, graph: &'g Graph, heads: usize) -> Value<'g> {
        let shares = self.shares(1.0 / self.count as f64);
        let none = self.total * graph.doubles("zeros", &[1, heads], &vec![0.0; heads]);
        let add = [Attribute::Int("axis", 1), Attribute::Text("reduction", "add")];
        none.node("ScatterElements", &[self.clusters, shares], &add).cast(Element::Float)
    }
}

//! Projecting by the nearest of many heads, without looking at all of them.

use std::sync::Arc;
use std::sync::OnceLock;

use ndarray::ArrayViewMut2;

use super::heads::{HeadVectors, Heads};
use super::{MultiHeadProjection, route};
use crate::error::{Error, ErrorKind, Result};
use crate::ivf::MIN_INDEX_ROWS;
use crate::ivf::{IndexStats, IvfIndex, UnitVectors, scan_pays_off};
use crate::kernel::Scratch;
use crate::kernel::{self, parallel};

/// A head that takes part, and its weight.
type Part = (usize, f32);

/// Queries that one thread takes at a time.
const BLOCK: usize = 8;

/// From so many heads on, the queries of a batch are looked up one by one; products of blocks
/// of queries with fewer heads take less time.
const ONE_BY_ONE_FROM: usize = 4096;

impl MultiHeadProjection {
    /// The same model with its heads in lists, so that the nearest of many are found without
    /// comparing a query with each. Only from 16,384 heads on, where
    /// [`top_k`](Self::top_k) lets few of them take part, and where the lists find at least
    /// 99% of the true nearest heads of queries that are held out; otherwise the model stays
    /// as it is. Takes three seconds for 40,000 heads and minutes for 1,000,000, on one thread;
    /// the result does not depend on the number of threads. Files that the model is saved to
    /// hold the lists.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::InvalidModel`] for a model from a mapped file
    /// whose values are not sound.
    pub fn with_approximate_index(&self, threads: usize) -> Result<Self> {
        self.check_values()?;
        let heads = &*self.heads;
        let few = heads.ids.len() < MIN_INDEX_ROWS || !scan_pays_off(heads.ids.len(), heads.dim);
        if few || self.top_k.is_none() || self.index_stats().is_some() {
            return Ok(self.clone());
        }
        let lists = heads.with_units(|units| IvfIndex::build(units, &[], threads));
        if lists.is_exact() {
            return Ok(self.clone());
        }
        Ok(self.clone().with_stored_index(Some(Arc::new(lists))))
    }

    /// The same model with these lists instead of its own.
    pub fn with_stored_index(mut self, lists: Option<Arc<IvfIndex>>) -> Self {
        let lists = lists.map_or_else(OnceLock::new, OnceLock::from);
        if let Some(heads) = Arc::get_mut(&mut self.heads) {
            heads.lists = lists;
            return self;
        }
        let heads = &*self.heads;
        let heads = Heads {
            ids: heads.ids.clone(),
            vectors: heads.vectors.clone(),
            matrices: heads.matrices.clone(),
            unread: heads.unread.clone(),
            lists,
            ..*heads
        };
        Self { heads: Arc::new(heads), ..self }
    }

    /// The lists that may miss a head, where there are any.
    pub fn stored_index(&self) -> Option<Arc<IvfIndex>> {
        self.heads.approximate().cloned()
    }

    /// The centroids, which lists are made of.
    pub fn with_listed_units<R>(&self, work: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        self.heads.with_units(work)
    }

    /// What was found out when the lists were made, where there are any.
    pub fn index_stats(&self) -> Option<IndexStats> {
        self.heads.approximate().map(|lists| lists.stats())
    }

    /// The heads that take part for a query of the given norm, where these are few of many;
    /// `None` where all heads are to be looked at.
    pub fn nearest_parts(&self, query: &[f32], norm: f64) -> Option<Scratch<Part>> {
        let heads = &*self.heads;
        let k = self.top_k.filter(|k| *k < heads.ids.len())?;
        if !scan_pays_off(heads.ids.len(), heads.dim) || !route::SINGLE_NORMS.contains(&norm) {
            return None;
        }
        let unit: Scratch<f32> =
            query.iter().map(|value| (f64::from(*value) / norm) as f32).collect();
        let candidates = heads.lists().shortlist(&unit, k, None)?;
        let candidates = candidates.iter().copied();
        let cosines = heads.cosines_in_double(query, norm, candidates.clone());
        let mut nearest: Scratch<(f64, usize)> = cosines.zip(candidates).collect();
        nearest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        nearest.truncate(k);
        let cosines: Scratch<f64> = nearest.iter().map(|(cosine, _)| *cosine).collect();
        let mut weights = Scratch::filled(nearest.len(), 0.0);
        kernel::softmax_f64(&cosines, self.temperature, &mut weights);
        Some(nearest.iter().map(|(_, head)| *head).zip(weights.iter().copied()).collect())
    }

    /// [`project_batch_on`](Self::project_batch_on) by the nearest heads of each query, of
    /// known norms; whether it was done so.
    pub fn project_nearest(
        &self,
        threads: usize,
        queries: &[f32],
        norms: &[f64],
        projected: &mut ArrayViewMut2<'_, f32>,
        weights: &mut Option<ArrayViewMut2<'_, f32>>,
    ) -> Result<bool> {
        let heads = &*self.heads;
        let few = self.top_k.is_some_and(|k| k < heads.ids.len());
        if !few || heads.ids.len() < ONE_BY_ONE_FROM || !scan_pays_off(heads.ids.len(), heads.dim) {
            return Ok(false);
        }
        let mut found = Vec::new();
        found.resize_with(norms.len(), || None);
        parallel::parallel_chunks(threads, &mut found, 1, BLOCK, |rows, found| {
            for (row, found) in rows.zip(found) {
                let query = &queries[row * heads.dim..][..heads.dim];
                let Some(parts) = self.nearest_parts(query, norms[row]) else { return };
                let mut sum = vec![0.0; heads.output_dim];
                let combined = heads.combine_parts(query, &parts, &mut sum);
                *found = Some((parts.to_vec(), combined.map(|()| sum)));
            }
        });
        let Some(found) = found.into_iter().collect::<Option<Vec<_>>>() else { return Ok(false) };
        // A matrix may overflow on a later row, and then nothing may have been written.
        let mut results = Vec::with_capacity(found.len());
        for (row, (parts, sum)) in found.into_iter().enumerate() {
            results.push((parts, sum.map_err(|error| error.context(format!("row {row}")))?));
        }
        for (mut projected, (_, sum)) in projected.rows_mut().into_iter().zip(&results) {
            projected.iter_mut().zip(sum).for_each(|(projected, value)| *projected = *value);
        }
        if let Some(weights) = weights {
            weights.fill(0.0);
            for (mut weights, (parts, _)) in weights.rows_mut().into_iter().zip(&results) {
                parts.iter().for_each(|(head, weight)| weights[*head] = *weight);
            }
        }
        Ok(true)
    }
}

impl Heads {
    /// What finds the nearest heads; made when it is first needed.
    fn lists(&self) -> &IvfIndex {
        self.lists.get_or_init(|| Arc::new(self.with_units(IvfIndex::flat)))
    }

    /// The lists where they may miss a head.
    pub fn approximate(&self) -> Option<&Arc<IvfIndex>> {
        self.lists.get().filter(|lists| !lists.is_exact())
    }

    fn with_units<R>(&self, make: impl FnOnce(UnitVectors<'_>) -> R) -> R {
        let copy = |head: usize, unit: &mut [f32]| match &self.vectors {
            HeadVectors::Single { centroids, .. } => unit.copy_from_slice(centroids.row(head)),
            HeadVectors::Compact { centroids, .. } => centroids.decode(head, unit),
        };
        make(UnitVectors { count: self.ids.len(), dim: self.dim, copy_row: &copy })
    }

    /// Σ w_k a_k of some heads, with w_k W_k q for those that have a matrix.
    pub fn combine_parts(
        &self,
        query: &[f32],
        parts: &[Part],
        projected: &mut [f32],
    ) -> Result<()> {
        let width = self.output_dim;
        let mut answers = Scratch::filled(parts.len() * width, 0.0);
        for (answer, (head, _)) in answers.chunks_exact_mut(width).zip(parts) {
            match &self.vectors {
                HeadVectors::Single { answers, .. } => answer.copy_from_slice(answers.row(*head)),
                HeadVectors::Compact { answers, .. } => answers.decode(*head, answer),
            }
            if let Ok(at) = self.matrices.binary_search_by_key(head, |(head, _)| *head) {
                kernel::dots(query, &self.matrices[at].1, answer);
            }
        }
        let weights: Scratch<f32> = parts.iter().map(|(_, weight)| *weight).collect();
        let mut sum = Scratch::filled(width, 0.0);
        kernel::weighted_sum(&weights, &answers, &mut sum);
        if sum.iter().any(|value| !value.is_finite()) {
            return Err(Error::new(ErrorKind::NotFinite, super::OVERFLOWS));
        }
        projected.copy_from_slice(&sum);
        Ok(())
    }
}

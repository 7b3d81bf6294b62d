//! The answers of an index as the projections see them that were used last.

use std::sync::{Arc, Mutex, PoisonError};

use super::AnswerSide;
use crate::error::Result;
use crate::projection::{Projection, ResidualProjection};

/// Projections whose answer side is kept, so that a server that compares a few does not work it
/// out for every query.
const KEPT: usize = 4;

#[derive(Debug)]
struct Known {
    /// The projection's heads.
    heads: Vec<i64>,
    /// The projection, if it moves answers.
    moving: Option<ResidualProjection>,
    side: Arc<AnswerSide>,
}

impl Known {
    fn is_of(&self, projection: &dyn Projection) -> bool {
        let alike = match (&self.moving, moving(projection)) {
            (None, None) => true,
            (Some(own), Some(other)) => own.moves_answers_as(other),
            _ => false,
        };
        alike && self.heads == projection.head_ids()
    }
}

/// The projection, if it moves answers.
pub fn moving(projection: &dyn Projection) -> Option<&ResidualProjection> {
    projection.as_residual().filter(|residual| residual.moves_answers())
}

/// The answer sides of the projections that were used last; empty after the answers changed.
#[derive(Debug, Default)]
pub struct AnswerSides(Mutex<Vec<Known>>);

impl AnswerSides {
    /// The answer side of a projection.
    pub fn get(
        &self,
        projection: &dyn Projection,
        make: impl FnOnce() -> Result<AnswerSide>,
    ) -> Result<Arc<AnswerSide>> {
        // The list is whole at any moment, also after a panic elsewhere.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().iter().find(|known| known.is_of(projection)) {
            return Ok(Arc::clone(&known.side));
        }
        Ok(self.put(projection, make()?))
    }

    pub fn clear(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps the answer side of a projection in place of an earlier one.
    pub fn put(&self, projection: &dyn Projection, side: AnswerSide) -> Arc<AnswerSide> {
        let (side, heads) = (Arc::new(side), projection.head_ids().to_vec());
        let moving = moving(projection).cloned();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|known| !known.is_of(projection));
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(Known { heads, moving, side: Arc::clone(&side) });
        side
    }
}

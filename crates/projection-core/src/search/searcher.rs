//! Search over the answers of a store.

use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array2, ArrayView2};

use super::{Hit, Index};
use crate::error::{Error, ErrorKind, Result};
use crate::npy::NpyArray;
use crate::projection::Projection;
use crate::store::Store;

/// The embedded answers of a store, with their texts. A snapshot: answers that are embedded
/// later are seen by searchers made later. Immutable, to be shared by any number of threads.
#[derive(Debug, Clone)]
pub struct Searcher {
    index: Index,
    texts: HashMap<i64, String>,
}

impl Searcher {
    /// Opens the answers that the store at `database` has vectors of, by the text model
    /// `model_name`, or by the only one there is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the database, the model or any answer's vector does
    /// not exist, [`ErrorKind::AmbiguousModel`] where `model_name` is `None` and there are
    /// several models, and as [`Index::from_vectors`] where vectors are unusable.
    pub fn open(database: impl AsRef<Path>, model_name: Option<&str>) -> Result<Self> {
        Self::from_store(&Store::open_read_only(database)?, model_name)
    }

    /// [`open`](Self::open) from a store that is open already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_store(store: &Store, model_name: Option<&str>) -> Result<Self> {
        let model = store.embedding_model(model_name)?;
        let answers = store.embedded_answers(&model)?;
        if answers.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{}: no answer has a vector by the model '{}'; embed the store first",
                    store.path().display(),
                    model.name
                ),
            ));
        }
        let mut ids = Vec::with_capacity(answers.len());
        let mut texts = HashMap::with_capacity(answers.len());
        let mut vectors = Vec::with_capacity(answers.len() * model.dimension);
        for answer in answers {
            let array = NpyArray::load(&answer.vector)?;
            if array.vector_len()? != model.dimension {
                return Err(Error::new(
                    ErrorKind::DimensionMismatch,
                    format!(
                        "{}: vector of dimension {}, expected {} as the model '{}' has",
                        answer.vector.display(),
                        array.vector_len()?,
                        model.dimension,
                        model.name
                    ),
                ));
            }
            vectors.extend_from_slice(&array.to_f32()?);
            ids.push(answer.answer_id);
            texts.insert(answer.answer_id, answer.text);
        }
        let vectors = Array2::from_shape_vec((ids.len(), model.dimension), vectors)
            .expect("every row has the model's dimension");
        Ok(Self { index: Index::from_vectors(&ids, vectors.view())?, texts })
    }

    /// Makes a searcher of vectors that are not in a store: an [`Index`] without texts.
    pub fn from_index(index: Index) -> Self {
        Self { index, texts: HashMap::new() }
    }

    /// The `k` answers nearest to `query` by cosine, best first.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn vector_search(&self, query: &[f32], k: usize) -> Result<Vec<Hit>> {
        self.index.search(query, None, k)
    }

    /// The `k` answers nearest to the projection of `query`, best first; plain cosine for
    /// `None`.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn vector_search_with_projection(
        &self,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        self.index.search(query, projection, k)
    }

    /// [`vector_search_with_projection`](Self::vector_search_with_projection) for every row
    /// of `queries` (n × d).
    ///
    /// # Errors
    /// As [`Index::search_batch`].
    pub fn batch_search(
        &self,
        queries: ArrayView2<'_, f32>,
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        self.index.search_batch(queries, projection, k)
    }

    /// The text of an answer, where the searcher comes from a store.
    pub fn text(&self, answer_id: i64) -> Option<&str> {
        self.texts.get(&answer_id).map(String::as_str)
    }

    /// The vectors, and the texts by answer id.
    pub fn into_parts(self) -> (Index, HashMap<i64, String>) {
        (self.index, self.texts)
    }

    /// The vectors.
    pub fn index(&self) -> &Index {
        &self.index
    }
}

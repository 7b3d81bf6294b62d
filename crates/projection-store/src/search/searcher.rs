//! Search over the answers of a store.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::ArrayView2;
use projection_core::ivf::IndexStats;
use projection_core::kernel::parallel;
use projection_core::kernel::progress::{OnProgress, Progress};
use projection_core::projection::Projection;
use projection_core::{Error, ErrorKind, Result};

use super::{Bm25, Hit, Index, SearchOptions, SearchQuery, SearchResult};
use crate::embeddings::EmbeddingModel;
use crate::store::Store;
use crate::texts::titled;

/// The embedded answers of a store, with their texts. It is a snapshot: answers that are embedded
/// later are not found until they are [added](Self::add) or the store is opened again. Any number
/// of threads may search at once.
#[derive(Debug, Clone)]
pub struct Searcher {
    index: Index,
    texts: HashMap<i64, String>,
    titles: HashMap<i64, String>,
    origin: Option<Origin>,
    /// Built by the first hybrid search; numbers are rows in the index.
    bm25: Arc<Mutex<Option<Arc<Bm25>>>>,
}

/// Where a searcher comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    database: PathBuf,
    allow_outside: bool,
    model: EmbeddingModel,
}

impl Origin {
    pub(super) fn open(&self) -> Result<(Store, EmbeddingModel)> {
        let store = Store::open_read_only(&self.database)?.allow_outside_paths(self.allow_outside);
        Ok((store, self.model.clone()))
    }
}

impl Searcher {
    /// Opens the answers that the store at `database` has embeddings of, by the model called
    /// `model_name`, or by the only one there is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the database, the model or any answer's embedding does not
    /// exist, [`ErrorKind::AmbiguousModel`] if `model_name` is `None` and there are several
    /// models, and as [`Index::from_vectors`] for unusable embeddings.
    pub fn open(database: impl AsRef<Path>, model_name: Option<&str>) -> Result<Self> {
        Store::open_read_only(database)?.searcher(model_name)
    }

    /// See [`Store::searcher`].
    pub(crate) fn from_store(store: &Store, model_name: Option<&str>) -> Result<Self> {
        let model = store.embedding_model(model_name)?;
        let answers = store.embedded_answers(&model)?;
        if answers.is_empty() {
            let what =
                format!("no answer has an embedding by '{}'; embed the store first", model.name);
            return Err(store.error(ErrorKind::NotFound, what));
        }
        let vectors = model.load(answers.iter().map(|answer| &answer.vector))?;
        let ids: Vec<i64> = answers.iter().map(|answer| answer.id).collect();
        let texts = answers.into_iter().map(|answer| (answer.id, answer.text)).collect();
        let titles = store.answer_texts()?.into_iter();
        let titles = titles.filter_map(|answer| Some((answer.answer_id, answer.title?))).collect();
        let index = Index::from_vectors(&ids, vectors.view())?;
        let index = index.with_clusters(store.cluster_answers()?);
        Ok(Self {
            texts,
            titles,
            origin: Some(Origin {
                database: store.path().to_path_buf(),
                allow_outside: store.allows_outside_paths(),
                model,
            }),
            ..Self::from_index(index)
        })
    }

    /// Searches vectors that are not in a store: an [`Index`] without texts.
    pub fn from_index(index: Index) -> Self {
        Self {
            index,
            texts: HashMap::new(),
            titles: HashMap::new(),
            origin: None,
            bm25: Arc::default(),
        }
    }

    /// Returns the best answers to `query`.
    ///
    /// # Errors
    /// As [`Index::search`], and [`ErrorKind::InvalidArgument`] for options outside their range,
    /// or options that need something missing: texts of query and answers for hybrid search; the
    /// answers' clusters, heads or training questions for the others.
    pub fn search(
        &self,
        query: &SearchQuery<'_>,
        options: &SearchOptions<'_>,
    ) -> Result<SearchResult> {
        if let Some(unseen_offset) = self.offset_of_cosines(options)? {
            let SearchOptions { k, projection, threads, allowed, .. } = *options;
            let hits = self.index.in_groups(allowed, projection, unseen_offset, |groups| {
                self.index.search_in(groups, threads, query.vector, projection, k)
            })??;
            return Ok(SearchResult { hits, hybrid_weight: 0.0, unseen_offset });
        }
        let hybrid_weight = options.hybrid_weight()?;
        let scores = self.scores(query, options)?;
        let hits = scores.best(&self.index, options);
        Ok(SearchResult { hits, hybrid_weight, unseen_offset: scores.unseen_offset })
    }

    /// [`search`](Self::search) for every query, in their order. A step of `progress` is a query.
    ///
    /// # Errors
    /// As [`search`](Self::search), naming the row, and [`ErrorKind::Cancelled`].
    pub fn search_many(
        &self,
        queries: &[SearchQuery<'_>],
        options: &SearchOptions<'_>,
        progress: &mut OnProgress<'_>,
    ) -> Result<Vec<SearchResult>> {
        let plain = self.offset_of_cosines(options)?;
        let dim = queries.first().map_or(0, |query| query.vector.len());
        let alike = queries.iter().all(|query| query.vector.len() == dim);
        if let Some(unseen_offset) = plain.filter(|_| alike) {
            let vectors: Vec<f32> =
                queries.iter().flat_map(|query| query.vector).copied().collect();
            let vectors = ArrayView2::from_shape((queries.len(), dim), &vectors)
                .expect("so many vectors of one length");
            let SearchOptions { k, projection, threads, allowed, .. } = *options;
            let found = self.index.in_groups(allowed, projection, unseen_offset, |groups| {
                self.index.search_batch_in(groups, threads, vectors, projection, k, progress)
            })??;
            let result = |hits| SearchResult { hits, hybrid_weight: 0.0, unseen_offset };
            return Ok(found.into_iter().map(result).collect());
        }
        let mut results: Vec<Option<Result<SearchResult>>> = vec![];
        results.resize_with(queries.len(), || None);
        let one = SearchOptions { threads: 1, ..*options };
        let done = AtomicUsize::new(0);
        let mut poll = || {
            Progress::new("searching", done.load(Ordering::Relaxed), queries.len()).send(progress)
        };
        parallel::parallel_chunks_until(
            options.threads,
            &mut results,
            1,
            1,
            &mut poll,
            |row, result, _| {
                done.fetch_add(1, Ordering::Relaxed);
                let found = self.search(&queries[row.start], &one);
                result[0] =
                    Some(found.map_err(|error| error.context(format!("row {}", row.start))));
            },
        )?;
        results.into_iter().flatten().collect()
    }

    /// The `k` answers nearest to `query` by cosine, best first.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn vector_search(&self, query: &[f32], k: usize) -> Result<Vec<Hit>> {
        self.vector_search_with_projection(query, None, k)
    }

    /// The `k` answers nearest to the projection of `query`, best first; plain cosine for
    /// `None`. The projection's offset of unseen answers counts, as in
    /// [`ScoreMode::SeenUnseen`](super::ScoreMode::SeenUnseen).
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn vector_search_with_projection(
        &self,
        query: &[f32],
        projection: Option<&dyn Projection>,
        k: usize,
    ) -> Result<Vec<Hit>> {
        let options = SearchOptions { k, projection, ..SearchOptions::default() };
        self.search(&SearchQuery::of_vector(query), &options).map(|result| result.hits)
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

    /// The text of an answer, if the searcher comes from a store.
    pub fn text(&self, answer_id: i64) -> Option<&str> {
        self.texts.get(&answer_id).map(String::as_str)
    }

    /// The title of an answer, if the searcher comes from a store and the answer has one.
    pub fn title(&self, answer_id: i64) -> Option<&str> {
        self.titles.get(&answer_id).map(String::as_str)
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The words of the answers' titles and texts.
    pub(super) fn bm25(&self) -> Result<Arc<Bm25>> {
        if self.texts.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "hybrid search among answers without texts",
            ));
        }
        // The lock is held while the index is built, so that it is built once.
        let mut made = self.bm25.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made {
            return Ok(Arc::clone(made));
        }
        let rows = self.index.ids().iter().enumerate();
        let texts: Vec<(i64, String)> = rows
            .filter_map(|(row, id)| Some((row as i64, titled(self.title(*id), self.text(*id)?))))
            .collect();
        let texts = texts.iter().map(|(row, text)| (*row, text.as_str()));
        Ok(Arc::clone(made.insert(Arc::new(Bm25::new(texts)?))))
    }

    /// Adds answers as [`Index::add`] does. They are in no cluster. `texts` is empty or has the
    /// text of each id, if it has one.
    ///
    /// # Errors
    /// As [`Index::add`]; [`ErrorKind::BufferSize`] for another number of texts.
    pub fn add(
        &mut self,
        ids: &[i64],
        vectors: ArrayView2<'_, f32>,
        texts: &[Option<&str>],
    ) -> Result<()> {
        self.put(ids, vectors, texts, Index::add)
    }

    /// Adds answers as [`add`](Self::add) does; those that the searcher has already get the new
    /// vector and the new text, or none, and stay in their clusters. Whoever shares the searcher
    /// behind a lock finds the old answers or the new ones.
    ///
    /// # Errors
    /// As [`add`](Self::add). Nothing changes then.
    pub fn replace(
        &mut self,
        ids: &[i64],
        vectors: ArrayView2<'_, f32>,
        texts: &[Option<&str>],
    ) -> Result<()> {
        self.put(ids, vectors, texts, Index::replace)
    }

    fn put(
        &mut self,
        ids: &[i64],
        vectors: ArrayView2<'_, f32>,
        texts: &[Option<&str>],
        put: impl FnOnce(&mut Index, &[i64], ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        if !texts.is_empty() && texts.len() != ids.len() {
            return Err(Error::new(
                ErrorKind::BufferSize,
                format!("{} texts for {} ids, expected one each or none", texts.len(), ids.len()),
            ));
        }
        put(&mut self.index, ids, vectors)?;
        for (row, id) in ids.iter().enumerate() {
            match texts.get(row).copied().flatten() {
                Some(text) => self.texts.insert(*id, text.to_string()),
                None => self.texts.remove(id),
            };
            // That of the answer before.
            self.titles.remove(id);
        }
        self.bm25 = Arc::default();
        Ok(())
    }

    /// Removes the answers with these ids, as [`Index::remove`]; the store keeps them.
    pub fn remove(&mut self, ids: &[i64]) -> usize {
        ids.iter().for_each(|id| drop((self.texts.remove(id), self.titles.remove(id))));
        self.bm25 = Arc::default();
        self.index.remove(ids)
    }

    /// Builds an approximate index of the answers, see [`Index::build_index`].
    ///
    /// # Errors
    /// As there.
    pub fn build_index(
        &mut self,
        queries: Option<ArrayView2<'_, f32>>,
        projection: Option<&dyn Projection>,
        threads: usize,
        progress: &mut OnProgress<'_>,
    ) -> Result<IndexStats> {
        self.index.build_index(queries, projection, threads, progress)
    }

    /// Drops the approximate index, see [`Index::drop_index`].
    pub fn drop_index(&mut self) {
        self.index.drop_index();
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

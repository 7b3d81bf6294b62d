//! Training data from a store.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ndarray::Array2;
use projection_core::kernel::parallel::Poll;
use projection_core::npy::NpyArray;
use projection_core::{Error, ErrorKind, Result};
use projection_store::search::Bm25;
use projection_store::{EmbeddingModel, Store};
use projection_train::{TrainingData, TrainingTexts, unit_rows};

/// The embedded clusters and answers of a store: one answer row for each cluster that has
/// answers, the normalised mean if it has several, then each answer that is in no cluster.
/// `poll` is called several times a second.
///
/// # Errors
/// [`ErrorKind::InvalidModel`] if no cluster has embeddings of both sides, and errors of
/// reading embeddings and of `poll`.
pub fn training_data(
    store: &Store,
    model: &EmbeddingModel,
    poll: &mut Poll<'_>,
) -> Result<TrainingData> {
    let dim = model.dimension;
    let (mut answers, mut questions) = (Vec::new(), Vec::new());
    let (mut labels, mut clusters) = (Vec::new(), Vec::new());
    let mut in_clusters = HashSet::new();
    poll()?;
    for cluster in store.embedded_clusters(model)? {
        poll()?;
        if cluster.answers.is_empty() {
            continue;
        }
        let in_cluster = |error: Error| error.context(format!("cluster {}", cluster.cluster_id));
        let rows = model
            .load(&cluster.answers)
            .and_then(|rows| unit_rows(rows.view()))
            .map_err(in_cluster)?;
        answers.extend(rows.sum_axis(ndarray::Axis(0)));
        in_clusters.extend(cluster.answers.iter().cloned());
        let rows = model.load(&cluster.questions).map_err(in_cluster)?;
        labels.extend(std::iter::repeat_n(clusters.len(), rows.nrows()));
        questions.extend(rows);
        clusters.push(Some(cluster.cluster_id));
    }
    if questions.is_empty() {
        return Err(no_whole_cluster(store, model));
    }
    let mut alone = Vec::new();
    for answer in store.embedded_answers(model)? {
        poll()?;
        if !in_clusters.contains(&answer.vector) {
            answers.extend(model.load([&answer.vector])?);
            alone.push((answer.id, clusters.len()));
            clusters.push(None);
        }
    }
    let rows = |values: Vec<f32>| {
        Array2::from_shape_vec((values.len() / dim, dim), values).expect("rows are whole")
    };
    let (answers, questions) = (rows(answers), rows(questions));
    let texts = texts_of(store, model, &clusters, alone)?;
    let data = TrainingData::new(answers.view(), questions.view(), labels)?;
    // Another process may have added some between the readings.
    let texts = texts.filter(|texts| texts.questions.len() == data.labels().len());
    data.with_clusters(clusters, texts)
}

/// The error for a store that has nothing to train on.
pub(crate) fn no_whole_cluster(store: &Store, model: &EmbeddingModel) -> Error {
    let (database, name) = (store.path().display(), &model.name);
    let message =
        format!("{database}: no cluster has embeddings of both questions and answers by '{name}'");
    Error::new(ErrorKind::InvalidModel, message)
}

/// The texts of the answers in these clusters, of the answers in none, each with its row, and
/// of all questions. `None` if a question has no text, or if no answer has one.
fn texts_of(
    store: &Store,
    model: &EmbeddingModel,
    clusters: &[Option<i64>],
    alone: Vec<(i64, usize)>,
) -> Result<Option<TrainingTexts>> {
    let questions: Option<Vec<String>> =
        store.clustered_questions(model)?.into_iter().map(|question| question.text).collect();
    let Some(questions) = questions else { return Ok(None) };
    let rows = clusters.iter().enumerate();
    let row_of: HashMap<i64, usize> =
        rows.filter_map(|(row, cluster)| Some(((*cluster)?, row))).collect();
    let clustered = store.clustered_answers(model)?.into_iter();
    let clustered = clustered.filter_map(|(cluster, id)| Some((id, *row_of.get(&cluster)?)));
    let known = store.answer_texts()?.into_iter();
    let known: HashMap<i64, String> =
        known.filter_map(|answer| Some((answer.answer_id, answer.titled_text()?))).collect();
    let answers: Vec<(usize, String)> = clustered
        .chain(alone)
        .filter_map(|(id, row)| Some((row, known.get(&id)?.clone())))
        .collect();
    if answers.is_empty() {
        return Ok(None);
    }
    let numbered = answers.iter().enumerate();
    let index = Bm25::new(numbered.map(|(number, (_, text))| (number as i64, text.as_str())))?;
    let answer_rows = answers.into_iter().map(|(row, _)| row).collect();
    Ok(Some(TrainingTexts { index: Box::new(index), answer_rows, questions }))
}

/// Loads the matrix (n × d) of an `.npy` file.
pub(crate) fn load_matrix(path: &Path) -> Result<Array2<f32>> {
    let array = NpyArray::load(path)?;
    let &[rows, columns] = array.shape() else {
        let shape = array.shape();
        let message = format!("{}: shape {shape:?}, expected (n, d)", path.display());
        return Err(Error::new(ErrorKind::DimensionMismatch, message));
    };
    Array2::from_shape_vec((rows, columns), array.to_f32()?).map_err(|error| {
        Error::new(ErrorKind::InvalidArray, format!("{}: {error}", path.display()))
    })
}

//! Training a multi-head projection without a validation.

use ndarray::Array2;
use projection_core::projection::{Head, MultiHeadProjection};
use projection_core::{Error, ErrorKind, Result};
use projection_store::{EmbeddedCluster, EmbeddingModel, NewHead, Store};
use projection_train::weighted_centroid;

use crate::data::no_whole_cluster;

/// What to train.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiHeadTraining {
    /// The embedding model whose embeddings are used; `None` for the only one that has any.
    pub model_name: Option<String>,
    /// Softmax temperature τ of the model.
    pub temperature: f64,
    /// A name for people.
    pub name: Option<String>,
}

impl Default for MultiHeadTraining {
    fn default() -> Self {
        Self { model_name: None, temperature: 0.1, name: None }
    }
}

/// A model that was trained and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trained {
    /// Its id in the store.
    pub id: i64,
    /// The embedding model whose embeddings it was trained on.
    pub model_name: String,
    /// Number of heads.
    pub heads: usize,
    /// Number of questions that they were made of.
    pub questions: usize,
    /// Clusters without a head, because one of their sides has no embeddings.
    pub clusters_left_out: usize,
}

/// Trains a multi-head projection and stores it: one head for each cluster that has both
/// question and answer embeddings.
///
/// The centroid is [`weighted_centroid`]; several answers of a cluster are averaged and
/// normalised, a single one is taken as it is. [`train`](crate::train()) compares the model
/// with plain cosine, too.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the store has no embeddings, [`ErrorKind::InvalidModel`] if no
/// cluster has both sides, and errors of reading embeddings and writing the model. The store
/// keeps what it had.
pub fn train_multi_head(store: &mut Store, training: &MultiHeadTraining) -> Result<Trained> {
    let model = store.embedding_model(training.model_name.as_deref())?;
    let (heads, clusters_left_out) = heads_of(store, &model)?;
    // Made once before it is stored: a model that would not open is not written.
    let in_memory = heads.iter().map(|head| Head {
        cluster_id: head.cluster_id,
        centroid: head.centroid.iter().map(|value| f64::from(*value)).collect(),
        answer: head.answer.clone(),
        matrix: None,
    });
    MultiHeadProjection::from_heads(in_memory.collect(), training.temperature)?;
    let name = training.name.as_deref();
    let id = store.add_multi_head_projection(&model, name, training.temperature, &heads)?;
    Ok(Trained {
        id,
        model_name: model.name,
        heads: heads.len(),
        questions: heads.iter().map(|head| head.num_questions).sum(),
        clusters_left_out,
    })
}

/// The heads of all clusters that have vectors of both sides, and the number of the others.
pub(crate) fn heads_of(store: &Store, model: &EmbeddingModel) -> Result<(Vec<NewHead>, usize)> {
    let clusters = store.embedded_clusters(model)?;
    let (whole, partial): (Vec<_>, Vec<_>) = clusters
        .into_iter()
        .partition(|cluster| !cluster.answers.is_empty() && !cluster.questions.is_empty());
    if whole.is_empty() {
        return Err(no_whole_cluster(store, model));
    }
    let heads = whole
        .iter()
        .map(|cluster| {
            train_head(cluster, model)
                .map_err(|error| error.context(format!("cluster {}", cluster.cluster_id)))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((heads, partial.len()))
}

fn train_head(cluster: &EmbeddedCluster, model: &EmbeddingModel) -> Result<NewHead> {
    let (questions, answers) = (model.load(&cluster.questions)?, model.load(&cluster.answers)?);
    Ok(NewHead {
        cluster_id: cluster.cluster_id,
        centroid: weighted_centroid(questions.view())?,
        answer: match answers.nrows() {
            1 => answers.into_raw_vec_and_offset().0,
            _ => unit_mean(&answers)?,
        },
        matrix: None,
        num_questions: questions.nrows(),
    })
}

fn unit_mean(rows: &Array2<f32>) -> Result<Vec<f32>> {
    let mean = rows.mapv(f64::from).sum_axis(ndarray::Axis(0)) / rows.nrows() as f64;
    let norm = mean.dot(&mean).sqrt();
    if !norm.is_finite() {
        return Err(Error::new(ErrorKind::NotFinite, "answers with NaN or infinity"));
    }
    if norm < 1e-12 {
        return Err(Error::new(ErrorKind::ZeroVector, "the answers cancel out, no mean"));
    }
    Ok(mean.iter().map(|value| (value / norm) as f32).collect())
}

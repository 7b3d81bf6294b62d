//! [`Embedder`]: a loaded model folder.

use std::path::{Path, PathBuf};
#[cfg(not(target_arch = "wasm32"))]
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;
use projection_core::{Error, ErrorKind, Result};

use crate::bert::Bert;
use crate::config::Config;
use crate::files::invalid;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

/// The most tokens that go through the network together. More would no longer fit the
/// processor's caches, and gain nothing.
const TOKENS_AT_ONCE: usize = 256;

/// The files of a model, and what the small ones beside them would say; for programs without
/// a file system.
#[derive(Debug, Clone, Copy)]
pub struct EmbedderParts<'a> {
    /// `model.safetensors`.
    pub model: &'a [u8],
    /// `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// `config.json`.
    pub config: &'a [u8],
    /// The most tokens of a text, `max_seq_length` of `sentence_bert_config.json`; as many as
    /// the model has positions where it is `None`.
    pub max_tokens: Option<usize>,
    /// Whether texts are lower-cased first, `do_lower_case` of the same file.
    pub lower_case: bool,
    /// Whether vectors are scaled to length 1, the step `Normalize` of `modules.json`.
    pub normalise: bool,
}

/// Turns texts into vectors with a local sentence-transformers model.
///
/// Loading reads the weights once (some 90 MB for `all-MiniLM-L6-v2`); keep the embedder and
/// share it. All methods take `&self` and may be called from many threads at once.
pub struct Embedder {
    bert: Bert,
    tokenizer: Tokenizer,
    config: Config,
    dir: PathBuf,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder")
            .field("dir", &self.dir)
            .field("dim", &self.dim())
            .field("max_tokens", &self.max_tokens())
            .finish_non_exhaustive()
    }
}

impl Embedder {
    /// Loads the model folder `dir`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the folder or one of its files is missing,
    /// [`ErrorKind::InvalidEmbedder`] where a file is damaged, files do not fit together, or
    /// the model is of a kind that this crate does not compute.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let config = Config::load(dir)?;
        let tokenizer = Tokenizer::load(
            &config.network_dir.join("tokenizer.json"),
            config.max_tokens,
            config.bert.vocab_size,
            config.lower_case,
        )?;
        let mut weights = Weights::open(&config.network_dir.join("model.safetensors"))?;
        let bert = Bert::load(&mut weights, &config.bert)?;
        Ok(Self { bert, tokenizer, config, dir: dir.to_owned() })
    }

    /// Makes an embedder of the bytes of a model's files. Pooling is the mean over tokens.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_parts(parts: &EmbedderParts<'_>) -> Result<Self> {
        let config = Path::new("config.json");
        let EmbedderParts { max_tokens, lower_case, normalise, .. } = *parts;
        let config = Config::of_bytes(config, parts.config, max_tokens, lower_case, normalise)?;
        let tokenizer = Tokenizer::of_bytes(
            Path::new("tokenizer.json"),
            parts.tokenizer,
            config.max_tokens,
            config.bert.vocab_size,
            config.lower_case,
        )?;
        let mut weights = Weights::of_bytes(Path::new("model.safetensors"), parts.model)?;
        let bert = Bert::load(&mut weights, &config.bert)?;
        Ok(Self { bert, tokenizer, config, dir: "text model".into() })
    }

    /// The number of components of each vector.
    pub fn dim(&self) -> usize {
        self.config.bert.hidden_size
    }

    /// The most tokens of a text, two special tokens included. What comes after them does
    /// not change the vector.
    pub fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    /// The vector of one text, of [`dim`](Self::dim) components. The empty text has one too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEmbedder`] where the model gives no finite vector.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let (vectors, _) = self.embed_batch(&[text])?.into_raw_vec_and_offset();
        Ok(vectors)
    }

    /// The vectors of many texts, one row a text; faster than one by one. A text's vector is
    /// the one that [`embed`](Self::embed) gives, up to rounding (1e-6).
    ///
    /// Large batches are shared out among the processors; threads that this needs end before
    /// the call returns.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_batch<S: AsRef<str>>(&self, texts: &[S]) -> Result<Array2<f32>> {
        let tokens = texts
            .iter()
            .map(|text| self.tokenizer.tokens(text.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        if tokens.iter().any(Vec::is_empty) {
            return Err(self.defect("the tokenizer gives no token for a text"));
        }
        let mut vectors = vec![0.0; texts.len() * self.dim()];
        let mut jobs = Vec::new();
        let (mut rest, mut rest_vectors) = (&tokens[..], &mut vectors[..]);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest));
            let (out, later_out) = rest_vectors.split_at_mut(now.len() * self.dim());
            jobs.push((now, out));
            (rest, rest_vectors) = (later, later_out);
        }
        share_out(jobs, |(texts, vectors)| self.embed_tokens(texts, vectors));

        if !vectors.iter().all(|x| x.is_finite()) {
            return Err(self.defect("the model gives a vector that is not finite"));
        }
        Array2::from_shape_vec((texts.len(), self.dim()), vectors)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("shape of a batch: {e}")))
    }

    /// Embeds the texts of one pass through the network into the rows of `vectors`.
    fn embed_tokens(&self, texts: &[Vec<u32>], vectors: &mut [f32]) {
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        vectors.copy_from_slice(&self.bert.mean_states(&texts));
        if self.config.normalise {
            vectors.chunks_exact_mut(self.dim()).for_each(normalise);
        }
    }

    fn defect(&self, what: &str) -> Error {
        invalid(&self.dir, what)
    }
}

/// How many of the leading `texts`, at least one, go through the network together.
fn fitting(texts: &[Vec<u32>]) -> usize {
    let mut total = 0;
    let count = texts
        .iter()
        .take_while(|tokens| {
            total += tokens.len();
            total <= TOKENS_AT_ONCE
        })
        .count();
    count.max(1)
}

/// Scales a vector to unit length. Where it has none, sentence-transformers divides by 1e-12.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
}

/// Does all `jobs` on this thread, the only one.
#[cfg(target_arch = "wasm32")]
fn share_out<T>(jobs: Vec<T>, work: impl Fn(T)) {
    jobs.into_iter().for_each(work);
}

/// Does all `jobs`, on this thread and on as many others as there are processors and jobs.
#[cfg(not(target_arch = "wasm32"))]
fn share_out<T: Send>(jobs: Vec<T>, work: impl Fn(T) + Sync) {
    let threads = match jobs.len() {
        0 | 1 => 1,
        count => std::thread::available_parallelism().map_or(1, |n| n.get()).min(count),
    };
    let queue = Mutex::new(jobs);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let run = || {
        while let Some(job) = next() {
            work(job);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // A system that refuses another thread leaves more work to this one.
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

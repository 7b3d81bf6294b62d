//! [`Embedder`]: a loaded model folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::Array2;
use projection_kernel::parallel::{parallel_until, threads};
use projection_kernel::progress::{OnProgress, Progress, ignore_progress};
use projection_kernel::{Error, ErrorKind, Result, normalize};

use crate::bert::Bert;
use crate::config::Config;
use crate::files::{invalid, read};
use crate::fingerprint::Fingerprint;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

/// The most tokens that go through the network together. More would no longer fit the
/// processor's caches, and be no faster.
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
    /// the model has positions if it is `None`.
    pub max_tokens: Option<usize>,
    /// Whether texts are lower-cased first, `do_lower_case` of the same file.
    pub lower_case: bool,
    /// Whether vectors are scaled to length 1, the step `Normalize` of `modules.json`.
    pub normalise: bool,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `config_sentence_transformers.json`.
    pub sentence_transformers_config: Option<&'a [u8]>,
}

/// Turns texts into vectors with a local sentence-transformers model.
///
/// Loading reads the weights once (some 90 MB for `all-MiniLM-L6-v2`); keep the embedder and
/// share it. All methods take `&self` and may be called from many threads at once.
pub struct Embedder {
    bert: Bert,
    tokenizer: Tokenizer,
    config: Config,
    fingerprint: Fingerprint,
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
    /// [`ErrorKind::NotFound`] if the folder or one of its files is missing;
    /// [`ErrorKind::InvalidEmbedder`] if a file is damaged, files do not fit together, or
    /// this crate does not compute models of this kind.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let config = Config::load(dir)?;
        let path = |name: &str| config.network_dir.join(name);
        let (tokenizer, weights) = (path("tokenizer.json"), path("model.safetensors"));
        let (tokenizer_bytes, weights_bytes) = (read(&tokenizer)?, read(&weights)?);
        Self::new(dir, config, (&tokenizer, &tokenizer_bytes), (&weights, &weights_bytes))
    }

    /// Makes an embedder from the bytes of a model's files. Pooling is the mean over tokens.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_parts(parts: &EmbedderParts<'_>) -> Result<Self> {
        let config = Config::from_parts(parts)?;
        let tokenizer = (Path::new("tokenizer.json"), parts.tokenizer);
        let weights = (Path::new("model.safetensors"), parts.model);
        Self::new(Path::new("embedding model"), config, tokenizer, weights)
    }

    /// Makes an embedder from the bytes of the two large files, which messages call by these
    /// paths.
    fn new(
        dir: &Path,
        config: Config,
        tokenizer: (&Path, &[u8]),
        weights: (&Path, &[u8]),
    ) -> Result<Self> {
        let tokenizer = Tokenizer::new(tokenizer.0, tokenizer.1, &config)?;
        let weights = Weights::new(weights.0, weights.1)?;
        let bert = Bert::load(&weights, &config.bert)?;
        let fingerprint = Fingerprint(BTreeMap::from([
            ("dimension".into(), config.dim.into()),
            ("lower_case".into(), config.lower_case.into()),
            ("max_tokens".into(), config.max_tokens.into()),
            ("normalise".into(), config.normalise.into()),
            ("pooling".into(), config.pooling.name().into()),
            ("prompt".into(), config.prompt.as_str().into()),
            ("tokenizer".into(), tokenizer.hash().into()),
            ("weights".into(), weights.hash(&config.bert).into()),
        ]));
        Ok(Self { bert, tokenizer, config, fingerprint, dir: dir.to_owned() })
    }

    /// What decides the vectors: embedders with the same fingerprint return the same ones.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The folder that the model was loaded from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number of components of each vector.
    pub fn dim(&self) -> usize {
        self.config.dim
    }

    /// The most tokens of a text, two special tokens included. What comes after them does
    /// not change the vector.
    pub fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    /// The number of tokens of `text` that the model reads: special tokens and the prompt
    /// included, and at most [`max_tokens`](Self::max_tokens).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEmbedder`] if the tokenizer fails.
    pub fn count_tokens(&self, text: &str) -> Result<usize> {
        Ok(self.tokenizer.tokens(text)?.len())
    }

    /// The vector of one text, of [`dim`](Self::dim) components. The empty text has one too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEmbedder`] if the model returns a vector that is not finite.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let (vectors, _) = self.embed_batch(&[text])?.into_raw_vec_and_offset();
        Ok(vectors)
    }

    /// The vectors of many texts, one row per text; faster than one by one. A text's vector is
    /// the one that [`embed`](Self::embed) returns, up to rounding (1e-6).
    ///
    /// Large batches use as many threads as there are processors; these threads end before the
    /// call returns.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn embed_batch<S: AsRef<str>>(&self, texts: &[S]) -> Result<Array2<f32>> {
        self.embed_batch_with(texts, &mut ignore_progress)
    }

    /// [`embed_batch`](Self::embed_batch) with progress, whose step is a text.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), and [`ErrorKind::Cancelled`].
    pub fn embed_batch_with<S: AsRef<str>>(
        &self,
        texts: &[S],
        progress: &mut OnProgress<'_>,
    ) -> Result<Array2<f32>> {
        let done = AtomicUsize::new(0);
        let mut poll = || {
            let done = done.load(Ordering::Relaxed);
            Progress::new("embedding", done, texts.len()).send(progress)
        };
        let mut tokens = Vec::with_capacity(texts.len());
        for text in texts {
            poll()?;
            tokens.push(self.tokenizer.tokens(text.as_ref())?);
        }
        if tokens.iter().any(Vec::is_empty) {
            return Err(self.defect("the tokenizer returns no token for a text"));
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
        parallel_until(threads(), jobs.into_iter(), &mut poll, |(texts, vectors), stop| {
            self.embed_tokens(texts, vectors, stop);
            done.fetch_add(texts.len(), Ordering::Relaxed);
        })?;

        if !vectors.iter().all(|x| x.is_finite()) {
            return Err(self.defect("the model returns a vector that is not finite"));
        }
        Array2::from_shape_vec((texts.len(), self.dim()), vectors)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("shape of a batch: {e}")))
    }

    /// Embeds the texts of one pass through the network into the rows of `vectors`.
    fn embed_tokens(
        &self,
        texts: &[Vec<u32>],
        vectors: &mut [f32],
        stop: &mut dyn FnMut() -> bool,
    ) {
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let mut states = self.bert.pooled_states(&texts, self.config.pooling, stop);
        let rows = states.chunks_exact_mut(self.config.bert.hidden_size);
        for (vector, state) in vectors.chunks_exact_mut(self.dim()).zip(rows) {
            // A zero vector stays as it is, as in sentence-transformers, which truncates last.
            if self.config.normalise {
                normalize(state);
            }
            vector.copy_from_slice(&state[..vector.len()]);
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

//! Text to vector with a local [sentence-transformers] model folder, such as that of
//! `all-MiniLM-L6-v2`. No Python, no network: the folder is all it needs.
//!
//! ```no_run
//! # fn main() -> projection_embed::Result<()> {
//! use projection_embed::Embedder;
//!
//! let embedder = Embedder::load("models/all-MiniLM-L6-v2")?;
//! let query = embedder.embed("How do I read a CSV file?")?;
//! assert_eq!(query.len(), embedder.dim());
//!
//! let many = embedder.embed_batch(&["What is a closure?", "How are errors handled?"])?;
//! assert_eq!(many.dim(), (2, embedder.dim()));
//! # Ok(())
//! # }
//! ```
//!
//! # What it reads
//! BERT encoders with absolute positions and the `gelu` activation, with weights in float32,
//! float16 or bfloat16; one pooling mode (`mean`, `cls`, `lasttoken`, `max`,
//! `mean_sqrt_len_tokens` or `weightedmean`); and optionally a final normalisation: the shape of
//! most sentence-transformers models. Other kinds are refused when the folder is loaded; the
//! message names the file, what was expected and what was found.
//!
//! | file | for |
//! |---|---|
//! | `modules.json` | the steps, and whether vectors are normalised |
//! | `config.json` | sizes of the network |
//! | `sentence_bert_config.json` (optional) | the most tokens of a text |
//! | `config_sentence_transformers.json` (optional) | `default_prompt_name` with `prompts`, and `truncate_dim` |
//! | `tokenizer_config.json` (optional) | `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`, which override `tokenizer.json` |
//! | `1_Pooling/config.json` | the kind of pooling |
//! | `tokenizer.json` | text to tokens |
//! | `model.safetensors` | the weights |
//!
//! A text gets the vector that `SentenceTransformer(folder).encode(text)` returns: with the
//! prompt that `default_prompt_name` names, and without any other prompt.
//!
//! # Agreement
//! Vectors agree with a float64 reference to 1e-5 in each component. The vector of a text
//! does not depend on the other texts of its batch, beyond rounding (1e-6).
//!
//! [sentence-transformers]: https://www.sbert.net

mod beginning;
mod bert;
mod config;
mod embedder;
mod files;
mod fingerprint;
mod pooling;
mod tokenizer;
mod weights;

pub use embedder::{Embedder, EmbedderParts};
pub use fingerprint::Fingerprint;
pub use projection_kernel::{Error, ErrorKind, Result};

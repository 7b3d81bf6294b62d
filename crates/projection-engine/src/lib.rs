//! The whole projection engine: operations that join the store, training, embedding models and
//! file formats, each from a request to a report. The command line and the C interface call
//! these, and programs in Rust need no other crate: the parts are exported here, too.
//!
//! | operation | from | to |
//! |---|---|---|
//! | [`import::import_paths`] | question–answer files | texts in a [`Store`] |
//! | [`embed_store`] | texts without embeddings, an [`embedder`] | embeddings |
//! | [`add_feedback`] | helpful feedback in the query log | training questions |
//! | [`train`](fn@train) | embeddings | a model in the store |
//! | [`evaluate`](fn@evaluate) | models, test questions | metrics beside other methods |
//! | [`distill_store`] | a model | a transformer in a file |
//! | [`export_store`] | a model | a file for this engine or ONNX Runtime |
//! | [`edge::export_edge`] | a model and its answers | a folder for browsers |
//!
//! Reports serialize to the JSON that the C interface returns.

mod data;
mod distill;
mod embed;
mod evaluate;
mod export;
mod feedback;
mod heads;
mod same_model;
mod stored;
mod train;

pub use data::training_data;
pub use distill::{DistillReport, DistillRequest, distill_store};
pub use embed::{EmbedOptions, EmbedReport, embed_store, embed_store_with, folder_name};
pub use evaluate::{EvaluateRequest, TestQuestions, choose_file, choose_stored, corpus, evaluate};
pub use export::{ExportFormat, ExportReport, export, export_store};
pub use feedback::add_feedback;
pub use heads::{MultiHeadTraining, Trained, train_multi_head};
pub use same_model::check_embedder;
pub use train::{TrainReport, TrainRequest, store_model, train, train_linear_model};

pub use projection_core::{
    Error, ErrorKind, Result, answer_file, error, layout, model_file, npy, projection,
};
pub use projection_embed as embedder;
pub use projection_interop as interop;
pub use projection_store::{self as store, Searcher, Store, edge, import, search};
pub use projection_train as training;

/// Compiles the programs in Rust that the documentation shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/programming.md")]
struct Programming;

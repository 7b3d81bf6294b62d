//! The whole projection engine: the operations that join the store, training, embedding
//! models and file formats. The command line and the C interface call these.

#![allow(missing_docs)]

mod data;
mod distill;
pub mod edge;
mod embed;
mod evaluate;
mod export;
mod feedback;
mod heads;
mod stored;
mod train;

pub use data::training_data;
pub use distill::{DistillReport, DistillRequest, distill_store};
pub use embed::{EmbedReport, embed_store, embed_store_with, folder_name};
pub use evaluate::{EvaluateRequest, TestQuestions, choose_file, choose_stored, corpus, evaluate};
pub use export::{ExportFormat, ExportReport, export, export_store};
pub use feedback::add_feedback;
pub use heads::{MultiHeadTraining, Trained, train_multi_head};
pub use train::{TrainReport, TrainRequest, store_model, train, train_linear_model};

pub use projection_core::{
    Error, ErrorKind, Result, answer_file, error, layout, model_file, npy, projection,
};
pub use projection_embed as embedder;
pub use projection_interop as interop;
pub use projection_store::{Searcher, Store, import, search, store};
pub use projection_train as training;

/// Compiles the programs in Rust that the README shows.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

//! A store: the SQLite database `lda.db`, the folder `embeddings/` of array files beside it, and
//! what happens between them.
//!
//! ```no_run
//! use projection_store::search::{SearchOptions, SearchQuery};
//! use projection_store::{Store, import};
//! # fn main() -> projection_store::Result<()> {
//! let mut store = Store::open_or_create("lda.db")?;
//! import::import_file(&mut store, "faq.json")?;
//! // … embed the texts and train a model …
//! let model = store.open_active_model(None)?;
//! let searcher = store.searcher(None)?;
//! # let query = vec![0.0f32; 384];
//! let options = SearchOptions { projection: Some(&model), ..Default::default() };
//! let found = searcher.search(&SearchQuery::of_vector(&query), &options)?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`import`] takes in question–answer files and precomputed embeddings. A file is known by
//!   its path and hash: unchanged files are skipped, a changed one replaces its earlier import.
//! - [`Store::texts_without_vector`] and [`Store::add_embeddings`] serve whoever embeds texts.
//! - [`Store::add_model`] publishes a trained model: it becomes visible in one transaction, after
//!   all its files are on disk. [`Store::models`] lists models of every kind,
//!   [`Store::model`] and [`Store::open_active_model`] open them. [`Store::activate`] says which
//!   one answers where none is named.
//! - [`search`] ranks answers by vectors, by words (BM25), or by both, and explains the ranking.
//! - [`edge`] writes a folder that is searched without a store.
//!
//! Databases made by the existing Python code open, and what is written here opens there: tables
//! that exist are never altered, tables of our own have names that begin with `engine_`.
//!
//! Every file holds one group of tables; all of them read and write through the few methods at
//! the end of `store.rs`, so that no error lacks the path of the database. A change of the store
//! is one transaction; `publish.rs` says how files take part in it.

mod active;
mod batches;
mod check;
mod deletion;
pub mod edge;
mod embeddings;
mod files;
mod fingerprint;
mod fingerprints;
pub mod import;
mod models;
mod new_models;
mod publish;
mod query_log;
mod rows;
mod schema;
pub mod search;
mod serving;
mod store;
mod texts;

pub use batches::{Batch, BatchStatus};
pub use check::{OddValue, SharedFiles};
pub use embeddings::{EmbeddedCluster, EmbeddedText, EmbeddingModel, EntityType, MissingText};
pub use files::{FileUse, StoredFile};
pub use models::StoredModel;
pub use new_models::{NewHead, NewLinear, NewModel};
pub use projection_core::parameters::{ModelKind, ModelParameters};
pub use projection_core::{Error, ErrorKind, Result};
pub use query_log::{Feedback, FeedbackQuestion, LoggedQuery};
pub use search::Searcher;
pub use serving::AnsweredQuery;
pub use store::Store;
pub use texts::{Answer, AnswerText, Cluster, ClusteredQuestion};

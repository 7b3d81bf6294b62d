//! `projection models`, and what changes the list: `activate`, `rollback`, `rename`, `delete`.

use std::path::PathBuf;

use projection_store::{Store, StoredModel};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Report, Screen, optional};

/// List the projections of a store, and which of them are active
///
/// Every embedding model has one active projection: the one that answers where no projection is
/// named, in all commands, programs and servers. `train` activates a new projection unless
/// cross-validation finds it worse. Where nothing was activated yet, the newest is active.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection models lda.db
  projection activate lda.db 3
  projection rollback lda.db")]
pub struct ListArgs {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,
}

/// A projection of a store.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// The projection's id
    #[arg(value_name = "ID")]
    id: i64,

    /// Of a linear projection and another one with the same id, which old stores may have, the
    /// linear one
    #[arg(long)]
    linear: bool,
}

/// Make a projection the active one of its embedding model
#[derive(Debug, clap::Args)]
pub struct ActivateArgs {
    #[command(flatten)]
    which: Which,
}

/// Return to the projection that was active before
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// Embedding model whose projections are meant [default: that of the last activation]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
}

/// Rename a projection
#[derive(Debug, clap::Args)]
pub struct RenameArgs {
    #[command(flatten)]
    which: Which,

    /// The new name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Delete a projection with its files
///
/// Feedback on its answers stays. The active projection is deleted with --force only; then the one
/// that was active before it answers, or the newest.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    which: Which,

    /// Delete it even if it is the active one
    #[arg(long)]
    force: bool,
}

/// What changed, and the projections in ascending order of id.
#[derive(Debug, Serialize)]
pub struct Models {
    store: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
    projections: Vec<StoredModel>,
}

pub fn list(args: &ListArgs) -> Result<Models, Failure> {
    report(&Store::open_read_only(&args.store)?, None)
}

pub fn activate(args: &ActivateArgs) -> Result<Models, Failure> {
    let (mut store, model) = args.which.open()?;
    store.activate(&model)?;
    let changed = format!("projection {} is the active one of '{}'", model.id, model.model_name);
    report(&store, Some(changed))
}

pub fn roll_back(args: &RollbackArgs) -> Result<Models, Failure> {
    let mut store = Store::open(&args.store)?;
    let (from, to) = store.roll_back(args.model_name.as_deref())?;
    let changed = format!("projection {} is active again, instead of {}", to.id, from.id);
    report(&store, Some(changed))
}

pub fn rename(args: &RenameArgs) -> Result<Models, Failure> {
    let (mut store, model) = args.which.open()?;
    let name = Some(args.name.trim()).filter(|name| !name.is_empty());
    store.rename_model(&model, name)?;
    let changed = match name {
        Some(name) => format!("projection {} is called {name}", model.id),
        None => format!("projection {} has no name", model.id),
    };
    report(&store, Some(changed))
}

pub fn delete(args: &DeleteArgs) -> Result<Models, Failure> {
    let (mut store, model) = args.which.open()?;
    store.delete_model(&model, args.force)?;
    report(&store, Some(format!("projection {} is deleted", model.id)))
}

impl Which {
    fn open(&self) -> Result<(Store, StoredModel), Failure> {
        let store = Store::open(&self.store)?;
        let model = store.choose_or_linear(self.id, self.linear)?;
        Ok((store, model))
    }
}

fn report(store: &Store, changed: Option<String>) -> Result<Models, Failure> {
    let projections = store.models()?;
    Ok(Models { store: store.path().display().to_string(), changed, projections })
}

impl Report for Models {
    fn render(&self, screen: &Screen) -> String {
        let mut text: String = self.changed.iter().map(|line| format!("{line}\n")).collect();
        if self.projections.is_empty() {
            text += "the store has no projection, `projection train` makes one\n";
            return text;
        }
        let rows = self.projections.iter().map(|model| {
            let measured = |key: &str| {
                let value = model.metrics[key].as_f64();
                optional(value.map(|value| format!("{value:.3}")))
            };
            let mrr = if model.metrics["mrr"].is_null() { "mrr_at_10" } else { "mrr" };
            vec![
                model.id.to_string(),
                if model.active { "yes" } else { "no" }.to_string(),
                model.kind.name().replace('_', "-"),
                optional(model.name.as_ref()),
                model.model_name.clone(),
                measured("recall_at_1"),
                measured(mrr),
                optional(model.created_at.as_ref()),
            ]
        });
        let header = ["id", "active", "kind", "name", "model", "recall@1", "MRR", "created"];
        text + &screen.table(&header, rows)
    }
}

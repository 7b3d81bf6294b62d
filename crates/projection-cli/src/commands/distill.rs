//! `projection distill`: a transformer that answers as a projection of a store does.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use ndarray::Array2;
use projection_core::npy::NpyArray;
use projection_core::projection::{Model, Projection};
use projection_core::store::{EmbeddingModel, ModelKind, Store};
use projection_core::train::{
    Agreement, Distillation, DistillationProgress, Distilled, TrainingData, distill_model,
};
use projection_core::{Error, ErrorKind};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Report, Screen, count, note, steps};

/// Below this mean cosine the student is another model than its teacher.
const USEFUL: f64 = 0.98;

/// Distil a projection into a transformer, a network in one file
///
/// The network learns from the projection's answers to queries made around the store's
/// questions and answers. A share of the questions is held out: what is printed is how well
/// the network agrees with the projection on those.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  projection distill lda.db --output transformer.safetensors
  projection distill lda.db --projection 1 --heads 4 --layers 2 --epochs 200 \\
      --cosine-weight 0.7 --output transformer.safetensors")]
pub struct Args {
    /// The store's database
    #[arg(value_name = "STORE.db")]
    store: PathBuf,

    /// File for the transformer
    #[arg(long, value_name = "FILE.safetensors")]
    output: PathBuf,

    /// Projection to distil [default: the newest]
    #[arg(long, value_name = "ID")]
    projection: Option<i64>,

    /// Attention heads, written to the file; over one vector they change nothing
    /// [default: such that heads^layers is near the projection's number of heads]
    #[arg(long, value_name = "H")]
    heads: Option<usize>,

    /// Encoder layers [default: as for --heads]
    #[arg(long, value_name = "L")]
    layers: Option<usize>,

    /// Width of the layers' inner part
    #[arg(long, value_name = "N", default_value_t = Distillation::default().ff_dim)]
    ff_dim: usize,

    /// Share of the inner values that training drops
    #[arg(long, value_name = "SHARE", default_value_t = Distillation::default().dropout)]
    dropout: f64,

    /// Epochs, each over queries made anew
    #[arg(long, value_name = "N", default_value_t = Distillation::default().epochs)]
    epochs: usize,

    /// Queries an epoch
    #[arg(long, value_name = "N", default_value_t = Distillation::default().samples)]
    samples: usize,

    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = Distillation::default().rate)]
    rate: f64,

    /// λ of the loss (1 − λ)·MSE + λ·(1 − cosine), 0 to 1
    #[arg(long, value_name = "λ", default_value_t = Distillation::default().cosine_weight)]
    cosine_weight: f64,

    /// Vectors of questions that the projection was not trained on, to measure with: the
    /// transformer then learns from all questions of the store
    #[arg(long, value_name = "Q.npy")]
    test: Option<PathBuf>,

    /// Share of the store's questions that is held out, without --test
    #[arg(long, value_name = "SHARE", default_value_t = Distillation::default().held_out)]
    held_out: f64,

    /// Seed: the same one gives the same file
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// The new file.
#[derive(Debug, Serialize)]
pub struct Made {
    projection_id: i64,
    kind: &'static str,
    model: String,
    output: String,
    heads: usize,
    layers: usize,
    ff_dim: usize,
    weights: usize,
    epochs: usize,
    best_epoch: usize,
    seconds: f64,
    held_out: Agreed,
    trained: Agreed,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Agreed {
    questions: usize,
    mean_cosine: f64,
    min_cosine: f64,
    same_first: Option<f64>,
}

impl From<Agreement> for Agreed {
    fn from(agreement: Agreement) -> Self {
        Self {
            questions: agreement.questions,
            mean_cosine: agreement.mean,
            min_cosine: agreement.min,
            same_first: agreement.same_first,
        }
    }
}

pub fn run(args: &Args) -> Result<Made, Failure> {
    if args.output.is_dir() {
        let message = format!("writing {}: it is a folder", args.output.display());
        return Err(Error::new(ErrorKind::Io, message).into());
    }
    let store = Store::open_read_only(&args.store)?;
    let (id, teacher, model) = teacher(&store, args.projection)?;
    let data = TrainingData::from_store(&store, &model)?;
    let mut options = Distillation::suggested(teacher.head_ids().len(), teacher.input_dim());
    options.heads = args.heads.unwrap_or(options.heads);
    options.layers = args.layers.unwrap_or(options.layers);
    options.threads = args.threads.unwrap_or(options.threads);
    let options = Distillation {
        ff_dim: args.ff_dim,
        dropout: args.dropout,
        epochs: args.epochs,
        samples: args.samples,
        batch: options.batch.min(args.samples),
        rate: args.rate,
        cosine_weight: args.cosine_weight,
        held_out: args.held_out,
        seed: args.seed,
        ..options
    };
    let test = args.test.as_deref().map(load_test).transpose()?;
    let test = test.as_ref().map(|questions| questions.view());
    let begun = std::time::Instant::now();
    let bar = steps("distilling");
    let distilled = distill_model(&teacher, &data, test, &options, &mut |progress| {
        show(&bar, progress);
        true
    });
    bar.finish_and_clear();
    let distilled = distilled?;
    let made_of = json!({"projection": id, "kind": teacher.kind().name(), "model": model.name});
    distilled.model.save(&args.output, &distilled.to_json(&made_of))?;
    Ok(Made {
        projection_id: id,
        kind: teacher.kind().name(),
        model: model.name,
        output: args.output.display().to_string(),
        heads: options.heads,
        layers: options.layers,
        ff_dim: options.ff_dim,
        weights: distilled.model.weights().len(),
        epochs: distilled.epochs,
        best_epoch: distilled.best_epoch,
        seconds: begun.elapsed().as_secs_f64(),
        notes: notes(&distilled),
        held_out: distilled.held_out.into(),
        trained: distilled.trained.into(),
    })
}

fn load_test(path: &Path) -> Result<Array2<f32>, Error> {
    let array = NpyArray::load(path)?;
    let rows = Array2::from_shape_vec(array.matrix_shape(), array.to_f32()?);
    rows.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

/// The projection with the given id, or the newest, and the text model of its queries.
fn teacher(store: &Store, id: Option<i64>) -> Result<(i64, Model, EmbeddingModel), Error> {
    let (routing, linear) = (store.multi_head_projections()?, store.linear_projections()?);
    let newest = routing.iter().map(|row| row.id).chain(linear.iter().map(|row| row.id)).max();
    let id = id.or(newest).ok_or_else(|| {
        let message = format!(
            "{}: no projection to distil yet, `projection train` makes one",
            store.path().display()
        );
        Error::new(ErrorKind::NotFound, message)
    })?;
    let teacher = Model::from_store(store, id)?;
    let name = match teacher.kind() {
        ModelKind::Linear => linear.into_iter().find(|row| row.id == id).map(|row| row.model_name),
        _ => routing.into_iter().find(|row| row.id == id).map(|row| row.model_name),
    };
    Ok((id, teacher, store.embedding_model(name.as_deref())?))
}

fn show(bar: &ProgressBar, progress: &DistillationProgress) {
    bar.set_length(progress.epochs as u64);
    bar.set_position(progress.epoch as u64);
    bar.set_message(format!(
        "distilling, loss {:.5}, held out {:.5}",
        progress.loss, progress.held_out_loss
    ));
}

fn notes(distilled: &Distilled) -> Vec<String> {
    let mut notes = Vec::new();
    if distilled.held_out.mean < USEFUL {
        notes.push(format!(
            "a mean cosine below {USEFUL} on held-out questions: the transformer does not \
             answer as the projection does; more epochs, layers or a larger --ff-dim may help"
        ));
    }
    if distilled.epochs < distilled.options.epochs {
        notes.push(format!(
            "stopped after epoch {} of {}: no better on held-out questions since epoch {}",
            distilled.epochs, distilled.options.epochs, distilled.best_epoch
        ));
    }
    notes
}

impl Report for Made {
    fn render(&self, screen: &Screen) -> String {
        let mut text = format!(
            "{}\ntransformer of {} and {}, {} weights, distilled from {} projection {} in {} \
             ({:.0} s)\n\n",
            self.output,
            count(self.layers, "layer"),
            count(self.heads, "head"),
            self.weights,
            self.kind,
            self.projection_id,
            count(self.epochs, "epoch"),
            self.seconds,
        );
        let row = |name: &str, agreed: &Agreed| {
            let same = agreed.same_first.map(|share| format!("{:.1} %", 100.0 * share));
            vec![
                name.to_string(),
                agreed.questions.to_string(),
                format!("{:.4}", agreed.mean_cosine),
                format!("{:.4}", agreed.min_cosine),
                same.unwrap_or("-".into()),
            ]
        };
        text += &screen.table(
            &["agreement", "questions", "mean cosine", "lowest", "same first answer"],
            [row("held out", &self.held_out), row("learnt from", &self.trained)],
        );
        for message in &self.notes {
            text += &note(message);
        }
        text
    }
}

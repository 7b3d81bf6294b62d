//! `projection distill`: a transformer that answers as a projection of a store does.

use std::ops::ControlFlow;
use std::path::PathBuf;

use indicatif::ProgressBar;
use projection_engine::{DistillReport, DistillRequest, distill_store};
use projection_store::Store;
use projection_train::{Agreement, Distillation, Progress};

use crate::failure::Failure;
use crate::output::{Report, Screen, count, note, steps};

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

    /// Projection to distil [default: the active one]
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

pub fn run(args: &Args) -> Result<DistillReport, Failure> {
    let store = Store::open_read_only(&args.store)?;
    let default = Distillation::default();
    let request = DistillRequest {
        output: args.output.clone(),
        projection: args.projection,
        test: args.test.clone(),
        heads: args.heads,
        layers: args.layers,
        options: Distillation {
            ff_dim: args.ff_dim,
            dropout: args.dropout,
            epochs: args.epochs,
            samples: args.samples,
            rate: args.rate,
            cosine_weight: args.cosine_weight,
            held_out: args.held_out,
            seed: args.seed,
            threads: args.threads.unwrap_or(default.threads),
            ..default
        },
    };
    let bar = steps("distilling");
    let report = distill_store(&store, &request, &mut |progress| {
        show(&bar, progress);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    Ok(report?)
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.steps as u64);
    bar.set_position(progress.step as u64);
    let losses = progress.loss.zip(progress.held_out_loss);
    bar.set_message(losses.map_or("distilling".to_string(), |(loss, held_out)| {
        format!("distilling, loss {loss:.5}, held out {held_out:.5}")
    }));
}

impl Report for DistillReport {
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
        let row = |name: &str, agreed: &Agreement| {
            let same = agreed.same_first.map(|share| format!("{:.1} %", 100.0 * share));
            vec![
                name.to_string(),
                agreed.questions.to_string(),
                format!("{:.4}", agreed.mean),
                format!("{:.4}", agreed.min),
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

//! What was measured, as a table for people.

use projection_train::evaluation::{
    AgainstExact, EvaluationReport, MethodReport, Part, Protocol, ProtocolReport,
};

use crate::output::{Report, Screen, count, heading, note};

/// What was asked, in a sentence.
pub fn title(protocol: &ProtocolReport) -> &'static str {
    match protocol.protocol {
        Protocol::Test => "test questions",
        Protocol::Closed => "closed: questions left out in turn",
        Protocol::Open => "open: answers left out in turn, with all their questions",
    }
}

/// The numbers behind it.
pub fn size(protocol: &ProtocolReport, answers: usize) -> String {
    let mean = if protocol.protocol == Protocol::Test { "" } else { " (mean of the folds)" };
    format!(
        "{} asked, {} of them of answers with training questions; {answers} answers, {} of \
         them with questions, {} training questions{mean}",
        count(protocol.questions, "question"),
        protocol.seen_questions,
        protocol.seen_answers,
        protocol.training_questions,
    )
}

/// McNemar's p for people.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

impl Report for EvaluationReport {
    fn render(&self, screen: &Screen) -> String {
        let mut text = String::new();
        for protocol in &self.protocols {
            text += &heading(title(protocol));
            text += &format!("{}\n\n", size(protocol, self.answers));
            text += &screen.table(
                &[
                    "method",
                    "recall@1 %",
                    "recall@5 %",
                    "MRR@10",
                    "nDCG@10",
                    "seen",
                    "unseen",
                    "gained",
                    "lost",
                    "p",
                ],
                protocol.methods.iter().enumerate().map(|(number, method)| row(number, method)),
            );
            text += "\n";
            for method in &protocol.methods {
                if let Some(other) = &method.against_exact {
                    text += &against_exact(&method.method, other);
                }
            }
        }
        text += "In brackets: 95 % intervals. seen, unseen: recall@1 where the right answer has \
                 training questions\nand where it has none. gained, lost: questions that only the method, \
                 or only cosine, answers first;\np: McNemar's, of these two.\n";
        for message in &self.notes {
            text += &note(&screen.clean(message));
        }
        for message in &self.warnings {
            let label = console::style("warning:").red().bold();
            text += &format!("{label} {}\n", screen.clean(message));
        }
        if let Some(path) = &self.html {
            text += &format!("report written to {path}\n");
        }
        text
    }
}

/// How a rounded projection differs from the exact one, in a line.
pub fn against_exact(name: &str, other: &AgainstExact) -> String {
    format!(
        "{name}: cosine with f32 {:.6} on average, {:.6} at least; recall@1 {:+.2} points\n",
        other.mean_cosine,
        other.least_cosine,
        // Without a minus before nothing.
        100.0 * other.recall_at_1 + 0.0,
    )
}

fn row(number: usize, method: &MethodReport) -> Vec<String> {
    let all = &method.all;
    let part = |part: &Option<Part>| {
        part.as_ref().map_or("-".into(), |part| format!("{:.1}", 100.0 * part.recall_at_1.value))
    };
    let mut row = vec![
        method.method.clone(),
        all.recall_at_1.percent(),
        all.recall_at_5.percent(),
        all.mrr_at_10.number(),
        all.ndcg_at_10.number(),
        part(&method.seen),
        part(&method.unseen),
    ];
    // Cosine is not compared with itself.
    row.extend(match number {
        0 => ["-".into(), "-".into(), "-".into()],
        _ => [all.gained.to_string(), all.lost.to_string(), p_value(all.p_against_cosine)],
    });
    row
}

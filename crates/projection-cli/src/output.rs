//! Printing: text for people, JSON for programs, tables, bars and progress.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// Width of a full bar.
const BAR: usize = 24;

/// Narrower terminals are written to as if they had this width.
const NARROWEST: usize = 40;

/// A rule below the header and nothing else.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// What a command found: serialised for programs, rendered for people.
pub trait Report: Serialize {
    /// The text for people.
    fn render(&self, screen: &Screen) -> String;

    /// Whether the command did all that it was asked for; otherwise the exit code is 1.
    fn succeeded(&self) -> bool {
        true
    }
}

/// Standard output and what it can show.
#[derive(Debug)]
pub struct Screen {
    /// Print JSON.
    pub json: bool,
    /// Columns of the terminal, where it is one.
    width: Option<usize>,
}

impl Screen {
    pub fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| {
            let size = console::Term::stdout().size_checked();
            size.map_or(80, |(_, columns)| usize::from(columns)).max(NARROWEST)
        });
        Self { json, width }
    }

    /// Whether a person is looking.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Prints a report. A reader that closes the pipe early, as `head` does, has seen what
    /// it wanted: that is no failure.
    pub fn print(&self, report: &impl Report) -> Result<(), Failure> {
        let text = if self.json {
            let json = serde_json::to_string(report).map_err(|error| error.into());
            json.map_err(Failure::Output)? + "\n"
        } else {
            report.render(self)
        };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
            _ => Ok(()),
        }
    }

    /// A table: fitted to the terminal where there is one, one line a row elsewhere.
    pub fn table<C: Into<String>>(
        &self,
        header: &[&str],
        rows: impl IntoIterator<Item = Vec<C>>,
    ) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if let Some(width) = self.width {
            table.load_style(RULED);
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        table.set_header(header.iter().copied());
        for row in rows {
            table.add_row(row.into_iter().map(|cell| self.clean(&cell.into())).collect::<Vec<_>>());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
        lines.join("\n") + "\n"
    }

    /// A text without control characters, which could change the terminal, and in one line
    /// where lines are rows.
    pub fn clean(&self, text: &str) -> String {
        if self.is_terminal() {
            let shown = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
            return text.chars().map(shown).collect();
        }
        text.split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A heading, bold where the terminal shows it.
pub fn heading(text: &str) -> String {
    format!("{}\n", console::style(text).bold())
}

/// A bar for a share of the whole, from 0 to 1.
fn bar(share: f64) -> String {
    let length = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    let bar = format!("{}{}", "█".repeat(length), " ".repeat(BAR - length));
    console::style(bar).cyan().to_string()
}

/// The largest shares of a whole as bars relative to the first, each with its words, and one line
/// for all others. `shares` are in descending order.
pub fn shares(shares: &[(f64, String)], shown: usize) -> String {
    let (shown, others) = shares.split_at(shares.len().min(shown));
    let top = shown.first().map_or(1.0, |(share, _)| *share).max(f64::MIN_POSITIVE);
    let mut text: String = (shown.iter())
        .map(|(share, words)| format!("{:6.2} %  {}  {words}\n", share * 100.0, bar(share / top)))
        .collect();
    let rest: f64 = others.iter().map(|(share, _)| share).sum();
    match others.len() {
        0 => {}
        1 => text += &format!("{:6.2} %  in 1 other\n", rest * 100.0),
        n => text += &format!("{:6.2} %  shared by {n} others\n", rest * 100.0),
    }
    text + "\n"
}

/// A line of what a person should know about a result.
pub fn note(message: &str) -> String {
    format!("{} {message}\n", console::style("note:").yellow())
}

/// Progress of countable work on standard error, silent where that is not a terminal.
pub fn progress(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total as u64).with_style(style).with_message(what)
}

/// Progress of work of unknown length, as [`progress`].
pub fn spinner(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Progress of work whose stages have different lengths, as [`progress`], with the time that
/// is left of the stage.
pub fn steps(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(what)
}

/// A value for a table, `-` where there is none.
pub fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_string(), |value| value.to_string())
}

/// `1 answer`, `2 answers`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

//! A line on standard error that shows work going on: only for people, and only if they wait.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Rows done so far.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
}

impl Progress {
    /// Work over `total` steps, called `verb`; each is a unit of work such as a refit.
    pub fn steps(verb: &'static str, total: u64) -> Self {
        let template = "{msg} {human_pos} of {human_len} {wide_bar} {elapsed}, {eta} left";
        Progress::drawn(verb, Some(total), template)
    }

    /// A search without a known end: its line is what [`Progress::say`] says.
    pub fn search() -> Self {
        Progress::drawn("", None, "{msg}, {elapsed}")
    }

    /// One step more, told in words.
    pub fn say(&mut self, words: String) {
        self.bar.set_message(words);
        self.advance(1);
    }

    /// Work over `rows` rows if known, called `verb`.
    pub fn new(verb: &'static str, rows: Option<u64>) -> Self {
        let template = match rows {
            Some(_) => "{msg} {human_pos} of {human_len} rows {wide_bar} {per_sec}, {eta} left",
            None => "{msg} {human_pos} rows, {per_sec}, {elapsed}",
        };
        Progress::drawn(verb, rows, template)
    }

    fn drawn(verb: &'static str, rows: Option<u64>, template: &str) -> Self {
        let bar = rows.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(verb);
        Progress {
            bar,
            started: Instant::now(),
            shown: false,
        }
    }

    /// `rows` more are done.
    pub fn advance(&mut self, rows: usize) {
        if !self.shown && self.started.elapsed() > PATIENCE && stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        self.bar.inc(rows as u64);
    }

    /// `done` are done in all.
    pub fn reach(&mut self, done: usize) {
        let before = usize::try_from(self.bar.position()).unwrap_or(usize::MAX);
        self.advance(done.saturating_sub(before));
    }

    /// Clears the line.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

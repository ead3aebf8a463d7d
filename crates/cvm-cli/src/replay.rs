//! `cvm replay`: the predictions of an audit log computed again and compared in every bit.

use crate::args::ReplayArgs;
use crate::failure::{Failure, say};
use crate::progress::Progress;
use crate::render::print;
use cvm::audit::{AuditLine, AuditReader, AuditRecord, audit_files};
use cvm::repository::open_all;
use cvm::{Error, ErrorKind, Model};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Most lines of differences, and of lines that are no records.
const SHOWN: usize = 20;

/// What became of the records.
#[derive(Debug, Default)]
struct Report {
    records: u64,
    rows: u64,
    equal: u64,
    differing: u64,
    differing_rows: u64,
    /// Records without their inputs.
    digest_only: u64,
    /// Records that cannot be what was answered, and lines that are no records.
    broken: u64,
    torn: u64,
    /// Records by the fingerprint of a model that is not there.
    unknown: BTreeMap<String, u64>,
    told: Vec<String>,
}

/// Runs `cvm replay`; reads everything, then fails with the gravest finding.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let models = models(&args.models)?;
    let mut report = Report::default();
    for log in &args.logs {
        for file in audit_files(log)? {
            replay_file(&file, &models, &mut report)?;
        }
    }
    match args.json {
        true => print(&format!("{:#}\n", report.to_json()))?,
        false => print(&report.to_text())?,
    }
    report.verdict().map_err(Failure::from)
}

/// Sound models by fingerprint.
fn models(folder: &Path) -> Result<HashMap<String, Model>, Failure> {
    let mut models = HashMap::new();
    for (path, opened) in open_all(folder)? {
        match opened {
            Ok(model) => {
                models.insert(model.fingerprint().to_string(), model);
            }
            Err(error) => say(&format!("{}: left out: {}", path.display(), error.message)),
        }
    }
    Ok(models)
}

fn replay_file(
    path: &Path,
    models: &HashMap<String, Model>,
    report: &mut Report,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut progress = Progress::steps("bytes replayed", size);
    let mut lines = AuditReader::new(BufReader::new(file));
    while let Some(line) = lines.next() {
        let place = format!("{}:{}", path.display(), lines.line());
        match line.map_err(failed)? {
            AuditLine::Record(record) => report.record(&place, &record, models),
            AuditLine::Torn => {
                report.torn += 1;
                report.tell(format!(
                    "{place}: torn: its writer ended in the middle of it"
                ));
            }
            AuditLine::Unreadable(why) => {
                report.broken += 1;
                report.tell(format!("{place}: no record: {why}"));
            }
        }
        progress.reach(usize::try_from(lines.bytes()).unwrap_or(usize::MAX));
    }
    progress.finish();
    Ok(())
}

impl Report {
    fn record(&mut self, place: &str, record: &AuditRecord, models: &HashMap<String, Model>) {
        self.records += 1;
        let Some(model) = models.get(&record.fingerprint) else {
            *self.unknown.entry(record.fingerprint.clone()).or_default() += 1;
            return;
        };
        if !record.has_inputs() {
            self.digest_only += 1;
            return;
        }
        let replay = match record.replay(model, None) {
            Ok(replay) => replay,
            Err(error) => {
                self.broken += 1;
                self.tell(format!("{place}: {}", error.message));
                return;
            }
        };
        self.rows += replay.row_count as u64;
        if replay.differing_row_count == 0 {
            self.equal += 1;
            return;
        }
        self.differing += 1;
        self.differing_rows += replay.differing_row_count as u64;
        for found in replay.differences {
            self.tell(format!(
                "{place}: {} of {} at {}: row {}: {} was {}, is {}",
                record.request_id,
                record.model_version,
                record.time,
                found.row,
                found.output,
                found.expected,
                found.found
            ));
        }
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < SHOWN {
            self.told.push(what);
        }
    }

    fn unknown_count(&self) -> u64 {
        self.unknown.values().sum()
    }

    fn to_text(&self) -> String {
        let mut text: String = self.told.iter().map(|line| format!("{line}\n")).collect();
        for (fingerprint, count) in &self.unknown {
            text += &format!("no model of fingerprint {fingerprint}: {count} records\n");
        }
        let (replayed, rows) = (self.equal + self.differing, self.rows);
        text += &format!(
            "{} records: {replayed} replayed ({rows} rows), {} equal in every bit, {} differing \
             ({} rows), {} of models not found, {} without inputs, {} broken, {} torn\n",
            self.records,
            self.equal,
            self.differing,
            self.differing_rows,
            self.unknown_count(),
            self.digest_only,
            self.broken,
            self.torn
        );
        text
    }

    fn to_json(&self) -> Value {
        json!({
            "records": self.records,
            "rows": self.rows,
            "equal": self.equal,
            "differing": self.differing,
            "differing_rows": self.differing_rows,
            "models_not_found": self.unknown,
            "without_inputs": self.digest_only,
            "broken": self.broken,
            "torn": self.torn,
            "findings": self.told,
        })
    }

    /// The gravest finding. A torn last line is none: its writer was ended while it wrote.
    fn verdict(&self) -> Result<(), Error> {
        if self.differing + self.broken > 0 {
            let why = "the log is not reproduced in every bit".to_owned();
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        if !self.unknown.is_empty() {
            let why = format!(
                "the models of {} records are not there",
                self.unknown_count()
            );
            return Err(Error::new(ErrorKind::NotFound, why));
        }
        if self.equal == 0 {
            let why = "no record could be replayed".to_owned();
            return Err(Error::new(ErrorKind::NotFound, why));
        }
        Ok(())
    }
}

//! Drift: how far inputs and scores of a table are from those of training.

use super::Model;
use crate::{Error, score};
use cvm_churn::metrics::{psi, psi_noise};
use cvm_churn::{FieldProfile, Profile};
use cvm_core::{Batch, ScoreOptions};
use cvm_fit::normal_quantile;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Key of the training facts that hold the profile.
const FACT: &str = "profile";
/// The output that a calibrated model profiles.
const UNCALIBRATED: &str = "uncalibrated_probability";
/// A stability index from which a field is watched, and from which it is an alarm: the usual levels,
/// Siddiqi (2006), *Credit Risk Scorecards*, ch. 9.
const WATCH: f64 = 0.1;
const ALARM: f64 = 0.25;
/// Of 20 fields in which nothing changed, one may exceed the noise.
const NOISE_LEVEL: f64 = 0.95;

/// What an index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftLevel {
    /// Below 0.1, or no more than chance explains.
    Stable,
    /// From 0.1.
    Watch,
    /// From 0.25.
    Alarm,
}

impl DriftLevel {
    /// Lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DriftLevel::Stable => "stable",
            DriftLevel::Watch => "watch",
            DriftLevel::Alarm => "alarm",
        }
    }

    fn of(psi: f64, noise: f64) -> DriftLevel {
        match psi {
            _ if psi <= noise => DriftLevel::Stable,
            _ if psi >= ALARM => DriftLevel::Alarm,
            _ if psi >= WATCH => DriftLevel::Watch,
            _ => DriftLevel::Stable,
        }
    }
}

/// Drift of one field, or of the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDrift {
    /// Field, or output.
    pub name: String,
    /// Population stability index.
    pub psi: f64,
    /// What the index stays below in 95 % of tables in which nothing changed.
    pub noise: f64,
    /// What it says.
    pub level: DriftLevel,
    /// Share of missing values in training.
    pub missing_before: f64,
    /// Share of missing values now.
    pub missing_now: f64,
    /// Share of levels that training did not have, or hardly; 0 for numbers.
    pub other_before: f64,
    /// The same now.
    pub other_now: f64,
}

/// Drift of all inputs and of the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriftReport {
    /// Rows of training.
    pub row_count_before: u64,
    /// Rows now.
    pub row_count_now: u64,
    /// Inputs in the model's order.
    pub fields: Vec<FieldDrift>,
    /// The model's own score.
    pub score: Option<FieldDrift>,
}

/// Rows counted into the bins of a model's profile: of so many bytes, however many rows.
#[derive(Debug, Clone)]
pub struct DriftTally {
    profile: Arc<Profile>,
    row_count: u64,
    /// Counts of each field of the profile, and last of the score.
    counts: Vec<Vec<u64>>,
}

impl DriftTally {
    /// Adds the rows of a batch, which `model`, whose tally it is, scores for that.
    ///
    /// # Errors
    /// As [`Model::score`]; nothing is added then.
    pub fn add(&mut self, model: &Model, batch: &Batch<'_>) -> Result<(), Error> {
        let profile = Arc::clone(&self.profile);
        let scored = match &profile.score {
            Some(field) => Some(field.count_numbers(&model.profiled_scores(batch)?)),
            None => None,
        };
        let inputs = profile.fields.iter();
        let inputs = inputs.map(|field| Profile::count(field, batch).unwrap_or_default());
        for (all, own) in self.counts.iter_mut().zip(inputs.chain(scored)) {
            all.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        self.row_count += batch.row_count() as u64;
        Ok(())
    }

    /// Adds what another tally of the same model has counted.
    pub fn merge(&mut self, other: &DriftTally) {
        for (all, own) in self.counts.iter_mut().zip(&other.counts) {
            all.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        self.row_count += other.row_count;
    }

    /// Rows so far.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.row_count
    }

    /// How far they are from the rows of training. A field that no batch had is left out.
    ///
    /// # Errors
    /// `InvalidInput` without rows.
    pub fn report(&self) -> Result<DriftReport, Error> {
        if self.row_count == 0 {
            return Err(Error::invalid("rows", "are none: nothing to compare"));
        }
        let Profile {
            row_count,
            fields,
            score,
        } = &*self.profile;
        let seen = |counts: &[u64]| counts.iter().any(|count| *count > 0);
        let inputs = fields.iter().zip(&self.counts);
        let inputs = inputs.filter(|(_, now)| seen(now));
        let scored = score.as_ref().zip(self.counts.get(fields.len()));
        Ok(DriftReport {
            row_count_before: *row_count,
            row_count_now: self.row_count,
            fields: inputs
                .map(|(field, now)| compare(field, now))
                .collect::<Result<_, _>>()?,
            score: scored.map(|(field, now)| compare(field, now)).transpose()?,
        })
    }
}

impl FieldDrift {
    /// Whether there are too few rows to tell drift from chance: the index of rows that are as those of
    /// training may well exceed the level of [`DriftLevel::Watch`].
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.noise >= WATCH
    }
}

impl Model {
    /// The model with the profile of `batch`, its training rows, among its training facts.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn profiled(self, batch: &Batch<'_>) -> Result<Model, Error> {
        let name = self.first_output()?;
        let scores = self.profiled_scores(batch)?;
        let bound = batch.bind(self.schema())?;
        let profile = Profile::new(&bound, self.schema(), (name, &scores));
        self.with_training_fact(FACT, json!(profile))
    }

    /// How far `batch` is from the rows the model was trained on.
    ///
    /// # Errors
    /// As [`Model::score`]; `InvalidInput` for a model without a profile and for a table without
    /// rows.
    pub fn drift(&self, batch: &Batch<'_>) -> Result<DriftReport, Error> {
        let mut tally = self.drift_tally()?;
        if batch.row_count() == 0 {
            return Err(Error::invalid("rows", "are none: nothing to compare"));
        }
        tally.add(self, batch)?;
        tally.report()
    }

    /// Counters for rows that come in many batches.
    ///
    /// # Errors
    /// `InvalidInput` for a model without a profile, or with a malformed one.
    pub fn drift_tally(&self) -> Result<DriftTally, Error> {
        let profile = self.profile()?;
        let all = profile.fields.iter().chain(&profile.score);
        let counts = all.map(|field| vec![0; field.counts().len()]).collect();
        Ok(DriftTally {
            profile: Arc::new(profile),
            row_count: 0,
            counts,
        })
    }

    /// Whether the model's file tells what its training rows looked like.
    #[must_use]
    pub fn has_profile(&self) -> bool {
        self.training().contains_key(FACT)
    }

    fn profile(&self) -> Result<Profile, Error> {
        let fact = self.training().get(FACT).ok_or_else(|| {
            let why = "has no profile of its training rows: fit it with this version, or give it \
                       one by `profiled`";
            Error::invalid("model", why)
        })?;
        let profile: Profile = serde_json::from_value(fact.clone()).map_err(|error| {
            Error::invalid("model", format!("has a malformed profile: {error}"))
        })?;
        let all = profile.fields.iter().chain(&profile.score);
        match all.into_iter().find(|field| !field.is_sound()) {
            None => Ok(profile),
            Some(field) => {
                let why = format!("has a malformed profile of `{}`", field.name());
                Err(Error::invalid("model", why))
            }
        }
    }

    fn first_output(&self) -> Result<&'static str, Error> {
        let mut outputs = self.outputs().iter();
        let found = outputs.find(|output| !output.needs_horizon && !output.on_request);
        found.map(|output| output.name).ok_or_else(|| {
            Error::invalid(
                "model",
                "has no output without a horizon: its scores cannot be profiled",
            )
        })
    }

    /// Scores before calibration: they stay comparable when a model is calibrated anew, and the
    /// index is the same on either side of a monotone map.
    fn profiled_scores(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let is_calibrated = self
            .outputs()
            .iter()
            .any(|output| output.name == UNCALIBRATED);
        let name = match is_calibrated {
            true => UNCALIBRATED,
            false => self.first_output()?,
        };
        let options = ScoreOptions {
            outputs: vec![name.to_owned()],
            ..ScoreOptions::default()
        };
        let scores = score::score(self.scorer(), batch, &options, 1)?;
        Ok(scores
            .outputs
            .into_iter()
            .next()
            .map(|(_, values)| values)
            .unwrap_or_default())
    }
}

fn compare(field: &FieldProfile, now: &[u64]) -> Result<FieldDrift, Error> {
    let before = field.counts();
    let rows = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
    let (rows_before, rows_now) = (rows(&before), rows(now));
    let share = |counts: &[u64], from_end: usize, rows: f64| {
        let place = counts.len().checked_sub(from_end);
        place
            .and_then(|place| counts.get(place))
            .map_or(0.0, |count| *count as f64 / rows)
    };
    let other = |counts: &[u64], rows: f64| match field {
        FieldProfile::Category { .. } => share(counts, 2, rows),
        FieldProfile::Number { .. } => 0.0,
    };
    // A bin that is empty on both sides says nothing.
    let pairs: Vec<(f64, f64)> = before
        .iter()
        .zip(now)
        .filter(|(before, now)| **before > 0 || **now > 0)
        .map(|(before, now)| (*before as f64, *now as f64))
        .collect();
    let (left, right): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let psi = psi(&left, &right)?;
    let noise = psi_noise(
        left.len(),
        rows_before,
        rows_now,
        normal_quantile(NOISE_LEVEL),
    );
    Ok(FieldDrift {
        name: field.name().to_owned(),
        psi,
        noise,
        level: DriftLevel::of(psi, noise),
        missing_before: share(&before, 1, rows_before),
        missing_now: share(now, 1, rows_now),
        other_before: other(&before, rows_before),
        other_now: other(now, rows_now),
    })
}

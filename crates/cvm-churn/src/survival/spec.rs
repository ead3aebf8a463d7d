//! Settings every duration model shares: which columns hold time and event, and how inputs enter.

use crate::{ChurnError, LogisticSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What happens after the last time that the data cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// The hazard stays at its mean over the last times that hold enough events.
    #[default]
    Constant,
    /// Nobody leaves any more: lifetimes that reach the tail are infinite.
    Zero,
}

/// The columns that say how long a row was at risk. One of three layouts:
/// `duration` (with `entry` for customers first seen later in life), `start` and `stop` (several
/// rows a customer, whose inputs change over time), or `period` (one row per customer and period).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct TimeSpec {
    /// Time from the start of the relation to its end or to the last look.
    pub duration: Option<String>,
    /// Time already survived when the customer came under observation; needs `duration`.
    pub entry: Option<String>,
    /// Start of the interval a row covers.
    pub start: Option<String>,
    /// End of the interval a row covers.
    pub stop: Option<String>,
    /// Number of the period a row covers, the first is 1.
    pub period: Option<String>,
}

/// The name of the input that says, in scoring, how long a customer has stayed.
pub(crate) const TENURE: &str = "tenure";

impl TimeSpec {
    /// Names of the settings.
    pub(crate) const KEYS: [&'static str; 5] = ["duration", "entry", "start", "stop", "period"];

    /// Time from the start to the end or the last look.
    #[must_use]
    pub fn duration(column: impl Into<String>) -> Self {
        TimeSpec {
            duration: Some(column.into()),
            ..TimeSpec::default()
        }
    }

    /// Every column that is named.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        let named = [
            &self.duration,
            &self.entry,
            &self.start,
            &self.stop,
            &self.period,
        ];
        named.into_iter().flatten()
    }

    /// Checks that exactly one layout is named.
    ///
    /// # Errors
    /// [`ChurnError::Setting`] with the layouts there are.
    pub(crate) fn check(&self) -> Result<(), ChurnError> {
        let named = |column: &Option<String>| column.as_ref().is_some_and(|name| !name.is_empty());
        let given = [
            named(&self.duration),
            named(&self.entry),
            named(&self.start),
            named(&self.stop),
            named(&self.period),
        ];
        if matches!(
            given,
            [true, _, false, false, false]
                | [false, false, true, true, false]
                | [false, false, false, false, true]
        ) {
            return Ok(());
        }
        let got: Vec<&str> = TimeSpec::KEYS
            .into_iter()
            .zip(given)
            .filter_map(|(key, given)| given.then_some(key))
            .collect();
        let allowed = "one of: duration (with entry, if you like); start and stop; period";
        let value = format!("[{}]", got.join(", "));
        Err(ChurnError::setting("times", value, allowed))
    }
}

/// Moves the settings named in `keys` out of `settings`.
fn take(settings: &mut Map<String, Value>, keys: &[&str]) -> Value {
    let moved = keys.iter().filter_map(|key| settings.remove_entry(*key));
    Value::Object(moved.collect())
}

/// Splits JSON settings into those of time, those of one kind of model (`keys`) and those of the
/// inputs, whose target is the column `event`.
///
/// # Errors
/// [`ChurnError::Setting`] for an unknown name, a wrong type or a wrong layout.
pub(crate) fn split<T: serde::de::DeserializeOwned>(
    mut settings: Map<String, Value>,
    keys: &[&str],
    default_penalty: f64,
) -> Result<(TimeSpec, T, LogisticSpec), ChurnError> {
    let wrong = |error: serde_json::Error| {
        ChurnError::setting("*", error, "the settings of a duration model")
    };
    let times: TimeSpec =
        serde_json::from_value(take(&mut settings, &TimeSpec::KEYS)).map_err(wrong)?;
    let own: T = serde_json::from_value(take(&mut settings, keys)).map_err(wrong)?;
    if settings.contains_key("target") {
        let allowed = "absent: a duration model calls it `event`";
        return Err(ChurnError::setting("target", "set", allowed));
    }
    let event = settings.remove("event").unwrap_or_default();
    settings.insert("target".to_owned(), event.clone());
    settings
        .entry("penalty")
        .or_insert_with(|| Value::from(default_penalty));
    if event.as_str().is_none_or(str::is_empty) {
        let allowed = "the name of the column that says who left";
        return Err(ChurnError::setting("event", event, allowed));
    }
    let inputs: LogisticSpec = serde_json::from_value(Value::Object(settings)).map_err(wrong)?;
    times.check()?;
    Ok((times, own, inputs))
}

/// The settings of the inputs with every column of time left out of them.
///
/// # Errors
/// A column with two roles, or one that is called as the input for time is in scoring.
pub(crate) fn inputs_only(
    times: &TimeSpec,
    inputs: &LogisticSpec,
    others: &[&Option<String>],
) -> Result<LogisticSpec, ChurnError> {
    inputs.check()?;
    let logistic_only = [
        ("offset", inputs.offset.is_some()),
        ("path", inputs.path.is_some()),
    ];
    if let Some((name, _)) = logistic_only.iter().find(|(_, set)| *set) {
        let allowed = "unset: only churn.logistic has it";
        return Err(ChurnError::setting(name, "set", allowed));
    }
    let mut spec = inputs.clone();
    let listed: Vec<&String> = spec
        .numeric
        .iter()
        .chain(&spec.categorical)
        .flatten()
        .collect();
    let roles = times.columns().chain(others.iter().copied().flatten());
    let mut taken: Vec<String> = Vec::new();
    for name in roles {
        let twice = listed.contains(&name) || taken.contains(name) || *name == spec.target;
        if twice || spec.weight.as_ref() == Some(name) {
            let allowed = "one of event, weight, a column of time, numeric, categorical, once";
            return Err(ChurnError::setting("columns", name, allowed));
        }
        taken.push(name.clone());
    }
    if listed.iter().any(|name| *name == TENURE) {
        let allowed = "no input of the model: in scoring that column is the time already survived";
        return Err(ChurnError::setting("columns", TENURE, allowed));
    }
    spec.ignore.extend(taken);
    Ok(spec)
}

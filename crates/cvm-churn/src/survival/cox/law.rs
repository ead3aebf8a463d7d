//! The Cox model's law of time: a baseline hazard in steps at the event times, and the tail.
//!
//! ```text
//! H(t) = e^η H_0(t)      H_0 steps at the event times, flat to the end of follow-up
//! ```
//! After the end of follow-up the tail rule holds: at a constant rate, that of the last event times
//! that hold enough events, `H_0` rises on in a line; or it stays.

use super::super::hazard::exponential_area;
use super::super::model::Law;
use super::super::scorer::COX_OUTPUTS;
use super::super::spec::Tail;
use super::errors::{Errors, FACTOR, Window};
use cvm_core::{Array, ModelState, OutputSpec, StateError};
use cvm_math::exp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A baseline in steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Cox {
    /// Event times, ascending.
    pub(crate) times: Vec<f64>,
    /// `H_0` at and after each.
    pub(crate) hazard: Vec<f64>,
    /// End of follow-up, at or after the last event.
    pub(crate) end: f64,
    pub(crate) tail: Tail,
    /// First event time the tail's rate is measured on.
    pub(crate) tail_start: usize,
    tail_rate: f64,
    /// Absent in files from before they were kept, and where they are not known.
    errors: Option<Errors>,
    /// The other strata, if there are any: this law is that of the first.
    others: Option<Others>,
}

/// Strata beyond the first.
#[derive(Debug, Clone, PartialEq)]
struct Others {
    /// The input whose groups are the strata.
    field: String,
    laws: Vec<Cox>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    tail: Tail,
    tail_start: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strata: Option<StrataSettings>,
}

/// What a file says of strata; their arrays are those of the first behind `stratum.<k>.`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrataSettings {
    field: String,
    /// Of the second and later strata.
    tail_starts: Vec<usize>,
}

/// Name of an array of stratum `k`, counted from 0.
fn stratum_prefix(k: usize) -> String {
    format!("stratum.{k}.")
}

impl Cox {
    /// Puts the law together.
    pub(crate) fn new(
        times: Vec<f64>,
        hazard: Vec<f64>,
        end: f64,
        tail: Tail,
        tail_start: usize,
    ) -> Result<Cox, StateError> {
        let malformed = |what: &str| Err(StateError::malformed("churn.cox", what));
        let increasing = times.windows(2).all(|pair| pair[0] < pair[1]);
        let last = times.last().copied().unwrap_or(f64::NAN);
        let positive = times.first().is_some_and(|t| *t > 0.0);
        let covered = end >= last && end.is_finite();
        if !(increasing && positive && covered) {
            return malformed("event times must be above 0, increase and not pass the end");
        }
        let rising = hazard.windows(2).all(|pair| pair[0] <= pair[1]);
        let finite = hazard.iter().all(|h| h.is_finite() && *h >= 0.0);
        if hazard.len() != times.len() || !rising || !finite || tail_start >= times.len() {
            return malformed("the baseline must be one rising finite number per event time");
        }
        let before = match tail_start.checked_sub(1) {
            Some(j) => (times[j], hazard[j]),
            None => (0.0, 0.0),
        };
        let rise = hazard.last().copied().unwrap_or(0.0) - before.1;
        let tail_rate = match tail {
            Tail::Constant => rise / (end - before.0),
            Tail::Zero => 0.0,
        };
        Ok(Cox {
            times,
            hazard,
            end,
            tail,
            tail_start,
            tail_rate,
            errors: None,
            others: None,
        })
    }

    /// One law of the laws of all strata, which are the groups of the input `field`. Errors are kept
    /// for all strata or none.
    pub(crate) fn join(laws: Vec<Cox>, field: Option<&str>) -> Result<Cox, StateError> {
        let known = laws.iter().all(|law| law.errors.is_some());
        let mut laws = laws.into_iter().map(|law| Cox {
            errors: law.errors.filter(|_| known),
            ..law
        });
        let malformed = || StateError::malformed("churn.cox", "there is no stratum");
        let first = laws.next().ok_or_else(malformed)?;
        let later = laws.map(|law| Cox {
            errors: law.errors.map(Errors::without_factor),
            ..law
        });
        let others = field.map(|field| Others {
            field: field.to_owned(),
            laws: later.collect(),
        });
        Ok(Cox { others, ..first })
    }

    /// The law with the errors of its curve.
    pub(crate) fn with_errors(self, errors: Option<Errors>) -> Cox {
        Cox { errors, ..self }
    }

    /// The event times behind `H_0(T+h) − H_0(T)`. Where all the future is a tail that never ends,
    /// what comes before it does not count.
    fn window(&self, tenure: f64, h: f64) -> Window {
        let tail = self.in_tail(tenure, h);
        let mut window = Window {
            from: self.passed(tenure),
            to: self.passed(tenure + h),
            tail_from: self.tail_start,
            tail_to: self.times.len(),
            share: 0.0,
        };
        if tail > 0.0 && self.tail_rate > 0.0 {
            let before = self
                .tail_start
                .checked_sub(1)
                .map_or(0.0, |j| self.times[j]);
            window.share = tail / (self.end - before);
        }
        if window.share == f64::INFINITY {
            (window.from, window.to, window.share) = (0, 0, 1.0);
        }
        window
    }

    /// Number of event times at or before `t`.
    fn passed(&self, t: f64) -> usize {
        self.times.partition_point(|own| *own <= t)
    }

    /// `H_0` after `passed` event times.
    fn level(&self, passed: usize) -> f64 {
        match passed.checked_sub(1) {
            Some(j) => self.hazard.get(j).copied().unwrap_or(f64::NAN),
            None => 0.0,
        }
    }

    /// Length of the tail within `(tenure, tenure + h]`.
    fn in_tail(&self, tenure: f64, h: f64) -> f64 {
        if tenure >= self.end {
            return h;
        }
        (tenure + h - self.end).max(0.0)
    }

    /// `H_0(T+h) − H_0(T)`.
    fn baseline(&self, tenure: f64, h: f64) -> f64 {
        let steps = self.level(self.passed(tenure + h)) - self.level(self.passed(tenure));
        let tail = self.in_tail(tenure, h);
        // An infinite time at rate 0 adds nothing.
        if self.tail_rate > 0.0 {
            steps + self.tail_rate * tail
        } else {
            steps
        }
    }

    fn store_arrays(&self, arrays: &mut Vec<Array>) {
        arrays.push(Array::vector("baseline.times", self.times.clone()));
        arrays.push(Array::vector("baseline.hazard", self.hazard.clone()));
        arrays.push(Array::vector("follow_up_end", vec![self.end]));
        if let Some(errors) = &self.errors {
            errors.store(arrays);
        }
    }

    /// The law of one stratum from its arrays.
    fn load_one(
        state: &ModelState,
        tail: Tail,
        tail_start: usize,
        size: usize,
        is_first: bool,
    ) -> Result<Cox, StateError> {
        let law = Cox::new(
            state.array("baseline.times")?.values.clone(),
            state.array("baseline.hazard")?.values.clone(),
            state.vector("follow_up_end", 1)?[0],
            tail,
            tail_start,
        )?;
        let errors = Errors::load(state, law.times.len(), size, is_first)?;
        Ok(law.with_errors(errors))
    }

    /// Event times and `H_0` at each, for the mean customer (of the first stratum).
    #[must_use]
    pub fn steps(&self) -> (&[f64], &[f64]) {
        (&self.times, &self.hazard)
    }
}

impl Law for Cox {
    const KIND: &'static str = "churn.cox";
    const TITLE: &'static str = "Cox proportional hazards";
    // The baseline moves with the coefficients: intervals from the coefficients' covariance alone
    // would be too short. They come from `Errors`.
    const PARAMS: &'static str = "coefficients";
    const OUTPUTS: &'static [OutputSpec] = COX_OUTPUTS;

    fn params(&self) -> Vec<f64> {
        Vec::new()
    }

    fn store(&self, settings: &mut Map<String, Value>, arrays: &mut Vec<Array>) {
        let strata = self.others.as_ref().map(|others| StrataSettings {
            field: others.field.clone(),
            tail_starts: others.laws.iter().map(|law| law.tail_start).collect(),
        });
        let own = Settings {
            tail: self.tail,
            tail_start: self.tail_start,
            strata,
        };
        if let Ok(Value::Object(own)) = serde_json::to_value(own) {
            settings.extend(own);
        }
        self.store_arrays(arrays);
        let others = self.others.iter().flat_map(|others| &others.laws);
        for (k, law) in others.enumerate() {
            let mut own = Vec::new();
            law.store_arrays(&mut own);
            // The factor of the coefficients' covariance is that of the first stratum.
            own.retain(|array| array.name != FACTOR);
            arrays.extend(own.into_iter().map(|array| Array {
                name: stratum_prefix(k + 1) + &array.name,
                ..array
            }));
        }
    }

    fn load(
        state: &ModelState,
        settings: &Value,
        params: &[f64],
    ) -> Result<(Self, usize), StateError> {
        let own: Settings = serde_json::from_value(settings.clone())
            .map_err(|error| StateError::malformed(Self::KIND, format!("settings.law: {error}")))?;
        let mut laws = vec![Cox::load_one(
            state,
            own.tail,
            own.tail_start,
            params.len(),
            true,
        )?];
        let Some(strata) = own.strata else {
            return Ok((Cox::join(laws, None)?, 0));
        };
        for (k, tail_start) in strata.tail_starts.iter().enumerate() {
            let prefix = stratum_prefix(k + 1);
            let part = |array: &Array| {
                let name = array.name.strip_prefix(&prefix)?.to_owned();
                Some(Array {
                    name,
                    ..array.clone()
                })
            };
            let mut one = ModelState::new(Self::KIND);
            one.arrays = state.arrays.iter().filter_map(part).collect();
            laws.push(Cox::load_one(
                &one,
                own.tail,
                *tail_start,
                params.len(),
                false,
            )?);
        }
        Ok((Cox::join(laws, Some(&strata.field))?, 0))
    }

    fn strata(&self) -> Option<(&str, usize)> {
        let others = self.others.as_ref()?;
        Some((&others.field, 1 + others.laws.len()))
    }

    fn of_stratum(&self, stratum: usize) -> &Self {
        let others = self.others.as_ref().map_or(&[][..], |others| &others.laws);
        match stratum.checked_sub(1) {
            Some(place) => others.get(place).unwrap_or(self),
            None => self,
        }
    }

    fn cumulative(&self, eta: f64, tenure: f64, h: f64) -> f64 {
        let baseline = self.baseline(tenure, h);
        if baseline == 0.0 {
            return 0.0;
        }
        exp(eta) * baseline
    }

    fn directions(&self) -> Vec<Vec<f64>> {
        self.errors
            .as_ref()
            .map_or_else(Vec::new, Errors::directions)
    }

    fn log_error(&self, tenure: f64, h: f64, along: &[f64]) -> f64 {
        let window = self.window(tenure, h);
        let rise = window.rise(|count| self.level(count));
        match &self.errors {
            None => f64::NAN,
            // Nothing can happen: that is certain.
            Some(_) if rise == 0.0 => 0.0,
            Some(errors) => errors.of_log(&window, rise, along),
        }
    }

    fn lifetime(&self, eta: f64, tenure: f64, h: f64, rho: f64) -> f64 {
        let risk = exp(eta);
        let first = self.passed(tenure);
        let start = self.level(first);
        let (mut at, mut area) = (0.0, 0.0);
        let mut survival = 1.0;
        let steps = self.times.iter().zip(&self.hazard).skip(first);
        for (time, hazard) in steps {
            let length = (time - tenure).min(h) - at;
            area += survival * exp(-rho * at) * exponential_area(rho, length);
            at += length;
            if at >= h {
                return area;
            }
            survival = exp(-risk * (hazard - start));
            if survival == 0.0 {
                return area;
            }
        }
        let flat = ((self.end - tenure).min(h) - at).max(0.0);
        area += survival * exp(-rho * at) * exponential_area(rho, flat);
        at += flat;
        let rest = self.in_tail(tenure, h);
        if rest > 0.0 {
            let rate = risk * self.tail_rate + rho;
            area += survival * exp(-rho * at) * exponential_area(rate, rest);
        }
        area
    }

    fn quantile(&self, eta: f64, tenure: f64, target: f64) -> f64 {
        let first = self.passed(tenure);
        let goal = self.level(first) + target / exp(eta);
        // The first step at or after which enough hazard has passed.
        let step = self.hazard.partition_point(|h| *h < goal).max(first);
        if let Some(time) = self.times.get(step) {
            return time - tenure;
        }
        let missing = goal - self.level(self.times.len());
        if self.tail_rate > 0.0 {
            (self.end - tenure).max(0.0) + missing.max(0.0) / self.tail_rate
        } else {
            f64::INFINITY
        }
    }

    fn unit(&self) -> f64 {
        1.0
    }

    fn joints(&self) -> Vec<f64> {
        let mut joints = self.times.clone();
        joints.push(self.end);
        for law in self.others.iter().flat_map(|others| &others.laws) {
            joints.extend(&law.times);
            joints.push(law.end);
        }
        if self.others.is_some() {
            joints.sort_by(f64::total_cmp);
            joints.dedup();
        }
        joints
    }
}

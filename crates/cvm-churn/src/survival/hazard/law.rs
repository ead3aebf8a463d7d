//! The hazard model's law of time: hazards by period, constant within a period, and the tail.
//!
//! ```text
//! λ_k = −ln(1 − h_k)            H(t) = Σ_{k ≤ ⌊t⌋} λ_k + (t − ⌊t⌋) λ_{⌊t⌋+1}
//! ∫_0^f e^{−(λ+ρ)u} du = (1 − e^{−(λ+ρ)f}) / (λ+ρ)
//! ```
//! Within a period the rate is constant, so at whole periods `S` is the product of `1 − h_k` and
//! between them it falls smoothly. After the last period of the data the tail rule holds.

use super::super::model::Law;
use super::super::scorer::OUTPUTS;
use super::super::spec::Tail;
use super::baseline::{Baseline, MOST_PERIODS, Smooth};
use crate::basis::Basis;
use cvm_core::{Array, ModelState, OutputSpec, StateError};
use cvm_math::{exp, expm1, softplus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the linear predictor becomes a hazard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Log odds: coefficients are log odds ratios per period.
    #[default]
    Logit,
    /// Complementary log-log: coefficients are log hazard ratios, whatever the period's length.
    Cloglog,
}

/// Hazards by period.
#[derive(Debug, Clone, PartialEq)]
pub struct Hazard {
    pub(crate) link: Link,
    pub(crate) tail: Tail,
    /// First period whose mean the constant tail takes.
    pub(crate) tail_start: usize,
    /// Length of a period in the data's time.
    pub(crate) period_length: f64,
    pub(crate) baseline: Baseline,
    pub(crate) alpha: Vec<f64>,
    /// Weight at risk in every period.
    pub(crate) at_risk: Vec<f64>,
    /// `α_k` of every period.
    table: Vec<f64>,
    /// `α` of the tail.
    tail_level: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    link: Link,
    tail: Tail,
    tail_start: usize,
    periods: usize,
    pieces: Vec<usize>,
    smooth_from: Option<usize>,
    spline_knots: usize,
}

impl Hazard {
    /// Puts the law together.
    pub(crate) fn new(
        (link, tail, tail_start): (Link, Tail, usize),
        period_length: f64,
        baseline: Baseline,
        alpha: Vec<f64>,
        at_risk: Vec<f64>,
    ) -> Result<Hazard, StateError> {
        let malformed = |what: &str| Err(StateError::malformed("churn.hazard", what));
        if !(period_length.is_finite() && period_length > 0.0) {
            return malformed("the length of a period must be finite and above 0");
        }
        if alpha.len() != baseline.column_count() || at_risk.len() != baseline.last {
            return malformed("the baseline has not one number per column and period");
        }
        let fine = |w: &f64| w.is_finite() && *w >= 0.0;
        if !(1..=baseline.last).contains(&tail_start) || !at_risk.iter().all(fine) {
            return malformed("the tail must start within the periods, risk be finite and >= 0");
        }
        let table: Vec<f64> = (1..=baseline.last)
            .map(|k| baseline.value(&alpha, k))
            .collect();
        let (mut sum, mut weight) = (0.0, 0.0);
        for (level, w) in table.iter().zip(&at_risk).skip(tail_start - 1) {
            sum += w * level;
            weight += w;
        }
        let last = table.last().copied().unwrap_or(0.0);
        let tail_level = if weight > 0.0 { sum / weight } else { last };
        if table.iter().chain([&tail_level]).any(|v| !v.is_finite()) {
            return malformed("the baseline is not finite");
        }
        Ok(Hazard {
            link,
            tail,
            tail_start,
            period_length,
            baseline,
            alpha,
            at_risk,
            table,
            tail_level,
        })
    }

    /// `−ln(1 − h)` at the linear predictor `u`.
    fn rate(&self, u: f64) -> f64 {
        match self.link {
            Link::Logit => softplus(u),
            Link::Cloglog => exp(u),
        }
    }

    /// `λ_k`, `k` counted from 0.
    fn period_rate(&self, eta: f64, k: usize) -> f64 {
        match self.table.get(k) {
            Some(level) => self.rate(level + eta),
            None => self.tail_rate(eta),
        }
    }

    fn tail_rate(&self, eta: f64) -> f64 {
        match self.tail {
            Tail::Constant => self.rate(self.tail_level + eta),
            Tail::Zero => 0.0,
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn end(&self) -> f64 {
        self.table.len() as f64
    }

    /// Walks pieces of constant rate from `a` over a length of `h` (in periods):
    /// `visit(length, rate)` until it says stop.
    fn walk(&self, eta: f64, a: f64, h: f64, mut visit: impl FnMut(f64, f64) -> bool) {
        let end = self.end();
        let (mut at, mut left) = (a, h);
        while left > 0.0 && at < end {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let k = at as usize;
            #[allow(clippy::cast_precision_loss)]
            let next = (k + 1) as f64;
            let step = (next - at).min(left);
            if !visit(step, self.period_rate(eta, k)) {
                return;
            }
            at = next;
            left -= step;
        }
        if left > 0.0 {
            visit(left, self.tail_rate(eta));
        }
    }

    /// Baseline at the mean customer, period by period.
    #[must_use]
    pub fn levels(&self) -> &[f64] {
        &self.table
    }
}

/// `∫_0^f e^{−xu} du`.
pub(crate) fn exponential_area(x: f64, f: f64) -> f64 {
    if x == 0.0 {
        return f;
    }
    if f == f64::INFINITY {
        return 1.0 / x;
    }
    -expm1(-x * f) / x
}

impl Law for Hazard {
    const KIND: &'static str = "churn.hazard";
    const TITLE: &'static str = "Discrete-time hazard";
    const PARAMS: &'static str = "params";
    const OUTPUTS: &'static [OutputSpec] = OUTPUTS;

    fn params(&self) -> Vec<f64> {
        self.alpha.clone()
    }

    fn store(&self, settings: &mut Map<String, Value>, arrays: &mut Vec<Array>) {
        let smooth = self.baseline.smooth.as_ref();
        let own = Settings {
            link: self.link,
            tail: self.tail,
            tail_start: self.tail_start,
            periods: self.baseline.last,
            pieces: self.baseline.pieces.clone(),
            smooth_from: smooth.map(|smooth| smooth.from),
            spline_knots: smooth.map_or(0, |smooth| smooth.basis.knots().len()),
        };
        if let Ok(Value::Object(own)) = serde_json::to_value(own) {
            settings.extend(own);
        }
        let standards = smooth.map_or(&[][..], |smooth| &smooth.standards[..]);
        let knots = smooth.map_or(&[][..], |smooth| smooth.basis.knots());
        arrays.push(Array::vector("baseline.knots", knots.to_vec()));
        let means = standards.iter().map(|(mean, _)| *mean).collect();
        let scales = standards.iter().map(|(_, scale)| *scale).collect();
        arrays.push(Array::vector("baseline.means", means));
        arrays.push(Array::vector("baseline.scales", scales));
        arrays.push(Array::vector("baseline.at_risk", self.at_risk.clone()));
        arrays.push(Array::vector("period_length", vec![self.period_length]));
    }

    fn load(
        state: &ModelState,
        settings: &Value,
        params: &[f64],
    ) -> Result<(Self, usize), StateError> {
        let malformed = |what: String| StateError::malformed(Self::KIND, what);
        let own: Settings = serde_json::from_value(settings.clone())
            .map_err(|error| malformed(format!("settings.law: {error}")))?;
        if own.periods > MOST_PERIODS {
            return Err(malformed(format!(
                "{} periods, at most {MOST_PERIODS}",
                own.periods
            )));
        }
        let smooth = match own.smooth_from {
            None => None,
            Some(from) => {
                let knots = state.vector("baseline.knots", own.spline_knots)?.to_vec();
                let basis = Basis::new(knots);
                let basis =
                    basis.ok_or_else(|| malformed("baseline.knots: not a spline".into()))?;
                let columns = basis.column_count();
                let means = state.vector("baseline.means", columns)?.iter().copied();
                let scales = state.vector("baseline.scales", columns)?.iter().copied();
                let standards = means.zip(scales).collect();
                Some(Smooth {
                    from,
                    basis,
                    standards,
                })
            }
        };
        let baseline = Baseline::new(own.pieces, smooth, own.periods)?;
        let taken = baseline.column_count();
        let alpha = params
            .get(..taken)
            .ok_or_else(|| malformed("params: too few".into()))?;
        let law = Hazard::new(
            (own.link, own.tail, own.tail_start),
            state.vector("period_length", 1)?[0],
            baseline,
            alpha.to_vec(),
            state.vector("baseline.at_risk", own.periods)?.to_vec(),
        )?;
        Ok((law, taken))
    }

    fn cumulative(&self, eta: f64, tenure: f64, h: f64) -> f64 {
        let mut sum = 0.0;
        self.walk(
            eta,
            tenure / self.period_length,
            h / self.period_length,
            |length, rate| {
                // An infinite time at rate 0 adds nothing.
                sum += if rate > 0.0 { length * rate } else { 0.0 };
                true
            },
        );
        sum
    }

    fn lifetime(&self, eta: f64, tenure: f64, h: f64, rho: f64) -> f64 {
        let (mut area, mut spent) = (0.0, 0.0);
        let rho = rho * self.period_length;
        let start = tenure / self.period_length;
        self.walk(eta, start, h / self.period_length, |length, rate| {
            let x = rate + rho;
            area += exp(-spent) * exponential_area(x, length);
            spent += x * length;
            // Beyond e^-745 nothing is left.
            spent < 745.0
        });
        area * self.period_length
    }

    fn quantile(&self, eta: f64, tenure: f64, target: f64) -> f64 {
        let (mut at, mut left) = (0.0, target);
        let mut found = f64::INFINITY;
        self.walk(
            eta,
            tenure / self.period_length,
            f64::INFINITY,
            |length, rate| {
                // A tail without hazard is never enough, however long.
                if rate > 0.0 && left <= length * rate {
                    found = at + left / rate;
                    return false;
                }
                at += length;
                left -= length * rate;
                true
            },
        );
        found * self.period_length
    }

    fn unit(&self) -> f64 {
        self.period_length
    }

    fn joints(&self) -> Vec<f64> {
        #[allow(clippy::cast_precision_loss)]
        let joint = |k: usize| k as f64 * self.period_length;
        (1..=self.table.len()).map(joint).collect()
    }
}

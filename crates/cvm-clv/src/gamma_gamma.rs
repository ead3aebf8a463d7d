//! Gamma-Gamma: what a customer spends per purchase, from the mean of a few purchases.
//!
//! A customer's purchases are worth `Gamma(p, ν)` each, so the mean of `x` of them is
//! `Gamma(p·x, ν·x)`; across customers `ν ~ Gamma(q, v)`, independently of how often they buy. A
//! customer's mean spend is `p/ν`.
//!
//! | symbol | field            | unit      | meaning                                |
//! |--------|------------------|-----------|----------------------------------------|
//! | `x`    | `frequency`      | purchases | repeat purchases                       |
//! | `m̄`    | `monetary_value` | currency  | mean value of the repeat purchases     |
//! | `p`    |                  | 1         | shape of purchases of one customer     |
//! | `q`    |                  | 1         | shape of `ν` across customers          |
//! | `v`    |                  | currency  | scale of `ν` across customers (paper: `γ`) |
//!
//! ```text
//! f(m̄ | x) = Γ(px+q)/(Γ(px)Γ(q)) · v^q · m̄^(px−1) · x^(px) / (v + x·m̄)^(px+q)
//! E[M | x, m̄] = p·(v + x·m̄)/(px + q − 1),   E[M] = p·v/(q − 1)
//! ```
//!
//! Source: Fader & Hardie (2013), *The Gamma-Gamma Model of Monetary Value*, note 025 on
//! brucehardie.com, eqs. 1a and 5.
//!
//! Numerics: with `S = x·m̄` the data enter through `x` alone and through `S` alone, so the
//! log-likelihood is a sum over distinct `x` plus a sum over distinct `S`. `E[M]` has no finite
//! value when `q ≤ 1`; the row is then `undefined`, never negative.

mod likelihood;

pub use likelihood::GammaGammaLikelihood;

use crate::random::Random;
use crate::rfm::CHUNK;
use crate::state::{parametric_from_state, parametric_state, wrong_length};
use cvm_core::{
    BoundBatch, Domain, Frame, InputField, InputSchema, ModelState, OutputSpec, ParamError,
    ParamSpec, ParametricModel, RowCode, RowStatus, ScoreBlock, ScoreOptions, Scorer, StateError,
    TimeUnit,
};
use cvm_math::{digamma, exp, ln, ln_beta};

/// Index of `frequency` in the schema.
const FREQUENCY: u16 = 0;
/// Index of `monetary_value`.
const MONETARY_VALUE: u16 = 1;

/// One customer's purchases: how many repeats, and what they were worth on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spend {
    /// Repeat purchases, a whole number; 0 says nothing about spend.
    pub frequency: f64,
    /// Mean value of the repeat purchases, in currency; 0 when `frequency` is 0.
    pub monetary_value: f64,
}

impl Spend {
    /// A checked row; `monetary_value` is ignored (and may be missing) when `frequency` is 0.
    /// `fields` are the schema's indices of the two, for blame.
    pub(crate) fn new(
        frequency: f64,
        monetary_value: f64,
        [frequency_field, value_field]: [u16; 2],
    ) -> Result<Self, RowStatus> {
        let frequency = RowStatus::check(frequency, Domain::Count, frequency_field)? + 0.0;
        if frequency == 0.0 {
            return Ok(Spend::NONE);
        }
        let monetary_value = RowStatus::check(monetary_value, Domain::Positive, value_field)?;
        if !(frequency * monetary_value).is_finite() {
            return Err(RowStatus::bad(RowCode::OutOfRange, value_field));
        }
        Ok(Spend {
            frequency,
            monetary_value,
        })
    }

    /// No repeat purchase.
    pub(crate) const NONE: Spend = Spend {
        frequency: 0.0,
        monetary_value: 0.0,
    };

    /// Value of all repeat purchases, in currency.
    fn total(&self) -> f64 {
        self.frequency * self.monetary_value
    }
}

/// The Gamma-Gamma model at given parameters.
#[derive(Debug, Clone)]
pub struct GammaGamma {
    /// Shape of one customer's purchases.
    p: f64,
    /// Shape of `ν` across customers.
    q: f64,
    /// Scale of `ν` across customers, in currency.
    v: f64,
    time_unit: Option<TimeUnit>,
    schema: InputSchema,
}

/// The output of every spend model.
pub(crate) const EXPECTED_SPEND_OUTPUT: OutputSpec = OutputSpec {
    name: "expected_spend",
    unit: "currency",
    needs_horizon: false,
    on_request: false,
    meaning: "expected value of one future purchase",
};

/// The field a spend model adds to a purchase model's. Missing is fine where `frequency` is 0.
pub(crate) fn monetary_value_field() -> InputField {
    InputField::number("monetary_value", "currency", Domain::Positive)
}

fn spend_schema() -> InputSchema {
    InputSchema {
        fields: vec![
            InputField::number("frequency", "purchases", Domain::Count),
            monetary_value_field(),
        ],
        time_unit: None,
    }
}

impl GammaGamma {
    /// The model with shapes `p`, `q` and scale `v` in currency, all finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(p: f64, q: f64, v: f64) -> Result<Self, ParamError> {
        GammaGamma::from_params(&[p, q, v], None)
    }

    /// The model stored as `state`.
    ///
    /// # Errors
    /// A state of another kind, an absent or misshapen part, or a parameter outside its domain.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        parametric_from_state(state)
    }

    /// Expected value of a future purchase, in currency: between the customer's own mean and the
    /// population's. NaN where the mean does not exist (`px + q ≤ 1`).
    #[must_use]
    pub fn expected_spend(&self, row: &Spend) -> f64 {
        let shape = self.p * row.frequency + (self.q - 1.0);
        let mean = self.p * (self.v + row.total()) / shape;
        if shape > 0.0 { mean } else { f64::NAN }
    }

    /// Expected value of a purchase of a customer never seen, in currency; NaN when `q ≤ 1`.
    #[must_use]
    pub fn expected_spend_new(&self) -> f64 {
        self.expected_spend(&Spend::NONE)
    }

    /// Typical spend, for probe rows: `p·v/q` exists for every `q`.
    pub(crate) fn scale_currency(&self) -> f64 {
        self.p * self.v / self.q
    }

    fn score_chunk(&self, frequency: &[f64], value: &[f64], out: &mut [f64], st: &mut [RowStatus]) {
        let rows = frequency.iter().zip(value);
        for ((frequency, value), (slot, status)) in rows.zip(out.iter_mut().zip(st)) {
            let row = Spend::new(*frequency, *value, [FREQUENCY, MONETARY_VALUE]);
            let scored = row.and_then(|row| finite(self.expected_spend(&row), FREQUENCY));
            *status = scored.err().unwrap_or(RowStatus::OK);
            *slot = scored.unwrap_or(f64::NAN);
        }
    }
}

/// The value, or `undefined` if it is not finite.
fn finite(value: f64, field: u16) -> Result<f64, RowStatus> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(RowStatus::bad(RowCode::Undefined, field))
}

impl ParametricModel for GammaGamma {
    const KIND: &'static str = "clv.gamma_gamma";
    const TITLE: &'static str = "Gamma-Gamma";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("p", "1", "shape of the purchases of one customer"),
        ParamSpec::positive("q", "1", "shape of the spread across customers"),
        ParamSpec::positive("v", "currency", "scale of the spread across customers"),
    ];

    type Row = Spend;
    type Likelihood = GammaGammaLikelihood;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        let &[p, q, v] = params else {
            return Err(wrong_length(params.len()));
        };
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(*value)?;
        }
        Ok(GammaGamma {
            p,
            q,
            v,
            time_unit,
            schema: spend_schema(),
        })
    }

    fn params(&self) -> Vec<f64> {
        vec![self.p, self.q, self.v]
    }

    /// No column is in periods, so the schema names no unit.
    fn fit_schema(_time_unit: Option<TimeUnit>) -> InputSchema {
        spend_schema()
    }

    fn row(values: &[f64]) -> Result<Option<Spend>, RowStatus> {
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let row = Spend::new(value(0), value(1), [FREQUENCY, MONETARY_VALUE])?;
        Ok((row.frequency > 0.0).then_some(row))
    }

    fn row_values(row: &Spend, values: &mut [f64]) {
        values.copy_from_slice(&[row.frequency, row.monetary_value]);
    }

    fn log_lik(&self, row: &Spend) -> f64 {
        let shape = self.p * row.frequency;
        let (total, end) = (row.total(), self.v + row.total());
        let own = shape * (ln(total) - ln(end));
        let shared = self.q * (ln(self.v) - ln(end));
        own + shared - ln_beta(shape, self.q) - ln(row.monetary_value)
    }

    fn log_lik_grad(&self, row: &Spend, gradient: &mut [f64]) -> f64 {
        let x = row.frequency;
        let shape = self.p * x;
        let (total, end) = (row.total(), self.v + row.total());
        let both = digamma(shape + self.q);
        gradient.copy_from_slice(&[
            x * (both - digamma(shape) + ln(total) - ln(end)),
            both - digamma(self.q) + ln(self.v) - ln(end),
            self.q / self.v - (shape + self.q) / end,
        ]);
        self.log_lik(row)
    }

    fn likelihood(rows: &[Spend], weights: Option<&[f64]>) -> GammaGammaLikelihood {
        GammaGammaLikelihood::new(rows, weights)
    }

    fn starts(likelihood: &GammaGammaLikelihood) -> Vec<Vec<f64>> {
        likelihood.starts()
    }

    fn simulate(&self, templates: &[Spend], seed: u64) -> Vec<Spend> {
        let draw = |(index, template): (u64, &Spend)| {
            if template.frequency == 0.0 {
                return Spend::NONE;
            }
            let mut random = Random::for_row(seed, index);
            let log_nu = random.ln_gamma_variate(self.q) - ln(self.v);
            let log_sum = random.ln_gamma_variate(self.p * template.frequency) - log_nu;
            Spend {
                frequency: template.frequency,
                // A draw beyond the range of f64 stays a legal row.
                monetary_value: exp(log_sum - ln(template.frequency)).clamp(1e-300, 1e290),
            }
        };
        (0u64..).zip(templates).map(draw).collect()
    }
}

impl Scorer for GammaGamma {
    fn kind(&self) -> &'static str {
        GammaGamma::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        const OUTPUTS: &[OutputSpec] = &[EXPECTED_SPEND_OUTPUT];
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        parametric_state(self, self.time_unit)
    }

    fn probe_rows(&self) -> Frame {
        const NAN: f64 = f64::NAN;
        const INF: f64 = f64::INFINITY;
        /// `(frequency, monetary_value / scale)` of the rows a grid does not reach.
        const EDGES: [(f64, f64); 14] = [
            (0.0, 0.0),
            (0.0, NAN),
            (0.0, -1.0),
            (1e6, 1.0),
            (9e15, 1e-3),
            (NAN, 1.0),
            (INF, 1.0),
            (-1.0, 1.0),
            (2.5, 1.0),
            (1.0, NAN),
            (1.0, 0.0),
            (1.0, -1.0),
            (1.0, INF),
            (3.0, 1e-9),
        ];
        let grid = [1.0, 2.0, 3.0, 7.0, 40.0, 1000.0];
        let values = [1e-3, 0.3, 1.0, 2.7, 1e4];
        let cross = grid.iter().flat_map(|x| values.map(|value| (*x, value)));
        let rows: Vec<(f64, f64)> = EDGES.into_iter().chain(cross).collect();
        let scale = self.scale_currency();
        Frame::new(rows.len())
            .with_numbers("frequency", rows.iter().map(|row| row.0).collect())
            .with_numbers(
                "monetary_value",
                rows.iter().map(|row| row.1 * scale).collect(),
            )
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions::default()
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        _options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let (mut frequency, mut value) = ([0.0; CHUNK], [0.0; CHUNK]);
        let mut spend = [0.0; CHUNK];
        let total = block.status.len();
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let count = range.len();
            batch.read_numbers(0, start + offset, &mut frequency[..count]);
            batch.read_numbers(1, start + offset, &mut value[..count]);
            let (frequency, value) = (&frequency[..count], &value[..count]);
            let status = &mut block.status[range.clone()];
            self.score_chunk(frequency, value, &mut spend[..count], status);
            for (_, out) in wanted.iter().zip(&mut block.outputs) {
                out[range.clone()].copy_from_slice(&spend[..count]);
            }
        }
    }
}

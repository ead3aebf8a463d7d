//! A duration model: inputs to a linear predictor, a law of time to a curve of survival.
//!
//! | symbol | meaning                                                     | unit    |
//! |--------|-------------------------------------------------------------|---------|
//! | `η`    | linear predictor, `Σ c_j (v_j − m_j)`                       | 1       |
//! | `H`    | cumulative hazard at `η`                                    | 1       |
//! | `T`    | tenure: time the customer has already stayed                | periods |
//! | `S`    | `e^−(H(T+h) − H(T))`, the chance to stay a further `h`      | probability |

use crate::encoding::{FieldEncoding, column_names, schema};
use crate::logistic::Numbers;
use crate::score::Plan;
use cvm_core::{
    Array, Domain, InputField, InputSchema, ModelState, OutputSpec, StateError, TimeUnit,
};
use ndarray::Array2;
use serde_json::{Map, Value};

/// The time part of a duration model.
pub trait Law: Clone + std::fmt::Debug + Send + Sync {
    /// Kind in the catalog.
    const KIND: &'static str;
    /// Name for people.
    const TITLE: &'static str;
    /// Array of the estimated numbers: `params` where the fit's covariance is that of all numbers
    /// behind a score, so that intervals of scores can be made from it.
    const PARAMS: &'static str;
    /// Outputs.
    const OUTPUTS: &'static [OutputSpec];

    /// Estimated numbers of the law itself, first in the array of parameters.
    fn params(&self) -> Vec<f64>;

    /// Settings and further arrays.
    fn store(&self, settings: &mut Map<String, Value>, arrays: &mut Vec<Array>);

    /// Rebuilds the law from settings, arrays and the first of `params`; says how many it took.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is absent, of the wrong shape or out of range.
    fn load(
        state: &ModelState,
        settings: &Value,
        params: &[f64],
    ) -> Result<(Self, usize), StateError>;

    /// `H(T+h) − H(T)`, not negative; `h` may be infinite.
    fn cumulative(&self, eta: f64, tenure: f64, h: f64) -> f64;

    /// `∫_0^h e^−(H(T+u) − H(T)) e^−ρu du`; `h` may be infinite.
    fn lifetime(&self, eta: f64, tenure: f64, h: f64, rho: f64) -> f64;

    /// Smallest `u` with `H(T+u) − H(T) >= target`; infinite if there is none.
    fn quantile(&self, eta: f64, tenure: f64, target: f64) -> f64;

    /// Combinations of the coefficients whose errors are independent, each of variance 1; none where
    /// the errors of curves are not part of the law.
    fn directions(&self) -> Vec<Vec<f64>> {
        Vec::new()
    }

    /// Standard error of `ln(H(T+h) − H(T))`, `along` being the inputs along each direction.
    fn log_error(&self, _tenure: f64, _h: f64, _along: &[f64]) -> f64 {
        f64::NAN
    }

    /// The input whose groups have a law each, and their number; none where one law is for all.
    fn strata(&self) -> Option<(&str, usize)> {
        None
    }

    /// The law of a group, the first being 0.
    fn of_stratum(&self, _stratum: usize) -> &Self {
        self
    }

    /// Length of the period that output `hazard` speaks of.
    fn unit(&self) -> f64;

    /// Times worth probing: steps, joints, the start of the tail.
    fn joints(&self) -> Vec<f64>;
}

/// A fitted duration model.
#[derive(Debug, Clone)]
pub struct Survival<L> {
    pub(crate) law: L,
    pub(crate) event: String,
    pub(crate) positive: String,
    pub(crate) encoding: Vec<FieldEncoding>,
    /// Columns with a coefficient of their own.
    pub(crate) active: Vec<usize>,
    pub(crate) numbers: Numbers,
    pub(crate) schema: InputSchema,
    pub(crate) plan: Plan,
    /// Plans of the law's directions.
    pub(crate) along: Vec<Plan>,
    /// Gives the number of a row's stratum, where there are any.
    pub(crate) strata: Option<Plan>,
}

/// What a fit of a duration model leaves.
#[derive(Debug, Clone)]
pub struct SurvivalFit<L> {
    /// The model.
    pub model: Survival<L>,
    /// Estimates per unit of the design columns, those of the law first.
    pub params: Vec<f64>,
    /// Their covariance.
    pub covariance: Array2<f64>,
    /// Columns left out and why, signs of trouble.
    pub warnings: Vec<String>,
}

/// The parts a model is put together from.
pub(crate) struct Parts<L> {
    pub(crate) law: L,
    pub(crate) event: String,
    pub(crate) positive: String,
    pub(crate) encoding: Vec<FieldEncoding>,
    pub(crate) active: Vec<usize>,
    /// Coefficients of the active columns, per unit.
    pub(crate) coefficients: Vec<f64>,
    pub(crate) means: Vec<f64>,
    pub(crate) scales: Vec<f64>,
    pub(crate) time_unit: Option<TimeUnit>,
}

impl<L: Law> Survival<L> {
    pub(crate) fn assemble(parts: Parts<L>) -> Result<Survival<L>, StateError> {
        check(&parts)?;
        let mut schema = schema(&parts.encoding);
        let field = InputField::number(super::spec::TENURE, "periods", Domain::NonNegative);
        schema.fields.push(field);
        schema.time_unit = parts.time_unit;
        let numbers = |coefficients: &[f64]| {
            let mut all = vec![0.0; parts.means.len()];
            for (column, value) in parts.active.iter().zip(coefficients) {
                all[*column] = *value;
            }
            Numbers {
                intercept: 0.0,
                coefficients: all,
                means: parts.means.clone(),
                scales: parts.scales.clone(),
            }
        };
        let directions = parts.law.directions();
        let along = directions
            .iter()
            .map(|own| Plan::new(&parts.encoding, &numbers(own)));
        let along = along.collect();
        let strata = match parts.law.strata() {
            Some((field, count)) => Some(strata_plan::<L>(&parts.encoding, field, count)?),
            None => None,
        };
        let numbers = numbers(&parts.coefficients);
        Ok(Survival {
            along,
            strata,
            plan: Plan::new(&parts.encoding, &numbers),
            law: parts.law,
            event: parts.event,
            positive: parts.positive,
            encoding: parts.encoding,
            active: parts.active,
            numbers,
            schema,
        })
    }

    /// Rebuilds a model from its state.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is absent, of the wrong shape or out of range.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        super::state::read(state)
    }

    /// The law of time.
    #[must_use]
    pub fn law(&self) -> &L {
        &self.law
    }

    /// Column that said who left.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// Its label that means the event.
    #[must_use]
    pub fn positive_label(&self) -> &str {
        &self.positive
    }

    /// Names of the design columns.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        column_names(&self.encoding)
    }

    /// Coefficients of the columns that entered the fit.
    pub(crate) fn active_coefficients(&self) -> Vec<f64> {
        let all = &self.numbers.coefficients;
        self.active.iter().map(|column| all[*column]).collect()
    }
}

/// A linear predictor that is the group of the category `field`: coefficient `k` for group `k`, no
/// means, 0 for all other inputs.
fn strata_plan<L: Law>(
    encoding: &[FieldEncoding],
    field: &str,
    count: usize,
) -> Result<Plan, StateError> {
    let mut coefficients = Vec::new();
    let mut groups = None;
    for own in encoding {
        let before = coefficients.len();
        coefficients.resize(before + own.column_count(), 0.0);
        if let (FieldEncoding::Category(category), true) = (own, own.name() == field) {
            groups = Some(category.group_names.len());
            let slots = coefficients.iter_mut().skip(before);
            slots
                .zip(1_u32..)
                .for_each(|(slot, k)| *slot = f64::from(k));
        }
    }
    if groups != Some(count) {
        let problem = format!("there are {count} strata, but `{field}` is no category of so many");
        return Err(StateError::malformed(L::KIND, problem));
    }
    let numbers = Numbers {
        intercept: 0.0,
        means: vec![0.0; coefficients.len()],
        scales: vec![1.0; coefficients.len()],
        coefficients,
    };
    Ok(Plan::new(encoding, &numbers))
}

fn check<L: Law>(parts: &Parts<L>) -> Result<(), StateError> {
    let columns: usize = parts.encoding.iter().map(FieldEncoding::column_count).sum();
    let malformed = |problem: String| Err(StateError::malformed(L::KIND, problem));
    if parts.encoding.len() >= usize::from(u16::MAX) {
        return malformed(format!("{} fields, at most 65534", parts.encoding.len()));
    }
    if parts
        .encoding
        .iter()
        .any(|field| field.name() == super::spec::TENURE)
    {
        return malformed("an input is called `tenure`".to_owned());
    }
    for (name, len) in [("means", parts.means.len()), ("scales", parts.scales.len())] {
        if len != columns {
            return malformed(format!("{len} {name} for {columns} columns"));
        }
    }
    let increasing = parts.active.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = parts.active.last().is_none_or(|last| *last < columns);
    if !increasing || !inside || parts.active.len() != parts.coefficients.len() {
        return malformed("columns with coefficients are not increasing or not there".to_owned());
    }
    let numbers = parts.coefficients.iter().chain(&parts.means);
    if let Some(bad) = numbers.chain(&parts.scales).find(|v| !v.is_finite()) {
        return malformed(format!("coefficients, means or scales hold {bad}"));
    }
    if let Some(bad) = parts.scales.iter().find(|scale| **scale <= 0.0) {
        return malformed(format!("scales hold {bad}, expected numbers > 0"));
    }
    Ok(())
}

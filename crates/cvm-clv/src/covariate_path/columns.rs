//! Paths of covariates in a batch: numbered columns, as many as the longest path has steps.
//!
//! | column                | meaning                                                               |
//! |-----------------------|-----------------------------------------------------------------------|
//! | `covariates_until`    | time up to which the path is known; `inf` if its last values last     |
//! | `<name>_at_purchases` | sum of the covariate over the repeat purchases; only read by a fit    |
//! | `covariates_from_<k>` | start of step `k = 0, 1, …`; missing past a path's last step          |
//! | `<name>_<k>`          | value of a covariate in step `k`                                      |
//!
//! Times are those of the path: periods since the customer's first purchase. How many steps there
//! are is the batch's affair, not the model's.

use super::CovariatePath;
use crate::rfm::CHUNK;
use cvm_core::{BoundBatch, Covariates, Domain, InputField, MissingRule, RowCode, RowStatus};

/// Name of the column up to which a path is known.
const UNTIL: &str = "covariates_until";

/// Where a path's values are in a row's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PathColumns {
    names: Vec<String>,
    /// Columns of the purchase process, by place in `names`.
    purchase: Vec<usize>,
    /// Columns of the process of leaving.
    dropout: Vec<usize>,
}

/// The fields of paths after those of a model: of a scored row, or `of_fit`; `has` tells the columns
/// of a batch.
pub(crate) fn path_fields(
    columns: &PathColumns,
    of_fit: bool,
    has: &dyn Fn(&str) -> bool,
) -> Vec<InputField> {
    let start = |step: usize| format!("covariates_from_{step}");
    let mut fields = vec![InputField::number(UNTIL, "periods", Domain::Any)];
    if of_fit {
        let sum = |name: &String| {
            let name = format!("{name}_at_purchases");
            InputField::number(name, "1", Domain::Finite)
        };
        fields.extend(columns.purchase_names().map(sum));
    }
    /// More steps than a field's index can tell.
    const MOST_STEPS: usize = 65_536;
    // A step left out by mistake is a column that is missing, not the end of all paths.
    let goes_on = |step: usize| has(&start(step)) || has(&start(step + 1));
    let mut step = 0;
    while step == 0 || (goes_on(step) && step < MOST_STEPS) {
        let rule = if step == 0 {
            MissingRule::Reject
        } else {
            MissingRule::OwnLevel
        };
        let field = |name: String, unit: &str| InputField {
            missing: rule.clone(),
            ..InputField::number(name, unit, Domain::Finite)
        };
        fields.push(field(start(step), "periods"));
        let value = |name: &String| field(format!("{name}_{step}"), "1");
        fields.extend(columns.names.iter().map(value));
        step += 1;
    }
    fields
}

/// Reads the values of paths, `width` fields from `first` on, of rows `start..` of a chunk, row by row.
pub(crate) fn read_paths(
    batch: &BoundBatch<'_, '_>,
    first: usize,
    start: usize,
    width: usize,
    values: &mut [f64],
) {
    let mut column = [0.0; CHUNK];
    for field in 0..width {
        let column = &mut column[..values.len() / width];
        batch.read_numbers(first + field, start, column);
        for (row, value) in column.iter().enumerate() {
            values[row * width + field] = *value;
        }
    }
}

impl PathColumns {
    /// The columns of `covariates`, of which those of process `purchase` act on buying and all
    /// others on leaving.
    pub(crate) fn new(covariates: &Covariates) -> Self {
        let of = |buying: bool| {
            let own = covariates.terms.iter();
            let own = own.filter(|term| (term.process == "purchase") == buying);
            own.map(|term| term.column).collect()
        };
        PathColumns {
            names: covariates.columns.clone(),
            purchase: of(true),
            dropout: of(false),
        }
    }

    fn purchase_names(&self) -> impl Iterator<Item = &String> {
        self.purchase
            .iter()
            .filter_map(|column| self.names.get(*column))
    }

    /// Sums over purchases, from the values of a row of a fit.
    pub(crate) fn sums<'a>(&self, values: &'a [f64]) -> &'a [f64] {
        values.get(1..=self.purchase.len()).unwrap_or_default()
    }

    /// The path in the values of a row, known at least until `needed`; `first` is the index of the
    /// first value's field.
    ///
    /// # Errors
    /// A gap or an infinite number where a step has begun, `inconsistent` where starts do not ascend,
    /// `not_covered` where the path starts after time 0 or ends before `needed`.
    pub(crate) fn path(
        &self,
        values: &[f64],
        of_fit: bool,
        first: usize,
        needed: f64,
    ) -> Result<CovariatePath, RowStatus> {
        let field = |offset: usize| u16::try_from(first + offset).unwrap_or(u16::MAX);
        let until = values.first().copied().unwrap_or(f64::NAN);
        RowStatus::check(until, Domain::Any, field(0))?;
        if until < needed {
            return Err(RowStatus::bad(RowCode::NotCovered, field(0)));
        }
        let own = if of_fit { self.purchase.len() } else { 0 };
        for (offset, sum) in self.sums(values).iter().enumerate().take(own) {
            RowStatus::check(*sum, Domain::Finite, field(1 + offset))?;
        }
        let width = 1 + self.names.len();
        let mut steps = Steps::default();
        for (step, cells) in values[1 + own..].chunks_exact(width).enumerate() {
            let offset = 1 + own + step * width;
            if cells[0].is_nan() && step > 0 {
                steps.ended_at = steps.ended_at.or(Some(field(offset)));
                continue;
            }
            if let Some(gap) = steps.ended_at {
                return Err(RowStatus::bad(RowCode::Missing, gap));
            }
            for (place, cell) in cells.iter().enumerate() {
                RowStatus::check(*cell, Domain::Finite, field(offset + place))?;
            }
            if steps.starts.last().is_some_and(|last| *last >= cells[0]) {
                return Err(RowStatus::bad(RowCode::Inconsistent, field(offset)));
            }
            if step == 0 && cells[0] > 0.0 {
                return Err(RowStatus::bad(RowCode::NotCovered, field(offset)));
            }
            steps.starts.push(cells[0]);
            steps
                .purchase
                .extend(self.purchase.iter().map(|column| cells[1 + column]));
            steps
                .dropout
                .extend(self.dropout.iter().map(|column| cells[1 + column]));
        }
        CovariatePath::new(
            &steps.starts,
            &steps.purchase,
            self.purchase.len(),
            &steps.dropout,
            self.dropout.len(),
        )
    }
}

/// Steps read so far.
#[derive(Default)]
struct Steps {
    starts: Vec<f64>,
    purchase: Vec<f64>,
    dropout: Vec<f64>,
    /// The field at which the path ended.
    ended_at: Option<u16>,
}

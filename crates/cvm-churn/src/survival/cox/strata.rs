//! Strata: groups of customers with a baseline each and the coefficients in common.
//!
//! | symbol  | meaning                                                |
//! |---------|--------------------------------------------------------|
//! | `ℓ_s`   | partial log-likelihood of the rows of stratum `s` alone |
//! | `ℓ`     | `Σ_s ℓ_s`: what is maximized                           |
//!
//! The column of strata is an input whose columns have no coefficient: it is bound, checked and
//! stored as any category, and a level the fit has not seen is a row's status.
//!
//! Source: Kalbfleisch & Prentice (2002), *The Statistical Analysis of Failure Time Data*, section
//! 4.4; Therneau & Grambsch (2000), *Modeling Survival Data*, section 3.2.

use super::super::design::Design;
use super::super::episodes::Episodes;
use super::likelihood::Stratum;
use super::risk::RiskSets;
use crate::columns::{self, RawColumn};
use crate::encoding::{self, FieldEncoding};
use crate::{ChurnError, LogisticSpec, MissingCategorical};
use cvm_core::{Batch, UnseenRule};

/// The rows of a fit by stratum.
#[derive(Debug, Clone)]
pub(crate) struct Strata {
    /// Name of the column and its levels; nothing where all rows are one stratum.
    pub(crate) field: Option<FieldEncoding>,
    /// Places, among the rows of the fit, of the rows of each stratum.
    pub(crate) members: Vec<Vec<usize>>,
}

impl Strata {
    /// Reads the column `name`.
    ///
    /// # Errors
    /// A column that is absent, has a missing value or a single level.
    pub(crate) fn read(
        batch: &Batch<'_>,
        name: &Option<String>,
        inputs: &LogisticSpec,
        episodes: &Episodes,
    ) -> Result<Strata, ChurnError> {
        let rows = &episodes.rows;
        let Some(name) = name else {
            let members = vec![(0..rows.len()).collect()];
            return Ok(Strata {
                field: None,
                members,
            });
        };
        let spec = LogisticSpec {
            numeric: Some(Vec::new()),
            categorical: Some(vec![name.clone()]),
            missing_categorical: MissingCategorical::Reject,
            unseen: UnseenRule::Reject,
            min_level_count: 0.0,
            max_levels: inputs.max_levels,
            target: inputs.target.clone(),
            ..LogisticSpec::default()
        };
        let refuse = |why: &str| ChurnError::setting("strata", name, why);
        let raw = columns::read(batch, &spec, rows)?.pop();
        let (_, raw) = raw.ok_or_else(|| refuse("a column of the batch"))?;
        let field = encoding::learn(name, &raw, &episodes.weight, rows, &spec)?;
        let (Some(field), RawColumn::Levels { levels, codes }) = (field, raw) else {
            return Err(refuse("a column of two or more levels"));
        };
        let mut members = vec![Vec::new(); levels.len()];
        for (row, code) in codes.iter().enumerate() {
            // None is missing: the encoding has refused those.
            if let Some(own) = code.and_then(|code| members.get_mut(code)) {
                own.push(row);
            }
        }
        for (level, members) in levels.iter().zip(&members) {
            if !members.iter().any(|row| episodes.left[*row]) {
                return Err(ChurnError::Target {
                    column: inputs.target.clone(),
                    problem: format!(
                        "has no event in stratum `{level}` of `{name}`: nothing to learn its \
                         baseline from; leave its rows out or join it to another"
                    ),
                });
            }
        }
        let field = Some(field);
        Ok(Strata { field, members })
    }

    /// The rows of each stratum with their risk sets.
    pub(crate) fn split(&self, episodes: &Episodes, design: &Design) -> Vec<Stratum> {
        let stratum = |members: &Vec<usize>| {
            let pick =
                |values: &[f64]| -> Vec<f64> { members.iter().map(|i| values[*i]).collect() };
            let left: Vec<bool> = members.iter().map(|i| episodes.left[*i]).collect();
            let (start, stop) = (pick(&episodes.start), pick(&episodes.stop));
            Stratum {
                risk: RiskSets::new(&start, &stop, &left, &pick(&episodes.weight)),
                inputs: design.columns.iter().map(|column| pick(column)).collect(),
            }
        };
        self.members.iter().map(stratum).collect()
    }

    /// Something of every row, by stratum.
    pub(crate) fn of<T: Copy>(&self, values: &[T]) -> Vec<Vec<T>> {
        let pick = |members: &Vec<usize>| members.iter().map(|i| values[*i]).collect();
        self.members.iter().map(pick).collect()
    }

    /// Names of the strata, empty where there is one.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.field {
            Some(FieldEncoding::Category(field)) => field.levels.clone(),
            _ => Vec::new(),
        }
    }
}

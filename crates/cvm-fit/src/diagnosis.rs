//! What is peculiar about the place a fit reached: one kind and one sentence with advice for each.

use cvm_core::Transform;
use std::fmt;

/// One peculiarity of a fit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// Parameters are traded against each other almost freely.
    Ridge {
        /// Scaled condition number of the information matrix.
        condition_number: f64,
        /// Parameters that take part.
        parameters: Vec<usize>,
        /// Direction of the ridge in working coordinates, of length 1.
        direction: Vec<f64>,
    },
    /// The objective does not change along a direction, or rises for ever without a slope.
    Flat {
        /// Parameters that take part.
        parameters: Vec<usize>,
        /// Flat direction in working coordinates, of length 1.
        direction: Vec<f64>,
    },
    /// A parameter ran to the end of its range.
    Escaped {
        /// Which.
        parameter: usize,
        /// Its value when it was stopped.
        value: f64,
    },
    /// The data hardly say anything about a transformed parameter.
    Vague {
        /// Which.
        parameter: usize,
        /// Its working coordinate.
        transform: Transform,
        /// Standard error of that coordinate.
        spread: f64,
    },
    /// No step from the start improved anything, though the start is no optimum.
    NotMoved {
        /// Gradient norm there.
        gradient_norm: f64,
    },
    /// No further step improved anything, though the place is no optimum.
    Stalled {
        /// Gradient norm there.
        gradient_norm: f64,
    },
    /// The step limit was reached.
    StepLimit {
        /// Steps taken.
        iterations: u32,
    },
    /// Higher than any correct log-likelihood of the data: a numerical artefact.
    AboveSaturated {
        /// Log-likelihood reached.
        log_likelihood: f64,
        /// Bound given by the caller.
        bound: f64,
    },
    /// No interior maximum of this model is as high as the nested model's.
    BelowNested {
        /// Highest converged objective found before the nested optimum was used as a start.
        reached: f64,
        /// Objective at the nested optimum.
        nested: f64,
    },
    /// A parameter is held by one of its bounds.
    AtBound {
        /// Which.
        parameter: usize,
        /// The bound.
        value: f64,
        /// Whether it is the upper one.
        upper: bool,
    },
    /// The likelihood rises for ever with a parameter, which is held where that no longer matters.
    AtInfinity {
        /// Which.
        parameter: usize,
        /// Where it is held.
        value: f64,
        /// What such data say, and what to do.
        advice: &'static str,
    },
    /// Parameters the L1 penalty set to zero.
    Zeroed {
        /// Which.
        parameters: Vec<usize>,
    },
    /// The information matrix is not positive definite.
    NoStandardErrors,
    /// One row moves an estimate by more than its uncertainty.
    Influential {
        /// Row, as [`crate::RowContributions::row_number`] has it.
        row: usize,
        /// Parameter it moves most.
        parameter: usize,
        /// By how many standard errors the parameter would change without the row.
        shift: f64,
    },
}

impl Finding {
    /// A stable name for programs: `ridge`, `escaped`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Finding::Ridge { .. } => "ridge",
            Finding::Flat { .. } => "flat",
            Finding::Escaped { .. } => "escaped",
            Finding::Vague { .. } => "vague",
            Finding::NotMoved { .. } => "not_moved",
            Finding::Stalled { .. } => "stalled",
            Finding::StepLimit { .. } => "step_limit",
            Finding::AboveSaturated { .. } => "above_saturated",
            Finding::BelowNested { .. } => "below_nested",
            Finding::AtBound { .. } => "at_bound",
            Finding::AtInfinity { .. } => "at_infinity",
            Finding::Zeroed { .. } => "zeroed",
            Finding::NoStandardErrors => "no_standard_errors",
            Finding::Influential { .. } => "influential",
        }
    }

    /// Parameters concerned.
    #[must_use]
    pub fn parameters(&self) -> Vec<usize> {
        match self {
            Finding::Ridge { parameters, .. }
            | Finding::Flat { parameters, .. }
            | Finding::Zeroed { parameters } => parameters.clone(),
            Finding::Escaped { parameter, .. }
            | Finding::Vague { parameter, .. }
            | Finding::AtBound { parameter, .. }
            | Finding::AtInfinity { parameter, .. }
            | Finding::Influential { parameter, .. } => vec![*parameter],
            _ => Vec::new(),
        }
    }

    /// One sentence with advice, with the parameters' names; `parameter 2` where `names` has none.
    #[must_use]
    pub fn sentence(&self, names: &[&str]) -> String {
        let name = |i: usize| match names.get(i) {
            Some(name) => format!("`{name}`"),
            None => format!("parameter {i}"),
        };
        let list = |which: &[usize]| {
            let named: Vec<String> = which.iter().map(|i| name(*i)).collect();
            named.join(", ")
        };
        match self {
            Finding::Ridge { .. } | Finding::Flat { .. } | Finding::NoStandardErrors => {
                self.of_shape(&list(&self.parameters()))
            }
            Finding::Escaped { parameter, value } => format!(
                "{} ran away to {value:e}: use a model without it, or a prior, penalty or bound",
                name(*parameter)
            ),
            Finding::Vague {
                parameter,
                transform,
                spread,
            } => {
                let coordinate = match transform {
                    Transform::Log => "logarithm",
                    Transform::Logit => "log odds",
                    Transform::FisherZ => "Fisher's z",
                    Transform::Identity => "value",
                };
                let name = name(*parameter);
                format!(
                    "{name} is hardly determined: the standard error of its {coordinate} is {spread:.1}"
                )
            }
            Finding::AtBound {
                parameter,
                value,
                upper,
            } => format!(
                "{} is at its {} bound {value}: it has no standard error, and the others' are \
                 conditional on it",
                name(*parameter),
                if *upper { "upper" } else { "lower" }
            ),
            Finding::AtInfinity {
                parameter,
                value,
                advice,
            } => format!(
                "the likelihood rises with {} for ever: held at {value}; {advice}",
                name(*parameter)
            ),
            Finding::Zeroed { parameters } => format!(
                "the L1 penalty set {} to zero: no standard errors for them, and the others' \
                 ignore the selection",
                list(parameters)
            ),
            Finding::Influential {
                row,
                parameter,
                shift,
            } => format!(
                "row {row} carries the likelihood: without it {} would change by {shift:.1} standard \
                 errors; check that customer, or fit without",
                name(*parameter)
            ),
            _ => self.of_search(),
        }
    }

    /// Sentences about the curvature at the end.
    fn of_shape(&self, parameters: &str) -> String {
        match self {
            Finding::Ridge {
                condition_number, ..
            } => format!(
                "the parameters lie on a ridge (condition number {condition_number:.1e}; \
                 {parameters}): their ratios may be known much better than their values; \
                 predictions are safer than parameters"
            ),
            Finding::Flat { .. } => format!(
                "the likelihood is flat along {parameters}: these data cannot tell them apart; hold \
                 one fixed, or use a prior, a penalty or a simpler model"
            ),
            _ => "the information matrix is not positive definite: no standard errors".to_owned(),
        }
    }

    /// Sentences about how the search ended.
    fn of_search(&self) -> String {
        match self {
            Finding::NotMoved { gradient_norm } => format!(
                "the optimiser did not move from its start (gradient norm {gradient_norm:e}): try \
                 other starts, or look for values of extreme size in the data"
            ),
            Finding::Stalled { gradient_norm } => format!(
                "the optimiser stalled (gradient norm {gradient_norm:e}): try other starts or a \
                 penalty"
            ),
            Finding::StepLimit { iterations } => {
                format!("{iterations} steps were not enough: raise max_iterations")
            }
            Finding::AboveSaturated {
                log_likelihood,
                bound,
            } => format!(
                "the log-likelihood {log_likelihood} exceeds {bound}, which no model of these data \
                 can: a numerical artefact at extreme parameters; use bounds or a prior"
            ),
            Finding::BelowNested { reached, nested } => format!(
                "the nested model reaches {nested}, this one only {reached} at an interior maximum: \
                 the data prefer the nested model"
            ),
            // Every other kind has parameters and is told by the caller.
            other => other.kind().to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(&[]))
    }
}

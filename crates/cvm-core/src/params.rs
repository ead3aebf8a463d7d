//! Description of a model's parameters.

use crate::{Domain, ParamError};

/// The coordinate in which an estimator moves a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// The parameter itself.
    Identity,
    /// Its logarithm: the parameter stays positive.
    Log,
    /// Its log odds, `ln(θ / (1 − θ))`: the parameter stays between 0 and 1.
    Logit,
    /// Fisher's z, `artanh θ`: the parameter (a correlation) stays between −1 and 1.
    FisherZ,
}

/// One parameter of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamSpec {
    /// Symbol as in the paper, in ASCII: `alpha`.
    pub name: &'static str,
    /// Unit: `periods`, `currency`, or `1` for a pure number.
    pub unit: &'static str,
    /// One clause that says what it governs.
    pub meaning: &'static str,
    /// What is allowed.
    pub domain: Domain,
    /// Coordinate of estimation.
    pub transform: Transform,
}

impl ParamSpec {
    /// A positive parameter estimated on its logarithm.
    #[must_use]
    pub const fn positive(name: &'static str, unit: &'static str, meaning: &'static str) -> Self {
        ParamSpec {
            name,
            unit,
            meaning,
            domain: Domain::Positive,
            transform: Transform::Log,
        }
    }

    /// Checks one value against the domain.
    ///
    /// # Errors
    /// `ParamError` with the value and what is allowed.
    pub fn check(&self, value: f64) -> Result<(), ParamError> {
        if self.domain.contains(value) {
            return Ok(());
        }
        Err(ParamError {
            name: self.name.to_owned(),
            value,
            domain: self.domain,
        })
    }
}

//! How covariates enter a model: each scales one parameter by the exponential of a weighted sum.
//!
//! ```text
//! p_j(z) = p_j · exp( sign · γᵀz )
//! ```
//!
//! A parameter that is estimated as it is ([`crate::Transform::Identity`]: the mean of a logarithm)
//! is shifted by `sign · γᵀz` instead.
//!
//! Source: Fader & Hardie (2007), *Incorporating Time-Invariant Covariates into the Pareto/NBD and
//! BG/NBD Models*, note on brucehardie.com.

use crate::ParamSpec;

/// A parameter that a process's covariates scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Index of the parameter in the model's list: one estimated on its logarithm is scaled, one
    /// estimated as it is shifted.
    pub param: usize,
    /// 1, or -1 where a larger parameter means less of the process (`alpha` of a purchase rate).
    pub sign: f64,
}

/// A part of a model that covariates may explain: purchases, dropout, a contract, spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// Name: `purchase`, `dropout`, `contract`, `spend`; covariates are given to a fit under the
    /// setting `<name>_covariates`.
    pub name: &'static str,
    /// Parameters scaled, each with coefficients of its own.
    pub effects: &'static [Effect],
}

/// One coefficient: a column's weight in one scaled parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct CovariateTerm {
    /// Process it belongs to.
    pub process: &'static str,
    /// Index into [`Covariates::columns`].
    pub column: usize,
    /// Parameter scaled.
    pub effect: Effect,
    /// Name of the coefficient: `purchase.income`, or `dropout.a.income` where a process scales
    /// several parameters.
    pub name: String,
}

/// The covariates of a model: which columns scale which parameters, and by how much.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Covariates {
    /// Distinct columns, in order of first use.
    pub columns: Vec<String>,
    /// One term per coefficient.
    pub terms: Vec<CovariateTerm>,
    /// Coefficients, zero before a fit; as many as terms.
    pub coefficients: Vec<f64>,
}

impl Covariates {
    /// Terms of the named columns per process, coefficients zero. Processes come in the order of
    /// `processes`; of one process, parameter by parameter.
    #[must_use]
    pub fn new(
        processes: &[Process],
        params: &[ParamSpec],
        names: &dyn Fn(&str) -> Vec<String>,
    ) -> Self {
        let mut covariates = Covariates::default();
        for process in processes {
            let columns = names(process.name);
            for effect in process.effects {
                for column in &columns {
                    covariates.push(process, *effect, params, column);
                }
            }
        }
        covariates
    }

    fn push(&mut self, process: &Process, effect: Effect, params: &[ParamSpec], column: &str) {
        let known = self.columns.iter().position(|own| own == column);
        let index = known.unwrap_or_else(|| {
            self.columns.push(column.to_owned());
            self.columns.len() - 1
        });
        let param = params.get(effect.param).map_or("", |spec| spec.name);
        let name = match process.effects {
            [_] => format!("{}.{column}", process.name),
            _ => format!("{}.{param}.{column}", process.name),
        };
        self.terms.push(CovariateTerm {
            process: process.name,
            column: index,
            effect,
            name,
        });
        self.coefficients.push(0.0);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Columns of one process, in the order given.
    #[must_use]
    pub fn columns_of(&self, process: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for term in self.terms.iter().filter(|term| term.process == process) {
            if let Some(column) = self.columns.get(term.column)
                && !found.contains(column)
            {
                found.push(column.clone());
            }
        }
        found
    }
}

//! A model inside a larger one: what a likelihood-ratio test and the floor of a fit need to know.

use crate::{Likelihood, ParametricModel, Transform};

/// How a smaller model lies in a larger one's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NestedPlace {
    /// At a point inside their range: twice the difference of log-likelihoods is χ² if it holds.
    Inside,
    /// In a limit, which no parameters reach: there is no such test.
    Limit,
}

/// Where to look for a maximum that lies at infinity: a bound on the way there.
#[derive(Debug, Clone, PartialEq)]
pub struct FarMaximum {
    /// The parameter with the bound, by index.
    pub param: usize,
    /// Its least and greatest value.
    pub bounds: (f64, f64),
    /// Parameters to start from.
    pub start: Vec<f64>,
    /// What such data say, and what to do.
    pub advice: &'static str,
}

/// The likelihood of a smaller model on the rows of a larger one, with its starts.
pub type NestedLikelihood = (Box<dyn Likelihood>, Vec<Vec<f64>>);

/// A smaller model inside one whose rows are `R`.
#[derive(Debug, Clone)]
pub struct Nested<R> {
    /// Its kind in the catalog.
    pub kind: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How its parameters are estimated.
    pub transforms: Vec<Transform>,
    /// Its likelihood on weighted rows.
    pub likelihood: fn(&[R], Option<&[f64]>) -> NestedLikelihood,
    /// Its parameters as the larger model's; in a limit, a point far out.
    pub embed: fn(&[f64]) -> Vec<f64>,
    /// Where it lies.
    pub place: NestedPlace,
}

impl<R> Nested<R> {
    /// Model `M` at `place`, its parameters written as the larger model's by `embed`.
    #[must_use]
    pub fn of<M>(place: NestedPlace, embed: fn(&[f64]) -> Vec<f64>) -> Self
    where
        M: ParametricModel<Row = R>,
        M::Likelihood: 'static,
    {
        Nested {
            kind: M::KIND,
            title: M::TITLE,
            transforms: M::PARAMS.iter().map(|spec| spec.transform).collect(),
            likelihood: |rows, weights| {
                let likelihood = M::likelihood(rows, weights);
                let starts = M::starts(&likelihood);
                (Box::new(likelihood), starts)
            },
            embed,
            place,
        }
    }
}

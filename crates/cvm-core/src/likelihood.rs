//! The contract between a model and an estimator: a log-likelihood as a sum over blocks of rows.

/// How many derivatives an evaluation must fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The value only.
    Value,
    /// Value and gradient.
    Gradient,
    /// Value, gradient and Hessian.
    Hessian,
}

/// Value and derivatives of a sum of log-likelihood terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivatives {
    /// Sum of weighted log-likelihood terms.
    pub value: f64,
    /// `dim` first derivatives.
    pub gradient: Vec<f64>,
    /// `dim x dim` second derivatives, row-major and symmetric.
    pub hessian: Vec<f64>,
}

impl Derivatives {
    /// All zero.
    #[must_use]
    pub fn zero(dim: usize) -> Self {
        Derivatives {
            value: 0.0,
            gradient: vec![0.0; dim],
            hessian: vec![0.0; dim * dim],
        }
    }

    /// Adds `other` term by term.
    pub fn add(&mut self, other: &Derivatives) {
        self.value += other.value;
        for (sum, term) in self.gradient.iter_mut().zip(&other.gradient) {
            *sum += term;
        }
        for (sum, term) in self.hessian.iter_mut().zip(&other.hessian) {
            *sum += term;
        }
    }
}

/// A log-likelihood over data that is already merged and laid out in blocks.
///
/// The total is the sum over blocks in ascending order, so any number of threads (or machines)
/// gives the same bits: an estimator evaluates blocks in any order and adds them in this one.
pub trait Likelihood: Sync {
    /// Number of parameters.
    fn dim(&self) -> usize;

    /// Number of blocks; fixed by the data alone.
    fn block_count(&self) -> usize;

    /// Rough cost of all blocks in nanoseconds at `Order::Hessian`: decides whether threads pay.
    fn cost_hint_ns(&self) -> f64;

    /// Sum of the rows' weights (the number of customers when unweighted).
    fn weight(&self) -> f64;

    /// Adds block `block` at `theta` (natural parameters, inside their domains) to `sum`.
    /// A log-likelihood that is minus infinity or not a number is reported as such in `sum.value`.
    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives);
}

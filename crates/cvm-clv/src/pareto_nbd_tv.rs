//! Pareto/NBD whose rates follow covariates that change with time.
//!
//! A customer's rates are `λ·A(t)` and `μ·C(t)` with `A(t) = exp(γᵀx(t))`, `C(t) = exp(κᵀz(t))` constant
//! between known moments, `λ ~ Gamma(r, α)`, `μ ~ Gamma(s, β)`. With the operational times
//! `P(t) = ∫_0^t A`, `D(t) = ∫_0^t C` and `x` purchases at `t_j`,
//!
//! ```text
//! L = ∏ A(t_j) · (r)_x α^r β^s
//!     · [ (α+P(T))^−(r+x) (β+D(T))^−s + ∫_{t_x}^T s C(τ) (α+P(τ))^−(r+x) (β+D(τ))^−(s+1) dτ ]
//! ```
//!
//! Between two changes of the covariates this is the integral of the plain model with the scales
//! `(α+P)/A` and `(β+D)/C`: the same quadrature, piece by piece ([`crate::attrition`]). A covariate at
//! a purchase is that of the period it falls into; the first purchase is given.
//!
//! Source: Bachmann, Meierer & Näf (2021), The Role of Time-Varying Contextual Factors in Latent
//! Attrition Models for Customer Base Analysis, *Marketing Science* 40(4), 783–809.
//!
//! Numerics: the gradient comes from the nodes of the value; the Hessian from central differences of
//! the gradient.

mod counts;
mod forecast;
mod likelihood;
mod model;
mod row;
mod scorer;
mod simulate;

pub use likelihood::TimedLikelihood;
pub use model::TimedPurchases;
pub use row::TimedRow;

use crate::attrition::{Buyer, Law, Nodes};
use crate::covariate_path::Piece;
use crate::rising::Rising;
use cvm_core::{Domain, ParamError};
use cvm_math::{exp, ln, log1p, softplus};

/// The model at given parameters and coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct ParetoNbdTv {
    /// `r, α, s, β`.
    params: [f64; 4],
    /// Coefficients of the purchase rate.
    gamma: Vec<f64>,
    /// Coefficients of the dropout rate.
    kappa: Vec<f64>,
}

/// Operational times and their derivatives in the coefficients, at a moment.
#[derive(Debug, Clone)]
struct Clocks {
    purchase: f64,
    dropout: f64,
    purchase_by: Vec<f64>,
    dropout_by: Vec<f64>,
}

/// Speeds of the two clocks in a piece.
#[derive(Debug, Clone, Copy)]
struct Speeds {
    purchase: f64,
    dropout: f64,
}

/// The bracket of the likelihood in units of being alive at `t_x`, with the sums of the gradients.
struct Bracket {
    left: f64,
    ln_stayed: f64,
    gradient: Vec<f64>,
}

impl ParetoNbdTv {
    /// The model with parameters `r, alpha, s, beta`, finite and positive, and finite coefficients of
    /// the purchase and the dropout covariates.
    ///
    /// # Errors
    /// The first number outside its domain.
    pub fn new(params: [f64; 4], gamma: &[f64], kappa: &[f64]) -> Result<Self, ParamError> {
        const NAMES: [&str; 4] = ["r", "alpha", "s", "beta"];
        let named = NAMES
            .iter()
            .zip(params)
            .map(|(n, v)| (*n, v, Domain::Positive));
        let coefficients = gamma.iter().map(|v| ("purchase", *v, Domain::Finite));
        let others = kappa.iter().map(|v| ("dropout", *v, Domain::Finite));
        for (name, value, domain) in named.chain(coefficients).chain(others) {
            if !domain.contains(value) {
                let name = name.to_owned();
                return Err(ParamError {
                    name,
                    value,
                    domain,
                });
            }
        }
        Ok(ParetoNbdTv {
            params,
            gamma: gamma.to_vec(),
            kappa: kappa.to_vec(),
        })
    }

    /// Log-likelihood of one customer; NaN where the row has other numbers of covariates.
    #[must_use]
    pub fn log_lik(&self, row: &TimedRow) -> f64 {
        if !self.fits(row.path_widths()) {
            return f64::NAN;
        }
        let at_last = self.clocks_at_last(row);
        let bracket = self.bracket(row, at_last.clone(), false);
        self.ln_until_last(row, &at_last) + ln(bracket.left + exp(bracket.ln_stayed))
    }

    /// Log-likelihood of one customer and its gradient in `(r, α, s, β, γ, κ)`; `gradient` has that
    /// length.
    pub fn log_lik_grad(&self, row: &TimedRow, gradient: &mut [f64]) -> f64 {
        if !self.fits(row.path_widths()) || gradient.len() != self.dim() {
            return f64::NAN;
        }
        let at_last = self.clocks_at_last(row);
        let bracket = self.bracket(row, at_last.clone(), true);
        let total = bracket.left + exp(bracket.ln_stayed);
        for (slot, sum) in gradient.iter_mut().zip(&bracket.gradient) {
            *slot = sum / total;
        }
        let [r, alpha, s, beta] = self.params;
        gradient[0] += Rising::new(r, row.frequency).first;
        gradient[1] += r / alpha;
        gradient[3] += s / beta;
        for (slot, sum) in gradient[4..].iter_mut().zip(row.covariates_bought()) {
            *slot += sum;
        }
        self.ln_until_last(row, &at_last) + ln(total)
    }

    /// Probability of being alive at `T`.
    #[must_use]
    pub fn p_alive(&self, row: &TimedRow) -> f64 {
        exp(self.ln_p_alive(row))
    }

    /// Its logarithm, exact however small the probability.
    #[must_use]
    pub fn ln_p_alive(&self, row: &TimedRow) -> f64 {
        if !self.fits(row.path_widths()) {
            return f64::NAN;
        }
        let bracket = self.bracket(row, self.clocks_at_last(row), false);
        if bracket.left == 0.0 {
            return 0.0;
        }
        -softplus(ln(bracket.left) - bracket.ln_stayed)
    }

    /// The parameters `r, alpha, s, beta`.
    #[must_use]
    pub fn params(&self) -> [f64; 4] {
        self.params
    }

    /// The same model with coefficients of the purchase and the dropout covariates.
    pub(crate) fn with_coefficients(self, gamma: Vec<f64>, kappa: Vec<f64>) -> Self {
        ParetoNbdTv {
            gamma,
            kappa,
            ..self
        }
    }

    /// A length of time that is typical for the model.
    pub(crate) fn scale_periods(&self) -> f64 {
        self.params[1]
    }

    fn dim(&self) -> usize {
        4 + self.gamma.len() + self.kappa.len()
    }

    fn fits(&self, widths: [usize; 2]) -> bool {
        widths == [self.gamma.len(), self.kappa.len()]
    }

    fn speeds(&self, piece: &Piece<'_>) -> Speeds {
        let rate = |coefficients: &[f64], values: &[f64]| {
            let terms = coefficients.iter().zip(values);
            exp(terms.map(|(c, v)| c * v).sum::<f64>().clamp(-300.0, 300.0))
        };
        Speeds {
            purchase: rate(&self.gamma, piece.purchase),
            dropout: rate(&self.kappa, piece.dropout),
        }
    }

    fn clocks_at_last(&self, row: &TimedRow) -> Clocks {
        let mut clocks = Clocks {
            purchase: 0.0,
            dropout: 0.0,
            purchase_by: vec![0.0; self.gamma.len()],
            dropout_by: vec![0.0; self.kappa.len()],
        };
        for piece in row.pieces_before() {
            self.advance(&mut clocks, &piece);
        }
        clocks
    }

    fn advance(&self, clocks: &mut Clocks, piece: &Piece<'_>) {
        let speeds = self.speeds(piece);
        let (bought, left) = (
            speeds.purchase * piece.length,
            speeds.dropout * piece.length,
        );
        clocks.purchase += bought;
        clocks.dropout += left;
        for (slot, value) in clocks.purchase_by.iter_mut().zip(piece.purchase) {
            *slot += bought * value;
        }
        for (slot, value) in clocks.dropout_by.iter_mut().zip(piece.dropout) {
            *slot += left * value;
        }
    }

    /// Logarithm of the density of the purchases up to `t_x` and of being alive then.
    fn ln_until_last(&self, row: &TimedRow, clocks: &Clocks) -> f64 {
        let [r, alpha, s, beta] = self.params;
        let x = row.frequency;
        let effects: f64 = self
            .gamma
            .iter()
            .zip(row.covariates_bought())
            .map(|(c, v)| c * v)
            .sum();
        let counts = Rising::new(r, x).log - x * ln(alpha) + effects;
        counts - (r + x) * log1p(clocks.purchase / alpha) - s * log1p(clocks.dropout / beta)
    }

    fn bracket(&self, row: &TimedRow, mut clocks: Clocks, with_gradient: bool) -> Bracket {
        let [r, alpha, s, beta] = self.params;
        let mut bracket = Bracket {
            left: 0.0,
            ln_stayed: 0.0,
            gradient: vec![0.0; self.dim()],
        };
        for piece in row.pieces_after() {
            let speeds = self.speeds(&piece);
            let buyer = Buyer {
                shape: r + row.frequency,
                scale: (alpha + clocks.purchase) / speeds.purchase,
                law: Law {
                    shape: s,
                    scale: (beta + clocks.dropout) / speeds.dropout,
                    growth: 0.0,
                },
            };
            let alive = exp(bracket.ln_stayed);
            if with_gradient {
                self.add_piece(&mut bracket, &buyer, &clocks, &piece, speeds);
            } else {
                bracket.left += alive * buyer.left_silently(piece.length);
            }
            bracket.ln_stayed += buyer.ln_silent_and_alive(piece.length);
            self.advance(&mut clocks, &piece);
        }
        if with_gradient {
            let weight = exp(bracket.ln_stayed);
            self.add_term(&mut bracket.gradient, row.frequency, &clocks, None, weight);
        }
        bracket
    }

    /// Adds the nodes of leaving within one piece.
    fn add_piece(
        &self,
        bracket: &mut Bracket,
        buyer: &Buyer,
        clocks: &Clocks,
        piece: &Piece<'_>,
        speeds: Speeds,
    ) {
        let integrand = buyer.leaving();
        let front = exp(bracket.ln_stayed) * buyer.leaving_front(&integrand);
        let x = buyer.shape - self.params[0];
        let mut nodes = Nodes::<32>::new();
        let mut flush = |nodes: &mut Nodes<32>| {
            for index in 0..nodes.evaluate(&integrand) {
                let mut at = clocks.clone();
                let passed = Piece {
                    length: nodes.passed(index),
                    ..*piece
                };
                let bought = speeds.purchase * passed.length;
                let left = speeds.dropout * passed.length;
                at.purchase += bought;
                at.dropout += left;
                for (slot, value) in at.purchase_by.iter_mut().zip(piece.purchase) {
                    *slot += bought * value;
                }
                for (slot, value) in at.dropout_by.iter_mut().zip(piece.dropout) {
                    *slot += left * value;
                }
                let weight = front * nodes.value(index);
                bracket.left += weight;
                self.add_term(&mut bracket.gradient, x, &at, Some(piece), weight);
            }
        };
        let finished = integrand.plan(piece.length, |panel| {
            nodes.push(&integrand, panel);
            if nodes.is_full() {
                flush(&mut nodes);
            }
        });
        flush(&mut nodes);
        if !finished {
            bracket.left = f64::NAN;
        }
    }

    /// Adds `weight` times the gradient of the logarithm of one term: of leaving now, in `leaving`, or
    /// of being still there.
    fn add_term(
        &self,
        gradient: &mut [f64],
        x: f64,
        clocks: &Clocks,
        leaving: Option<&Piece<'_>>,
        weight: f64,
    ) {
        let [r, alpha, s, beta] = self.params;
        let (shape, one) = (r + x, f64::from(u8::from(leaving.is_some())));
        let by_purchase = -shape / (alpha + clocks.purchase);
        let by_dropout = -(s + one) / (beta + clocks.dropout);
        gradient[0] -= weight * log1p(clocks.purchase / alpha);
        gradient[1] += weight * by_purchase;
        gradient[2] += weight * (one / s - log1p(clocks.dropout / beta));
        gradient[3] += weight * by_dropout;
        let (own, others) = gradient[4..].split_at_mut(self.gamma.len());
        for (slot, slope) in own.iter_mut().zip(&clocks.purchase_by) {
            *slot += weight * by_purchase * slope;
        }
        for (slot, slope) in others.iter_mut().zip(&clocks.dropout_by) {
            *slot += weight * by_dropout * slope;
        }
        if let Some(piece) = leaving {
            for (slot, value) in others.iter_mut().zip(piece.dropout) {
                *slot += weight * value;
            }
        }
    }
}

//! Gamma-Gamma: what a customer spends per purchase, from the mean of a few purchases.
//!
//! A customer's purchases are worth `Gamma(p, ν)` each, so the mean of `x` of them is
//! `Gamma(p·x, ν·x)`; across customers `ν ~ Gamma(q, v)`, independently of how often they buy. A
//! customer's mean spend is `M = p/ν`.
//!
//! | symbol | field            | unit      | meaning                                |
//! |--------|------------------|-----------|----------------------------------------|
//! | `x`    | `frequency`      | purchases | purchases that count: the repeats      |
//! | `m̄`    | `monetary_value` | currency  | their mean value                       |
//! | `p`    |                  | 1         | shape of purchases of one customer     |
//! | `q`    |                  | 1         | shape of `ν` across customers          |
//! | `v`    |                  | currency  | scale of `ν` across customers (paper: `γ`) |
//!
//! ```text
//! f(m̄ | x) = Γ(px+q)/(Γ(px)Γ(q)) · v^q · m̄^(px−1) · x^(px) / (v + x·m̄)^(px+q)
//! ```
//!
//! Given a customer's row `ν ~ Gamma(A, B)` with `A = px + q`, `B = v + x·m̄`, hence
//!
//! ```text
//! E[M] = pB/(A−1)                         inf where A ≤ 1
//! E[Var(Z | ν)] = pB²/((A−1)(A−2))        inf where A ≤ 2
//! Var(M) = p²B²/((A−1)²(A−2))             inf where A ≤ 2
//! median of M = pB / median of Gamma(A, 1)
//! ```
//!
//! Source: Fader & Hardie (2013), *The Gamma-Gamma Model of Monetary Value*, note 025 on
//! brucehardie.com, eqs. 1a and 5; the other moments are those of the inverse gamma distribution.
//!
//! Numerics: `A − 1` and `A − 2` are taken in double-double where they cancel. The likelihood over
//! merged rows depends on `x` alone and on `S = x·m̄` alone, a sum over distinct `x` plus a sum over
//! distinct `S`. Derivations: docs/models/gamma_gamma.md.

mod likelihood;

pub use likelihood::GammaGammaLikelihood;

use crate::formulas::Formulas;
use crate::random::Random;
use crate::spend::{Spend, SpendColumn, SpendFormulas};
use cvm_core::{Derivatives, Domain, Effect, Order, ParamError, ParamSpec, Process, RowStatus};
use cvm_math::{digamma, exp, ln, ln_beta, ln_gamma_median, log1p, trigamma};

/// The Gamma-Gamma model at given parameters.
#[derive(Debug, Clone)]
pub struct GammaGamma {
    /// Shape of one customer's purchases.
    p: f64,
    /// Shape of `ν` across customers.
    q: f64,
    /// Scale of `ν` across customers, in currency.
    v: f64,
}

impl GammaGamma {
    /// The model with shapes `p`, `q` and scale `v` in currency, all finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(p: f64, q: f64, v: f64) -> Result<Self, ParamError> {
        let params = [p, q, v];
        for (spec, value) in Self::PARAMS.iter().zip(&params) {
            spec.check(*value)?;
        }
        Ok(GammaGamma { p, q, v })
    }

    /// Expected value of a purchase of a customer never seen, in currency; infinite when `q ≤ 1`.
    #[must_use]
    pub fn expected_spend_new(&self) -> f64 {
        self.expected_spend(&Spend::NONE)
    }

    /// `px + q − less`, exact to the last digits however much of it cancels.
    fn shape_less(&self, x: f64, less: f64) -> f64 {
        let (own, rest) = (self.p * x, self.q - less);
        let shape = own + rest;
        if rest >= 0.0 || shape.abs() > 0.25 * own {
            return shape;
        }
        // The sum itself is exact here (Sterbenz); what its two terms lost is added.
        shape + (product_error(self.p, x, own) + difference_error(self.q, less, rest))
    }

    /// `B = v + x·m̄`.
    fn scale(&self, row: &Spend) -> f64 {
        self.v + row.total()
    }
}

/// `a·b − product` for `product` the rounded product: exact where nothing overflows (Dekker 1971,
/// *Numer. Math.* 18).
fn product_error(a: f64, b: f64, product: f64) -> f64 {
    let halves = |value: f64| {
        const SPLIT: f64 = 134_217_729.0;
        let scaled = SPLIT * value;
        let high = scaled - (scaled - value);
        (high, value - high)
    };
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
}

/// `a − b − difference` for `difference` the rounded difference (Knuth, TAOCP 2, 4.2.2).
fn difference_error(a: f64, b: f64, difference: f64) -> f64 {
    let virtual_b = a - difference;
    (a - (difference + virtual_b)) - (b - virtual_b)
}

impl Formulas for GammaGamma {
    const KIND: &'static str = "clv.gamma_gamma";
    const TITLE: &'static str = "Gamma-Gamma";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("p", "1", "shape of the purchases of one customer"),
        ParamSpec::positive("q", "1", "shape of the spread across customers"),
        ParamSpec::positive("v", "currency", "scale of the spread across customers"),
    ];
    const PROCESSES: &'static [Process] = &[Process {
        name: "spend",
        effects: &[Effect {
            param: 2,
            sign: 1.0,
        }],
    }];

    type Row = Spend;
    type Likelihood = GammaGammaLikelihood;

    fn at(params: &[f64]) -> Self {
        let &[p, q, v] = params else {
            unreachable!("the number of parameters has been checked")
        };
        GammaGamma { p, q, v }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.p, self.q, self.v]
    }

    fn key(row: &Spend) -> [f64; 4] {
        [row.frequency, row.monetary_value, 0.0, 0.0]
    }

    fn log_lik(&self, row: &Spend) -> f64 {
        let shape = self.p * row.frequency;
        let [log_own, log_shared] = log_shares(row.total(), self.v);
        let constant = ln_beta(shape, self.q) + ln(row.monetary_value);
        shape * log_own + self.q * log_shared - constant
    }

    fn derivatives(&self, row: &Spend, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        let (q, v, x) = (self.q, self.v, row.frequency);
        let (own, both) = (self.p * x, self.p * x + q);
        let end = self.scale(row);
        let [log_own, log_shared] = log_shares(row.total(), v);
        let psi = digamma(both);
        out.gradient.copy_from_slice(&[
            x * (psi - digamma(own) + log_own),
            psi - digamma(q) + log_shared,
            q / v - both / end,
        ]);
        if order < Order::Hessian {
            return;
        }
        let psi1 = trigamma(both);
        let pp = x * x * (psi1 - trigamma(own));
        let pq = x * psi1;
        let qq = psi1 - trigamma(q);
        let pv = -x / end;
        let qv = 1.0 / v - 1.0 / end;
        let vv = both / (end * end) - q / (v * v);
        out.hessian
            .copy_from_slice(&[pp, pq, pv, pq, qq, qv, pv, qv, vv]);
    }

    fn likelihood(rows: &[Spend], weights: Option<&[f64]>) -> GammaGammaLikelihood {
        GammaGammaLikelihood::new(rows, weights)
    }

    fn starts(likelihood: &GammaGammaLikelihood) -> Vec<Vec<f64>> {
        likelihood.starts()
    }

    fn simulate_one(&self, template: &Spend, random: &mut Random) -> Spend {
        if template.frequency == 0.0 {
            return Spend::NONE;
        }
        let log_nu = random.ln_gamma_variate(self.q) - ln(self.v);
        let log_sum = random.ln_gamma_variate(self.p * template.frequency) - log_nu;
        // A draw beyond the range of f64 stays a legal row.
        let mean = exp(log_sum - ln(template.frequency)).clamp(1e-300, 1e290);
        Spend::of_mean(template.frequency, mean)
    }
}

/// `ln S/(v+S)` and `ln v/(v+S)`; the one near zero keeps its digits.
fn log_shares(total: f64, v: f64) -> [f64; 2] {
    [-log1p(v / total), -log1p(total / v)]
}

impl SpendFormulas for GammaGamma {
    const COLUMNS: &'static [SpendColumn] = &[SpendColumn {
        name: "monetary_value",
        unit: "currency",
        domain: Domain::Positive,
    }];

    fn row(purchases: f64, values: &[f64]) -> Result<Spend, RowStatus> {
        Spend::check_mean(purchases, values.first().copied().unwrap_or(f64::NAN))
    }

    fn row_values(row: &Spend, values: &mut [f64]) {
        values.fill(row.monetary_value);
    }

    fn is_free(values: &[f64]) -> bool {
        values.first() == Some(&0.0)
    }

    /// `p·v/q` exists for every `q`.
    fn scale_currency(&self) -> f64 {
        self.p * self.v / self.q
    }

    fn probe_value(&self, multiple_of_scale: f64) -> f64 {
        multiple_of_scale * self.scale_currency()
    }

    fn expected_spend(&self, row: &Spend) -> f64 {
        let shape = self.shape_less(row.frequency, 1.0);
        if shape <= 0.0 {
            return f64::INFINITY;
        }
        let total = self.p * self.scale(row);
        if total.is_finite() {
            total / shape
        } else {
            self.p / shape * self.scale(row)
        }
    }

    fn variance_within(&self, row: &Spend) -> f64 {
        let shape = self.shape_less(row.frequency, 2.0);
        let mean = self.expected_spend(row);
        if shape > 0.0 {
            mean * (self.scale(row) / shape)
        } else {
            f64::INFINITY
        }
    }

    fn variance_of_mean(&self, row: &Spend) -> f64 {
        let shape = self.shape_less(row.frequency, 2.0);
        let mean = self.expected_spend(row);
        if shape > 0.0 {
            mean * (mean / shape)
        } else {
            f64::INFINITY
        }
    }

    fn median_spend(&self, row: &Spend) -> f64 {
        let log_rate = ln_gamma_median(self.p * row.frequency + self.q);
        exp(ln(self.p) + ln(self.scale(row)) - log_rate)
    }
}

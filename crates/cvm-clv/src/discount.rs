//! Expected purchases of a living customer, each discounted from its moment to now.
//!
//! With `E(t)` the purchases expected by `t` and `δ` the continuous rate per period,
//!
//! ```text
//! D(H) = ∫_0^H e^{−δs} E'(s) ds = e^{−δH} E(H) + δ ∫_0^H e^{−δs} E(s) ds
//! ```
//!
//! by parts: both terms are positive, the second is small at usual rates, and `E` is smooth. In
//! `v = ln(1 + s/A)` the singularities of `E` lie at distance `π` from the real line whatever the
//! horizon, so Gauss-Legendre panels at most one unit long converge like `12^−16`.

use crate::dropout::Dropout;
use cvm_math::{exp, log1p, slice};

/// Nodes of one panel.
const ORDER: usize = 8;

/// Nodes of the 8-point Gauss-Legendre rule on (0, 1), from 40-digit roots of the polynomial.
const NODES: [f64; ORDER] = [
    0.019_855_071_751_231_884,
    0.101_666_761_293_186_64,
    0.237_233_795_041_835_5,
    0.408_282_678_752_175_1,
    0.591_717_321_247_825,
    0.762_766_204_958_164_5,
    0.898_333_238_706_813_4,
    0.980_144_928_248_768_1,
];

/// Its weights.
const WEIGHTS: [f64; ORDER] = [
    0.050_614_268_145_188_13,
    0.111_190_517_226_687_24,
    0.156_853_322_938_943_63,
    0.181_341_891_689_181,
    0.181_341_891_689_181,
    0.156_853_322_938_943_63,
    0.111_190_517_226_687_24,
    0.050_614_268_145_188_13,
];

/// Bend that one panel may carry: eight points integrate `e^{−4v}` over a unit to 1e-13.
const BEND_PER_PANEL: f64 = 4.0;
/// `e^{−46}` is 1e-20: later purchases are worth nothing.
const FORGOTTEN: f64 = 46.0;
/// More panels than this and the answer is NaN: reached only where `r` alone expects tens of
/// thousands of purchases.
const MOST_PANELS: f64 = 16_384.0;

/// `D(H)` after `x` repeat purchases; `end` is `A = α + T`. An infinite horizon needs a positive rate.
pub(crate) fn discounted_purchases(
    dropout: &Dropout,
    x: f64,
    end: f64,
    horizon_periods: f64,
    delta_per_period: f64,
) -> f64 {
    let interest = delta_per_period * end;
    if horizon_periods == f64::INFINITY {
        return interest * integral(dropout, x, FORGOTTEN / interest, interest);
    }
    let tau = horizon_periods / end;
    let total = dropout.purchases(x, tau, log1p(tau));
    if delta_per_period == 0.0 {
        return total;
    }
    let worth_at_end = exp(-delta_per_period * horizon_periods);
    let stop = horizon_periods.min(FORGOTTEN / delta_per_period);
    worth_at_end * total + interest * integral(dropout, x, stop / end, interest)
}

/// `∫ e^{−interest·τ} E(τ) dτ` from 0 to `stop`, in `v = ln(1 + τ)`.
fn integral(dropout: &Dropout, x: f64, stop: f64, interest: f64) -> f64 {
    let length = log1p(stop);
    let bend = dropout.bend(x).max(interest * (1.0 + stop));
    let panels = length.max(bend * length / BEND_PER_PANEL).ceil();
    if panels > MOST_PANELS {
        return f64::NAN;
    }
    let panels = panels.max(1.0);
    let width = length / panels;
    let mut sum = 0.0;
    for panel in 0..panels as u32 {
        sum += one_panel(dropout, x, f64::from(panel) * width, width, interest);
    }
    sum
}

fn one_panel(dropout: &Dropout, x: f64, start: f64, width: f64, interest: f64) -> f64 {
    let v = NODES.map(|node| start + width * node);
    let mut tau = [0.0; ORDER];
    slice::expm1(&v, &mut tau);
    let Some(series) = dropout.series_to(x, tau[ORDER - 1]) else {
        return width
            * weighted_sum(&worth(&v, &tau, 1.0, interest), |i| {
                dropout.purchases(x, tau[i], v[i])
            });
    };
    // The power of `1 + τ` in front of the series joins the discount: one exponential for both.
    let worth = worth(&v, &tau, 1.0 - series.shape(), interest);
    width * weighted_sum(&worth, |i| series.sum(tau[i]).unwrap_or(f64::NAN))
}

/// `exp(power·v − interest·τ)` at every node.
fn worth(v: &[f64; ORDER], tau: &[f64; ORDER], power: f64, interest: f64) -> [f64; ORDER] {
    let exponents: [f64; ORDER] = std::array::from_fn(|i| power * v[i] - interest * tau[i]);
    let mut worth = [0.0; ORDER];
    slice::exp(&exponents, &mut worth);
    worth
}

fn weighted_sum(worth: &[f64; ORDER], value: impl Fn(usize) -> f64) -> f64 {
    let terms = WEIGHTS.iter().zip(worth).enumerate();
    terms
        .map(|(i, (weight, worth))| weight * worth * value(i))
        .sum()
}

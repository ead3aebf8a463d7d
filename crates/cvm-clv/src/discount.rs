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
//! horizon, so Gauss-Legendre panels at most one unit long converge like `6^−24` and better.

use crate::dropout::Dropout;
use cvm_math::{exp, log1p, slice};

/// Nodes of the 12-point Gauss-Legendre rule on (0, 1), from 40-digit roots of the polynomial.
const NODES: [f64; 12] = [
    0.009_219_682_876_640_375,
    0.047_941_371_814_762_57,
    0.115_048_662_902_847_65,
    0.206_341_022_856_691_27,
    0.316_084_250_500_909_9,
    0.437_383_295_744_265_54,
    0.562_616_704_255_734_5,
    0.683_915_749_499_090_1,
    0.793_658_977_143_308_7,
    0.884_951_337_097_152_3,
    0.952_058_628_185_237_4,
    0.990_780_317_123_359_6,
];

/// Its weights.
const WEIGHTS: [f64; 12] = [
    0.023_587_668_193_255_914,
    0.053_469_662_997_659_215,
    0.080_039_164_271_673_11,
    0.101_583_713_361_532_96,
    0.116_746_268_269_177_4,
    0.124_573_522_906_701_4,
    0.124_573_522_906_701_4,
    0.116_746_268_269_177_4,
    0.101_583_713_361_532_96,
    0.080_039_164_271_673_11,
    0.053_469_662_997_659_215,
    0.023_587_668_193_255_914,
];

/// Bend that one panel may carry: `e^{−8v}` is integrated to 1e-14 by twelve points.
const BEND_PER_PANEL: f64 = 8.0;
/// `e^{−46}` is 1e-20: later purchases are worth nothing.
const FORGOTTEN: f64 = 46.0;
/// Panels are never more than this; reached only where `δ` or `R` is absurd.
const MOST_PANELS: f64 = 512.0;

/// `D(H)` after `x` repeat purchases; `end` is `A = α + T`.
pub(crate) fn discounted_purchases(
    dropout: &Dropout,
    x: f64,
    end: f64,
    horizon_periods: f64,
    delta_per_period: f64,
) -> f64 {
    let tau = horizon_periods / end;
    let total = dropout.purchases(x, tau, log1p(tau));
    if delta_per_period == 0.0 {
        return total;
    }
    let worth_at_end = exp(-delta_per_period * horizon_periods);
    let stop = horizon_periods.min(FORGOTTEN / delta_per_period);
    let interest = delta_per_period * end;
    worth_at_end * total + interest * integral(dropout, x, stop / end, interest)
}

/// `∫ e^{−interest·τ} E(τ) dτ` from 0 to `stop`, in `v = ln(1 + τ)`.
fn integral(dropout: &Dropout, x: f64, stop: f64, interest: f64) -> f64 {
    let length = log1p(stop);
    let bend = dropout.bend(x).max(interest * (1.0 + stop));
    let panels = length.max(bend * length / BEND_PER_PANEL).ceil();
    let panels = panels.clamp(1.0, MOST_PANELS);
    let width = length / panels;
    let mut sum = 0.0;
    for panel in 0..panels as u32 {
        sum += one_panel(dropout, x, f64::from(panel) * width, width, interest);
    }
    sum
}

fn one_panel(dropout: &Dropout, x: f64, start: f64, width: f64, interest: f64) -> f64 {
    let v = NODES.map(|node| start + width * node);
    let mut tau = [0.0; NODES.len()];
    slice::expm1(&v, &mut tau);
    let exponents = std::array::from_fn::<f64, 12, _>(|i| v[i] - interest * tau[i]);
    let mut worth = [0.0; NODES.len()];
    slice::exp(&exponents, &mut worth);
    let mut sum = 0.0;
    for (index, weight) in WEIGHTS.iter().enumerate() {
        sum += weight * worth[index] * dropout.purchases(x, tau[index], v[index]);
    }
    width * sum
}

//! The periods after the last purchase: silent because the customer left, or only missed them.
//!
//! From the state after the last purchase, `p ~ Beta(α, β)` and `θ ~ Beta(γ, δ)` (updated), with
//!
//! ```text
//! M_i = (β)_i/(α+β)_i         no purchase in i periods alive
//! S_i = (δ)_i/(γ+δ)_i         alive through i periods
//! ```
//!
//! the probability of `g` silent periods is
//!
//! ```text
//! M_g S_g + Σ_{i<g} M_i S_i γ/(γ+δ+i)     alive at the end, or left before period i + 1
//! = 1 − Σ_{j=1}^g M_{j−1} S_j α/(α+β+j−1)  no first purchase in any period j
//! ```
//!
//! The second form is used where it is the more exact one: where the sum is small.

use crate::beta_ratio::beta_drop;
use cvm_core::Derivatives;
use cvm_math::{ln, log1p};

/// Parameters after the last purchase, and the silent periods since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) gamma: f64,
    pub(super) delta: f64,
    pub(super) periods: f64,
}

/// The three ways out of the silent periods; they sum to 1.
struct Ends {
    /// `M_g S_g`; may underflow.
    alive: f64,
    lapsed: f64,
    bought: f64,
}

impl Silence {
    fn ends(&self) -> Ends {
        let both = self.alpha + self.beta;
        let either = self.gamma + self.delta;
        let (mut alive, mut lapsed, mut bought) = (1.0, 0.0, 0.0);
        let mut period = 0.0;
        while period < self.periods && alive > 0.0 {
            lapsed += alive * (self.gamma / (either + period));
            alive *= (self.delta + period) / (either + period);
            bought += alive * (self.alpha / (both + period));
            alive *= (self.beta + period) / (both + period);
            period += 1.0;
        }
        Ends {
            alive,
            lapsed,
            bought,
        }
    }

    /// `ln` of the probability of the silence.
    pub(super) fn ln_probability(&self) -> f64 {
        let ends = self.ends();
        if ends.bought < 0.5 {
            log1p(-ends.bought)
        } else {
            ln(ends.alive + ends.lapsed)
        }
    }

    /// `ln` of the odds of having left, given silence.
    pub(super) fn ln_lapse_odds(&self) -> f64 {
        let missed = beta_drop(self.beta, self.alpha, self.periods);
        let survived = beta_drop(self.delta, self.gamma, self.periods);
        ln(self.ends().lapsed) + (missed + survived)
    }

    /// Gradient and Hessian of the `ln` of the probability in `(α, β, γ, δ)`: overwrites `out`.
    /// With terms `t_i = e^{l_i}` of sum `T`: `Σ t_i ∇l_i/T` and
    /// `Σ t_i (∇²l_i + ∇l_i ∇l_iᵀ)/T − ∇∇ᵀ`.
    pub(super) fn derivatives(&self, out: &mut Derivatives) {
        let mut sums = Sums::default();
        let mut missed = Logs::default();
        let mut survived = Logs::default();
        let (mut alive, mut period) = (1.0, 0.0);
        while period < self.periods && alive > 0.0 {
            let leave = 1.0 / (self.gamma + self.delta + period);
            let mut leaving = survived;
            leaving.first[0] += 1.0 / self.gamma - leave;
            leaving.first[1] -= leave;
            leaving.mixed += leave * leave;
            leaving.second[0] += leave * leave - 1.0 / (self.gamma * self.gamma);
            leaving.second[1] += leave * leave;
            sums.add(alive * self.gamma * leave, &missed, &leaving);
            alive *= survived.step(self.gamma, self.delta, period);
            alive *= missed.step(self.alpha, self.beta, period);
            period += 1.0;
        }
        sums.add(alive, &missed, &survived);
        sums.finish(out);
    }
}

/// Derivatives of `ln (b)_i/(a+b)_i` in `(a, b)`.
#[derive(Default, Clone, Copy)]
struct Logs {
    first: [f64; 2],
    second: [f64; 2],
    mixed: f64,
}

impl Logs {
    /// One factor more, `(b+i)/(a+b+i)`: returns it.
    fn step(&mut self, a: f64, b: f64, i: f64) -> f64 {
        let own = 1.0 / (b + i);
        let both = 1.0 / (a + b + i);
        self.first[0] -= both;
        self.first[1] += own - both;
        self.mixed += both * both;
        self.second[0] += both * both;
        self.second[1] += both * both - own * own;
        (b + i) * both
    }
}

#[derive(Default)]
struct Sums {
    total: f64,
    gradient: [f64; 4],
    hessian: [[f64; 4]; 4],
}

impl Sums {
    fn add(&mut self, term: f64, buying: &Logs, dropout: &Logs) {
        let first = [
            buying.first[0],
            buying.first[1],
            dropout.first[0],
            dropout.first[1],
        ];
        self.total += term;
        for (i, own) in first.iter().enumerate() {
            self.gradient[i] += term * own;
            for (j, other) in first.iter().enumerate().skip(i) {
                self.hessian[i][j] += term * own * other;
            }
        }
        for (logs, at) in [(buying, 0), (dropout, 2)] {
            self.hessian[at][at] += term * logs.second[0];
            self.hessian[at][at + 1] += term * logs.mixed;
            self.hessian[at + 1][at + 1] += term * logs.second[1];
        }
    }

    fn finish(&self, out: &mut Derivatives) {
        let mean = self.gradient.map(|sum| sum / self.total);
        out.gradient.copy_from_slice(&mean);
        for (index, slot) in out.hessian.iter_mut().enumerate() {
            let (row, column) = (index / 4, index % 4);
            let upper = self.hessian[row.min(column)][row.max(column)];
            *slot = upper / self.total - mean[row] * mean[column];
        }
    }
}

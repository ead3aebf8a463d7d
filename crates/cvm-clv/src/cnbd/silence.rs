//! `ln I_w(R, k)`, the chance of no purchase since the last one, with its derivatives.
//!
//! For `ln I_w(R, k) = ln ∫_0^w x^{R−1}(1−x)^{k−1} dx − ln B(R, k)` the derivatives in `R` and `k`
//! are means, variances and the covariance of `ln x` and `ln(1−x)` under the beta distribution cut
//! to `(0, w)`, less those under the whole one. Where most of the mass is below `w`, the same for
//! the part above it. For whole `k` and no derivative in `k`, the finite sum
//! `w^R Σ_{j<k} (R)_j/j! u^j`, `u = 1 − w`, with moments over `j`.

use super::{ALPHA, CnbdK, K, R};
use crate::rfm::Rfm;
use cvm_math::tanh_sinh::{Extent, Point, Sums, integrals, rule};
use cvm_math::{digamma, exp, ln, ln_beta, log1p, slice, trigamma};
use std::sync::OnceLock;

/// Largest whole `k` summed term by term.
const MOST_STAGES: f64 = 64.0;

/// The logarithm with its derivatives in `(r, α, a, b, k)`.
pub(super) struct Silence {
    pub(super) log: f64,
    pub(super) gradient: [f64; 5],
    pub(super) hessian: [[f64; 5]; 5],
}

/// Derivatives in `R`, `k` and `w`: the gradient, and `RR, Rk, Rw, kk, kw, ww`.
struct Native {
    log: f64,
    first: [f64; 3],
    second: [f64; 6],
}

impl Silence {
    pub(super) fn new<const AT_FIRST: bool>(
        model: &CnbdK<AT_FIRST>,
        row: &Rfm,
        free_k: bool,
    ) -> Self {
        let mut silence = Silence {
            log: 0.0,
            gradient: [0.0; 5],
            hessian: [[0.0; 5]; 5],
        };
        if row.age == row.recency {
            return silence;
        }
        let k = model.k;
        if !free_k && k <= MOST_STAGES && k.fract() == 0.0 {
            silence.sum_stages(model, row);
        } else {
            silence.spread(model, row);
        }
        silence
    }

    /// From `(R, k, w)` to the parameters: `R = r + kx`, `w = (α+t_x)/(α+T)`.
    fn spread<const AT_FIRST: bool>(&mut self, model: &CnbdK<AT_FIRST>, row: &Rfm) {
        let end = model.alpha + row.age;
        let (w, u) = (
            (model.alpha + row.recency) / end,
            (row.age - row.recency) / end,
        );
        let native = Native::new(model.rate_shape(row), model.k, w, u);
        let ([by_r, by_k, by_w], [rr, rk, rw, kk, kw, ww]) = (native.first, native.second);
        let x = row.frequency;
        let (slope, bend) = (u / end, -2.0 * u / (end * end));
        self.log = native.log;
        self.gradient[R] = by_r;
        self.gradient[ALPHA] = by_w * slope;
        self.gradient[K] = by_k + x * by_r;
        let mut set = |i: usize, j: usize, value: f64| {
            (self.hessian[i][j], self.hessian[j][i]) = (value, value);
        };
        set(R, R, rr);
        set(R, ALPHA, rw * slope);
        set(R, K, rk + x * rr);
        set(ALPHA, ALPHA, ww * slope * slope + by_w * bend);
        set(ALPHA, K, (kw + x * rw) * slope);
        set(K, K, kk + 2.0 * x * rk + x * x * rr);
    }

    /// The finite sum, with derivatives in `r` and `α`.
    fn sum_stages<const AT_FIRST: bool>(&mut self, model: &CnbdK<AT_FIRST>, row: &Rfm) {
        let (shape, end) = (model.rate_shape(row), model.alpha + row.age);
        let last = model.alpha + row.recency;
        let u = (row.age - row.recency) / end;
        let (mut term, mut harmonic, mut squares) = (1.0, 0.0, 0.0);
        // Σ of: 1, h, h² − s, j, j², hj, with h = ψ(R+j) − ψ(R) and s = ψ'(R) − ψ'(R+j).
        let mut sums = [0.0; 6];
        for stage in 0..model.k as u32 {
            let j = f64::from(stage);
            let second = harmonic * harmonic - squares;
            let factors = [1.0, harmonic, second, j, j * j, harmonic * j];
            for (sum, factor) in sums.iter_mut().zip(factors) {
                *sum += term * factor;
            }
            let place = shape + j;
            term *= place * u / (j + 1.0);
            harmonic += 1.0 / place;
            squares += 1.0 / (place * place);
        }
        let [total, h, hh, j, jj, hj] = sums;
        let [h, hh, j, jj, hj] = [h, hh, j, jj, hj].map(|sum| sum / total);
        // ln w and ln u move with α like this.
        let log_w = log1p(-u);
        let (by_w, by_u) = (u / last, -1.0 / end);
        self.log = shape * log_w + ln(total);
        self.gradient[R] = log_w + h;
        self.gradient[ALPHA] = shape * by_w + j * by_u;
        let mixed = by_w + (hj - h * j) * by_u;
        let bend_w = 1.0 / (end * end) - 1.0 / (last * last);
        let square = shape * bend_w + (jj - j * j) * by_u * by_u + j * by_u * by_u;
        self.hessian[R][R] = hh - h * h;
        (self.hessian[R][ALPHA], self.hessian[ALPHA][R]) = (mixed, mixed);
        self.hessian[ALPHA][ALPHA] = square;
    }
}

impl Native {
    fn new(shape: f64, k: f64, w: f64, u: f64) -> Self {
        if w <= shape / (shape + k) {
            return Native::below(shape, k, w, u);
        }
        // The part above w is the part below u with the shapes exchanged.
        let above = Native::below(k, shape, u, w);
        let [by_k, by_r, by_u] = above.first;
        let [kk, rk, ku, rr, ru, uu] = above.second;
        let (first, second) = ([by_r, by_k, -by_u], [rr, rk, -ru, kk, -ku, uu]);
        let odds = exp(above.log) / -cvm_math::expm1(above.log);
        let pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
        let curve = |place: usize| {
            let (i, j) = pairs[place];
            -odds * (second[place] + (1.0 + odds) * first[i] * first[j])
        };
        Native {
            log: log1p(-exp(above.log)),
            first: first.map(|slope| -odds * slope),
            second: std::array::from_fn(curve),
        }
    }

    /// `w` at or below the mean: the integrand falls from `w` on down, over `x = w·v`.
    fn below(shape: f64, k: f64, w: f64, u: f64) -> Self {
        let (log_w, log_u) = (ln(w), ln(u));
        let moments = tabulated(shape, k, w, u).unwrap_or_else(|| adaptive(shape, k, w, u));
        let [total, rest @ ..] = moments.sums;
        let [l, m, ll, lm, mm] = rest.map(|sum| sum / total);
        let log_mass = moments.log_scale + ln(total) + shape * log_w + (k - 1.0) * log_u;
        let (at_r, at_k, at_both) = (digamma(shape), digamma(k), digamma(shape + k));
        let (curve_r, curve_k, curve) = (trigamma(shape), trigamma(k), trigamma(shape + k));
        let density = exp((shape - 1.0) * log_w + (k - 1.0) * log_u - log_mass);
        let bend = (shape - 1.0) / w - (k - 1.0) / u;
        Native {
            log: log_mass - ln_beta(shape, k),
            first: [
                l + log_w - (at_r - at_both),
                m + log_u - (at_k - at_both),
                density,
            ],
            second: [
                ll - l * l - (curve_r - curve),
                lm - l * m + curve,
                -density * l,
                mm - m * m - (curve_k - curve),
                -density * m,
                density * (bend - density),
            ],
        }
    }
}

/// `∫_0^1 v^{R−1} (1−x)^{k−1}/u^{k−1} dv`, `x = wv`, and the means of `l = ln v`, `m = ln((1−x)/u)` and
/// their products: measured from the end, so that nothing cancels near it.
fn adaptive(shape: f64, k: f64, w: f64, u: f64) -> Sums<6> {
    let extent = Extent {
        left: 38.0 / shape + 3.0,
        right: 38.0 + log1p(shape + k),
        density: 4.0,
        most_nodes: 2000,
    };
    integrals(extent, |at| {
        let (l, m) = (at.ln_u, log1p(w * at.rest / u));
        let f = (shape - 1.0) * l + (k - 1.0) * m;
        (f, [1.0, l, m, l * l, l * m, m * m])
    })
}

/// Steps per unit of the tables: each has twice the nodes of the one before.
const DENSITIES: [f64; 3] = [8.0, 16.0, 32.0];
/// Reaches of the tables to the left, for shapes of 1, 0.1 and 0.01 and more.
const REACHES: [f64; 3] = [41.0, 383.0, 3803.0];

/// Nodes that are the same for every row.
fn table(reach: usize, density: usize) -> &'static [(Point, f64)] {
    type Table = OnceLock<Vec<(Point, f64)>>;
    static TABLES: [Table; 9] = [const { OnceLock::new() }; 9];
    TABLES[reach * DENSITIES.len() + density].get_or_init(|| {
        rule(Extent {
            left: REACHES[reach],
            right: 60.0,
            density: DENSITIES[density],
            most_nodes: 4096,
        })
    })
}

/// [`adaptive`] over tabulated nodes: those of the first table whose every other node gives the same
/// to 3e-7, the root of what is wanted.
fn tabulated(shape: f64, k: f64, w: f64, u: f64) -> Option<Sums<6>> {
    const AGREE: f64 = 3e-7;
    const SMALL_FACTOR: f64 = 1e-3;
    let reach = REACHES
        .iter()
        .position(|reach| 38.0 / shape + 3.0 <= *reach)?;
    for density in 0..DENSITIES.len() {
        let [half, whole] = sums(table(reach, density), shape, k, w / u);
        let small = SMALL_FACTOR * whole.sums[0];
        let agree = half
            .sums
            .iter()
            .zip(&whole.sums)
            .all(|(half, whole)| (2.0 * half - whole).abs() <= AGREE * (whole.abs() + small));
        if agree {
            return Some(whole);
        }
    }
    None
}

/// Sums over the nodes at whole multiples of twice the step, and over all.
fn sums(nodes: &[(Point, f64)], shape: f64, k: f64, odds: f64) -> [Sums<6>; 2] {
    let mut m: Vec<f64> = nodes.iter().map(|(at, _)| odds * at.rest).collect();
    slice::log1p_in_place(&mut m);
    let terms = nodes.iter().zip(&m);
    let mut f: Vec<f64> = terms
        .map(|((at, weight), m)| (shape - 1.0) * at.ln_u + (k - 1.0) * m + weight)
        .collect();
    let log_scale = f.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for log in &mut f {
        *log -= log_scale;
    }
    slice::exp_in_place(&mut f);
    // Two running sums, of the nodes of either parity.
    let mut parts = [[0.0; 6]; 2];
    for (index, ((at, _), (m, f))) in nodes.iter().zip(m.iter().zip(&f)).enumerate() {
        let l = at.ln_u;
        let factors = [1.0, l, *m, l * l, l * m, m * m];
        for (sum, factor) in parts[index % 2].iter_mut().zip(factors) {
            *sum += f * factor;
        }
    }
    let [even, odd] = parts;
    let whole = std::array::from_fn(|i| even[i] + odd[i]);
    [even, whole].map(|sums| Sums { log_scale, sums })
}

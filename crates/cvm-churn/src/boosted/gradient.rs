//! Gradients of the logistic loss, and their rounding to 16 bits.
//!
//! | symbol | meaning                                  |
//! |--------|------------------------------------------|
//! | `f`    | raw score, `p = 1/(1 + e^−f)`            |
//! | `y`    | 1 for a churner, else 0                  |
//! | `w`    | weight                                   |
//! | `g`    | `∂loss/∂f = w (p − y)`                   |
//! | `h`    | `∂²loss/∂f² = w p (1 − p)`               |
//! | `m`    | mean curvature, `Σ h / Σ w`              |
//! | `a`    | share of the mean where splits are chosen |
//!
//! Splits are chosen by sums of rounded gradients: integers, whose sums do not depend on their
//! order. Rounding is stochastic and unbiased, `⌊g s + u⌋` with `u` uniform in [0, 1) drawn from
//! seed, tree and row. Leaf values use the gradients as they are. The curvature that splits are chosen
//! by is `(1 − a) h + a w m`: with `a = 1`, a gain is the squared sum of gradients a row.
//!
//! Source: Friedman, Hastie & Tibshirani (2000), *Annals of Statistics* 28(2), algorithm 3; rounding:
//! Shi et al. (2022), *Quantized training of gradient boosting decision trees*, section 4.

use super::executor::Executor;
use super::sampling::draw;

/// Rows of one piece of work.
const CHUNK: usize = 8192;
/// Cost of a row's gradient.
const ROW_NS: f64 = 8.0;
/// Largest rounded gradient.
const GRADIENT_STEPS: f64 = 32_767.0;
/// Largest rounded curvature.
const CURVATURE_STEPS: f64 = 65_535.0;

/// What is fitted: labels, weights and scores so far.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// 1 for a churner, else 0.
    pub(crate) label: Vec<f64>,
    /// In training, churners times `ratio`.
    pub(crate) weight: Vec<f64>,
    pub(crate) ratio: f64,
    pub(crate) score: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
    pub(crate) curvature: Vec<f64>,
}

/// A row of a tree under construction with its rounded gradients.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    pub(crate) row: u32,
    pub(crate) gradient: i16,
    pub(crate) curvature: u16,
}

/// How far the curvature of rows is made alike where splits are chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Even {
    pub(crate) share: f64,
    pub(crate) mean: f64,
}

impl Even {
    #[inline]
    fn of(self, curvature: f64, weight: f64) -> f64 {
        (1.0 - self.share) * curvature + self.share * (weight * self.mean)
    }
}

/// What one step of rounded sums is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) gradient: f64,
    pub(crate) curvature: f64,
}

struct Chunk<'a> {
    label: &'a [f64],
    weight: &'a [f64],
    score: &'a [f64],
    gradient: &'a mut [f64],
    curvature: &'a mut [f64],
}

impl Rows {
    pub(crate) fn new(label: Vec<f64>, weight: Vec<f64>, ratio: f64, base: f64) -> Rows {
        let count = label.len();
        Rows {
            label,
            weight,
            ratio,
            score: vec![base; count],
            gradient: vec![0.0; count],
            curvature: vec![0.0; count],
        }
    }

    /// Weight of a row as it is.
    pub(crate) fn cover(&self, row: usize) -> f64 {
        if self.ratio != 1.0 && self.label[row] > 0.5 {
            self.weight[row] / self.ratio
        } else {
            self.weight[row]
        }
    }

    /// Gradients at the scores so far.
    pub(crate) fn differentiate(&mut self, executor: &impl Executor) {
        let count = self.score.len();
        let inputs = self.label.chunks(CHUNK).zip(self.weight.chunks(CHUNK));
        let outputs = self
            .gradient
            .chunks_mut(CHUNK)
            .zip(self.curvature.chunks_mut(CHUNK));
        let mut chunks: Vec<Chunk<'_>> = inputs
            .zip(self.score.chunks(CHUNK))
            .zip(outputs)
            .map(|(((label, weight), score), (gradient, curvature))| Chunk {
                label,
                weight,
                score,
                gradient,
                curvature,
            })
            .collect();
        executor.for_each(&mut chunks, count as f64 * ROW_NS, &|_, chunk| chunk.fill());
    }

    /// Mean curvature of `rows`, a unit of weight.
    pub(crate) fn mean_curvature(&self, rows: &[u32]) -> f64 {
        let (mut curvature, mut weight) = (0.0, 0.0);
        for row in rows {
            curvature += self.curvature[*row as usize];
            weight += self.weight[*row as usize];
        }
        curvature / positive(weight)
    }

    /// Rounds the gradients of `rows`.
    pub(crate) fn round(
        &self,
        rows: &[u32],
        even: Even,
        key: u64,
        entries: &mut Vec<Entry>,
    ) -> Steps {
        let curvature = |place: usize| even.of(self.curvature[place], self.weight[place]);
        let (mut most_gradient, mut most_curvature) = (0.0_f64, 0.0_f64);
        for row in rows {
            most_gradient = most_gradient.max(self.gradient[*row as usize].abs());
            most_curvature = most_curvature.max(curvature(*row as usize));
        }
        // A scale of nothing would make steps of nothing.
        let (most_gradient, most_curvature) = (positive(most_gradient), positive(most_curvature));
        let up = GRADIENT_STEPS / most_gradient;
        let curved_up = CURVATURE_STEPS / most_curvature;
        entries.clear();
        entries.extend(rows.iter().map(|row| {
            let bits = draw(key, u64::from(*row));
            let place = *row as usize;
            Entry {
                row: *row,
                gradient: (self.gradient[place] * up + unit(bits as u32)).floor() as i16,
                curvature: (curvature(place) * curved_up + unit((bits >> 32) as u32)) as u16,
            }
        }));
        Steps {
            gradient: most_gradient / GRADIENT_STEPS,
            curvature: most_curvature / CURVATURE_STEPS,
        }
    }
}

fn positive(value: f64) -> f64 {
    if value > f64::MIN_POSITIVE {
        value
    } else {
        1.0
    }
}

fn unit(bits: u32) -> f64 {
    f64::from(bits) * (1.0 / 4_294_967_296.0)
}

impl Chunk<'_> {
    fn fill(&mut self) {
        cvm_math::slice::sigmoid(self.score, self.gradient);
        let outputs = self.gradient.iter_mut().zip(self.curvature.iter_mut());
        let inputs = self.label.iter().zip(self.weight);
        for ((gradient, curvature), (label, weight)) in outputs.zip(inputs) {
            let p = *gradient;
            *gradient = weight * (p - label);
            *curvature = weight * (p * (1.0 - p));
        }
    }
}

/// Mean loss of `rows` by their own weights.
pub(crate) fn loss(rows: &[u32], score: &[f64], label: &[f64], weight: &[f64]) -> f64 {
    // ln(1 + e^s) with s = −f for a churner, f for one who stays.
    let signed = rows.iter().map(|row| {
        let place = *row as usize;
        if label[place] > 0.5 {
            -score[place]
        } else {
            score[place]
        }
    });
    let mut terms: Vec<f64> = signed.collect();
    cvm_math::slice::softplus_in_place(&mut terms);
    let (mut sum, mut total) = (0.0, 0.0);
    for (term, row) in terms.iter().zip(rows) {
        sum += weight[*row as usize] * term;
        total += weight[*row as usize];
    }
    sum / total
}

//! Checks of a fitted Cox model: robust covariance, proportional hazards, concordance.
//!
//! - **Robust covariance** `V (Σ s_i s_iᵀ) V` with score residuals
//!   `s_i = w_i [ left_i (z_i − x̄_i) − r_i ∫ (z_i − x̄) dH ]`: Lin & Wei (1989), *JASA* 84.
//! - **Proportional hazards**: the score test of `β_k + θ_k g(t)` at `θ = 0`, `g` being time as
//!   1 − Kaplan-Meier, rank, itself or its logarithm: Grambsch & Therneau (1994), *Biometrika*
//!   81(3); as an exact score test in Therneau's `survival` 3.0 and later.
//! - **Concordance**: of pairs of which it is known who left first, the share in which that one has
//!   the higher predictor, ties counting one half: Harrell et al. (1982), *JAMA* 247.

use super::likelihood::{CoxLikelihood, Evaluated};
use super::linear::solve;
use super::risk::RiskSets;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// The scale of time on which a trend of a coefficient is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TimeScale {
    /// One minus the Kaplan-Meier curve just before each event.
    #[default]
    Km,
    /// Order of the event.
    Rank,
    /// Time itself.
    Identity,
    /// Logarithm of time.
    Log,
}

/// A test of one column, or of all together.
#[derive(Debug, Clone, PartialEq)]
pub struct PhTestLine {
    /// Name of the column, or `GLOBAL`.
    pub name: String,
    /// Chi-square statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub freedom: usize,
}

/// Tests of proportional hazards.
#[derive(Debug, Clone, PartialEq)]
pub struct PhTest {
    /// Scale of time.
    pub scale: TimeScale,
    /// One line per column, then the global one.
    pub lines: Vec<PhTestLine>,
}

/// `g` at every event time of a stratum.
fn scaled_times(risk: &RiskSets, scale: TimeScale) -> Vec<f64> {
    match scale {
        TimeScale::Identity => risk.times.clone(),
        TimeScale::Log => risk.times.iter().map(|t| cvm_math::ln(*t)).collect(),
        TimeScale::Rank => {
            #[allow(clippy::cast_precision_loss)]
            let rank = |j: usize| j as f64 + 1.0;
            (0..risk.times.len()).map(rank).collect()
        }
        TimeScale::Km => {
            let at_risk = risk.at_risk(&risk.weight);
            let mut survival = 1.0;
            let steps = risk.event_weight.iter().zip(&at_risk);
            let step = steps.map(|(events, at_risk)| {
                let before = survival;
                survival *= 1.0 - events / at_risk;
                1.0 - before
            });
            step.collect()
        }
    }
}

/// The score tests at `beta` (standardised scale).
pub(crate) fn ph_test(
    likelihood: &CoxLikelihood,
    beta: &[f64],
    names: &[String],
    scale: TimeScale,
) -> Option<PhTest> {
    let p = beta.len();
    let zero = || Array2::<f64>::zeros((p, p));
    let (mut own, mut cross, mut trend) = (zero(), zero(), zero());
    let mut score = vec![0.0; p];
    for stratum in &likelihood.strata {
        let at = stratum.at(beta, likelihood.ties);
        let g = centred(scaled_times(&stratum.risk, scale), &stratum.risk);
        let squares: Vec<f64> = g.iter().map(|g| g * g).collect();
        at.add_gradient(Some(&g), &mut score);
        at.add_information(None, &mut own);
        at.add_information(Some(&g), &mut cross);
        at.add_information(Some(&squares), &mut trend);
    }
    // Information on the trends, that on the coefficients taken out.
    let projected = solve(&own, &cross)?;
    let left = trend - cross.t().dot(&projected);
    let line = |k: usize| PhTestLine {
        name: names[k].clone(),
        statistic: score[k] * score[k] / left[[k, k]],
        freedom: 1,
    };
    let mut lines: Vec<PhTestLine> = (0..p).map(line).collect();
    let column = Array2::from_shape_fn((p, 1), |(k, _)| score[k]);
    if let Some(solved) = solve(&left, &column) {
        lines.push(PhTestLine {
            name: "GLOBAL".to_owned(),
            statistic: column.t().dot(&solved)[[0, 0]],
            freedom: p,
        });
    }
    Some(PhTest { scale, lines })
}

/// `g` less its mean over events: the test does not change, its digits do.
fn centred(mut g: Vec<f64>, risk: &RiskSets) -> Vec<f64> {
    let total = risk.event_weight.iter().fold(0.0, |sum, w| sum + w);
    let pairs = g.iter().zip(&risk.event_weight);
    let mean = pairs.fold(0.0, |sum, (g, w)| sum + g * w) / total;
    g.iter_mut().for_each(|g| *g -= mean);
    g
}

/// Score residuals of a stratum's rows, a run of rows per column.
fn score_residuals(at: &Evaluated<'_>) -> Vec<Vec<f64>> {
    let risk = &at.stratum.risk;
    let martingale = at.residuals(None);
    let column = |k: usize| {
        let means = at.means(k);
        let (mut rate, mut own) = (vec![0.0; risk.times.len()], vec![0.0; risk.times.len()]);
        let mut average = vec![0.0; risk.times.len()];
        for (term, mean) in at.terms.iter().zip(&means) {
            let step = term.weight / term.phi * mean;
            rate[term.time] += step;
            own[term.time] += step * term.share;
            #[allow(clippy::cast_precision_loss)]
            let d = risk.count[term.time] as f64;
            average[term.time] += mean / d;
        }
        let lives = risk.over_life(&rate);
        let row = |i: usize| {
            let mut value = martingale[i] * at.stratum.inputs[k][i] + at.risks[i] * lives[i];
            if risk.left[i] {
                let j = risk.to[i] - 1;
                value -= risk.weight[i] * average[j] + at.risks[i] * own[j];
            }
            value
        };
        (0..risk.row_count()).map(row).collect()
    };
    (0..at.stratum.inputs.len()).map(column).collect()
}

/// `V B V` with `B` the sum of squared score residuals over clusters; `clusters` has one list per
/// stratum with the number of each row's cluster.
pub(crate) fn robust(
    likelihood: &CoxLikelihood,
    beta: &[f64],
    covariance: &Array2<f64>,
    clusters: &[Vec<usize>],
    cluster_count: usize,
) -> Array2<f64> {
    let p = beta.len();
    let mut sums = vec![vec![0.0; cluster_count]; p];
    for (stratum, clusters) in likelihood.strata.iter().zip(clusters) {
        let residuals = score_residuals(&stratum.at(beta, likelihood.ties));
        for (sum, column) in sums.iter_mut().zip(&residuals) {
            for (cluster, value) in clusters.iter().zip(column) {
                sum[*cluster] += value;
            }
        }
    }
    let meat = Array2::from_shape_fn((p, p), |(i, j)| crate::sums::dot(&sums[i], &sums[j]));
    covariance.dot(&meat).dot(covariance)
}

/// Weighted Harrell concordance of the linear predictors; `None` without a comparable pair.
pub(crate) fn concordance(likelihood: &CoxLikelihood, beta: &[f64]) -> Option<f64> {
    let (mut good, mut all) = (0.0, 0.0);
    for stratum in &likelihood.strata {
        let etas = stratum.at(beta, likelihood.ties).etas;
        let (own_good, own_all) = concordant(&stratum.risk, &etas);
        good += own_good;
        all += own_all;
    }
    (all > 0.0).then(|| good / all)
}

/// Weights in order of the predictors, with fast sums below a place (a Fenwick tree).
struct Ranks {
    tree: Vec<f64>,
}

impl Ranks {
    fn add(&mut self, place: usize, weight: f64) {
        let mut at = place + 1;
        while at < self.tree.len() {
            self.tree[at] += weight;
            at += at & at.wrapping_neg();
        }
    }

    /// Weight at the first `count` places.
    fn below(&self, count: usize) -> f64 {
        let (mut at, mut sum) = (count, 0.0);
        while at > 0 {
            sum += self.tree[at];
            at &= at - 1;
        }
        sum
    }
}

/// Concordant and comparable pairs: an event against every row at risk then that did not leave then.
fn concordant(risk: &RiskSets, etas: &[f64]) -> (f64, f64) {
    let mut sorted = etas.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let place = |i: usize| sorted.partition_point(|own| *own < etas[i]);
    let mut ranks = Ranks {
        tree: vec![0.0; sorted.len() + 1],
    };
    let (mut joins, mut leaves) = (
        vec![Vec::new(); risk.times.len()],
        vec![Vec::new(); risk.times.len()],
    );
    for i in 0..risk.row_count() {
        if risk.to[i] > risk.from[i] {
            joins[risk.to[i] - 1].push(i);
            if risk.from[i] > 0 {
                leaves[risk.from[i] - 1].push(i);
            }
        }
    }
    let (mut good, mut all) = (0.0, 0.0);
    for j in (0..risk.times.len()).rev() {
        for i in joins[j].iter().filter(|i| !risk.left[**i]) {
            ranks.add(place(*i), risk.weight[*i]);
        }
        for i in &leaves[j] {
            ranks.add(place(*i), -risk.weight[*i]);
        }
        let total = ranks.below(sorted.len());
        let events = || joins[j].iter().filter(|i| risk.left[**i]);
        for i in events() {
            let at = place(*i);
            let (lower, upto) = (ranks.below(at), ranks.below(at + 1));
            good += risk.weight[*i] * (lower + 0.5 * (upto - lower));
            all += risk.weight[*i] * total;
        }
        for i in events() {
            ranks.add(place(*i), risk.weight[*i]);
        }
    }
    (good, all)
}

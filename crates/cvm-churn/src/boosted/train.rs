//! The rounds of a fit: gradients, a tree, its values added to the scores, until enough.
//!
//! | symbol | meaning                                                       |
//! |--------|---------------------------------------------------------------|
//! | `r`    | what a churner weighs in training, next to one who stays      |
//! | base   | log-odds of the weighted share of churners                    |
//!
//! Weighting churners by `r` multiplies the odds the trees learn by `r`; `ln r` is taken off the
//! base at the end, so scores are log-odds of the customers as they are.
//!
//! Source: King & Zeng (2001), *Political Analysis* 9(2), equation 7 (prior correction).

use super::data::{self, Data};
use super::emit::{Grown, ensemble};
use super::executor::Executor;
use super::gradient::{Entry, Even, Rows, loss};
use super::model::Boosted;
use super::oblivious::{Bench, Ground, Shape};
use super::sampling::{choose, draw, is_within, stream};
use super::scan::Penalty;
use super::spec::{BoostedSpec, ClassWeight, Grow};
use super::{leafwise, oblivious};
use crate::ChurnError;
use cvm_core::Batch;
use std::ops::ControlFlow;

/// Rounds in a row without a split after which a fit with draws ends.
const MOST_IDLE: usize = 10;

/// Where a fit is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Trees grown.
    pub done: usize,
    /// Most trees there will be, of all fits together.
    pub total: usize,
    /// Loss of the rows held out, if there are any.
    pub held_out_loss: Option<f64>,
}

/// A fitted model and how the fit went.
#[derive(Debug, Clone)]
pub struct BoostedFit {
    /// The model.
    pub model: Boosted,
    /// Rows trained on, held out, and left out for want of weight.
    pub row_count: usize,
    /// Rows held out.
    pub held_out_count: usize,
    /// Sum of the weights of all rows used.
    pub weight: f64,
    /// Weighted share of churners.
    pub base_rate: f64,
    /// Trees kept.
    pub tree_count: usize,
    /// Mean log-loss of the rows trained on.
    pub loss: f64,
    /// Mean log-loss of the rows held out at the best round.
    pub held_out_loss: Option<f64>,
    /// Held-out loss after every round.
    pub history: Vec<f64>,
    /// Logit taken off for the class weight.
    pub correction: f64,
    /// Whether the caller stopped the fit.
    pub cancelled: bool,
    /// Summed gain of the splits by each field, in the order of the model's fields.
    pub gains: Vec<f64>,
}

/// What a caller may watch a fit with; `Break` stops it.
pub type Watch<'a> = &'a dyn Fn(&Round) -> ControlFlow<()>;

/// Fits a model to a batch.
///
/// # Errors
/// Settings, columns or labels that cannot be used.
pub fn train(
    batch: &Batch<'_>,
    spec: &BoostedSpec,
    executor: &impl Executor,
    watch: Watch<'_>,
) -> Result<BoostedFit, ChurnError> {
    let data = data::read(batch, spec)?;
    let ratio = ratio(&data, spec.class_weight);
    let (held, kept): (Vec<u32>, Vec<u32>) =
        (0..data.label.len() as u32).partition(|row| data.held[*row as usize]);
    let all: Vec<u32> = (0..data.label.len() as u32).collect();
    let refits = spec.refit && !held.is_empty();
    let total = spec.rounds * if refits { 2 } else { 1 };
    let mut run = Run::new(&data, spec, ratio, &kept, &held);
    run.go(executor, spec.rounds, &|done, held_out_loss| {
        watch(&Round {
            done,
            total,
            held_out_loss,
        })
    });
    let history = std::mem::take(&mut run.history);
    let held_out_loss = history.get(run.trees.len().wrapping_sub(1)).copied();
    if refits && !run.cancelled {
        let rounds = run.trees.len().max(1);
        run = Run::new(&data, spec, ratio, &all, &[]);
        run.go(executor, rounds, &|done, _| {
            watch(&Round {
                done: spec.rounds + done,
                total: spec.rounds + rounds,
                held_out_loss,
            })
        });
    }
    let run = run.outcome();
    finish(&data, spec, run, held.len(), (held_out_loss, history))
}

/// What a churner weighs.
fn ratio(data: &Data, class_weight: Option<ClassWeight>) -> f64 {
    match class_weight {
        None => 1.0,
        Some(ClassWeight::Ratio(ratio)) => ratio,
        Some(ClassWeight::Named(_)) => {
            let (mut churned, mut stayed) = (0.0, 0.0);
            for ((label, weight), held) in data.label.iter().zip(&data.weight).zip(&data.held) {
                let own = if *held { 0.0 } else { *weight };
                churned += own * label;
                stayed += own * (1.0 - label);
            }
            stayed / churned
        }
    }
}

/// One sequence of rounds.
struct Run<'a> {
    data: &'a Data,
    spec: &'a BoostedSpec,
    ratio: f64,
    base: f64,
    kept: &'a [u32],
    held: &'a [u32],
    rows: Rows,
    trees: Grown,
    history: Vec<f64>,
    /// Rounds in a row whose tree splits nothing.
    idle: usize,
    cancelled: bool,
}

/// What is left of a run.
struct Outcome {
    base: f64,
    ratio: f64,
    trees: Grown,
    loss: f64,
    cancelled: bool,
}

impl<'a> Run<'a> {
    fn new(
        data: &'a Data,
        spec: &'a BoostedSpec,
        ratio: f64,
        kept: &'a [u32],
        held: &'a [u32],
    ) -> Run<'a> {
        let pairs = data.label.iter().zip(&data.weight);
        let weight = |(label, weight): (&f64, &f64)| {
            if *label > 0.5 {
                ratio * weight
            } else {
                *weight
            }
        };
        let weights: Vec<f64> = pairs.map(weight).collect();
        let (mut churned, mut stayed) = (0.0, 0.0);
        for row in kept {
            let (label, weight) = (data.label[*row as usize], weights[*row as usize]);
            churned += weight * label;
            stayed += weight * (1.0 - label);
        }
        let base = cvm_math::ln(churned / stayed);
        Run {
            rows: Rows::new(data.label.clone(), weights, ratio, base),
            trees: match spec.grow {
                Grow::Oblivious => Grown::Oblivious(Vec::new()),
                Grow::Leafwise => Grown::Binary(Vec::new()),
            },
            data,
            spec,
            ratio,
            base,
            kept,
            held,
            history: Vec::new(),
            idle: 0,
            cancelled: false,
        }
    }

    fn shape(&self) -> Shape {
        let spec = self.spec;
        Shape {
            depth: spec.depth,
            max_leaves: spec.max_leaves,
            order: spec.interaction_order.unwrap_or(usize::MAX),
            penalty: Penalty {
                l2: spec.l2,
                least: spec.min_child_weight,
                gain: spec.min_gain(self.kept.len()),
                category_smoothing: spec.category_smoothing,
                level_gain: spec.level_gain,
            },
            learning_rate: spec.learning_rate(self.kept.len()),
        }
    }

    fn go(
        &mut self,
        executor: &impl Executor,
        rounds: usize,
        watch: &dyn Fn(usize, Option<f64>) -> ControlFlow<()>,
    ) {
        let shape = self.shape();
        let mut benches = Bench::all(&self.data.panels);
        let mut entries: Vec<Entry> = Vec::with_capacity(self.kept.len());
        let (mut best, mut best_count) = (f64::INFINITY, 0);
        for round in 0..rounds {
            let before = self.trees.len();
            if !self.round(round as u64, &shape, &mut benches, &mut entries, executor) {
                break;
            }
            if self.trees.len() == before {
                continue;
            }
            let held_out = (!self.held.is_empty()).then(|| self.held_out_loss());
            if let Some(now) = held_out {
                self.history.push(now);
                if now < best {
                    (best, best_count) = (now, self.trees.len());
                }
            }
            if watch(self.trees.len(), held_out).is_break() {
                self.cancelled = true;
                break;
            }
            let waited = self.trees.len() - best_count;
            if held_out.is_some() && waited >= self.spec.early_stopping_rounds {
                break;
            }
        }
        if !self.held.is_empty() {
            self.trees.truncate(best_count);
        }
    }

    /// Grows one tree, kept if it splits anything; whether to go on.
    fn round(
        &mut self,
        round: u64,
        shape: &Shape,
        benches: &mut [Bench<'_>],
        entries: &mut Vec<Entry>,
        executor: &impl Executor,
    ) -> bool {
        let spec = self.spec;
        let keys = |purpose: u64| stream(spec.seed, (round << 4) | purpose);
        let seen = sample(self.kept, spec.row_sample, keys(1));
        let open = self.open(keys(2));
        self.rows.differentiate(executor);
        let mean = self.rows.mean_curvature(self.kept);
        let share = spec.even_curvature(self.kept.len());
        let shape = &shape.at(mean, spec.l2_fall);
        let steps = self.rows.round(
            seen.as_deref().unwrap_or(self.kept),
            Even { share, mean },
            keys(3),
            entries,
        );
        let ground = Ground {
            fields: &self.data.fields,
            panels: &self.data.panels,
            open: &open,
        };
        let rows = &mut self.rows;
        let grown = match &mut self.trees {
            Grown::Oblivious(trees) => {
                let tree = oblivious::grow(ground, shape, benches, entries, steps, rows, executor);
                trees.push(tree);
                trees.last().is_some_and(|tree| !tree.splits.is_empty())
            }
            Grown::Binary(trees) => {
                let tree = leafwise::grow(ground, shape, benches, entries, steps, rows, executor);
                trees.push(tree);
                trees.last().is_some_and(|tree| tree.nodes.len() > 1)
            }
        };
        if !grown {
            // Without draws the next tree would be no better; with them, some in a row say enough.
            self.trees.truncate(self.trees.len() - 1);
            self.idle += 1;
            let draws = seen.is_some() || spec.field_sample < 1.0;
            return draws && self.idle < MOST_IDLE;
        }
        self.idle = 0;
        if let Some(seen) = seen {
            let mut seen = seen.iter().peekable();
            let unseen = self
                .kept
                .iter()
                .filter(|row| seen.next_if_eq(row).is_none());
            let unseen: Vec<u32> = unseen.copied().collect();
            self.add_last(&unseen);
        }
        self.add_last(self.held);
        true
    }

    /// Fields the next tree may ask about.
    fn open(&self, key: u64) -> Vec<bool> {
        let count = self.data.fields.len();
        let wanted = (self.spec.field_sample * count as f64).ceil() as usize;
        let mut open = vec![wanted >= count; count];
        for field in choose(key, count, wanted) {
            open[field] = true;
        }
        open
    }

    /// Adds the last tree's values to rows it was not grown on.
    fn add_last(&mut self, rows: &[u32]) {
        let panels = &self.data.panels;
        for row in rows {
            let row = *row as usize;
            let value = match &self.trees {
                Grown::Oblivious(trees) => trees.last().map(|tree| tree.value(panels, row)),
                Grown::Binary(trees) => trees.last().map(|tree| tree.value(panels, row)),
            };
            self.rows.score[row] += value.unwrap_or(0.0);
        }
    }

    fn held_out_loss(&self) -> f64 {
        self.loss(self.held)
    }

    /// Loss of customers as they are: scores corrected, weights their own.
    fn loss(&self, rows: &[u32]) -> f64 {
        if self.ratio == 1.0 {
            return loss(rows, &self.rows.score, &self.rows.label, &self.data.weight);
        }
        let shift = cvm_math::ln(self.ratio);
        let score: Vec<f64> = self.rows.score.iter().map(|score| score - shift).collect();
        loss(rows, &score, &self.rows.label, &self.data.weight)
    }

    fn outcome(self) -> Outcome {
        Outcome {
            loss: self.loss(self.kept),
            base: self.base,
            ratio: self.ratio,
            trees: self.trees,
            cancelled: self.cancelled,
        }
    }
}

/// The rows a tree is grown on; nothing if it is all.
fn sample(kept: &[u32], share: f64, key: u64) -> Option<Vec<u32>> {
    if share >= 1.0 {
        return None;
    }
    let drawn = |row: &&u32| is_within(draw(key, u64::from(**row)), share);
    let seen: Vec<u32> = kept.iter().filter(drawn).copied().collect();
    (!seen.is_empty()).then_some(seen)
}

fn finish(
    data: &Data,
    spec: &BoostedSpec,
    run: Outcome,
    held_out_count: usize,
    (held_out_loss, history): (Option<f64>, Vec<f64>),
) -> Result<BoostedFit, ChurnError> {
    let correction = if run.ratio == 1.0 {
        0.0
    } else {
        cvm_math::ln(run.ratio)
    };
    let trees = ensemble(&data.fields, spec, run.base - correction, &run.trees);
    let model = Boosted::new(spec.target.clone(), data.positive.clone(), trees)
        .map_err(|error| ChurnError::setting("*", error, "smaller"))?;
    let (mut churned, mut weight) = (0.0, 0.0);
    for (label, own) in data.label.iter().zip(&data.weight) {
        churned += label * own;
        weight += own;
    }
    Ok(BoostedFit {
        row_count: data.label.len(),
        held_out_count,
        weight,
        base_rate: churned / weight,
        tree_count: run.trees.len(),
        loss: run.loss,
        held_out_loss,
        history,
        correction,
        cancelled: run.cancelled,
        gains: gains(data.fields.len(), &run.trees),
        model,
    })
}

/// Summed gain by field.
fn gains(count: usize, trees: &Grown) -> Vec<f64> {
    let mut gains = vec![0.0; count];
    let mut add = |split: &super::scan::Split| gains[split.field] += split.gain;
    match trees {
        Grown::Oblivious(trees) => trees
            .iter()
            .flat_map(|tree| &tree.splits)
            .for_each(&mut add),
        Grown::Binary(trees) => {
            let nodes = trees.iter().flat_map(|tree| &tree.nodes);
            nodes
                .filter_map(|node| node.split.as_ref())
                .for_each(&mut add);
        }
    }
    gains
}

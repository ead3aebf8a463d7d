//! The log-likelihood over merged rows, from one table per purchase count.
//!
//! With `B(t) = (α+t)^−R S(t)` and `J(t) = ∫_t^E (α+τ)^−R f(τ) dτ / B(t)` up to the last time `E` of
//! any row with the same `x`, the bracket of a row's likelihood is
//!
//! ```text
//! B(t_x) · [ J(t_x) + (B(T)/B(t_x)) · (1 − J(T)) ],    0 ≤ J ≤ 1
//! ```
//!
//! a sum of two positive numbers. Times are few where data are dated by day, so `J` and its
//! derivatives are made once per distinct `(x, time)`, from the latest time backwards: a short
//! panel, and what was known times `B(later)/B(earlier)`. A row then costs an exponential and a
//! logarithm. Sums over rows of everything linear in a table entry are taken per entry.

use super::moments::{Attrited, Term};
use super::nodes::Nodes;
use crate::dense::Dense;
use crate::merge::{Dictionary, merge};
use crate::rfm::{CHUNK, Rfm};
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{exp, slice};

/// Rows of one block.
const BLOCK: usize = 8192;

/// Merged rows of a fit.
#[derive(Debug)]
pub struct AttritionLikelihood<const N: usize> {
    blocks: Vec<Vec<Segment>>,
    totals: Totals,
    merged_rows: usize,
    cost_ns: f64,
}

/// Weighted sums over all customers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) weight: f64,
    pub(crate) frequency: f64,
    pub(crate) frequency_squared: f64,
    pub(crate) age: f64,
}

impl Totals {
    pub(super) fn add(&mut self, row: &Rfm, weight: f64) {
        self.weight += weight;
        self.frequency += weight * row.frequency;
        self.frequency_squared += weight * row.frequency * row.frequency;
        self.age += weight * row.age;
    }
}

/// Rows of one block with the same `x`.
#[derive(Debug)]
struct Segment {
    x: f64,
    /// Distinct times, latest first.
    times: Vec<f64>,
    /// Places of `t_x` and `T` in `times`.
    codes: Vec<[u16; 2]>,
    weights: Vec<f64>,
}

impl<const N: usize> AttritionLikelihood<N> {
    /// Merges `rows` (weight 1 each without `weights`; weights are finite and zero or greater).
    pub(crate) fn new(rows: &[Rfm], weights: Option<&[f64]>) -> Self {
        const ROW_NS: f64 = 25.0;
        const TIME_NS: f64 = 250.0;
        let columns = Columns::new(rows);
        let groups = merge(
            &[&columns.frequency, &columns.recency, &columns.age],
            weights,
        );
        let mut totals = Totals::default();
        let mut keyed = Vec::with_capacity(groups.len());
        for group in &groups {
            let row = &rows[group.row as usize];
            totals.add(row, group.weight);
            keyed.push((columns.codes(group.row), group.weight));
        }
        let mut maker = SegmentMaker::new(&columns);
        let blocks: Vec<Vec<Segment>> = keyed
            .chunks(BLOCK)
            .map(|block| {
                let same = |a: &Keyed, b: &Keyed| a.0[0] == b.0[0];
                block.chunk_by(same).map(|rows| maker.make(rows)).collect()
            })
            .collect();
        let times: usize = blocks.iter().flatten().map(|s| s.times.len()).sum();
        AttritionLikelihood {
            totals,
            merged_rows: groups.len(),
            cost_ns: ROW_NS * groups.len() as f64 + TIME_NS * times as f64,
            blocks,
        }
    }

    /// Number of distinct rows.
    #[must_use]
    pub fn merged_rows(&self) -> usize {
        self.merged_rows
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }
}

/// Codes of `x`, `t_x`, `T`, and a weight.
type Keyed = ([u32; 3], f64);

/// The columns of a data set; both times share one dictionary.
struct Columns {
    frequency: Dictionary,
    recency: Dictionary,
    age: Dictionary,
}

impl Columns {
    fn new(rows: &[Rfm]) -> Self {
        let frequency = Dictionary::of_values(rows.iter().map(|row| row.frequency));
        let time = |index: usize| match index.checked_sub(rows.len()) {
            None => rows[index].recency,
            Some(index) => rows[index].age,
        };
        let Dictionary { keys, mut codes } = Dictionary::of_values((0..2 * rows.len()).map(time));
        let age_codes = codes.split_off(rows.len());
        Columns {
            frequency,
            recency: Dictionary {
                keys: keys.clone(),
                codes,
            },
            age: Dictionary {
                keys,
                codes: age_codes,
            },
        }
    }

    fn codes(&self, row: u32) -> [u32; 3] {
        let columns = [&self.frequency, &self.recency, &self.age];
        columns.map(|column| column.codes[row as usize])
    }
}

/// Makes segments; remembers the place of each time in the segment being made.
struct SegmentMaker<'a> {
    columns: &'a Columns,
    places: Vec<u16>,
}

impl<'a> SegmentMaker<'a> {
    fn new(columns: &'a Columns) -> Self {
        SegmentMaker {
            columns,
            places: vec![0; columns.age.len()],
        }
    }

    fn make(&mut self, rows: &[Keyed]) -> Segment {
        let mut times: Vec<u32> = rows
            .iter()
            .flat_map(|(codes, _)| [codes[1], codes[2]])
            .collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.dedup();
        // A block has at most 2·BLOCK < 2^16 times.
        for (place, code) in (0u16..).zip(&times) {
            self.places[*code as usize] = place;
        }
        let place = |code: u32| self.places[code as usize];
        let ages = &self.columns.age;
        Segment {
            x: self.columns.frequency.value(rows[0].0[0]),
            times: times.iter().map(|code| ages.value(*code)).collect(),
            codes: rows
                .iter()
                .map(|(c, _)| [place(c[1]), place(c[2])])
                .collect(),
            weights: rows.iter().map(|(_, weight)| *weight).collect(),
        }
    }
}

/// What the rows of a segment share, per time.
struct Table<const N: usize> {
    /// `R = r + x`.
    shape: f64,
    terms: Vec<Term>,
    /// `ln B(t)/B(0)`.
    log_alive: Vec<f64>,
    /// `J(t)` with the moments of the terms' gradients.
    left: Vec<Dense<N>>,
    /// The term of still being there at `t`, less `left`: `1 − J` and its moments.
    stayed: Vec<Dense<N>>,
}

impl<const N: usize> Table<N> {
    fn new(model: &Attrited<N>, segment: &Segment, order: Order) -> Self {
        let shape = model.r + segment.x;
        let times = &segment.times;
        let terms: Vec<Term> = times.iter().map(|time| model.term_at(*time)).collect();
        let alive = |term: &Term| -shape * term.log_rate - model.law.shape * term.log_law;
        let mut table = Table {
            shape,
            log_alive: terms.iter().map(alive).collect(),
            left: vec![Dense::zero(); times.len()],
            stayed: vec![Dense::zero(); times.len()],
            terms,
        };
        table.fill_panels(model, segment, order);
        table.chain(model, segment, order);
        for (index, stayed) in table.stayed.iter_mut().enumerate() {
            model.add_term(&table.terms[index], shape, 1.0, order, stayed);
            add(stayed, -1.0, &table.left[index], order);
        }
        table
    }

    /// `left[j]` becomes the integral from time `j` to the next later one, in units of `B(t_j)`.
    fn fill_panels(&mut self, model: &Attrited<N>, segment: &Segment, order: Order) {
        let mut nodes = Nodes::<CHUNK>::new();
        let mut pending: Vec<(usize, std::ops::Range<usize>, f64)> = Vec::new();
        let powers = model.alive_at(segment.x, 0.0).leaving();
        for (index, pair) in segment.times.windows(2).enumerate() {
            let buyer = model.alive_at(segment.x, pair[1]);
            let integrand = buyer.leaving();
            let front = buyer.leaving_front(&integrand);
            let finished = integrand.plan(pair[0] - pair[1], |panel| {
                pending.push((index + 1, nodes.push(&integrand, panel), front));
                if nodes.is_full() {
                    nodes.evaluate(&powers);
                    self.add_nodes(model, &nodes, &mut pending, order);
                }
            });
            if !finished {
                self.left[index + 1].value = f64::NAN;
            }
        }
        nodes.evaluate(&powers);
        self.add_nodes(model, &nodes, &mut pending, order);
    }

    fn add_nodes(
        &mut self,
        model: &Attrited<N>,
        nodes: &Nodes<CHUNK>,
        pending: &mut Vec<(usize, std::ops::Range<usize>, f64)>,
        order: Order,
    ) {
        for (place, range, front) in pending.drain(..) {
            let before = self.terms[place];
            for index in range {
                let term = before.later(nodes, index);
                let weight = front * nodes.values[index];
                model.add_term(&term, self.shape, weight, order, &mut self.left[place]);
            }
        }
    }

    /// From panels to integrals up to the latest time.
    fn chain(&mut self, model: &Attrited<N>, segment: &Segment, order: Order) {
        for index in 1..segment.times.len() {
            let gap = segment.times[index - 1] - segment.times[index];
            let buyer = model.alive_at(segment.x, segment.times[index]);
            let kept = exp(buyer.ln_silent_and_alive(gap));
            let later = self.left[index - 1];
            add(&mut self.left[index], kept, &later, order);
        }
    }
}

fn add<const N: usize>(sum: &mut Dense<N>, weight: f64, other: &Dense<N>, order: Order) {
    sum.value += weight * other.value;
    if order == Order::Value {
        return;
    }
    for i in 0..N {
        sum.gradient[i] += weight * other.gradient[i];
        if order == Order::Hessian {
            for j in i..N {
                sum.hessian[i][j] += weight * other.hessian[i][j];
            }
        }
    }
}

/// `B(T)/B(t_x)`, the bracket in units of `B(t_x)` and its logarithm, of one chunk.
struct Brackets {
    ratio: [f64; CHUNK],
    value: [f64; CHUNK],
    log: [f64; CHUNK],
}

impl Brackets {
    fn new() -> Self {
        Brackets {
            ratio: [0.0; CHUNK],
            value: [0.0; CHUNK],
            log: [0.0; CHUNK],
        }
    }

    fn fill<const N: usize>(&mut self, table: &Table<N>, codes: &[[u16; 2]]) {
        let count = codes.len();
        for (slot, [last, end]) in self.ratio.iter_mut().zip(codes) {
            let (last, end) = (usize::from(*last), usize::from(*end));
            *slot = table.log_alive[end] - table.log_alive[last];
        }
        slice::exp_in_place(&mut self.ratio[..count]);
        for (index, [last, end]) in codes.iter().enumerate() {
            let (last, end) = (usize::from(*last), usize::from(*end));
            let stayed = self.ratio[index] * table.stayed[end].value;
            self.value[index] = table.left[last].value + stayed;
        }
        slice::ln(&self.value[..count], &mut self.log[..count]);
    }
}

/// Weights of a table's entries, summed over rows.
struct Shares {
    left: Vec<f64>,
    stayed: Vec<f64>,
}

fn add_segment<const N: usize>(
    model: &Attrited<N>,
    segment: &Segment,
    order: Order,
    sum: &mut Dense<N>,
) {
    let table = Table::new(model, segment, order);
    let mut brackets = Brackets::new();
    let mut shares = Shares {
        left: vec![0.0; segment.times.len()],
        stayed: vec![0.0; segment.times.len()],
    };
    let weight: f64 = segment.weights.iter().sum();
    model.add_common(segment.x, weight, order, sum);
    let chunks = segment
        .codes
        .chunks(CHUNK)
        .zip(segment.weights.chunks(CHUNK));
    for (codes, weights) in chunks {
        brackets.fill(&table, codes);
        for (index, ([last, end], weight)) in codes.iter().zip(weights).enumerate() {
            let (last, end) = (usize::from(*last), usize::from(*end));
            sum.value += weight * (table.log_alive[last] + brackets.log[index]);
            if order == Order::Value {
                continue;
            }
            let inverse = 1.0 / brackets.value[index];
            let stays = brackets.ratio[index] * inverse;
            shares.left[last] += weight * inverse;
            shares.stayed[end] += weight * stays;
            let (left, stayed) = (&table.left[last].gradient, &table.stayed[end].gradient);
            let mean: [f64; N] = std::array::from_fn(|i| inverse * left[i] + stays * stayed[i]);
            add_mean(&mean, *weight, order, sum);
        }
    }
    if order == Order::Hessian {
        add_shares(&table, &shares, sum);
    }
}

/// The gradient of one row, and what it takes from the Hessian.
#[inline]
fn add_mean<const N: usize>(mean: &[f64; N], weight: f64, order: Order, sum: &mut Dense<N>) {
    for i in 0..N {
        let weighted = weight * mean[i];
        sum.gradient[i] += weighted;
        if order == Order::Hessian {
            for (slot, other) in sum.hessian[i].iter_mut().zip(mean).skip(i) {
                *slot -= weighted * other;
            }
        }
    }
}

/// The part of the Hessian that is linear in the table.
fn add_shares<const N: usize>(table: &Table<N>, shares: &Shares, sum: &mut Dense<N>) {
    for (index, (left, stayed)) in shares.left.iter().zip(&shares.stayed).enumerate() {
        for i in 0..N {
            for j in i..N {
                let own = left * table.left[index].hessian[i][j];
                sum.hessian[i][j] += own + stayed * table.stayed[index].hessian[i][j];
            }
        }
    }
}

impl<const N: usize> Likelihood for AttritionLikelihood<N> {
    fn dim(&self) -> usize {
        N
    }

    fn block_count(&self) -> usize {
        self.blocks.len()
    }

    fn cost_hint_ns(&self) -> f64 {
        self.cost_ns
    }

    fn weight(&self) -> f64 {
        self.totals.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(segments) = self.blocks.get(block).filter(|_| theta.len() == N) else {
            sum.value = f64::NAN;
            return;
        };
        let model = Attrited::<N>::at(theta);
        let mut own = Dense::zero();
        for segment in segments {
            add_segment(&model, segment, order, &mut own);
        }
        own.add_to(sum);
    }
}

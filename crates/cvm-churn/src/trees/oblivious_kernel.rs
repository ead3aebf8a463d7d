//! Oblivious trees on ranks: each question of a tree is asked of a block of rows at once.
//!
//! A row's answers to the questions of a tree are the bits of its leaf's number. Where every field has
//! at most 254 thresholds and every tree at most 8 levels, ranks and numbers are bytes, of which a
//! vector register holds twice as many as of the 16-bit integers used otherwise. A question about a
//! category is answered once for all trees that ask it. Sums run over the trees in their order.

use super::oblivious::Oblivious;
use super::quantise::Quantiser;
use super::rules::{NodeRule, Rules, Width};
use std::collections::HashMap;

/// Rows walked at once.
const BLOCK_ROWS: usize = 128;
/// Rows whose answers stay in registers.
const LANES: usize = 32;
/// Most views of a model.
const MAX_VIEWS: usize = 8_192;
/// Most thresholds of a field, and levels of a tree, that bytes can hold.
const BYTE_THRESHOLDS: usize = 254;
const BYTE_LEVELS: u8 = 8;

/// A rank, and the number of a leaf, of one width. Ranks are biased, because vector units compare
/// signed integers.
trait Rank: Copy + PartialOrd + Default {
    type Number: Copy + Default + Into<u16> + std::ops::BitOr<Output = Self::Number>;
    fn of(rank: u16) -> Self;
    fn bit(level: usize) -> Self::Number;
}

impl Rank for i8 {
    type Number = u8;
    #[inline(always)]
    fn of(rank: u16) -> i8 {
        // Right of everything is 65535, which becomes 255.
        (rank as u8 ^ 0x80) as i8
    }
    #[inline(always)]
    fn bit(level: usize) -> u8 {
        1 << level
    }
}

impl Rank for i16 {
    type Number = u16;
    #[inline(always)]
    fn of(rank: u16) -> i16 {
        (rank ^ 0x8000) as i16
    }
    #[inline(always)]
    fn bit(level: usize) -> u16 {
        1 << level
    }
}

/// View and rank of each split: bit 1 if the row's rank is above.
#[derive(Debug, Clone)]
enum Splits {
    Bytes(Vec<(u16, i8)>),
    Words(Vec<(u16, i16)>),
}

/// A question about a category: the split that asks it first.
#[derive(Debug, Clone, Copy)]
struct Asked {
    field: u32,
    split: usize,
    view: usize,
}

/// The layout of a model for the fast walk.
#[derive(Debug, Clone)]
pub(crate) struct ObliviousKernel {
    quantiser: Quantiser,
    asked: Vec<Asked>,
    view_count: usize,
    splits: Splits,
    depths: Vec<u8>,
    leaves: Vec<f64>,
    width: usize,
    base: Vec<f64>,
    rules: Rules,
}

impl ObliviousKernel {
    /// The layout; nothing if there are too many views or thresholds.
    pub(crate) fn new(trees: &Oblivious, rules: Rules, base: &[f64]) -> Option<ObliviousKernel> {
        if rules.sum == Width::F32 {
            return None;
        }
        let is_number = |split: &usize| !trees.rules[*split].is_category();
        let numbers: Vec<(usize, NodeRule, f64)> = (0..trees.features.len())
            .filter(is_number)
            .map(|at| {
                let (field, rule, value) = (trees.features[at], trees.rules[at], trees.values[at]);
                (field as usize, rule, value)
            })
            .collect();
        let (quantiser, views) = Quantiser::new(&numbers, rules)?;
        let (asked, by_split) = questions(trees, quantiser.view_count());
        let view_count = quantiser.view_count() + asked.len();
        let mut views = views.iter().map(|own| (own.view as u16, own.rank));
        let placed: Option<Vec<(u16, u16)>> = (0..trees.features.len())
            .map(|split| match by_split.get(&split) {
                // An answer is rank 1 or 0.
                Some(view) => Some((*view as u16, 0)),
                None => views.next(),
            })
            .collect();
        let fits = quantiser.most_thresholds() <= BYTE_THRESHOLDS
            && trees.depths.iter().all(|depth| *depth <= BYTE_LEVELS);
        let placed = placed?;
        let splits = match fits {
            true => Splits::Bytes(placed.iter().map(|(v, r)| (*v, Rank::of(*r))).collect()),
            false => Splits::Words(placed.iter().map(|(v, r)| (*v, Rank::of(*r))).collect()),
        };
        (view_count <= MAX_VIEWS).then(|| ObliviousKernel {
            splits,
            quantiser,
            asked,
            view_count,
            depths: trees.depths.clone(),
            leaves: trees.leaves.clone(),
            width: trees.width,
            base: base.to_vec(),
            rules,
        })
    }

    pub(crate) fn block_rows(&self) -> usize {
        BLOCK_ROWS
    }

    /// Sums of at most [`BLOCK_ROWS`] rows of the trees that this is the layout of.
    pub(crate) fn sum(&self, trees: &Oblivious, values: &[f64], rows: usize, sums: &mut [f64]) {
        match &self.splits {
            Splits::Bytes(splits) if rows == 1 => self.sum_row(trees, splits, values, sums),
            Splits::Words(splits) if rows == 1 => self.sum_row(trees, splits, values, sums),
            Splits::Bytes(splits) => self.sum_block(trees, splits, values, rows, sums),
            Splits::Words(splits) => self.sum_block(trees, splits, values, rows, sums),
        }
    }

    /// Ranks and answers of a block, view after view.
    fn ranks<R: Rank, const B: usize>(
        &self,
        trees: &Oblivious,
        values: &[f64],
        rows: usize,
    ) -> Vec<[R; B]> {
        let mut ranks = vec![[R::default(); B]; self.view_count];
        self.quantiser
            .quantise_columns(values, rows, &mut ranks, R::of);
        for asked in &self.asked {
            let first = asked.field as usize * rows;
            let column = values.get(first..first + rows).unwrap_or(&[]);
            let Some(out) = ranks.get_mut(asked.view) else {
                continue;
            };
            for (x, out) in column.iter().zip(out) {
                *out = R::of(trees.goes_right(asked.split, *x, &self.rules).into());
            }
        }
        ranks
    }

    fn sum_block<R: Rank>(
        &self,
        trees: &Oblivious,
        splits: &[(u16, R)],
        values: &[f64],
        rows: usize,
        sums: &mut [f64],
    ) {
        let ranks = self.ranks::<R, BLOCK_ROWS>(trees, values, rows);
        let mut totals = vec![0.0; BLOCK_ROWS * self.width];
        for row in totals.chunks_exact_mut(self.width) {
            row.copy_from_slice(&self.base);
        }
        let mut numbers = [R::Number::default(); BLOCK_ROWS];
        let (mut splits, mut leaves) = (splits, self.leaves.as_slice());
        for depth in &self.depths {
            let (own, rest) = splits.split_at(usize::from(*depth));
            splits = rest;
            ask(own, &ranks, &mut numbers);
            let (own, rest) = leaves.split_at(self.width << depth);
            leaves = rest;
            add(own, self.width, &numbers, &mut totals);
        }
        sums.copy_from_slice(&totals[..sums.len()]);
    }

    fn sum_row<R: Rank>(
        &self,
        trees: &Oblivious,
        splits: &[(u16, R)],
        values: &[f64],
        sums: &mut [f64],
    ) {
        let ranks = self.ranks::<R, 1>(trees, values, 1);
        sums.copy_from_slice(&self.base);
        let (mut splits, mut leaves) = (splits, self.leaves.as_slice());
        for depth in &self.depths {
            let (own, rest) = splits.split_at(usize::from(*depth));
            splits = rest;
            let mut number = 0;
            for (level, (view, rank)) in own.iter().enumerate() {
                number |= usize::from(ranks[usize::from(*view)][0] > *rank) << level;
            }
            let (own, rest) = leaves.split_at(self.width << depth);
            leaves = rest;
            for (sum, value) in sums.iter_mut().zip(&own[number * self.width..]) {
                *sum += value;
            }
        }
    }
}

/// The distinct questions about categories, their views from `first`, and the view of each split that
/// asks one.
fn questions(trees: &Oblivious, first: usize) -> (Vec<Asked>, HashMap<usize, usize>) {
    let (mut asked, mut by_split, mut known) = (Vec::new(), HashMap::new(), HashMap::new());
    for split in 0..trees.features.len() {
        let (field, rule) = (trees.features[split], trees.rules[split]);
        if !rule.is_category() {
            continue;
        }
        let view = *known
            .entry((field, rule.0, trees.values[split].to_bits()))
            .or_insert_with(|| {
                let view = first + asked.len();
                asked.push(Asked { field, split, view });
                view
            });
        by_split.insert(split, view);
    }
    (asked, by_split)
}

/// Numbers of the leaves of one tree that the rows of a block fall into.
fn ask<R: Rank>(
    splits: &[(u16, R)],
    ranks: &[[R; BLOCK_ROWS]],
    numbers: &mut [R::Number; BLOCK_ROWS],
) {
    let (chunks, _) = numbers.as_chunks_mut::<LANES>();
    for (chunk, numbers) in chunks.iter_mut().enumerate() {
        let mut found = [R::Number::default(); LANES];
        for (level, (view, rank)) in splits.iter().enumerate() {
            let seen = &ranks[usize::from(*view)].as_chunks::<LANES>().0[chunk];
            let bit = R::bit(level);
            for (number, seen) in found.iter_mut().zip(seen) {
                let own = if seen > rank {
                    bit
                } else {
                    R::Number::default()
                };
                *number = *number | own;
            }
        }
        *numbers = found;
    }
}

/// Adds the leaves of one tree.
fn add<N: Copy + Into<u16>>(leaves: &[f64], width: usize, numbers: &[N], totals: &mut [f64]) {
    if width == 1 {
        for (total, number) in totals.iter_mut().zip(numbers) {
            *total += leaves[usize::from((*number).into())];
        }
        return;
    }
    for (totals, number) in totals.chunks_exact_mut(width).zip(numbers) {
        let own = &leaves[usize::from((*number).into()) * width..];
        for (total, value) in totals.iter_mut().zip(own) {
            *total += value;
        }
    }
}

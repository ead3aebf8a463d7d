//! Laying merged BG/NBD and MBG/NBD rows out in blocks.

use super::chances_to_leave;
use crate::merge::{Dictionary, Merged, merge};
use crate::rfm::Rfm;

/// Entries of one block.
const BLOCK: usize = 8192;

/// Merged rows in blocks, and their sums.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) blocks: Vec<Block>,
    pub(super) totals: Totals,
    pub(super) merged_rows: usize,
}

impl Layout {
    /// Merges `rows` (weight 1 each without `weights`).
    pub(super) fn new(rows: &[Rfm], weights: Option<&[f64]>, at_first: bool) -> Self {
        let columns = [
            Dictionary::of_values(rows.iter().map(|row| row.frequency)),
            Dictionary::of_values(rows.iter().map(|row| row.recency)),
            Dictionary::of_values(rows.iter().map(|row| row.age)),
        ];
        let groups: Vec<Group> = merge(&columns.each_ref(), weights)
            .iter()
            .map(|merged| Group::new(&columns, merged))
            .collect();
        let mut blocks = frequency_blocks(&columns[0], &groups);
        blocks.extend(age_blocks(&columns, &groups));
        blocks.extend(row_blocks(&columns, &groups, at_first));
        Layout {
            blocks,
            totals: totals(&columns, &groups),
            merged_rows: groups.len(),
        }
    }
}

/// Weighted sums over all customers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) weight: f64,
    pub(super) frequency: f64,
    pub(super) frequency_squared: f64,
    pub(super) age: f64,
}

#[derive(Debug)]
pub(super) enum Block {
    Frequencies(Vec<FrequencyEntry>),
    Ages(AgeBlock),
    Rows(RowBlock),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct FrequencyEntry {
    pub(super) x: f64,
    pub(super) weight: f64,
}

/// Distinct ages with `W = Σw` and `S = Σwx`.
#[derive(Debug, Default)]
pub(super) struct AgeBlock {
    pub(super) ages: Vec<f64>,
    pub(super) weights: Vec<f64>,
    pub(super) weighted_x: Vec<f64>,
}

/// Distinct rows of those who could have left: indices into the block's own lists.
#[derive(Debug, Default)]
pub(super) struct RowBlock {
    pub(super) x: Vec<f64>,
    pub(super) recencies: Vec<f64>,
    pub(super) ages: Vec<f64>,
    pub(super) codes: Vec<[u16; 3]>,
    pub(super) weights: Vec<f64>,
}

impl Block {
    /// Measured on one core of a small virtual machine; only the order of magnitude matters.
    pub(super) fn cost_ns(&self) -> f64 {
        match self {
            Block::Frequencies(entries) => 200.0 * entries.len() as f64,
            Block::Ages(block) => 10.0 * block.ages.len() as f64,
            Block::Rows(block) => 25.0 * block.codes.len() as f64,
        }
    }
}

/// Identical rows: their codes in the three dictionaries and their weight.
#[derive(Debug, Clone, Copy)]
struct Group {
    codes: [u32; 3],
    weight: f64,
}

impl Group {
    fn new(columns: &[Dictionary; 3], merged: &Merged) -> Self {
        Group {
            codes: columns
                .each_ref()
                .map(|column| column.codes[merged.row as usize]),
            weight: merged.weight,
        }
    }
}

fn totals([frequencies, _, ages]: &[Dictionary; 3], groups: &[Group]) -> Totals {
    let mut totals = Totals::default();
    for Group { codes, weight } in groups {
        let frequency = frequencies.value(codes[0]);
        totals.weight += weight;
        totals.frequency += weight * frequency;
        totals.frequency_squared += weight * frequency * frequency;
        totals.age += weight * ages.value(codes[2]);
    }
    totals
}

fn frequency_blocks(frequencies: &Dictionary, groups: &[Group]) -> Vec<Block> {
    let mut weights = vec![0.0; frequencies.len()];
    for Group { codes, weight } in groups {
        weights[codes[0] as usize] += weight;
    }
    let entry = |(code, weight)| FrequencyEntry {
        x: frequencies.value(code),
        weight,
    };
    let entries: Vec<FrequencyEntry> = (0u32..).zip(weights).map(entry).collect();
    let chunks = entries.chunks(BLOCK);
    chunks
        .map(|chunk| Block::Frequencies(chunk.to_vec()))
        .collect()
}

fn age_blocks([frequencies, _, ages]: &[Dictionary; 3], groups: &[Group]) -> Vec<Block> {
    let mut sums = vec![(0.0, 0.0); ages.len()];
    for Group { codes, weight } in groups {
        let sum = &mut sums[codes[2] as usize];
        sum.0 += weight;
        sum.1 += weight * frequencies.value(codes[0]);
    }
    let coded: Vec<(u32, (f64, f64))> = (0u32..).zip(sums).collect();
    let block = |chunk: &[(u32, (f64, f64))]| {
        Block::Ages(AgeBlock {
            ages: chunk.iter().map(|(code, _)| ages.value(*code)).collect(),
            weights: chunk.iter().map(|(_, sum)| sum.0).collect(),
            weighted_x: chunk.iter().map(|(_, sum)| sum.1).collect(),
        })
    };
    coded.chunks(BLOCK).map(block).collect()
}

/// Blocks over those who could have left: the repeat buyers (groups are in order of `x`, so those
/// without repeats come first), or everyone.
fn row_blocks(columns: &[Dictionary; 3], groups: &[Group], at_first: bool) -> Vec<Block> {
    let may_have_left =
        |group: &Group| chances_to_leave(columns[0].value(group.codes[0]), at_first) > 0.0;
    let first = groups.partition_point(|group| !may_have_left(group));
    let mut lists = columns.each_ref().map(LocalList::new);
    let block = |chunk: &[Group]| {
        let mut codes = Vec::with_capacity(chunk.len());
        for group in chunk {
            let [x, recency, age] = &mut lists;
            codes.push([
                x.local_code(group.codes[0]),
                recency.local_code(group.codes[1]),
                age.local_code(group.codes[2]),
            ]);
        }
        let [x, recencies, ages] = lists.each_mut().map(LocalList::take);
        Block::Rows(RowBlock {
            x,
            recencies,
            ages,
            codes,
            weights: chunk.iter().map(|group| group.weight).collect(),
        })
    };
    groups[first..].chunks(BLOCK).map(block).collect()
}

/// Distinct values of one column inside the block being built.
struct LocalList<'a> {
    column: &'a Dictionary,
    values: Vec<f64>,
    /// Per global code: the block it was last seen in, and its local code there.
    seen: Vec<(u32, u16)>,
    block: u32,
}

impl<'a> LocalList<'a> {
    fn new(column: &'a Dictionary) -> Self {
        LocalList {
            column,
            values: Vec::new(),
            seen: vec![(0, 0); column.len()],
            block: 1,
        }
    }

    fn local_code(&mut self, code: u32) -> u16 {
        let slot = &mut self.seen[code as usize];
        if slot.0 != self.block {
            // A block has at most BLOCK < 2^16 rows.
            *slot = (self.block, self.values.len() as u16);
            self.values.push(self.column.value(code));
        }
        slot.1
    }

    /// Hands over the finished block's values and starts the next block.
    fn take(&mut self) -> Vec<f64> {
        self.block += 1;
        std::mem::take(&mut self.values)
    }
}

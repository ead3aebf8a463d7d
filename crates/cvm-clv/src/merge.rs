//! Merging of identical rows: dictionary codes, one packed key per row, a radix sort, run lengths.
//!
//! Values are told apart by their bits, so only non-negative numbers (whose bits sort as they do)
//! may be merged. The result depends on the rows alone, in their order for fractional weights.

use std::ops::Range;

/// Distinct keys of a column, ascending, and one code per row.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// Distinct keys in ascending order.
    pub(crate) keys: Vec<u64>,
    /// Index into `keys` of each row.
    pub(crate) codes: Vec<u32>,
}

/// Slot of a hash table that holds nothing.
const EMPTY: u32 = u32::MAX;

impl Dictionary {
    /// Codes a column of non-negative numbers by their bits.
    pub(crate) fn of_values(column: impl ExactSizeIterator<Item = f64>) -> Self {
        Dictionary::new(column.map(f64::to_bits))
    }

    /// Codes a column of keys.
    ///
    /// # Panics
    /// With 2^32 - 1 rows or more.
    fn new(column: impl ExactSizeIterator<Item = u64>) -> Self {
        assert!(
            column.len() < EMPTY as usize,
            "at most 4294967294 rows can be merged"
        );
        let mut table = HashTable::with_capacity(1024);
        let mut codes: Vec<u32> = column.map(|key| table.code(key)).collect();
        let mut order: Vec<(u64, u32)> = table.keys.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let mut rank = vec![0u32; order.len()];
        for (place, (_, code)) in (0u32..).zip(&order) {
            rank[*code as usize] = place;
        }
        for code in &mut codes {
            *code = rank[*code as usize];
        }
        let keys = order.into_iter().map(|(key, _)| key).collect();
        Dictionary { keys, codes }
    }

    /// Number of distinct keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The number behind a code.
    pub(crate) fn value(&self, code: u32) -> f64 {
        f64::from_bits(self.keys[code as usize])
    }

    /// Bits that hold any code; at most 32.
    fn code_bits(&self) -> u32 {
        usize::BITS - self.keys.len().saturating_sub(1).leading_zeros()
    }
}

/// Open addressing over 64-bit keys; codes are given in order of first appearance.
struct HashTable {
    slots: Vec<u32>,
    keys: Vec<u64>,
    shift: u32,
}

impl HashTable {
    fn with_capacity(slots: usize) -> Self {
        HashTable {
            slots: vec![EMPTY; slots],
            keys: Vec::new(),
            shift: 64 - slots.trailing_zeros(),
        }
    }

    /// Fibonacci hashing (Knuth, TAOCP 3, 6.4): the high bits of a product with 2^64 / phi.
    #[inline]
    fn home(&self, key: u64) -> usize {
        let folded = key ^ (key >> 32);
        (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    #[inline]
    fn code(&mut self, key: u64) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
        loop {
            let code = self.slots[slot];
            if code == EMPTY {
                return self.insert(key, slot);
            }
            if self.keys[code as usize] == key {
                return code;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn insert(&mut self, key: u64, slot: usize) -> u32 {
        let code = self.keys.len() as u32;
        self.keys.push(key);
        self.slots[slot] = code;
        if self.keys.len() * 2 > self.slots.len() {
            self.grow();
        }
        code
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 2;
        self.slots = vec![EMPTY; slots];
        self.shift -= 1;
        for code in 0..self.keys.len() {
            let mut slot = self.home(self.keys[code]);
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = code as u32;
        }
    }
}

/// A group of identical rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Merged {
    /// First row of the group.
    pub(crate) row: u32,
    /// Sum of the rows' weights.
    pub(crate) weight: f64,
}

/// Groups rows with equal codes in every column, in ascending order of the codes, the first column
/// first. A row weighs 1 without weights; rows of weight zero vanish.
pub(crate) fn merge(columns: &[&Dictionary], weights: Option<&[f64]>) -> Vec<Merged> {
    let (mut keys, key_bits) = pack(columns);
    let row_bits = usize::BITS - keys.len().leading_zeros();
    if key_bits + row_bits <= 64 {
        // Key and row in one word: half the memory to sort.
        for (row, key) in (0u64..).zip(&mut keys) {
            *key = *key << row_bits | row;
        }
        let sorted = radix_sort(keys, row_bits..row_bits + key_bits, |word| *word);
        let row_of = |word: u64| (word & ((1 << row_bits) - 1)) as u32;
        return group(
            sorted.iter().map(|word| (word >> row_bits, row_of(*word))),
            weights,
        );
    }
    let pairs = keys.into_iter().zip(0u32..).collect();
    let sorted = radix_sort(pairs, 0..key_bits, |pair: &(u64, u32)| pair.0);
    group(sorted.into_iter(), weights)
}

/// Sums the weights of neighbours with equal keys.
fn group(sorted: impl Iterator<Item = (u64, u32)>, weights: Option<&[f64]>) -> Vec<Merged> {
    let weight_of = |row: u32| weights.map_or(1.0, |weights| weights[row as usize]);
    let mut merged: Vec<Merged> = Vec::new();
    let mut current = None;
    for (key, row) in sorted {
        let weight = weight_of(row);
        if weight == 0.0 {
            continue;
        }
        match merged.last_mut() {
            Some(last) if current == Some(key) => last.weight += weight,
            _ => merged.push(Merged { row, weight }),
        }
        current = Some(key);
    }
    merged
}

/// One key per row with the codes of all columns side by side, and the bits in use. Where they
/// would not fit into 64 bits, what has been packed so far is coded again, densely.
fn pack(columns: &[&Dictionary]) -> (Vec<u64>, u32) {
    let row_count = columns.first().map_or(0, |column| column.codes.len());
    let (mut keys, mut bits) = (vec![0u64; row_count], 0);
    for column in columns {
        let own_bits = column.code_bits();
        if bits + own_bits > 64 {
            let dense = Dictionary::new(keys.into_iter());
            bits = dense.code_bits();
            keys = dense.codes.into_iter().map(u64::from).collect();
        }
        for (key, code) in keys.iter_mut().zip(&column.codes) {
            *key = *key << own_bits | u64::from(*code);
        }
        bits += own_bits;
    }
    (keys, bits)
}

/// Bits of a key sorted in one pass: 256 write streams stay within the first-level cache.
const DIGIT_BITS: u32 = 8;

/// Stable least-significant-digit radix sort by bits `range` of a key; lower bits must already be
/// in order.
fn radix_sort<T: Copy + Default>(
    mut items: Vec<T>,
    range: Range<u32>,
    key: impl Fn(&T) -> u64,
) -> Vec<T> {
    let mut spare = vec![T::default(); items.len()];
    for shift in range.clone().step_by(DIGIT_BITS as usize) {
        let bits = DIGIT_BITS.min(range.end - shift);
        let digit = |item: &T| ((key(item) >> shift) & ((1 << bits) - 1)) as usize;
        let mut places = [0usize; 1 << DIGIT_BITS];
        for item in &items {
            places[digit(item)] += 1;
        }
        let mut before = 0;
        for place in &mut places {
            let count = std::mem::replace(place, before);
            before += count;
        }
        for item in &items {
            let place = &mut places[digit(item)];
            spare[*place] = *item;
            *place += 1;
        }
        std::mem::swap(&mut items, &mut spare);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::{Dictionary, Merged, merge, pack, radix_sort};
    use crate::random::Random;

    #[test]
    fn a_dictionary_sorts_and_decodes() {
        let column: Vec<f64> = (0..5000u32)
            .map(|i| f64::from(i * 7919 % 3001) / 7.0)
            .collect();
        let dictionary = Dictionary::of_values(column.iter().copied());
        assert_eq!(dictionary.len(), 3001);
        assert!(dictionary.keys.windows(2).all(|pair| pair[0] < pair[1]));
        for (value, code) in column.iter().zip(&dictionary.codes) {
            assert_eq!(dictionary.value(*code), *value);
        }
        assert_eq!(dictionary.code_bits(), 12);
        assert_eq!(Dictionary::new([4].into_iter()).code_bits(), 0);
    }

    #[test]
    fn radix_sort_agrees_with_the_standard_sort() {
        let mut random = Random::new(3);
        for bits in [1u32, 11, 12, 40, 64] {
            let keys = (0..4000u32).map(|row| (random.bits() >> (64 - bits), row));
            let keys: Vec<(u64, u32)> = keys.collect();
            let mut expected = keys.clone();
            expected.sort_unstable();
            assert_eq!(radix_sort(keys, 0..bits, |pair| pair.0), expected);
        }
    }

    #[test]
    fn weights_add_up_and_zero_weights_vanish() {
        let column = Dictionary::of_values([5.0, 1.0, 5.0, 9.0, 1.0, 5.0].into_iter());
        let group = |row, weight| Merged { row, weight };
        let counted = [group(1, 2.0), group(0, 3.0), group(3, 1.0)];
        assert_eq!(merge(&[&column], None), counted);
        let weights = [0.5, 2.0, 0.25, 0.0, 1.0, 0.0];
        let weighted = [group(1, 3.0), group(0, 0.75)];
        assert_eq!(merge(&[&column], Some(&weights)), weighted);
        assert_eq!(merge(&[], None), []);
    }

    #[test]
    fn columns_too_wide_for_one_key_are_coded_again() {
        let mut random = Random::new(9);
        let mut column = || {
            let distinct: Vec<u64> = (0..20_000).map(|_| random.bits()).collect();
            // Every row twice, so that there is something to merge.
            Dictionary::new(
                distinct
                    .iter()
                    .chain(&distinct)
                    .copied()
                    .collect::<Vec<_>>()
                    .into_iter(),
            )
        };
        let columns = [column(), column(), column(), column(), column()];
        let columns: Vec<&Dictionary> = columns.iter().collect();
        let (keys, bits) = pack(&columns);
        assert!(bits <= 64 && keys.len() == 40_000);
        let merged = merge(&columns, None);
        assert_eq!(merged.len(), 20_000);
        assert!(
            merged
                .iter()
                .all(|group| group.weight == 2.0 && group.row < 20_000)
        );
        let first: Vec<u32> = merged
            .iter()
            .map(|g| columns[0].codes[g.row as usize])
            .collect();
        assert!(first.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}

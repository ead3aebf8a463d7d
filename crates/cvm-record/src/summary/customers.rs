//! Customer identifiers to dense codes and back.

use crate::RecordError;
use crate::cell::LARGEST_EXACT;
use crate::pool::TextPool;
use cvm_core::FrameColumn;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// An identifier as it is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CustomerId<'a> {
    Text(&'a str),
    Whole(i128),
}

/// Identifiers seen, numbered in order of first appearance; all text or all whole numbers.
#[derive(Debug, Default)]
pub(super) enum Customers {
    #[default]
    None,
    Text(TextPool),
    Whole(WholePool),
}

impl Customers {
    /// The code of `id`, new if it has not been seen.
    pub(super) fn code(&mut self, id: CustomerId<'_>, column: &str) -> Result<u32, RecordError> {
        match (&mut *self, id) {
            (Customers::Text(pool), CustomerId::Text(text)) => pool.insert(text, column),
            (Customers::Whole(pool), CustomerId::Whole(number)) => pool.insert(number, column),
            (Customers::None, CustomerId::Text(_)) => {
                *self = Customers::Text(TextPool::default());
                self.code(id, column)
            }
            (Customers::None, CustomerId::Whole(_)) => {
                *self = Customers::Whole(WholePool::default());
                self.code(id, column)
            }
            (_, id) => Err(mixed(id, column)),
        }
    }

    /// The identifiers of `codes` as a column: text, or numbers where all of them are exact.
    pub(super) fn column(&self, codes: &[u32]) -> FrameColumn {
        let texts: Vec<String> = match self {
            Customers::None => Vec::new(),
            Customers::Text(pool) => codes
                .iter()
                .map(|&code| pool.get(code).to_owned())
                .collect(),
            Customers::Whole(pool) => {
                if let Some(numbers) = pool.numbers(codes) {
                    return FrameColumn::Numbers(numbers);
                }
                codes
                    .iter()
                    .map(|&code| pool.ids[code as usize].to_string())
                    .collect()
            }
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // pools are limited
        let codes = (0..texts.len() as i32).collect();
        FrameColumn::Text {
            dictionary: texts,
            codes,
        }
    }
}

fn mixed(id: CustomerId<'_>, column: &str) -> RecordError {
    let (value, allowed) = match id {
        CustomerId::Text(text) => (format!("\"{text}\""), "a whole number, as in earlier rows"),
        CustomerId::Whole(number) => (number.to_string(), "text, as in earlier rows"),
    };
    RecordError::BadCell {
        column: column.to_owned(),
        place: "a later part of the log".to_owned(),
        value,
        allowed,
    }
}

/// Distinct whole numbers, numbered in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct WholePool {
    /// 64-bit integers of either sign and whole decimals fit.
    ids: Vec<i128>,
    index: HashTable<Entry>,
    /// Whether any identifier needs more than 64 bits: only then do equal low bits not suffice.
    wide: bool,
    hasher: RandomState,
}

/// Low bits of an identifier beside its code: a look-up touches one place in memory, not two.
#[derive(Debug, Clone, Copy)]
struct Entry {
    low: i64,
    code: u32,
}

/// The low 64 bits, and whether they are the whole identifier.
fn narrow(id: i128) -> (i64, bool) {
    #[allow(clippy::cast_possible_truncation)] // the loss is reported
    let low = id as i64;
    (low, i128::from(low) == id)
}

impl WholePool {
    fn insert(&mut self, id: i128, column: &str) -> Result<u32, RecordError> {
        let hash = self.hasher.hash_one(id);
        let (low, is_whole) = narrow(id);
        let by_low_bits = is_whole && !self.wide;
        let ids = &self.ids;
        let same =
            |entry: &Entry| entry.low == low && (by_low_bits || ids[entry.code as usize] == id);
        if let Some(entry) = self.index.find(hash, same) {
            return Ok(entry.code);
        }
        if self.ids.len() >= TextPool::MAX_LEN {
            return Err(RecordError::TooMany {
                name: column.to_owned(),
                what: "customers",
                limit: TextPool::MAX_LEN as u64,
            });
        }
        #[allow(clippy::cast_possible_truncation)] // below MAX_LEN
        let code = self.ids.len() as u32;
        self.ids.push(id);
        self.wide |= !is_whole;
        let (ids, hasher) = (&self.ids, &self.hasher);
        self.index
            .insert_unique(hash, Entry { low, code }, |entry| {
                hasher.hash_one(ids[entry.code as usize])
            });
        Ok(code)
    }

    #[allow(clippy::cast_precision_loss)] // exact up to 2^53
    fn numbers(&self, codes: &[u32]) -> Option<Vec<f64>> {
        let exact = |id: i128| id.unsigned_abs() <= u128::from(LARGEST_EXACT);
        let number = |&code: &u32| {
            let id = self.ids[code as usize];
            exact(id).then_some(id as f64)
        };
        codes.iter().map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::WholePool;

    #[test]
    fn identifiers_that_share_their_low_bits_stay_apart() {
        let wide = (1_i128 << 64) + 7;
        for ids in [[7, wide, -7], [wide, 7, -7]] {
            let mut pool = WholePool::default();
            for round in 0..2 {
                for (code, id) in (0_u32..).zip(ids) {
                    assert_eq!(
                        pool.insert(id, "id").unwrap(),
                        code,
                        "{id} in round {round}"
                    );
                }
            }
        }
    }
}

//! Distinct strings in one block of memory, numbered in order of first appearance.

use crate::RecordError;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Distinct strings. The hash is seeded per pool, so no input can be made to collide; codes depend
/// only on the order of insertion.
#[derive(Debug, Default)]
pub(crate) struct TextPool {
    text: String,
    /// End of each string in `text`.
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl TextPool {
    /// Most strings a pool holds: codes are `i32` in frames.
    pub(crate) const MAX_LEN: usize = i32::MAX as usize;

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, code: u32) -> &str {
        slice(&self.text, &self.ends, code)
    }

    /// The code of `value`, new if it has not been seen.
    pub(crate) fn insert(&mut self, value: &str, name: &str) -> Result<u32, RecordError> {
        let hash = self.hasher.hash_one(value);
        let (text, ends) = (&self.text, &self.ends);
        if let Some(code) = self
            .index
            .find(hash, |&code| slice(text, ends, code) == value)
        {
            return Ok(*code);
        }
        self.add(hash, value, name)
    }

    fn add(&mut self, hash: u64, value: &str, name: &str) -> Result<u32, RecordError> {
        if self.ends.len() >= Self::MAX_LEN {
            return Err(RecordError::TooMany {
                name: name.to_owned(),
                what: "distinct strings",
                limit: Self::MAX_LEN as u64,
            });
        }
        #[allow(clippy::cast_possible_truncation)] // below MAX_LEN
        let code = self.ends.len() as u32;
        self.text.push_str(value);
        self.ends.push(self.text.len());
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.index
            .insert_unique(hash, code, |&code| hasher.hash_one(slice(text, ends, code)));
        Ok(code)
    }

    /// The strings by code.
    pub(crate) fn to_strings(&self) -> Vec<String> {
        #[allow(clippy::cast_possible_truncation)] // at most MAX_LEN
        (0..self.len() as u32)
            .map(|code| self.get(code).to_owned())
            .collect()
    }
}

fn slice<'a>(text: &'a str, ends: &[usize], code: u32) -> &'a str {
    let code = code as usize;
    let start = if code == 0 { 0 } else { ends[code - 1] };
    &text[start..ends[code]]
}

#[cfg(test)]
mod tests {
    use super::TextPool;

    #[test]
    fn strings_are_numbered_by_first_appearance() {
        let mut pool = TextPool::default();
        let codes: Vec<u32> = ["b", "", "a", "b", ""]
            .iter()
            .map(|text| pool.insert(text, "x").unwrap())
            .collect();
        assert_eq!(codes, [0, 1, 2, 0, 1]);
        assert_eq!(pool.to_strings(), ["b", "", "a"]);
    }

    #[test]
    fn many_strings_survive_growth() {
        let mut pool = TextPool::default();
        for i in 0..100_000_u32 {
            assert_eq!(pool.insert(&i.to_string(), "x").unwrap(), i);
        }
        assert_eq!(pool.insert("77777", "x").unwrap(), 77_777);
        assert_eq!(pool.get(99_999), "99999");
    }
}

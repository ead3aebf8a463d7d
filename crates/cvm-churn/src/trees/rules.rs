//! How a row meets a node: input widths, comparisons, where missing values and categories go.
//!
//! | library      | input            | left if      | missing                                   |
//! |--------------|------------------|--------------|-------------------------------------------|
//! | LightGBM     | f64, tiny is 0   | `x <= t`     | by node: none (NaN reads 0), zero, NaN    |
//! | XGBoost      | cast to f32      | `x < t`      | NaN goes to the node's default child      |
//! | CatBoost     | cast to f32      | `x <= t`     | by field: always left, or always right    |
//! | scikit-learn | f64, or f32 cast | `x <= t`     | NaN goes to the node's default child      |
//!
//! Source: the scoring code of each library, named in `docs/models/trees.md`.

use serde::{Deserialize, Serialize};

/// LightGBM's `kZeroThreshold`: a float constant, compared as a double.
pub(crate) const TINY: f64 = 1e-35_f32 as f64;

/// When a number goes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// `x < threshold`.
    Less,
    /// `x <= threshold`.
    LessOrEqual,
}

/// What happens to a number before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputWidth {
    /// Nothing.
    F64,
    /// Rounded to the nearest 32-bit float.
    F32,
    /// As a double, but up to `1e-35` in size it is 0.
    F64TinyIsZero,
}

/// Which numbers name a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryRule {
    /// Truncated toward zero, so -0.5 is category 0; below 0 and from 2^31 none.
    Truncate,
    /// Truncated, but anything below 0 and from 2^24 is none.
    TruncateNonNegative,
}

/// Width of the sums over trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// 32-bit floats.
    F32,
    /// Doubles.
    F64,
}

/// Arithmetic shared by all nodes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Comparison of numbers.
    pub compare: Compare,
    /// Width of inputs.
    pub input: InputWidth,
    /// Whether an infinite input is scored; if not, its row is refused.
    pub accepts_infinite: bool,
    /// Which numbers name a category.
    pub category: CategoryRule,
    /// Width of sums.
    pub sum: Width,
}

impl Rules {
    /// The number as the library's nodes see it; NaN stays NaN.
    #[inline]
    pub(crate) fn prepare(&self, x: f64) -> f64 {
        match self.input {
            InputWidth::F64 => x,
            InputWidth::F32 => f64::from(x as f32),
            InputWidth::F64TinyIsZero if x.abs() <= TINY => 0.0,
            InputWidth::F64TinyIsZero => x,
        }
    }

    #[inline]
    pub(crate) fn is_left(&self, x: f64, threshold: f64) -> bool {
        match self.compare {
            Compare::Less => x < threshold,
            Compare::LessOrEqual => x <= threshold,
        }
    }

    /// The category a number names, if it names one; not for NaN.
    #[inline]
    pub(crate) fn code(&self, x: f64) -> Option<u32> {
        let legal = match self.category {
            CategoryRule::Truncate => x > -1.0 && x < 2_147_483_648.0,
            CategoryRule::TruncateNonNegative => (0.0..16_777_216.0).contains(&x),
        };
        legal.then_some(x as u32)
    }
}

/// Where a missing value goes at a numeric node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// NaN goes to the default child.
    Nan,
    /// NaN and zero go to the default child.
    ZeroOrNan,
    /// NaN is compared as 0.
    ReadsZero,
}

/// A node's rule in one byte, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeRule(pub(crate) u8);

impl NodeRule {
    const DEFAULT_LEFT: u8 = 1;
    const MISSING_SHIFT: u8 = 1;
    const KIND_MASK: u8 = 0b110;
    const CATEGORY: u8 = 0b110;
    const MEMBERS_RIGHT: u8 = 8;
    pub(crate) const POSITIVE_INFINITY: u8 = 16;
    pub(crate) const NEGATIVE_INFINITY: u8 = 32;
    const LINEAR: u8 = 64;
    const KNOWN: u8 = 127;

    /// The rule of a numeric split.
    #[must_use]
    pub fn number(missing: Missing, default_left: bool) -> NodeRule {
        let kind = match missing {
            Missing::Nan => 0,
            Missing::ZeroOrNan => 1,
            Missing::ReadsZero => 2,
        };
        NodeRule(kind << Self::MISSING_SHIFT | u8::from(default_left))
    }

    /// The rule of a split by a set of categories.
    #[must_use]
    pub fn category(members_right: bool, default_left: bool) -> NodeRule {
        let side = if members_right {
            Self::MEMBERS_RIGHT
        } else {
            0
        };
        NodeRule(Self::CATEGORY | side | u8::from(default_left))
    }

    /// The rule of a leaf that is a linear function.
    #[must_use]
    pub fn linear() -> NodeRule {
        NodeRule(Self::LINEAR)
    }

    pub(crate) fn is_known(self) -> bool {
        self.0 & !Self::KNOWN == 0
    }

    #[inline]
    pub(crate) fn default_left(self) -> bool {
        self.0 & Self::DEFAULT_LEFT != 0
    }

    #[inline]
    pub(crate) fn is_category(self) -> bool {
        self.0 & Self::KIND_MASK == Self::CATEGORY
    }

    #[inline]
    pub(crate) fn members_right(self) -> bool {
        self.0 & Self::MEMBERS_RIGHT != 0
    }

    #[inline]
    pub(crate) fn is_linear(self) -> bool {
        self.0 & Self::LINEAR != 0
    }

    /// Where missing values go; for numeric splits.
    #[inline]
    pub(crate) fn missing(self) -> Missing {
        match (self.0 & Self::KIND_MASK) >> Self::MISSING_SHIFT {
            0 => Missing::Nan,
            1 => Missing::ZeroOrNan,
            _ => Missing::ReadsZero,
        }
    }
}

/// Sets of categories as bits in 32-bit words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CategorySets {
    words: Vec<u32>,
    /// One more than there are sets.
    starts: Vec<u32>,
}

impl CategorySets {
    /// Adds a set given as words; gives its number.
    pub fn push(&mut self, words: &[u32]) -> usize {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.words.extend_from_slice(words);
        self.starts
            .push(u32::try_from(self.words.len()).unwrap_or(u32::MAX));
        self.starts.len() - 2
    }

    /// Adds a set given as members.
    pub fn push_members(&mut self, members: &[u32]) -> usize {
        let last = members.iter().max().copied().unwrap_or(0);
        let mut words = vec![0; last as usize / 32 + 1];
        for member in members {
            words[*member as usize / 32] |= 1 << (member % 32);
        }
        self.push(&words)
    }

    /// Number of sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Words of all sets.
    pub(crate) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Words of set `index`; empty if there is none.
    pub(crate) fn words(&self, index: usize) -> &[u32] {
        let ends = self.starts.get(index).zip(self.starts.get(index + 1));
        ends.and_then(|(start, end)| self.words.get(*start as usize..*end as usize))
            .unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn contains(&self, index: usize, code: u32) -> bool {
        let word = self.words(index).get(code as usize / 32);
        word.is_some_and(|word| word >> (code % 32) & 1 == 1)
    }

    /// Members of set `index`, ascending.
    pub(crate) fn members(&self, index: usize) -> Vec<u32> {
        let words = self.words(index);
        let last = u32::try_from(words.len() * 32).unwrap_or(u32::MAX);
        (0..last)
            .filter(|code| self.contains(index, *code))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{CategoryRule, CategorySets, Compare, InputWidth, Missing, NodeRule, Rules, Width};

    #[test]
    fn rules_fit_into_a_byte_and_come_back() {
        for missing in [Missing::Nan, Missing::ZeroOrNan, Missing::ReadsZero] {
            for left in [false, true] {
                let rule = NodeRule::number(missing, left);
                assert!(!rule.is_category() && rule.is_known());
                assert_eq!((rule.missing(), rule.default_left()), (missing, left));
            }
        }
        let rule = NodeRule::category(true, false);
        assert!(rule.is_category() && rule.members_right() && !rule.default_left());
    }

    #[test]
    fn sets_hold_their_members_at_word_edges() {
        let mut sets = CategorySets::default();
        let first = sets.push_members(&[0, 31, 32, 63, 64]);
        let second = sets.push_members(&[5]);
        assert_eq!(sets.members(first), [0, 31, 32, 63, 64]);
        assert!(sets.contains(second, 5) && !sets.contains(second, 6));
        assert!(!sets.contains(second, 1 << 20) && !sets.contains(9, 5));
    }

    #[test]
    fn numbers_name_categories_as_their_library_says() {
        let mut rules = Rules {
            compare: Compare::LessOrEqual,
            input: InputWidth::F64TinyIsZero,
            accepts_infinite: true,
            category: CategoryRule::Truncate,
            sum: Width::F64,
        };
        assert_eq!(rules.code(-0.5), Some(0));
        assert_eq!(rules.code(2.7), Some(2));
        assert_eq!(rules.code(-1.0), None);
        assert_eq!(rules.code(1e300), None);
        rules.category = CategoryRule::TruncateNonNegative;
        assert_eq!(rules.code(-0.5), None);
        assert_eq!(rules.code(-0.0), Some(0));
        assert_eq!(rules.code(16_777_216.0), None);
        assert_eq!(rules.prepare(-1e-36).to_bits(), 0.0_f64.to_bits());
        assert!(rules.prepare(f64::NAN).is_nan());
    }
}

//! Draws that depend on a seed and a place only: which rows and fields a tree sees, how gradients
//! are rounded.
//!
//! Source: finaliser of SplitMix64 (Steele, Lea & Flood 2014, *OOPSLA*, "Fast splittable
//! pseudorandom number generators"; constants: Stafford's variant 13).

/// 2^64 over the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// 64 bits that look random.
#[inline]
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The key of stream `index` of `seed`.
pub(crate) fn stream(seed: u64, index: u64) -> u64 {
    mix(mix(seed.wrapping_add(GOLDEN)) ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03))
}

/// Draw `place` of a stream.
#[inline]
pub(crate) fn draw(key: u64, place: u64) -> u64 {
    mix(key.wrapping_add(place.wrapping_mul(GOLDEN)))
}

/// Whether a draw falls into the first `share` of all.
#[inline]
pub(crate) fn is_within(draw: u64, share: f64) -> bool {
    ((draw >> 11) as f64) * (1.0 / 9_007_199_254_740_992.0) < share
}

/// `count` of the numbers below `end`, ascending, drawn without replacement.
pub(crate) fn choose(key: u64, end: usize, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..end).collect();
    order.sort_by_key(|place| (draw(key, *place as u64), *place));
    order.truncate(count);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::{choose, draw, is_within, stream};

    #[test]
    fn shares_and_choices_are_as_asked() {
        let key = stream(7, 3);
        let within = (0..100_000)
            .filter(|i| is_within(draw(key, *i), 0.3))
            .count();
        assert!((29_400..30_600).contains(&within), "{within}");
        let chosen = choose(key, 20, 5);
        assert_eq!(chosen.len(), 5);
        assert!(chosen.is_sorted() && chosen.iter().all(|place| *place < 20));
        assert_ne!(chosen, choose(stream(7, 4), 20, 5));
    }
}

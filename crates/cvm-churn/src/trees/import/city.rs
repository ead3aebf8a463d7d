//! CityHash64 of version 1.0, by which CatBoost names categories: later versions differ.
//!
//! Text is read as little-endian words. Up to 16 bytes are mixed at once, up to 32 and up to 64 by
//! schemes of their own; longer text in blocks of 64 bytes, after its last 64.
//!
//! Source: G. Pike & J. Alakuijala, *CityHash* 1.0 (2011), the published algorithm; that CatBoost
//! uses it: `catboost/libs/cat_feature/cat_feature.cpp`.

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K3: u64 = 0xc949_d7c7_509e_6557;
const PAIR: u64 = 0x9ddf_ea08_eb38_2d69;

/// The hash of a text.
pub(super) fn hash(text: &[u8]) -> u64 {
    match text.len() {
        0 => K2,
        1..=3 => of_few(text),
        4..=8 => {
            let (first, last) = (half_word(text, 0), half_word(text, text.len() - 4));
            pair((first << 3).wrapping_add(text.len() as u64), last)
        }
        9..=16 => of_two_words(text),
        17..=32 => of_four_words(text),
        33..=64 => of_eight_words(text),
        _ => of_blocks(text),
    }
}

fn word(text: &[u8], at: usize) -> u64 {
    let bytes = text.get(at..at + 8).and_then(|own| own.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

fn half_word(text: &[u8], at: usize) -> u64 {
    let bytes = text.get(at..at + 4).and_then(|own| own.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default()).into()
}

/// The word `back` bytes before the end.
fn from_end(text: &[u8], back: usize) -> u64 {
    word(text, text.len() - back)
}

fn fold(x: u64) -> u64 {
    x ^ (x >> 47)
}

fn pair(u: u64, v: u64) -> u64 {
    let first = fold((u ^ v).wrapping_mul(PAIR));
    fold((v ^ first).wrapping_mul(PAIR)).wrapping_mul(PAIR)
}

fn of_few(text: &[u8]) -> u64 {
    let size = text.len();
    let byte = |at: usize| u64::from(text[at]);
    let y = byte(0) + (byte(size >> 1) << 8);
    let z = size as u64 + (byte(size - 1) << 2);
    fold(y.wrapping_mul(K2) ^ z.wrapping_mul(K3)).wrapping_mul(K2)
}

fn of_two_words(text: &[u8]) -> u64 {
    let (first, last) = (word(text, 0), from_end(text, 8));
    let size = text.len() as u32;
    let turned = last.wrapping_add(size.into()).rotate_right(size);
    pair(first, turned) ^ last
}

fn of_four_words(text: &[u8]) -> u64 {
    let a = word(text, 0).wrapping_mul(K1);
    let b = word(text, 8);
    let c = from_end(text, 8).wrapping_mul(K2);
    let d = from_end(text, 16).wrapping_mul(K0);
    let u = a.wrapping_sub(b).rotate_right(43);
    let u = u.wrapping_add(c.rotate_right(30)).wrapping_add(d);
    let v = a.wrapping_add((b ^ K3).rotate_right(20));
    pair(u, v.wrapping_sub(c).wrapping_add(text.len() as u64))
}

/// Sum and mix of four words, of which the first is `a` and the last `z`.
fn quarter(a: u64, p: u64, q: u64, z: u64) -> (u64, u64) {
    let turned = a.wrapping_add(z).rotate_right(52);
    let second = a.wrapping_add(p);
    let third = second.wrapping_add(q);
    let mixed = a.rotate_right(37).wrapping_add(second.rotate_right(7));
    let mix = turned
        .wrapping_add(third.rotate_right(31))
        .wrapping_add(mixed);
    (third.wrapping_add(z), mix)
}

fn of_eight_words(text: &[u8]) -> u64 {
    let size = text.len() as u64;
    let start = from_end(text, 16).wrapping_add(size).wrapping_mul(K0);
    let a = word(text, 0).wrapping_add(start);
    let (v0, v1) = quarter(a, word(text, 8), word(text, 16), word(text, 24));
    let a = word(text, 16).wrapping_add(from_end(text, 32));
    let (w0, w1) = quarter(a, from_end(text, 24), from_end(text, 16), from_end(text, 8));
    let left = v0.wrapping_add(w1).wrapping_mul(K2);
    let right = w0.wrapping_add(v1).wrapping_mul(K0);
    let mixed = fold(left.wrapping_add(right));
    fold(mixed.wrapping_mul(K0).wrapping_add(v1)).wrapping_mul(K2)
}

/// Sum and mix of the four words at `at`, seeded.
fn seeded(text: &[u8], at: usize, a: u64, b: u64) -> (u64, u64) {
    let last = word(text, at + 24);
    let a = a.wrapping_add(word(text, at));
    let turned = b.wrapping_add(a).wrapping_add(last).rotate_right(21);
    let sum = a
        .wrapping_add(word(text, at + 8))
        .wrapping_add(word(text, at + 16));
    let mix = turned.wrapping_add(sum.rotate_right(44)).wrapping_add(a);
    (sum.wrapping_add(last), mix)
}

fn of_blocks(text: &[u8]) -> u64 {
    let size = text.len();
    let mut y = from_end(text, 16) ^ K1;
    let mut z = from_end(text, 56) ^ K0;
    let mut v = seeded(text, size - 64, size as u64, y);
    let mut w = seeded(text, size - 32, (size as u64).wrapping_mul(K1), K0);
    z = z.wrapping_add(fold(v.1).wrapping_mul(K1));
    let mut x = z
        .wrapping_add(word(text, 0))
        .rotate_right(39)
        .wrapping_mul(K1);
    y = y.rotate_right(33).wrapping_mul(K1);
    for at in (0..(size - 1) / 64).map(|block| block * 64) {
        let sum = x.wrapping_add(y).wrapping_add(v.0);
        x = sum
            .wrapping_add(word(text, at + 16))
            .rotate_right(37)
            .wrapping_mul(K1);
        let sum = y.wrapping_add(v.1).wrapping_add(word(text, at + 48));
        y = sum.rotate_right(42).wrapping_mul(K1);
        x ^= w.1;
        y ^= v.0;
        z = (z ^ w.0).rotate_right(33);
        v = seeded(text, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = seeded(text, at + 32, z.wrapping_add(w.1), y);
        std::mem::swap(&mut z, &mut x);
    }
    let left = pair(v.0, w.0).wrapping_add(fold(y).wrapping_mul(K1));
    pair(left.wrapping_add(z), pair(v.1, w.1).wrapping_add(x))
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// Low 32 bits of the hashes of `aa…a` by length, from the file of a CatBoost 1.2.10 model with
    /// one-hot levels of these lengths.
    #[test]
    fn lengths_of_every_scheme_hash_as_catboost_does() {
        for (length, expected) in [
            (1, -805_065_478),
            (2, 63_151_013),
            (3, -1_182_242_316),
            (4, 1_324_519_937),
            (5, -422_335_363),
            (7, -852_617_278),
            (8, -193_562_076),
            (9, 106_375_146),
            (12, -1_955_495_491),
            (16, -1_523_747_342),
            (17, -1_853_485_959),
            (24, 1_739_172_889),
            (32, -889_907_642),
            (33, 1_385_852_542),
            (48, -874_292_265),
            (64, 468_734_964),
            (65, 82_943_514),
            (100, -2_006_888_770),
            (128, -825_261_837),
            (129, 1_879_659_387),
            (192, 388_188_788),
            (193, 961_778_209),
        ] {
            let text = "a".repeat(length);
            assert_eq!(hash(text.as_bytes()) as u32 as i32, expected, "{length}");
        }
    }
}

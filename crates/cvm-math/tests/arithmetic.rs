//! No bit of any function changes while [`cvm_math::ARITHMETIC`] stays the same.

use cvm_math::ARITHMETIC;
use cvm_math::quadrature::{gauss_legendre_16, gauss_legendre_32};
use cvm_math::sums::{Sum, pairwise};
use cvm_math::tanh_sinh::{Extent, ln_integral};

/// Hash of the results of each function under one number; a released row is never edited, and is
/// repeated where a number was raised for a change of a model alone.
type Row = (u32, &'static [(&'static str, u64)]);

const PINNED: &[Row] = &[
    (
        1,
        &[
            ("ln", 0xbf68_b2c3_fa6a_7378),
            ("exp", 0xa4f3_1fa5_61c6_c411),
            ("log1p", 0xc640_73a2_9361_b3a1),
            ("expm1", 0x3746_1ba2_bb96_3099),
            ("sigmoid", 0xd779_7de5_db95_ba5e),
            ("softplus", 0x6691_e3b7_4fd0_3039),
            ("ln_gamma", 0x9c8b_b66f_da61_35be),
            ("ln_gamma_sign", 0xd2cc_d09e_2b84_f725),
            ("digamma", 0x26fd_7fbd_668c_93be),
            ("trigamma", 0x34e2_34fd_5803_9173),
            ("pow", 0x79ef_b102_9ed3_ef97),
            ("log_add_exp", 0xa9e0_abbc_7b67_057d),
            ("ln_beta", 0x0e69_3d82_05de_da48),
            ("ln_rising", 0x97aa_730c_5032_e884),
            ("hyp2f1", 0xc8a0_e7fe_f377_537e),
            ("ln_hyp2f1", 0xb9d2_7de5_4142_111e),
            ("sums::Sum", 0xa5b0_6514_a161_1507),
            ("sums::pairwise", 0xd411_e4bd_943e_3a51),
            ("gauss_legendre_16", 0x84ce_98f1_1050_1860),
            ("gauss_legendre_32", 0x55f6_f4cb_11ba_445d),
        ],
    ),
    // An infinite expectation is told as such, no longer as undefined.
    (
        2,
        &[
            ("ln", 0xbf68_b2c3_fa6a_7378),
            ("exp", 0xa4f3_1fa5_61c6_c411),
            ("log1p", 0xc640_73a2_9361_b3a1),
            ("expm1", 0x3746_1ba2_bb96_3099),
            ("sigmoid", 0xd779_7de5_db95_ba5e),
            ("softplus", 0x6691_e3b7_4fd0_3039),
            ("ln_gamma", 0x9c8b_b66f_da61_35be),
            ("ln_gamma_sign", 0xd2cc_d09e_2b84_f725),
            ("digamma", 0x26fd_7fbd_668c_93be),
            ("trigamma", 0x34e2_34fd_5803_9173),
            ("pow", 0x79ef_b102_9ed3_ef97),
            ("log_add_exp", 0xa9e0_abbc_7b67_057d),
            ("ln_beta", 0x0e69_3d82_05de_da48),
            ("ln_rising", 0x97aa_730c_5032_e884),
            ("hyp2f1", 0xc8a0_e7fe_f377_537e),
            ("ln_hyp2f1", 0xb9d2_7de5_4142_111e),
            ("sums::Sum", 0xa5b0_6514_a161_1507),
            ("sums::pairwise", 0xd411_e4bd_943e_3a51),
            ("gauss_legendre_16", 0x84ce_98f1_1050_1860),
            ("gauss_legendre_32", 0x55f6_f4cb_11ba_445d),
        ],
    ),
    // Forecasts of the CNBD-k by sums over stages, and by fixed rules.
    (
        3,
        &[
            ("ln", 0xbf68_b2c3_fa6a_7378),
            ("exp", 0xa4f3_1fa5_61c6_c411),
            ("log1p", 0xc640_73a2_9361_b3a1),
            ("expm1", 0x3746_1ba2_bb96_3099),
            ("sigmoid", 0xd779_7de5_db95_ba5e),
            ("softplus", 0x6691_e3b7_4fd0_3039),
            ("ln_gamma", 0x9c8b_b66f_da61_35be),
            ("ln_gamma_sign", 0xd2cc_d09e_2b84_f725),
            ("digamma", 0x26fd_7fbd_668c_93be),
            ("trigamma", 0x34e2_34fd_5803_9173),
            ("pow", 0x79ef_b102_9ed3_ef97),
            ("log_add_exp", 0xa9e0_abbc_7b67_057d),
            ("ln_beta", 0x0e69_3d82_05de_da48),
            ("ln_rising", 0x97aa_730c_5032_e884),
            ("hyp2f1", 0xc8a0_e7fe_f377_537e),
            ("ln_hyp2f1", 0xb9d2_7de5_4142_111e),
            ("sums::Sum", 0xa5b0_6514_a161_1507),
            ("sums::pairwise", 0xd411_e4bd_943e_3a51),
            ("gauss_legendre_16", 0x84ce_98f1_1050_1860),
            ("gauss_legendre_32", 0x55f6_f4cb_11ba_445d),
        ],
    ),
    // Two sums of a quadrature must agree in their first moments too; sums of the CNBD-k that left the
    // doubles; the series of the Pareto/NBD in eight chains.
    (
        4,
        &[
            ("ln", 0xbf68_b2c3_fa6a_7378),
            ("exp", 0xa4f3_1fa5_61c6_c411),
            ("log1p", 0xc640_73a2_9361_b3a1),
            ("expm1", 0x3746_1ba2_bb96_3099),
            ("sigmoid", 0xd779_7de5_db95_ba5e),
            ("softplus", 0x6691_e3b7_4fd0_3039),
            ("ln_gamma", 0x9c8b_b66f_da61_35be),
            ("ln_gamma_sign", 0xd2cc_d09e_2b84_f725),
            ("digamma", 0x26fd_7fbd_668c_93be),
            ("trigamma", 0x34e2_34fd_5803_9173),
            ("pow", 0x79ef_b102_9ed3_ef97),
            ("log_add_exp", 0xa9e0_abbc_7b67_057d),
            ("ln_beta", 0x0e69_3d82_05de_da48),
            ("ln_rising", 0x97aa_730c_5032_e884),
            ("hyp2f1", 0xc8a0_e7fe_f377_537e),
            ("ln_hyp2f1", 0xb9d2_7de5_4142_111e),
            ("sums::Sum", 0xa5b0_6514_a161_1507),
            ("sums::pairwise", 0xd411_e4bd_943e_3a51),
            ("gauss_legendre_16", 0x84ce_98f1_1050_1860),
            ("gauss_legendre_32", 0x55f6_f4cb_11ba_445d),
            ("polynomials", 0x3b94_c982_b888_c55f),
            ("tanh_sinh", 0x5e38_2d2f_c1c8_7b8e),
        ],
    ),
];

/// Numbers that are the same for ever: an integer recurrence, and exact operations on its bits.
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }

    /// From `low` to below `high`.
    fn within(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0;
        low + (high - low) * unit
    }

    /// Any double, often one near the places where functions bend.
    fn any(&mut self) -> f64 {
        match self.bits() >> 61 {
            0 => f64::from_bits(self.bits()),
            1 => self.within(-800.0, 800.0),
            2 => 1.0 + self.within(-1e-3, 1e-3),
            3 => self.within(0.0, 1e-8),
            4 => self.within(0.0, 1e5),
            5 => self.within(-3.0, 0.0),
            _ => self.within(0.0, 13.0),
        }
    }

    fn many(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.any()).collect()
    }
}

/// FNV-1a over the bits of the values.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, value: f64) {
        for byte in value.to_bits().to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn of(values: impl IntoIterator<Item = f64>) -> u64 {
        let mut hash = Hash::new();
        values.into_iter().for_each(|value| hash.add(value));
        hash.0
    }
}

const ARGUMENTS: usize = 20_000;

fn unary() -> Vec<(&'static str, u64)> {
    type Function = fn(f64) -> f64;
    let functions: [(&str, Function); 10] = [
        ("ln", cvm_math::ln),
        ("exp", cvm_math::exp),
        ("log1p", cvm_math::log1p),
        ("expm1", cvm_math::expm1),
        ("sigmoid", cvm_math::sigmoid),
        ("softplus", cvm_math::softplus),
        ("ln_gamma", cvm_math::ln_gamma),
        ("ln_gamma_sign", |x| cvm_math::ln_gamma_sign(x).1),
        ("digamma", cvm_math::digamma),
        ("trigamma", cvm_math::trigamma),
    ];
    let x = Numbers(1).many(ARGUMENTS);
    let hash = |(name, f): (_, Function)| (name, Hash::of(x.iter().map(|x| f(*x))));
    functions.into_iter().map(hash).collect()
}

fn binary() -> Vec<(&'static str, u64)> {
    type Function = fn(f64, f64) -> f64;
    let functions: [(&str, Function); 4] = [
        ("pow", cvm_math::pow),
        ("log_add_exp", cvm_math::log_add_exp),
        ("ln_beta", |a, b| cvm_math::ln_beta(a.abs(), b.abs())),
        ("ln_rising", |a, d| cvm_math::ln_rising(a.abs(), d.abs())),
    ];
    let (x, y) = (Numbers(2).many(ARGUMENTS), Numbers(3).many(ARGUMENTS));
    let hash = |(name, f): (_, Function)| {
        let pairs = x.iter().zip(&y);
        (name, Hash::of(pairs.map(|(x, y)| f(*x, *y))))
    };
    functions.into_iter().map(hash).collect()
}

fn hypergeometric() -> Vec<(&'static str, u64)> {
    let mut numbers = Numbers(4);
    let (mut plain, mut log) = (Hash::new(), Hash::new());
    for index in 0..2_000 {
        let (a, b) = (numbers.within(0.0, 30.0), numbers.within(0.0, 30.0));
        let c = numbers.within(0.1, 60.0);
        let z = match index % 4 {
            0 => numbers.within(-20.0, 0.0),
            1 => 1.0 - numbers.within(0.0, 1e-6),
            _ => numbers.within(0.0, 1.0),
        };
        plain.add(cvm_math::hyp2f1(a, b, c, z));
        let (size, sign) = cvm_math::ln_hyp2f1(a, b, c, z, 1.0 - z);
        log.add(size);
        log.add(sign);
    }
    vec![("hyp2f1", plain.0), ("ln_hyp2f1", log.0)]
}

fn sums() -> Vec<(&'static str, u64)> {
    let mut numbers = Numbers(5);
    let x: Vec<f64> = (0..ARGUMENTS).map(|_| numbers.within(-1e3, 1e3)).collect();
    let lengths = || (0..ARGUMENTS).step_by(997);
    let compensated = lengths().map(|n| x[..n].iter().copied().collect::<Sum>().value());
    let in_pairs = lengths().map(|n| pairwise(&x[..n]));
    let integrand = |x: f64| cvm_math::exp(-x * x) / (1.0 + x * x);
    let ends = || {
        x.chunks_exact(2)
            .map(|pair| (pair[0] / 100.0, pair[1] / 100.0))
    };
    let by_16 = ends().map(|(low, high)| gauss_legendre_16(integrand, low, high));
    let by_32 = ends().map(|(low, high)| gauss_legendre_32(integrand, low, high));
    vec![
        ("sums::Sum", Hash::of(compensated)),
        ("sums::pairwise", Hash::of(in_pairs)),
        ("gauss_legendre_16", Hash::of(by_16)),
        ("gauss_legendre_32", Hash::of(by_32)),
        ("polynomials", Hash::of(polynomials(&mut numbers))),
        ("tanh_sinh", Hash::of(integrals(&mut numbers))),
    ]
}

/// Of tables of all lengths.
fn polynomials(numbers: &mut Numbers) -> Vec<f64> {
    let tables: Vec<Vec<f64>> = (0..200)
        .map(|index| {
            (0..8 * (index % 33))
                .map(|_| numbers.within(0.0, 1.0))
                .collect()
        })
        .collect();
    let tables: Vec<&[f64]> = tables.iter().map(Vec::as_slice).collect();
    let z: Vec<f64> = tables.iter().map(|_| numbers.within(-1.0, 1.0)).collect();
    let mut out = vec![0.0; z.len()];
    cvm_math::polynomial::polynomials(&tables, &z, &mut out);
    out
}

/// `∫ u^(p−1) (1−u)^(q−1) du` with all the halvings that it takes.
fn integrals(numbers: &mut Numbers) -> Vec<f64> {
    let extent = Extent {
        left: 380.0,
        right: 380.0,
        density: 2.0,
        most_nodes: 4096,
    };
    let one = |_| {
        let (p, q) = (numbers.within(0.1, 90.0), numbers.within(0.1, 90.0));
        ln_integral(extent, |at| (p - 1.0) * at.ln_u + (q - 1.0) * at.ln_rest)
    };
    (0..200).map(one).collect()
}

fn found() -> Vec<(&'static str, u64)> {
    [unary(), binary(), hypergeometric(), sums()].concat()
}

#[test]
fn a_change_of_any_bit_raises_the_number() {
    let found = found();
    let rows = found.iter();
    let rows: String = rows
        .map(|(name, hash)| format!("(\"{name}\", {hash:#018x}),\n"))
        .collect();
    let pinned = PINNED.iter().find(|(number, _)| *number == ARITHMETIC);
    let (_, pinned) = pinned.unwrap_or_else(|| {
        panic!("ARITHMETIC is {ARITHMETIC} and has no row in PINNED; this build's:\n{rows}")
    });
    let changed: Vec<&str> = found
        .iter()
        .filter(|entry| !pinned.contains(entry))
        .map(|(name, _)| *name)
        .collect();
    assert!(
        changed.is_empty() && pinned.len() == found.len(),
        "bits of {changed:?} changed while cvm_math::ARITHMETIC is still {ARITHMETIC}: raise it by \
         one and add a row to PINNED, or model files written before will be refused; this build's:\n{rows}"
    );
}

#[test]
fn every_number_up_to_this_build_s_has_its_row() {
    let numbers: Vec<u32> = PINNED.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=ARITHMETIC).collect::<Vec<u32>>());
}

/// The hash sees one bit of one result.
#[test]
fn one_bit_of_one_result_shows() {
    let mut values = Numbers(1).many(ARGUMENTS);
    let before = Hash::of(values.iter().copied());
    let last = values.len() - 1;
    values[last] = f64::from_bits(values[last].to_bits() ^ 1);
    assert_ne!(Hash::of(values), before);
}

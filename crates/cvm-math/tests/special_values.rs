//! What the functions return at zeros, infinities, poles and NaN, as their documentation says.

use cvm_math::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// A function with arguments and the values wanted.
type Cases<'a> = (fn(f64) -> f64, &'a [(f64, f64)]);

/// Bit equality: tells zeros apart, and holds NaN to the one NaN of the crate.
#[track_caller]
fn same(got: f64, want: f64) {
    assert_eq!(got.to_bits(), want.to_bits(), "{got} for {want}");
}

#[test]
fn elementary_of_one_argument() {
    #[rustfmt::skip]
    let cases: [Cases<'_>; 6] = [
        (ln, &[(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN),
            (-5e-324, NAN), (-INF, NAN), (-NAN, NAN)]),
        (exp, &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (709.79, INF),
            (-745.14, 0.0), (1e308, INF), (-1e308, 0.0), (-NAN, NAN)]),
        (log1p, &[(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-1.1, NAN),
            (-INF, NAN), (5e-324, 5e-324), (-5e-324, -5e-324), (-NAN, NAN)]),
        (expm1, &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (-1e3, -1.0),
            (5e-324, 5e-324), (709.79, INF), (711.0, INF), (1e300, INF), (-NAN, NAN)]),
        (sigmoid, &[(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (-1e300, 0.0),
            (1e300, 1.0), (-NAN, NAN)]),
        (softplus, &[(INF, INF), (-INF, 0.0), (1e300, 1e300), (-800.0, 0.0), (-NAN, NAN)]),
    ];
    for (f, values) in cases {
        values.iter().for_each(|&(x, want)| same(f(x), want));
    }
}

#[test]
fn powers_of_ieee_754() {
    #[rustfmt::skip]
    let cases = [
        (NAN, 0.0, 1.0), (NAN, -0.0, 1.0), (1.0, NAN, 1.0), (1.0, INF, 1.0),
        (NAN, 1.0, NAN), (2.0, NAN, NAN), (-1.0, INF, 1.0), (-1.0, -INF, 1.0),
        (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 2.5, 0.0),
        (0.0, -3.0, INF), (-0.0, -3.0, -INF), (-0.0, -2.0, INF), (0.0, INF, 0.0),
        (0.0, -INF, INF), (0.0, 5e-324, 0.0), (2.0, INF, INF), (2.0, -INF, 0.0),
        (0.5, INF, 0.0), (0.5, -INF, INF), (-2.0, INF, INF), (-0.5, INF, 0.0),
        (INF, 2.0, INF), (INF, -2.0, 0.0), (INF, 1e-300, INF), (-INF, 3.0, -INF),
        (-INF, 2.0, INF), (-INF, 0.5, INF), (-INF, -3.0, -0.0), (-INF, -2.0, 0.0),
        (-2.0, 3.0, -8.0), (-2.0, 2.0, 4.0), (-2.0, 0.5, NAN), (-5e-324, 0.5, NAN),
        (-1.0, 9_007_199_254_740_991.0, -1.0), (-1.0, 9_007_199_254_740_992.0, 1.0),
        (-1.0, 4_503_599_627_370_497.0, -1.0), (-1.0, 4_503_599_627_370_496.5, 1.0),
        (-1.0, 2_251_799_813_685_248.5, NAN), (-1.0, 1e300, 1.0),
        (2.0, 1023.0, 8.98846567431158e307), (2.0, 1024.0, INF), (-2.0, 1025.0, -INF),
        (2.0, -1074.0, 5e-324), (2.0, -1076.0, 0.0), (10.0, 2.0, 100.0), (4.0, 0.5, 2.0),
        (1.5, 1.0, 1.5), (3.0, -1.0, 1.0 / 3.0),
    ];
    cases.iter().for_each(|&(x, y, want)| same(pow(x, y), want));
}

#[test]
fn log_add_exp_with_absent_and_infinite_terms() {
    #[rustfmt::skip]
    let cases = [
        (-INF, -INF, -INF), (-INF, 2.0, 2.0), (2.0, -INF, 2.0), (INF, -INF, INF),
        (INF, INF, INF), (INF, 3.0, INF), (NAN, 1.0, NAN), (1.0, NAN, NAN), (NAN, INF, NAN),
        (INF, NAN, NAN), (1e308, -1e308, 1e308), (f64::MAX, f64::MIN, f64::MAX),
    ];
    cases
        .iter()
        .for_each(|&(x, y, want)| same(log_add_exp(x, y), want));
}

#[test]
fn gamma_family() {
    #[rustfmt::skip]
    let cases: [Cases<'_>; 3] = [
        (ln_gamma, &[(1.0, 0.0), (2.0, 0.0), (0.0, INF), (-0.0, INF), (-1.0, INF),
            (-7.0, INF), (INF, INF), (-INF, INF), (1e306, INF), (f64::MAX, INF),
            (-NAN, NAN), (-1e17, INF)]),
        (digamma, &[(0.0, -INF), (-0.0, INF), (-1.0, NAN), (-1e17, NAN), (INF, INF),
            (-INF, NAN), (-NAN, NAN), (1e-310, -INF)]),
        (trigamma, &[(0.0, INF), (-0.0, INF), (-1.0, INF), (INF, 0.0), (-INF, NAN),
            (-NAN, NAN), (1e-160, INF)]),
    ];
    for (f, values) in cases {
        values.iter().for_each(|&(x, want)| same(f(x), want));
    }
}

#[test]
fn signs_of_gamma() {
    for (x, sign) in [
        (0.5, 1.0),
        (-0.5, -1.0),
        (-1.5, 1.0),
        (-2.5, -1.0),
        (-5e-324, -1.0),
        (-3.0, 1.0),
        (0.0, 1.0),
    ] {
        assert_eq!(ln_gamma_sign(x).1, sign, "{x}");
    }
}

#[test]
fn beta_at_its_borders() {
    #[rustfmt::skip]
    let cases = [
        (0.0, 1.0, INF), (1.0, 0.0, INF), (0.0, 0.0, INF), (INF, 1.0, -INF),
        (0.0, INF, NAN), (-1.0, 2.0, NAN), (NAN, 1.0, NAN), (1.0, NAN, NAN),
        (1.0, 1.0, 0.0),
    ];
    cases
        .iter()
        .for_each(|&(a, b, want)| same(ln_beta(a, b), want));
    assert!(ln_beta(f64::MAX, f64::MAX) < -1e308);
}

#[test]
fn rising_factorials() {
    same(ln_rising(2.5, 0.0), 0.0);
    same(ln_rising(0.0, 1.0), NAN);
    same(ln_rising(1.0, -1.0), NAN);
    same(ln_rising(1.0, INF), INF);
    same(ln_rising(INF, 1.0), NAN);
    let product: f64 = (0..10).map(|i| ln(0.3 + f64::from(i))).sum();
    assert!((ln_rising(0.3, 10.0) - product).abs() < 4e-15);
    // ln Γ(a+d) - ln Γ(a) → d ln a: of three ln Γ nothing would be left.
    assert!((ln_rising(1e15, 1e-3) - 1e-3 * ln(1e15)).abs() < 1e-17);
}

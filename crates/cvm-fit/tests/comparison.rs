//! Likelihood-ratio tests, information criteria and normal quantiles: published values, deep tails.

mod common;

use common::close;
use cvm_fit::{
    FitError, Reference, aic, bic, chi_square_tail, likelihood_ratio, likelihood_ratio_against,
    normal_quantile,
};
use proptest::prelude::*;

#[test]
fn likelihood_ratios_have_the_chi_square_tail() {
    // 2 · 1.920729 = χ²_1 at 0.95.
    let test = likelihood_ratio(-102.920_729_410_347_06, 2, -101.0, 3).unwrap();
    close(test.statistic, 3.841_458_820_694_124, 1e-12);
    close(test.p_value, 0.05, 1e-12);
    close(test.ln_p_value, cvm_math::ln(0.05), 1e-12);
    assert_eq!(test.df, 1);
    // Two degrees of freedom: e^(−x/2).
    let deep = likelihood_ratio(-800.0, 1, -110.0, 3).unwrap();
    close(deep.p_value, cvm_math::exp(-690.0), 1e-12);
    let deeper = likelihood_ratio(-80_000.0, 1, -110.0, 3).unwrap();
    assert_eq!(deeper.p_value, 0.0);
    close(deeper.ln_p_value, -79_890.0, 1e-14);
    let equal = likelihood_ratio(-5.0, 1, -5.0, 2).unwrap();
    assert_eq!((equal.p_value, equal.ln_p_value), (1.0, 0.0));
}

#[test]
fn at_a_boundary_the_tail_is_halved() {
    // ½ χ²_0 + ½ χ²_1: the 5 % point is χ²_1 at 0.90, 2.705543 (mpmath).
    let against = |statistic: f64, df: usize| {
        let full = 10.0 + 0.5 * statistic;
        likelihood_ratio_against(Reference::OneOnBoundary, 10.0, 1, full, 1 + df).unwrap()
    };
    close(against(2.705_543_454_095_414_6, 1).p_value, 0.05, 1e-12);
    let two = against(5.0, 2);
    close(
        two.p_value,
        0.5 * (chi_square_tail(5.0, 1) + cvm_math::exp(-2.5)),
        1e-13,
    );
    close(cvm_math::exp(two.ln_p_value), two.p_value, 1e-13);
    assert_eq!(against(0.0, 1).p_value, 1.0);
}

#[test]
fn impossible_comparisons_are_refused() {
    let told = |a, b, c, d| likelihood_ratio(a, b, c, d).unwrap_err().to_string();
    assert!(told(-5.0, 2, -4.0, 2).starts_with("full_dim is 2"));
    assert!(told(-5.0, 2, -6.0, 3).starts_with("full_ll is -6"));
    assert!(told(f64::NAN, 2, -6.0, 3).starts_with("nested_ll is NaN"));
    // Rounding is no contradiction.
    assert!(likelihood_ratio(-1000.0, 2, -1000.0 - 1e-8, 3).is_ok());
    let infinite = likelihood_ratio(f64::NEG_INFINITY, 1, 0.0, 2);
    assert!(matches!(infinite, Err(FitError::Invalid { .. })));
}

#[test]
fn criteria_by_hand() {
    close(aic(-100.0, 4), 208.0, 1e-15);
    close(
        bic(-100.0, 4, 1000.0),
        200.0 + 4.0 * 6.907_755_278_982_137,
        1e-15,
    );
}

/// Abramowitz & Stegun (1964), table 26.5, and mpmath for the far tails.
#[test]
fn normal_quantiles() {
    close(normal_quantile(0.975), 1.959_963_984_540_054, 1e-14);
    close(normal_quantile(0.995), 2.575_829_303_548_901, 1e-14);
    close(normal_quantile(0.75), 0.674_489_750_196_081_7, 1e-14);
    close(normal_quantile(1e-20), -9.262_340_089_798_408, 1e-14);
    close(normal_quantile(1e-300), -37.047_096_299_361_2, 1e-13);
    assert_eq!(normal_quantile(0.5), 0.0);
    assert_eq!(normal_quantile(1.0), f64::INFINITY);
    assert!(normal_quantile(1.5).is_nan() && normal_quantile(f64::NAN).is_nan());
}

proptest! {
    #[test]
    fn the_quantile_inverts_the_tail(ln_p in -650.0..-0.694f64) {
        let p = cvm_math::exp(ln_p);
        let z = normal_quantile(p);
        // Φ(z) = ½ Q(½, z²/2) for z < 0.
        let back = 0.5 * chi_square_tail(z * z, 1);
        prop_assert!((back / p - 1.0).abs() < 3e-12, "{} {}", p, back);
    }

    #[test]
    fn more_evidence_means_a_smaller_tail(x in 0.01..900.0f64, more in 0.001..100.0f64, df in 1..40usize) {
        let (near, far) = (chi_square_tail(x, df), chi_square_tail(x + more, df));
        prop_assert!(far < near || near == 1.0 || far == 0.0);
        prop_assert!(chi_square_tail(x, df + 1) >= near);
    }
}

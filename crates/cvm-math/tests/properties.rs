//! Identities and monotonicity on random arguments, most of all around the kernels' breakpoints.

use cvm_math::*;
use proptest::prelude::*;

/// The double `n` steps above `x > 0` (below for negative `n`).
fn steps_from(x: f64, n: i64) -> f64 {
    f64::from_bits(x.to_bits().wrapping_add_signed(n))
}

/// Whether two numbers agree to a relative tolerance.
fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-300)
}

/// Reduction and region borders of the kernels.
fn breakpoint() -> impl Strategy<Value = f64> {
    let halves: Vec<f64> = (1..20).map(|k| f64::from(k) / 2.0).collect();
    let roots = [
        0.5f64.sqrt(),
        2f64.sqrt(),
        2.0 * 2f64.sqrt(),
        1e-300,
        f64::MIN_POSITIVE,
    ];
    let ln2 = (-60..60)
        .map(|k| (f64::from(k) + 0.5) * std::f64::consts::LN_2)
        .filter(|x| *x > 0.0);
    prop::sample::select(
        halves
            .into_iter()
            .chain(roots)
            .chain(ln2)
            .collect::<Vec<_>>(),
    )
}

/// What 2F1 promises: the estimated error up to which a sum in doubles is taken.
const HYPERGEOMETRIC_ERROR: f64 = 4e-13;

/// Twenty times as many cases in the slow suite.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("CVM_SLOW").is_some() {
        20 * usual
    } else {
        usual
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(2000), max_global_rejects: 1_000_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn increasing_functions_do_not_step_back(x in breakpoint(), n in -30i64..30) {
        // A gap of 8 ulp of the argument: more than the promised errors where the slope allows.
        let (low, high) = (steps_from(x, n), steps_from(x, n + 8));
        prop_assert!(exp(low) <= exp(high) && exp(-high) <= exp(-low));
        prop_assert!(ln(low) <= ln(high));
        prop_assert!(log1p(low) <= log1p(high));
        prop_assert!(expm1(low) <= expm1(high) && expm1(-high) <= expm1(-low));
        prop_assert!(sigmoid(-high) <= sigmoid(-low));
        prop_assert!(softplus(low) <= softplus(high));
    }

    #[test]
    fn logarithms_invert_exponentials(x in -700.0..700.0f64) {
        prop_assert!((ln(exp(x)) - x).abs() <= 1.2e-16 * x.abs() + 1.2e-16);
    }

    #[test]
    fn log1p_inverts_expm1(size in -40.0..3.0f64, negative: bool) {
        let x = if negative { -exp(size) } else { exp(size) };
        // An ulp of u = e^x - 1 changes log1p(u) by ulp(u)/(1+u) = ulp(u) e^-x.
        let u = expm1(x);
        let tolerance = 2.3e-16 * (u.abs() * exp(-x) + x.abs());
        prop_assert!((log1p(u) - x).abs() <= tolerance, "{} {}", log1p(u), x);
    }

    #[test]
    fn powers_add_exponents(x in 0.01..100.0f64, y in -40.0..40.0f64) {
        prop_assert!(close(pow(x, y) * pow(x, -y), 1.0, 5e-16));
        prop_assert!(close(pow(x, 2.0), x * x, 3e-16));
        prop_assert!(close(pow(x, 0.5), x.sqrt(), 3e-16));
    }

    #[test]
    fn logistic_functions_agree(x in -600.0..600.0f64) {
        prop_assert!(close(sigmoid(x) + sigmoid(-x), 1.0, 2.3e-16));
        prop_assert!(close(sigmoid(x), exp(-softplus(-x)), 2e-16 * (2.0 + x.abs())));
        prop_assert!(close(softplus(x), log_add_exp(0.0, x), 0.0));
    }

    #[test]
    fn log_add_exp_is_symmetric_and_shifts(x in -500.0..500.0f64, y in -500.0..500.0f64) {
        prop_assert_eq!(log_add_exp(x, y).to_bits(), log_add_exp(y, x).to_bits());
        prop_assert!((log_add_exp(x + 64.0, y + 64.0) - 64.0 - log_add_exp(x, y)).abs() < 2.5e-13);
    }

    #[test]
    fn gamma_recurrences(size in -8.0..12.0f64) {
        let x = exp(size);
        prop_assume!(x + 1.0 - 1.0 == x || x > 0.01);
        let scale = ln_gamma(x).abs().max(ln_gamma(x + 1.0).abs()).max(1.0);
        prop_assert!((ln_gamma(x + 1.0) - ln_gamma(x) - ln(x)).abs() <= 4e-15 * scale);
        prop_assert!((digamma(x + 1.0) - digamma(x) - 1.0 / x).abs() <= 4e-15 * (1.0 + 1.0 / x));
        prop_assert!((trigamma(x) - trigamma(x + 1.0) - 1.0 / (x * x)).abs() <= 4e-15 * trigamma(x));
    }

    #[test]
    fn beta_recurrence(a in -5.0..10.0f64, b in -5.0..10.0f64) {
        let (a, b) = (exp(a), exp(b));
        prop_assert_eq!(ln_beta(a, b).to_bits(), ln_beta(b, a).to_bits());
        // B(a+1, b) = B(a, b) a/(a+b)
        let difference = ln_beta(a + 1.0, b) - ln_beta(a, b) - (ln(a) - ln(a + b));
        let a_rounding = 1e-16 * (1.0 + a) * (digamma(a + 1.0) - digamma(a + 1.0 + b)).abs();
        prop_assert!(difference.abs() <= 4e-15 * ln_beta(a, b).abs().max(1.0) + 2.0 * a_rounding);
    }

    #[test]
    fn hypergeometric_of_known_form(b in 0.05..30.0f64, c in 0.05..30.0f64, z in -5.0..0.999f64) {
        // F(b, c; c; z) = (1-z)^-b
        prop_assert!(close(hyp2f1(b, c, c, z), pow(1.0 - z, -b), HYPERGEOMETRIC_ERROR));
        // F(1, 1; 2; z) = -ln(1-z)/z
        if z.abs() > 1e-3 {
            prop_assert!(close(hyp2f1(1.0, 1.0, 2.0, z), -log1p(-z) / z, HYPERGEOMETRIC_ERROR));
        }
    }

    #[test]
    fn hypergeometric_contiguous_relation(
        a in 0.1..20.0f64, b in 0.1..20.0f64, c in 0.1..20.0f64, z in 0.01..0.99f64
    ) {
        // (c-a) F(a-1) + (2a - c + (b-a) z) F + a (z-1) F(a+1) = 0: A&S 15.2.10
        let a = a + 1.0;
        let terms = [
            (c - a) * hyp2f1(a - 1.0, b, c, z),
            (2.0 * a - c + (b - a) * z) * hyp2f1(a, b, c, z),
            a * (z - 1.0) * hyp2f1(a + 1.0, b, c, z),
        ];
        let size: f64 = terms.iter().map(|t| t.abs()).sum();
        prop_assert!(terms.iter().sum::<f64>().abs() <= HYPERGEOMETRIC_ERROR * size);
    }
}

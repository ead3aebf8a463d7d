//! BG/CNBD-k and MBG/CNBD-k: known fits, special cases, derivatives, simulation.

mod common;

use common::{cdnow_exact, check_derivatives, close, evaluate, newton};
use cvm_clv::{
    BgCnbdK, BgNbd, CnbdK, Formulas, MbgCnbdK, MbgNbd, Purchase, PurchaseFormulas, Random, Rfm,
};
use cvm_core::{Derivatives, Likelihood, Order, ParametricModel};
use cvm_math::exp;
use std::time::{Duration, Instant};

/// Customers of every kind, with horizons.
fn cases(seed: u64, count: usize) -> Vec<([f64; 4], Rfm, f64)> {
    let mut random = Random::new(seed);
    let mut between = |low: f64, high: f64| low * exp(random.uniform() * cvm_math::ln(high / low));
    let mut case = |index: usize| {
        let params = [
            between(0.05, 5.0),
            between(0.5, 100.0),
            between(0.05, 5.0),
            between(0.05, 20.0),
        ];
        let x = [0.0, 1.0, 2.0, 3.0, 7.0, 20.0, 70.0][index % 7];
        let age = between(0.5, 500.0);
        let recency = if x == 0.0 {
            0.0
        } else {
            age * between(0.1, 1.0)
        };
        let row = Rfm::new(x, recency, age).unwrap();
        (params, row, between(0.01, 500.0))
    };
    (0..count).map(&mut case).collect()
}

fn with_k(params: &[f64; 4], k: f64) -> Vec<f64> {
    let mut params = params.to_vec();
    params.push(k);
    params
}

/// At `k = 1` these are the BG/NBD and the MBG/NBD, by entirely different formulas.
fn at_k_one_equals<Special: PurchaseFormulas, const AT_FIRST: bool>() {
    let mut worst = [0.0f64; 9];
    for (params, row, t) in cases(8, 140) {
        let special = Special::at(&params);
        let general = CnbdK::<AT_FIRST>::at(&with_k(&params, 1.0));
        let delta = 0.3 / (t + 1.0);
        let pairs = [
            (general.log_lik(&row), special.log_lik(&row)),
            (general.p_alive(&row), special.p_alive(&row)),
            (general.purchases(&row, t), special.purchases(&row, t)),
            (
                general.p_alive_ahead(&row, t),
                special.p_alive_ahead(&row, t),
            ),
            (general.ln_pmf(&row, t, 2.0), special.ln_pmf(&row, t, 2.0)),
            (general.ln_tail(&row, t, 3.0), special.ln_tail(&row, t, 3.0)),
            (
                general.next_purchase(&row, 0.4),
                special.next_purchase(&row, 0.4),
            ),
            (
                general.discounted(&row, t, delta),
                special.discounted(&row, t, delta),
            ),
            (
                general.lifetime(&row, t, delta),
                special.lifetime(&row, t, delta),
            ),
        ];
        for (place, (got, expected)) in pairs.into_iter().enumerate() {
            let error = (got - expected).abs() / expected.abs().max(1e-4);
            assert!(
                error < 1e-10,
                "{place}: {got} {expected} {params:?} {row:?} {t}"
            );
            worst[place] = worst[place].max(error);
        }
    }
    println!("{worst:?}");
}

#[test]
fn one_stage_is_the_bg_nbd() {
    at_k_one_equals::<BgNbd, false>();
}

#[test]
fn one_stage_is_the_mbg_nbd() {
    at_k_one_equals::<MbgNbd, true>();
}

/// For ever: discounted sums and means, against the special cases too.
#[test]
fn for_ever_at_one_stage() {
    for (params, row, _) in cases(3, 35) {
        let special = MbgNbd::at(&params);
        let general = MbgCnbdK::at(&with_k(&params, 1.0));
        let inf = f64::INFINITY;
        for delta in [1e-4, 0.003, 0.2] {
            close(
                general.discounted(&row, inf, delta),
                special.discounted(&row, inf, delta),
                1e-10,
            );
            close(
                general.lifetime(&row, inf, delta),
                special.lifetime(&row, inf, delta),
                1e-10,
            );
        }
        assert_eq!(general.purchases(&row, inf), special.purchases(&row, inf));
        let (got, expected) = (
            general.lifetime(&row, inf, 0.0),
            special.lifetime(&row, inf, 0.0),
        );
        assert!(got == expected || (got / expected - 1.0).abs() < 1e-10);
    }
}

/// The CDNOW sample with the log-gaps a Gamma(k) buyer would have: `x ln(t_x/x)` less a little.
fn with_gaps(k: f64) -> Vec<Rfm> {
    let slack = cvm_math::digamma(k) - cvm_math::ln(k);
    let gaps = |row: &Rfm| {
        let mut row = *row;
        if row.frequency > 0.0 {
            let mean = row.recency / row.frequency;
            row.log_gap_sum = row.frequency * cvm_math::ln(mean) + (row.frequency - 1.0) * slack;
        }
        row
    };
    let mut rows: Vec<Rfm> = cdnow_exact().iter().map(gaps).collect();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(gaps(&Rfm::new(300.0, 38.0, 39.0).unwrap()));
    rows
}

#[test]
fn derivatives_agree_with_differences() {
    let rows = with_gaps(1.7);
    for theta in [
        [0.24, 4.4, 0.79, 2.4, 1.0],
        [0.5, 3.0, 0.9, 1.6, 2.0],
        [3.0, 20.0, 0.1, 0.2, 0.6],
        [0.7, 1.0, 2.0, 3.0, 3.7],
    ] {
        let free = Purchase::<MbgCnbdK>::likelihood(&rows, None);
        assert_eq!(free.dim(), 5);
        check_derivatives(&free, &theta, 1e-6);
        check_derivatives(&Purchase::<BgCnbdK>::likelihood(&rows, None), &theta, 1e-6);
        let fixed = BgCnbdK::likelihood_at_k(&rows, None, theta[4]);
        assert_eq!(fixed.dim(), 4);
        check_derivatives(&fixed, &theta[..4], 1e-6);
        let (whole, part) = (
            evaluate(
                &Purchase::<BgCnbdK>::likelihood(&rows, None),
                &theta,
                Order::Hessian,
            ),
            evaluate(&fixed, &theta[..4], Order::Hessian),
        );
        close(part.value, whole.value, 1e-13);
        for i in 0..4 {
            assert!(
                (part.gradient[i] - whole.gradient[i]).abs()
                    < 1e-8 * (1.0 + whole.gradient[i].abs())
            );
            for j in 0..4 {
                let (got, expected) = (part.hessian[i * 4 + j], whole.hessian[i * 5 + j]);
                assert!(
                    (got - expected).abs() < 1e-7 * (1.0 + expected.abs()),
                    "{i} {j}"
                );
            }
        }
    }
}

#[test]
fn merged_rows_sum_to_the_rows_themselves() {
    let rows = with_gaps(2.0);
    let theta = [0.5, 3.0, 0.9, 1.6, 2.3];
    let weights: Vec<f64> = (0..rows.len()).map(|row| (row % 4) as f64 * 0.5).collect();
    let likelihood = Purchase::<MbgCnbdK>::likelihood(&rows, Some(&weights));
    let merged = evaluate(&likelihood, &theta, Order::Gradient);
    let model = MbgCnbdK::at(&theta);
    let (mut value, mut slope) = (0.0, 0.0);
    let mut one = Derivatives::zero(5);
    for (row, weight) in rows.iter().zip(&weights) {
        model.derivatives(row, Order::Gradient, &mut one);
        value += weight * one.value;
        slope += weight * one.gradient[4];
    }
    close(merged.value, value, 1e-12);
    close(merged.gradient[4], slope, 1e-9);
}

/// Reference K12: at `k = 1` the fits are those of the BG/NBD (CLVTools) and the MBG/NBD (BTYDplus).
#[test]
fn one_stage_fits_are_the_known_ones() {
    let rows = cdnow_exact();
    let bg = BgCnbdK::likelihood_at_k(&rows, None, 1.0);
    let (theta, at) = newton(&bg, &bg.start_vectors()[0]);
    for (got, expected) in theta
        .iter()
        .zip([0.242_594_5, 4.413_601_9, 0.792_919_9, 2.425_888_1])
    {
        close(*got, expected, 2e-5);
    }
    assert!((at.value - -9_582.429_207).abs() < 2e-6, "{}", at.value);
    let mbg = MbgCnbdK::likelihood_at_k(&rows, None, 1.0);
    let (_, at) = newton(&mbg, &mbg.start_vectors()[0]);
    assert!((at.value - -9_582.135_716).abs() < 2e-6, "{}", at.value);
}

/// The CDNOW log, day by day: summaries of the first 39 weeks with their gaps, and the last two gaps
/// of all 78 weeks.
fn cdnow_log() -> (Vec<Rfm>, Vec<(f64, f64)>) {
    let text = include_str!("../../../python/cvm/datasets/data/cdnow_sample.csv");
    let mut days: std::collections::BTreeMap<&str, std::collections::BTreeSet<u32>> =
        std::collections::BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let part = |range: std::ops::Range<usize>| cells[1][range].parse::<u32>().unwrap();
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let (year, month, day) = (part(0..4), part(5..7), part(8..10));
        let day = 365 * (year - 1997) + before[month as usize - 1] + day;
        days.entry(cells[0]).or_default().insert(day);
    }
    // 30 September 1997.
    const END: u32 = 273;
    let weeks = |days: &mut dyn Iterator<Item = &u32>| -> Vec<f64> {
        days.map(|day| f64::from(*day) / 7.0).collect()
    };
    let gaps =
        |days: &[f64]| -> Vec<f64> { days.windows(2).map(|pair| pair[1] - pair[0]).collect() };
    let (mut rows, mut pairs) = (Vec::new(), Vec::new());
    for days in days.values() {
        if let [.., first, second] = gaps(&weeks(&mut days.iter()))[..] {
            pairs.push((first, second));
        }
        let days = weeks(&mut days.range(..=END));
        let gaps = gaps(&days);
        let (span, age) = (
            days[days.len() - 1] - days[0],
            f64::from(END) / 7.0 - days[0],
        );
        let mut row = Rfm::new(gaps.len() as f64, span, age).unwrap();
        row.log_gap_sum = gaps.iter().map(|gap| cvm_math::ln(*gap)).sum();
        rows.push(row);
    }
    (rows, pairs)
}

/// Reference K12: on CDNOW, BTYDplus chooses `k = 1` and has a Wheat-Morrison regularity of .98315.
#[test]
fn cdnow_is_not_regular() {
    let (rows, pairs) = cdnow_log();
    assert_eq!(rows.len(), 2357);
    let regularity = cvm_clv::k_wheat(&pairs).unwrap();
    println!("k_wheat {regularity} of {} pairs", pairs.len());
    // BTYDplus orders the two gaps at random.
    close(regularity, 0.983_15, 3e-3);
    let likelihood = BgCnbdK::likelihood_at_k(&rows, None, 1.0);
    let fit = |k: f64| {
        if k > 3.0 {
            return Ok::<_, ()>((f64::NAN, Vec::new()));
        }
        let fixed = likelihood.with_fixed_k(k);
        let (theta, at) = newton(&fixed, &fixed.start_vectors()[0]);
        Ok((at.value, theta))
    };
    let (k, theta) = cvm_clv::choose_k(fit).unwrap().unwrap();
    assert_eq!(k, 1.0);
    close(theta[0], 0.242_594_5, 2e-5);
}

/// Customers drawn at `k = 2.6` give their parameters back, `k` estimated with the others.
#[test]
fn simulated_customers_give_their_parameters_back() {
    let truth = [0.8, 1.5, 0.7, 2.0, 2.6];
    let template = Rfm::new(0.0, 0.0, 40.0).unwrap();
    let rows = MbgCnbdK::at(&truth).simulate(&vec![template; 3000], 11);
    assert!(
        rows.iter()
            .all(|row| Rfm::new(row.frequency, row.recency, row.age).is_ok())
    );
    let likelihood = Purchase::<MbgCnbdK>::likelihood(&rows, None);
    let (theta, at) = newton(&likelihood, &MbgCnbdK::starts(&likelihood)[0]);
    let known = evaluate(&likelihood, &truth, Order::Hessian);
    println!("{theta:?}");
    // Twice the gap in log-likelihood is chi-squared of 5 degrees: 20 is a chance of 1e-3.
    let gap = 2.0 * (at.value - known.value);
    assert!((0.0..20.0).contains(&gap), "{gap}: {theta:?}");
    assert!((theta[4] / 2.6 - 1.0).abs() < 0.1, "{theta:?}");
}

/// Counts sum to one and to their mean, at a regularity that is no whole number.
#[test]
fn counts_sum_to_one_and_to_their_mean() {
    let model = BgCnbdK::new(0.7, 9.0, 0.9, 2.1, 2.4).unwrap();
    for (x, t_x, age) in [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 30.0),
        (4.0, 29.0, 30.0),
        (4.0, 20.0, 30.0),
    ] {
        let row = Rfm::new(x, t_x, age).unwrap();
        let (mut total, mut mean, mut tails) = (0.0, 0.0, 0.0);
        for n in 0..70u32 {
            let n = f64::from(n);
            let probability = exp(model.ln_pmf(&row, 20.0, n));
            total += probability;
            mean += n * probability;
            tails += exp(model.ln_tail(&row, 20.0, n + 1.0));
        }
        close(total, 1.0, 1e-10);
        close(mean, model.purchases(&row, 20.0), 1e-10);
        close(tails, mean, 1e-10);
    }
}

/// With no discount to speak of, discounted sums are the plain ones; with no horizon to speak of,
/// the endless ones.
#[test]
fn discounts_meet_their_limits() {
    let model = MbgCnbdK::new(0.7, 9.0, 3.4, 2.1, 3.3).unwrap();
    let row = Rfm::new(4.0, 26.0, 30.0).unwrap();
    close(
        model.discounted(&row, 25.0, 1e-13),
        model.purchases(&row, 25.0),
        1e-10,
    );
    let (near, far) = (39.9 / 0.2, 40.1 / 0.2);
    close(
        model.discounted(&row, near, 0.2),
        model.discounted(&row, far, 0.2),
        1e-10,
    );
    close(
        model.lifetime(&row, near, 0.2),
        model.lifetime(&row, far, 0.2),
        1e-10,
    );
    let inf = f64::INFINITY;
    close(
        model.lifetime(&row, inf, 1e-9),
        model.lifetime(&row, inf, 0.0),
        1e-4,
    );
    close(model.purchases(&row, inf), 1.0 + 7.1 / 2.4, 1e-13);
}

/// Heavy buyers, at one stage the special case; the references B5 and B14 among them.
/// A lifetime for ever, discounted ever less, reaches its mean, here by Richardson's extrapolation of
/// `m_1 − δ m_2/2 + δ² m_3/6`.
fn slow_discounts_reach_the_mean<const AT_FIRST: bool>(k: f64) {
    // Rates and lifetimes with moments enough.
    let model = CnbdK::<AT_FIRST>::at(&[6.5, 20.0, 5.5, 3.0, k]);
    for (x, recency, age) in [(0.0, 0.0, 40.0), (3.0, 35.0, 40.0), (9.0, 39.9, 40.0)] {
        let row = Rfm::new(x, recency, age).unwrap();
        let mean = model.lifetime(&row, f64::INFINITY, 0.0);
        for delta in [1e-7, 1e-9, 1e-12] {
            let at = |times: f64| model.lifetime(&row, f64::INFINITY, times * delta);
            let (one, two, four) = (at(1.0), at(2.0), at(4.0));
            close((8.0 * one - 6.0 * two + four) / 3.0, mean, 1e-11);
        }
        // Both sides of where the formula changes.
        let edge = 1e-4 * (model.params()[0] + k * x) / (k * (20.0 + age));
        let [below, above] = [edge * (1.0 - 1e-12), edge * (1.0 + 1e-12)];
        close(
            model.lifetime(&row, f64::INFINITY, below),
            model.lifetime(&row, f64::INFINITY, above),
            1e-11,
        );
    }
}

#[test]
fn slow_discounts() {
    for k in [0.4, 1.0, 1.7, 3.0] {
        slow_discounts_reach_the_mean::<false>(k);
        slow_discounts_reach_the_mean::<true>(k);
    }
}

#[test]
fn heavy_buyers() {
    let cases = [
        ([0.243, 4.414, 0.793, 2.426], (2000.0, 99.0, 100.0), 50.0),
        ([0.243, 4.414, 0.793, 2.426], (10_000.0, 99.99, 100.0), 52.0),
        (
            [
                1.663_832_293_818_02,
                46.251_451_135_341_5,
                2.502_399_759_432_12,
                2.966_287_463_699_75,
            ],
            (438.0, 19.006_286_075_191_5, 20.629_504_421_48),
            484.180_603_412_18,
        ),
    ];
    for (params, (x, t_x, age), t) in cases {
        let row = Rfm::new(x, t_x, age).unwrap();
        let special = BgNbd::at(&params);
        let general = BgCnbdK::at(&with_k(&params, 1.0));
        close(
            general.expected_purchases(&row, t),
            special.expected_purchases(&row, t),
            1e-10,
        );
        close(
            general.p_alive_ahead(&row, t),
            special.p_alive_ahead(&row, t),
            1e-10,
        );
        let regular = BgCnbdK::at(&with_k(&params, 2.0));
        assert!(regular.purchases(&row, t) > 1.0);
    }
}

/// Whatever the parameters, a forecast ends soon, and is either absent or within its bounds.
#[test]
fn absurd_parameters_end_within_bounds() {
    let values = [1e-300, 1e-9, 0.3, 1e9, 1e300];
    let (mut answered, mut absent, mut slowest) = (0, 0, Duration::ZERO);
    for index in (0..1250usize).step_by(3) {
        let pick = |place: u32| values[index / 5usize.pow(place) % 5];
        let params = [
            pick(0),
            pick(1),
            pick(2),
            pick(3),
            [0.4, 3.0, 1e6][index / 3 % 3],
        ];
        let (x, t_x) = [(0.0, 0.0), (3.0, 2.0), (1e6, 2.0)][index / 9 % 3];
        let model = MbgCnbdK::at(&params);
        let row = Rfm::new(x, t_x, 5.0).unwrap();
        let start = Instant::now();
        let probabilities = [
            model.p_alive(&row),
            model.p_alive_ahead(&row, 7.0),
            exp(model.ln_tail(&row, 7.0, 2.0)),
            exp(model.ln_pmf(&row, 7.0, 2.0)),
        ];
        let counts = [
            model.purchases(&row, 7.0),
            model.discounted(&row, 7.0, 0.01),
            model.discounted(&row, f64::INFINITY, 0.01),
            model.lifetime(&row, 7.0, 0.01),
        ];
        let took = start.elapsed();
        if took > Duration::from_secs(2) {
            println!("{params:?} {x} {took:?}");
        }
        slowest = slowest.max(took);
        for value in probabilities {
            assert!(
                value.is_nan() || (0.0..=1.0 + 1e-9).contains(&value),
                "{params:?} {value}"
            );
        }
        for value in counts {
            assert!(value.is_nan() || value >= 0.0, "{params:?} {value}");
        }
        let whole = probabilities
            .iter()
            .chain(&counts)
            .all(|value| !value.is_nan());
        answered += u32::from(whole);
        absent += u32::from(!whole);
    }
    println!("{answered} answered, {absent} absent, slowest {slowest:?}");
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
}

/// A column that was never computed is refused, not fitted.
#[test]
fn log_gaps_that_are_all_zero_are_refused() {
    let bare = cdnow_exact();
    let error = Purchase::<BgCnbdK>::check_rows(&bare).unwrap_err();
    assert!(error.to_string().contains("log_gap_sum"), "{error}");
    assert!(Purchase::<BgCnbdK>::check_rows(&with_gaps(2.0)).is_ok());
    // Without two gaps of anyone nothing tells: a single gap of one period is legal.
    let few: Vec<Rfm> = bare.into_iter().filter(|row| row.frequency < 2.0).collect();
    assert!(Purchase::<BgCnbdK>::check_rows(&few).is_ok());
    assert!(Purchase::<BgNbd>::check_rows(&cdnow_exact()).is_ok());
}

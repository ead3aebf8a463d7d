//! BG/BB: published fits and predictions, enumeration of every path, derivatives, simulation, scoring.

mod common;

use common::{bits, check_derivatives, close, evaluate, newton, score};
use cvm_clv::{BgBb, Formulas, MergedRows, Purchase, PurchaseFormulas, Rfm};
use cvm_core::{Order, ParametricModel, RowCode, Scorer, TimeUnit};
use cvm_math::{exp, ln};

/// Donors of the 1995 cohort by `(x, t_x)` over the six years to 2001, with their number: Fader,
/// Hardie & Shang (2010), table 2.
const DONATIONS: [(f64, f64, f64); 22] = [
    (6.0, 6.0, 1203.0),
    (5.0, 6.0, 728.0),
    (4.0, 6.0, 512.0),
    (3.0, 6.0, 357.0),
    (2.0, 6.0, 234.0),
    (1.0, 6.0, 129.0),
    (5.0, 5.0, 335.0),
    (4.0, 5.0, 284.0),
    (3.0, 5.0, 225.0),
    (2.0, 5.0, 173.0),
    (1.0, 5.0, 119.0),
    (4.0, 4.0, 240.0),
    (3.0, 4.0, 181.0),
    (2.0, 4.0, 155.0),
    (1.0, 4.0, 78.0),
    (3.0, 3.0, 322.0),
    (2.0, 3.0, 255.0),
    (1.0, 3.0, 129.0),
    (2.0, 2.0, 613.0),
    (1.0, 2.0, 277.0),
    (1.0, 1.0, 1091.0),
    (0.0, 0.0, 3464.0),
];

fn donations() -> (Vec<Rfm>, Vec<f64>) {
    let rows = DONATIONS.map(|(x, recency, _)| Rfm::new(x, recency, 6.0).unwrap());
    (rows.to_vec(), DONATIONS.map(|(.., count)| count).to_vec())
}

/// Estimates of the paper, table 3: three decimals.
fn published() -> BgBb {
    BgBb::new(1.204, 0.750, 0.657, 2.783).unwrap()
}

/// Table 3: α 1.204, β .750, γ .657, δ 2.783, log-likelihood −33225.6.
#[test]
fn donations_fit() {
    let (rows, weights) = donations();
    let likelihood = MergedRows::<BgBb>::new(&rows, Some(&weights));
    assert_eq!(likelihood.merged_rows(), 22);
    for start in BgBb::starts(&likelihood) {
        let (theta, at) = newton(&likelihood, &start);
        for (got, want) in theta.iter().zip([1.204, 0.750, 0.657, 2.783]) {
            assert!((got - want).abs() < 6e-4, "{theta:?}");
        }
        assert!((at.value - -33_225.6).abs() < 0.05, "{}", at.value);
    }
}

/// Hardie's spreadsheet (note 010), as kept in the tests of PyMC-Marketing, at rounded parameters.
#[test]
fn published_log_likelihoods() {
    let model = published();
    let cells = [
        (6.0, 6.0, -2.181_670_19),
        (5.0, 6.0, -4.294_850_35),
        (4.0, 6.0, -5.384_733_34),
        (3.0, 6.0, -5.809_158_82),
        (2.0, 6.0, -5.651_729_65),
        (1.0, 6.0, -4.883_701_65),
        (5.0, 5.0, -3.716_821_27),
        (4.0, 5.0, -5.095_582_27),
        (3.0, 5.0, -5.615_768_84),
        (2.0, 5.0, -5.506_368_93),
        (1.0, 5.0, -4.767_238_22),
    ];
    for (x, recency, want) in cells {
        let row = Rfm::new(x, recency, 6.0).unwrap();
        close(model.log_lik(&row), want, 3e-4);
    }
}

/// Table 6 of the paper: P(alive in 2002), one year after the end of observation; and the totals of
/// the forecast for five years and of the fit (Hardie's spreadsheet, in the tests of lifetimes).
#[test]
fn published_predictions() {
    let model = published();
    for (x, recency, want) in [(0.0, 0.0, 0.11), (2.0, 4.0, 0.59), (6.0, 6.0, 0.93)] {
        let row = Rfm::new(x, recency, 6.0).unwrap();
        let got = model.p_alive(&row) * model.p_alive_ahead(&row, 1.0);
        assert!((got - want).abs() < 5e-3, "{x} {recency}: {got}");
    }
    // The totals need the unrounded maximum.
    let (rows, weights) = donations();
    let likelihood = MergedRows::<BgBb>::new(&rows, Some(&weights));
    let model = BgBb::at(&newton(&likelihood, &BgBb::starts(&likelihood)[0]).0);
    let total: f64 = rows
        .iter()
        .zip(&weights)
        .map(|(row, weight)| weight * model.p_alive(row) * model.purchases(row, 5.0))
        .sum();
    assert!((total - 12_884.2).abs() < 0.1, "{total}");
    let new = Rfm::new(0.0, 0.0, 0.0).unwrap();
    let fitted = |n: f64| 11_104.0 * exp(model.ln_pmf(&new, 6.0, n));
    assert!((fitted(0.0) - 3454.9).abs() < 0.1, "{}", fitted(0.0));
    assert!((fitted(6.0) - 1253.1).abs() < 0.1, "{}", fitted(6.0));
}

/// A log-likelihood where a floor of 1e-15 costs 4 %, and the pole of the textbook forecast; both by
/// 50-digit mpmath.
#[test]
fn traps() {
    let row = Rfm::new(50.0, 60.0, 100.0).unwrap();
    close(published().log_lik(&row), -35.354_163_560_783_356, 1e-13);
    let pole = BgBb::new(1.204, 0.75, 1.0, 2.783).unwrap();
    let row = Rfm::new(2.0, 4.0, 6.0).unwrap();
    let got = pole.p_alive(&row) * pole.purchases(&row, 5.0);
    close(got, 0.799_200_758_283_732_3, 1e-13);
}

/// Probability of a path of purchases and of living through exactly the first `alive` of its periods
/// (all of them if as many): each period's chance given those before, as from an urn.
fn path(params: [f64; 4], bought: &[bool], alive: usize) -> f64 {
    let [mut alpha, mut beta, gamma, mut delta] = params;
    let mut probability = 1.0;
    for bought in &bought[..alive] {
        probability *= delta / (gamma + delta);
        delta += 1.0;
        let shape = if *bought { &mut alpha } else { &mut beta };
        let chance = *shape;
        *shape += 1.0;
        probability *= chance / (alpha + beta - 1.0);
    }
    if alive == bought.len() {
        return probability;
    }
    let silent = !bought[alive..].contains(&true);
    probability * gamma / (gamma + delta) * f64::from(u8::from(silent))
}

fn paths(periods: usize) -> impl Iterator<Item = Vec<bool>> {
    (0..1u32 << periods).map(move |code| (0..periods).map(|bit| code >> bit & 1 == 1).collect())
}

fn count(bought: &[bool]) -> f64 {
    bought
        .iter()
        .map(|bought| f64::from(u8::from(*bought)))
        .sum()
}

fn history(bought: &[bool]) -> Rfm {
    let last = bought.iter().rposition(|bought| *bought);
    let recency = last.map_or(0.0, |period| period as f64 + 1.0);
    Rfm::new(count(bought), recency, bought.len() as f64).unwrap()
}

/// Every path of up to 7 periods, and every moment of leaving: likelihood and P(alive).
#[test]
fn histories_by_enumeration() {
    for params in [
        [1.204, 0.75, 0.657, 2.783],
        [0.2, 3.0, 1.0, 0.5],
        [5.0, 0.1, 2.5, 9.0],
    ] {
        let model = BgBb::at(&params);
        for periods in 0..=7 {
            let mut total = 0.0;
            for bought in paths(periods) {
                let each: Vec<f64> = (0..=periods)
                    .map(|alive| path(params, &bought, alive))
                    .collect();
                let sum: f64 = each.iter().sum();
                let row = history(&bought);
                close(exp(model.log_lik(&row)), sum, 1e-13);
                close(model.p_alive(&row), each[periods] / sum, 1e-13);
                close(model.ln_p_alive(&row), ln(each[periods] / sum), 1e-11);
                total += sum;
            }
            close(total, 1.0, 1e-13);
        }
    }
}

/// What every history of 3 periods is followed by in every path of 5 more: counts, means, and the first
/// purchase.
#[test]
fn futures_by_enumeration() {
    const AHEAD: usize = 5;
    let params = [1.204, 0.75, 1.0, 2.783];
    let model = Purchase::new(BgBb::at(&params), Some(TimeUnit::Year));
    let (t, rate) = (AHEAD as f64, 0.07);
    for past in paths(3) {
        let row = history(&past);
        let living = path(params, &past, 3);
        let (mut pmf, mut first) = ([0.0; AHEAD + 1], [0.0; AHEAD + 1]);
        let (mut purchases, mut discounted, mut periods, mut ahead) = (0.0, 0.0, 0.0, 0.0);
        for future in paths(AHEAD) {
            let whole = [past.clone(), future.clone()].concat();
            for alive in 3..=3 + AHEAD {
                let weight = path(params, &whole, alive) / living;
                pmf[count(&future) as usize] += weight;
                purchases += weight * count(&future);
                let worth = |period: usize| exp(-rate * (period as f64 + 1.0));
                let bought = (0..AHEAD).filter(|period| future[*period]);
                discounted += weight * bought.map(worth).sum::<f64>();
                periods += weight * (0..alive - 3).map(worth).sum::<f64>();
                ahead += if alive == 3 + AHEAD { weight } else { 0.0 };
                let start = future.iter().position(|bought| *bought);
                first[start.map_or(AHEAD, |period| period)] += weight;
            }
        }
        close(model.purchases(&row, t), purchases, 1e-13);
        close(model.discounted(&row, t, rate), discounted, 1e-13);
        close(model.lifetime(&row, t, rate), periods, 1e-13);
        close(model.p_alive_ahead(&row, t), ahead, 1e-13);
        for n in 0..=AHEAD {
            close(exp(model.ln_pmf(&row, t, n as f64)), pmf[n], 1e-13);
            let tail: f64 = pmf[n..].iter().sum();
            close(exp(model.ln_tail(&row, t, n as f64)), tail, 1e-12);
        }
        let mut reached = 0.0;
        for (period, chance) in first[..AHEAD].iter().enumerate() {
            reached += chance;
            assert_eq!(
                model.next_purchase(&row, reached * 0.999_999),
                period as f64 + 1.0
            );
            assert_eq!(model.next_purchase(&row, reached), period as f64 + 1.0);
        }
        assert!(model.next_purchase(&row, reached * 1.000_001) > t);
    }
}

/// Beyond the terms summed one by one, and for ever.
#[test]
fn long_horizons_join_on() {
    for params in [
        [1.2, 0.7, 0.6, 2.8],
        [0.3, 900.0, 0.02, 5.0],
        [0.05, 2.0, 1.5, 4e4],
    ] {
        let model = BgBb::at(&params);
        let row = Rfm::new(3.0, 5.0, 9.0).unwrap();
        for m in [1.0, 2.0, 7.0, 40.0] {
            let mut last = f64::NEG_INFINITY;
            let (mut gap, mut steps) = (0.0, 0);
            for t in [
                4000.0,
                4095.0,
                4096.0,
                4097.0,
                4200.0,
                1e5,
                1e7,
                1e12,
                f64::INFINITY,
            ] {
                let tail = model.ln_tail(&row, t, m);
                let pmf = model.ln_pmf(&row, t, m);
                assert!(
                    (last - 1e-13..=0.0).contains(&tail),
                    "{params:?} {t} {m}: {tail}"
                );
                // P(X >= m) = P(X = m) + P(X >= m + 1).
                let next = model.ln_tail(&row, t, m + 1.0);
                let both = exp(pmf) + exp(next);
                assert!(
                    (both / exp(tail) - 1.0).abs() < 1e-11,
                    "{params:?} {t} {m}: {both} {}",
                    exp(tail)
                );
                gap += tail - last.max(-1e9);
                steps += 1;
                last = tail;
            }
            assert!(gap.is_finite() && steps == 9);
        }
        // The sum over m of P(X >= m) is the mean.
        let t = 400.0;
        let mut mean = 0.0;
        for m in 1..=400 {
            let tail = exp(model.ln_tail(&row, t, f64::from(m)));
            mean += tail;
            if tail < 1e-16 {
                break;
            }
        }
        close(mean, model.purchases(&row, t), 1e-9);
    }
}

/// A customer who may never buy again has no time of the next purchase beyond that chance.
#[test]
fn next_purchases() {
    let model = published();
    let row = Rfm::new(2.0, 4.0, 6.0).unwrap();
    let ever = exp(model.ln_tail(&row, f64::INFINITY, 1.0));
    assert!(ever < 1.0);
    assert_eq!(model.next_purchase(&row, ever * 1.000_001), f64::INFINITY);
    let late = model.next_purchase(&row, ever * 0.999_99);
    assert!(late > 1.0 && late.is_finite());
    assert!(exp(model.ln_tail(&row, late, 1.0)) >= ever * 0.999_99 * (1.0 - 1e-12));
    assert!(exp(model.ln_tail(&row, late - 1.0, 1.0)) < ever * 0.999_99);
}

#[test]
fn derivatives_agree_with_differences() {
    let (mut rows, mut weights) = donations();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(Rfm::new(30.0, 80.0, 200.0).unwrap());
    weights.extend([2.0, 5.0]);
    let likelihood = MergedRows::<BgBb>::new(&rows, Some(&weights));
    for theta in [
        [1.204, 0.750, 0.657, 2.783],
        [0.1, 0.3, 1.0, 0.2],
        [9.0, 4.0, 0.05, 20.0],
    ] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

/// The design of the simulated log of the BTYD package: 10 000 customers, 14 yearly opportunities.
#[test]
fn simulated_customers_come_back() {
    let truth = [1.204, 0.750, 0.657, 2.783];
    let templates = vec![Rfm::new(0.0, 0.0, 14.0).unwrap(); 10_000];
    let model = BgBb::at(&truth);
    let rows = model.simulate(&templates, 3);
    assert_eq!(rows, model.simulate(&templates, 3));
    for row in &rows {
        BgBb::check(row).unwrap();
        assert_eq!(Rfm::new(row.frequency, row.recency, row.age), Ok(*row));
    }
    let likelihood = MergedRows::<BgBb>::new(&rows, None);
    assert!(likelihood.merged_rows() <= 106);
    let (theta, at) = newton(&likelihood, &BgBb::starts(&likelihood)[0]);
    for (got, want) in theta.iter().zip(truth) {
        assert!((got / want - 1.0).abs() < 0.15, "{theta:?}");
    }
    let at_truth = evaluate(&likelihood, &truth, Order::Value).value;
    assert!(at.value >= at_truth && at.value - at_truth < 12.0);
}

#[test]
fn rows_that_contradict_the_clock_are_refused() {
    type Model = Purchase<BgBb>;
    let refused = |values: [f64; 3]| Model::row(&values).unwrap_err();
    assert_eq!(refused([1.0, 1.5, 2.0]).code, RowCode::OutOfRange);
    assert_eq!(refused([1.0, 1.0, 2.5]).code, RowCode::OutOfRange);
    assert_eq!(refused([3.0, 2.0, 6.0]).code, RowCode::Inconsistent);
    assert_eq!(refused([1.0, 2.0, 1e7]).code, RowCode::OutOfRange);
    assert!(Model::row(&[2.0, 2.0, 6.0]).unwrap().is_some());
    let schema = Model::fit_schema(None);
    let names: Vec<&str> = schema
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(names, ["frequency", "recency", "n_periods"]);
}

#[test]
fn scoring_in_any_pieces_gives_the_same_bits() {
    let model = Purchase::new(published(), Some(TimeUnit::Year));
    let frame = model.probe_rows();
    let options = model.probe_options();
    let (whole, status) = score(&model, &frame, &options, frame.row_count);
    let good = status.iter().filter(|status| status.is_ok()).count();
    assert_eq!(good, 19);
    for piece in [1, 4] {
        let (pieces, same) = score(&model, &frame, &options, piece);
        assert_eq!(bits(&pieces), bits(&whole));
        assert_eq!(same, status);
    }
}

/// Whatever the parameters, every forecast ends, within its bounds or absent.
#[test]
fn absurd_parameters_end_within_bounds() {
    let values = [1e-300, 1e-9, 0.3, 1e9, 1e300];
    let (mut answered, mut absent) = (0, 0);
    for alpha in values {
        for beta in values {
            for (gamma, delta) in values.iter().flat_map(|g| values.map(|d| (*g, d))) {
                let model = BgBb::new(alpha, beta, gamma, delta).unwrap();
                for row in [Rfm::new(0.0, 0.0, 9.0), Rfm::new(3.0, 4.0, 5.0)] {
                    let row = row.unwrap();
                    let alive = model.p_alive(&row);
                    let bought = model.purchases(&row, 30.0);
                    let worth = model.discounted(&row, 1e5, 0.1);
                    let tail = model.ln_tail(&row, 30.0, 2.0);
                    let fine = (0.0..=1.0).contains(&alive)
                        && (0.0..=30.0 + 1e-9).contains(&bought)
                        && (0.0..=10.0).contains(&worth)
                        && tail <= 1e-12;
                    let any_nan = [alive, bought, worth, tail].iter().any(|v| v.is_nan());
                    assert!(
                        fine || any_nan,
                        "{alpha:e} {beta:e} {gamma:e} {delta:e}: {alive} {bought} {worth} {tail}"
                    );
                    answered += u32::from(fine);
                    absent += u32::from(!fine);
                }
            }
        }
    }
    println!("{answered} answered, {absent} absent");
    assert!(
        absent * 8 < answered,
        "{answered} answered, {absent} absent"
    );
}

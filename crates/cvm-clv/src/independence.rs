//! Whether spend depends on how often customers buy: correlations, their significance, data to plot.
//!
//! Spend models take the value of purchases as independent of their number. Over repeat buyers, with
//! `x` the frequency and `m` the mean spend:
//!
//! | measure  | of                       | p-value (two-sided)                                     |
//! |----------|--------------------------|---------------------------------------------------------|
//! | Pearson  | `x` and `m`              | `t` with `n − 2` degrees, or permutations               |
//! | Spearman | their ranks, ties shared | `t` with `n − 2` degrees, or permutations               |
//! | Kendall  | pairs in order (τ-b)     | normal, variance corrected for ties                     |
//!
//! ```text
//! t² = r²(n−2)/(1−r²),   p = I_{1−r²}((n−2)/2, 1/2)
//! ```
//!
//! Spend is skewed, so a verdict rests on ranks; Pearson's is there because people ask for it.
//!
//! Source: Fader, Hardie & Lee (2005), *J. Marketing Research* 42(4), section on the assumption of
//! independence (box plot of spend by number of transactions); Kendall (1970), *Rank Correlation
//! Methods*, ch. 4, for τ-b with ties; Phipson & Smyth (2010), *Stat. Appl. Genet. Mol. Biol.* 9(1),
//! for `(1 + exceedances)/(1 + permutations)`.

mod bins;
mod ranks;

pub use bins::SpendBin;

use crate::incomplete_beta::ln_incomplete_beta;
use crate::random::Random;
use cvm_core::{Domain, InputError};
use cvm_math::exp;
pub use ranks::midranks;
use ranks::{kendall, two_sided_normal};

/// How to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndependenceSettings {
    /// Permutations behind the p-values of Pearson and Spearman; 0 means the distribution of `t`.
    pub permutations: u32,
    /// Seed of the permutations.
    pub seed: u64,
    /// Bins of frequency at most, of about equal numbers of customers.
    pub bins: usize,
}

impl Default for IndependenceSettings {
    fn default() -> Self {
        IndependenceSettings {
            permutations: 0,
            seed: 0,
            bins: 10,
        }
    }
}

/// A correlation and its significance; both NaN where one of the two never varies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// From -1 to 1.
    pub coefficient: f64,
    /// Probability of one as large or larger in size, if the two were independent.
    pub p_value: f64,
}

/// What the data say.
#[derive(Debug, Clone, PartialEq)]
pub struct Independence {
    /// Customers with repeat purchases of some value: those tested.
    pub customers: usize,
    /// Customers left out: no repeat purchase, or all of them free.
    pub excluded: usize,
    /// Linear correlation.
    pub pearson: Correlation,
    /// Correlation of ranks.
    pub spearman: Correlation,
    /// Excess of pairs in the same order.
    pub kendall: Correlation,
    /// The finding in a sentence, and what to do.
    pub verdict: String,
    /// Quartiles of spend by frequency, for a plot.
    pub bins: Vec<SpendBin>,
}

/// Most permutations of a test.
const MOST_PERMUTATIONS: u32 = 1_000_000;
/// Fewest customers that a correlation is computed for.
const FEWEST: usize = 4;

/// Tests whether mean spend depends on frequency.
///
/// # Errors
/// Columns of different lengths, a value that is missing or outside its domain, fewer than four
/// customers to test, no bins or too many permutations.
pub fn independence(
    frequency: &[f64],
    monetary_value: &[f64],
    settings: &IndependenceSettings,
) -> Result<Independence, InputError> {
    check(frequency, monetary_value, settings)?;
    let pairs = frequency.iter().zip(monetary_value);
    let told: Vec<(f64, f64)> = pairs
        .filter(|(x, m)| **x > 0.0 && **m > 0.0)
        .map(|(x, m)| (*x, *m))
        .collect();
    if told.len() < FEWEST {
        let count = told.len();
        let why = format!("hold {count} customers with repeat purchases: {FEWEST} are needed");
        return Err(InputError::new("columns", why));
    }
    let (x, m): (Vec<f64>, Vec<f64>) = told.iter().copied().unzip();
    let values = (Centred::new(&x), Centred::new(&m));
    let ranks = (Centred::new(&midranks(&x)), Centred::new(&midranks(&m)));
    let chance = chance(&[&values, &ranks], settings);
    let order = kendall(&x, &m);
    let spearman = Correlation {
        coefficient: ranks.0.correlation(&ranks.1),
        p_value: chance[1],
    };
    Ok(Independence {
        customers: told.len(),
        excluded: frequency.len() - told.len(),
        pearson: Correlation {
            coefficient: values.0.correlation(&values.1),
            p_value: chance[0],
        },
        verdict: verdict(spearman, told.len()),
        spearman,
        kendall: Correlation {
            coefficient: order.tau,
            p_value: two_sided_normal(order.z),
        },
        bins: bins::bins(&told, settings.bins),
    })
}

fn check(
    frequency: &[f64],
    monetary_value: &[f64],
    settings: &IndependenceSettings,
) -> Result<(), InputError> {
    if frequency.len() != monetary_value.len() {
        let (x, m) = (frequency.len(), monetary_value.len());
        let why = format!("has {m} rows, frequency has {x}");
        return Err(InputError::new("columns.monetary_value", why));
    }
    for (row, (x, m)) in frequency.iter().zip(monetary_value).enumerate() {
        let refuse = |name: &str, value: f64, domain: Domain| {
            let why = format!("is {value}: must be {domain}");
            Err(InputError::new(format!("columns.{name}[{row}]"), why))
        };
        if !Domain::Count.contains(*x) {
            return refuse("frequency", *x, Domain::Count);
        }
        if *x > 0.0 && !Domain::NonNegative.contains(*m) {
            return refuse("monetary_value", *m, Domain::NonNegative);
        }
    }
    if settings.bins == 0 {
        return Err(InputError::new("bins", "is 0: must be 1 or more"));
    }
    if settings.permutations > MOST_PERMUTATIONS {
        let count = settings.permutations;
        let why = format!("is {count}: must be at most {MOST_PERMUTATIONS}");
        return Err(InputError::new("permutations", why));
    }
    Ok(())
}

/// Deviations from the mean, scaled to unit length; all zero for a constant.
struct Centred(Vec<f64>);

impl Centred {
    fn new(values: &[f64]) -> Self {
        let largest = values
            .iter()
            .fold(0.0f64, |most, value| most.max(value.abs()));
        let mean = values.iter().map(|value| value / largest).sum::<f64>() / values.len() as f64;
        let away: Vec<f64> = values.iter().map(|value| value / largest - mean).collect();
        let length = away.iter().map(|value| value * value).sum::<f64>().sqrt();
        // Rounding of a constant leaves some of its last bits.
        let constant = length <= 1e-14 * (values.len() as f64).sqrt();
        let scale = if constant { 0.0 } else { 1.0 / length };
        Centred(away.into_iter().map(|value| value * scale).collect())
    }

    fn is_constant(&self) -> bool {
        self.0.iter().all(|value| *value == 0.0)
    }

    fn dot(&self, other: &Centred) -> f64 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }

    fn correlation(&self, other: &Centred) -> f64 {
        if self.is_constant() || other.is_constant() {
            return f64::NAN;
        }
        self.dot(other).clamp(-1.0, 1.0)
    }
}

/// The p-value of each pair of columns.
fn chance(pairs: &[&(Centred, Centred); 2], settings: &IndependenceSettings) -> [f64; 2] {
    let observed = pairs.map(|(x, m)| x.correlation(m));
    let count = pairs[0].0.0.len();
    if settings.permutations == 0 {
        return observed.map(|r| by_t(r, count));
    }
    let mut random = Random::new(settings.seed);
    let mut order: Vec<usize> = (0..count).collect();
    let mut exceeding = [0u32; 2];
    for _ in 0..settings.permutations {
        shuffle(&mut order, &mut random);
        for (index, (x, m)) in pairs.iter().enumerate() {
            let terms = order.iter().zip(&x.0).map(|(place, x)| x * m.0[*place]);
            let drawn: f64 = terms.sum();
            // A permutation that changes nothing may differ in the last bits.
            exceeding[index] += u32::from(drawn.abs() >= observed[index].abs() * (1.0 - 1e-12));
        }
    }
    let share = |index: usize| {
        let exceeded = f64::from(exceeding[index]) + 1.0;
        exceeded / (f64::from(settings.permutations) + 1.0)
    };
    let value = |index: usize| {
        if observed[index].is_nan() {
            f64::NAN
        } else {
            share(index)
        }
    };
    [value(0), value(1)]
}

/// Fisher and Yates, with Lemire's multiplication in place of a remainder.
fn shuffle(order: &mut [usize], random: &mut Random) {
    for last in (1..order.len()).rev() {
        let choices = last as u128 + 1;
        let place = (u128::from(random.bits()) * choices) >> 64;
        order.swap(last, usize::try_from(place).unwrap_or(last));
    }
}

fn by_t(r: f64, count: usize) -> f64 {
    let square = r * r;
    if square.is_nan() {
        return f64::NAN;
    }
    if square == 0.0 {
        return 1.0;
    }
    if square == 1.0 {
        return 0.0;
    }
    let half_degrees = 0.5 * (count as f64 - 2.0);
    exp(ln_incomplete_beta(half_degrees, 0.5, 1.0 - square, square))
}

/// Size of the rank correlation first, significance second: with a million customers anything is
/// significant.
fn verdict(spearman: Correlation, customers: usize) -> String {
    const WEAK: f64 = 0.1;
    const STRONG: f64 = 0.3;
    let Correlation {
        coefficient: rho,
        p_value,
    } = spearman;
    if rho.is_nan() {
        return "All customers buy equally often or spend the same: dependence cannot be judged."
            .to_owned();
    }
    let facts = format!("rank correlation {rho:.3}, p = {p_value:.2e}, {customers} customers");
    if rho.abs() < WEAK {
        let found = if p_value < 0.05 {
            "Spend depends on frequency, but so little that"
        } else {
            "No sign that spend depends on frequency:"
        };
        return format!("{found} a spend model may be used ({facts}).");
    }
    let size = if rho.abs() < STRONG { "some" } else { "strong" };
    let bias = if rho > 0.0 { "low" } else { "high" };
    format!(
        "Spend depends on frequency, with {size} correlation ({facts}): values of frequent buyers \
         come out too {bias}; give frequency or a segment to the spend model as a covariate, or fit \
         segments apart."
    )
}

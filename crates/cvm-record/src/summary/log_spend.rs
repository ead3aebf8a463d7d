//! Mean and standard deviation of the logarithms of a customer's purchases, one purchase at a time.
//!
//! ```text
//! ȳ = Σ ln z / n,   s² = Σ (ln z − ȳ)²/(n − 1)
//! ```
//!
//! over the `n` purchases of a positive amount; a free purchase has no logarithm and is counted.
//! Nothing cancels: each step adds what the new value moves the mean by.
//!
//! Source: Welford (1962), *Technometrics* 4(3), 419–420.

use cvm_math::ln;

/// Running mean and squared deviations.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct LogSpend {
    count: f64,
    mean: f64,
    squares: f64,
    /// Purchases of amount zero, left out.
    pub(super) free: u64,
}

impl LogSpend {
    pub(super) fn add(&mut self, amount: f64) {
        if amount <= 0.0 {
            self.free += 1;
            return;
        }
        let value = ln(amount);
        self.count += 1.0;
        let away = value - self.mean;
        self.mean += away / self.count;
        self.squares += away * (value - self.mean);
    }

    /// The mean: 0 without a purchase, as the monetary value, and missing where all were free.
    pub(super) fn mean(&self) -> f64 {
        if self.count == 0.0 && self.free > 0 {
            return f64::NAN;
        }
        self.mean
    }

    /// The standard deviation; 0 below two values.
    pub(super) fn sd(&self) -> f64 {
        if self.count < 2.0 {
            return 0.0;
        }
        (self.squares / (self.count - 1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::LogSpend;

    #[test]
    fn known_moments() {
        let mut spend = LogSpend::default();
        assert_eq!((spend.mean(), spend.sd()), (0.0, 0.0));
        spend.add(0.0);
        assert!(spend.mean().is_nan() && spend.free == 1);
        for amount in [1.0, std::f64::consts::E, 1.0] {
            spend.add(amount);
        }
        assert!((spend.mean() - 1.0 / 3.0).abs() < 1e-15);
        assert!((spend.sd() - (1.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let mut same = LogSpend::default();
        (0..5).for_each(|_| same.add(12.34));
        assert_eq!(same.sd(), 0.0);
    }
}

//! Purchases and what they were worth: what a spend model knows of one customer.

use cvm_core::{Domain, RowCode, RowStatus};

/// One customer's purchases. A model reads the mean or the logarithms, and leaves the others 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spend {
    /// Purchases the values are of, a whole number; 0 says nothing about spend.
    pub frequency: f64,
    /// Mean value of the purchases, in currency; 0 when `frequency` is 0.
    pub monetary_value: f64,
    /// Mean of the logarithms of the values; 0 when `frequency` is 0.
    pub log_mean: f64,
    /// Standard deviation of the logarithms (divisor `frequency − 1`); 0 below two purchases.
    pub log_sd: f64,
}

/// Largest size of the logarithm of a positive double.
const LARGEST_LOG: f64 = 746.0;
/// Two numbers of at most that size have a standard deviation below this.
const LARGEST_LOG_SD: f64 = 1056.0;

impl Spend {
    /// No purchase.
    pub const NONE: Spend = Spend {
        frequency: 0.0,
        monetary_value: 0.0,
        log_mean: 0.0,
        log_sd: 0.0,
    };

    /// Purchases with their mean value, not checked.
    #[must_use]
    pub const fn of_mean(frequency: f64, monetary_value: f64) -> Self {
        Spend {
            frequency,
            monetary_value,
            ..Spend::NONE
        }
    }

    /// Purchases with mean and standard deviation of their logarithms, not checked.
    #[must_use]
    pub const fn of_logs(frequency: f64, log_mean: f64, log_sd: f64) -> Self {
        Spend {
            frequency,
            log_mean,
            log_sd,
            ..Spend::NONE
        }
    }

    /// Value of all purchases, in currency.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.frequency * self.monetary_value
    }

    /// Sum of squared deviations of the logarithms from their mean.
    #[must_use]
    pub fn log_squares(&self) -> f64 {
        (self.frequency - 1.0).max(0.0) * self.log_sd * self.log_sd
    }

    /// A checked row from its mean, which is column 0.
    pub(crate) fn check_mean(purchases: f64, monetary_value: f64) -> Result<Self, RowStatus> {
        let monetary_value = RowStatus::check(monetary_value, Domain::Positive, 0)?;
        if !(purchases * monetary_value).is_finite() {
            return Err(RowStatus::bad(RowCode::OutOfRange, 0));
        }
        Ok(Spend::of_mean(purchases, monetary_value))
    }

    /// A checked row from the mean of its logarithms, column 0, and their standard deviation,
    /// column 1: zero without one, and ignored below two purchases.
    pub(crate) fn check_logs(
        purchases: f64,
        log_mean: f64,
        log_sd: Option<f64>,
    ) -> Result<Self, RowStatus> {
        let log_mean = RowStatus::check(log_mean, Domain::Finite, 0)? + 0.0;
        if log_mean.abs() > LARGEST_LOG {
            return Err(RowStatus::bad(RowCode::OutOfRange, 0));
        }
        let log_sd = match log_sd {
            Some(value) if purchases > 1.0 => RowStatus::check(value, Domain::NonNegative, 1)?,
            _ => 0.0,
        };
        if log_sd > LARGEST_LOG_SD {
            return Err(RowStatus::bad(RowCode::OutOfRange, 1));
        }
        Ok(Spend::of_logs(purchases, log_mean, log_sd + 0.0))
    }
}

//! Customers drawn along a path of covariates, in operational time.

use super::{ParetoNbdTv, TimedRow};
use crate::covariate_path::CovariatePath;
use crate::random::Random;
use cvm_core::RowStatus;

/// Purchases at most: a customer of absurd parameters must not take for ever.
const MOST: usize = 1_000_000;

impl ParetoNbdTv {
    /// A customer observed for `age` periods along `path`: both clocks run at the speeds of their
    /// covariates, gaps between purchases and the lifetime are exponential on them.
    ///
    /// # Errors
    /// As [`TimedRow::new`]; `missing` where the path has other numbers of covariates than the model.
    pub fn simulate_one(
        &self,
        path: CovariatePath,
        age: f64,
        random: &mut Random,
    ) -> Result<TimedRow, RowStatus> {
        if !self.fits(path.widths()) {
            return Err(RowStatus::bad(cvm_core::RowCode::Missing, 0));
        }
        let [r, alpha, s, beta] = self.params;
        let (rate, hazard) = (random.gamma(r) / alpha, random.gamma(s) / beta);
        let mut to_leave = random.exponential() / hazard;
        let mut to_buy = random.exponential() / rate;
        let mut times = Vec::new();
        for piece in path.pieces(0.0, age) {
            let speeds = self.speeds(&piece);
            let alive = piece.length.min(to_leave / speeds.dropout);
            let mut at = to_buy / speeds.purchase;
            while at <= alive && times.len() < MOST {
                times.push((piece.start + at).max(f64::MIN_POSITIVE).min(age));
                to_buy = random.exponential() / rate;
                at += to_buy / speeds.purchase;
            }
            to_buy = (at - alive) * speeds.purchase;
            to_leave -= alive * speeds.dropout;
            if alive < piece.length {
                break;
            }
        }
        TimedRow::new(&times, age, path)
    }
}

//! What a purchase model offers to the models built on it.

use crate::bg_nbd::BgNbd;
use crate::rfm::Rfm;
use cvm_core::{Frame, ModelState, ParametricModel, Scorer, StateError, TimeUnit};

/// A model of when customers buy. A forecast is P(alive) times the forecast for a living customer;
/// both are given for whole slices of rows, each row alone.
pub trait PurchaseModel: Scorer {
    /// Length of one period, if known.
    fn time_unit(&self) -> Option<TimeUnit>;

    /// Probability that each customer is still alive at the end of observation.
    fn p_alive_rows(&self, rows: &[Rfm], out: &mut [f64]);

    /// Purchases expected in `(T, T + horizon_periods]`, given that the customer is alive at `T`.
    fn purchases_if_alive_rows(&self, rows: &[Rfm], horizon_periods: f64, out: &mut [f64]);

    /// The same, each purchase discounted to `T` at the continuous rate `delta_per_period >= 0`;
    /// at zero the same bits as [`PurchaseModel::purchases_if_alive_rows`].
    fn discounted_if_alive_rows(
        &self,
        rows: &[Rfm],
        horizon_periods: f64,
        delta_per_period: f64,
        out: &mut [f64],
    );

    /// A boxed copy.
    fn clone_box(&self) -> Box<dyn PurchaseModel>;
}

impl Clone for Box<dyn PurchaseModel> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// The purchase model stored as `state`, of any kind this crate has. One line per model.
///
/// # Errors
/// A kind that is not a purchase model, or as the model's own `from_state`.
pub fn purchase_from_state(state: &ModelState) -> Result<Box<dyn PurchaseModel>, StateError> {
    match state.kind.as_str() {
        BgNbd::KIND => Ok(Box::new(BgNbd::from_state(state)?)),
        other => Err(StateError::malformed(
            other,
            "is not a purchase model of this build",
        )),
    }
}

/// Rows that reach every formula and refusal of a purchase model, in multiples of its time scale.
pub(crate) fn probe_frame(scale_periods: f64) -> Frame {
    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    /// `(frequency, recency, T)`, times in multiples of the scale.
    const ROWS: [(f64, f64, f64); 40] = [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 1e-6),
        (0.0, 0.0, 0.3),
        (0.0, 0.0, 8.0),
        (0.0, 0.0, 300.0),
        (1.0, 1e-6, 1e-6),
        (1.0, 0.1, 0.1),
        (1.0, 0.1, 9.0),
        (1.0, 8.9, 9.0),
        (1.0, 9.0, 9.0),
        (2.0, 6.9, 8.8),
        (2.0, 1.2, 8.8),
        (3.0, 4.4, 8.8),
        (4.0, 8.7, 8.8),
        (5.0, 2.0, 70.0),
        (7.0, 8.8, 8.8),
        (8.0, 3.0, 10.0),
        (12.0, 11.0, 12.0),
        (16.0, 30.0, 31.0),
        (23.0, 5.0, 9.0),
        (31.0, 40.0, 41.0),
        (40.0, 80.0, 90.0),
        (63.0, 20.0, 20.5),
        (64.0, 20.0, 20.5),
        (65.0, 20.0, 20.5),
        (150.0, 100.0, 100.0),
        (400.0, 99.0, 100.0),
        (3000.0, 500.0, 501.0),
        (100_000.0, 1000.0, 1000.0),
        (NAN, 1.0, 2.0),
        (1.0, NAN, 2.0),
        (1.0, 1.0, NAN),
        (1.0, 1.0, INF),
        (-1.0, 1.0, 2.0),
        (1.5, 1.0, 2.0),
        (1.0, -1.0, 2.0),
        (1.0, 3.0, 2.0),
        (1.0, 0.0, 2.0),
        (0.0, 1.0, 2.0),
        (INF, 1.0, 2.0),
    ];
    let column = |pick: fn(&(f64, f64, f64)) -> f64| ROWS.iter().map(pick).collect::<Vec<f64>>();
    let scaled = |values: Vec<f64>| values.iter().map(|v| v * scale_periods).collect();
    Frame::new(ROWS.len())
        .with_numbers("frequency", column(|row| row.0))
        .with_numbers("recency", scaled(column(|row| row.1)))
        .with_numbers("T", scaled(column(|row| row.2)))
}

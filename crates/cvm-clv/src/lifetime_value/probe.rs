//! Which probe rows of a purchase model a composed model can afford to score.
//!
//! The variance of a value is a sum over numbers of orders, as many as a customer may place. Where one
//! probability is a quadrature, customers of many orders would cost a file seconds each time it is opened;
//! of such a model the cheapest rows are kept, by the kind's declared cost and the orders expected, never
//! by a clock. Refused rows cost nothing and are all kept.

use crate::purchase::{Customers, Forecast, PurchaseModel};
use crate::rfm::{CHUNK, Rfm};
use cvm_core::{Frame, FrameColumn, RowStatus};
use cvm_math::log1p;

/// Nanoseconds that all rows together may take.
const BUDGET_NS: f64 = 5e7;
/// A kind whose probabilities are no dearer scores every row.
const CHEAP_NS: f64 = 2_000.0;
/// Rows kept whatever they cost.
const FEWEST: usize = 2;

/// `frame` without the rows that cost too much at a horizon of `t`.
pub(super) fn affordable(purchase: &dyn PurchaseModel, frame: Frame, t: f64) -> Frame {
    if purchase.ln_tail_ns() <= CHEAP_NS {
        return frame;
    }
    let Some(costs) = costs_ns(purchase, &frame, t) else {
        return frame;
    };
    let mut order: Vec<usize> = (0..costs.len()).filter(|row| costs[*row] > 0.0).collect();
    order.sort_by(|a, b| costs[*a].total_cmp(&costs[*b]));
    let mut kept: Vec<bool> = costs.iter().map(|cost| *cost == 0.0).collect();
    let mut spent = 0.0;
    for (rank, row) in order.into_iter().enumerate() {
        spent += costs[row];
        kept[row] = rank < FEWEST || spent <= BUDGET_NS;
    }
    only(&frame, &kept)
}

/// What the variance of each row costs; 0 of rows that are refused. `None` of more rows than one chunk.
fn costs_ns(purchase: &dyn PurchaseModel, frame: &Frame, t: f64) -> Option<Vec<f64>> {
    let count = frame.row_count;
    let batch = frame.batch().ok()?;
    let has = |name: &str| batch.get(name).is_some();
    let wider = purchase.schema_for(&has);
    let schema = wider.as_ref().unwrap_or_else(|| purchase.schema());
    let bound = batch.bind(schema).ok()?;
    if count > CHUNK {
        return None;
    }
    let mut rows = [Rfm::PLACEHOLDER; CHUNK];
    let mut covariates = vec![0.0; count * purchase.covariate_width(schema)];
    let mut status = vec![RowStatus::OK; count];
    let rows = &mut rows[..count];
    purchase.read(&bound, 0, rows, &mut covariates, &mut status);
    let customers = Customers {
        rows,
        covariates: &covariates,
    };
    purchase.cover(customers, t, &mut status);
    let mut orders = vec![0.0; count];
    purchase.forecast(Forecast::Purchases { t }, customers, &mut orders);
    let each = rows.iter().zip(&orders).zip(&status);
    let cost = |((row, orders), status): ((&Rfm, &f64), &RowStatus)| {
        let terms = if status.is_ok() {
            terms(*orders, row.frequency)
        } else {
            0.0
        };
        terms * purchase.ln_tail_ns()
    };
    Some(each.map(cost).collect())
}

/// Numbers of orders with a probability that counts, roughly: those of a negative binomial whose shape is
/// a little above the purchases seen; 0 where the variance is known without a sum.
fn terms(mean: f64, frequency: f64) -> f64 {
    /// `−ln` of a probability that no longer counts.
    const FORGOTTEN: f64 = 35.0;
    /// Standard deviations.
    const FAR: f64 = 8.0;
    if !(mean > 0.0 && mean <= super::spread::MOST_ORDERS) {
        return 0.0;
    }
    let odds = mean / (frequency + 0.5);
    let wide = mean + FAR * (mean * (1.0 + odds)).sqrt();
    wide + FORGOTTEN / log1p(1.0 / odds)
}

/// The rows that are `kept`.
fn only(frame: &Frame, kept: &[bool]) -> Frame {
    let count = kept.iter().filter(|kept| **kept).count();
    let mut part = Frame::new(count);
    for (name, column) in &frame.columns {
        let FrameColumn::Numbers(values) = column else {
            continue;
        };
        let own = values.iter().zip(kept).filter(|(_, kept)| **kept);
        part = part.with_numbers(name.clone(), own.map(|(value, _)| *value).collect());
    }
    part
}
